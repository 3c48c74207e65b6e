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
    let tokens = block.number("tokens", from: 0, excluding: true, to: Limit.tokens)
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
    let moments = block.node("moments").flatMap {
      block.choice($0, "moments", among: ["fp32", "bf16", "fp8"])
    }
    let framework = block.choice("framework", of: Framework.self) ?? .generic
    let release = release(block, framework: framework)
    let attention =
      block.choice("attention", of: AttentionAlgorithm.self) ?? framework.defaultAttention
    let backend = block.choice("attention_backend", of: AttentionBackend.self)
    var switches = switches(block)
    let dispatch = dispatch(block.block("moe"), &switches)
    let blocksLaunches = block.flag("blocking_launches")
    let compiled = block.choice("compile", of: CompiledParts.self)
    if let compiled, framework != .torchtitan {
      block.warn(
        "compile", "\(compiled.rawValue) has no effect: it goes with framework: torchtitan")
    }
    let lossChunks = block.integer("loss_chunks", in: Limit.counts) ?? 1
    let ramp = ramp(block, below: globalBatch)
    block.finish()
    guard let sequenceLength, let globalBatch, let microBatch else { return nil }
    let format: NumberFormat? =
      gradients.map { $0 == "fp32" ? .fp32 : precision.activationFormat }
    var settings = TrainingSettings(
      sequenceLength: sequenceLength, globalBatch: globalBatch, microBatch: microBatch,
      precision: precision, optimizer: optimizer, recompute: recompute, gradientFormat: format,
      attention: attention, framework: framework, blocksLaunches: blocksLaunches ?? false,
      dispatch: dispatch)
    settings.momentFormat = moments.flatMap(NumberFormat.init(rawValue:))
    settings.compiled = compiled
    settings.attentionBackend = backend
    settings.lossChunks = lossChunks
    settings.switches = switches
    settings.release = release
    return TrainingDraft(settings: settings, tokens: tokens, ramp: ramp)
  }

  /// Reads `release`; of NeMo what a measured run says of its software, unless it is said.
  private func release(_ block: Block, framework: Framework) -> FrameworkRelease? {
    guard let text = block.text("release") else { return framework == .nemo ? usualRelease : nil }
    guard let release = FrameworkRelease(text) else {
      block.report("release", "\(text) is no release; as in \"26.04\", year and month")
      return nil
    }
    return release
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
  private func dispatch(_ block: Block, _ switches: inout SoftwareSwitches) -> ExpertDispatch {
    switches.groupsExperts = block.flag("grouped")
    switches.fusesExperts = block.flag("fused_experts")
    var dispatch = ExpertDispatch(
      dispatcher: block.choice("dispatcher", of: ExpertDispatch.Dispatcher.self),
      routing: block.choice("routing", of: ExpertDispatch.Routing.self),
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

  /// Reads `recompute`: a name, `{full_layers: N}`, `{offload_layers: N}`, `{modules: […]}` or `{saved: […], offloaded: […]}`.
  private func recompute(_ block: Block) -> Recompute? {
    guard let node = block.node("recompute") else { return nil }
    if case .mapping = node.content {
      let inner = block.block("recompute")
      if inner.has("modules") {
        let names = names("modules", of: RecomputeModules.names, in: inner)
        inner.finish()
        return names.map { .modules(RecomputeModules($0.compactMap(RecomputeModules.init(name:)))) }
      }
      if inner.has("saved") || inner.has("offloaded") {
        let outputs = { (key: String) in
          let names = names(key, of: SavedOutputs.names, in: inner) ?? []
          return SavedOutputs(names.compactMap(SavedOutputs.init(name:)))
        }
        let saved = outputs("saved")
        let offloaded = outputs("offloaded")
        inner.finish()
        return .saved(saved.union(offloaded), offloaded: offloaded)
      }
      if let layers = inner.node("offload_layers") {
        let count = inner.integer(layers, "offload_layers", in: 0...Limit.counts.upperBound)
        inner.finish()
        return count.map(Recompute.offloadLayers)
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

  /// Reads a list of some of `choices`.
  private func names(_ key: String, of choices: [String], in block: Block) -> [String]? {
    guard let node = block.node(key) else { return nil }
    guard case .sequence(let items) = node.content, !items.isEmpty else {
      var found = node.described
      if case .sequence = node.content { found = "an empty list" }
      block.report(
        key, "\(found) is not a list of some of " + choices.joined(separator: ", "))
      return nil
    }
    return items.compactMap { block.choice($0, key, among: choices) }
  }
}

extension Recompute {
  /// What a scenario may write, but for a number of layers.
  static let names = ["none", "selective", "passes", "full", "auto"]
}
