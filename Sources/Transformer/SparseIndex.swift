import Kernels

/// What chooses the keys each query attends to, by scores of its own.
///
/// DeepSeek Sparse Attention, DeepSeek-V3.2 technical report, section 2.1; GLM-5.
///
/// A few narrow query heads over one key a token, from the layer's input and the compressed queries; their
/// scores, summed over heads with learned weights, pick the keys. It learns from the attention's own
/// distribution over what it picked, and its input gets no gradient from it (same report).
public struct SparseIndex: Hashable, Sendable {
  /// `index_n_heads`.
  public var heads: Int
  /// `index_head_dim`.
  public var dimension: Int
  /// `index_topk`: keys a query attends to.
  public var selectedKeys: Int
  /// For each layer whether it has an index of its own, the others use the one before them (`indexer_types`, GLM-5.2).
  ///
  /// Empty when all have.
  public var owners: [Bool]

  /// An index from its sizes.
  public init(heads: Int, dimension: Int, selectedKeys: Int, owners: [Bool] = []) {
    self.heads = heads
    self.dimension = dimension
    self.selectedKeys = selectedKeys
    self.owners = owners
  }

  /// Whether `layer` has its own; next-token prediction modules do.
  func isOwned(byLayer layer: Int) -> Bool { layer >= owners.count || owners[layer] }
}

extension SelfAttention {
  /// Whether sequences of that length are longer than what a query attends to.
  func selects(fromKeys keys: Int) -> Bool { index.map { keys > $0.selectedKeys } ?? false }
}

extension Architecture {
  /// Learned tensors of an index.
  ///
  /// Queries from the compressed ones, where they are compressed, one key a token with a layer norm, and the
  /// heads' weights (`Indexer` in `inference/model.py` of deepseek-ai/DeepSeek-V3.2-Exp); every tensor-parallel
  /// rank holds all of them.
  func indexTensors(_ index: SparseIndex) -> [ParameterTensor] {
    [
      ParameterTensor(
        "attention.index_query.weight",
        [index.heads * index.dimension, attention.latent?.queryRank ?? hiddenSize], .matmulWeight),
      ParameterTensor("attention.index_key.weight", [index.dimension, hiddenSize], .matmulWeight),
      ParameterTensor("attention.index_key_norm.weight", [index.dimension], .norm),
      ParameterTensor("attention.index_key_norm.bias", [index.dimension], .norm),
      ParameterTensor("attention.index_weights.weight", [index.heads, hiddenSize], .matmulWeight),
    ]
  }

  /// The operations of an index, whole on every tensor-parallel rank.
  ///
  /// Forward the scores of all earlier keys, in the format of the layers' multiplies (fp8 in the report),
  /// summed over heads before they are written in fp32, read twice to pick the keys (a radix selection:
  /// histogram, then gather). Backward only among the picked ones: their scores again, the attention's own
  /// distribution as the target, and the gradients of index queries and keys (the parts of
  /// cuDNN's `fe-oss-apis/dsa`). Scores are taken to be made and used in pieces, so none stay.
  func indexOperations(
    _ index: SparseIndex, layer: Int, shard: LayerShard, fusion: Fusion
  ) -> [Operation] {
    let keys = shard.sequenceLength
    var projections = linear(
      "index_proj", tokens: shard.tokens, input: attention.latent?.queryRank ?? hiddenSize,
      output: index.heads * index.dimension, shard: shard, fusion: fusion)
    let narrow = linear(
      "index_key_proj", tokens: shard.tokens, input: hiddenSize,
      output: index.dimension + index.heads, shard: shard, fusion: fusion)
    projections.forward += narrow.forward
    projections.weightGradient += narrow.weightGradient
    projections.inputGradient = []
    // Inputs stay for the latent projections anyway.
    projections.saved = shard.bytes(
      shard.tokens, index.heads * index.dimension + index.dimension + index.heads)
    guard attention.selects(fromKeys: keys) else { return [projections] }

    var scores = Operation("index_scores")
    let queries = shard.localSequence
    let selected = meanAttendedKeys(layer: layer, sequenceLength: keys, causal: true)
    func products(heads: Int, keys: Double, width: Int, format: NumberFormat) -> Kernel {
      .matmul(
        Matmul(
          m: queries * heads, n: max(1, Int(keys.rounded())), k: width, batch: shard.microBatch,
          format: format, outputBytesPerValue: 4 / Double(heads)))
    }
    let written = 4 * Int64(shard.tokens) * Int64(keys / 2)
    let picked = 4 * Int64(shard.tokens) * Int64(index.selectedKeys)
    scores.forward = [
      products(
        heads: index.heads, keys: Double(keys) / 2, width: index.dimension,
        format: shard.matmulFormat),
      .stream(StreamingKernel(.rowReduction, read: 2 * written, written: picked, launches: 2)),
    ]
    let own = products(
      heads: index.heads, keys: selected, width: index.dimension, format: shard.activationFormat)
    let core = sparseCore
    scores.inputGradient = [
      own,
      products(
        heads: max(1, attention.heads / shard.tensor), keys: selected, width: core.dimension,
        format: shard.activationFormat), own, own,
    ]
    scores.saved = picked
    if shard.context > 1 {
      scores.beforeForward = Exchange(
        .allGather, on: .context,
        bytes: shard.bytes(shard.microBatch * keys, index.dimension))
    }
    return [projections, scores]
  }

  /// The shape in which kernels attend to picked keys.
  ///
  /// Under latent attention to the compressed ones, which all heads share, so that a key that is fetched serves
  /// them all (the report's "MQA mode").
  ///
  /// The multiplies that bring queries to that space and outputs back are those that would have
  /// brought keys and values out of it, as many operations.
  var sparseCore: (dimension: Int, valueDimension: Int, keyValueHeads: Int?) {
    guard let latent = attention.latent else {
      return (attention.headDimension, attention.valueDimension, nil)
    }
    return (latent.keyValueRank + latent.rotaryDimension, latent.keyValueRank, 1)
  }
}
