extension Architecture {
  /// Self-attention as configured.
  static func selfAttention(
    _ reader: ConfigurationReader, _ family: ModelFamily, _ modelType: String, layers: Int,
    hidden: Int, biases: Biases
  ) throws(ConfigurationError) -> SelfAttention {
    let heads = try reader.required("num_attention_heads", "n_head", "n_heads")
    let latent = try latentAttention(reader)
    let dimension: Int
    if let latent {
      dimension = latent.plainDimension + latent.rotaryDimension
    } else if let given = try reader.integer("head_dim", "attention_head_dim", minimum: 1) {
      dimension = given
    } else if hidden.isMultiple(of: heads) {
      dimension = hidden / heads
    } else {
      throw .impossible(
        key: "num_attention_heads", found: "\(heads)",
        reason: "does not divide hidden_size \(hidden), and head_dim is not given")
    }
    let keyValueHeads = try keyValueHeads(reader, modelType, heads: heads)
    guard heads.isMultiple(of: keyValueHeads) else {
      throw .impossible(
        key: "num_key_value_heads", found: "\(keyValueHeads)",
        reason: "does not divide the \(heads) attention heads")
    }
    let value = try reader.integer("v_head_dim", minimum: 1)
    var norm = family.queryKeyNorm
    if modelType != "llama4", modelType != "llama4_text",
      let stated = try reader.boolean("qk_norm", "use_qk_norm", "qk_layernorm")
    {
      // Llama 4 normalises queries and keys without parameters.
      norm = stated ? (norm == .none ? .heads : norm) : .none
    }
    if norm != .none, let type = try reader.text("qk_norm_type") {
      norm = type == "per_layer" ? .projection : .heads
    }
    let windows = try windows(reader, family, modelType, layers: layers)
    var attention = SelfAttention(
      heads: heads, keyValueHeads: latent == nil ? keyValueHeads : heads,
      headDimension: dimension, valueDimension: value ?? (latent?.plainDimension ?? dimension),
      latent: latent, inputBias: biases.input, outputBias: biases.output,
      normalizesQueryAndKey: norm != .none && latent == nil,
      queryKeyNormSpansHeads: norm == .projection, hasSinks: family.hasSinks,
      slidingWindow: windows.width, windowIsChunk: windows.isChunk, slidingLayers: windows.layers)
    attention.hasSinks =
      try reader.boolean("add_full_attention_sink_bias") ?? attention.hasSinks
    attention.scalesRotation = family.scalesRotation
    attention.index = try sparseIndex(reader, layers: layers)
    attention.gatesOutput = try reader.boolean("attn_output_gate") ?? family.gatesAttention
    return attention
  }

  /// Attention of sliding layers where `swa_` keys give it heads of its own (MiMo-V2).
  static func slidingAttention(
    _ reader: ConfigurationReader, _ attention: SelfAttention
  ) throws(ConfigurationError) -> SelfAttention? {
    var sliding = attention
    sliding.heads =
      try reader.integer("swa_num_attention_heads", minimum: 1) ?? attention.heads
    sliding.keyValueHeads =
      try reader.integer("swa_num_key_value_heads", minimum: 1) ?? attention.keyValueHeads
    sliding.headDimension =
      try reader.integer("swa_head_dim", minimum: 1) ?? attention.headDimension
    sliding.valueDimension =
      try reader.integer("swa_v_head_dim", minimum: 1) ?? attention.valueDimension
    sliding.hasSinks = try reader.boolean("add_swa_attention_sink_bias") ?? attention.hasSinks
    guard sliding.heads.isMultiple(of: sliding.keyValueHeads) else {
      throw .impossible(
        key: "swa_num_key_value_heads", found: "\(sliding.keyValueHeads)",
        reason: "does not divide the \(sliding.heads) attention heads")
    }
    return sliding == attention ? nil : sliding
  }

  /// An index that picks keys, when `index_topk` is there.
  private static func sparseIndex(
    _ reader: ConfigurationReader, layers: Int
  ) throws(ConfigurationError) -> SparseIndex? {
    guard let selected = try reader.integer("index_topk", minimum: 1) else {
      // Sizes of an index that picks nobody knows how many would make the attention dense.
      let sizes = try reader.integer("index_n_heads", "index_head_dim")
      let family = try reader.text("model_type") ?? ""
      if sizes != nil || ["deepseek_v32", "glm_moe_dsa"].contains(family) {
        throw .missing(key: "index_topk", alsoKnownAs: [])
      }
      return nil
    }
    let types = try reader.texts("indexer_types") ?? []
    for type in types where type != "full" && type != "shared" {
      throw .unknownValue(key: "indexer_types", found: type, accepted: ["full", "shared"])
    }
    guard types.isEmpty || types.count >= layers else {
      throw .impossible(
        key: "indexer_types", found: "a list of \(types.count)",
        reason: "is shorter than the \(layers) layers")
    }
    return SparseIndex(
      heads: try reader.required("index_n_heads"),
      dimension: try reader.required("index_head_dim"), selectedKeys: selected,
      owners: types.prefix(layers).map { $0 == "full" })
  }

  /// Latent attention when `kv_lora_rank` is there.
  private static func latentAttention(
    _ reader: ConfigurationReader
  ) throws(ConfigurationError) -> LatentAttention? {
    guard let rank = try reader.integer("kv_lora_rank", minimum: 1) else { return nil }
    return LatentAttention(
      queryRank: try reader.integer("q_lora_rank", minimum: 1), keyValueRank: rank,
      plainDimension: try reader.required("qk_nope_head_dim"),
      rotaryDimension: try reader.required("qk_rope_head_dim"))
  }

  /// Key and value heads: stated, one for Falcon's multi-query attention, else all.
  private static func keyValueHeads(
    _ reader: ConfigurationReader, _ modelType: String, heads: Int
  ) throws(ConfigurationError) -> Int {
    let isNew = try reader.boolean("new_decoder_architecture") ?? false
    if modelType == "falcon", !isNew, try reader.boolean("multi_query") ?? true { return 1 }
    if let given = try reader.integer("num_key_value_heads", "num_kv_heads", minimum: 1) {
      return given
    }
    // StarCoder's `gpt_bigcode` has one key and value head unless told otherwise.
    let isMulti = try reader.boolean("multi_query") ?? (modelType == "gpt_bigcode")
    return isMulti ? 1 : heads
  }

  /// Width of the attention window and the layers that have it.
  private static func windows(
    _ reader: ConfigurationReader, _ family: ModelFamily, _ modelType: String, layers: Int
  ) throws(ConfigurationError) -> (width: Int?, isChunk: Bool, layers: [Bool]) {
    let none: (Int?, Bool, [Bool]) = (nil, false, [])
    let types = try reader.texts("layer_types")
    if let types {
      let known = [
        "full_attention", "sliding_attention", "chunked_attention", "linear_attention",
        "attention", "mamba",
      ]
      for type in types where !known.contains(type) {
        throw .notModelled(key: "layer_types", reason: "\(type) layers are not modelled")
      }
      guard types.count >= layers else {
        throw .impossible(
          key: "layer_types", found: "a list of \(types.count)",
          reason: "is shorter than the \(layers) layers")
      }
    }
    let isChunk = modelType.hasPrefix("llama4")
    let width =
      try isChunk
      ? reader.integer("attention_chunk_size", minimum: 1)
      : reader.integer("sliding_window", "attention_window_size", minimum: 1)
    guard let width, try reader.boolean("use_sliding_window") != false else { return none }
    if let types {
      let windowed = ["sliding_attention", "chunked_attention"]
      return (width, isChunk, types.prefix(layers).map { windowed.contains($0) })
    }
    if let pattern = try reader.integers("hybrid_layer_pattern") {
      guard pattern.count >= layers else {
        throw .impossible(
          key: "hybrid_layer_pattern", found: "a list of \(pattern.count)",
          reason: "is shorter than the \(layers) layers")
      }
      return (width, isChunk, pattern.prefix(layers).map { $0 == 1 })
    }
    if isChunk, let rotary = try reader.integers("no_rope_layers"), rotary.count >= layers {
      return (width, true, rotary.prefix(layers).map { $0 == 1 })
    }
    if family.sliding == .off, try reader.boolean("use_sliding_window") != true { return none }
    let period = try reader.integer("sliding_window_pattern", minimum: 1)
    return (width, isChunk, family.slidingLayers(layers, period: period))
  }

  /// The mixture of experts, if there are several experts.
  static func mixture(
    _ reader: ConfigurationReader, _ family: ModelFamily, _ modelType: String, layers: Int
  ) throws(ConfigurationError) -> MixtureOfExperts? {
    guard
      let count = try reader.integer("num_local_experts", "n_routed_experts", "num_experts"),
      count > 1
    else { return nil }
    let visited = try reader.required(
      "num_experts_per_tok", "experts_per_token", "num_experts_per_token")
    guard visited <= count else {
      throw .impossible(
        key: "num_experts_per_tok", found: "\(visited)", reason: "is more than \(count) experts")
    }
    let width: Int
    if let given = try reader.integer("moe_intermediate_size", minimum: 1) {
      width = given
    } else {
      width = try reader.required("intermediate_size", "ffn_hidden_size")
    }
    var shared = try reader.integer(
      "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size",
      "shared_intermediate_size")
    if shared == nil {
      // Llama 4 always has one shared expert of the routed experts' width.
      let one = modelType.hasPrefix("llama4") ? 1 : 0
      shared = try width * (reader.integer("n_shared_experts", "num_shared_experts") ?? one)
    }
    var mixture = MixtureOfExperts(
      expertCount: count, expertsPerToken: visited, intermediateSize: width,
      sharedIntermediateSize: shared ?? 0, gatesSharedExpert: family.gatesSharedExpert,
      routerBias: try reader.boolean("use_routing_bias") ?? family.routerBias,
      expertLayers: try expertLayers(reader, layers: layers),
      groupCount: try reader.integer("n_group", minimum: 1) ?? 1,
      groupsPerToken: try reader.integer("topk_group", minimum: 1) ?? 1)
    mixture.latentSize = try reader.integer("moe_latent_size", minimum: 1)
    return mixture
  }

  /// Which layers are mixtures.
  ///
  /// After the first dense ones (DeepSeek), every so many (Qwen, Llama 4), all but some, or as listed.
  private static func expertLayers(
    _ reader: ConfigurationReader, layers: Int
  ) throws(ConfigurationError) -> [Bool] {
    if let listed = try reader.integers("moe_layer_freq") {
      guard listed.count >= layers else {
        throw .impossible(
          key: "moe_layer_freq", found: "a list of \(listed.count)",
          reason: "is shorter than the \(layers) layers")
      }
      return listed.prefix(layers).map { $0 != 0 }
    }
    if let listed = try reader.integers("moe_layers") {
      return (0..<layers).map { listed.contains($0) }
    }
    if let types = try reader.texts("mlp_layer_types"), types.count >= layers {
      return types.prefix(layers).map { $0 == "sparse" }
    }
    let dense = try reader.integer("first_k_dense_replace") ?? 0
    let frequency = try reader.integer("moe_layer_freq", minimum: 1) ?? 1
    let step =
      try reader.integer("decoder_sparse_step", "interleave_moe_layer_step", minimum: 1) ?? 1
    let without = try reader.integers("mlp_only_layers") ?? []
    return (0..<layers).map { layer in
      layer >= dense && layer.isMultiple(of: frequency) && (layer + 1).isMultiple(of: step)
        && !without.contains(layer)
    }
  }
}
