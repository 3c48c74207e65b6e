import Kernels

/// A rank's part of a recurrence: its heads over some tokens.
struct RecurrenceShard {
  /// Sequences.
  var sequences: Int
  /// Tokens of each.
  var length: Int
  /// Heads (of values) here.
  var heads: Int
  /// Key heads, or groups, here.
  var groups: Int
  /// Format of activations.
  var format: NumberFormat

  /// Tokens in all.
  var tokens: Double { Double(sequences) * Double(length) }
  /// Bytes of a value.
  var valueBytes: Double { format.bytesPerValue }

  /// The part of `recurrence` on a rank of `shard`.
  ///
  /// Context ranks exchange tokens for heads before the convolution and back behind the norm: each has
  /// whole sequences of its heads (Megatron-Core's `mamba_context_parallel.py`; groups fewer than ranks
  /// are repeated).
  init(_ recurrence: Recurrence, _ shard: LayerShard) {
    sequences = shard.microBatch
    length = shard.sequenceLength
    let ranks = shard.tensor * shard.context
    heads = max(1, recurrence.heads / ranks)
    groups = max(1, recurrence.groups / ranks)
    format = shard.activationFormat
  }
}

extension Architecture {
  /// The operations of a layer's recurrence between its norm and the residual, in forward order.
  ///
  /// Input projections (column parallel), convolution, recurrence, gate and norm over this rank's heads,
  /// output projection (row parallel), as Megatron-Core's `MambaMixer` and `GatedDeltaNet` split them.
  /// What is kept is what the autograd functions of the kernels save: see each kind.
  func recurrenceOperations(_ recurrence: Recurrence, shard: LayerShard, fusion: Fusion)
    -> [Operation]
  {
    switch recurrence.kind {
    case .selectiveScan: selectiveScanOperations(recurrence, shard: shard, fusion: fusion)
    case .stateSpaceDuality:
      projected(
        recurrence, outputs: 2 * recurrence.width + 2 * recurrence.keyWidth + recurrence.heads,
        shard: shard, fusion: fusion)
    case .gatedDelta:
      projected(
        recurrence, outputs: 2 * recurrence.width + 2 * recurrence.keyWidth + 2 * recurrence.heads,
        shard: shard, fusion: fusion)
    case .kimiDelta: kimiDeltaOperations(recurrence, shard: shard, fusion: fusion)
    case .lightning:
      projected(recurrence, outputs: 4 * recurrence.width, shard: shard, fusion: fusion)
    case .gatedLinearUnit: gatedLinearUnitOperations(recurrence, shard: shard, fusion: fusion)
    }
  }

  /// One input projection, everything between as one operation, one output projection.
  private func projected(
    _ recurrence: Recurrence, outputs: Int, shard: LayerShard, fusion: Fusion
  ) -> [Operation] {
    var input = columnParallel(
      "mixer_in_proj", input: hiddenSize, output: outputs / shard.tensor, shard: shard,
      fusion: fusion)
    if recurrence.projectionBias {
      input.addBias(tokens: shard.tokens, width: outputs / shard.tensor, shard: shard)
    }
    return [
      input, mixing(recurrence, inputs: outputs / shard.tensor, shard: shard),
      rowParallel(
        "mixer_out_proj", input: recurrence.width / shard.tensor, output: hiddenSize, shard: shard,
        fusion: fusion),
    ]
  }

  /// Convolution, recurrence, gate and norm, between two all-to-alls under context parallelism.
  ///
  /// `inputs` are the features of the input projections on a rank.
  private func mixing(_ recurrence: Recurrence, inputs: Int, shard: LayerShard) -> Operation {
    let part = RecurrenceShard(recurrence, shard)
    let parts: RecurrenceParts =
      switch recurrence.kind {
      case .stateSpaceDuality: recurrence.stateSpaceDuality(part)
      case .gatedDelta, .kimiDelta: recurrence.deltaRule(part)
      case .lightning: recurrence.lightning(part)
      case .selectiveScan, .gatedLinearUnit: RecurrenceParts()
      }
    var operation = Operation("mixer_scan")
    operation.forward = parts.forward
    operation.inputGradient = parts.backward
    operation.saved = parts.saved
    operation.forwardScratch = parts.forwardScratch
    operation.backwardScratch = parts.backwardScratch
    guard shard.context > 1 else { return operation }
    let output = shard.bytes(shard.tokens, recurrence.width / shard.tensor)
    return operation.scattered(
      bytes: CoreBytes(
        query: shard.bytes(shard.tokens, inputs), key: 0, value: 0, output: output))
  }

  /// Mamba: convolution, the projections that choose step size, B and C, and the scan.
  ///
  /// One autograd function keeps the input projection's output, step, B and C before and B and C as laid
  /// out for the scan, its states at every 2,048th token and its output; the convolution, the step size
  /// and the gated output are made again (`MambaInnerFn`, `checkpoint_lvl=1`, in mamba_ssm's
  /// `selective_scan_interface.py`). With norms between (Jamba) each part is a function of its own, that
  /// keeps its inputs. Tensor-parallel ranks, each with some channels, add their parts of step, B and C.
  private func selectiveScanOperations(
    _ recurrence: Recurrence, shard: LayerShard, fusion: Fusion
  ) -> [Operation] {
    let width = recurrence.width / shard.tensor
    let choice = recurrence.rank + 2 * recurrence.stateDimension
    let isOne = !recurrence.normalizesInputs
    let part = RecurrenceShard(recurrence, shard)
    let channels = shard.bytes(shard.tokens, width)
    var input = columnParallel(
      "mixer_in_proj", input: hiddenSize, output: 2 * width, shard: shard, fusion: fusion)
    if recurrence.projectionBias {
      input.addBias(tokens: shard.tokens, width: 2 * width, shard: shard)
    }
    var convolution = Operation("mixer_conv")
    let passes = recurrence.convolution(part, channels: Double(width), again: isOne)
    convolution.forward = passes.forward
    convolution.inputGradient = passes.backward
    convolution.saved = 2 * channels
    var selection = linear(
      "mixer_x_proj", tokens: shard.tokens, input: width, output: choice, shard: shard,
      fusion: fusion)
    let chosen = shard.bytes(shard.tokens, choice)
    selection.saved = chosen + (isOne ? 0 : channels)
    var step = linear(
      "mixer_dt_proj", tokens: shard.tokens, input: recurrence.rank, output: width, shard: shard,
      fusion: fusion)
    if shard.tensor > 1 {
      selection.afterForward = Exchange(.allReduce, on: .tensor, bytes: chosen)
      step.afterInputGradient = Exchange(.allReduce, on: .tensor, bytes: chosen)
    }
    if isOne {
      step.inputGradient = step.forward + step.inputGradient
    } else {
      step.saved = shard.bytes(shard.tokens, recurrence.rank)
    }
    var scan = Operation("mixer_scan")
    let scans = recurrence.selectiveScan(part)
    scan.forward = scans.forward
    scan.inputGradient = scans.backward
    scan.saved = scans.saved + (isOne ? 0 : channels)
    scan.backwardScratch = 4 * channels
    let middle =
      isOne
      ? [convolution, selection, step]
      : [
        convolution, selection,
        normOperation(
          "mixer_norm", shard: shard, fusion: fusion, tokens: shard.tokens, width: choice), step,
      ]
    return [input] + middle + [
      scan,
      rowParallel(
        "mixer_out_proj", input: width, output: hiddenSize, shard: shard, fusion: fusion,
        keepsInput: !isOne),
    ]
  }

  /// Kimi Delta Attention: queries, keys, values and what chooses decay and gate in one projection.
  ///
  /// The latter two widened from a bottleneck (fla/layers/kda.py).
  private func kimiDeltaOperations(
    _ recurrence: Recurrence, shard: LayerShard, fusion: Fusion
  ) -> [Operation] {
    let keys = recurrence.keyWidth / shard.tensor
    let width = recurrence.width / shard.tensor
    let inputs = 2 * keys + width + recurrence.heads / shard.tensor
    let input = columnParallel(
      "mixer_in_proj", input: hiddenSize, output: inputs + 2 * recurrence.rank, shard: shard,
      fusion: fusion)
    let widened = [("mixer_decay_proj", keys), ("mixer_gate_proj", width)].map { name, output in
      var operation = linear(
        name, tokens: shard.tokens, input: recurrence.rank, output: output, shard: shard,
        fusion: fusion)
      operation.saved = shard.bytes(shard.tokens, recurrence.rank)
      return operation
    }
    return [input] + widened + [
      mixing(recurrence, inputs: inputs + keys + width, shard: shard),
      rowParallel(
        "mixer_out_proj", input: width, output: hiddenSize, shard: shard, fusion: fusion),
    ]
  }

  /// The real-gated linear recurrent unit between two input branches and an output projection.
  ///
  /// arXiv:2402.19427, section 2.3 and 2.4.
  private func gatedLinearUnitOperations(
    _ recurrence: Recurrence, shard: LayerShard, fusion: Fusion
  ) -> [Operation] {
    let width = recurrence.width / shard.tensor
    let part = RecurrenceShard(recurrence, shard)
    let channels = shard.bytes(shard.tokens, width)
    var input = columnParallel(
      "mixer_in_proj", input: hiddenSize, output: 2 * width, shard: shard, fusion: fusion)
    input.addBias(tokens: shard.tokens, width: 2 * width, shard: shard)
    var convolution = Operation("mixer_conv")
    let passes = recurrence.convolution(part, channels: Double(width), again: false)
    convolution.forward = passes.forward
    convolution.inputGradient = passes.backward
    convolution.saved = channels
    // Both gates: a multiply for every block of channels.
    var gates = linear(
      "mixer_gates", tokens: shard.tokens, input: recurrence.headDimension,
      output: 2 * recurrence.headDimension, batch: part.heads, shard: shard, fusion: fusion)
    gates.saved = channels
    var scan = Operation("mixer_scan")
    let scans = recurrence.gatedLinearUnit(part)
    scan.forward = scans.forward
    scan.inputGradient = scans.backward
    scan.saved = scans.saved
    return [
      input, convolution, gates, scan,
      rowParallel("mixer_out_proj", input: width, output: hiddenSize, shard: shard, fusion: fusion),
    ]
  }
}
