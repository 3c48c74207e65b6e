public import Kernels

extension Architecture {
  /// The operations of a layer, in forward order.
  ///
  /// - Parameters:
  ///   - layer: which layer; kinds of layers differ.
  ///   - shard: this rank's part.
  ///   - algorithm: implementation of the attention core.
  ///   - fusion: what the software fuses and keeps.
  /// - Returns: the operations, first to last.
  public func layerOperations(
    layer: Int, shard: LayerShard, algorithm: AttentionAlgorithm, fusion: Fusion
  ) -> [Operation] {
    let operations =
      mixerOperations(layer: layer, shard: shard, algorithm: algorithm, fusion: fusion)
      + feedForwardOperations(layer: layer, shard: shard, fusion: fusion)
    return fusion.fillsOutputs ? operations.map(\.filled) : operations
  }

  /// The operations of the half of a layer that mixes tokens, in forward order: norm, attention,
  /// recurrence or both, dropout and residual; none where the layer is a feed-forward block alone.
  ///
  /// - Parameters:
  ///   - layer: which layer; kinds of layers differ.
  ///   - shard: this rank's part.
  ///   - algorithm: implementation of the attention core.
  ///   - fusion: what the software fuses and keeps.
  /// - Returns: the operations, first to last.
  public func mixerOperations(
    layer: Int, shard: LayerShard, algorithm: AttentionAlgorithm, fusion: Fusion
  ) -> [Operation] {
    let mixer = kind(ofLayer: layer).mixer
    guard mixer != .none else { return [] }
    var operations = [normOperation("input_norm", shard: shard, fusion: fusion)]
    var hasBias = false
    if mixer.hasAttention {
      operations += attending(asLayer: layer).attentionOperations(
        layer: layer, shard: shard, algorithm: algorithm, fusion: fusion)
      hasBias = attention.outputBias
    }
    if mixer.hasRecurrence, let recurrence {
      operations += recurrenceOperations(recurrence, shard: shard, fusion: fusion)
      hasBias = hasBias || recurrence.projectionBias
    }
    if mixer == .both {
      var sum = Operation("mixer_sum")
      let bytes = shard.bytes(shard.tokensOutside, hiddenSize)
      let pass = Kernel.stream(StreamingKernel(.pointwise, read: 2 * bytes, written: bytes))
      sum.forward = [pass]
      // The gradients of the norm's output meet.
      sum.inputGradient = [pass]
      operations.append(sum)
    }
    if normsPerLayer == 4 {
      operations.append(normOperation("post_attention_norm", shard: shard, fusion: fusion))
    }
    if !isParallelBlock {
      operations.append(
        residual(
          mixer.hasAttention ? "attention_residual" : "mixer_residual", hasBias: hasBias,
          shard: shard, fusion: fusion))
    }
    return operations
  }

  /// The operations of a layer's attention between its norm and the residual.
  ///
  /// Kernel counts follow Megatron-LM's layer (arXiv:1909.08053, 2205.05198): QKV projection (column
  /// parallel), core attention over this rank's heads, output projection (row parallel). Kept bytes of
  /// the half are those of arXiv:2205.05198 section 4.1 when every tensor of that paper is kept:
  /// 11·s·b·h + 5·a·s²·b for fp16 with dropout.
  private func attentionOperations(
    layer: Int, shard: LayerShard, algorithm: AttentionAlgorithm, fusion: Fusion
  ) -> [Operation] {
    let heads = max(1, attention.heads / shard.tensor)
    let keyValueHeads = max(1, attention.keyValueHeads / shard.tensor)
    var operations: [Operation] = []
    if let latent = attention.latent {
      operations += latentProjections(latent, heads: heads, shard: shard, fusion: fusion)
    } else {
      let gates = attention.gatesOutput ? heads * attention.valueDimension : 0
      let values = keyValueHeads * attention.valueDimension
      let width = (heads + keyValueHeads) * attention.headDimension + values + gates
      var projection = columnParallel(
        "qkv_proj", input: hiddenSize, output: width, shard: shard, fusion: fusion)
      if attention.inputBias {
        projection.addBias(tokens: shard.tokens, width: width, shard: shard)
      }
      operations.append(projection)
    }
    if attention.normalizesQueryAndKey {
      let width = (heads + keyValueHeads) * attention.headDimension
      operations.append(
        normOperation(
          "qk_norm", shard: shard, fusion: fusion, tokens: shard.tokens, width: width))
    }
    if positions == .rotary {
      let width =
        attention.latent.map { $0.rotaryDimension * (heads + 1) }
        ?? (heads + keyValueHeads) * attention.headDimension
      var rotary = rotary(width: width, shard: shard, fusion: fusion)
      if let latent = attention.latent {
        // Keys are joined from their plain part and the rotated one all heads share, values made
        // contiguous (Megatron-Core's `fused_apply_mla_rope_for_kv`, one kernel; elsewhere a `cat`).
        let value = attention.valueDimension
        let plain = shard.bytes(shard.tokens, heads * (latent.plainDimension + value))
        let joined = plain + shard.bytes(shard.tokens, heads * latent.rotaryDimension)
        rotary.forward.append(
          .stream(StreamingKernel(.pointwise, read: plain, written: joined)))
        rotary.inputGradient.append(
          .stream(StreamingKernel(.pointwise, read: joined, written: plain)))
      }
      if fusion.copiesAroundRotation, attention.latent == nil {
        rotary.copies(
          around: CoreBytes(
            query: shard.bytes(shard.tokens, heads * attention.headDimension),
            key: shard.bytes(shard.tokens, keyValueHeads * attention.headDimension),
            value: shard.bytes(shard.tokens, keyValueHeads * attention.valueDimension), output: 0),
          isShared: heads != keyValueHeads)
      }
      operations.append(rotary)
    }
    if fusion.repeatsKeyValueHeads, heads > keyValueHeads, attention.latent == nil {
      operations.append(
        repeated(keyValueHeads: keyValueHeads, to: heads, shard: shard))
    }
    if let index = attention.index, index.isOwned(byLayer: layer) {
      operations += indexOperations(index, layer: layer, shard: shard, fusion: fusion)
    }
    let coreIndex = operations.count
    operations += core(
      layer: layer, heads: heads, keyValueHeads: keyValueHeads, shard: shard,
      algorithm: algorithm, fusion: fusion)
    if attention.gatesOutput {
      operations.append(outputGate(width: heads * attention.valueDimension, shard: shard))
    }
    var output = rowParallel(
      "out_proj", input: heads * attention.valueDimension, output: hiddenSize, shard: shard,
      fusion: fusion, keepsInput: !algorithm.isFlash || attention.gatesOutput)
    let isShared = algorithm.isFlash && !attention.gatesOutput
    let input = shard.bytes(shard.tokens, heads * attention.valueDimension)
    var kept = input
    if let format = fusion.keptFormats.attentionOutputs {
      // One narrow copy for both: here where attention itself keeps none.
      let narrow = format.bytes(insteadOf: input, in: shard.activationFormat)
      kept = narrow
      if isShared {
        output.saved = 0
      } else if narrow < output.saved {
        output.saved = narrow
        output.forward.append(format.cast(input, in: shard.activationFormat))
        output.weightGradient.insert(
          format.cast(input, in: shard.activationFormat, back: true), at: 0)
        output.backwardScratch += input
      }
    }
    if isShared, output.saved == 0 { operations[coreIndex].sharedOutput = kept }
    if isParallelBlock {
      // Attention and feed-forward outputs are added before the one reduction behind the latter.
      output.afterForward = nil
      output.beforeBackward = nil
    }
    operations.append(output)
    return operations
  }

  /// The sigmoid of the gate times the output of attention, which keeps both.
  private func outputGate(width: Int, shard: LayerShard) -> Operation {
    var gate = Operation("attention_gate")
    let bytes = shard.bytes(shard.tokens, width)
    gate.forward = [
      .stream(StreamingKernel(.pointwise, read: 3 * bytes, written: 2 * bytes, launches: 2))
    ]
    gate.inputGradient = [
      .stream(StreamingKernel(.pointwise, read: 5 * bytes, written: 3 * bytes, launches: 3))
    ]
    // The gate and its sigmoid; the core keeps its output.
    gate.saved = 2 * bytes
    return gate
  }

  /// Queries, keys and values through their low-rank bottlenecks (arXiv:2405.04434, section 2.1).
  private func latentProjections(
    _ latent: LatentAttention, heads: Int, shard: LayerShard, fusion: Fusion
  ) -> [Operation] {
    let queryWidth = heads * (latent.plainDimension + latent.rotaryDimension)
    var operations: [Operation] = []
    // The down projections are not split by tensor parallelism in Megatron-Core.
    var down = columnParallel(
      "latent_down_proj", input: hiddenSize,
      output: (latent.queryRank ?? 0) + latent.keyValueRank + latent.rotaryDimension, shard: shard,
      fusion: fusion)
    down.beforeForward = nil
    down.regather = nil
    down.afterInputGradient = nil
    operations.append(down)
    operations.append(
      normOperation(
        "latent_norm", shard: shard, fusion: fusion, tokens: shard.tokensOutside,
        width: (latent.queryRank ?? 0) + latent.keyValueRank))
    if let rank = latent.queryRank {
      operations.append(
        columnParallel(
          "query_up_proj", input: rank, output: queryWidth, shard: shard, fusion: fusion))
    } else {
      operations.append(
        columnParallel(
          "query_proj", input: hiddenSize, output: queryWidth, shard: shard, fusion: fusion))
    }
    operations.append(
      columnParallel(
        "key_value_up_proj", input: latent.keyValueRank,
        output: heads * (latent.plainDimension + attention.valueDimension), shard: shard,
        fusion: fusion))
    return operations
  }

  /// Rotation of queries and keys, out of place; keeps nothing but tables, and
  /// what it rotates where that shares its tensor with the values.
  private func rotary(width: Int, shard: LayerShard, fusion: Fusion) -> Operation {
    var operation = Operation("rotary")
    let bytes = shard.bytes(shard.tokens, width)
    // Fused: one read, one write. Eager: split, negate, concatenate, two products and a sum, each
    // for queries and keys: about four times the traffic in ten launches.
    let isFused = fusion.rotary && !(attention.scalesRotation && fusion.rotaryCannotScale)
    let passes: Int64 = isFused ? 1 : 4
    let launches = isFused ? 1 : 10
    let kernel = Kernel.stream(
      StreamingKernel(.pointwise, read: bytes * passes, written: bytes * passes, launches: launches)
    )
    operation.forward = [kernel]
    operation.inputGradient = [kernel]
    if fusion.keepsUnrotated { operation.saved = bytes }
    return operation
  }

  /// Scores, softmax, dropout and their product with the values, over context ranks in their style.
  private func core(
    layer: Int, heads: Int, keyValueHeads: Int, shard: LayerShard, algorithm: AttentionAlgorithm,
    fusion: Fusion
  ) -> [Operation] {
    var operation = Operation("attention_core")
    operation.isAttentionCore = true
    let tokens = shard.tokens
    var dimension = attention.headDimension
    var valueDimension = attention.valueDimension
    var keyValueHeads = keyValueHeads
    if algorithm.isFlash, attention.selects(fromKeys: shard.sequenceLength) {
      let sparse = sparseCore
      (dimension, valueDimension) = (sparse.dimension, sparse.valueDimension)
      keyValueHeads = sparse.keyValueHeads ?? keyValueHeads
    }
    // What copies of heads keep is with the copying.
    let owned = keyValueHeads
    if fusion.repeatsKeyValueHeads, algorithm.isFlash, attention.latent == nil {
      keyValueHeads = max(heads, owned)
    }
    // Under Ulysses a rank has all tokens of some heads, at least one of keys and values: where there
    // are fewer than ranks, some hold the same.
    let isUlysses = shard.context > 1 && shard.contextStyle == .ulysses
    let exchangedHeads = isUlysses ? max(keyValueHeads, shard.context) : keyValueHeads
    let bytes = CoreBytes(
      query: shard.bytes(tokens, heads * dimension),
      key: shard.bytes(tokens, exchangedHeads * dimension),
      value: shard.bytes(tokens, exchangedHeads * valueDimension),
      output: shard.bytes(tokens, heads * valueDimension))
    let localHeads = isUlysses ? max(1, heads / shard.context) : heads
    let localKeyValueHeads = isUlysses ? exchangedHeads / shard.context : keyValueHeads
    let queries = isUlysses ? shard.sequenceLength : shard.localSequence
    let keys = shard.sequenceLength
    if algorithm.isFlash {
      // What a kernel that skips masked blocks computes.
      let fraction =
        meanAttendedKeys(layer: layer, sequenceLength: keys, causal: true) / Double(keys)
      let counted =
        meanAttendedKeys(layer: layer, sequenceLength: keys, causal: false) / Double(keys)
      let isNarrow = fusion.narrowsAttention && shard.matmulFormat.hasEightBits
      let kernel = { (pass: Pass) in
        var kernel = AttentionKernel(
          algorithm: algorithm, pass: pass, batch: shard.microBatch, heads: localHeads,
          keyValueHeads: localKeyValueHeads, queryLength: queries, keyLength: keys,
          headDimension: dimension, valueDimension: valueDimension, computedFraction: fraction,
          format: isNarrow ? shard.matmulFormat : shard.activationFormat)
        kernel.countedFraction = counted
        kernel.hasWindow = hasMovingWindow(layer: layer, keys: keys)
        kernel.dropsScores = attentionDropout > 0
        kernel.isDeterministic = fusion.isDeterministic
        kernel.isPackaged = fusion.runsAttentionPackage
        return Kernel.attention(kernel)
      }
      operation.forward = [kernel(.forward)]
      operation.inputGradient = [kernel(.backward)]
      let inputs = bytes.query + bytes.key + bytes.value
      if isNarrow {
        // Along rows and columns: two bytes read, two of one byte written.
        let quantised = { (bytes: Int64) in
          Kernel.stream(StreamingKernel(.pointwise, read: bytes, written: bytes, launches: 3))
        }
        operation.forward.insert(quantised(inputs), at: 0)
        operation.inputGradient.insert(quantised(bytes.output), at: 0)
      }
      if fusion.attentionCopies {
        let copy = Kernel.stream(
          StreamingKernel(.pointwise, read: inputs, written: inputs, launches: 3))
        operation.forward.insert(copy, at: 0)
        operation.inputGradient.append(copy)
      }
      // Query, key, value, output (the output projection's input), and fp32 log-sum-exp per row.
      operation.saved =
        inputs + bytes.output + Int64(4 * shard.microBatch * localHeads * queries)
        - shard.bytes(tokens, (keyValueHeads - owned) * (dimension + valueDimension))
      // fp32 sums of the queries' gradient, one for each part of the keys.
      let sequences = shard.microBatch * localHeads
      let parts = AttentionKernel.deterministicParts(sequences: sequences, units: fusion.flashUnits)
      operation.backwardScratch = inputs + 2 * Int64(parts) * bytes.query
      if let format = fusion.keptFormats.attentionOutputs {
        let format = (kept: format, computed: shard.activationFormat)
        operation.saved -=
          bytes.output - format.kept.bytes(insteadOf: bytes.output, in: format.computed)
        operation.forward.append(format.kept.cast(bytes.output, in: format.computed))
        operation.inputGradient.insert(
          format.kept.cast(bytes.output, in: format.computed, back: true), at: 0)
        operation.backwardScratch += bytes.output
      }
      if fusion.transposesForAttention, shard.microBatch > 1, shard.context == 1 {
        let all = inputs + bytes.output
        let copies = Kernel.stream(
          StreamingKernel(.pointwise, read: all, written: all, launches: 4))
        operation.forward.append(copies)
        operation.inputGradient.append(copies)
        if fusion.keptFormats.attentionOutputs == nil { operation.saved += bytes.output }
      }
    } else {
      unfusedCore(
        &operation, heads: localHeads, queries: queries, shard: shard, algorithm: algorithm,
        kept: bytes.query + bytes.key + bytes.value)
    }
    guard shard.context > 1 else { return [operation] }
    if fusion.ringsInPyTorch, algorithm.isFlash, !isUlysses {
      return operation.ringedInPyTorch(bytes: bytes, shard: shard)
    }
    switch shard.contextStyle {
    case .allGather: return [operation.gathered(bytes: bytes, shard: shard)]
    case .ulysses: return [operation.scattered(bytes: bytes)]
    case .ring:
      if algorithm.isFlash {
        let isOneTensor =
          positions != .rotary && !attention.normalizesQueryAndKey && attention.latent == nil
        return operation.ringed(bytes: bytes, shard: shard, isOneTensor: isOneTensor)
      }
      // Unfused scores are not cut by part: one computation beside all the traffic.
      let passed = (bytes.key + bytes.value) * Int64(shard.context)
      operation.besideForward = Exchange(.allGather, on: .context, bytes: passed)
      operation.besideBackward = Exchange(.allGather, on: .context, bytes: 2 * passed)
      return [operation]
    }
  }

  /// Two batched multiplies with the softmax between them in memory; computes masked scores too.
  private func unfusedCore(
    _ operation: inout Operation, heads: Int, queries: Int, shard: LayerShard,
    algorithm: AttentionAlgorithm, kept: Int64
  ) {
    let keys = shard.sequenceLength
    let batch = shard.microBatch * heads
    let scores = Int64(batch) * Int64(queries) * Int64(keys)
    let bytes = scores * shard.valueBytes
    let format = shard.activationFormat
    let product = { (m: Int, n: Int, k: Int) in
      Kernel.matmul(Matmul(m: m, n: n, k: k, batch: batch, format: format))
    }
    let pass = { (read: Int64, written: Int64, launches: Int) in
      Kernel.stream(
        StreamingKernel(.rowReduction, read: read, written: written, launches: launches))
    }
    let fused =
      algorithm == .fusedSoftmax && Self.fusesSoftmax(batch: batch, queries: queries, keys: keys)
    // Eager: cast, scale, mask and cast back are operations beside the softmax.
    if !fused { operation.hostOperations += 4 }
    let hasDropout = attentionDropout > 0
    let dimension = attention.headDimension
    operation.forward = [product(queries, keys, dimension)]
    // Fused: scale, causal mask and softmax in one read, of the lower triangle only, and write
    // (Megatron-LM's scaled_upper_triang_masked_softmax). Unfused: scale, mask fill, cast
    // to fp32, softmax, cast back: five kernels, two of them over twice the bytes.
    operation.forward.append(fused ? pass(bytes / 2, bytes, 1) : pass(7 * bytes, 7 * bytes, 5))
    if hasDropout {
      operation.forward.append(pass(bytes, bytes + scores, 1))
    }
    operation.forward.append(product(queries, attention.valueDimension, keys))
    operation.inputGradient = [
      product(queries, keys, attention.valueDimension),
      product(keys, attention.valueDimension, queries),
    ]
    if hasDropout { operation.inputGradient.append(pass(bytes + scores, bytes, 1)) }
    operation.inputGradient.append(
      fused ? pass(bytes, bytes, 1) : pass(8 * bytes, 6 * bytes, 5))
    operation.inputGradient += [
      product(queries, dimension, keys), product(keys, dimension, queries),
    ]
    // Softmax output, dropout mask and dropout output: 2 + 1 + 2 bytes a score (2205.05198). Unfused the
    // softmax keeps its output in fp32, and what it is cast to stays only where a product reads it, not
    // dropout, which keeps its mask (`forward_torch_softmax` of Megatron-LM's `fused_softmax.py`).
    operation.saved = kept + bytes + (hasDropout ? scores + bytes : 0)
    if !fused { operation.saved += hasDropout ? bytes : 2 * bytes }
    // In place on the scores when fused. Else the scores in fp32 beside the softmax of them; backward the
    // gradient in fp32 beside that of the softmax's input (`forward_torch_softmax` of Megatron-LM's
    // `fused_softmax.py`).
    operation.forwardScratch = fused ? bytes : 2 * bytes
    operation.backwardScratch = fused ? 2 * bytes : 4 * bytes
  }

  /// Whether Megatron's fused softmax takes scores of this shape; others go through PyTorch's.
  ///
  /// Its blocks do four rows of scores, each of another sequence and head, of 16 to 4,096 keys
  /// (`is_kernel_available` in Megatron-LM's `fused_softmax.py`). So one sequence with two heads on a
  /// rank, 16 heads over eight ranks say, is not fused, and two sequences are.
  private static func fusesSoftmax(batch: Int, queries: Int, keys: Int) -> Bool {
    batch % 4 == 0 && queries % 4 == 0 && keys % 4 == 0 && keys > 16 && keys <= 4_096
  }
}
