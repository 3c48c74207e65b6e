import Hardware
import Kernels
import Layout
import Quantities
import StepProgram
import Testing
import Transformer

@testable import StepSimulation

/// What must not get worse when something gets better.
@Suite("Better parts, no worse steps") struct StepMonotonicityTests {
  /// A job at random on nodes of four.
  private func job(_ random: inout SeededGenerator) throws -> TrainingJob {
    let pipeline = [1, 2, 4].randomElement(using: &random) ?? 1
    let tensor = [1, 2].randomElement(using: &random) ?? 1
    let layout = Parallelism(
      tensor: tensor, sequence: tensor > 1, pipeline: pipeline,
      schedule: [PipelineSchedule.gpipe, .oneForwardOneBackward].randomElement(using: &random)
        ?? .gpipe,
      data: [2, 3, 4].randomElement(using: &random) ?? 2,
      zero: Int.random(in: 0...2, using: &random))
    return try SmallJobs.job(
      layout, model: SmallJobs.model(experts: Bool.random(using: &random) ? 4 : 0),
      microbatches: 4 * pipeline, perNode: 4,
      framework: [Framework.generic, .megatronLM, .nemo, .llmFoundry, .deepspeed]
        .randomElement(using: &random) ?? .generic)
  }

  private func step(_ job: TrainingJob) throws -> StepResult {
    try FoldedSimulation.run(StepCompiler.compile(job))
  }

  /// Static bytes of the fullest rank: parameters, gradients and optimizer states between steps.
  private func states(_ result: StepResult) -> Int64 {
    let kinds: [MemoryCategory] = [.parameters, .gradients, .optimizer]
    return result.ranks.map { rank in
      kinds.reduce(0) { $0 + rank.resident[$1.rawValue].count }
    }.max() ?? 0
  }

  @Test("faster GPUs and links never make a step longer", arguments: UInt64(0)..<40)
  func faster(seed: UInt64) throws {
    var random = SeededGenerator(state: seed)
    let job = try job(&random)
    let base = try step(job).duration.seconds
    func slower(_ what: String, _ change: (inout TrainingJob) -> Void) throws {
      var better = job
      change(&better)
      let time = try step(better).duration.seconds
      // Beside a collective kernels lose a share of their speed that is counted in sixteenths, and more of
      // it where they are bound by memory: a tenth of a per cent.
      #expect(time <= base * 1.001, "\(what): \(base) → \(time) s, \(job.parallelism)")
    }
    try slower("network") { $0.cluster.interNode.rate = .gigabytesPerSecond(100) }
    try slower("node") { $0.cluster.intraNode.rate = .gigabytesPerSecond(900) }
    try slower("memory rate") { $0.cluster.gpu.memoryRate = .gigabytesPerSecond(8_000) }
    try slower("peak") {
      for format in $0.cluster.gpu.peaks.keys {
        $0.cluster.gpu.peaks[format] = FlopRate(flopsPerSecond: 2e15)
      }
    }
  }

  @Test("a higher ZeRO stage never holds more states", arguments: UInt64(0)..<40)
  func sharding(seed: UInt64) throws {
    var random = SeededGenerator(state: seed)
    var job = try job(&random)
    var last = Int64.max
    for zero in 0...3 where zero < 3 || job.parallelism.pipeline == 1 {
      job.parallelism.zero = zero
      let held = states(try step(job))
      #expect(held <= last, "zero \(zero), \(job.parallelism), \(job.training.framework)")
      last = held
    }
  }

  @Test("larger micro batches keep no less, recomputation keeps no more", arguments: UInt64(0)..<40)
  func activations(seed: UInt64) throws {
    var random = SeededGenerator(state: seed)
    var job = try job(&random)
    func peak() throws -> Int64 { try step(job).ranks.map(\.peak.count).max() ?? 0 }
    var last = Int64.max
    for mode in [Recompute.none, .selective, .full] {
      job.training.recompute = mode
      let held = try peak()
      #expect(held <= last, "\(mode), \(job.parallelism), \(job.training.framework)")
      last = held
    }
    job.training.recompute = .none
    // As many microbatches of twice the size.
    let small = try peak()
    job.training.microBatch = 2
    job.training.globalBatch *= 2
    #expect(try peak() >= small)
  }
}
