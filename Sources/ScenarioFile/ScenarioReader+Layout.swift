import Layout
import StepProgram
import Transformer

/// A layout as read, its data-parallel degree not yet settled.
struct LayoutDraft {
  /// Everything but the data-parallel degree.
  var value: Parallelism
  /// The data-parallel degree where it is given.
  var data: Int?
  /// The tensor degree inside experts where it is given.
  var expertTensor: Int?
  /// Layers of each pipeline rank or stage, where they are given.
  var stageLayers: [Int]?
  /// Layers of the first and the last pipeline rank, where they are given.
  var firstLayers: Int?
  var lastLayers: Int?

  /// The layout with `data` replicas.
  ///
  /// Experts are cut as the rest is where the scenario does not say (Megatron-Core's default), unless
  /// the framework's recipes leave them whole (NeMo and Megatron Bridge set
  /// `expert_tensor_parallel_size=1`) or there are too few ranks for that.
  func settled(data: Int, framework: Framework) -> Parallelism {
    var settled = value
    settled.data = data
    let stage = value.tensor * value.context * data
    if expertTensor == nil, value.expert > 1,
      framework == .nemo || !stage.isMultiple(of: value.expert * value.tensor)
    {
      settled.expertTensor = 1
    }
    return settled
  }
}

/// What communication is overlapped.
private enum OverlapChoice: String, CaseIterable {
  /// What the framework overlaps.
  case auto
  /// The same, but sharded parameters beside their own layer only.
  case withinLayers = "within-layers"
  /// Nothing.
  case none
}

extension ScenarioReader {
  /// Reads the `parallelism` mapping.
  func parallelism(_ block: Block, framework: Framework) -> LayoutDraft {
    let degree: (String) -> Int? = { block.integer($0, in: Limit.gpus) }
    let tensor = degree("tensor") ?? 1
    let sequence = block.flag("sequence")
    let pipeline = degree("pipeline") ?? 1
    let virtualStages = degree("virtual_stages")
    let schedule = block.choice("schedule", of: PipelineSchedule.self)
    let context = degree("context") ?? 1
    let contextStyle = block.choice("context_style", of: ContextStyle.self)
    let expert = degree("expert") ?? 1
    let expertTensor = degree("expert_tensor")
    let data = degree("data")
    let shardGroup = degree("shard_group")
    let zero = block.integer("zero", in: 0...3) ?? (framework.profile.isFSDP ? 3 : 0)
    let overlap = block.choice("overlap", of: OverlapChoice.self)
    let order = axisOrder(block)
    let offload = block.block("offload")
    let offloadsOptimizer = offload.flag("optimizer")
    let offloadsParameters = offload.flag("parameters") ?? false
    offload.finish()
    let stageLayers = counts(block, "stage_layers")
    let layerRange = 0...Limit.counts.upperBound
    let firstLayers = block.integer("first_stage_layers", in: layerRange)
    let lastLayers = block.integer("last_stage_layers", in: layerRange)
    let sharding = sharding(block)
    block.finish()
    var value = Parallelism(
      tensor: tensor, sequence: sequence ?? (tensor > 1 && framework.splitsSequenceByDefault),
      pipeline: pipeline, virtualStages: virtualStages ?? 1,
      schedule: schedule ?? (virtualStages ?? 1 > 1 ? .interleaved : .oneForwardOneBackward),
      context: context, contextStyle: contextStyle ?? framework.profile.contextStyle,
      expert: expert, expertTensor: expertTensor, shardGroup: shardGroup,
      zero: zero, overlaps: overlap != OverlapChoice.none,
      order: order ?? Parallelism.usualOrder)
    value.overlapsWithinLayers = overlap == .withinLayers
    // FSDP's policy is for all three at once.
    value.offloadsOptimizer = offloadsOptimizer ?? (offloadsParameters && framework.profile.isFSDP)
    value.offloadsParameters = offloadsParameters
    value.sharding = sharding
    return LayoutDraft(
      value: value, data: data, expertTensor: expertTensor, stageLayers: stageLayers,
      firstLayers: firstLayers,
      lastLayers: lastLayers)
  }

  /// Reads how sharded states travel.
  private func sharding(_ block: Block) -> ShardingOptions {
    var options = ShardingOptions()
    options.reshardsAfterForward = block.flag("reshard_after_forward")
    options.reducesEachMicrobatch = block.flag("reduce_each_microbatch")
    options.bucketParameters = block.integer("bucket_parameters", in: Limit.counts)
    options.quantizesWeights = block.flag("quantized_weights") ?? false
    options.quantizesGradients = block.flag("quantized_gradients") ?? false
    options.secondaryGroup = block.integer("secondary_group", in: 2...Limit.gpus.upperBound)
    options.keepsOutputs = block.flag("keep_outputs")
    return options
  }

  /// Reads a list of whole numbers.
  private func counts(_ block: Block, _ key: String) -> [Int]? {
    guard let node = block.node(key) else { return nil }
    guard case .sequence(let items) = node.content else {
      block.report(key, "\(node.described) is not a list of whole numbers")
      return nil
    }
    return items.compactMap { block.integer($0, key, in: 0...Limit.counts.upperBound) }
  }

  /// Layers of each stage, where the layout says any; what is wrong goes to the log.
  func stageLayers(_ draft: LayoutDraft, layers: Int, in block: Block) -> [Int]? {
    let ranks = draft.value.pipeline
    if let given = draft.stageLayers {
      for key in ["first_stage_layers", "last_stage_layers"] where block.has(key) {
        block.report(key, "stage_layers says the layers of every stage already")
      }
      return given.count == ranks
        ? StageAssignment.layersPerStage(given, draft.value) : given
    }
    guard draft.firstLayers != nil || draft.lastLayers != nil, ranks > 1 else { return nil }
    let ends = (draft.firstLayers ?? 0) + (draft.lastLayers ?? 0)
    let between = ranks - (draft.firstLayers == nil ? 0 : 1) - (draft.lastLayers == nil ? 0 : 1)
    let key = draft.firstLayers == nil ? "last_stage_layers" : "first_stage_layers"
    let sum =
      [draft.firstLayers, draft.lastLayers].compactMap { $0.map(String.init) }
      .joined(separator: " and ")
    guard ends <= layers else {
      let isLast = (draft.firstLayers ?? 0) <= layers
      block.report(
        isLast && draft.lastLayers != nil ? "last_stage_layers" : key,
        "\(sum) are more than the \(layers) layers")
      return nil
    }
    guard between > 0 ? (layers - ends).isMultiple(of: between) : ends == layers else {
      block.report(
        key,
        between > 0
          ? "\(sum) leave \(layers - ends) layers, which \(between) ranks cannot share evenly"
          : "\(sum) are not the \(layers) layers, and there is no rank between")
      return nil
    }
    var perRank = Array(repeating: between > 0 ? (layers - ends) / between : 0, count: ranks)
    if let first = draft.firstLayers { perRank[0] = first }
    if let last = draft.lastLayers { perRank[ranks - 1] = last }
    return StageAssignment.layersPerStage(perRank, draft.value)
  }

  /// Reads `order`: the axes, fastest first, as a list, or as Megatron-LM writes it, `tp-cp-dp-pp`.
  private func axisOrder(_ block: Block) -> [Axis]? {
    var axes: [Axis] = []
    guard let node = block.node("order") else { return nil }
    switch node.content {
    case .scalar(let text, _):
      // The experts' axis lies inside data here as there.
      for name in text.split(separator: "-").map(String.init) where name != "ep" {
        guard let axis = Axis(short: name) else {
          block.report("order", "'\(name)' in '\(text)' is not one of tp, cp, ep, dp, pp")
          return nil
        }
        axes.append(axis)
      }
    case .sequence(let nodes):
      for item in nodes {
        guard case .scalar(let name, _) = item.content, let axis = Axis(rawValue: name) else {
          block.report(
            "order",
            "\(item.described) is not one of \(Axis.allCases.map(\.rawValue).joined(separator: ", "))"
          )
          return nil
        }
        axes.append(axis)
      }
    case .mapping:
      block.report("order", "\(node.described) is not a list of axes")
      return nil
    }
    guard axes.count == Axis.allCases.count, Set(axes).count == axes.count else {
      block.report("order", "tensor, context, data and pipeline must be there once each")
      return nil
    }
    return axes
  }
}

extension Framework {
  /// Whether sequence parallelism goes with tensor parallelism where a scenario does not say.
  ///
  /// On in the recipes of Megatron-Core, NeMo, torchtitan and nanotron (`REDUCE_SCATTER` mode);
  /// Megatron-LM before 2022 and the software built on it did not have it (it came with
  /// arXiv:2205.05198). MaxText splits activations outside multiplies along their features instead
  /// (`activation_embed` on `tensor` in its logical axis rules): as much a rank, as much exchanged.
  var splitsSequenceByDefault: Bool {
    switch self {
    case .megatronCore, .nemo, .torchtitan, .nanotron, .maxtext, .generic: true
    case .megatronLM, .megatronDeepSpeed, .llmFoundry, .deepspeed, .internLM, .alephAlphaScaling:
      false
    }
  }
}
