import Collectives
import EventKernel
import Layout
import Quantities
import StepProgram

/// Collectives message by message, where links are shared.
///
/// A member sends by the execution rule of ``Collectives/CollectivePlan``. It leaves when all its
/// messages have gone and all that are for it have come, and not before the plan's duration after
/// the last member came: NCCL hands data over through a few buffers of each receiver, so that early
/// members cannot run ahead of late ones. Every message carries when the last member that its sender
/// knows of came; since each member depends on all others, all learn of the last one.
extension FullSimulationModel {
  /// A member comes to a collective at `start`, its stream's ``actives`` already told.
  ///
  /// - Returns: when it is over, negative when messages must come first.
  mutating func beginMessages(
    _ call: Int, _ index: Int, _ local: Int, _ context: inout EventContext
  ) -> Int64 {
    let start = actives[index].start
    let laneCount = fabric.calls[call].laneCount
    let box = local * fabric.communicators.count + fabric.calls[call].communicator
    let isOdd = inboxes[box].ended & 1 == 1
    if isOdd {
      inboxes[box].latest.1 = max(inboxes[box].latest.1, start)
    } else {
      inboxes[box].latest.0 = max(inboxes[box].latest.0, start)
    }
    actives[index].ready = start + fabric.calls[call].launch
    actives[index].sent = 0
    actives[index].lanesLeft = Int32(laneCount)
    actives[index].wordsLeft = 0
    for lane in 0..<laneCount {
      let position = index * fabric.laneWidth + lane
      lanes[position] = FullSimulationFabric.Lane()
      findMessage(index, lane: lane, call: call, inboxes[box])
    }
    return pump(index, local, box, &context)
  }

  /// A message of a collective arrives.
  mutating func receive(_ event: Event, _ local: Int, _ context: inout EventContext) {
    received += 1
    let communicator = Int(event.kind >> 2 & 63)
    let slot = Int(event.kind >> 8 & 63)
    let ordinal = event.kind >> 14 & 255
    let box = local * fabric.communicators.count + communicator
    let ahead = (ordinal &- inboxes[box].ended) & 255
    if ahead > 1 {
      note("rank \(rank(of: local)) received a message of a collective \(ahead) ahead")
    }
    let description = fabric.communicators[communicator]
    let parity = Int(ordinal & 1)
    let latest = Int64(event.payload)
    if parity == 1 {
      inboxes[box].received.1 += 1
      inboxes[box].latest.1 = max(inboxes[box].latest.1, latest)
    } else {
      inboxes[box].received.0 += 1
      inboxes[box].latest.0 = max(inboxes[box].latest.0, latest)
    }
    counts[
      local * fabric.countersPerRank + description.firstCounter + parity * description.slotCount
        + slot] += 1
    let index = 2 * local + description.stream.rawValue
    let call = Int(actives[index].call)
    guard ahead == 0, call >= 0, fabric.calls[call].communicator == communicator else { return }
    goOn(index, local, call: call, box, &context)
  }

  /// Sends what has become possible, and goes on with the program when the collective is over.
  mutating func goOn(
    _ index: Int, _ local: Int, call: Int, _ box: Int, _ context: inout EventContext
  ) {
    let description = fabric.communicators[fabric.calls[call].communicator]
    let end = pump(index, local, box, &context)
    guard end >= 0 else { return }
    if description.stream == .compute {
      resume(local, call: call, end: end, &context)
    } else {
      resumeData(local, end: end, &context)
    }
  }

  /// Sends what can be sent; when the collective is over its end, otherwise a negative number.
  private mutating func pump(
    _ index: Int, _ local: Int, _ box: Int, _ context: inout EventContext
  ) -> Int64 {
    let call = Int(actives[index].call)
    let inbox = inboxes[box]
    let parity = Int(inbox.ended & 1)
    let communicator = fabric.calls[call].communicator
    let counter =
      local * fabric.countersPerRank + fabric.communicators[communicator].firstCounter
      + parity * fabric.communicators[communicator].slotCount
    let latest = parity == 1 ? inbox.latest.1 : inbox.latest.0
    if actives[index].lanesLeft > 0 {
      let earliest = max(actives[index].ready, context.now.picoseconds)
      let kind =
        Self.messageKind | UInt32(communicator) << 2 | (inbox.ended & 255) << 14
      for lane in 0..<fabric.calls[call].laneCount {
        let position = index * fabric.laneWidth + lane
        while lanes[position].step >= 0,
          hasArrived(lanes[position], counter)
        {
          let next = lanes[position]
          if next.isShared {
            request(
              next, index, lane: lane, local, earliest: earliest, latest: latest, box, &context)
            continue
          }
          if next.awaitsWord { break }
          let left = max(earliest, next.free) + next.occupancy
          let arrival = max(left + next.latency, context.now.picoseconds + 1)
          context.schedule(
            kind | next.slot << 8, payload: UInt64(latest), to: next.target,
            at: SimTime(picoseconds: arrival))
          actives[index].sent += 1
          lanes[position].free = left
          lanes[position].step += 1
          findMessage(index, lane: lane, call: call, inbox)
        }
      }
    }
    let received = parity == 1 ? inbox.received.1 : inbox.received.0
    guard actives[index].lanesLeft == 0, actives[index].wordsLeft == 0,
      received == fabric.expected(call, member: inbox.member, sent: actives[index].sent)
    else { return -1 }
    return finish(index, box, counter: counter, latest: latest, now: context.now.picoseconds)
  }

  /// Ends a collective and makes its counters ready for the one after the next.
  private mutating func finish(
    _ index: Int, _ box: Int, counter: Int, latest: Int64, now: Int64
  ) -> Int64 {
    let call = fabric.calls[Int(actives[index].call)]
    var end = max(now, latest + call.duration)
    let position = index * fabric.laneWidth
    for lane in 0..<call.laneCount { end = max(end, lanes[position + lane].free) }
    for slot in 0..<fabric.communicators[call.communicator].slotCount { counts[counter + slot] = 0 }
    sent += Int64(actives[index].sent)
    messages += Int64(actives[index].sent)
    if inboxes[box].ended & 1 == 1 {
      inboxes[box].received.1 = 0
      inboxes[box].latest.1 = 0
    } else {
      inboxes[box].received.0 = 0
      inboxes[box].latest.0 = 0
    }
    inboxes[box].ended &+= 1
    actives[index].call = -1
    actives[index].complete = latest
    return end
  }

  /// Whether what a lane's next message waits for has come.
  private func hasArrived(_ lane: FullSimulationFabric.Lane, _ counter: Int) -> Bool {
    guard lane.awaitedArrivals > 0 else { return true }
    var rest = lane.awaitedSlots
    while rest != 0 {
      let slot = rest.trailingZeroBitCount
      if counts[counter + slot] < lane.awaitedArrivals { return false }
      rest &= rest - 1
    }
    return true
  }

  /// Moves a lane on to its next step with a message; its step is negative when none is left.
  mutating func findMessage(
    _ index: Int, lane: Int, call: Int, _ inbox: FullSimulationFabric.Inbox
  ) {
    let stepCount = fabric.calls[call].plan.stepCount(lane: lane)
    let member = Int(inbox.member)
    let position = index * fabric.laneWidth + lane
    var step = Int(lanes[position].step)
    while step < stepCount {
      if let message = fabric.calls[call].plan.message(from: member, lane: lane, step: step) {
        let groups = fabric.calls[call].communicator
        lanes[position] = FullSimulationFabric.Lane(
          free: lanes[position].free, awaitedSlots: message.awaitedSlots,
          occupancy: message.occupancy.picoseconds, latency: message.latency.picoseconds,
          awaitedArrivals: UInt32(message.awaitedArrivals),
          target: order.logicalProcess(
            of: fabric.communicators[groups].groups.rank(
              of: message.receiver, first: Int(inbox.first))),
          slot: UInt32(message.slot), step: Int32(step),
          isShared: fabric.requestDelay > 0 && (message.crossesNodes || fabric.sharesNodes),
          awaitsWord: lanes[position].awaitsWord)
        return
      }
      if fabric.calls[call].hasEmptyLanes { break }
      step += 1
    }
    lanes[position].step = -1
    actives[index].lanesLeft -= 1
  }

  mutating func note(_ text: String) {
    if fault == nil { fault = text }
  }
}
