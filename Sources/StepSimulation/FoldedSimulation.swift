import Layout
import Quantities
public import StepProgram

/// Runs one rank of each class of ranks that behave alike, collectives at their closed form.
///
/// Where all GPUs are equally fast a class is a pipeline stage: its ranks run the same program on the
/// same kind of GPU with the same neighbours. A slow rank sets apart the ranks that meet it, and
/// jitter sets apart all (``RankClasses``). Nothing is approximated beyond the collectives' closed
/// form, which full fidelity reproduces on an idle fabric: members leave together, the closed form
/// after the last of them came.
public struct FoldedSimulation {
  let program: StepProgram
  let speeds: RankSpeeds
  let classes: [RankClasses.Class]
  let lanes: LaneEnds
  /// What the ranks of each stage run when nobody records them.
  private let stages: [FoldedStage]
  /// What each block of the program does to a rank.
  private let blocks: [WorkSummary]
  var runs: [ClassRun]
  /// Groups that meet, of each the compute stream's meeting and the data stream's.
  var meetings: [Meeting]
  let members: [[Int32]]
  /// The class of each rank; empty where it is the rank's pipeline stage.
  private let classNumbers: [Int32]
  /// Classes that can go on.
  var ready: [Int32]
  /// Of each class its recorder, where one listens; empty when none does.
  var recorders: [TraceRecorder?] = []
  /// Of each class its ledger, where its memory is recorded; empty when none's is.
  private var ledgers: [MemoryLedger?] = []

  /// Prepares to run `program` on ranks of those speeds.
  public init(_ program: StepProgram, speeds: RankSpeeds = .uniform) {
    self.program = program
    self.speeds = speeds
    let found = RankClasses(program, speeds: speeds)
    classes = found.classes
    members = found.groups
    classNumbers = found.numbers
    stages = program.stages.map { FoldedStage($0, of: program) }
    lanes = LaneEnds(stages, laneCount: program.laneCount)
    blocks = program.blocks.map(\.summary)
    let microbatches = program.job.microbatchCount
    var runs: [ClassRun] = []
    runs.reserveCapacity(classes.count)
    for (index, kind) in classes.enumerated() {
      let meetsOwnOnly = kind.groups.enumerated().allSatisfy { axis, group in
        group < 0 || found.groups[Int(group)] == [Int32(index)]
          || axis == CommunicationAxis.model.rawValue
          || axis == CommunicationAxis.embedding.rawValue
      }
      var run = ClassRun(
        instructions: stages[kind.stage].instructions.count, slotCount: program.slotCount,
        arrivals: lanes.sent[kind.stage] * microbatches)
      run.isPlain = kind.factor == 1 && speeds.jitter.kernel == 0 && meetsOwnOnly
      run.factor = kind.factor
      run.stream = speeds.stream(of: kind.rank)
      runs.append(run)
    }
    self.runs = runs
    meetings = Array(repeating: Meeting(), count: 2 * members.count)
    ready = runs.indices.reversed().map { Int32($0) }
  }

  /// Runs the step to its end.
  ///
  /// - Parameters:
  ///   - program: what the ranks do.
  ///   - speeds: how fast each rank does it.
  /// - Returns: the result; a pipeline stage is represented by its rank that waits least.
  /// - Throws: ``StepSimulationError/deadlock(_:)`` naming the ranks that wait for ever.
  public static func run(
    _ program: StepProgram, speeds: RankSpeeds = .uniform
  ) throws(StepSimulationError) -> StepResult {
    var simulation = Self(program, speeds: speeds)
    return try simulation.run()
  }

  /// Runs the step, recording a rank's memory.
  mutating func recordMemory(of rank: Int) throws(StepSimulationError) -> [MemoryMoment] {
    let number = classNumber(of: rank, RankGrid(program.job.parallelism))
    keepTimeline(number)
    _ = try run()
    return ledgers[number]?.timeline ?? []
  }

  /// Runs the step, recording what some ranks do.
  mutating func record(_ ranks: [Int]) throws(StepSimulationError) -> [RankTrace] {
    let grid = RankGrid(program.job.parallelism)
    let numbers = ranks.map { classNumber(of: $0, grid) }
    recorders = Array(repeating: nil, count: classes.count)
    for number in numbers where recorders[number] == nil {
      recorders[number] = TraceRecorder(stage: classes[number].stage)
      keepTimeline(number)
      // Blocks are recorded piece by piece.
      runs[number].isPlain = false
    }
    _ = try run()
    return zip(ranks, numbers).map { rank, number in
      var trace = recorders[number]?.trace ?? RankTrace(stage: classes[number].stage)
      trace.rank = rank
      trace.memory = ledgers[number]?.timeline ?? []
      return trace
    }
  }

  private mutating func keepTimeline(_ number: Int) {
    let stage = program.stages[classes[number].stage]
    if ledgers.isEmpty { ledgers = Array(repeating: nil, count: classes.count) }
    var ledger = MemoryLedger(resident: stage.resident)
    ledger.timeline = [MemoryMoment(picoseconds: 0, held: stage.resident, phase: nil)]
    ledgers[number] = ledger
    runs[number].instructionCount = stage.instructions.count
  }

  /// The class a rank belongs to.
  private func classNumber(of rank: Int, _ grid: RankGrid) -> Int {
    classNumbers.isEmpty ? grid.stage(of: rank) : Int(classNumbers[rank])
  }

  private mutating func run() throws(StepSimulationError) -> StepResult {
    try program.checkPasses()
    // Out of its array while it runs, so that its own arrays are changed in place.
    var working = ClassRun(instructions: 0, slotCount: 0, arrivals: 0)
    while let next = ready.popLast() {
      let index = Int(next)
      swap(&runs[index], &working)
      goOn(index, &working)
      swap(&runs[index], &working)
      if runs[index].clock.isPastEnd { throw .tooLong }
    }
    let stuck = runs.indices.filter { !runs[$0].isDone }
    guard stuck.isEmpty else {
      throw StepSimulationError.deadlock(
        stuck.map { index in
          let stage = program.stages[classes[index].stage]
          let instructions = stage.instructions
          let counter =
            isRecorded(index)
            ? runs[index].counter
            : stages[classes[index].stage].origin(of: runs[index].counter, in: stage)
          return "rank \(classes[index].rank) (pipeline stage \(classes[index].stage)) waits at "
            + "instruction \(counter): "
            + (counter < instructions.count ? "\(instructions[counter])" : "data stream")
        })
    }
    for index in runs.indices where runs[index].isPlain {
      runs[index].clock.count(stages[classes[index].stage].busy(in: program))
    }
    return try result()
  }

  /// Whether a class runs its stage's whole program, for its ledger is recorded.
  private func isRecorded(_ index: Int) -> Bool { !ledgers.isEmpty && ledgers[index] != nil }

  /// Takes up what a class waited for, then runs its program.
  private mutating func goOn(_ index: Int, _ run: inout ClassRun) {
    finishData(index, &run)
    if run.waiting == .collective, run.latest.compute < 0 { return }
    advance(index, &run)
  }

  /// Runs a class until it must wait for another.
  private mutating func advance(_ index: Int, _ run: inout ClassRun) {
    let stage = classes[index].stage
    let isRecorded = isRecorded(index)
    let instructions =
      isRecorded ? program.stages[stage].instructions : stages[stage].instructions
    let microbatches = program.job.microbatchCount
    let isRecording = !recorders.isEmpty && recorders[index] != nil
    while run.counter < instructions.count, !run.clock.isPastEnd {
      if isRecording { recorders[index]?.begin(instructions[run.counter]) }
      switch instructions[run.counter] {
      case .run(let block):
        if run.isPlain {
          run.clock.run(blocks[block])
        } else {
          guard runLeaves(of: block, index, &run) else { return }
        }
      case .launch(let call, let afterCompute, let slot):
        run.clock.slots[slot].pending += 1
        run.operations.append(
          DataOperation(
            call: Int32(call), slot: Int32(slot),
            ready: max(run.clock.host, afterCompute ? run.clock.compute : 0)))
        advanceData(index, &run)
      case .wait(let slot, let category):
        guard run.clock.slots[slot].pending == 0 else {
          run.waiting = .slot
          return
        }
        run.clock.wait(slot: slot, as: category)
      case .mark(let slot):
        run.clock.slots[slot].end = run.clock.compute
        run.clock.slots[slot].active = 0
        run.clock.slots[slot].cost = 0
      case .holdData(let slot):
        run.operations.append(
          DataOperation(call: -1, slot: Int32(slot), ready: run.clock.slots[slot].end))
        advanceData(index, &run)
      case .send(let lane, let microbatch, _, let duration, let isBlocking):
        let start = max(run.clock.compute, run.clock.pipeline)
        let end = start + duration.picoseconds
        run.clock.pipeline = end
        run.arrivals[lanes.position[lane] * microbatches + microbatch] = end
        wakeReceiver(of: lane, index)
        if isBlocking { run.clock.wait(until: end, as: .pipeline) }
      case .receive(let lane, let microbatch):
        let arrival = arrival(lane, microbatch, at: index, run)
        guard arrival >= 0 else {
          run.waiting = .activations
          return
        }
        run.clock.wait(until: arrival, as: .bubble)
      case .synchronizeHost:
        run.clock.host = max(run.clock.host, run.clock.compute)
      case .meet(let call, _, _):
        let collective = program.calls[call]
        guard let latest = come(index, to: call, .compute, at: run.clock.compute, &run) else {
          return
        }
        run.waiting = .nothing
        run.clock.wait(until: latest, as: .bubble)
        run.clock.wait(until: latest + collective.duration.picoseconds, as: collective.category)
        run.clock.host = max(run.clock.host, run.clock.compute)
      case .memory(let category, let bytes):
        run.peakTime = run.clock.compute
        if isRecorded { ledgers[index]?.change(category, by: bytes, at: run.clock.compute) }
      case .scratch(let category, let bytes):
        run.peakTime = run.clock.compute
        if isRecorded { ledgers[index]?.scratch(category, bytes, at: run.clock.compute) }
      case .phase(let phase):
        if isRecorded { ledgers[index]?.phase = phase }
      }
      if isRecording { recorders[index]?.end(instructions[run.counter], run.clock, program) }
      run.counter += 1
    }
    run.waiting = .nothing
  }

  private func result() throws(StepSimulationError) -> StepResult {
    // A stage's class that waits least stands for it: the one whose kernels take longest.
    var slowest = Array(repeating: -1, count: program.stages.count)
    for (index, kind) in classes.enumerated() {
      let known = slowest[kind.stage]
      if known < 0 || runs[known].clock.isLessBusy(than: runs[index].clock) {
        slowest[kind.stage] = index
      }
    }
    let outcomes = slowest.map { index in
      let clock = runs[index].clock
      let stage = stages[classes[index].stage]
      var ledger = stage.memory.ledger
      ledger.peakTime = runs[index].peakTime
      return RankOutcome(
        rank: classes[index].rank, compute: clock.compute, spent: clock.spent,
        ledger: ledger, flops: stage.flops)
    }
    var statistics = SimulationStatistics()
    statistics.simulatedRanks = classes.count
    statistics.events = classes.reduce(0) {
      $0 + program.stages[$1.stage].instructions.count
    }
    let end = runs.map(\.clock.compute).max() ?? 0
    return try StepResult(program, outcomes, end: end, statistics, isUniform: speeds.isUniform)
  }
}
