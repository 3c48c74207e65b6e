import Kernels

extension Architecture {
  /// The operations of the feed-forward half of a layer, in forward order.
  ///
  /// Dense: norm, up (and gate) projection, activation, down projection, dropout and residual;
  /// kept bytes 19·s·b·h with gelu and dropout (arXiv:2205.05198, section 4.1). Experts: router,
  /// permutation, dispatch, grouped multiplies, combine.
  /// - Parameters:
  ///   - layer: which layer; dense and expert layers differ.
  ///   - shard: this rank's part.
  ///   - fusion: what the software fuses and keeps.
  /// - Returns: the operations, first to last.
  public func feedForwardOperations(layer: Int, shard: LayerShard, fusion: Fusion) -> [Operation] {
    let kind = kind(ofLayer: layer)
    guard kind.hasFeedForward else { return [] }
    var operations: [Operation] = []
    if normsPerLayer > 1 {
      operations.append(normOperation("feed_forward_norm", shard: shard, fusion: fusion))
    }
    if let experts, kind.isExpert {
      operations += expertOperations(experts, shard: shard, fusion: fusion)
    } else {
      operations += denseBlock(
        "", width: kind.feedForwardWidth / shard.tensor, shard: shard, fusion: fusion)
    }
    if normsPerLayer == 4 {
      operations.append(normOperation("post_feed_forward_norm", shard: shard, fusion: fusion))
    }
    operations.append(
      residual("feed_forward_residual", hasBias: feedForward.hasBias, shard: shard, fusion: fusion))
    return operations
  }

  /// Up projection, activation, down projection of `width` local features.
  func denseBlock(_ prefix: String, width: Int, shard: LayerShard, fusion: Fusion)
    -> [Operation]
  {
    let isGated = feedForward.activation.isGated
    let down = rowParallel(
      prefix + "down_proj", input: width, output: hiddenSize, shard: shard, fusion: fusion)
    let activation = activation(
      prefix + "activation", rows: shard.tokens, width: width, shard: shard, fusion: fusion)
    if isGated, fusion.projectsGateApart {
      return gateAndUp(prefix, width: width, shard: shard, fusion: fusion) + [activation, down]
    }
    var up = columnParallel(
      prefix + "up_proj", input: hiddenSize, output: isGated ? 2 * width : width, shard: shard,
      fusion: fusion)
    if feedForward.hasBias {
      up.addBias(tokens: shard.tokens, width: isGated ? 2 * width : width, shard: shard)
    }
    return [up, activation, down]
  }

  /// Gate and up projection as layers of their own.
  ///
  /// Their input is kept once. Under sequence parallelism it is gathered once and its gradients are added
  /// before they are scattered; else each layer all-reduces its own.
  private func gateAndUp(_ prefix: String, width: Int, shard: LayerShard, fusion: Fusion)
    -> [Operation]
  {
    var gate = columnParallel(
      prefix + "gate_proj", input: hiddenSize, output: width, shard: shard, fusion: fusion)
    var up = columnParallel(
      prefix + "up_proj", input: hiddenSize, output: width, shard: shard, fusion: fusion)
    up.saved = 0
    if shard.sequenceParallel {
      up.beforeForward = nil
      up.regather = nil
      up.afterInputGradient = nil
    }
    let whole = shard.bytes(shard.tokens, hiddenSize)
    gate.inputGradient.append(
      .stream(StreamingKernel(.pointwise, read: 2 * whole, written: whole)))
    guard feedForward.hasBias else { return [gate, up] }
    gate.addBias(tokens: shard.tokens, width: width, shard: shard)
    up.addBias(tokens: shard.tokens, width: width, shard: shard)
    return [gate, up]
  }

  /// The non-linearity over `rows` × `width`; keeps its input.
  func activation(_ name: String, rows: Int, width: Int, shard: LayerShard, fusion: Fusion)
    -> Operation
  {
    var operation = Operation(name)
    let bytes = shard.bytes(rows, width)
    let isGated = feedForward.activation.isGated
    let inputs: Int64 = isGated ? 2 : 1
    let hasBias = feedForward.hasBias
    if feedForward.activation.isGated {
      // Fused: read gate and up, write the product. Eager: SiLU, then the product: 4 reads and
      // writes more; keeps SiLU's output as well.
      operation.forward = [
        .stream(
          StreamingKernel(
            .pointwise, read: fusion.gate ? 2 * bytes : 3 * bytes,
            written: fusion.gate ? bytes : 2 * bytes, launches: fusion.gate ? 1 : 2))
      ]
      operation.inputGradient = [
        .stream(
          StreamingKernel(
            .pointwise, read: fusion.gate ? 3 * bytes : 6 * bytes,
            written: fusion.gate ? 2 * bytes : 4 * bytes, launches: fusion.gate ? 1 : 4))
      ]
      operation.saved = 2 * bytes + (fusion.gate ? 0 : bytes)
    } else {
      let extra: Int64 = hasBias && !fusion.biasActivation ? bytes : 0
      let unfusedSquare = feedForward.activation == .squaredReLU && !fusion.biasActivation
      operation.forward = [
        .stream(
          StreamingKernel(
            .pointwise, read: bytes + extra, written: bytes + extra,
            launches: 1 + (extra > 0 ? 1 : 0) + (unfusedSquare ? 1 : 0)))
      ]
      operation.inputGradient = [
        .stream(StreamingKernel(.pointwise, read: 2 * bytes, written: bytes))
      ]
      operation.saved = bytes
    }
    operation.backwardScratch = inputs * bytes
    if let format = fusion.keptFormats.activationInputs {
      let input = inputs * bytes
      operation.saved -= input - format.bytes(insteadOf: input, in: shard.activationFormat)
      operation.forward.append(format.cast(input, in: shard.activationFormat))
      operation.inputGradient.insert(
        format.cast(input, in: shard.activationFormat, back: true), at: 0)
      operation.backwardScratch += input
    }
    // Its inputs stay; the multiply after it keeps as much as it makes.
    operation.savedCheaply = min(
      operation.saved - (isGated && fusion.keptFormats.activationInputs == nil ? bytes : 0),
      (isGated && !fusion.gate ? bytes : 0)
        + keptInput(rows, width, shard: shard, fusion: fusion))
    return operation
  }

  /// The token (and position) embedding.
  ///
  /// Rows looked up, masked and all-reduced when the vocabulary is split.
  public func embeddingOperations(shard: LayerShard, fusion: Fusion) -> [Operation] {
    var operation = Operation("embedding")
    let bytes = shard.bytes(shard.tokens, hiddenSize)
    let outside = shard.bytes(shard.tokensOutside, hiddenSize)
    let isSplit = shard.tensor > 1
    let hasPositions = positions == .learned
    operation.forward = [
      .stream(
        StreamingKernel(
          .gather, read: bytes * (isSplit ? 2 : 1), written: bytes * (isSplit ? 2 : 1),
          launches: isSplit ? 5 : 1))
    ]
    if hasPositions {
      operation.forward.append(
        .stream(StreamingKernel(.pointwise, read: 2 * bytes, written: 2 * bytes, launches: 2)))
    }
    if hiddenDropout > 0 {
      let mask = Int64(shard.tokensOutside) * Int64(hiddenSize)
      operation.forward.append(
        .stream(StreamingKernel(.pointwise, read: outside, written: outside + mask)))
      operation.saved += mask
    }
    // Sorted scatter-add of rows; also for positions. Its output is a gradient of the whole table, zeros
    // in rows that were not looked up (`embedding_dense_backward` in PyTorch), and added like any other.
    let table = Int64(shard.vocabularyShare) * Int64(hiddenSize)
    operation.weightGradient = [
      .stream(StreamingKernel(.pointwise, read: 0, written: table * shard.valueBytes)),
      .stream(StreamingKernel(.gather, read: 3 * bytes, written: 2 * bytes, launches: 8)),
    ]
    operation.weightGradient += accumulation(of: table, fusion: fusion)
    operation.saved += Int64(shard.tokens) * 8
    if isSplit {
      operation.afterForward = Exchange(
        shard.sequenceParallel ? .reduceScatter : .allReduce, on: .tensor, bytes: bytes)
      if shard.sequenceParallel {
        operation.beforeBackward = Exchange(.allGather, on: .tensor, bytes: bytes)
      }
    }
    return normalizesEmbedding
      ? [operation, normOperation("embedding_norm", shard: shard, fusion: fusion)] : [operation]
  }

  /// Final norm, output projection and cross-entropy.
  ///
  /// - Parameters:
  ///   - shard: this rank's part.
  ///   - fusion: what the software fuses and keeps.
  ///   - vocabularySplit: whether logits stay split over tensor ranks for the loss.
  /// - Returns: the operations, first to last.
  public func headOperations(shard: LayerShard, fusion: Fusion, vocabularySplit: Bool = true)
    -> [Operation]
  {
    let width = shard.vocabularyShare
    var fusion = fusion
    if fusion.gathersIntoShared == .head { fusion.gathersIntoShared = .columns }
    var projection = columnParallel(
      "output_proj", input: hiddenSize, output: width, shard: shard, fusion: fusion)
    // The output projection is not quantised in any fp8 recipe in use.
    if shard.matmulFormat.bytesPerValue < 2 {
      var plain = shard
      plain.matmulFormat = shard.activationFormat
      projection = columnParallel(
        "output_proj", input: hiddenSize, output: width, shard: plain, fusion: fusion)
    }
    var loss = Operation("cross_entropy")
    let isGathered = shard.tensor > 1 && !vocabularySplit
    let values = Int64(shard.tokens) * Int64(isGathered ? shard.vocabulary : width)
    if isGathered {
      // Every rank takes the loss over the whole vocabulary: the logits are gathered.
      projection.afterForward = Exchange(
        .allGather, on: .tensor, bytes: values * shard.valueBytes)
    }
    let half = values * shard.valueBytes
    if fusion.crossEntropyFused {
      // One kernel a direction; the gradient overwrites the logits.
      loss.forward = [.stream(StreamingKernel(.rowReduction, read: 2 * half, written: 0))]
      loss.inputGradient = [.stream(StreamingKernel(.rowReduction, read: half, written: half))]
      loss.saved = half
    } else if fusion.crossEntropyCompiled, shard.tensor == 1 || !vocabularySplit {
      loss.forward = [.stream(StreamingKernel(.rowReduction, read: 2 * half, written: 0))]
      loss.inputGradient = [.stream(StreamingKernel(.rowReduction, read: half, written: half))]
      loss.saved = half
      loss.backwardScratch = half
    } else if fusion.crossEntropy {
      // fp32 copy of the logits; maximum, exponent and sum in place; gradient in place.
      loss.forward = [
        .stream(
          StreamingKernel(
            .rowReduction, read: half + 12 * values, written: 8 * values, launches: 10))
      ]
      loss.inputGradient = [
        .stream(
          StreamingKernel(.rowReduction, read: 8 * values, written: 4 * values + half, launches: 6))
      ]
      if fusion.crossEntropyPartlyCompiled {
        // What one pass saves, the copy back takes: the same bytes in fewer launches.
        loss.forward = [
          .stream(
            StreamingKernel(
              .rowReduction, read: half + 12 * values, written: 8 * values, launches: 4))
        ]
        loss.inputGradient = [
          .stream(
            StreamingKernel(
              .rowReduction, read: 8 * values, written: 4 * values + half, launches: 2))
        ]
      } else if !fusion.crossEntropyInPlace {
        // Eager (nanotron's `_ShardedCrossEntropy`): the fp32 copy, less the maximum, its exponents,
        // divided by their sum; maximum and sum are read over it.
        loss.forward = [
          .stream(
            StreamingKernel(
              .pointwise, read: half + 12 * values, written: 16 * values, launches: 8)),
          .stream(StreamingKernel(.rowReduction, read: 8 * values, written: 0, launches: 2)),
        ]
        loss.inputGradient = [
          .stream(
            StreamingKernel(.pointwise, read: 8 * values, written: 4 * values + half, launches: 6))
        ]
      }
      // Logits, their fp32 copy turned in place into exponents and then the gradient: 6 bytes a
      // value. Where maximum and exponents are tensors of their own: 10.
      let copy = fusion.crossEntropyInPlace && !fusion.crossEntropyPartlyCompiled ? 0 : 4 * values
      loss.saved = 4 * values
      loss.forwardScratch = half + copy
      loss.backwardScratch = half + copy
    } else {
      // Cast to fp32, log-softmax, and their backward, each a tensor of its own. PyTorch's softmax of long
      // rows (`aten/src/ATen/native/cuda/SoftMax.cu`) reads them three times, for their maximum, their
      // sum and the result, and going back the gradient twice beside the output; the gradient of the
      // targets' part is cleared first (`NLLLoss` backward). What is read again comes from L2 where
      // the rows in flight fit there.
      let again: Int64 = shard.vocabulary > fusion.cachedRowValues ? 4 : 0
      loss.forward = [
        .stream(
          StreamingKernel(
            .rowReduction, read: half + (4 + 2 * again) * values, written: 8 * values, launches: 4))
      ]
      loss.inputGradient = [
        .stream(
          StreamingKernel(
            .rowReduction, read: (12 + again) * values, written: 8 * values + half, launches: 4))
      ]
      // The gradient of the log-softmax and that of its input are whole tensors beside it, and the
      // caller still holds the logits.
      loss.saved = 4 * values
      loss.forwardScratch = half + 4 * values
      loss.backwardScratch = 8 * values + half
      if shard.tensor > 1, vocabularySplit {
        // In pieces (`loss_parallel` of torch.distributed.tensor): the logits less their maximum and the
        // exponents of that at once; backward exponents, their sum with the targets' part, and its
        // product with the loss's gradient.
        loss.forwardScratch = half + 8 * values
        loss.backwardScratch = 12 * values + half
      }
    }
    if isGathered {
      // Part by part into a list, where PyTorch's `all_gather` copies them from one flat buffer, and
      // joined along rows; a rank's part of the gradient is copied out.
      loss.forward.insert(
        .stream(
          StreamingKernel(
            .pointwise, read: 2 * half, written: 2 * half, launches: shard.tensor + 1)), at: 0)
      let part = half / Int64(shard.tensor)
      loss.inputGradient.append(
        .stream(StreamingKernel(.pointwise, read: part, written: part)))
    }
    if shard.tensor > 1, vocabularySplit {
      // Maximum, target logit and sum are all-reduced: three fp32 values a token.
      loss.afterForward = Exchange(
        .allReduce, on: .tensor, bytes: Int64(shard.tokens) * 12)
    }
    // Losses that add in the same order every time are PyTorch's own operations, which fill nothing.
    let products = [normOperation("final_norm", shard: shard, fusion: fusion), projection]
    return (fusion.fillsOutputs ? products.map(\.filled) : products) + [loss]
  }

  /// What a next-token prediction module adds to its layer.
  ///
  /// Norms of embedding and hidden state, their projection, and the shared head once more (arXiv:2412.19437,
  /// section 2.2).
  ///
  /// - Parameters:
  ///   - shard: this rank's part.
  ///   - fusion: what the software fuses and keeps.
  ///   - vocabularySplit: whether logits stay split over tensor ranks for the loss.
  /// - Returns: the operations, first to last.
  public func nextTokenOperations(shard: LayerShard, fusion: Fusion, vocabularySplit: Bool)
    -> [Operation]
  {
    let own = [
      normOperation("next_token_embedding_norm", shard: shard, fusion: fusion),
      normOperation("next_token_hidden_norm", shard: shard, fusion: fusion),
      columnParallel(
        "next_token_proj", input: 2 * hiddenSize, output: hiddenSize / shard.tensor, shard: shard,
        fusion: fusion),
    ]
    return (fusion.fillsOutputs ? own.map(\.filled) : own)
      + headOperations(shard: shard, fusion: fusion, vocabularySplit: vocabularySplit)
  }
}
