public import StepProgram
import Hardware
import Layout
import Quantities
import Transformer

extension StepProgram {
  /// Compiles `job`, deciding `recompute: auto`: the lightest of none, selective and full whose
  /// fullest rank fits in the GPU's memory; full when none does.
  /// - Throws: ``StepSimulationError`` from trying.
  public static func compile(deciding job: TrainingJob) throws(StepSimulationError) -> StepProgram {
    guard job.training.recompute == .auto else { return StepCompiler.compile(job) }
    var decided = job
    for mode in [Recompute.none, .selective] {
      decided.training.recompute = mode
      let program = StepCompiler.compile(decided)
      let result = try FoldedSimulation.run(program)
      let peak = result.ranks.map(\.device).max() ?? .zero
      if peak <= job.cluster.gpu.memory { return program }
    }
    decided.training.recompute = .full
    return StepCompiler.compile(decided)
  }
}
