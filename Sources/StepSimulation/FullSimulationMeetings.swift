import Collectives
import EventKernel
import Quantities
import StepProgram

/// Collectives whose messages meet nobody else's: each group has its links to itself.
///
/// Their end follows from when their members come. By the execution rule of
/// ``Collectives/CollectivePlan`` the time of each message is a maximum of sums of members' starts and
/// constants, so no message is later than it would be if all members came with the last one; then the
/// last message ends a fixed time later, and no member leaves before (see ``FullSimulationModel/begin``).
/// So a collective ends a fixed time after its last member came, whatever the others did. That time, and
/// the number of messages, are found by running all messages once with ``FullSimulationSweep``; every
/// later call of the same collective, by any group, replays them.
extension FullSimulationModel {
  /// A group's collective in progress, kept by its first member within a node, else by its host.
  struct Meeting {
    /// When the last member so far came, picoseconds.
    var latest: Int64 = 0
    var came: Int32 = 0
    var call: Int32 = -1
  }

  /// A stream of a local rank that goes on: its collective is over.
  struct Continuation {
    /// Twice the local rank, plus the stream.
    var index: Int32
    /// The collective; negative for a block of the whole group.
    var call: Int32
    var end: Int64
  }

  /// A member comes to a collective at `start`, not before now.
  ///
  /// A member leaves when all its messages have gone and all that are for it have come, and not before
  /// the plan's duration after the last member came: NCCL hands data over through a few buffers of
  /// each receiver, so that early members cannot run ahead of late ones.
  ///
  /// - Returns: when it is over, negative when others must come first.
  mutating func begin(
    _ call: Int, _ stream: Stream, at start: Int64, _ local: Int, _ context: inout EventContext
  ) -> Int64 {
    if start < context.now.picoseconds {
      note("rank \(rank(of: local)) begins a collective in the past")
    }
    let index = 2 * local + stream.rawValue
    actives[index].call = Int32(call)
    actives[index].start = start
    let communicator = fabric.calls[call].communicator
    switch fabric.communicators[communicator].reach {
    case .network: return beginMessages(call, index, local, &context)
    case .job:
      let groups = fabric.communicators[communicator].groups
      let place = groups.membership(of: rank(of: local))
      sent += 1
      context.schedule(
        Self.cameKind | UInt32(call) << Self.callShift, payload: UInt64(start),
        to: order.logicalProcess(of: groups.host(first: place.first)),
        at: SimTime(picoseconds: start + fabric.calls[call].notice))
      return -1
    case .node:
      let place = fabric.communicators[communicator].groups.membership(of: rank(of: local))
      let head = local + rank(place.first, from: local)
      guard let end = come(to: call, at: start, head, communicator) else { return -1 }
      for (member, offset) in fabric.communicators[communicator].offsets.enumerated()
      where member != place.member {
        continuations.append(
          Continuation(
            index: Int32(2 * (head + Int(offset)) + stream.rawValue), call: Int32(call), end: end))
      }
      actives[index].call = -1
      return end
    }
  }

  /// From a local rank to another one of its node.
  func rank(_ other: Int, from local: Int) -> Int { other - rank(of: local) }

  /// Notes that a member has come; when it was the last, the collective's end.
  private mutating func come(
    to call: Int, at start: Int64, _ head: Int, _ communicator: Int
  ) -> Int64? {
    let place = head * fabric.communicators.count + communicator
    if meetings[place].came == 0 {
      meetings[place].call = Int32(call)
      meetings[place].latest = start
    } else if Int(meetings[place].call) != call {
      note("the members of a group of rank \(rank(of: head)) come to different collectives")
    } else {
      meetings[place].latest = max(meetings[place].latest, start)
    }
    meetings[place].came += 1
    guard Int(meetings[place].came) == fabric.communicators[communicator].groups.size else {
      return nil
    }
    meetings[place].came = 0
    messages += Int64(messageCount(of: call))
    return meetings[place].latest + fabric.calls[call].duration
  }

  /// Messages of all members of a collective; all are run when it is asked for first.
  mutating func messageCount(of call: Int) -> Int {
    if messageCounts[call] >= 0 { return messageCounts[call] }
    let plan = fabric.calls[call].plan
    guard plan.ranks > 1 else { return 0 }
    // Calls of the same messages are run once.
    if let same = messageCounts.indices.first(where: {
      messageCounts[$0] >= 0 && fabric.calls[$0].plan == plan
    }) {
      messageCounts[call] = messageCounts[same]
      return messageCounts[call]
    }
    let sweep = FullSimulationSweep(plan, launch: fabric.calls[call].launch)
    if sweep.map({ $0.end > fabric.calls[call].duration }) ?? true {
      note("\(plan.algorithm) \(plan.operation.rawValue) ends later than its closed form")
    }
    messageCounts[call] = sweep?.messages ?? 0
    return messageCounts[call]
  }

  /// A group's host hears that a member came; when it was the last, all are told the end.
  mutating func hearOfMember(_ event: Event, _ local: Int, _ context: inout EventContext) {
    let call = Int(event.kind >> Self.callShift)
    let communicator = fabric.calls[call].communicator
    guard let end = come(to: call, at: Int64(event.payload), local, communicator) else { return }
    let groups = fabric.communicators[communicator].groups
    let first = groups.membership(of: rank(of: local)).first
    for member in 0..<groups.size {
      context.schedule(
        Self.overKind | UInt32(call) << Self.callShift, payload: UInt64(end),
        to: order.logicalProcess(of: groups.rank(of: member, first: first)),
        at: SimTime(picoseconds: end))
    }
  }

  /// A member hears that its collective is over.
  mutating func hearOfEnd(_ event: Event, _ local: Int, _ context: inout EventContext) {
    received += 1
    let call = Int(event.kind >> Self.callShift)
    let stream = fabric.communicators[fabric.calls[call].communicator].stream
    goOn(
      Continuation(
        index: Int32(2 * local + stream.rawValue), call: Int32(call), end: Int64(event.payload)),
      &context)
  }

  /// Lets go on what the event's consequences have freed, until all wait for later events.
  mutating func goOn(_ context: inout EventContext) {
    while let next = continuations.popLast() {
      context.act(as: first + LogicalProcess(next.index >> 1))
      goOn(next, &context)
    }
  }

  private mutating func goOn(_ next: Continuation, _ context: inout EventContext) {
    let local = Int(next.index >> 1)
    actives[Int(next.index)].call = -1
    if next.call < 0 {
      states[local].counter += 1
      advanceData(local, &context)
      run(local, &context)
    } else if next.index & 1 == Stream.compute.rawValue {
      resume(local, call: Int(next.call), end: next.end, &context)
    } else {
      resumeData(local, end: next.end, &context)
    }
  }

  // MARK: Blocks

  /// A member comes to a block whose collectives are all its node's; the last one runs it for all.
  ///
  /// - Returns: whether it has been run.
  mutating func meet(block: Int, _ local: Int) -> Bool {
    let communicator = Int(meetingBlocks[block])
    let place = fabric.communicators[communicator].groups.membership(of: rank(of: local))
    let head = local + rank(place.first, from: local)
    let meeting = head * fabric.communicators.count + communicator
    if meetings[meeting].came > 0, meetings[meeting].call != Int32(-1 - block) {
      note("the members of a group of rank \(place.first) come to different blocks")
    }
    meetings[meeting].call = Int32(-1 - block)
    meetings[meeting].came += 1
    guard Int(meetings[meeting].came) == fabric.communicators[communicator].groups.size else {
      actives[2 * local].call = blockCalls[block]
      return false
    }
    meetings[meeting].came = 0
    run(block: block, ofGroupAt: head, communicator)
    for (member, offset) in fabric.communicators[communicator].offsets.enumerated()
    where member != place.member {
      continuations.append(
        Continuation(index: Int32(2 * (head + Int(offset))), call: -1, end: 0))
    }
    return true
  }

  /// Runs a block for all members of a group in a node.
  private mutating func run(block: Int, ofGroupAt head: Int, _ communicator: Int) {
    let offsets = fabric.communicators[communicator].offsets
    if blockMessages[block] < 0 {
      blockMessages[block] = code.leaves[code.blocks[block].range].reduce(0) {
        switch $1 {
        case .work: $0
        case .exchange(let call, _), .fork(let call, _, _): $0 + messageCount(of: call)
        }
      }
    }
    messages += Int64(blockMessages[block])
    let one = states[head]
    if factors.isEmpty,
      offsets.allSatisfy({
        let other = states[head + Int($0)]
        return other.compute == one.compute && other.host == one.host
      })
    {
      // All come at once and do the same: the block's summary is its effect on each, exactly.
      for offset in offsets { runAlone(block: block, head + Int(offset)) }
      return
    }
    for offset in offsets {
      let local = head + Int(offset)
      states[local].block = BlockProgress(start: states[local].compute)
    }
    for leaf in code.blocks[block].range { run(leaf: code.leaves[leaf], head, offsets) }
    for offset in offsets { account(block: block, head + Int(offset)) }
  }

  /// Runs a piece of a block for all members of a group.
  private mutating func run(leaf: Leaf, _ head: Int, _ offsets: [Int32]) {
    var latest: Int64 = 0
    let meeting: Int
    switch leaf {
    case .work(let work):
      for offset in offsets {
        let local = head + Int(offset)
        states[local].runKernels(work, as: actual(work, local))
        if work.waits { states[local].reads += 1 }
      }
      return
    case .exchange(let call, let host):
      meeting = call
      for offset in offsets {
        let local = head + Int(offset)
        let start = states[local].beginExchange(host: host.picoseconds)
        actives[2 * local].start = start
        latest = max(latest, start)
      }
    case .fork(let call, let host, let work):
      meeting = call
      for offset in offsets {
        let local = head + Int(offset)
        states[local].host += host.picoseconds
        let start = states[local].forkKernels(work, as: actual(work, local))
        actives[2 * local].start = start
        latest = max(latest, start)
      }
    }
    let end = latest + fabric.calls[meeting].duration
    for offset in offsets { conclude(head + Int(offset), call: meeting, end: end) }
  }
}
