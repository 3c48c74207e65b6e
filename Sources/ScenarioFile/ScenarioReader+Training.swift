import Kernels
import Layout
import Quantities
import RunForecast
import StepProgram
import Transformer

extension ScenarioReader {
  /// Reads the `training` mapping.
  func training(_ block: Block) -> (settings: TrainingSettings, tokens: Double?)? {
    let count: (String, String) -> Int? = { key, meaning in
      block.required(key, meaning).flatMap { block.integer($0, key, in: Limit.counts) }
    }
    let tokens = block.number("tokens", from: 0, excluding: true)
    let sequenceLength = count("sequence_length", "tokens in a sequence")
    let globalBatch = count("global_batch", "sequences in a step")
    let microBatch = count("micro_batch", "sequences per rank and microbatch")
    let precision = block.choice("precision", of: Precision.self) ?? .bf16Mixed
    let optimizer = block.choice("optimizer", of: Optimizer.self) ?? .adamw
    let recompute = recompute(block) ?? .none
    let gradients = block.node("gradients").flatMap {
      block.choice($0, "gradients", among: ["fp32", "parameters"])
    }
    let attention = block.choice("attention", of: AttentionAlgorithm.self) ?? .flash2
    let framework = block.choice("framework", of: Framework.self) ?? .generic
    let dispatch = dispatch(block.block("moe"))
    let blocksLaunches = block.flag("blocking_launches")
    block.finish()
    guard let sequenceLength, let globalBatch, let microBatch else { return nil }
    let format: NumberFormat? =
      gradients.map { $0 == "fp32" ? .fp32 : precision.activationFormat }
    let settings = TrainingSettings(
      sequenceLength: sequenceLength, globalBatch: globalBatch, microBatch: microBatch,
      precision: precision, optimizer: optimizer, recompute: recompute, gradientFormat: format,
      attention: attention, framework: framework, blocksLaunches: blocksLaunches ?? false,
      dispatch: dispatch)
    return (settings, tokens)
  }

  /// Reads `moe`: how tokens get to their experts.
  private func dispatch(_ block: Block) -> ExpertDispatch {
    var dispatch = ExpertDispatch(
      dispatcher: block.choice("dispatcher", of: ExpertDispatch.Dispatcher.self),
      imbalance: block.number("imbalance", from: 1, to: 1_000) ?? 1,
      capacityFactor: block.number("capacity_factor", from: 0, excluding: true, to: 1_000),
      overlapsShared: block.flag("overlap_shared") ?? false,
      overlapsMicrobatches: block.flag("overlap"))
    if let name = block.node("dispatch_format").flatMap({
      block.choice($0, "dispatch_format", among: ["bf16", "fp8"])
    }) {
      dispatch.format = name == "fp8" ? .fp8 : .bf16
    }
    block.finish()
    return dispatch
  }

  /// Reads `recompute`: a name, `{full_layers: N}` or `{modules: […]}`.
  private func recompute(_ block: Block) -> Recompute? {
    guard let node = block.node("recompute") else { return nil }
    if case .mapping = node.content {
      let inner = block.block("recompute")
      if inner.has("modules") {
        let modules = recomputedModules(inner)
        inner.finish()
        return modules.map(Recompute.modules)
      }
      let layers = inner.required("full_layers", "layers of each stage recomputed in full")
      let count = layers.flatMap {
        inner.integer($0, "full_layers", in: 0...Limit.counts.upperBound)
      }
      inner.finish()
      return count.map(Recompute.fullLayers)
    }
    return switch block.choice(node, "recompute", among: Recompute.names) {
    case "selective": .selective
    case "passes": .passes
    case "full": .full
    case "auto": .auto
    case "none": Recompute.none
    default: nil
    }
  }

  /// Reads `recompute.modules`: a list of names.
  private func recomputedModules(_ block: Block) -> RecomputeModules? {
    guard let node = block.node("modules") else { return nil }
    guard case .sequence(let items) = node.content, !items.isEmpty else {
      block.report(
        "modules",
        "a list of modules is wanted, of "
          + RecomputeModules.names.joined(separator: ", "))
      return nil
    }
    var modules: RecomputeModules = []
    for item in items {
      let name = block.choice(item, "modules", among: RecomputeModules.names)
      if let module = name.flatMap({ RecomputeModules(name: $0) }) { modules.insert(module) }
    }
    return modules
  }

  /// Reads the `run` mapping.
  func run(_ block: Block) -> RunSettings {
    var settings = RunSettings()
    let seconds: (Block, String, ClosedRange<Double>) -> Seconds? = { block, key, range in
      block.quantity(key, of: Seconds.self, in: range)
    }
    let year = 31_536_000.0
    if block.has("checkpoint") {
      let inner = block.block("checkpoint")
      _ = inner.required("every", "training time between two checkpoints")
      _ = inner.required("write_rate", "rate at which the job writes a checkpoint")
      let every = seconds(inner, "every", 1...year)
      let rate = inner.quantity("write_rate", of: ByteRate.self, in: 1...1e18)
      let isAsynchronous = inner.flag("asynchronous")
      inner.finish()
      if let every, let rate {
        settings.checkpoint = CheckpointSettings(
          interval: every, writeRate: rate, isAsynchronous: isAsynchronous ?? false)
      }
    } else {
      _ = block.node("checkpoint")
    }
    if block.has("failures") {
      let inner = block.block("failures")
      _ = inner.required("gpu_mtbf", "mean time between failures of one GPU")
      let between = seconds(inner, "gpu_mtbf", 1...1e6 * year)
      let restart = seconds(inner, "restart", 0...year)
      let node = seconds(inner, "node_mtbf", 1...1e6 * year)
      let fabric = seconds(inner, "fabric_mtbf", 1...1e6 * year)
      let detection = seconds(inner, "detection", 0...year)
      let shape = inner.number("shape", from: 0.1, to: 10)
      let spares = inner.integer("spares", in: 0...Limit.gpus.upperBound)
      let repair = seconds(inner, "repair", 0...year)
      inner.finish()
      if let between {
        settings.failures = FailureSettings(
          gpuMeanTimeBetweenFailures: between, restart: restart ?? .zero,
          nodeMeanTimeBetweenFailures: node, fabricMeanTimeBetweenFailures: fabric,
          detection: detection ?? .zero, shape: shape ?? 1, spares: spares,
          repair: repair ?? .zero)
      }
    } else {
      _ = block.node("failures")
    }
    if block.has("evaluation") {
      let inner = block.block("evaluation")
      _ = inner.required("every_steps", "training steps between two evaluations")
      _ = inner.required("duration", "how long an evaluation takes")
      let steps = inner.integer("every_steps", in: Limit.counts)
      let duration = seconds(inner, "duration", 0...year)
      inner.finish()
      if let steps, let duration {
        settings.evaluation = EvaluationSettings(steps: steps, duration: duration)
      }
    } else {
      _ = block.node("evaluation")
    }
    settings.startUp = seconds(block, "start_up", 0...year) ?? .zero
    settings.draws = block.integer("draws", in: 1...1_000_000)
    let price = block.block("price")
    settings.gpuHourPrice = price.quantity("gpu_hour", of: Dollars.self, in: 0...1e6)
    price.finish()
    let power = block.block("power")
    settings.power.gpu = power.quantity("gpu", of: Watts.self, in: 0...1e6)
    settings.power.usageEffectiveness = power.number("pue", from: 1, to: 10) ?? 1
    settings.power.carbonPerKilowattHour = power.number("carbon_kg_per_kwh", from: 0, to: 10)
    power.finish()
    block.finish()
    return settings
  }
}

extension Recompute {
  /// What a scenario may write, but for a number of layers.
  static let names = ["none", "selective", "passes", "full", "auto"]
}
