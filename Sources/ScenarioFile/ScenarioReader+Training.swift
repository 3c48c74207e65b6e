import Kernels
import Layout
import RunForecast
import StepProgram
import Transformer

extension ScenarioReader {
  /// The `training` mapping as read.
  struct TrainingDraft {
    var settings: TrainingSettings
    var tokens: Double?
    var ramp: BatchRamp?
  }

  /// Reads the `training` mapping.
  func training(_ block: Block) -> TrainingDraft? {
    let count: (String, String, ClosedRange<Int>) -> Int? = { key, meaning, range in
      block.required(key, meaning).flatMap { block.integer($0, key, in: range) }
    }
    let tokens = block.number("tokens", from: 0, excluding: true)
    let sequenceLength = count("sequence_length", "tokens in a sequence", Limit.sequence)
    let globalBatch = count("global_batch", "sequences in a step", Limit.counts)
    let microBatch = count(
      "micro_batch", "sequences per rank and microbatch", Limit.microBatch)
    let precision = block.choice("precision", of: Precision.self) ?? .bf16Mixed
    let optimizer = block.choice("optimizer", of: Optimizer.self) ?? .adamw
    let recompute = recompute(block) ?? .none
    let gradients = block.node("gradients").flatMap {
      block.choice($0, "gradients", among: ["fp32", "parameters"])
    }
    let framework = block.choice("framework", of: Framework.self) ?? .generic
    let attention =
      block.choice("attention", of: AttentionAlgorithm.self) ?? framework.defaultAttention
    let dispatch = dispatch(block.block("moe"))
    let blocksLaunches = block.flag("blocking_launches")
    let ramp = ramp(block, below: globalBatch)
    block.finish()
    guard let sequenceLength, let globalBatch, let microBatch else { return nil }
    let format: NumberFormat? =
      gradients.map { $0 == "fp32" ? .fp32 : precision.activationFormat }
    let settings = TrainingSettings(
      sequenceLength: sequenceLength, globalBatch: globalBatch, microBatch: microBatch,
      precision: precision, optimizer: optimizer, recompute: recompute, gradientFormat: format,
      attention: attention, framework: framework, blocksLaunches: blocksLaunches ?? false,
      dispatch: dispatch)
    return TrainingDraft(settings: settings, tokens: tokens, ramp: ramp)
  }

  /// Reads `batch_ramp`: from so many sequences, by so many more, over so many tokens.
  private func ramp(_ block: Block, below globalBatch: Int?) -> BatchRamp? {
    guard block.has("batch_ramp") else {
      _ = block.node("batch_ramp")
      return nil
    }
    let inner = block.block("batch_ramp")
    let count = { (key: String, meaning: String) in
      inner.required(key, meaning).flatMap { inner.integer($0, key, in: Limit.counts) }
    }
    let first = count("from", "sequences of the first batch")
    let increment = count("by", "sequences added each time")
    _ = inner.required("over", "tokens until the whole batch")
    let tokens = inner.number("over", from: 0, excluding: true)
    inner.finish()
    guard let first, let increment, let tokens, let globalBatch else { return nil }
    guard first < globalBatch else {
      inner.report("from", "\(first) is not below global_batch, \(globalBatch)")
      return nil
    }
    return BatchRamp(first: first, increment: increment, tokens: tokens)
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
      var found = node.described
      if case .sequence = node.content { found = "an empty list" }
      block.report(
        "modules",
        "\(found) is not a list of some of " + RecomputeModules.names.joined(separator: ", "))
      return nil
    }
    var modules: RecomputeModules = []
    for item in items {
      let name = block.choice(item, "modules", among: RecomputeModules.names)
      if let module = name.flatMap({ RecomputeModules(name: $0) }) { modules.insert(module) }
    }
    return modules
  }
}

extension Recompute {
  /// What a scenario may write, but for a number of layers.
  static let names = ["none", "selective", "passes", "full", "auto"]
}
