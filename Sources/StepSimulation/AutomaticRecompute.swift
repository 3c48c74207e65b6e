public import StepProgram
import Hardware
import Layout
import Quantities
import Transformer

extension StepProgram {
  /// Compiles `job`, deciding `recompute: auto`: the lightest that fits in the GPU's memory.
  ///
  /// In this order: none, selective, passes, full in as few layers of each model chunk as will do
  /// (Megatron-LM's `block` method), full; full also when nothing fits. More recomputed layers never
  /// hold more, so the fewest are found by bisection.
  ///
  /// - Parameter job: what to compile.
  /// - Returns: the program, its job with the recomputation decided.
  /// - Throws: ``StepSimulationError`` from trying.
  public static func compile(deciding job: TrainingJob) throws(StepSimulationError) -> StepProgram {
    guard job.training.recompute == .auto else { return StepCompiler.compile(job) }
    for mode in [Recompute.none, .selective, .passes] {
      if let program = try fitting(job, mode) { return program }
    }
    var decided = job
    decided.training.recompute = .full
    guard var best = try fitting(job, .full) else { return StepCompiler.compile(decided) }
    let chunks = job.parallelism.pipeline * job.parallelism.virtualStages
    var enough = (job.architecture.layerCount + chunks - 1) / chunks
    var tooFew = 0
    while enough - tooFew > 1 {
      let middle = (enough + tooFew) / 2
      if let program = try fitting(job, .fullLayers(middle)) {
        best = program
        enough = middle
      } else {
        tooFew = middle
      }
    }
    return best
  }

  /// The job's program under a recomputation; `nil` when it does not fit.
  private static func fitting(
    _ job: TrainingJob, _ mode: Recompute
  ) throws(StepSimulationError) -> StepProgram? {
    var decided = job
    decided.training.recompute = mode
    let program = StepCompiler.compile(decided)
    let peak = try FoldedSimulation.run(program).ranks.map(\.device).max() ?? .zero
    return peak <= job.cluster.gpu.memory ? program : nil
  }
}
