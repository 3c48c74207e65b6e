/// An architecture read from a configuration, with what was not understood on the way.
public struct ConfigurationReading: Hashable, Sendable {
  /// What the configuration describes.
  public var architecture: Architecture
  /// Keys nothing is known about, in file order.
  public var unknownKeys: [String]
  /// Sentences about what had to be assumed because the configuration does not say.
  public var assumptions: [String]
}

extension Architecture {
  /// The architecture a Hugging Face `config.json`, or the same keys inline, describes.
  ///
  /// - Parameters:
  ///   - configuration: the keys; a nested `text_config` is followed.
  ///   - name: what to call the architecture.
  ///   - defaultPositions: rows of a learned position table when the configuration has none of
  ///     `max_position_embeddings`, `n_positions`, `max_seq_len`.
  /// - Throws: ``ConfigurationError`` for keys that are missing, wrong or not modelled.
  public init(
    configuration: ConfigurationTree, name: String, defaultPositions: Int = 2_048
  ) throws(ConfigurationError) {
    self = try Self.read(
      configuration, name: name, defaultPositions: defaultPositions
    ).architecture
  }

  /// As ``init(configuration:name:defaultPositions:)``, with the keys that were not understood and what was assumed.
  public static func read(
    _ configuration: ConfigurationTree, name: String, defaultPositions: Int = 2_048
  ) throws(ConfigurationError) -> ConfigurationReading {
    let tree = textPart(of: configuration)
    for (key, reason) in ConfigurationKeys.notModelled where tree[key] != nil {
      throw .notModelled(key: key, reason: reason)
    }
    let reader = ConfigurationReader(tree: tree)
    let given = try reader.text("model_type")
    for (modelType, reason) in ConfigurationKeys.notModelledTypes where given == modelType {
      throw .notModelled(key: "model_type", reason: reason)
    }
    var assumptions: [String] = []
    let (family, modelType) = try family(reader, &assumptions)
    let architecture = try assemble(
      reader, family, modelType, name: name, defaultPositions: defaultPositions, &assumptions)
    return ConfigurationReading(
      architecture: architecture,
      unknownKeys: tree.entries.map(\.key).filter { !ConfigurationKeys.all.contains($0) },
      assumptions: assumptions)
  }

  /// The language model's part of a configuration: multimodal files nest it.
  private static func textPart(of tree: ConfigurationTree) -> ConfigurationTree {
    guard tree["hidden_size"] == nil else { return tree }
    for key in ["text_config", "language_config", "llm_config"] {
      guard case .map(var nested)? = tree[key] else { continue }
      for inherited in ["model_type", "tie_word_embeddings"] where nested[inherited] == nil {
        if let value = tree[inherited] {
          nested.entries.append(ConfigurationTree.Entry(inherited, value))
        }
      }
      return nested
    }
    return tree
  }

  /// The family by `model_type`, else by the activation.
  private static func family(
    _ reader: ConfigurationReader, _ assumptions: inout [String]
  ) throws(ConfigurationError) -> (ModelFamily, String) {
    let act = try activationText(reader)
    guard let modelType = try reader.text("model_type") else {
      return (ModelFamily.typical(of: act), "")
    }
    if let family = ModelFamily.named(modelType) { return (family, modelType) }
    assumptions.append(
      "model_type '\(modelType)' is not known: norms, biases and positions are those usual with "
        + "hidden_act \(act ?? "silu")")
    return (ModelFamily.typical(of: act), modelType)
  }

  private static func activationText(
    _ reader: ConfigurationReader
  ) throws(ConfigurationError) -> String? {
    try reader.text("hidden_act", "activation_function", "hidden_activation", "mlp_hidden_act")
  }

  /// The non-linearity: the same word gates in some families and does not in others.
  private static func activation(
    _ reader: ConfigurationReader, _ family: ModelFamily
  ) throws(ConfigurationError) -> Activation {
    guard let text = try activationText(reader) else { return family.activation }
    switch text {
    case "silu", "swish", "swiglu", "swigluoai": return .swiglu
    case "geglu": return .geglu
    case "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh":
      return family.isGated ? .geglu : .gelu
    case "relu": return .relu
    case "relu2", "squared_relu": return .squaredReLU
    default:
      throw .unknownValue(
        key: "hidden_act", found: text, accepted: ["gelu", "geglu", "relu", "relu2", "silu"])
    }
  }

  /// Puts the parts together.
  private static func assemble(
    _ reader: ConfigurationReader, _ family: ModelFamily, _ modelType: String, name: String,
    defaultPositions: Int, _ assumptions: inout [String]
  ) throws(ConfigurationError) -> Architecture {
    let layers = try layerCount(reader, modelType)
    let hidden = try reader.required("hidden_size", "n_embd", "n_embed", "d_model")
    if try reader.boolean("do_layer_norm_before") == false {
      throw .notModelled(
        key: "do_layer_norm_before", reason: "norms behind the residual sum are not modelled")
    }
    if let projected = try reader.integer("word_embed_proj_dim"), projected != hidden {
      throw .notModelled(
        key: "word_embed_proj_dim", reason: "embeddings narrower than the model are not modelled")
    }
    let biases = try Biases(reader, family)
    let positions = try positions(reader, family)
    var rows = try reader.integer(
      "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx", minimum: 1)
    if rows == nil, positions == .learned {
      rows = defaultPositions
      assumptions.append(
        "max_position_embeddings is not given: the learned position table has "
          + "\(defaultPositions) rows")
    }
    var normsPerLayer = family.normsPerLayer
    var isParallel = family.isParallelBlock
    if modelType == "falcon" {
      let isNew = try reader.boolean("new_decoder_architecture") ?? false
      let parallel = try reader.boolean("parallel_attn") ?? true
      isParallel = isNew || parallel
      let inParallel = try reader.integer("num_ln_in_parallel_attn", minimum: 1) ?? 2
      normsPerLayer = isNew ? inParallel : (isParallel ? 1 : 2)
    } else if let parallel = try reader.boolean("use_parallel_residual") {
      isParallel = parallel
    }
    let pattern = try LayerPattern(reader, modelType: modelType, layers: layers, hidden: hidden)
    var experts = try mixture(reader, family, modelType, layers: layers)
    if let listed = pattern.expertLayers { experts?.expertLayers = listed }
    let ratio = try reader.integer("expansion_ratio", minimum: 1) ?? 4
    var width =
      try reader.integer(
        "intermediate_size_mlp", "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size",
        minimum: 1) ?? experts?.intermediateSize ?? hidden * ratio
    // RecurrentGemma counts both inputs of the gate, Granite 4 without experts has the shared one alone.
    if modelType == "recurrent_gemma" { width /= 2 }
    if modelType == "granitemoehybrid", experts == nil {
      width = try reader.integer("shared_intermediate_size", minimum: 1) ?? width
    }
    if let widest = pattern.blocks?.widths.max() { width = widest }
    let innerDropout = try attentionDropoutInside(reader)
    var architecture = Architecture(
      name: name, layerCount: layers, hiddenSize: hidden,
      attention: pattern.hasAttention
        ? try selfAttention(
          reader, family, modelType, layers: layers, hidden: hidden, biases: biases)
        : SelfAttention(heads: 0, keyValueHeads: 0, headDimension: 0),
      recurrence: pattern.recurrence, mixers: pattern.mixers,
      feedForward: FeedForward(
        intermediateSize: width, activation: try activation(reader, family),
        hasBias: biases.feedForward, clampsGate: family.clampsGate),
      feedForwardLayers: pattern.feedForwardLayers,
      experts: experts, vocabularySize: try reader.required("vocab_size"),
      tiesEmbeddings: try reader.boolean("tie_word_embeddings") ?? family.tiesEmbeddings,
      positions: positions,
      maximumPositions: (rows ?? 0) + (positions == .learned ? family.positionOffset : 0),
      norm: biases.norm, normsPerLayer: normsPerLayer,
      normalizesEmbedding: family.normalizesEmbedding, isParallelBlock: isParallel,
      outputBias: try reader.boolean("lm_head_bias") ?? family.headBias,
      nextTokenLayers: try nextTokenLayers(reader),
      attentionDropout: try reader.fraction(
        "attention_dropout", "attn_pdrop", "attention_probs_dropout_prob")
        ?? innerDropout,
      hiddenDropout: try reader.fraction(
        "hidden_dropout", "resid_pdrop", "hidden_dropout_prob", "dropout") ?? 0)
    if let blocks = pattern.blocks {
      architecture.feedForwardWidths = blocks.widths
      let heads = architecture.attention.heads
      if let group = blocks.headsInGroup, group > 0, heads.isMultiple(of: group) {
        architecture.attention.keyValueHeads = heads / group
      }
    }
    if !architecture.attention.slidingLayers.isEmpty {
      architecture.slidingAttention = try slidingAttention(reader, architecture.attention)
    }
    return architecture
  }

  /// Layers: stated, or as many as the pattern has.
  private static func layerCount(
    _ reader: ConfigurationReader, _ modelType: String
  ) throws(ConfigurationError) -> Int {
    let isNemotron = LayerPattern.kind(of: reader, modelType) == "nemotron_h"
    let parts = isNemotron ? try LayerPattern.singleParts(reader) : nil
    if let parts, reader.first(["num_hidden_layers"]) == nil { return parts.count }
    let layers = try reader.required("num_hidden_layers", "n_layer", "n_layers", "num_layers")
    guard isNemotron, parts?.count != layers else { return layers }
    throw .impossible(
      key: "num_hidden_layers", found: "\(layers)",
      reason: "is not the \(parts?.count ?? 0) layers of hybrid_override_pattern")
  }

  /// MPT keeps attention settings in a map of their own.
  private static func attentionDropoutInside(
    _ reader: ConfigurationReader
  ) throws(ConfigurationError) -> Double {
    guard let inner = reader.map("attn_config") else { return 0 }
    return try ConfigurationReader(tree: inner).fraction("attn_pdrop") ?? 0
  }

  private static func positions(
    _ reader: ConfigurationReader, _ family: ModelFamily
  ) throws(ConfigurationError) -> PositionEmbedding {
    if let text = try reader.text("position_embedding") {
      let aliases = ["rope": "rotary", "learned_absolute": "learned"]
      guard let positions = PositionEmbedding(rawValue: aliases[text] ?? text) else {
        throw .unknownValue(
          key: "position_embedding", found: text,
          accepted: PositionEmbedding.allCases.map(\.rawValue))
      }
      return positions
    }
    if try reader.boolean("alibi") == true { return .alibi }
    if let text = try reader.text("position_embedding_type") {
      return text == "rope" || text == "rotary" ? .rotary : .none
    }
    if let inner = reader.map("attn_config") {
      if try ConfigurationReader(tree: inner).boolean("alibi") == true { return .alibi }
    }
    return family.positions
  }

  private static func nextTokenLayers(
    _ reader: ConfigurationReader
  ) throws(ConfigurationError) -> Int {
    if let count = try reader.integer("num_nextn_predict_layers", "mtp_num_hidden_layers") {
      return count
    }
    guard try reader.boolean("use_mtp") == true else { return 0 }
    let modules = try reader.integer("num_mtp_modules") ?? 1
    return try modules * (reader.integer("mtp_transformer_layers") ?? 1)
  }
}

/// Which parts of a layer have biases.
struct Biases {
  var input: Bool
  var output: Bool
  var feedForward: Bool
  var norm: Norm

  /// The family's, unless the configuration says otherwise.
  ///
  /// `use_bias` is about all linear layers, `attention_bias` and `mlp_bias` about their own.
  init(_ reader: ConfigurationReader, _ family: ModelFamily) throws(ConfigurationError) {
    var all = try reader.boolean("use_bias", "bias")
    if all == nil, let none = try reader.boolean("no_bias") { all = !none }
    let attention = try reader.boolean("attention_bias")
    input = try reader.boolean("qkv_bias") ?? attention ?? all ?? family.inputBias
    output = (family.biasSkipsOutput ? nil : attention) ?? all ?? family.outputBias
    feedForward = try reader.boolean("mlp_bias") ?? all ?? family.feedForwardBias
    norm = family.norm
    if let text = try reader.text("norm") {
      guard let kind = Norm.Kind(rawValue: text) else {
        throw .unknownValue(
          key: "norm", found: text, accepted: Norm.Kind.allCases.map(\.rawValue))
      }
      norm = Norm(kind, hasBias: kind == .layerNorm)
    }
    if family.normBiasFollows, all == false { norm.hasBias = false }
  }
}
