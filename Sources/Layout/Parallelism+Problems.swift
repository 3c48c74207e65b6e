public import Transformer

/// What a layout is checked against, beside the degrees themselves.
public struct LayoutRequest: Hashable, Sendable {
  /// The model.
  public var architecture: Architecture
  /// Tokens per sequence.
  public var sequenceLength: Int
  /// Sequences per step.
  public var globalBatch: Int
  /// Sequences per rank and microbatch.
  public var microBatch: Int

  /// A model trained on `globalBatch` sequences a step.
  public init(
    architecture: Architecture, sequenceLength: Int, globalBatch: Int, microBatch: Int
  ) {
    self.architecture = architecture
    self.sequenceLength = sequenceLength
    self.globalBatch = globalBatch
    self.microBatch = microBatch
  }
}

extension Parallelism {
  /// Everything that keeps the layout from training `request`, in the order of the scenario's keys.
  public func problems(_ request: LayoutRequest) -> [LayoutProblem] {
    let small = degreeProblems + requestProblems(request)
    guard small.isEmpty else { return small }
    return tensorProblems(request) + pipelineProblems(request) + contextProblems(request)
      + expertProblems(request) + dataProblems(request) + orderProblems(request)
  }

  /// Whether ``problems(_:)`` finds no error; warnings do not count.
  public func canTrain(_ request: LayoutRequest) -> Bool {
    !problems(request).contains { $0.severity == .error }
  }

  /// Degrees below one, and stages that do not exist.
  private var degreeProblems: [LayoutProblem] {
    let degrees = [
      ("tensor", tensor), ("pipeline", pipeline), ("virtual_stages", virtualStages),
      ("context", context), ("expert", expert), ("data", data),
      // Left out, the tensor degree inside experts is the tensor degree: one complaint is enough.
      ("expert_tensor", expertTensor == tensor ? 1 : expertTensor),
      ("shard_group", shardGroup ?? 1),
    ]
    var problems = degrees.filter { $0.1 < 1 }.map {
      LayoutProblem(
        keyPath: "parallelism." + $0.0, value: $0.1, reason: .belowOne, choices: [],
        severity: .error)
    }
    if !(0...3).contains(zero) {
      problems.append(error("zero", zero, .notOneOf, [0, 1, 2, 3]))
    }
    return problems
  }

  private func requestProblems(_ request: LayoutRequest) -> [LayoutProblem] {
    let sizes = [
      ("sequence_length", request.sequenceLength), ("global_batch", request.globalBatch),
      ("micro_batch", request.microBatch),
    ]
    return sizes.filter { $0.1 < 1 }.map {
      LayoutProblem(
        keyPath: "training." + $0.0, value: $0.1, reason: .belowOne, choices: [],
        severity: .error)
    }
  }

  /// Heads and widths that tensor parallelism must divide.
  private func tensorProblems(_ request: LayoutRequest) -> [LayoutProblem] {
    let architecture = request.architecture
    let heads = architecture.attention.heads
    let keyValueHeads = architecture.attention.keyValueHeads
    let hasDense = (0..<architecture.layerCount).contains {
      let kind = architecture.kind(ofLayer: $0)
      return kind.hasFeedForward && !kind.isExpert
    }
    let widths = [
      hasDense || architecture.recurrence == nil ? architecture.feedForward.intermediateSize : 0,
      architecture.experts?.sharedIntermediateSize ?? 0,
    ]
    let local = request.sequenceLength / context
    let mixers = recurrenceHeads(of: architecture)
    let sliding = architecture.slidingAttention ?? architecture.attention
    let cut = architecture.hasAttention ? heads : mixers.first?.count ?? 1
    let choices = divisors(of: cut).filter { degree in
      divides(keyValueHeads, degree) && divides(sliding.keyValueHeads, degree)
        && sliding.heads.isMultiple(of: degree)
        && mixers.allSatisfy { $0.count.isMultiple(of: degree) }
        && widths.allSatisfy { $0.isMultiple(of: degree) }
        && (!sequence || local.isMultiple(of: degree))
    }
    if !heads.isMultiple(of: tensor) {
      return [error("tensor", tensor, .doesNotDivide(tensor, heads, "attention heads"), choices)]
    }
    if !sliding.heads.isMultiple(of: tensor) {
      return [
        error(
          "tensor", tensor, .doesNotDivide(tensor, sliding.heads, "heads of sliding layers"),
          choices)
      ]
    }
    if !divides(sliding.keyValueHeads, tensor) {
      return [
        error(
          "tensor", tensor,
          .doesNotDivide(tensor, sliding.keyValueHeads, "key and value heads of sliding layers"),
          choices)
      ]
    }
    if !divides(keyValueHeads, tensor) {
      return [
        error(
          "tensor", tensor, .doesNotDivide(tensor, keyValueHeads, "key and value heads"), choices)
      ]
    }
    if let mixer = mixers.first(where: { !$0.count.isMultiple(of: tensor) }) {
      return [error("tensor", tensor, .doesNotDivide(tensor, mixer.count, mixer.name), choices)]
    }
    if let width = widths.first(where: { !$0.isMultiple(of: tensor) }) {
      return [error("tensor", tensor, .doesNotDivide(tensor, width, "feed-forward width"), choices)]
    }
    if sequence, !local.isMultiple(of: tensor) {
      let what = context == 1 ? "tokens of a sequence" : "tokens of a context rank"
      return [
        error("tensor", tensor, .doesNotDivide(tensor, local, what), choices)
      ]
    }
    return []
  }

  /// Heads of a recurrence that tensor parallelism must divide.
  ///
  /// Megatron-Core's `MambaMixer` and `GatedDeltaNet` give each rank whole groups as well.
  private func recurrenceHeads(of architecture: Architecture) -> [(name: String, count: Int)] {
    guard let recurrence = architecture.recurrence else { return [] }
    switch recurrence.kind {
    case .selectiveScan: return [("channels of a selective scan", recurrence.heads)]
    case .stateSpaceDuality:
      return [("state-space heads", recurrence.heads), ("state-space groups", recurrence.groups)]
    case .gatedDelta, .kimiDelta:
      return [
        ("linear attention heads", recurrence.heads),
        ("key heads of linear attention", recurrence.groups),
      ]
    case .lightning: return [("linear attention heads", recurrence.heads)]
    case .gatedLinearUnit: return [("blocks of the recurrence's gates", recurrence.heads)]
    }
  }

  /// Recurrences over context ranks.
  ///
  /// They exchange tokens for heads (Megatron-Core's `mamba_context_parallel.py`), where the software has that;
  /// of the others nobody passes the states on.
  private func recurrenceContextProblems(_ request: LayoutRequest) -> [LayoutProblem] {
    guard let recurrence = request.architecture.recurrence else { return [] }
    switch recurrence.kind {
    case .stateSpaceDuality, .gatedDelta, .kimiDelta:
      let heads = recurrence.heads / tensor
      guard !heads.isMultiple(of: context) else { return [] }
      return [
        error(
          "context", context, .doesNotDivide(context, heads, "heads of the recurrence on a rank"),
          divisors(of: heads, upTo: 64))
      ]
    case .selectiveScan, .lightning, .gatedLinearUnit:
      return [
        error(
          "context", context,
          .needs("another model: no framework splits \(recurrence.kind.rawValue) over tokens"), [1])
      ]
    }
  }

  /// Whether the heads divide over the ranks or the ranks over the heads.
  private func divides(_ heads: Int, _ ranks: Int) -> Bool {
    heads.isMultiple(of: ranks) || ranks.isMultiple(of: heads)
  }

  /// Layers, chunks and microbatches of the pipeline.
  private func pipelineProblems(_ request: LayoutRequest) -> [LayoutProblem] {
    let layers = request.architecture.layerCount
    var problems: [LayoutProblem] = []
    let takesChunks = schedule == .interleaved || schedule == .zeroBubble || schedule == .dualPipe
    if virtualStages > 1, !takesChunks {
      problems.append(
        error("virtual_stages", virtualStages, .needs("schedule: interleaved"), [1]))
    }
    if virtualStages > 1, pipeline == 1 {
      problems.append(error("virtual_stages", virtualStages, .needs("pipeline above 1"), [1]))
    }
    if schedule == .dualPipe || schedule == .bidirectional, pipeline > 1,
      !pipeline.isMultiple(of: 2)
    {
      problems.append(
        error(
          "pipeline", pipeline, .needs("another schedule: \(schedule.rawValue) pairs its ranks"), []
        ))
    }
    if isBidirectional, zero > 1 {
      problems.append(error("zero", zero, .notOneOf, [0, 1]))
    }
    if virtualStages > 2, schedule == .dualPipe || schedule == .zeroBubble {
      problems.append(error("virtual_stages", virtualStages, .notOneOf, [1, 2]))
    }
    let perRank = chunksPerRank
    let stages = pipeline * perRank
    if let stageLayers {
      if stageLayers.count != stages || stageLayers.reduce(0, +) != layers {
        problems.append(
          error(
            "stage_layers", stageLayers.count,
            .listNeeds(stageLayers, "\(stages) counts that add up to the \(layers) layers"), []))
      }
      if stageLayers.dropFirst().dropLast().contains(where: { $0 < 1 }) {
        problems.append(
          error("stage_layers", 0, .needs("a layer on every stage between the ends"), []))
      }
    }
    // The embedding and the head may each count as a layer, as in `StageAssignment`.
    if stageLayers != nil {
      // As given.
    } else if stages > layers + 2 {
      problems.append(
        error(
          perRank > 1 && pipeline <= layers ? "virtual_stages" : "pipeline",
          perRank > 1 && pipeline <= layers ? virtualStages : pipeline,
          .tooMany(parts: stages, count: layers, what: "layers"),
          perRank > 1 && pipeline <= layers
            ? divisors(of: max(layers / pipeline, 1)) : divisors(of: layers)))
    } else if !layers.isMultiple(of: stages) {
      problems.append(
        warning(
          "pipeline", pipeline,
          .doesNotDivide(
            stages, layers,
            perRank > 1 ? "layers (\(pipeline) ranks of \(perRank) stages)" : "layers"),
          divisors(of: layers).filter { layers.isMultiple(of: $0 * perRank) }))
    }
    let perReplica = request.microBatch * data
    if pipeline > 1, request.globalBatch.isMultiple(of: perReplica) {
      let microbatches = request.globalBatch / perReplica
      if schedule == .interleaved, virtualStages > 1, !microbatches.isMultiple(of: pipeline) {
        problems.append(
          warning(
            "pipeline", pipeline, .doesNotDivide(pipeline, microbatches, "microbatches"),
            divisors(of: microbatches)))
      }
      if schedule == .bidirectional, !microbatches.isMultiple(of: 2) {
        problems.append(
          error("pipeline", pipeline, .needs("an even number of microbatches"), []))
      }
      if schedule == .dualPipe || schedule == .bidirectional, microbatches < 2 * pipeline {
        problems.append(
          warning("pipeline", pipeline, .needs("at least \(2 * pipeline) microbatches"), []))
      }
    }
    return problems
  }

  /// Sequences cut over context ranks: two pieces each, from both ends, to balance the causal mask.
  ///
  /// Under Ulysses one piece, and the heads over the ranks.
  private func contextProblems(_ request: LayoutRequest) -> [LayoutProblem] {
    let length = request.sequenceLength
    guard context > 1 else { return [] }
    let mixers = recurrenceContextProblems(request)
    guard mixers.isEmpty else { return mixers }
    if contextStyle == .ulysses {
      let heads = request.architecture.attention.heads / tensor
      let choices = divisors(of: heads, upTo: 64).filter { length.isMultiple(of: $0) }
      if !heads.isMultiple(of: context) {
        return [
          error(
            "context", context, .doesNotDivide(context, heads, "attention heads of a rank"), choices
          )
        ]
      }
      guard !length.isMultiple(of: context) else { return [] }
      return [
        error("context", context, .doesNotDivide(context, length, "tokens of a sequence"), choices)
      ]
    }
    guard !length.isMultiple(of: 2 * context) else { return [] }
    return [
      error(
        "context", context, .doesNotDivide(2 * context, length, "tokens of a sequence"),
        [1] + divisors(of: length / 2, upTo: 64).filter { $0 > 1 && length.isMultiple(of: 2 * $0) })
    ]
  }

  /// Experts over their ranks, and those ranks over the stage.
  private func expertProblems(_ request: LayoutRequest) -> [LayoutProblem] {
    let stage = tensor * context * data
    guard let experts = request.architecture.experts else {
      if expert > 1 { return [error("expert", expert, .needs("a mixture of experts"), [1])] }
      guard !stage.isMultiple(of: expertTensor) else { return [] }
      return [
        error(
          "expert_tensor", expertTensor,
          .doesNotDivide(expertTensor, stage, "tensor × context × data ranks"), divisors(of: stage))
      ]
    }
    let choices = divisors(of: experts.expertCount).filter {
      stage.isMultiple(of: $0 * expertTensor)
    }
    if !experts.expertCount.isMultiple(of: expert) {
      return [
        error("expert", expert, .doesNotDivide(expert, experts.expertCount, "experts"), choices)
      ]
    }
    let width = experts.intermediateSize
    if !width.isMultiple(of: expertTensor) {
      return [
        error(
          "expert_tensor", expertTensor, .doesNotDivide(expertTensor, width, "expert width"),
          divisors(of: width).filter { stage.isMultiple(of: $0 * expert) })
      ]
    }
    if !stage.isMultiple(of: expert * expertTensor) {
      return [
        error(
          "expert", expert,
          .doesNotDivide(expert * expertTensor, stage, "tensor × context × data ranks"), choices)
      ]
    }
    return []
  }

  /// Batches over replicas, and shards over the gradient group.
  private func dataProblems(_ request: LayoutRequest) -> [LayoutProblem] {
    var problems: [LayoutProblem] = []
    let gradient = data * context
    if let shardGroup, !gradient.isMultiple(of: shardGroup) {
      problems.append(
        error(
          "shard_group", shardGroup, .doesNotDivide(shardGroup, gradient, "data × context ranks"),
          divisors(of: gradient)))
    }
    let shard = shardGroup ?? gradient
    if let secondary = sharding.secondaryGroup {
      if zero < 3 {
        problems.append(error("secondary_group", secondary, .needs("zero: 3"), []))
      } else if !shard.isMultiple(of: secondary) {
        problems.append(
          error(
            "secondary_group", secondary,
            .doesNotDivide(secondary, shard, "ranks that share the parameters"),
            divisors(of: shard)))
      }
    }
    let perStep = request.microBatch * data
    if !request.globalBatch.isMultiple(of: perStep) {
      let below = request.globalBatch / perStep * perStep
      problems.append(
        LayoutProblem(
          keyPath: "training.global_batch", value: request.globalBatch,
          reason: .notMultiple(of: perStep, what: "micro_batch × data"),
          choices: [below, below + perStep].filter { $0 > 0 }, severity: .error))
    }
    return problems
  }

  /// Groups are cut from ranks at regular distances.
  ///
  /// Those of the gradients from data × context, those of the experts from a pipeline stage.
  private func orderProblems(_ request: LayoutRequest) -> [LayoutProblem] {
    var problems: [LayoutProblem] = []
    if context > 1, let inner = order.firstIndex(of: .context),
      let outer = order.firstIndex(of: .data), abs(inner - outer) != 1
    {
      problems.append(error("order", 0, .breaks("context and data must stand side by side"), []))
    }
    if request.architecture.experts != nil, pipeline > 1,
      expert * expertTensor > 1 || shardGroup ?? data * context != data * context,
      order.first != .pipeline, order.last != .pipeline
    {
      problems.append(
        error("order", 0, .breaks("with experts, pipeline must be the first or the last"), []))
    }
    return problems
  }

  private func error(
    _ key: String, _ value: Int, _ reason: LayoutProblem.Reason, _ choices: [Int]
  ) -> LayoutProblem {
    LayoutProblem(
      keyPath: "parallelism." + key, value: value, reason: reason, choices: choices,
      severity: .error)
  }

  private func warning(
    _ key: String, _ value: Int, _ reason: LayoutProblem.Reason, _ choices: [Int]
  ) -> LayoutProblem {
    LayoutProblem(
      keyPath: "parallelism." + key, value: value, reason: reason, choices: choices,
      severity: .warning)
  }
}
