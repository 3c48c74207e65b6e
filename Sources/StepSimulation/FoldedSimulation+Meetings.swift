import Quantities
import StepProgram

/// A class of ranks in the course of the step.
struct ClassRun {
  /// What it waits for.
  enum Waiting: UInt8 {
    case nothing, collective, slot, activations
  }

  var clock: RankClock
  /// When it holds most.
  var peakTime: Int64 = 0
  /// Next instruction.
  var counter = 0
  /// Instructions of its program.
  var instructionCount: Int
  var waiting = Waiting.nothing
  /// Whether blocks may run in one piece.
  ///
  /// At the program's speed, alone in every group inside the stage.
  var isPlain = true
  /// Kernel time over the program's.
  var factor = 1.0
  /// Its stream of kernel factors, and how many it has drawn.
  var stream: UInt64 = 0
  var drawn: UInt32 = 0
  /// The block in progress and its next leaf, negative when there is none.
  var leaf = -1
  var block = BlockProgress()
  /// When its collective on the compute stream began.
  var begun: Int64 = 0
  /// When the last member came to the collective that it waits for, by stream; negative until known.
  var latest: (compute: Int64, data: Int64) = (-1, -1)
  /// What the data stream has yet to do, in order; the first is under way when `isDataBusy`.
  var operations: [DataOperation] = []
  var nextOperation = 0
  var isDataBusy = false
  /// When its collective on the data stream began.
  var dataBegun: Int64 = 0
  /// Arrival of what it sent, by position of the lane and microbatch; −1 before.
  var arrivals: [Int64]

  init(instructions: Int, slotCount: Int, arrivals: Int) {
    clock = RankClock(slotCount: slotCount)
    instructionCount = instructions
    self.arrivals = Array(repeating: -1, count: arrivals)
  }

  /// Whether program and data stream are at their ends.
  var isDone: Bool { counter == instructionCount && nextOperation == operations.count }
}

/// Something the data stream has yet to do.
struct DataOperation {
  /// The collective; negative when the stream only waits.
  var call: Int32
  var slot: Int32
  /// When it may begin, as far as host and compute stream are concerned.
  var ready: Int64
}

/// The next collective of a group on one stream.
struct Meeting {
  /// Classes that have come.
  var come: Int32 = 0
  /// When the last of them came.
  var latest: Int64 = 0
}

/// Who sends into each lane and who receives from it.
struct LaneEnds {
  /// By lane; negative for none.
  private(set) var sender: [Int]
  private(set) var receiver: [Int]
  /// Position of a lane among those its sender sends into.
  private(set) var position: [Int]
  /// By stage: how many lanes it sends into.
  private(set) var sent: [Int]

  init(_ stages: [FoldedStage], laneCount: Int) {
    sender = Array(repeating: -1, count: laneCount)
    receiver = sender
    position = sender
    sent = stages.map { _ in 0 }
    for (index, stage) in stages.enumerated() {
      for instruction in stage.instructions {
        switch instruction {
        case .send(let lane, _, _, _, _) where sender[lane] < 0:
          sender[lane] = index
          position[lane] = sent[index]
          sent[index] += 1
        case .receive(let lane, _): receiver[lane] = index
        default: break
        }
      }
    }
  }
}

extension FoldedSimulation {
  /// A class comes to a collective.
  ///
  /// - Returns: when the last member came; `nil` until all have, which then wake those that wait.
  mutating func come(
    _ index: Int, to call: Int, _ stream: Stream, at time: Int64, _ run: inout ClassRun
  ) -> Int64? {
    let group = Int(classes[index].groups[program.calls[call].axis.rawValue])
    let count = members[group].count
    if count == 1 { return time }
    if stream == .compute, run.latest.compute >= 0 {
      // It came before, and all have come since.
      let latest = run.latest.compute
      run.latest.compute = -1
      return latest
    }
    let position = 2 * group + (stream == .compute ? 0 : 1)
    meetings[position].come += 1
    meetings[position].latest = max(meetings[position].latest, time)
    guard meetings[position].come == count else {
      if stream == .compute { run.waiting = .collective }
      return nil
    }
    let latest = meetings[position].latest
    meetings[position] = Meeting()
    for other in members[group] where Int(other) != index {
      if stream == .compute {
        runs[Int(other)].latest.compute = latest
      } else {
        runs[Int(other)].latest.data = latest
      }
      ready.append(other)
    }
    return latest
  }

  /// When what was sent into a lane arrives at a class; −1 when it has not been sent.
  func arrival(_ lane: Int, _ microbatch: Int, at index: Int, _ run: ClassRun) -> Int64 {
    guard lanes.sender[lane] >= 0 else { return -1 }
    let sender = Int(classes[index].partners[lanes.sender[lane]])
    let position = lanes.position[lane] * program.job.microbatchCount + microbatch
    return sender == index ? run.arrivals[position] : runs[sender].arrivals[position]
  }

  /// Lets the class that receives from a lane look again.
  mutating func wakeReceiver(of lane: Int, _ index: Int) {
    guard lanes.receiver[lane] >= 0 else { return }
    let receiver = Int(classes[index].partners[lanes.receiver[lane]])
    if receiver != index, runs[receiver].waiting == .activations {
      runs[receiver].waiting = .nothing
      ready.append(Int32(receiver))
    }
  }

  /// Runs what is left of a block; false when it must wait.
  mutating func runLeaves(of block: Int, _ index: Int, _ run: inout ClassRun) -> Bool {
    let leaves = program.blocks[block].leaves
    if run.leaf < 0 {
      run.leaf = 0
      run.block = BlockProgress(start: run.clock.compute)
    }
    while run.leaf < leaves.count {
      guard !run.clock.isPastEnd else { return false }
      let call: Int
      let isWaiting = run.waiting == .collective
      switch leaves[run.leaf] {
      case .work(let work):
        let actual = actual(work, &run)
        run.block.run(work, as: actual, compute: &run.clock.compute, host: &run.clock.host)
        note(.kernels(block: block), on: .compute, actual.busy, to: run.clock.compute, index)
        run.leaf += 1
        continue
      case .exchange(let exchanged, let host):
        call = exchanged
        if isWaiting { break }
        run.clock.host += host.picoseconds
        run.block.beginExchange()
        run.begun = max(run.clock.compute, run.clock.host)
      case .fork(let forked, let host, let work):
        call = forked
        if isWaiting { break }
        run.clock.host += host.picoseconds
        let actual = actual(work, &run)
        run.begun = run.block.fork(
          work, as: actual, compute: run.clock.compute, host: &run.clock.host)
        note(.kernels(block: block), on: .compute, actual.busy, to: run.block.forkEnd, index)
      }
      guard let latest = come(index, to: call, .compute, at: run.begun, &run) else { return false }
      run.waiting = .nothing
      let duration = program.calls[call].duration.picoseconds
      // Its kernel runs from the launch on, whoever is still missing.
      let end = latest + duration
      note(.collective(call: call), on: .exchange, end - run.begun, to: end, index)
      let (compute, late) = run.block.conclude(
        begun: run.begun, duration: duration, end: end)
      run.clock.compute = compute
      run.clock.spent[program.calls[call].category.rawValue] += late
      run.leaf += 1
    }
    var busy: Int64 = 0
    for (category, time) in program.blocks[block].busyByCategory.enumerated() {
      run.clock.spent[category] += time
      busy += time
    }
    run.clock.spent[program.blocks[block].kernelCategory.rawValue] += run.block.stretch
    run.clock.spent[TimeCategory.other.rawValue] +=
      run.block.rest(at: run.clock.compute, busy: busy)
    run.leaf = -1
    if !recorders.isEmpty { recorders[index]?.endBlock(at: run.clock.compute) }
    return true
  }

  /// Tells the class's recorder, if one listens, of a kernel that ends at `end`.
  private mutating func note(
    _ content: RankTrace.Content, on row: RankTrace.Row, _ duration: Int64, to end: Int64,
    _ index: Int
  ) {
    if !recorders.isEmpty { recorders[index]?.add(row, content, duration, to: end) }
  }

  /// Kernels at the speed of the class, the next factor of its stream drawn.
  private func actual(_ work: WorkSummary, _ run: inout ClassRun) -> WorkSummary {
    var factor = run.factor
    if speeds.jitter.kernel > 0 {
      factor *= speeds.kernelFactor(run.stream, operation: run.drawn)
      run.drawn &+= 1
    }
    return factor == 1 ? work : work.stretched(by: factor)
  }

  /// Begins what the data stream can begin.
  mutating func advanceData(_ index: Int, _ run: inout ClassRun) {
    while !run.isDataBusy, run.nextOperation < run.operations.count {
      let operation = run.operations[run.nextOperation]
      run.clock.data = max(run.clock.data, operation.ready)
      guard operation.call >= 0 else {
        passOperation(&run)
        continue
      }
      run.dataBegun = run.clock.data
      guard let latest = come(index, to: Int(operation.call), .data, at: run.clock.data, &run)
      else {
        run.isDataBusy = true
        return
      }
      concludeData(latest, index, &run)
    }
  }

  /// Ends the data stream's collective when all have come to it, and begins the next.
  mutating func finishData(_ index: Int, _ run: inout ClassRun) {
    guard run.latest.data >= 0 else { return }
    let latest = run.latest.data
    run.latest.data = -1
    concludeData(latest, index, &run)
    advanceData(index, &run)
  }

  private mutating func concludeData(_ latest: Int64, _ index: Int, _ run: inout ClassRun) {
    let operation = run.operations[run.nextOperation]
    let call = program.calls[Int(operation.call)]
    let end = latest + call.duration.picoseconds
    run.isDataBusy = false
    note(
      .collective(call: Int(operation.call)), on: .data, end - run.dataBegun, to: end, index)
    run.clock.endData(
      at: end, duration: call.duration.picoseconds, slot: Int(operation.slot),
      interference: call.interference)
    passOperation(&run)
  }

  private func passOperation(_ run: inout ClassRun) {
    run.nextOperation += 1
    guard run.nextOperation == run.operations.count else { return }
    run.operations.removeAll(keepingCapacity: true)
    run.nextOperation = 0
  }
}
