import Kernels

extension Architecture {
  /// Router, permutation, dispatch, expert multiplies, combine; shared experts beside them.
  ///
  /// Every number of rows is that of the fullest rank: the mean, tokens × top-k / experts, times the
  /// dispatch's load. The others wait for it.
  func expertOperations(_ experts: MixtureOfExperts, shard: LayerShard, fusion: Fusion)
    -> [Operation]
  {
    let inner = expertInputSize
    let traffic = ExpertTraffic(experts, hiddenSize: inner, shard: shard)
    let localExperts = max(1, experts.expertCount / shard.expert)
    // Rows are whole: where few tokens come to an expert, those that get one more are what is waited for.
    let rows = (traffic.expertRows + localExperts - 1) / localExperts
    let width = max(1, experts.intermediateSize / shard.expertTensor)
    let isGated = feedForward.activation.isGated
    var up = linear(
      "expert_up_proj", tokens: rows, input: inner, output: isGated ? 2 * width : width,
      batch: localExperts, shard: shard, fusion: fusion)
    up.saved = keptInput(traffic.expertRows, inner, shard: shard, fusion: fusion)
    up.experts = localExperts
    let clampsApart =
      feedForward.clampsGate && fusion.clampsApart && !isOneKernel(shard: shard, fusion: fusion)
    var middle = activation(
      clampsApart ? "expert_clamped_activation" : "expert_activation", rows: traffic.expertRows,
      width: width, shard: shard, fusion: fusion)
    if fusion.weighsExpertsInside {
      middle.saved += Int64(traffic.expertRows) * 4
      if !isGated { middle.saved += shard.bytes(traffic.expertRows, width) }
    }
    var down = linear(
      "expert_down_proj", tokens: rows, input: width, output: inner, batch: localExperts,
      shard: shard, fusion: fusion)
    down.saved = keptInput(traffic.expertRows, width, shard: shard, fusion: fusion)
    down.experts = localExperts
    if isOneKernel(shard: shard, fusion: fusion) {
      middle.forward = []
      middle.inputGradient = []
      down.forward = down.forward.filter { !$0.isPass }
      up.inputGradient = up.inputGradient.filter { !$0.isPass }
      if fusion.stashesExperts, shard.dispatch.capacityFactor == nil {
        // Beside the main stream, but in 2,048 thread blocks, which leave little room.
        let kept = up.saved + middle.saved + down.saved
        let copy = Kernel.stream(
          StreamingKernel(.pointwise, read: kept, written: kept, launches: 3))
        down.forward.append(copy)
        down.inputGradient.insert(copy, at: 0)
      }
    }
    if fusion.multipliesExpertsApart, localExperts > 1 {
      for index in [\Operation.forward, \.inputGradient, \.weightGradient] {
        up[keyPath: index] = apart(up[keyPath: index])
        down[keyPath: index] = apart(down[keyPath: index])
      }
      for work in [\Operation.forward, \.inputGradient] {
        middle[keyPath: work] = middle[keyPath: work].map {
          guard case .stream(var pass) = $0 else { return $0 }
          pass.launches *= localExperts
          return .stream(pass)
        }
      }
      up.experts = 0
      down.experts = 0
      up.backwardScratch /= Int64(localExperts)
      down.backwardScratch /= Int64(localExperts)
      up.hostOperations = localExperts
      middle.hostOperations = localExperts
      down.hostOperations = localExperts
    }
    if shard.expertTensor > 1 {
      let whole = traffic.betweenTensorRanks
      up.beforeForward = Exchange(.allGather, on: .expertTensor, bytes: whole)
      up.afterInputGradient = Exchange(.reduceScatter, on: .expertTensor, bytes: whole)
      down.afterForward = Exchange(.reduceScatter, on: .expertTensor, bytes: whole)
      down.beforeBackward = Exchange(.allGather, on: .expertTensor, bytes: whole)
    }
    var dispatch = dispatch(traffic, localExperts: localExperts, shard: shard, fusion: fusion)
    var combine = combine(
      experts, traffic, localExperts: localExperts, shard: shard, fusion: fusion)
    let router = router(experts, traffic, shard: shard, fusion: fusion)
    let bias = expertBias(traffic, localExperts: localExperts, shard: shard, fusion: fusion)
    let multiplies =
      [up] + clamp(traffic, width: width, shard: shard, fusion: fusion) + [middle, down] + bias
    if let latent = experts.latentSize {
      // Tokens are narrowed before they travel, and widened behind the sum; both projections are
      // replicated over tensor ranks.
      let narrow = linear(
        "expert_latent_down", tokens: traffic.sourceTokens, input: hiddenSize, output: latent,
        shard: shard, fusion: fusion)
      var widen = linear(
        "expert_latent_up", tokens: traffic.sourceTokens, input: latent, output: hiddenSize,
        shard: shard, fusion: fusion)
      widen.saved = keptInput(traffic.sourceTokens, latent, shard: shard, fusion: fusion)
      let shared =
        experts.sharedIntermediateSize > 0
        ? denseBlock(
          "shared_", width: max(1, experts.sharedIntermediateSize / shard.tensor), shard: shard,
          fusion: fusion) : []
      return [router, narrow, dispatch] + multiplies + [combine, widen] + shared
    }
    guard experts.sharedIntermediateSize > 0 else {
      return [router, dispatch] + multiplies + [combine]
    }
    var shared = denseBlock(
      "shared_", width: max(1, experts.sharedIntermediateSize / shard.tensor), shard: shard,
      fusion: fusion)
    guard shard.dispatch.overlapsShared, shard.tensor == 1, shard.expert > 1 else {
      return [router, dispatch] + multiplies + [combine] + shared
    }
    // The shared up projection runs beside the dispatch, the down projection beside the return.
    shared[0].besideForward = dispatch.afterForward
    shared[0].besideBackward = dispatch.beforeBackward
    dispatch.afterForward = nil
    dispatch.beforeBackward = nil
    let last = shared.count - 1
    shared[last].besideForward = combine.beforeForward
    shared[last].besideBackward = combine.afterInputGradient
    combine.beforeForward = nil
    combine.afterInputGradient = nil
    return [router, dispatch, shared[0]] + multiplies + shared[1...] + [combine]
  }

  /// Features of a token as routed experts take it.
  private var expertInputSize: Int { experts?.latentSize ?? hiddenSize }

  /// Multiplies of all experts as one after the other.
  private func apart(_ kernels: [Kernel]) -> [Kernel] {
    kernels.flatMap { kernel -> [Kernel] in
      guard case .matmul(var multiply) = kernel else { return [kernel] }
      let count = multiply.batch
      multiply.batch = 1
      return Array(repeating: .matmul(multiply), count: count)
    }
  }

  /// Whether bias, limits and activation of experts, and the quantisation behind it, are inside their multiplies.
  ///
  /// In those kernels, of block-scaled operands and gated activations only.
  ///
  /// Unless said, for models with limits: Megatron-Bridge's recipes of gpt-oss in MXFP8 have turned it on
  /// from the first (`cutedsl_fused_grouped_mlp` in `gpt_oss_workload_base_configs.py`).
  private func isOneKernel(shard: LayerShard, fusion: Fusion) -> Bool {
    fusion.weighsExpertsInside && !fusion.multipliesExpertsApart && shard.matmulFormat == .mxfp8
      && feedForward.activation.isGated && (fusion.fusesExperts ?? feedForward.clampsGate)
  }

  /// Gate and product of a clamped activation limited in passes of their own, before the activation.
  ///
  /// Megatron-Core's `weighted_bias_quick_geglu_impl`: two clamps (2 bytes read and 2 written a value
  /// of either half) and their concatenation (4, 4 a pair); what it is made of is kept beside it.
  /// Backward `clamp_backward` of PyTorch compares (2, 1) and chooses (3, 2), for the half with two
  /// limits it compares twice (2, 1; 2, 1), joins (2, 1) and chooses (3, 2); then the two gradients
  /// are joined (4, 4).
  private func clamp(_ traffic: ExpertTraffic, width: Int, shard: LayerShard, fusion: Fusion)
    -> [Operation]
  {
    guard feedForward.clampsGate, fusion.clampsApart, !isOneKernel(shard: shard, fusion: fusion)
    else { return [] }
    var operation = Operation("expert_clamp")
    let half = shard.bytes(traffic.expertRows, width)
    operation.forward = [
      .stream(StreamingKernel(.pointwise, read: 4 * half, written: 4 * half, launches: 3))
    ]
    operation.inputGradient = [
      .stream(StreamingKernel(.pointwise, read: 9 * half, written: 6 * half, launches: 7))
    ]
    operation.saved = 2 * half
    operation.backwardScratch = 2 * half
    return [operation]
  }

  /// The bias behind the experts' down projection, in passes of its own.
  ///
  /// Megatron-Core's `TEGroupedMLP._apply_bias`: of each expert the bias times the fp32 probabilities,
  /// added to its rows in fp32, then all rows joined and cast back: 4 written; 6 read, 4 written; 4, 4;
  /// 4, 2 bytes a value. Backward the gradient goes to fp32 (2, 4), back for the rows (4, 2), joined
  /// (2, 2), times the probabilities and summed for the bias (4, 4; 4), times the bias and summed for
  /// the probabilities (4, 4; 4). Elsewhere one sum in place, and one for the gradient.
  private func expertBias(
    _ traffic: ExpertTraffic, localExperts: Int, shard: LayerShard, fusion: Fusion
  ) -> [Operation] {
    guard feedForward.hasBias, !isOneKernel(shard: shard, fusion: fusion) else { return [] }
    var operation = Operation("expert_bias")
    let values = Int64(traffic.expertRows) * Int64(expertInputSize)
    let pass = { (read: Int64, written: Int64, launches: Int) in
      Kernel.stream(
        StreamingKernel(
          .pointwise, read: read * values, written: written * values, launches: launches))
    }
    if fusion.weighsExpertsInside {
      operation.forward = [pass(14, 14, 2 * localExperts + 2)]
      operation.inputGradient = [pass(24, 16, 5 * localExperts + 2)]
      operation.forwardScratch = 8 * values
      operation.backwardScratch = 8 * values
    } else {
      let bytes = shard.valueBytes
      operation.forward = [pass(bytes, bytes, 1)]
      operation.inputGradient = [pass(bytes, 0, 1)]
    }
    return [operation]
  }

  /// Scores of all experts and the choice among them.
  private func router(
    _ experts: MixtureOfExperts, _ traffic: ExpertTraffic, shard: LayerShard, fusion: Fusion
  ) -> Operation {
    var router = linear(
      "router", tokens: traffic.sourceTokens, input: hiddenSize, output: experts.expertCount,
      shard: shard, fusion: fusion, format: .tf32)
    // Scores are fp32, but from bf16 operands forward and as TF32 backward (Megatron-Core's
    // `RouterGatingLinearFunction` through Transformer Engine's `general_gemm`).
    router.forward =
      linear(
        "router", tokens: traffic.sourceTokens, input: hiddenSize, output: experts.expertCount,
        shard: shard, fusion: fusion, format: shard.activationFormat
      ).forward
    let scores = Int64(traffic.sourceTokens) * Int64(experts.expertCount) * 4
    let select = Kernel.stream(
      StreamingKernel(.rowReduction, read: 4 * scores, written: 3 * scores, launches: 8))
    router.forward.append(select)
    router.inputGradient.append(select)
    // Scores and choices, and its input unless a shared expert keeps that already.
    router.saved = 2 * scores + Int64(traffic.sourceTokens * experts.expertsPerToken) * 8
    if experts.sharedIntermediateSize == 0 {
      router.saved += shard.bytes(traffic.sourceTokens, hiddenSize)
    }
    return router
  }

  /// Tokens to the ranks of their experts, sorted by expert.
  private func dispatch(
    _ traffic: ExpertTraffic, localExperts: Int, shard: LayerShard, fusion: Fusion
  ) -> Operation {
    var dispatch = Operation("expert_dispatch")
    dispatch.readsCounts = shard.dispatch.capacityFactor == nil
    let moves = moves(traffic, localExperts: localExperts, shard: shard, fusion: fusion)
    dispatch.forward = moves.toExperts
    dispatch.inputGradient = moves.back
    if shard.expert > 1 {
      dispatch.afterForward = Exchange(traffic.sending, on: .expert, bytes: traffic.sent)
      dispatch.beforeBackward = Exchange(traffic.returning, on: .expert, bytes: traffic.returned)
    }
    return dispatch
  }

  /// Copies in memory on the way to the experts and back; the backward pass goes the same ways.
  ///
  /// All-to-all: each token is copied for every expert it visits, on arrival rows are sorted by expert
  /// where a rank has several, and sorted back before they return. Fused: the tokens that arrived are
  /// copied for each of the rank's experts they visit.
  ///
  /// Narrow operands are scaled in blocks of rows: Transformer Engine's `Fp8Padding` copies the rows of
  /// each expert to a multiple of 16 or 32 of them, `Fp8Unpadding` the results back (Megatron-Core's
  /// `TEGroupedMLP.forward`), unless a capacity fixes their number.
  private func moves(
    _ traffic: ExpertTraffic, localExperts: Int, shard: LayerShard, fusion: Fusion
  ) -> (toExperts: [Kernel], back: [Kernel]) {
    let pass = { (read: Int64, written: Int64, launches: Int) in
      Kernel.stream(
        StreamingKernel(.gather, read: read, written: written, launches: launches))
    }
    let rows = shard.bytes(traffic.expertRows, expertInputSize)
    let isPadded =
      fusion.padsNarrowExperts && shard.matmulFormat.bytesPerValue < 2
      && shard.dispatch.capacityFactor == nil && !isOneKernel(shard: shard, fusion: fusion)
    let padding: [Kernel] =
      isPadded ? [.stream(StreamingKernel(.pointwise, read: rows, written: rows))] : []
    if traffic.dispatcher == .allToAll || shard.expert == 1 {
      let tokens = shard.bytes(traffic.sourceTokens, expertInputSize)
      let sorting = shard.expert > 1 && localExperts > 1 ? [pass(rows, rows, 1)] : []
      return (
        [pass(tokens, traffic.routed, 3)] + sorting + padding,
        padding + sorting + [pass(traffic.routed, tokens, 3)]
      )
    }
    return (
      [pass(traffic.arrived, rows, 1)] + padding, padding + [pass(rows, traffic.arrived, 1)]
    )
  }

  /// Results back to the tokens, weighed and added.
  private func combine(
    _ experts: MixtureOfExperts, _ traffic: ExpertTraffic, localExperts: Int, shard: LayerShard,
    fusion: Fusion
  ) -> Operation {
    var combine = Operation("expert_combine")
    let moves = moves(traffic, localExperts: localExperts, shard: shard, fusion: fusion)
    combine.forward = moves.back
    combine.inputGradient = moves.toExperts
    if shard.expert > 1 {
      combine.beforeForward = Exchange(traffic.returning, on: .expert, bytes: traffic.returned)
      combine.afterInputGradient = Exchange(traffic.sending, on: .expert, bytes: traffic.sent)
    }
    // The outputs, for the gradient of their weights; else only where each row goes.
    combine.saved =
      fusion.weighsExpertsInside
      ? Int64(traffic.sourceTokens * experts.expertsPerToken) * 4 : traffic.routed
    return combine
  }
}

/// Rows and bytes of a layer's dispatch and combination on the fullest rank.
struct ExpertTraffic {
  let dispatcher: ExpertDispatch.Dispatcher
  /// Tokens of this rank: with sequence parallelism each tensor rank routes its own.
  let sourceTokens: Int
  /// Rows the experts of this rank multiply, all of them together.
  let expertRows: Int
  /// Bytes of this rank's tokens, once for each expert they visit.
  let routed: Int64
  /// Collectives to the experts and back.
  let sending: Exchange.Operation
  let returning: Exchange.Operation
  /// Their sizes.
  let sent: Int64
  let returned: Int64
  /// Bytes of the tokens that arrive at this rank, each once.
  let arrived: Int64
  /// Bytes gathered and reduced between the tensor ranks of an expert.
  let betweenTensorRanks: Int64

  init(_ experts: MixtureOfExperts, hiddenSize: Int, shard: LayerShard) {
    let load = shard.dispatch.load
    let visited = experts.expertsPerToken
    dispatcher = experts.dispatcher(shard.dispatch, nodes: shard.expertNodes)
    sourceTokens = shard.tokensOutside
    let mean = shard.tokens * visited * shard.expertTensor / max(1, shard.tensor)
    expertRows = max(1, Int((Double(mean) * load).rounded()))
    routed = shard.bytes(sourceTokens * visited, hiddenSize)
    guard dispatcher != .allGather else {
      // Every rank gets the tokens of all.
      let whole = shard.bytes(sourceTokens * shard.expert, hiddenSize)
      (sending, returning) = (.allGather, .reduceScatter)
      (sent, returned) = (whole, whole)
      arrived = min(whole, shard.bytes(expertRows, hiddenSize))
      betweenTensorRanks = whole * Int64(shard.expertTensor)
      return
    }
    (sending, returning) = (.allToAll, .allToAll)
    // Inside a node a token goes to each rank once, between nodes to each node once.
    let copies =
      dispatcher == .fused
      ? experts.visitedPlaces(
        of: shard.expertNodes > 1 ? shard.expertNodes : shard.expert,
        routing: shard.dispatch.routing)
      : Double(visited)
    let values = Double(sourceTokens) * copies * Double(hiddenSize) * load
    let isLimited = experts.groupsPerToken < experts.groupCount && dispatcher == .fused
    let format =
      shard.dispatch.format
      ?? (isLimited && shard.matmulFormat.bytesPerValue < shard.activationFormat.bytesPerValue
        ? shard.matmulFormat : shard.activationFormat)
    sent = Int64((values * Double(format.bytesPerValue)).rounded())
    returned = Int64((values * Double(shard.activationFormat.bytesPerValue)).rounded())
    betweenTensorRanks = shard.bytes(expertRows, hiddenSize)
    arrived = min(
      betweenTensorRanks,
      Int64(
        Double(shard.bytes(sourceTokens * shard.expertTensor, hiddenSize)) * load
          * experts.visitedPlaces(of: shard.expert, routing: shard.dispatch.routing)))
  }
}

extension Kernel {
  /// Whether it only passes over memory.
  fileprivate var isPass: Bool {
    if case .stream = self { true } else { false }
  }
}
