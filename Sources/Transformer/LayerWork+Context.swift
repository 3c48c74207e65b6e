import Kernels

/// How context-parallel ranks, each with a part of every sequence, attend to all of it.
///
/// Sequences are cut in twice as many chunks as ranks and dealt from both ends, so that the causal
/// mask leaves every rank the same work (arXiv:2407.21783, section 3.3.2; Transformer Engine
/// `context_parallel.py`), but under Ulysses, where each rank has whole sequences of some heads.
public enum ContextStyle: String, Hashable, Sendable, CaseIterable {
  /// Keys and values travel round the ring while attention to those at hand is computed
  /// (arXiv:2310.01889; `cp_comm_type: p2p`).
  case ring
  /// Keys and values are gathered before, their gradients reduce-scattered after (Llama 3,
  /// arXiv:2407.21783, section 3.3.2).
  case allGather = "all-gather"
  /// Heads for tokens by all-to-all before, tokens for heads after (DeepSpeed-Ulysses,
  /// arXiv:2309.14509).
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
  /// The core as the ring computes it: the rank's own keys first, then one part that has arrived
  /// after another, and at last what joins the parts.
  ///
  /// All parts but the last are computed while the next travels; backward the gradients of keys and
  /// values travel as well. A rank's own part is causal; of any other it needs all of the queries and
  /// half of the keys, or half of the queries and all of the keys: all parts are alike.
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
    var first = self
    var last = Operation("attention_core_last")
    last.isAttentionCore = true
    for (index, kernel) in forward.enumerated() {
      guard case .attention(var core) = kernel else { continue }
      core.share = 1 / Double(ranks)
      last.forward.append(.attention(core))
      core.share = 1 - core.share
      first.forward[index] = .attention(core)
    }
    for (index, kernel) in inputGradient.enumerated() {
      guard case .attention(var core) = kernel else { continue }
      core.share = 1 / Double(ranks)
      last.inputGradient.append(.attention(core))
      core.share = 1 - core.share
      first.inputGradient[index] = .attention(core)
    }
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
