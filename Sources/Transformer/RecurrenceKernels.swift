import Kernels

/// The kernels of a recurrence between its projections, and the bytes it takes.
struct RecurrenceParts {
  var forward: [Kernel] = []
  var backward: [Kernel] = []
  /// Kept from forward to backward.
  var saved: Int64 = 0
  /// Alive only while it runs.
  var forwardScratch: Int64 = 0
  var backwardScratch: Int64 = 0
}

/// Writes down the kernels of one direction.
struct RecurrenceKernels {
  let pass: Pass
  let shard: RecurrenceShard
  private(set) var kernels: [Kernel] = []

  init(_ pass: Pass, _ shard: RecurrenceShard) {
    self.pass = pass
    self.shard = shard
  }

  /// A fused step.
  mutating func scan(
    flops: Double = 0, scores: Double = 0, instructions: Double = 0, read: Double, written: Double,
    blocks: Double
  ) {
    kernels.append(
      .scan(
        ScanKernel(
          pass, flops: flops, scores: scores, vectorInstructions: instructions,
          read: Int64(read), written: Int64(written), blocks: max(1, Int(blocks)),
          format: shard.format)))
  }

  /// A pass over memory.
  mutating func stream(
    _ kind: StreamingKind = .pointwise, read: Double, written: Double, launches: Int = 1
  ) {
    kernels.append(
      .stream(
        StreamingKernel(kind, read: Int64(read), written: Int64(written), launches: launches)))
  }

  mutating func append(_ more: [Kernel]) { kernels += more }

  /// The kernels, those that published counts see marked.
  ///
  /// Forward the recurrence's operations, backward twice as many.
  func counted(_ flops: Double) -> [Kernel] {
    var result = kernels
    for (index, kernel) in result.enumerated() {
      guard case .scan(var scan) = kernel else { continue }
      scan.countedFlops = flops * (pass == .forward ? 1 : 2)
      result[index] = .scan(scan)
      break
    }
    return result
  }
}

extension Recurrence {
  /// Model FLOPs of this rank's part.
  func countedFlops(_ shard: RecurrenceShard) -> Double {
    flopsPerToken * shard.tokens * Double(shard.heads) / Double(heads)
  }

  /// A depthwise causal convolution with its SiLU: a read and a write.
  ///
  /// Backward it reads input and output gradient and writes the input's, and may be made `again` first
  /// (Dao-AILab/causal-conv1d, `causal_conv1d_bwd`).
  func convolution(_ shard: RecurrenceShard, channels: Double, again: Bool)
    -> (forward: [Kernel], backward: [Kernel])
  {
    let bytes = shard.tokens * channels * shard.valueBytes
    var forward = RecurrenceKernels(.forward, shard)
    forward.stream(read: bytes, written: bytes)
    var backward = RecurrenceKernels(.backward, shard)
    if again { backward.append(forward.kernels) }
    backward.stream(read: 2 * bytes, written: bytes)
    return (forward.kernels, backward.kernels)
  }

  /// Mamba's scan: a thread block for every channel and sequence runs along the tokens.
  ///
  /// For each channel, token and state the forward kernel multiplies step by decay, exponentiates,
  /// multiplies input by B, runs the associative operator two and a half times (raking scan: two
  /// instructions each), and adds the product with C: with loads and conversions of B and C 12
  /// instructions, and one on the special function units, a quarter as wide, 4 more. Backward makes the
  /// states again, scans the other way, and has five products and sums more for the gradients of step,
  /// A, B, C and input: 40 (mamba_ssm `csrc/selective_scan/selective_scan_{fwd,bwd}_kernel.cuh`, counted).
  func selectiveScan(_ shard: RecurrenceShard) -> RecurrenceParts {
    let value = shard.valueBytes
    let channels = shard.tokens * Double(shard.heads)
    let selections = 2 * shard.tokens * Double(stateDimension) * value
    let states = channels * Double(stateDimension)
    let blocks = Double(shard.sequences) * Double(shard.heads)
    // States at the end of every 2,048 tokens, decay and value in fp32.
    let carried =
      blocks * (Double(shard.length) / 2_048).rounded(.up)
      * Double(stateDimension) * 8
    var forward = RecurrenceKernels(.forward, shard)
    // Input, step, gate; output and gated output.
    forward.scan(
      instructions: 16 * states, read: 3 * channels * value + selections,
      written: 2 * channels * value + carried, blocks: blocks)
    var backward = RecurrenceKernels(.backward, shard)
    // Beside those the output and its gradient; gradients of input, step and gate, gated output again,
    // and sums over channels for B and C in fp32.
    backward.scan(
      instructions: 40 * states, read: 5 * channels * value + selections + carried,
      written: 4 * channels * value + 2 * selections, blocks: blocks)
    return RecurrenceParts(
      forward: forward.counted(countedFlops(shard)),
      backward: backward.counted(countedFlops(shard)),
      saved: Int64(channels * value + selections + carried))
  }

  /// Mamba-2 by chunks (state-space duality, arXiv:2405.21060, section 6).
  ///
  /// Kernels, tensors and formats of mamba_ssm's `ssd_combined.py`: cumulative decays; states of chunks
  /// (fp32); their passage along the sequence; C·Bᵀ of chunks (fp32); outputs from the chunk (its causal
  /// half) and from the state before it. Backward makes convolution, decays, C·Bᵀ and states again.
  /// Kept: all the input projection made, the output before gate and norm, and the norm's deviations
  /// (`MambaSplitConv1dScanCombinedFn`).
  func stateSpaceDuality(_ shard: RecurrenceShard) -> RecurrenceParts {
    let sizes = ChunkSizes(self, shard)
    let (value, states) = (shard.valueBytes, sizes.states)
    let x = sizes.values * value
    let b = sizes.keys * value
    let decays = 8 * sizes.steps
    let products = 4 * shard.tokens * Double(shard.groups) * sizes.chunk
    let stateFlops = 2 * sizes.values * sizes.key
    let groupFlops = 2 * sizes.keys * sizes.chunk
    let causalFlops = sizes.values * sizes.chunk
    let scores = sizes.steps * sizes.chunk / 2
    // Tiles of 128 × 64: of a head's states, of a chunk's outputs, of a chunk's products.
    let stateBlocks = sizes.blocks(shard.heads, stateDimension, headDimension)
    let outputBlocks = sizes.blocks(shard.heads, Int(sizes.chunk), headDimension)
    let keyBlocks = sizes.blocks(shard.heads, Int(sizes.chunk), stateDimension)
    let groupBlocks = sizes.blocks(shard.groups, Int(sizes.chunk), Int(sizes.chunk))
    let mixed = sizes.values + 2 * sizes.keys
    let convolution = convolution(shard, channels: mixed / shard.tokens, again: true)

    /// Decays, chunk states and C·Bᵀ, which both directions make.
    func common(_ list: inout RecurrenceKernels) {
      list.stream(read: sizes.steps * value, written: decays)
      list.scan(
        flops: stateFlops, read: x + b + decays, written: 4 * states, blocks: stateBlocks)
      list.stream(read: 4 * states, written: (list.pass == .forward ? value : 4) * states)
      list.scan(flops: groupFlops, read: 2 * b, written: products, blocks: groupBlocks)
    }
    var forward = RecurrenceKernels(.forward, shard)
    forward.append(convolution.forward)
    common(&forward)
    forward.scan(
      flops: stateFlops + causalFlops, scores: scores,
      read: x + b + products + value * states + decays, written: x, blocks: outputBlocks)
    // Gate and norm.
    forward.stream(.rowReduction, read: 2 * x, written: x)

    var backward = RecurrenceKernels(.backward, shard)
    backward.stream(.rowReduction, read: 3 * x, written: 2 * x)
    common(&backward)
    // Gradients of the states a chunk starts from, passed back along the sequence.
    backward.scan(
      flops: stateFlops, read: x + b + decays, written: 4 * states, blocks: stateBlocks)
    backward.stream(read: 8 * states, written: 2 * value * states)
    // Of x; of B and C through the states; of C·Bᵀ; of B and C through that; of the decays.
    backward.scan(
      flops: stateFlops + causalFlops, scores: scores,
      read: 2 * x + b + products + value * states + decays, written: x, blocks: outputBlocks)
    for _ in 0..<2 {
      backward.scan(
        flops: stateFlops, read: x + 2 * b + value * states + decays, written: 2 * b,
        blocks: keyBlocks)
    }
    backward.scan(
      flops: causalFlops, scores: scores, read: 2 * x + decays, written: products,
      blocks: groupBlocks)
    for _ in 0..<2 {
      backward.scan(
        flops: groupFlops, read: products + 3 * b, written: b, blocks: groupBlocks)
    }
    backward.scan(
      flops: causalFlops, scores: scores, read: 2 * x + products + decays, written: decays / 2,
      blocks: outputBlocks)
    backward.stream(read: 2 * decays, written: decays, launches: 6)
    backward.append(convolution.backward)
    let inputs = (mixed + sizes.values + sizes.steps) * value
    return RecurrenceParts(
      forward: forward.counted(countedFlops(shard)),
      backward: backward.counted(countedFlops(shard)),
      saved: Int64(inputs + x + 4 * shard.tokens * Double(shard.groups)),
      forwardScratch: Int64(mixed * value + (4 + value) * states + products + decays),
      backwardScratch: Int64(
        inputs + 2 * mixed * value + x + (8 + value) * states + 2 * products + decays))
  }
}

/// Counts of values that chunked recurrences are made of.
struct ChunkSizes {
  /// Tokens of a chunk.
  let chunk: Double
  /// Chunks of all sequences.
  let chunks: Double
  /// Length of a key.
  let key: Double
  /// Tokens × heads.
  let steps: Double
  /// Tokens × channels.
  let values: Double
  /// Tokens × channels of keys, of as many heads as have keys of their own.
  let keys: Double
  /// States at the borders of all chunks.
  let states: Double

  init(_ recurrence: Recurrence, _ shard: RecurrenceShard) {
    let size = min(recurrence.chunkSize, shard.length)
    chunk = Double(size)
    chunks = Double(shard.sequences * ((shard.length + size - 1) / size))
    key = Double(recurrence.stateDimension)
    steps = shard.tokens * Double(shard.heads)
    values = steps * Double(recurrence.headDimension)
    keys = shard.tokens * Double(shard.groups) * key
    states = chunks * Double(shard.heads * recurrence.headDimension) * key
  }

  /// Thread blocks for a matrix of `rows` × `columns` in every chunk and each of `heads`, in tiles of 128 × 64.
  func blocks(_ heads: Int, _ rows: Int, _ columns: Int) -> Double {
    chunks * Double(heads * ((rows + 127) / 128) * ((columns + 63) / 64))
  }
}
