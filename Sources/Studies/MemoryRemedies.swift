public import Quantities
public import ScenarioFile
import Hardware
import Layout
import StepProgram
import StepSimulation
import Transformer

/// A change of a scenario that makes it fit, and what it costs.
public struct MemoryRemedy: Hashable, Sendable {
  /// Keys to set, as `--set` takes them.
  public var settings: [String]
  /// Step time.
  public var seconds: Seconds
  /// Step time over that of the scenario as it is, less one; negative when it is faster.
  public var slowdown: Double
  /// Device memory of the fullest rank.
  public var peak: Bytes

  /// The cheapest changes of `source` that make its fullest rank fit, the least step time first.
  ///
  /// Neighbours of the scenario: other recomputation, a smaller micro batch, more ZeRO, sequence
  /// parallelism, twice and four times the tensor or pipeline degree on the same GPUs; each
  /// alone and with recomputation. Each is read as a scenario, so that what is not possible is
  /// left out, and simulated folded.
  ///
  /// - Parameters:
  ///   - source: the scenario that does not fit.
  ///   - limit: how many to return at most.
  /// - Returns: none when no neighbour fits.
  public static func cheapest(for source: ScenarioSource, limit: Int = 5) -> [MemoryRemedy] {
    guard let scenario = try? Scenario(source), let base = StepOutcome(scenario.job) else {
      return []
    }
    var remedies: [MemoryRemedy] = []
    for settings in neighbours(of: scenario) {
      var changed = source
      changed.overrides += settings.compactMap { ScenarioOverride($0) }
      guard let candidate = try? Scenario(changed), let outcome = StepOutcome(candidate.job),
        outcome.peak <= candidate.job.cluster.gpu.memory
      else { continue }
      // A change that adds nothing to a smaller one is left out.
      guard
        !remedies.contains(where: {
          $0.seconds.value == outcome.seconds && $0.peak == outcome.peak
            && Set($0.settings).isSubset(of: settings)
        })
      else { continue }
      remedies.append(
        MemoryRemedy(
          settings: settings, seconds: Seconds(outcome.seconds),
          slowdown: outcome.seconds / base.seconds - 1, peak: outcome.peak))
    }
    // Equal times keep the order of the neighbours: the smaller change first.
    let order = remedies.indices.sorted {
      (remedies[$0].seconds.value, $0) < (remedies[$1].seconds.value, $1)
    }
    return order.prefix(limit).map { remedies[$0] }
  }

  /// Lists of settings to try, smaller changes first.
  private static func neighbours(of scenario: Scenario) -> [[String]] {
    let job = scenario.job
    let layout = job.parallelism
    var changes: [[String]] = []
    var micro = job.training.microBatch / 2
    while micro >= 1 {
      changes.append(["training.micro_batch=\(micro)"])
      micro /= 2
    }
    if layout.zero < 3 {
      for zero in (layout.zero + 1)...3 { changes.append(["parallelism.zero=\(zero)"]) }
    }
    if !layout.offloadsOptimizer { changes.append(["parallelism.offload.optimizer=true"]) }
    if !layout.sequence, layout.tensor > 1 { changes.append(["parallelism.sequence=true"]) }
    // The data degree follows; one that the file states would contradict it.
    for factor in [2, 4] {
      changes.append(["parallelism.tensor=\(layout.tensor * factor)", "parallelism.data="])
      changes.append(["parallelism.pipeline=\(layout.pipeline * factor)", "parallelism.data="])
    }
    let modes: [String]
    switch job.training.recompute {
    case .none: modes = ["training.recompute=selective", "training.recompute=full"]
    case .selective, .passes, .fullLayers, .offloadLayers, .modules, .saved:
      modes = ["training.recompute=full"]
    case .full, .auto: modes = []
    }
    return modes.map { [$0] } + changes + changes.flatMap { change in modes.map { change + [$0] } }
  }
}
