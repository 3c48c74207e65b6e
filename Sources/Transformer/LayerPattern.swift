/// Which layers of a model do what, as its configuration says in one of many ways.
struct LayerPattern {
  var recurrence: Recurrence?
  /// Empty when all layers attend.
  var mixers: [LayerMixer] = []
  /// Empty when all layers have a feed-forward block.
  var feedForwardLayers: [Bool] = []
  /// Layers whose feed-forward block is a mixture, where the pattern itself says so.
  var expertLayers: [Bool]?

  /// Layers that were pruned one by one.
  var blocks: PrunedBlocks?

  var hasAttention: Bool { mixers.isEmpty || mixers.contains { $0.hasAttention } }

  /// The pattern of a model of `layers` layers; all attend unless a recurrence is named.
  init(
    _ reader: ConfigurationReader, modelType: String, layers: Int, hidden: Int
  ) throws(ConfigurationError) {
    if let blocks = try PrunedBlocks(reader, layers: layers, hidden: hidden) {
      self.blocks = blocks
      mixers = blocks.attends.map { $0 ? .attention : .none }
      feedForwardLayers = blocks.widths.map { $0 > 0 }
      return
    }
    switch Self.kind(of: reader, modelType) {
    case "nemotron_h":
      let parts = try Self.singleParts(reader) ?? []
      mixers = parts.map { $0 == .mamba ? .recurrence : $0 == .attention ? .attention : .none }
      feedForwardLayers = parts.map { $0 == .feedForward || $0 == .experts }
      expertLayers = parts.map { $0 == .experts }
      recurrence = try Self.mamba2(reader, hidden: hidden)
    case "mamba", "falcon_mamba", "mamba2":
      mixers = Array(repeating: .recurrence, count: layers)
      feedForwardLayers = Array(repeating: false, count: layers)
      recurrence =
        try modelType == "mamba2"
        ? Self.mamba2(reader, hidden: hidden) : Self.mamba(reader, hidden: hidden)
    case "jamba":
      let period = try reader.integer("attn_layer_period", minimum: 1) ?? 8
      let offset = try reader.integer("attn_layer_offset") ?? 4
      mixers = (0..<layers).map { $0 % period == offset ? .attention : .recurrence }
      let step = try reader.integer("expert_layer_period", minimum: 1) ?? 2
      let first = try reader.integer("expert_layer_offset") ?? 1
      expertLayers = (0..<layers).map { $0 % step == first }
      recurrence = try Self.mamba(reader, hidden: hidden)
      recurrence?.normalizesInputs = true
    case "bamba":
      let attending = try reader.integers("attn_layer_indices") ?? []
      mixers = (0..<layers).map { attending.contains($0) ? .attention : .recurrence }
      recurrence = try Self.mamba2(reader, hidden: hidden)
    case "granitemoehybrid":
      mixers = try Self.mixers(reader, layers: layers, recurrent: "mamba") ?? []
      if mixers.contains(.recurrence) { recurrence = try Self.mamba2(reader, hidden: hidden) }
    case "falcon_h1":
      mixers = Array(repeating: .both, count: layers)
      recurrence = try Self.mamba2(reader, hidden: hidden)
      recurrence?.normalizesOutput = try reader.boolean("mamba_rms_norm") ?? false
    case "kimi_linear":
      (mixers, recurrence) = try Self.kimi(reader, layers: layers)
    case "minimax_text_01", "minimax":
      mixers = try Self.lightningLayers(reader, layers: layers)
      if mixers.contains(.recurrence) { recurrence = try Self.lightning(reader, hidden: hidden) }
    case "recurrent_gemma":
      let cycle = try reader.texts("block_types") ?? ["recurrent", "recurrent", "attention"]
      guard !cycle.isEmpty else {
        throw .impossible(key: "block_types", found: "an empty list", reason: "names no block")
      }
      mixers = (0..<layers).map {
        cycle[$0 % cycle.count] == "attention" ? .attention : .recurrence
      }
      recurrence = try Self.gatedLinearUnit(reader, hidden: hidden)
    case "qwen3_next":
      mixers = try Self.gatedDeltaLayers(reader, layers: layers)
      recurrence = try Self.gatedDelta(reader)
    default:
      let keys = ["ssm_state_size", "mamba_d_state", "state_size", "mamba_num_heads"]
      guard let (key, _) = reader.first(keys) else { return }
      throw .notModelled(
        key: key, reason: "which layers are state spaces is not known without a known model_type")
    }
  }

  /// The model type whose way to say it a configuration has: its own, or that of the keys.
  static func kind(of reader: ConfigurationReader, _ modelType: String) -> String {
    switch modelType {
    case "nemotron_h", "mamba", "falcon_mamba", "mamba2", "jamba", "bamba", "granitemoehybrid",
      "falcon_h1", "kimi_linear", "minimax_text_01", "minimax", "recurrent_gemma":
      return modelType
    default: break
    }
    let keys = [
      ("hybrid_override_pattern", "nemotron_h"), ("layers_block_type", "nemotron_h"),
      ("linear_attn_config", "kimi_linear"), ("linear_num_value_heads", "qwen3_next"),
    ]
    if let (_, found) = keys.first(where: { reader.first([$0.0]) != nil }) { return found }
    // MiniMax M2 lists softmax attention only.
    if case .list(let types)? = reader.first(["attn_type_list"])?.value, types.contains(0) {
      return "minimax"
    }
    return modelType
  }

  /// What a layer of a Nemotron-H model is: one part alone.
  enum Part: Hashable {
    case mamba, attention, feedForward, experts
  }

  /// The parts in order: `hybrid_override_pattern` by letter (`M`, `*`, `-`, `E`) or `layers_block_type` by name.
  ///
  /// `nil` without either.
  static func singleParts(_ reader: ConfigurationReader) throws(ConfigurationError) -> [Part]? {
    var names: [String]
    let key: String
    if let pattern = try reader.text("hybrid_override_pattern") {
      key = "hybrid_override_pattern"
      // Bars between letters mark pipeline stages.
      names = pattern.filter { $0 != "|" }.map(String.init)
    } else if let listed = try reader.texts("layers_block_type") {
      key = "layers_block_type"
      names = listed
    } else {
      return nil
    }
    var parts: [Part] = []
    for name in names {
      switch name {
      case "M", "mamba": parts.append(.mamba)
      case "*", "attention": parts.append(.attention)
      case "-", "mlp": parts.append(.feedForward)
      case "E", "moe": parts.append(.experts)
      default:
        throw .unknownValue(
          key: key, found: name, accepted: ["mamba", "attention", "mlp", "moe", "M", "*", "-", "E"])
      }
    }
    return parts
  }

  /// Mixers by `layer_types`, where `recurrent` names the layers with a recurrence.
  private static func mixers(
    _ reader: ConfigurationReader, layers: Int, recurrent: String
  ) throws(ConfigurationError) -> [LayerMixer]? {
    guard let types = try reader.texts("layer_types") else { return nil }
    guard types.count >= layers else {
      throw .impossible(
        key: "layer_types", found: "a list of \(types.count)",
        reason: "is shorter than the \(layers) layers")
    }
    return types.prefix(layers).map { $0 == recurrent ? .recurrence : .attention }
  }

  /// Mamba and Falcon-Mamba; `time_step_rank` is ⌈hidden / 16⌉ when it is not given.
  private static func mamba(
    _ reader: ConfigurationReader, hidden: Int
  ) throws(ConfigurationError) -> Recurrence {
    let width: Int
    if reader.first(["mamba_d_state"]) == nil,
      let given = try reader.integer("intermediate_size", minimum: 1)
    {
      width = given
    } else {
      width = try hidden * (reader.integer("expand", "mamba_expand", minimum: 1) ?? 2)
    }
    var rank = (hidden + 15) / 16
    if case .integer? = reader.first(["time_step_rank", "mamba_dt_rank"])?.value {
      rank = try reader.integer("time_step_rank", "mamba_dt_rank", minimum: 1) ?? rank
    }
    return Recurrence(
      .selectiveScan, heads: width, headDimension: 1,
      stateDimension: try reader.integer("state_size", "mamba_d_state", minimum: 1) ?? 16,
      convolutionWidth: try reader.integer("conv_kernel", "mamba_d_conv", minimum: 1) ?? 4,
      rank: rank, convolutionBias: try reader.boolean("use_conv_bias", "mamba_conv_bias") ?? true,
      projectionBias: try reader.boolean("mamba_proj_bias", "use_bias") ?? false,
      normalizesOutput: false)
  }

  /// Mamba-2 in the keys of Mamba2, Nemotron-H, Bamba, Granite 4 and Falcon-H1.
  private static func mamba2(
    _ reader: ConfigurationReader, hidden: Int
  ) throws(ConfigurationError) -> Recurrence {
    let heads = try reader.required("mamba_num_heads", "mamba_n_heads", "num_heads")
    let expand = try reader.integer("mamba_expand", "expand", minimum: 1) ?? 2
    let inner = try reader.integer("mamba_d_ssm", minimum: 1) ?? hidden * expand
    var dimension = max(1, inner / heads)
    // "auto" is the width over the heads.
    let keys = ["mamba_head_dim", "mamba_d_head"]
    if case .integer(let given)? = reader.first(keys)?.value {
      guard given > 0 else {
        throw .impossible(key: keys[0], found: "\(given)", reason: "is below 1")
      }
      dimension = given
    } else if reader.first(["mamba_num_heads", "mamba_n_heads"]) == nil {
      dimension = try reader.integer("head_dim", minimum: 1) ?? dimension
    }
    let groups = try reader.integer("n_groups", "mamba_n_groups", minimum: 1) ?? 1
    guard heads.isMultiple(of: groups) else {
      throw .impossible(
        key: "n_groups", found: "\(groups)", reason: "does not divide the \(heads) heads")
    }
    return Recurrence(
      .stateSpaceDuality, heads: heads, groups: groups, headDimension: dimension,
      stateDimension: try reader.required("ssm_state_size", "mamba_d_state", "state_size"),
      convolutionWidth: try reader.integer("conv_kernel", "mamba_d_conv", minimum: 1) ?? 4,
      chunkSize: try reader.integer("chunk_size", "mamba_chunk_size", minimum: 1) ?? 256,
      convolutionBias: try reader.boolean("use_conv_bias", "mamba_conv_bias") ?? true,
      projectionBias: try reader.boolean("mamba_proj_bias", "use_bias") ?? false)
  }

  /// Qwen3-Next and Qwen 3.5: `layer_types`, or every so many layers attend.
  private static func gatedDeltaLayers(
    _ reader: ConfigurationReader, layers: Int
  ) throws(ConfigurationError) -> [LayerMixer] {
    if let listed = try mixers(reader, layers: layers, recurrent: "linear_attention") {
      return listed
    }
    let interval = try reader.integer("full_attention_interval", minimum: 1) ?? 4
    return (1...layers).map { $0.isMultiple(of: interval) ? .attention : .recurrence }
  }

  private static func gatedDelta(
    _ reader: ConfigurationReader
  ) throws(ConfigurationError) -> Recurrence {
    let heads = try reader.required("linear_num_value_heads")
    let keyHeads = try reader.required("linear_num_key_heads")
    guard heads.isMultiple(of: keyHeads) else {
      throw .impossible(
        key: "linear_num_key_heads", found: "\(keyHeads)",
        reason: "does not divide the \(heads) value heads")
    }
    return Recurrence(
      .gatedDelta, heads: heads, groups: keyHeads,
      headDimension: try reader.required("linear_value_head_dim"),
      stateDimension: try reader.required("linear_key_head_dim"),
      convolutionWidth: try reader.integer("linear_conv_kernel_dim", minimum: 1) ?? 4,
      chunkSize: deltaChunk, convolutionBias: false)
  }

  /// Tokens of a chunk of the delta rules (`chunk_size=64` in fla/ops/gated_delta_rule/chunk.py).
  private static let deltaChunk = 64

  /// Kimi Linear: layers counted from 1, keys and values of one size, gates through a bottleneck of a head's width.
  private static func kimi(
    _ reader: ConfigurationReader, layers: Int
  ) throws(ConfigurationError) -> ([LayerMixer], Recurrence) {
    guard let inner = reader.map("linear_attn_config") else {
      throw .missing(key: "linear_attn_config", alsoKnownAs: [])
    }
    let nested = ConfigurationReader(tree: inner)
    if try nested.boolean("use_full_rank_gate") == true {
      throw .notModelled(
        key: "linear_attn_config", reason: "gates without a bottleneck are not modelled")
    }
    guard let recurrent = try nested.integers("kda_layers") else {
      throw .missing(key: "kda_layers", alsoKnownAs: [])
    }
    let heads = try nested.required("num_heads")
    let dimension = try nested.required("head_dim")
    return (
      (1...layers).map { recurrent.contains($0) ? .recurrence : .attention },
      Recurrence(
        .kimiDelta, heads: heads, groups: heads, headDimension: dimension,
        stateDimension: dimension,
        convolutionWidth: try nested.integer("short_conv_kernel_size", minimum: 1) ?? 4,
        chunkSize: deltaChunk, rank: dimension, convolutionBias: false)
    )
  }

  /// MiniMax-01: `attn_type_list`, 0 lightning and 1 softmax attention, or `layer_types`.
  private static func lightningLayers(
    _ reader: ConfigurationReader, layers: Int
  ) throws(ConfigurationError) -> [LayerMixer] {
    if let types = try reader.integers("attn_type_list") {
      guard types.count >= layers else {
        throw .impossible(
          key: "attn_type_list", found: "a list of \(types.count)",
          reason: "is shorter than the \(layers) layers")
      }
      return types.prefix(layers).map { $0 == 0 ? .recurrence : .attention }
    }
    return try mixers(reader, layers: layers, recurrent: "linear_attention") ?? []
  }

  private static func lightning(
    _ reader: ConfigurationReader, hidden: Int
  ) throws(ConfigurationError) -> Recurrence {
    let heads = try reader.required("num_attention_heads")
    let dimension = try reader.integer("head_dim", minimum: 1) ?? hidden / heads
    return Recurrence(
      .lightning, heads: heads, groups: heads, headDimension: dimension,
      stateDimension: dimension, convolutionWidth: 0,
      chunkSize: try reader.integer("block_size", minimum: 1) ?? 256)
  }

  private static func gatedLinearUnit(
    _ reader: ConfigurationReader, hidden: Int
  ) throws(ConfigurationError) -> Recurrence {
    let width = try reader.integer("lru_width", minimum: 1) ?? hidden
    let blocks = try reader.required("num_attention_heads")
    guard width.isMultiple(of: blocks) else {
      throw .impossible(
        key: "lru_width", found: "\(width)", reason: "is not a multiple of the \(blocks) heads")
    }
    return Recurrence(
      .gatedLinearUnit, heads: blocks, groups: blocks, headDimension: width / blocks,
      stateDimension: 1,
      convolutionWidth: try reader.integer("conv1d_width", minimum: 1) ?? 4,
      projectionBias: true, normalizesOutput: false)
  }
}
