import Hardware
import Layout
import Quantities
import StepProgram

/// What one rank of a stage came to, before the step as a whole is known.
struct RankOutcome {
  var rank: Int
  /// When its compute stream ended, picoseconds.
  var compute: Int64
  /// Time by category; adds up to ``compute``.
  var spent: [Int64]
  var ledger: MemoryLedger
  /// Work of one rank on the matrix units.
  var flops: Double
}

extension StepResult {
  /// The result of a step from one rank of each stage, audited.
  ///
  /// The critical one waits least. Where all GPUs are equally fast that is the stage with the least
  /// bubble. Where one is slow, others may wait for it in any collective, which counts as communication:
  /// there it is the one that is longest in kernels.
  ///
  /// - Parameters:
  ///   - program: what was simulated.
  ///   - outcomes: the rank that waits least, of each stage.
  ///   - end: when the last rank of all ended, picoseconds.
  ///   - statistics: counts of the simulation.
  ///   - isUniform: whether all GPUs are equally fast.
  /// - Throws: ``StepSimulationError/impossible(_:)`` when a physical floor is broken.
  init(
    _ program: StepProgram, _ outcomes: [RankOutcome], end: Int64,
    _ statistics: SimulationStatistics, isUniform: Bool = true
  ) throws(StepSimulationError) {
    var ranks: [RankResult] = []
    var flops = 0.0
    for (stage, outcome) in zip(program.stages, outcomes) {
      let ledger = outcome.ledger
      flops += outcome.flops * Double(stage.rankCount)
      var spent = outcome.spent.map { SimDuration(picoseconds: $0) }
      spent[TimeCategory.bubble.rawValue] += SimDuration(picoseconds: end - outcome.compute)
      let reserved = program.reserved(atPeak: ledger.peakHeld, stage: stage)
      ranks.append(
        RankResult(
          rank: outcome.rank, count: stage.rankCount, stage: stage.stage,
          duration: SimDuration(picoseconds: end), spent: spent,
          resident: stage.resident.map { Bytes($0) }, atPeak: ledger.peakHeld.map { Bytes($0) },
          peak: Bytes(ledger.peak), reserved: reserved,
          host: stage.hostBytes, device: reserved + program.runtime,
          peakPhase: ledger.peakPhase, peakTime: SimTime(picoseconds: ledger.peakTime)))
    }
    let idle = ranks.map {
      isUniform
        ? $0.spent[TimeCategory.bubble.rawValue]
        : $0.duration - $0.spent[TimeCategory.compute.rawValue]
    }
    let critical = idle.indices.min { idle[$0] < idle[$1] } ?? 0
    self.init(
      duration: SimDuration(picoseconds: end), ranks: ranks, criticalRank: critical,
      hardwareFlops: Flops(flops), statistics: statistics)
    try StepAudit.check(self, of: program, outcomes)
  }
}

/// Floors no step can fall below, and sums that must come out: a result that breaks one is an error
/// of the simulator.
enum StepAudit {
  static func check(
    _ result: StepResult, of program: StepProgram, _ outcomes: [RankOutcome]
  ) throws(StepSimulationError) {
    try checkFlops(result, of: program)
    for (stage, outcome) in zip(program.stages, outcomes) {
      try checkMemory(outcome.ledger, of: stage)
    }
    for rank in result.ranks {
      let sum = rank.spent.reduce(SimDuration.zero, +)
      guard sum == rank.duration else {
        throw .impossible(
          "rank \(rank.rank): the parts of its time add up to \(sum.seconds) s of "
            + "\(rank.duration.seconds) s")
      }
      if let negative = rank.spent.firstIndex(where: { $0 < .zero }),
        let category = TimeCategory(rawValue: negative)
      {
        throw .impossible(
          "rank \(rank.rank): negative time for \(category): \(rank.spent[negative].seconds) s")
      }
    }
  }

  /// The step takes at least as long as the operations of its busiest rank at the peak of the multiply
  /// format, or at what multiplies reach where boards run faster than their data sheet: those its kernels do, recomputation included, not the half of attention that published
  /// counts have beyond them.
  private static func checkFlops(
    _ result: StepResult, of program: StepProgram
  ) throws(StepSimulationError) {
    let job = program.job
    let format = job.training.precision.matmulFormat
    let cost = KernelCost(gpu: job.cluster.gpu, slowestOf: job.cluster.gpuCount)
    let peak =
      job.cluster.gpu.peak(of: format).flopsPerSecond * max(1, cost.bestMatmulShare(in: format))
    let flops = program.stages.map { stage in
      stage.instructions.reduce(0) {
        if case .run(let block) = $1 { $0 + program.blocks[block].computedFlops } else { $0 }
      }
    }
    let floor = (flops.max() ?? 0) / peak
    guard result.duration.seconds >= floor else {
      throw .impossible(
        "a step of \(result.duration.seconds) s is below the \(floor) s its FLOPs take at peak")
    }
  }

  /// No category is ever left with fewer bytes than none, and all are back at rest in the end.
  private static func checkMemory(
    _ ledger: MemoryLedger, of stage: StageProgram
  ) throws(StepSimulationError) {
    for category in MemoryCategory.allCases {
      let left = ledger.held[category.rawValue]
      guard left == stage.resident[category.rawValue] else {
        throw .impossible(
          "stage \(stage.stage): \(left) bytes of \(category) in the end, "
            + "\(stage.resident[category.rawValue]) at rest")
      }
    }
    guard ledger.lowest >= 0 else {
      throw .impossible("stage \(stage.stage): a memory category falls to \(ledger.lowest) bytes")
    }
  }
}
