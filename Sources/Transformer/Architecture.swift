/// What a decoder-only language model is made of, transformer or hybrid.
///
/// Everything its parameters, kernels and activations follow from.
///
/// Field meanings are those of the Hugging Face `config.json` keys named beside them. Lengths are
/// counts of elements; `tensor` sizes follow from them alone.
public struct Architecture: Hashable, Sendable {
  /// Display name, for example `llama-3.1-8b`.
  public var name: String
  /// `num_hidden_layers`.
  public var layerCount: Int
  /// `hidden_size`.
  public var hiddenSize: Int
  /// Self-attention of every layer, but for sliding ones that have other heads.
  public var attention: SelfAttention
  /// Attention of the sliding layers where its heads are others (MiMo-V2); `nil` where they are not.
  public var slidingAttention: SelfAttention?
  /// What mixes tokens where attention does not, or beside it; `nil` where all layers attend.
  public var recurrence: Recurrence?
  /// For each layer what mixes its tokens; empty when all attend.
  public var mixers: [LayerMixer]
  /// The dense feed-forward block (also of the dense layers of a mixture of experts).
  public var feedForward: FeedForward
  /// For each layer whether it has a feed-forward block; empty when all have.
  public var feedForwardLayers: [Bool]
  /// For each layer the width of its dense feed-forward block; empty where all are alike.
  public var feedForwardWidths: [Int] = []
  /// Routed and shared experts; `nil` for a dense model.
  public var experts: MixtureOfExperts?
  /// `vocab_size`, unpadded.
  public var vocabularySize: Int
  /// `tie_word_embeddings`: the output projection is the input embedding.
  public var tiesEmbeddings: Bool
  /// How positions enter.
  public var positions: PositionEmbedding
  /// `max_position_embeddings`: rows of a learned position table.
  public var maximumPositions: Int
  /// Kind of every normalisation.
  public var norm: Norm
  /// Norms per layer.
  ///
  /// 2, or 4 where sub-layer outputs are normalised too (Gemma 2), or 1 where attention and feed-forward share
  /// one (Falcon 7B, Phi).
  public var normsPerLayer: Int
  /// Whether the embedding is followed by a norm (BLOOM).
  public var normalizesEmbedding: Bool
  /// Whether attention and feed-forward read the same input in parallel (GPT-J, NeoX, Falcon).
  public var isParallelBlock: Bool
  /// Whether the output projection has a bias (Phi, GPT-J).
  public var outputBias: Bool
  /// Extra next-token prediction layers (`num_nextn_predict_layers`, DeepSeek-V3).
  public var nextTokenLayers: Int
  /// `attention_dropout`.
  public var attentionDropout: Double
  /// `hidden_dropout`.
  public var hiddenDropout: Double

  /// An architecture from its parts.
  public init(
    name: String, layerCount: Int, hiddenSize: Int, attention: SelfAttention,
    recurrence: Recurrence? = nil, mixers: [LayerMixer] = [], feedForward: FeedForward,
    feedForwardLayers: [Bool] = [], experts: MixtureOfExperts? = nil, vocabularySize: Int,
    tiesEmbeddings: Bool, positions: PositionEmbedding, maximumPositions: Int, norm: Norm,
    normsPerLayer: Int = 2, normalizesEmbedding: Bool = false, isParallelBlock: Bool = false,
    outputBias: Bool = false, nextTokenLayers: Int = 0, attentionDropout: Double = 0,
    hiddenDropout: Double = 0
  ) {
    self.name = name
    self.layerCount = layerCount
    self.hiddenSize = hiddenSize
    self.attention = attention
    self.recurrence = recurrence
    self.mixers = mixers
    self.feedForward = feedForward
    self.feedForwardLayers = feedForwardLayers
    self.experts = experts
    self.vocabularySize = vocabularySize
    self.tiesEmbeddings = tiesEmbeddings
    self.positions = positions
    self.maximumPositions = maximumPositions
    self.norm = norm
    self.normsPerLayer = normsPerLayer
    self.normalizesEmbedding = normalizesEmbedding
    self.isParallelBlock = isParallelBlock
    self.outputBias = outputBias
    self.nextTokenLayers = nextTokenLayers
    self.attentionDropout = attentionDropout
    self.hiddenDropout = hiddenDropout
  }
}

/// How positions enter the model.
public enum PositionEmbedding: String, Hashable, Sendable, CaseIterable {
  /// A learned table added to the token embedding.
  case learned
  /// Rotation of queries and keys.
  case rotary
  /// A slope added to the attention scores.
  case alibi
  /// None.
  case none
}

/// A normalisation over the hidden dimension.
public struct Norm: Hashable, Sendable {
  /// The arithmetic of the norm.
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    /// Mean and variance, weight, and a bias if any.
    case layerNorm = "layernorm"
    /// Root mean square, weight only.
    case rmsNorm = "rmsnorm"
  }

  /// Which norm.
  public var kind: Kind
  /// Whether it has a bias beside its weight.
  public var hasBias: Bool

  /// A norm of `kind`, with a bias if `hasBias`.
  public init(_ kind: Kind, hasBias: Bool) {
    self.kind = kind
    self.hasBias = hasBias
  }
}

/// Self-attention of a layer.
public struct SelfAttention: Hashable, Sendable {
  /// `num_attention_heads`.
  public var heads: Int
  /// `num_key_value_heads`.
  public var keyValueHeads: Int
  /// `head_dim`; the query-key dimension (for latent attention nope + rope).
  public var headDimension: Int
  /// Dimension of a value head; equal to ``headDimension`` but under latent attention.
  public var valueDimension: Int
  /// Multi-head latent attention (DeepSeek), if used.
  public var latent: LatentAttention?
  /// What picks the keys a query attends to; `nil` where it attends to all.
  public var index: SparseIndex?
  /// Whether query, key and value projections have biases.
  public var inputBias: Bool
  /// Whether the output projection has a bias.
  public var outputBias: Bool
  /// Whether its output is gated by a projection as wide as the queries (Qwen3-Next).
  public var gatesOutput = false
  /// Norm over each query and key head (Qwen 3, Gemma 3): parameters of length head dimension.
  public var normalizesQueryAndKey: Bool
  /// Whether that norm runs over all heads of a projection at once (OLMo 2, MiniMax M2).
  ///
  /// Parameters of the projection's length instead of one head's.
  public var queryKeyNormSpansHeads: Bool
  /// A learned sink score per head (gpt-oss).
  public var hasSinks: Bool
  /// Whether rotated queries and keys are scaled as well, by YaRN's concentration factor.
  ///
  /// gpt-oss: 0.1 ln 32 + 1, arXiv:2309.00071, section 3.4; without effect under latent attention.
  public var scalesRotation = false
  /// Keys a query may look back on in the sliding layers; `nil` when all layers are full.
  public var slidingWindow: Int?
  /// Whether the window is a fixed chunk of the sequence instead of moving with the query.
  ///
  /// Llama 4, `attention_chunk_size`.
  public var windowIsChunk: Bool
  /// For each layer whether it uses the sliding window; empty when none does.
  public var slidingLayers: [Bool]

  /// Attention from its parts.
  public init(
    heads: Int, keyValueHeads: Int, headDimension: Int, valueDimension: Int? = nil,
    latent: LatentAttention? = nil, inputBias: Bool = false, outputBias: Bool = false,
    normalizesQueryAndKey: Bool = false, queryKeyNormSpansHeads: Bool = false,
    hasSinks: Bool = false, slidingWindow: Int? = nil, windowIsChunk: Bool = false,
    slidingLayers: [Bool] = []
  ) {
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.headDimension = headDimension
    self.valueDimension = valueDimension ?? headDimension
    self.latent = latent
    self.inputBias = inputBias
    self.outputBias = outputBias
    self.normalizesQueryAndKey = normalizesQueryAndKey
    self.queryKeyNormSpansHeads = queryKeyNormSpansHeads
    self.hasSinks = hasSinks
    self.slidingWindow = slidingWindow
    self.windowIsChunk = windowIsChunk
    self.slidingLayers = slidingLayers
  }
}

/// Low-rank compression of queries, keys and values (arXiv:2405.04434, section 2.1).
public struct LatentAttention: Hashable, Sendable {
  /// `q_lora_rank`; `nil` when queries are not compressed (DeepSeek-V2-Lite).
  public var queryRank: Int?
  /// `kv_lora_rank`.
  public var keyValueRank: Int
  /// `qk_nope_head_dim`.
  public var plainDimension: Int
  /// `qk_rope_head_dim`.
  public var rotaryDimension: Int

  /// Latent attention from its ranks and head dimensions.
  public init(queryRank: Int?, keyValueRank: Int, plainDimension: Int, rotaryDimension: Int) {
    self.queryRank = queryRank
    self.keyValueRank = keyValueRank
    self.plainDimension = plainDimension
    self.rotaryDimension = rotaryDimension
  }
}

/// The non-linearity of a feed-forward block.
public enum Activation: String, Hashable, Sendable, CaseIterable {
  /// Gaussian error linear unit.
  case gelu
  /// Rectified linear unit.
  case relu
  /// Squared rectified linear unit (Nemotron-4).
  case squaredReLU = "relu2"
  /// Gated with SiLU (`silu` in Hugging Face configurations of gated models).
  case swiglu
  /// Gated with GELU (Gemma).
  case geglu

  /// Whether a second input projection gates the first.
  public var isGated: Bool { self == .swiglu || self == .geglu }
}

/// A feed-forward block.
public struct FeedForward: Hashable, Sendable {
  /// `intermediate_size`.
  public var intermediateSize: Int
  /// The non-linearity.
  public var activation: Activation
  /// Whether its projections have biases.
  public var hasBias: Bool
  /// Whether gate and product are limited before the activation (gpt-oss's `swiglu_limit`).
  public var clampsGate: Bool

  /// A block of that width.
  public init(
    intermediateSize: Int, activation: Activation, hasBias: Bool = false, clampsGate: Bool = false
  ) {
    self.intermediateSize = intermediateSize
    self.activation = activation
    self.hasBias = hasBias
    self.clampsGate = clampsGate
  }
}

/// A feed-forward block chosen token by token among experts.
public struct MixtureOfExperts: Hashable, Sendable {
  /// Routed experts a layer (`num_local_experts`, `num_experts`, `n_routed_experts`).
  public var expertCount: Int
  /// Experts each token visits (`num_experts_per_tok`, `experts_per_token`).
  public var expertsPerToken: Int
  /// Width of a routed expert (`moe_intermediate_size`, else `intermediate_size`).
  public var intermediateSize: Int
  /// Total width of the experts every token visits (shared experts × their width); 0 for none.
  public var sharedIntermediateSize: Int
  /// Whether the shared expert's output is gated by a learned scalar (Qwen 1.5/2 MoE).
  public var gatesSharedExpert: Bool
  /// Whether the router has a bias (DeepSeek-V3's correction bias, gpt-oss).
  public var routerBias: Bool
  /// For each layer whether its feed-forward block is a mixture.
  public var expertLayers: [Bool]
  /// Groups of experts a token may be limited to (`n_group`, `topk_group`); 1 when not limited.
  public var groupCount: Int
  /// How many of the groups a token may visit.
  public var groupsPerToken: Int
  /// Width tokens are projected to before routed experts and back behind them (`moe_latent_size`, Nemotron 3 Ultra).
  ///
  /// `nil` when experts work on the hidden size.
  public var latentSize: Int?

  /// A mixture from its parts.
  public init(
    expertCount: Int, expertsPerToken: Int, intermediateSize: Int, sharedIntermediateSize: Int = 0,
    gatesSharedExpert: Bool = false, routerBias: Bool = false, expertLayers: [Bool],
    groupCount: Int = 1, groupsPerToken: Int = 1
  ) {
    self.expertCount = expertCount
    self.expertsPerToken = expertsPerToken
    self.intermediateSize = intermediateSize
    self.sharedIntermediateSize = sharedIntermediateSize
    self.gatesSharedExpert = gatesSharedExpert
    self.routerBias = routerBias
    self.expertLayers = expertLayers
    self.groupCount = groupCount
    self.groupsPerToken = groupsPerToken
  }
}
