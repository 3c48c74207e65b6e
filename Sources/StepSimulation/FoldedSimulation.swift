import Quantities
public import StepProgram

/// Runs one rank of each pipeline stage, collectives at their closed form.
///
/// Ranks of a stage run the same program on the same kind of GPU with the same neighbours, so one
/// stands for all: nothing is approximated beyond the collectives' closed form, which full
/// fidelity reproduces on an idle fabric.
public struct FoldedSimulation {
  private let program: StepProgram
  private var clocks: [RankClock]
  private var ledgers: [MemoryLedger]
  private var counters: [Int]
  /// Arrival time of each microbatch in each lane; −1 before it was sent.
  private var arrivals: [Int64]
  /// For each call, when each stage came to meet in it; −1 before.
  private var comings: [Int: [Int64]] = [:]
  private var instructionCount = 0
  /// Of each stage its recorder, where one listens; empty when none does.
  private var recorders: [TraceRecorder?] = []

  /// Prepares to run `program`.
  public init(_ program: StepProgram) {
    self.program = program
    clocks = program.stages.map { _ in RankClock(slotCount: program.slotCount) }
    ledgers = program.stages.map { MemoryLedger(resident: $0.resident) }
    counters = program.stages.map { _ in 0 }
    arrivals = Array(repeating: -1, count: program.laneCount * program.job.microbatchCount)
  }

  /// Runs the step to its end.
  /// - Throws: ``StepSimulationError/deadlock(_:)`` naming the stages that wait for ever.
  public static func run(_ program: StepProgram) throws(StepSimulationError) -> StepResult {
    var simulation = Self(program)
    return try simulation.run()
  }

  /// Runs the step, recording a stage's memory.
  mutating func recordMemory(of stage: Int) throws(StepSimulationError) -> [MemoryMoment] {
    ledgers[stage].timeline = [
      MemoryMoment(picoseconds: 0, held: program.stages[stage].resident, phase: nil)
    ]
    _ = try run()
    return ledgers[stage].timeline ?? []
  }

  /// Runs the step, recording what some stages do.
  mutating func record(_ stages: [Int]) throws(StepSimulationError) -> [StageTrace] {
    recorders = program.stages.indices.map {
      stages.contains($0) ? TraceRecorder(stage: $0) : nil
    }
    for stage in stages {
      ledgers[stage].timeline = [
        MemoryMoment(picoseconds: 0, held: program.stages[stage].resident, phase: nil)
      ]
    }
    _ = try run()
    return stages.map { stage in
      var trace = recorders[stage]?.trace ?? StageTrace(stage: stage)
      trace.memory = ledgers[stage].timeline ?? []
      return trace
    }
  }

  private mutating func run() throws(StepSimulationError) -> StepResult {
    var isProgressing = true
    while isProgressing {
      isProgressing = false
      for stage in program.stages.indices {
        let before = counters[stage]
        advance(stage)
        if counters[stage] != before { isProgressing = true }
      }
    }
    let stuck = program.stages.indices.filter {
      counters[$0] < program.stages[$0].instructions.count
    }
    guard stuck.isEmpty else {
      throw StepSimulationError.deadlock(
        stuck.map {
          "rank \(program.stages[$0].rank) (pipeline stage \($0)) waits at instruction "
            + "\(counters[$0]): \(program.stages[$0].instructions[counters[$0]])"
        })
    }
    return try result()
  }

  /// Runs a stage until it must wait for another.
  private mutating func advance(_ stage: Int) {
    let instructions = program.stages[stage].instructions
    let microbatches = program.job.microbatchCount
    var clock = clocks[stage]
    var counter = counters[stage]
    let isRecording = !recorders.isEmpty && recorders[stage] != nil
    loop: while counter < instructions.count {
      if isRecording { recorders[stage]?.begin(instructions[counter], clock, program) }
      switch instructions[counter] {
      case .run(let block):
        clock.run(program.blocks[block])
      case .launch(let call, let afterCompute, let slot):
        clock.launch(program.calls[call].duration, afterCompute: afterCompute, slot: slot)
      case .wait(let slot, let category):
        clock.wait(slot: slot, as: category, interference: program.interference)
      case .mark(let slot):
        clock.slots[slot] = RankClock.Slot(end: clock.compute)
      case .holdData(let slot):
        clock.data = max(clock.data, clock.slots[slot].end)
      case .send(let lane, let microbatch, _, let duration, let isBlocking):
        let start = max(clock.compute, clock.pipeline)
        let end = start + duration.picoseconds
        clock.pipeline = end
        arrivals[lane * microbatches + microbatch] = end
        if isBlocking { clock.wait(until: end, as: .pipeline) }
      case .receive(let lane, let microbatch):
        let arrival = arrivals[lane * microbatches + microbatch]
        guard arrival >= 0 else { break loop }
        clock.wait(until: arrival, as: .bubble)
      case .synchronizeHost:
        clock.host = max(clock.host, clock.compute)
      case .meet(let call, let first, let last):
        guard let start = meet(stage, in: call, first: first, last: last, ready: clock.compute)
        else {
          break loop
        }
        clock.wait(until: start, as: .bubble)
        let collective = program.calls[call]
        clock.wait(
          until: start + collective.duration.picoseconds, as: collective.category)
        clock.host = max(clock.host, clock.compute)
      case .memory(let category, let bytes):
        ledgers[stage].change(category, by: bytes, at: clock.compute)
      case .scratch(let category, let bytes):
        ledgers[stage].scratch(category, bytes, at: clock.compute)
      case .phase(let phase):
        ledgers[stage].phase = phase
      }
      if isRecording { recorders[stage]?.end(instructions[counter], clock, program) }
      counter += 1
    }
    instructionCount += counter - counters[stage]
    clocks[stage] = clock
    counters[stage] = counter
  }

  /// When all stages that meet in `call` have come; `nil` until then.
  private mutating func meet(_ stage: Int, in call: Int, first: Int, last: Int, ready: Int64)
    -> Int64?
  {
    var ready = ready
    comings[call, default: Array(repeating: -1, count: program.stages.count)][stage] = ready
    let all = comings[call] ?? []
    let isPair = program.calls[call].axis == .embedding
    for other in first...last where !isPair || other == first || other == last {
      guard all[other] >= 0 else { return nil }
      ready = max(ready, all[other])
    }
    return ready
  }

  private func result() throws(StepSimulationError) -> StepResult {
    let outcomes = program.stages.enumerated().map { index, stage in
      RankOutcome(
        rank: stage.rank, compute: clocks[index].compute, spent: clocks[index].spent,
        ledger: ledgers[index], flops: clocks[index].flops)
    }
    var statistics = SimulationStatistics()
    statistics.simulatedRanks = outcomes.count
    statistics.events = instructionCount
    return try StepResult(program, outcomes, statistics)
  }
}
