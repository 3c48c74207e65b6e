import Kernels

extension Recurrence {
  /// A gated delta rule by chunks of 64 (arXiv:2412.06464, section 3.3; Kimi's, arXiv:2510.26692).
  ///
  /// Kernels, tensors and formats of flash-linear-attention's `gated_delta_rule/chunk.py`: keys and
  /// queries, repeated for the heads that share them, normalised; K·Kᵀ of chunks (fp32) and the inverse
  /// of its triangle; the rows w and u of the WY form; states along the sequence, one chunk after the
  /// other in a thread block for each head and 32 of its channels; outputs. Backward makes w, u and the
  /// states again. Kept: the convolution's input, normalised keys and queries with their deviations,
  /// values, decays, β, the inverse, the output before gate and norm, and the gate. A decay for every
  /// channel (Kimi) is an fp32 tensor of the keys' size that the kernels read beside them, and the
  /// diagonal blocks of 16 tokens of K·Kᵀ and Q·Kᵀ are summed on the vector units.
  func deltaRule(_ shard: RecurrenceShard) -> RecurrenceParts {
    let sizes = ChunkSizes(self, shard)
    let value = shard.valueBytes
    let v = sizes.values * value
    let k = sizes.steps * sizes.key * value
    let isKimi = kind == .kimiDelta
    let decays = isKimi ? 4 * sizes.steps * sizes.key : 4 * sizes.steps
    let square = sizes.steps * sizes.chunk
    let inverse = square * value
    let states = sizes.states * value
    let keyFlops = 2 * square * sizes.key
    let valueFlops = 2 * square * Double(headDimension)
    let stateFlops = 2 * sizes.values * sizes.key
    let blocks = sizes.chunks * Double(shard.heads)
    let chains =
      Double(shard.sequences * shard.heads) * (Double(headDimension) / 32).rounded(.up)
    let mixed = sizes.values + 2 * sizes.keys
    let convolution = convolution(shard, channels: mixed / shard.tokens, again: false)
    let diagonal = isKimi ? 2 * 3 * sizes.steps * 16 * sizes.key / 2 : 0
    let unrepeated = 2 * sizes.keys * value

    /// w and u, and the states.
    func common(_ list: inout RecurrenceKernels) {
      list.scan(
        flops: keyFlops + valueFlops, read: inverse + k + v + decays, written: k + v,
        blocks: blocks)
      list.scan(
        flops: 2 * stateFlops, read: 2 * k + v + decays, written: v + states, blocks: chains)
    }
    var forward = RecurrenceKernels(.forward, shard)
    forward.append(convolution.forward)
    // Queries and keys repeated where heads share them, then normalised; decays and β; their sums.
    if shard.groups < shard.heads { forward.stream(read: unrepeated, written: 2 * k) }
    forward.stream(.rowReduction, read: 2 * k, written: 2 * k, launches: 2)
    forward.stream(read: decays / 2, written: decays, launches: 4)
    forward.stream(read: decays, written: decays)
    forward.scan(
      flops: keyFlops, scores: square, instructions: diagonal / 2, read: k + decays,
      written: 4 * square, blocks: blocks)
    forward.scan(
      flops: square * sizes.chunk, read: 4 * square, written: inverse, blocks: blocks)
    common(&forward)
    forward.scan(
      flops: stateFlops + keyFlops + valueFlops, scores: square, instructions: diagonal / 2,
      read: 2 * k + v + states + decays, written: v, blocks: blocks)
    // Gate and norm.
    forward.stream(.rowReduction, read: 2 * v, written: v)

    var backward = RecurrenceKernels(.backward, shard)
    backward.stream(.rowReduction, read: 3 * v, written: 2 * v)
    common(&backward)
    // Of values within the chunk; of states, back along the sequence; of queries, keys, w and decays.
    backward.scan(
      flops: keyFlops + valueFlops, scores: square, instructions: diagonal / 2,
      read: 2 * k + v + decays, written: v, blocks: blocks)
    backward.scan(
      flops: 3 * stateFlops, read: 3 * k + 2 * v + decays, written: v + states, blocks: chains)
    backward.scan(
      flops: 3 * stateFlops + 2 * keyFlops + valueFlops, scores: square, instructions: diagonal,
      read: 3 * k + 3 * v + 2 * states + decays, written: 3 * k + decays, blocks: blocks)
    // Through the WY form: inverse, keys and values, β.
    backward.scan(
      flops: 4 * keyFlops + 2 * valueFlops + 2 * square * sizes.chunk, scores: square,
      instructions: diagonal, read: 2 * k + 2 * v + inverse + 2 * decays,
      written: k + v + decays, blocks: blocks)
    backward.stream(read: 2 * k + 2 * decays, written: k + 2 * decays, launches: 3)
    backward.stream(.rowReduction, read: 4 * k, written: 2 * k, launches: 2)
    if shard.groups < shard.heads { backward.stream(read: 2 * k, written: unrepeated) }
    backward.append(convolution.backward)
    let kept =
      mixed * value + 2 * k + 8 * sizes.steps + v + decays + sizes.steps * value + inverse + 2 * v
    return RecurrenceParts(
      forward: forward.counted(countedFlops(shard)),
      backward: backward.counted(countedFlops(shard)), saved: Int64(kept),
      forwardScratch: Int64(4 * square + k + 2 * v + states),
      backwardScratch: Int64(4 * k + 5 * v + 2 * states + 2 * decays + mixed * value))
  }

  /// Lightning attention by blocks.
  ///
  /// The causal half of a block as attention without softmax, what came before through the state
  /// (arXiv:2401.04658, algorithms 1 and 2).
  ///
  /// Kept: queries, keys and values behind their SiLU and before it, the output before norm and gate,
  /// and the gate. Backward: three products for each of the forward's two, in two sweeps.
  func lightning(_ shard: RecurrenceShard) -> RecurrenceParts {
    let sizes = ChunkSizes(self, shard)
    let value = shard.valueBytes
    let v = sizes.values * value
    let states = 4 * sizes.states
    let stateFlops = 2 * sizes.values * sizes.key
    let causalFlops = sizes.values * sizes.chunk
    let scores = sizes.steps * sizes.chunk / 2
    let blocks = sizes.chunks * Double(shard.heads)
    var forward = RecurrenceKernels(.forward, shard)
    forward.stream(read: 3 * v, written: 3 * v)
    forward.scan(
      flops: 2 * causalFlops, scores: scores, read: 3 * v, written: v, blocks: blocks)
    forward.scan(flops: stateFlops, read: 2 * v, written: states, blocks: blocks)
    forward.stream(read: states, written: states)
    forward.scan(flops: stateFlops, read: 2 * v + states, written: v, blocks: blocks)
    // Norm, then the sigmoid gate.
    forward.stream(.rowReduction, read: v, written: v)
    forward.stream(read: 2 * v, written: v)
    var backward = RecurrenceKernels(.backward, shard)
    backward.stream(read: 3 * v, written: 2 * v)
    backward.stream(.rowReduction, read: 4 * v, written: v, launches: 2)
    backward.scan(
      flops: 5 * causalFlops, scores: scores, read: 4 * v, written: 3 * v, blocks: blocks)
    backward.scan(flops: 2 * stateFlops, read: 4 * v, written: 2 * states, blocks: blocks)
    backward.stream(read: 2 * states, written: 2 * states)
    backward.scan(
      flops: 3 * stateFlops, read: 6 * v + 2 * states, written: 3 * v, blocks: blocks)
    backward.stream(read: 6 * v, written: 3 * v)
    return RecurrenceParts(
      forward: forward.counted(countedFlops(shard)),
      backward: backward.counted(countedFlops(shard)), saved: Int64(9 * v),
      forwardScratch: Int64(v + states), backwardScratch: Int64(7 * v + 2 * states))
  }

  /// The RG-LRU: gates' sigmoids and the decay, then the scan.
  ///
  /// Bound by memory, a read and a write of each value (arXiv:2402.19427, section 4), in fp32; at last the
  /// product with the GELU branch.
  ///
  /// Kept: both gates before their sigmoids, decay and gated input in fp32, states, the GELU branch
  /// before and behind its non-linearity.
  func gatedLinearUnit(_ shard: RecurrenceShard) -> RecurrenceParts {
    let value = shard.valueBytes
    let channels = shard.tokens * Double(shard.heads * headDimension)
    let bytes = channels * value
    let blocks = Double(shard.sequences * shard.heads * headDimension) / 128
    var forward = RecurrenceKernels(.forward, shard)
    forward.stream(read: 3 * bytes, written: 8 * channels, launches: 4)
    forward.scan(
      instructions: 8 * channels, read: 8 * channels, written: 4 * channels, blocks: blocks)
    forward.stream(read: 4 * channels + bytes, written: 2 * bytes, launches: 2)
    var backward = RecurrenceKernels(.backward, shard)
    backward.stream(read: 4 * bytes, written: 2 * bytes + 4 * channels, launches: 2)
    backward.scan(
      instructions: 12 * channels, read: 12 * channels, written: 8 * channels, blocks: blocks)
    backward.stream(read: 8 * channels + 3 * bytes, written: 3 * bytes, launches: 4)
    return RecurrenceParts(
      forward: forward.counted(countedFlops(shard)),
      backward: backward.counted(countedFlops(shard)),
      saved: Int64(4 * bytes + 12 * channels))
  }
}
