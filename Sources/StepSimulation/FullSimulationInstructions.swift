import Collectives
import EventKernel
import Quantities
import StepProgram

/// A rank's program, instruction by instruction.
extension FullSimulationModel {
  /// Runs a rank's program until it must wait.
  mutating func run(_ local: Int, _ context: inout EventContext) {
    let now = context.now.picoseconds
    let stage = code.stages[stage(of: local)]
    states[local].waiting = .nothing
    while true {
      let counter = Int(states[local].counter)
      guard counter < stage.instructions.upperBound else {
        states[local].waiting = .end
        return
      }
      switch code.instructions[counter] {
      case .run(let block):
        if meetingBlocks[block] >= 0 {
          guard meet(block: block, local) else {
            states[local].waiting = .collective
            return
          }
        } else if factors.isEmpty, blockCalls[block] < 0 {
          runAlone(block: block, local)
        } else {
          guard run(block: block, local, &context) else { return }
        }
        if code.blocks[block].reads > 0 {
          states[local].counter += 1
          advanceData(local, &context)
          continue
        }
      case .launch(_, let afterCompute, _):
        let state = states[local]
        reach(
          operation: Int(code.related[counter]), local,
          ready: max(state.host, afterCompute ? state.compute : 0))
        states[local].counter += 1
        advanceData(local, &context)
        continue
      case .holdData(let slot):
        reach(
          operation: Int(code.related[counter]), local, ready: slots[local * slotCount + slot].end)
        states[local].counter += 1
        advanceData(local, &context)
        continue
      case .wait(let slot, let category):
        guard operationsDone(local) >= code.related[counter] else {
          states[local].waiting = .slot
          return
        }
        wait(local, slot: slot, as: category)
      case .mark(let slot):
        slots[local * slotCount + slot].end = states[local].compute
        slots[local * slotCount + slot].active = 0
        slots[local * slotCount + slot].cost = 0
        states[local].counter += 1
        advanceData(local, &context)
        continue
      case .send(let lane, let microbatch, _, let duration, let isBlocking):
        if fabric.requestDelay > 0 {
          request(send: counter, from: local, &context)
          guard !isBlocking else { return }
          break
        }
        let begin = max(states[local].compute, states[local].pipeline)
        let end = begin + duration.picoseconds
        states[local].pipeline = end
        send(lane: lane, microbatch: microbatch, at: end, from: local, &context)
        if isBlocking { wait(local, until: end, as: .pipeline) }
      case .receive(let lane, let microbatch):
        let bit = code.position[lane] * microbatches + microbatch
        guard arrived[local * wordsPerRank + bit >> 6] >> UInt64(bit & 63) & 1 == 1 else {
          states[local].waiting = .activations
          return
        }
        wait(local, until: now, as: .bubble)
      case .synchronizeHost:
        meetHost(local)
        states[local].counter += 1
        advanceData(local, &context)
        continue
      case .meet(let call, _, _):
        let end = begin(call, .compute, at: states[local].compute, local, &context)
        guard end >= 0 else {
          states[local].waiting = .collective
          return
        }
        concludeMeeting(local, call: call, end: end)
        states[local].counter += 1
        advanceData(local, &context)
        continue
      case .memory, .scratch:
        if counter == stage.peakInstruction { states[local].peakTime = states[local].compute }
      case .phase: break
      }
      states[local].counter += 1
    }
  }

  /// The rank's collective on the compute stream is over: the program goes on.
  mutating func resume(_ local: Int, call: Int, end: Int64, _ context: inout EventContext) {
    if states[local].leaf >= 0 {
      conclude(local, call: call, end: end)
      states[local].leaf += 1
    } else {
      concludeMeeting(local, call: call, end: end)
      states[local].counter += 1
      advanceData(local, &context)
    }
    run(local, &context)
  }

  /// Runs a block of a rank that nobody in it is late for, at the speed of the program.
  mutating func runAlone(block: Int, _ local: Int) {
    let range = code.blocks[block]
    let work = range.summary
    let begin = states[local].compute
    let issued = states[local].host + range.issued
    let end = max(begin + work.busy, states[local].host + work.lag)
    spent[local * Self.categories + TimeCategory.other.rawValue] += end - begin - range.busy
    states[local].host = max(states[local].host + work.issue, begin + work.wait)
    states[local].hostShift += states[local].host - issued
    states[local].reads += range.reads
    states[local].compute = end
  }

  /// Runs what is left of a block; false when it must wait.
  private mutating func run(block: Int, _ local: Int, _ context: inout EventContext) -> Bool {
    let range = code.blocks[block]
    if states[local].leaf < 0 {
      states[local].leaf = range.first
      states[local].block = BlockProgress(start: states[local].compute)
    }
    while states[local].leaf < range.end {
      switch code.leaves[Int(states[local].leaf)] {
      case .work(let work):
        let actual = actual(work, local)
        states[local].runKernels(work, as: actual)
        states[local].leaf += 1
        if work.waits {
          states[local].reads += 1
          advanceData(local, &context)
        }
      case .exchange(let call, let host):
        let start = states[local].beginExchange(host: host.picoseconds)
        guard exchange(call, local, at: start, &context) else { return false }
      case .fork(let call, let host, let work):
        let actual = actual(work, local)
        states[local].host += host.picoseconds
        let start = states[local].forkKernels(work, as: actual)
        guard exchange(call, local, at: start, &context) else { return false }
      }
    }
    account(block: block, local)
    states[local].leaf = -1
    return true
  }

  /// Counts what a block's kernels and waits took beyond the program.
  mutating func account(block: Int, _ local: Int) {
    let range = code.blocks[block]
    let state = states[local]
    spent[local * Self.categories + Int(range.kernelCategory)] += state.block.stretch
    spent[local * Self.categories + TimeCategory.other.rawValue] +=
      state.block.rest(at: state.compute, busy: range.busy)
  }

  /// Kernels at the rank's speed, the next factor of its stream drawn.
  mutating func actual(_ work: WorkSummary, _ local: Int) -> WorkSummary {
    if factors.isEmpty { return work }
    var factor = factors[local]
    if speeds.jitter.kernel > 0 {
      factor *= speeds.kernelFactor(
        speeds.stream(of: rank(of: local)), operation: states[local].drawn)
      states[local].drawn &+= 1
    }
    return factor == 1 ? work : work.stretched(by: factor)
  }

  private mutating func exchange(
    _ call: Int, _ local: Int, at start: Int64, _ context: inout EventContext
  ) -> Bool {
    let end = begin(call, .compute, at: start, local, &context)
    guard end >= 0 else {
      states[local].waiting = .collective
      return false
    }
    conclude(local, call: call, end: end)
    states[local].leaf += 1
    return true
  }

  /// Ends the leaf whose collective is over.
  ///
  /// What it took beyond the closed form counts for its category, the rest is the block's.
  mutating func conclude(_ local: Int, call: Int, end: Int64) {
    let (compute, late) = states[local].block.conclude(
      begun: actives[2 * local].start, duration: fabric.calls[call].duration, end: end)
    spent[local * Self.categories + fabric.calls[call].category] += late
    states[local].compute = compute
  }

  /// Ends a meeting: what it took beyond the closed form was waiting for the others.
  private mutating func concludeMeeting(_ local: Int, call: Int, end: Int64) {
    wait(local, until: end - fabric.calls[call].duration, as: .bubble)
    let category = TimeCategory(rawValue: fabric.calls[call].category) ?? .other
    wait(local, until: end, as: category)
    meetHost(local)
  }

  private mutating func meetHost(_ local: Int) {
    let late = max(0, states[local].compute - states[local].host)
    states[local].host += late
    states[local].hostShift += late
  }

  /// Moves the compute stream on to `time`, counting the wait.
  mutating func wait(_ local: Int, until time: Int64, as category: TimeCategory) {
    guard time > states[local].compute else { return }
    spent[local * Self.categories + category.rawValue] += time - states[local].compute
    states[local].compute = time
  }

  /// The compute stream waits for a slot, as ``RankClock/wait(slot:as:)``.
  private mutating func wait(_ local: Int, slot: Int, as category: TimeCategory) {
    let held = slots[local * slotCount + slot]
    slots[local * slotCount + slot].active = 0
    slots[local * slotCount + slot].cost = 0
    let extra = RankClock.slowdown(
      active: held.active, cost: held.cost, end: held.end, at: states[local].compute)
    spent[local * Self.categories + TimeCategory.compute.rawValue] += extra
    states[local].compute += extra
    wait(local, until: held.end, as: category)
  }

  private mutating func send(
    lane: Int, microbatch: Int, at time: Int64, from local: Int, _ context: inout EventContext
  ) {
    let receiver = code.receiver[lane]
    guard receiver >= 0 else { return }
    sent += 1
    messages += 1
    let target = neighbour(of: local, in: receiver)
    context.schedule(
      Self.activationsKind, payload: UInt64(code.position[lane] * microbatches + microbatch),
      to: order.logicalProcess(of: target), at: SimTime(picoseconds: time))
  }
}
