import Testing
import Transformer

@Suite("Layers pruned one by one") struct PrunedBlockTests {
  private func block(attends: Bool, multiple: Double?) -> ConfigurationValue {
    .map([
      "attention": .map([
        "n_heads_in_group": attends ? 8 : .null, "no_op": .boolean(!attends),
        "replace_with_linear": false, "sparsify": .null,
      ]),
      "ffn": .map([
        "ffn_mult": multiple.map { .number($0) } ?? .null, "no_op": .boolean(multiple == nil),
        "replace_with_linear": false,
      ]),
    ])
  }

  private func read(
    _ blocks: [ConfigurationValue], layers: Int? = nil
  ) throws -> Architecture {
    try Architecture(
      configuration: [
        "model_type": "nemotron-nas", "hidden_act": "silu", "hidden_size": 8_192,
        "num_hidden_layers": .integer(layers ?? blocks.count), "num_attention_heads": 64,
        "tie_word_embeddings": false, "vocab_size": 128_256, "block_configs": .list(blocks),
      ], name: "test")
  }

  @Test("Llama-3.3-Nemotron-Super-49B has the parameters of its weights") func super49() throws {
    // The multiples its configuration lists, with and without attention, and how often.
    let counts: [(Bool, Double, Int)] = [
      (true, 5.25, 48), (true, 2.625, 1), (false, 1.3125, 10), (false, 1.0, 8), (false, 0.5, 6),
      (false, 2.625, 5), (false, 3.28125, 1), (false, 5.25, 1),
    ]
    let blocks = counts.flatMap { attends, multiple, count in
      Array(repeating: block(attends: attends, multiple: multiple), count: count)
    }
    // 49 attentions of 2 · 8192² + 2 · 8192 · 1024 and a norm; widths 28,672 (49 ×), 14,336 (6 ×), 7,168
    // (10 ×), 5,632 (8 ×), 2,816 (6 ×), 17,920 (1 ×) thrice 8,192 and a norm; two tables, a norm.
    let attention = 2 * 8_192 * 8_192 + 2 * 8_192 * 1_024 + 8_192
    let widths = 49 * 28_672 + 6 * 14_336 + 10 * 7_168 + 8 * 5_632 + 6 * 2_816 + 17_920
    let expected =
      49 * attention + 3 * 8_192 * widths + 80 * 8_192 + 2 * 128_256 * 8_192 + 8_192
    #expect(expected == 49_867_145_216)
    let model = try read(blocks)
    #expect(model.parameterCount == expected)
    #expect(model.attention.keyValueHeads == 8)
    #expect(model.feedForward.intermediateSize == 28_672)
  }

  @Test("a block without its feed-forward part has attention alone") func without() throws {
    let model = try read([
      block(attends: true, multiple: nil), block(attends: true, multiple: 5.25),
    ])
    #expect(!model.kind(ofLayer: 0).hasFeedForward && model.kind(ofLayer: 1).hasFeedForward)
    #expect(!model.tensors(ofLayer: 0).contains { $0.name.hasPrefix("feed_forward") })
  }

  @Test("a list that is too short, or a block of another kind, is refused") func refused() {
    let one = block(attends: true, multiple: 1)
    #expect(throws: ConfigurationError.self) { try read([one], layers: 2) }
    #expect(throws: ConfigurationError.self) { try read([.integer(1)]) }
    #expect(throws: ConfigurationError.self) {
      try read([.map(["attention": .map(["window_length": 64]), "ffn": .map(["ffn_mult": 1])])])
    }
  }
}
