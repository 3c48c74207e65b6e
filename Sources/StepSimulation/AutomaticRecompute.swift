public import StepProgram
import Hardware
import Layout
import Quantities
import Transformer

extension StepProgram {
  /// Compiles `job`, deciding `recompute: auto`: the lightest that fits in the GPU's memory.
  ///
  /// In this order: none, the up-projections of latent attention in Megatron-Core, selective, passes, these
  /// and those up-projections, where it is usual as few layers on the host as will do, full
  /// in as few layers of each model chunk as will do (Megatron-LM's `block` method), full; full also when
  /// nothing fits. More such layers never hold more, so the fewest are found by bisection.
  ///
  /// - Parameter job: what to compile.
  /// - Returns: the program, its job with the recomputation decided.
  /// - Throws: ``StepSimulationError`` from trying.
  public static func compile(deciding job: TrainingJob) throws(StepSimulationError) -> StepProgram {
    guard job.training.recompute == .auto else { return StepCompiler.compile(job) }
    for mode in lightModes(job) {
      if let program = try fitting(job, mode) { return program }
    }
    let chunks = job.parallelism.pipeline * job.parallelism.virtualStages
    let layers = (job.architecture.layerCount + chunks - 1) / chunks
    if offloadsActivations(job), let program = try fewest(layers, job, Recompute.offloadLayers) {
      return program
    }
    if let program = try fewest(layers, job, { $0 == layers ? .full : .fullLayers($0) }) {
      return program
    }
    var decided = job
    decided.training.recompute = .full
    return StepCompiler.compile(decided)
  }

  /// Modes that repeat less than a layer, lightest first.
  ///
  /// Recipes of DeepSeek-V3 in Megatron-Bridge repeat `mla_up_proj` alone, or with norms and activations
  /// (`deepseek_workload_base_configs.py`).
  private static func lightModes(_ job: TrainingJob) -> [Recompute] {
    let named: [Framework] = [.megatronCore, .nemo, .generic]
    guard job.architecture.attention.latent != nil, named.contains(job.training.framework) else {
      return [.none, .selective, .passes]
    }
    let up = RecomputeModules.latentUpProjection
    return [
      .none, .modules(up), .selective, .passes, .modules([up, .norms, .expertActivation]),
    ]
  }

  /// The job's program with the fewest layers under a mode that fit; `nil` when all do not.
  private static func fewest(
    _ layers: Int, _ job: TrainingJob, _ mode: (Int) -> Recompute
  ) throws(StepSimulationError) -> StepProgram? {
    guard var best = try fitting(job, mode(layers)) else { return nil }
    var enough = layers
    var tooFew = 0
    while enough - tooFew > 1 {
      let middle = (enough + tooFew) / 2
      if let program = try fitting(job, mode(middle)) {
        best = program
        enough = middle
      } else {
        tooFew = middle
      }
    }
    return best
  }

  /// Whether activations would go to the host first.
  ///
  /// By the framework's recipes, over a link faster than PCIe 5's 64 GB/s.
  private static func offloadsActivations(_ job: TrainingJob) -> Bool {
    job.training.profile.offloadsActivations && job.parallelism.zero == 3
      && job.parallelism.pipeline == 1 && job.cluster.gpu.hostRate > .gigabytesPerSecond(64)
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
