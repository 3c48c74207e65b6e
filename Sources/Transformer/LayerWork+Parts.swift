import Kernels

extension Architecture {
  /// A norm over `tokens` rows of `width` values, the hidden ones of this rank unless given.
  func normOperation(
    _ name: String, shard: LayerShard, fusion: Fusion, tokens: Int? = nil, width: Int? = nil
  ) -> Operation {
    var operation = Operation(name)
    let bytes = shard.bytes(tokens ?? shard.tokensOutside, width ?? hiddenSize)
    // Fused: read, write; backward reads input and gradient twice, for the input's and the weight's
    // gradient, and writes one (10 bytes a value, as layer timings on an A100 show). Eager RMSNorm: to fp32 (2+4
    // bytes), square (4+4), mean (4), scale (4+4), back (4+2), weight (2+2): nine times the reads
    // and eight times the writes in eight launches.
    let (factor, launches): (Int64, Int) = fusion.norm ? (1, 1) : (8, 8)
    operation.forward = [
      .stream(
        StreamingKernel(
          .rowReduction, read: factor * bytes, written: factor * bytes, launches: launches))
    ]
    operation.inputGradient = [
      .stream(
        StreamingKernel(
          .rowReduction, read: 4 * factor * bytes, written: factor * bytes, launches: launches + 1)
      )
    ]
    // Eager: what is normalised, before the weight, stays as well.
    operation.saved = fusion.norm ? bytes : 2 * bytes
    // Its input stays for the residual sum before it; the multiply after it keeps as much, quantised
    // maybe.
    operation.savedCheaply =
      operation.saved - bytes
      + keptInput(tokens ?? shard.tokensOutside, width ?? hiddenSize, shard: shard, fusion: fusion)
    return operation
  }

  /// Bytes a linear layer keeps of an input of `tokens` rows and `width` columns.
  func keptInput(_ tokens: Int, _ width: Int, shard: LayerShard, fusion: Fusion) -> Int64 {
    let value = fusion.keptBytesPerValue(for: shard.matmulFormat, of: shard.activationFormat)
    return Int64((Double(tokens) * Double(width) * value).rounded(.up))
  }

  /// A linear layer whose output features are split over tensor-parallel ranks.
  ///
  /// Without sequence parallelism the gradient of its input is all-reduced; with it the input is
  /// gathered before, gathered again for the weight gradient, and the gradient reduce-scattered
  /// (arXiv:2205.05198, section 4.2.2).
  func columnParallel(
    _ name: String, input: Int, output: Int, shard: LayerShard, fusion: Fusion
  ) -> Operation {
    var operation = linear(
      name, tokens: shard.tokens, input: input, output: output, shard: shard, fusion: fusion)
    let whole = shard.bytes(shard.tokens, input)
    operation.saved = keptInput(shard.tokensOutside, input, shard: shard, fusion: fusion)
    if shard.tensor > 1 {
      if shard.sequenceParallel, fusion.keepsGatheredInputs {
        operation.saved = whole
        operation.beforeForward = Exchange(.allGather, on: .tensor, bytes: whole)
        operation.afterInputGradient = Exchange(.reduceScatter, on: .tensor, bytes: whole)
        operation.backwardScratch += whole
      } else if shard.sequenceParallel {
        operation.beforeForward = Exchange(.allGather, on: .tensor, bytes: whole)
        if fusion.splitsGatheredRows { operation.forward = rows(of: operation.forward, shard) }
        if !fusion.gathersInputOnce {
          operation.regather = Exchange(.allGather, on: .tensor, bytes: whole)
        }
        operation.afterInputGradient = Exchange(.reduceScatter, on: .tensor, bytes: whole)
        let keepsBuffer = fusion.keepsGatherBuffers || fusion.gathersIntoShared == .columns
        let gathered = keepsBuffer ? 0 : whole
        operation.forwardScratch = gathered
        operation.backwardScratch += gathered + whole
      } else {
        operation.afterInputGradient = Exchange(.allReduce, on: .tensor, bytes: whole)
        operation.backwardScratch += whole
      }
    }
    return operation
  }

  /// A linear layer whose input features are split over tensor-parallel ranks.
  func rowParallel(
    _ name: String, input: Int, output: Int, shard: LayerShard, fusion: Fusion,
    keepsInput: Bool = true
  ) -> Operation {
    var operation = linear(
      name, tokens: shard.tokens, input: input, output: output, shard: shard, fusion: fusion)
    let kept = keptInput(shard.tokens, input, shard: shard, fusion: fusion)
    // What attention keeps of it does for an unquantised multiply only.
    operation.saved = keepsInput || kept < shard.bytes(shard.tokens, input) ? kept : 0
    let whole = shard.bytes(shard.tokens, output)
    operation.backwardScratch += shard.bytes(shard.tokens, input)
    if shard.tensor > 1 {
      if shard.sequenceParallel {
        operation.afterForward = Exchange(.reduceScatter, on: .tensor, bytes: whole)
        operation.beforeBackward = Exchange(.allGather, on: .tensor, bytes: whole)
        if fusion.splitsGatheredRows {
          operation.inputGradient = rows(of: operation.inputGradient, shard)
        }
        operation.forwardScratch = whole
        operation.backwardScratch += fusion.keepsGatherBuffers ? 0 : whole
      } else {
        operation.afterForward = Exchange(.allReduce, on: .tensor, bytes: whole)
      }
    }
    return operation
  }

  /// A multiply over gathered rows in the pieces a rank in the middle of its group makes of it.
  ///
  /// Its own rows, those before, those behind.
  private func rows(of kernels: [Kernel], _ shard: LayerShard) -> [Kernel] {
    kernels.flatMap { kernel -> [Kernel] in
      guard case .matmul(let whole) = kernel else { return [kernel] }
      let own = (whole.m + shard.tensor - 1) / shard.tensor
      let before = min(whole.m - own, own * (shard.tensor / 2))
      return [own, before, whole.m - own - before].filter { $0 > 0 }.map {
        var piece = whole
        piece.m = $0
        return .matmul(piece)
      }
    }
  }

  /// The three multiplies of a linear layer: output, input gradient, weight gradient.
  func linear(
    _ name: String, tokens: Int, input: Int, output: Int, batch: Int = 1, shard: LayerShard,
    fusion: Fusion, format: NumberFormat? = nil
  ) -> Operation {
    var operation = Operation(name)
    let format = format ?? shard.matmulFormat
    let outputBytes = shard.activationFormat.bytesPerValue
    let fusesAccumulation = fusion.gradientAccumulation
    operation.forward = [
      .matmul(
        Matmul(
          m: tokens, n: output, k: input, batch: batch, format: format,
          outputBytesPerValue: outputBytes))
    ]
    operation.inputGradient = [
      .matmul(
        Matmul(
          m: tokens, n: input, k: output, batch: batch, format: format,
          outputBytesPerValue: outputBytes))
    ]
    operation.weightGradient = [
      .matmul(
        Matmul(
          m: output, n: input, k: tokens, batch: batch, format: format,
          outputBytesPerValue: fusesAccumulation ? Double(fusion.accumulatedBytes) : outputBytes,
          accumulates: fusesAccumulation,
          leftIsTransposed: true))
    ]
    if fusion.makesFreshGradients {
      operation.backwardScratch =
        Int64(batch) * Int64(input) * Int64(output) * shard.valueBytes
    }
    if !fusesAccumulation {
      operation.weightGradient += accumulation(
        of: Int64(batch) * Int64(input) * Int64(output), fusion: fusion)
    }
    if format.bytesPerValue < 2, fusion.quantizePasses {
      // Each fp8 operand is read in bf16, its maximum taken, and written in fp8, also transposed.
      let inputs = Int64(batch) * Int64(tokens) * Int64(input)
      let outputs = Int64(batch) * Int64(tokens) * Int64(output)
      operation.forward.insert(
        .stream(StreamingKernel(.pointwise, read: inputs * 2, written: inputs * 2)), at: 0)
      operation.inputGradient.insert(
        .stream(StreamingKernel(.pointwise, read: outputs * 2, written: outputs * 2)), at: 0)
    }
    return operation
  }

  /// The pass that adds a fresh gradient of `values` weights, two bytes each, to the accumulated one.
  ///
  /// None where the only microbatch's is taken as it is.
  func accumulation(of values: Int64, fusion: Fusion) -> [Kernel] {
    if fusion.accumulatesEagerly {
      return [
        .stream(
          StreamingKernel(.pointwise, read: values * 10, written: values * 10, launches: 3))
      ]
    }
    let added = Int64((Double(values) * fusion.accumulatedShare).rounded())
    guard added > 0 else { return [] }
    return [
      .stream(
        StreamingKernel(
          .pointwise, read: added * (2 + fusion.accumulatedBytes),
          written: added * fusion.accumulatedBytes))
    ]
  }

  /// Bias, dropout and the sum with the residual stream.
  func residual(_ name: String, hasBias: Bool, shard: LayerShard, fusion: Fusion) -> Operation {
    var operation = Operation(name)
    let values = Int64(shard.tokensOutside) * Int64(hiddenSize)
    let bytes = values * shard.valueBytes
    let mask = hiddenDropout > 0 ? values : 0
    let separate = (hasBias ? 1 : 0) + (hiddenDropout > 0 ? 1 : 0)
    let launches = fusion.biasDropoutAdd ? 1 : 1 + separate
    let extra = fusion.biasDropoutAdd ? 0 : Int64(separate) * bytes
    operation.forward = [
      .stream(
        StreamingKernel(
          .pointwise, read: 2 * bytes + extra, written: bytes + mask + extra, launches: launches))
    ]
    // Backward: the gradient passes the sum untouched; the mask scales it on the branch, and the
    // two branches meeting again add (one read of each, one write).
    operation.inputGradient = [
      .stream(
        StreamingKernel(
          .pointwise, read: 2 * bytes + (mask > 0 ? bytes + mask : 0),
          written: bytes + (mask > 0 ? bytes : 0), launches: mask > 0 ? 2 : 1))
    ]
    operation.saved = mask
    return operation
  }
}

extension Operation {
  /// Adds the gradient of a bias over `tokens` rows; the forward addition is in the epilogue.
  mutating func addBias(tokens: Int, width: Int, shard: LayerShard) {
    let bytes = shard.bytes(tokens, width)
    weightGradient.append(
      .stream(StreamingKernel(.rowReduction, read: bytes, written: Int64(width) * 2)))
  }
}
