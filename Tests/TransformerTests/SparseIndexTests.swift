import Kernels
import Quantities
import Testing
import Transformer

@Suite("Attention to keys that an index picks") struct SparseIndexTests {
  /// DeepSeek-V3 with the index of DeepSeek-V3.2.
  private static let keys: [ConfigurationTree.Entry] = [
    .init("model_type", "deepseek_v32"), .init("hidden_act", "silu"),
    .init("first_k_dense_replace", 3), .init("hidden_size", 7_168),
    .init("intermediate_size", 18_432), .init("kv_lora_rank", 512),
    .init("moe_intermediate_size", 2_048), .init("n_routed_experts", 256),
    .init("n_shared_experts", 1), .init("num_attention_heads", 128),
    .init("num_experts_per_tok", 8), .init("num_hidden_layers", 61),
    .init("num_nextn_predict_layers", 1), .init("q_lora_rank", 1_536),
    .init("qk_nope_head_dim", 128), .init("qk_rope_head_dim", 64), .init("v_head_dim", 128),
    .init("tie_word_embeddings", false), .init("vocab_size", 129_280),
    .init("index_head_dim", 128), .init("index_n_heads", 64), .init("index_topk", 2_048),
  ]

  private func model(_ more: [ConfigurationTree.Entry] = []) throws -> Architecture {
    var tree = ConfigurationTree()
    tree.entries = Self.keys + more
    let reading = try Architecture.read(tree, name: "test")
    #expect(reading.unknownKeys.isEmpty)
    return reading.architecture
  }

  private func shard(_ sequence: Int, tensor: Int = 1, context: Int = 1) -> LayerShard {
    LayerShard(
      microBatch: 1, sequenceLength: sequence, tensor: tensor, context: context,
      vocabulary: 129_280)
  }

  private func operations(_ model: Architecture, _ shard: LayerShard) -> [Operation] {
    model.mixerOperations(layer: 0, shard: shard, algorithm: .flash3, fusion: Fusion())
  }

  @Test("without the number of picked keys there is no index to build")
  func missing() throws {
    var tree = ConfigurationTree()
    tree.entries = Self.keys.filter { $0.key != "index_topk" }
    #expect(throws: ConfigurationError.missing(key: "index_topk", alsoKnownAs: [])) {
      try Architecture.read(tree, name: "test")
    }
    // The family alone says that there is one.
    tree.entries.removeAll { $0.key.hasPrefix("index_") }
    #expect(throws: ConfigurationError.missing(key: "index_topk", alsoKnownAs: [])) {
      try Architecture.read(tree, name: "test")
    }
  }

  @Test("an index adds its own tensors to DeepSeek-V3") func parameters() throws {
    // A layer's index: queries 64 · 128 × 1,536, keys 128 × 7,168, their norm 2 · 128, weights 64 × 7,168.
    let index = 12_582_912 + 917_504 + 256 + 458_752
    // DeepSeek-V3 itself has 671,026,419,200.
    #expect(try model().parameterCount == 671_026_419_200 + 61 * index)
    #expect(
      try model().nextTokenParameterCount
        == (#require(Architecture.named("deepseek-v3"))).nextTokenParameterCount + index)
  }

  @Test("layers that share an index have none of their own") func shared() throws {
    let types = (0..<61).map { ConfigurationValue.text($0 % 4 == 0 ? "full" : "shared") }
    let few = try model([.init("indexer_types", .list(types))])
    // Layers 0, 4, … 60.
    #expect(try model().parameterCount - few.parameterCount == (61 - 16) * 13_959_424)
    let names = operations(few, shard(8_192)).map(\.name)
    #expect(names.contains("index_scores"))
    let sharing = few.mixerOperations(
      layer: 1, shard: shard(8_192), algorithm: .flash3, fusion: Fusion())
    #expect(!sharing.map(\.name).contains { $0.hasPrefix("index") })
    // They attend to picked keys all the same.
    #expect(few.meanAttendedKeys(layer: 1, sequenceLength: 1 << 20, causal: false) == 2_048)
  }

  @Test("a query meets no more keys than are picked") func attended() throws {
    let model = try model()
    // 2,048 − 2,048² / (2 · 8,192).
    #expect(model.meanAttendedKeys(layer: 0, sequenceLength: 8_192, causal: true) == 1_792)
    #expect(model.meanAttendedKeys(layer: 0, sequenceLength: 2_048, causal: true) == 1_024)
    // Scores of 128 heads of 192 + 128 over 1,792 keys, and of 64 index heads of 128 over 4,096, of 62 layers;
    // backward both gradients of the index's over 1,792 keys.
    let attention = 2 * 128 * 320 * 1_792
    let index = 2 * 64 * 128 * 4_096
    let flops = model.forwardFlops(sequenceLength: 8_192, causal: true)
    #expect(flops.attentionScores == Double(62 * attention))
    #expect(flops.indexScores == Double(62 * index))
    let back = 2 * 2 * 64 * 128 * 1_792
    #expect(flops.indexScoresBackward == Double(62 * back))
    // Its three multiplies have no input gradient: twice, where the rest is thrice.
    let projections = 2 * 62 * (64 * 128 * 1_536 + 128 * 7_168 + 64 * 7_168)
    #expect(flops.indexProjections == Double(projections))
    let rest = flops.total.count - Double(projections + 62 * index)
    #expect(flops.trained.count == 3 * rest + Double(2 * projections + 62 * (index + back)))
    #expect(
      model.modelFlopsPerStep(tokens: 8_192, sequenceLength: 8_192, causal: true).count
        == 8_192 * flops.trained.count)
    // Keys behind a query are in no count of the index, whatever is counted of attention.
    #expect(
      model.forwardFlops(sequenceLength: 8_192, causal: false).indexScores == flops.indexScores)
  }

  @Test("kernels attend in the compressed space, where all heads share a key") func core() throws {
    let long = operations(try model(), shard(8_192, tensor: 8))
    let core = try #require(long.first { $0.isAttentionCore })
    guard case .attention(let kernel)? = core.forward.first else {
      Issue.record("no attention kernel")
      return
    }
    #expect(kernel.heads == 16 && kernel.keyValueHeads == 1)
    #expect(kernel.headDimension == 512 + 64 && kernel.valueDimension == 512)
    #expect(kernel.computedFraction == 1_792.0 / 8_192)
    let short = try #require(operations(try model(), shard(2_048)).first { $0.isAttentionCore })
    guard case .attention(let dense)? = short.forward.first else { return }
    #expect(dense.headDimension == 192 && dense.keyValueHeads == 128)
  }

  @Test("the index is scored on all earlier keys, and learns on picked ones") func scores() throws {
    let scores = try #require(
      operations(try model(), shard(8_192, tensor: 8)).first { $0.name == "index_scores" })
    // Whole on every tensor-parallel rank: 64 heads × 8,192 queries × 4,096 keys × 128, two each.
    #expect(scores.forward[0].flops.count == 2 * 64 * 8_192 * 4_096 * 128)
    // Its own scores, both gradients: thrice 64 heads of 128; the rank's 16 attention heads of 576.
    let perPair = 3 * 64 * 128 + 16 * 576
    #expect(
      scores.inputGradient.reduce(0) { $0 + $1.flops.count }
        == Double(2 * 8_192 * 1_792 * perPair))
    // The picked keys' numbers stay, four bytes each.
    #expect(scores.saved == 4 * 8_192 * 2_048)
    // Over context ranks every index key is gathered: 8,192 × 128 in bf16.
    let spread = try #require(
      operations(try model(), shard(8_192, context: 4)).first { $0.name == "index_scores" })
    #expect(spread.beforeForward == Exchange(.allGather, on: .context, bytes: 8_192 * 128 * 2))
    #expect(spread.forward[0].flops.count * 4 == scores.forward[0].flops.count)
  }
}
