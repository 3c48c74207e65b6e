import Kernels
import Testing
import Transformer

/// Configurations of hybrids with their published parameter counts.
@Suite struct HybridConfigurationTests {
  /// A configuration and its count.
  struct Model: CustomTestStringConvertible, Sendable {
    let name: String
    let parameters: Int
    let configuration: ConfigurationTree
    var testDescription: String { name }

    init(_ name: String, _ parameters: Int, _ configuration: ConfigurationTree) {
      self.name = name
      self.parameters = parameters
      self.configuration = configuration
    }
  }

  private static func mamba(_ hidden: Int, _ layers: Int) -> ConfigurationTree {
    [
      "model_type": "mamba", "hidden_size": .integer(hidden),
      "num_hidden_layers": .integer(layers), "vocab_size": 50_280, "state_size": 16,
      "conv_kernel": 4, "expand": 2, "use_bias": false, "use_conv_bias": true,
      "time_step_rank": .integer((hidden + 15) / 16), "intermediate_size": .integer(2 * hidden),
    ]
  }

  private static func flags(_ count: Int, _ isOne: (Int) -> Bool) -> ConfigurationValue {
    .list((0..<count).map { .integer(isOne($0) ? 1 : 0) })
  }

  /// Counts as the safetensors metadata of the published weights have them (huggingface.co), the
  /// routers' correction biases included.
  static let all: [Model] = [
    // state-spaces/mamba-*-hf.
    Model("mamba-130m", 129_135_360, mamba(768, 24)),
    Model("mamba-370m", 371_516_416, mamba(1_024, 48)),
    Model("mamba-790m", 793_204_224, mamba(1_536, 48)),
    Model("mamba-1.4b", 1_372_178_432, mamba(2_048, 48)),
    Model("mamba-2.8b", 2_768_345_600, mamba(2_560, 64)),
    // tiiuae/falcon-mamba-7b.
    Model(
      "falcon-mamba-7b", 7_272_665_088,
      [
        "model_type": "falcon_mamba", "hidden_size": 4_096, "num_hidden_layers": 64,
        "vocab_size": 65_024, "state_size": 16, "conv_kernel": 4, "intermediate_size": 8_192,
        "time_step_rank": 256, "tie_word_embeddings": false,
      ]),
    // ai21labs/Jamba-v0.1.
    Model(
      "jamba-v0.1", 51_570_323_328,
      [
        "model_type": "jamba", "hidden_size": 4_096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14_336,
        "num_experts": 16, "num_experts_per_tok": 2, "vocab_size": 65_536, "mamba_dt_rank": 256,
        "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2, "attn_layer_period": 8,
        "attn_layer_offset": 4, "expert_layer_period": 2, "expert_layer_offset": 1,
        "tie_word_embeddings": false,
      ]),
    // ibm-granite/granite-4.0-h-small.
    Model(
      "granite-4.0-h-small", 32_207_337_984,
      [
        "model_type": "granitemoehybrid", "hidden_size": 4_096, "num_hidden_layers": 40,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 768,
        "shared_intermediate_size": 1_536, "num_local_experts": 72, "num_experts_per_tok": 10,
        "mamba_n_heads": 128, "mamba_d_head": 64, "mamba_n_groups": 1, "mamba_d_state": 128,
        "mamba_expand": 2, "vocab_size": 100_352, "position_embedding_type": "nope",
        "tie_word_embeddings": true,
        "layer_types": .list(
          (0..<40).map { .text([5, 15, 25, 35].contains($0) ? "attention" : "mamba") }),
      ]),
    // nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16: 31,577,937,344 and 23 · 128 correction biases.
    Model(
      "nemotron-3-nano-30b-a3b", 31_577_937_344 + 2_944,
      [
        "model_type": "nemotron_h", "hidden_size": 2_688, "num_hidden_layers": 52,
        "hybrid_override_pattern": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
        "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128,
        "intermediate_size": 1_856, "moe_intermediate_size": 1_856, "n_routed_experts": 128,
        "num_experts_per_tok": 6, "n_shared_experts": 1,
        "moe_shared_expert_intermediate_size": 3_712, "mamba_num_heads": 64,
        "mamba_head_dim": 64, "n_groups": 8, "ssm_state_size": 128, "chunk_size": 128,
        "conv_kernel": 4, "vocab_size": 131_072, "mlp_hidden_act": "relu2",
        "tie_word_embeddings": false,
      ]),
    // Qwen/Qwen3-Coder-Next, of Qwen3-Next's architecture.
    Model(
      "qwen3-next-80b-a3b", 79_674_391_296,
      [
        "model_type": "qwen3_next", "hidden_size": 2_048, "num_hidden_layers": 48,
        "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256,
        "linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_key_head_dim": 128,
        "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4, "num_experts": 512,
        "num_experts_per_tok": 10, "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512, "intermediate_size": 5_120,
        "full_attention_interval": 4, "vocab_size": 151_936, "tie_word_embeddings": false,
      ]),
    // Qwen/Qwen3.5-27B, the language model without its next-token module.
    Model(
      "qwen3.5-27b", 26_895_998_464,
      [
        "model_type": "qwen3_5_text", "hidden_size": 5_120, "num_hidden_layers": 64,
        "num_attention_heads": 24, "num_key_value_heads": 4, "head_dim": 256,
        "attn_output_gate": true, "linear_num_key_heads": 16, "linear_num_value_heads": 48,
        "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
        "intermediate_size": 17_408, "full_attention_interval": 4, "vocab_size": 248_320,
        "mtp_num_hidden_layers": 1, "tie_word_embeddings": false,
      ]),
    // Qwen/Qwen3.5-397B-A17B, likewise.
    Model(
      "qwen3.5-397b-a17b", 396_346_350_336,
      [
        "model_type": "qwen3_5_moe_text", "hidden_size": 4_096, "num_hidden_layers": 60,
        "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 256,
        "attn_output_gate": true, "linear_num_key_heads": 16, "linear_num_value_heads": 64,
        "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
        "num_experts": 512, "num_experts_per_tok": 10, "moe_intermediate_size": 1_024,
        "shared_expert_intermediate_size": 1_024, "full_attention_interval": 4,
        "vocab_size": 248_320, "tie_word_embeddings": false,
      ]),
    // MiniMaxAI/MiniMax-M1-80k, of MiniMax-Text-01's architecture.
    Model(
      "minimax-text-01", 456_089_655_296,
      [
        "model_type": "minimax_text_01", "hidden_size": 6_144, "num_hidden_layers": 80,
        "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128,
        "intermediate_size": 9_216, "num_local_experts": 32, "num_experts_per_tok": 2,
        "vocab_size": 200_064, "shared_intermediate_size": 0, "tie_word_embeddings": false,
        "attn_type_list": flags(80) { $0 % 8 == 7 },
      ]),
  ]

  @Test("a hybrid's configuration has exactly its published parameters", arguments: all)
  func exact(_ model: Model) throws {
    let reading = try Architecture.read(model.configuration, name: model.name)
    #expect(reading.unknownKeys == [])
    #expect(reading.assumptions == [])
    #expect(reading.architecture.parameterCount == model.parameters)
  }

  @Test("the catalogue's entry is what its configuration describes", arguments: all)
  func catalogue(_ model: Model) throws {
    var known = try #require(Architecture.named(model.name))
    var read = try Architecture(configuration: model.configuration, name: known.name)
    // Positions without a table, and next-token modules left out of the configurations above.
    read.maximumPositions = known.maximumPositions
    known.nextTokenLayers = read.nextTokenLayers
    #expect(known == read)
  }

  @Test(
    "sizes known to a few digits only",
    arguments: [
      // arXiv:2405.21060, section 9.2; 2504.03624, section 2.1 (8B and 56B); 2408.12570: 398B with 94B
      // active; 2510.26692: 48B with 3B active; 2507.22448: 34B; 2404.07839: 2.7B. Bamba's model card.
      ("mamba2-2.7b", 2.7e9, 0.01), ("nemotron-h-8b", 8.1e9, 0.01), ("nemotron-h-56b", 56e9, 0.01),
      ("jamba-1.5-large", 398e9, 0.005), ("kimi-linear-48b-a3b", 49e9, 0.01),
      ("falcon-h1-34b", 33.6e9, 0.01), ("recurrentgemma-2b", 2.7e9, 0.01),
      ("bamba-9b", 9.8e9, 0.01),
    ])
  func roughSize(_ name: String, _ parameters: Double, _ tolerance: Double) throws {
    let model = try #require(Architecture.named(name))
    #expect(abs(Double(model.parameterCount) / parameters - 1) < tolerance)
  }

  @Test(
    "usual other names of hybrids are understood",
    arguments: [
      ("nvidia/Nemotron-H-56B-Base-8K", "nemotron-h-56b"),
      ("state-spaces/mamba-2.8b-hf", "mamba-2.8b"),
      ("Qwen/Qwen3-Next-80B-A3B-Instruct", "qwen3-next-80b-a3b"),
      ("ai21labs/Jamba-v0.1", "jamba-v0.1"),
      ("MiniMaxAI/MiniMax-Text-01", "minimax-text-01"), ("mamba-2-2.7b", "mamba2-2.7b"),
    ])
  func otherNames(_ name: String, _ known: String) {
    #expect(Architecture.named(name)?.name == known)
  }

  @Test("a pattern by letters is that by names, and gives the number of layers") func patterns()
    throws
  {
    var tree: ConfigurationTree = [
      "model_type": "nemotron_h", "hidden_size": 64, "num_attention_heads": 4,
      "num_key_value_heads": 2, "intermediate_size": 128, "mamba_num_heads": 4,
      "mamba_head_dim": 16, "ssm_state_size": 8, "n_groups": 2, "vocab_size": 100,
    ]
    var named = tree
    tree.entries.append(.init("hybrid_override_pattern", "M-M*|-"))
    named.entries.append(
      .init("layers_block_type", .list(["mamba", "mlp", "mamba", "attention", "mlp"])))
    let letters = try Architecture(configuration: tree, name: "test")
    #expect(letters == (try Architecture(configuration: named, name: "test")))
    #expect(letters.mixers == [.recurrence, .none, .recurrence, .attention, .none])
    #expect(letters.feedForwardLayers == [false, true, false, false, true])
    tree.entries.append(.init("num_hidden_layers", 6))
    let error = #expect(throws: ConfigurationError.self) {
      try Architecture(configuration: tree, name: "test")
    }
    #expect(error?.key == "num_hidden_layers")
  }

  @Test("sliding layers may have heads of their own") func slidingHeads() throws {
    // Two layers of MiMo-V2-Flash's shape: one full, one sliding.
    let model = try Architecture(
      configuration: [
        "model_type": "mimo_v2_flash", "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 24, "v_head_dim": 16,
        "swa_num_attention_heads": 8, "swa_num_key_value_heads": 4, "swa_head_dim": 24,
        "swa_v_head_dim": 16, "hybrid_layer_pattern": [0, 1], "sliding_window": 16,
        "add_swa_attention_sink_bias": true, "add_full_attention_sink_bias": false,
        "intermediate_size": 128, "vocab_size": 100,
      ], name: "test")
    func count(_ layer: Int) -> Int {
      model.tensors(ofLayer: layer).filter { $0.name.hasPrefix("attention.") }
        .reduce(0) { $0 + $1.count }
    }
    // Queries 8·24, keys 2·24, values 2·16, output 8·16, each times 64.
    #expect(count(0) == 64 * (192 + 48 + 32 + 128))
    // Four heads of keys and values, and a sink for each of eight heads.
    #expect(count(1) == 64 * (192 + 96 + 64 + 128) + 8)
    // Scores: 8 heads · 2·(24 + 16) for 32 keys of 64 on average, and for 16 − 16²/128 of a window.
    let flops = model.forwardFlops(sequenceLength: 64, causal: true)
    #expect(flops.attentionScores == 640 * (32 + 14))
    let shard = LayerShard(microBatch: 1, sequenceLength: 64, vocabulary: 100)
    func width(_ layer: Int) -> Int {
      let operations = model.mixerOperations(
        layer: layer, shard: shard, algorithm: .flash2, fusion: Fusion())
      guard
        case .matmul(let projection)? = operations.first(where: { $0.name == "qkv_proj" })?
          .forward.last
      else { return 0 }
      return projection.n
    }
    #expect(width(0) == 192 + 48 + 32)
    #expect(width(1) == 192 + 96 + 64)
  }

  @Test("recurrences that are not modelled are refused by name", arguments: ["rwkv", "zamba2"])
  func refused(_ modelType: String) {
    let error = #expect(throws: ConfigurationError.self) {
      try Architecture(
        configuration: [
          "model_type": .text(modelType), "hidden_size": 64, "num_hidden_layers": 2,
          "vocab_size": 100,
        ], name: "test")
    }
    #expect(error?.key == "model_type")
  }
}
