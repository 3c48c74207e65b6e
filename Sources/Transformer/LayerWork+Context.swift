import Kernels

/// How context-parallel ranks, each with a part of every sequence, attend to all of it.
///
/// Sequences are cut in twice as many chunks as ranks and dealt from both ends, so that the causal
/// mask leaves every rank the same work (arXiv:2407.21783, section 3.3.2; Transformer Engine
/// `context_parallel.py`), but under Ulysses, where each rank has whole sequences of some heads.
public enum ContextStyle: String, Hashable, Sendable, CaseIterable {
  /// Keys and values travel round the ring while attention to those at hand is computed.
  ///
  /// arXiv:2310.01889; `cp_comm_type: p2p`.
  case ring
  /// Keys and values are gathered before, their gradients reduce-scattered after.
  ///
  /// Llama 3, arXiv:2407.21783, section 3.3.2.
  case allGather = "all-gather"
  /// Heads for tokens by all-to-all before, tokens for heads after (DeepSpeed-Ulysses, arXiv:2309.14509).
  case ulysses
}

/// Bytes of a rank's part of each tensor of the attention core.
struct CoreBytes {
  var query: Int64
  var key: Int64
  var value: Int64
  var output: Int64
}

extension Operation {
  /// The core as the ring computes it.
  ///
  /// The rank's own keys first, then one part that has arrived after another, and at last what joins the parts.
  ///
  /// All parts but the last are computed while the next travels; backward the gradients of keys and
  /// values travel as well.
  ///
  /// Keys and values are put together to travel. Where they share a tensor with the queries
  /// (`isOneTensor`: nothing rotates or norms them on their way from the projection), that is kept with the
  /// queries, and what has travelled beside it (`AttnFuncWithCPAndKVP2P` of Transformer Engine's
  /// `context_parallel.py`).
  func ringed(bytes: CoreBytes, shard: LayerShard, isOneTensor: Bool = false) -> [Operation] {
    let ranks = shard.context
    // Parts with half of the queries are every other one: (1 + ½) / 2 of the outputs each.
    let joined = bytes.output * Int64(3 * (ranks - 1)) / 4
    let joinedGradients =
      (bytes.query + bytes.key + bytes.value) * Int64(3 * (ranks - 1)) / 4
    let others = Double(ranks - 1)
    // Two streams by turns: a part's last thread blocks run beside the first of the next.
    let forwardParts = forward.map { RingParts($0, shard: shard, fillsTails: true) }
    let backwardParts = inputGradient.map { RingParts($0, shard: shard, fillsTails: true) }
    var first = self
    var last = Operation("attention_core_last")
    last.isAttentionCore = true
    first.forward = forwardParts.flatMap { $0.own + $0.others((others - 1) / others) }
    last.forward = forwardParts.flatMap { $0.others(1 / others) }
    first.inputGradient = backwardParts.flatMap { $0.own + $0.others((others - 1) / others) }
    last.inputGradient = backwardParts.flatMap { $0.others(1 / others) }
    // Scaled by the parts' log-sum-exp and added: a read of both, a write.
    last.forward.append(
      .stream(
        StreamingKernel(
          .pointwise, read: 2 * joined, written: joined, launches: 2 * (ranks - 1))))
    last.inputGradient.append(
      .stream(
        StreamingKernel(
          .pointwise, read: 2 * joinedGradients, written: joinedGradients,
          launches: 2 * (ranks - 1))))
    let passed = (bytes.key + bytes.value) * Int64(ranks)
    first.besideForward = Exchange(.allGather, on: .context, bytes: passed)
    first.besideBackward = Exchange(.allGather, on: .context, bytes: 2 * passed)
    // Every part's output until they are joined, and all keys and values that came by: each in a buffer of
    // its own (`p2p_comm_buffers` of Transformer Engine's `context_parallel.py`).
    first.forwardScratch += joined + passed
    first.backwardScratch += 4 * (bytes.key + bytes.value)
    if isOneTensor { first.saved += bytes.key + bytes.value }
    return [first, last]
  }

  /// The core as PyTorch's `context_parallel` computes it.
  ///
  /// `_templated_ring_attention` of `torch/distributed/tensor/experimental/_attention.py`.
  ///
  /// Parts are those of the ring, one kernel after the other on one stream. With `allgather`, what
  /// torchtitan sets, all keys and values are gathered at once beside the rank's own part; with `alltoall`
  /// they travel by turns. Outputs are joined, and gradients summed, in fp32 and operation by operation
  /// (`_SDPAMerger`, `_partial_update`); the gradients of keys and values always travel by turns, in fp32,
  /// and nothing hides their last step.
  func ringedInPyTorch(bytes: CoreBytes, shard: LayerShard) -> [Operation] {
    let ranks = Int64(shard.context)
    let others = ranks - 1
    let forwardParts = forward.map { RingParts($0, shard: shard, fillsTails: false) }
    let backwardParts = inputGradient.map { RingParts($0, shard: shard, fillsTails: false) }
    var own = self
    var rest = Operation("attention_core_parts")
    rest.isAttentionCore = true
    own.forward = forwardParts.flatMap(\.own)
    rest.forward = forwardParts.flatMap { $0.others(1) }
    own.inputGradient = backwardParts.flatMap(\.own)
    rest.inputGradient = backwardParts.flatMap { $0.others(1) }
    // All bytes below are of 16-bit tensors; one in fp32 has twice as many.
    let (output, passed) = (bytes.output, bytes.key + bytes.value)
    let pass = { (read: Int64, written: Int64, launches: Int64) in
      Kernel.stream(
        StreamingKernel(.pointwise, read: read, written: written, launches: Int(launches)))
    }
    // Keys and values made contiguous, joined to travel; the output to fp32 (1 + 2), at last back (2 + 1).
    own.forward.append(pass(2 * passed + 3 * output, 2 * passed + 3 * output, 5))
    // A part of all queries: to fp32 (1 + 2), difference (4 + 2), times the sigmoid (2 + 2), difference
    // (4 + 2). Of half of them: half of that, and both halves put together again (2 + 2). Half of the parts
    // each; all but the last join keys and values once more.
    rest.forward.append(
      pass(
        others * (33 * output / 4 + output) + (others - 1) * passed,
        others * (6 * output + output) + (others - 1) * passed, 8 * others))
    // Three fp32 sums cleared; keys and values contiguous, joined; what the part made added (1 + 2 read, 2
    // written); gradients of keys and values joined to travel; sums cast at last (2 + 1).
    own.inputGradient.append(pass(5 * output + 9 * passed, 5 * output + 9 * passed, 12))
    // What a part made added: for all queries and half of the keys, which are put back into the whole
    // (2 + 2), or the other way round, by halves: (3 + 1½ + 2) / 2 read and (2 + 1 + 2) / 2 written of
    // either. Gradients of keys and values, but for the last part also these, joined to travel.
    let summed = output + passed
    let travelling = others * 2 * passed + (others - 1) * passed
    rest.inputGradient.append(
      pass(
        others * 13 * summed / 4 + travelling, others * 5 * summed / 2 + travelling, 8 * others))
    let whole = ranks * passed
    if shard.contextStyle == .allGather {
      own.besideForward = Exchange(.allGather, on: .context, bytes: whole)
      own.besideBackward = own.besideForward
      rest.besideBackward = Exchange(.allGather, on: .context, bytes: 2 * whole)
    } else {
      own.besideForward = Exchange(.allGather, on: .context, bytes: whole / others)
      if others > 1 {
        rest.besideForward = Exchange(
          .allGather, on: .context, bytes: whole * (others - 1) / others)
      }
      own.besideBackward = own.besideForward
      rest.besideBackward = Exchange(
        .allGather, on: .context, bytes: 2 * whole + whole * (others - 1) / others)
    }
    own.afterInputGradient = Exchange(.allGather, on: .context, bytes: 2 * whole / others)
    own.forwardScratch += ranks * passed + 4 * output
    own.backwardScratch += ranks * passed + 4 * (output + passed)
    return [own, rest]
  }

  /// The core between a gather of keys and values and the reduction of their gradients.
  func gathered(bytes: CoreBytes, shard: LayerShard) -> Operation {
    var operation = self
    let whole = (bytes.key + bytes.value) * Int64(shard.context)
    operation.beforeForward = Exchange(.allGather, on: .context, bytes: whole)
    // Backward gathers again rather than keep the whole.
    operation.beforeBackward = Exchange(.allGather, on: .context, bytes: whole)
    operation.afterInputGradient = Exchange(.reduceScatter, on: .context, bytes: whole)
    operation.forwardScratch += whole
    operation.backwardScratch += 2 * whole
    return operation
  }

  /// The core between two all-to-alls, `bytes` of which a rank sends and receives.
  func scattered(bytes: CoreBytes) -> Operation {
    var operation = self
    let inputs = bytes.query + bytes.key + bytes.value
    // What is sent is laid out by receiver, what is received by head: two copies of all.
    let all = 2 * (inputs + bytes.output)
    let copy = Kernel.stream(StreamingKernel(.pointwise, read: all, written: all, launches: 8))
    operation.forward.append(copy)
    operation.inputGradient.append(copy)
    operation.beforeForward = Exchange(.allToAll, on: .context, bytes: inputs)
    operation.afterForward = Exchange(.allToAll, on: .context, bytes: bytes.output)
    operation.beforeBackward = Exchange(.allToAll, on: .context, bytes: bytes.output)
    operation.afterInputGradient = Exchange(.allToAll, on: .context, bytes: inputs)
    operation.forwardScratch += inputs
    operation.backwardScratch += inputs + bytes.output
    return operation
  }
}

/// What one kernel of attention becomes on a ring of context ranks.
///
/// A rank has a chunk of either end. Of its own part it needs what the causal mask leaves; of any other all
/// queries meet half of the keys, or half of the queries all keys, as that rank is before or behind: over
/// all ranks half of the parts each, and none of them is masked.
struct RingParts {
  /// The rank's own part.
  let own: [Kernel]
  /// All other parts together.
  private let other: [Kernel]

  /// The parts of `kernel`, which is kept as it is where it is no attention.
  ///
  /// Windows, and attention without a mask, are cut in parts that are alike.
  ///
  /// - Parameters:
  ///   - kernel: over the rank's queries and all keys.
  ///   - shard: this rank's part.
  ///   - fillsTails: whether a part's kernel fills what the one before leaves idle at its end.
  init(_ kernel: Kernel, shard: LayerShard, fillsTails: Bool) {
    guard case .attention(let whole) = kernel else {
      own = [kernel]
      other = []
      return
    }
    let ranks = Double(shard.context)
    let local = Double(whole.queryLength)
    let scores = local * Double(whole.keyLength) * whole.computedFraction
    let dealt = (ranks - 1) * local * local / 2
    let mine = (scores - dealt) / (local * local)
    let length = whole.queryLength
    guard whole.computedFraction < 1, !whole.hasWindow, mine > 0.25, length.isMultiple(of: 2),
      whole.keyLength == length * shard.context
    else {
      var part = whole
      part.share = 1 / ranks
      own = [.attention(part)]
      part.share = 1 - part.share
      other = [.attention(part)]
      return
    }
    // Published counts include what is masked, in proportion.
    let counted = whole.countedFraction / whole.computedFraction
    let part = { (queries: Int, keys: Int, fraction: Double, share: Double) in
      var part = whole
      part.queryLength = queries
      part.keyLength = keys
      part.computedFraction = fraction
      part.countedFraction = fraction * counted
      part.share = share
      return part
    }
    own = [.attention(part(length, length, mine, 1))]
    var halves = [
      part(length, length / 2, 1, (ranks - 1) / 2), part(length / 2, length, 1, (ranks - 1) / 2),
    ]
    for index in halves.indices { halves[index].isFollowed = fillsTails }
    other = halves.map { .attention($0) }
  }

  /// This share of the other parts.
  func others(_ share: Double) -> [Kernel] {
    guard share > 0 else { return [] }
    return other.map { kernel in
      guard case .attention(var part) = kernel else { return kernel }
      part.share *= share
      return .attention(part)
    }
  }
}
