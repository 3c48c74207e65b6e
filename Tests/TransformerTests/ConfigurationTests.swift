import Testing
import Transformer

@Suite struct ConfigurationTests {
  /// The sizes every configuration needs.
  static let base: ConfigurationTree = [
    "hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8,
    "intermediate_size": 2_048, "vocab_size": 1_000,
  ]

  func read(_ entries: ConfigurationTree) throws -> Architecture {
    try Architecture(
      configuration: ConfigurationTree(entries.entries + Self.base.entries), name: "test")
  }

  @Test("without model_type the activation decides") func activationDecides() throws {
    let gated = try read(["hidden_act": "silu"])
    #expect(gated.feedForward.activation == .swiglu)
    #expect(gated.norm == Norm(.rmsNorm, hasBias: false))
    #expect(gated.positions == .rotary)
    #expect(!gated.attention.inputBias && !gated.feedForward.hasBias)
    #expect(gated.attentionDropout == 0 && gated.hiddenDropout == 0)
    let gpt = try read(["hidden_act": "gelu", "attention_dropout": 0.1])
    #expect(gpt.feedForward.activation == .gelu)
    #expect(gpt.norm == Norm(.layerNorm, hasBias: true))
    #expect(gpt.positions == .learned && gpt.maximumPositions == 2_048)
    #expect(gpt.attention.inputBias && gpt.attention.outputBias && gpt.feedForward.hasBias)
    #expect(gpt.attentionDropout == 0.1 && gpt.hiddenDropout == 0)
    let nemotron = try read(["hidden_act": "relu2"])
    #expect(nemotron.feedForward.activation == .squaredReLU)
    #expect(nemotron.norm == Norm(.layerNorm, hasBias: true))
    #expect(nemotron.positions == .rotary && !nemotron.feedForward.hasBias)
  }

  @Test("own keys override") func ownKeys() throws {
    let model = try read([
      "hidden_act": "gelu", "norm": "rmsnorm", "use_bias": false, "position_embedding": "rope",
      "qk_norm": true, "hidden_dropout": 0.1,
    ])
    #expect(model.norm == Norm(.rmsNorm, hasBias: false))
    #expect(model.positions == .rotary)
    #expect(!model.attention.inputBias && model.attention.normalizesQueryAndKey)
    #expect(model.hiddenDropout == 0.1)
  }

  @Test("GPT-2's key names and absent tying") func gpt2() throws {
    let model = try Architecture(
      configuration: [
        "model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "n_inner": .null,
        "n_positions": 1_024, "vocab_size": 50_257, "activation_function": "gelu_new",
      ], name: "gpt2")
    #expect(model == Architecture.named("gpt2"))
  }

  @Test("head_dim wins over hidden/heads; null does not") func headDimension() throws {
    #expect(try read(["head_dim": 128]).attention.headDimension == 128)
    #expect(try read(["head_dim": .null]).attention.headDimension == 64)
  }

  @Test(
    "experts by any name",
    arguments: ["num_local_experts", "num_experts", "n_routed_experts"])
  func experts(_ key: String) throws {
    var tree = Self.base
    tree.entries.append(ConfigurationTree.Entry(key, 8))
    tree.entries.append(ConfigurationTree.Entry("experts_per_token", 2))
    let experts = try Architecture(configuration: tree, name: "test").experts
    #expect(experts?.expertCount == 8)
    #expect(experts?.expertsPerToken == 2)
    #expect(experts?.intermediateSize == 2_048)
    #expect(experts?.expertLayers == [true, true, true, true])
  }

  @Test("which layers are mixtures") func expertLayers() throws {
    let mixture: ConfigurationTree = [
      "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64,
    ]
    func layers(_ more: ConfigurationTree) throws -> [Bool]? {
      try read(ConfigurationTree(more.entries + mixture.entries)).experts?.expertLayers
    }
    #expect(try layers(["first_k_dense_replace": 1]) == [false, true, true, true])
    #expect(try layers(["moe_layer_freq": [0, 0, 1, 1]]) == [false, false, true, true])
    #expect(try layers(["decoder_sparse_step": 2]) == [false, true, false, true])
    #expect(try layers(["mlp_only_layers": [2]]) == [true, true, false, true])
    #expect(
      try read(
        ConfigurationTree(
          [.init("n_shared_experts", 2)] + mixture.entries)
      ).experts?.sharedIntermediateSize == 128)
  }

  @Test("text_config is followed") func nested() throws {
    let tree: ConfigurationTree = [
      "model_type": "qwen3_vl", "tie_word_embeddings": true, "text_config": .map(Self.base),
      "vision_config": .map(["hidden_size": 99]),
    ]
    let model = try Architecture(configuration: tree, name: "test")
    #expect(model.hiddenSize == 512)
    #expect(model.tiesEmbeddings)
    #expect(model.attention.normalizesQueryAndKey)
  }

  @Test("layer_types") func layerTypes() throws {
    let model = try read([
      "sliding_window": 128,
      "layer_types": [
        "sliding_attention", "full_attention", "full_attention", "sliding_attention",
      ],
    ])
    #expect(model.attention.slidingLayers == [true, false, false, true])
    #expect(
      try read(["sliding_window": 128, "use_sliding_window": false]).attention.slidingWindow == nil)
  }

  @Test("OPT has two more positions") func opt() throws {
    let model = try read(["model_type": "opt", "max_position_embeddings": 2_048])
    #expect(model.maximumPositions == 2_050)
    #expect(model.feedForward.activation == .relu)
  }

  @Test("unknown keys and model types are reported") func unknown() throws {
    var tree = Self.base
    tree.entries.append(ConfigurationTree.Entry("num_haeds", 8))
    tree.entries.append(ConfigurationTree.Entry("torch_dtype", "bfloat16"))
    tree.entries.append(ConfigurationTree.Entry("model_type", "novel"))
    let reading = try Architecture.read(tree, name: "test")
    #expect(reading.unknownKeys == ["num_haeds"])
    #expect(reading.assumptions.count == 1)
  }

  @Test(
    "what is not modelled is refused",
    arguments: [
      "ssm_state_size", "mamba_d_state", "attn_res_block_size",
      "sparse_attention_config",
      "compress_ratios", "global_head_dim", "share_expert_dim",
    ])
  func refused(_ key: String) {
    var tree = Self.base
    tree.entries.append(ConfigurationTree.Entry(key, 1))
    let error = #expect(throws: ConfigurationError.self) {
      try Architecture(configuration: tree, name: "test")
    }
    #expect(error?.key == key)
  }

  @Test("wrong values say what was wanted") func wrong() {
    func message(_ entries: ConfigurationTree) -> String {
      do {
        _ = try read(entries)
        return ""
      } catch { return "\(error)" }
    }
    #expect(message(["hidden_size": "512"]) == "hidden_size: expected an integer, found a text")
    #expect(
      message(["num_key_value_heads": 3])
        == "num_key_value_heads: 3 does not divide the 8 attention heads")
    #expect(message(["norm": "layernrm"]).hasSuffix("did you mean 'layernorm'?"))
    #expect(message(["hidden_size": 0]) == "hidden_size: 0 is below 1")
    let missing = #expect(throws: ConfigurationError.self) {
      try Architecture(configuration: ["hidden_size": 8], name: "test")
    }
    #expect(missing?.key == "num_hidden_layers")
  }
}
