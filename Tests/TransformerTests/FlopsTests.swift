import Quantities
import Testing

@testable import Transformer

@Suite struct FlopsTests {
  @Test("GPT-3 175B agrees with the closed form of the Megatron-LM paper") func megatron() throws {
    let model = try #require(Architecture.named("gpt-3-175b"))
    // arXiv:2104.04473, equation 3, without the recomputed forward pass: for B·s tokens
    // 72·B·s·l·h²·(1 + s/(6h) + V/(12·l·h)).
    let s = 2_048.0
    let l = 96.0
    let h = 12_288.0
    let expected = 72 * s * l * h * h * (1 + s / (6 * h) + 51_200 / (12 * l * h))
    let step = model.modelFlopsPerStep(tokens: 2_048, sequenceLength: 2_048, causal: false).count
    #expect(abs(step / expected - 1) < 1e-12)
    // The mask halves the s/(6h) term.
    let causal = model.modelFlopsPerStep(tokens: 2_048, sequenceLength: 2_048, causal: true).count
    #expect(abs((step - causal) / (72 * s * l * h * h * s / (12 * h)) - 1) < 1e-9)
  }

  @Test("forward is twice the active multiplied weights, plus attention") func twiceActive() throws
  {
    let model = try #require(Architecture.named("mixtral-8x7b"))
    let flops = model.forwardFlops(sequenceLength: 4_096, causal: true)
    // Active parameters but the token table and 65 norms of 4096.
    let weights = model.activeParameterCount - 32_000 * 4_096 - 65 * 4_096
    #expect(flops.total.count - flops.attentionScores == 2 * Double(weights))
    // 32 layers, 32 heads, 2·(128 + 128), 2048 keys on average.
    #expect(flops.attentionScores == 32 * 32 * 512 * 2_048)
    // Two of eight experts of 3·14,336·4096 in each layer.
    #expect(flops.routedExperts == 2 * 32 * 2 * 3 * 14_336 * 4_096)
    #expect(flops.feedForward == 0)
  }

  @Test("windows shorten the attended keys") func windows() throws {
    let model = try #require(Architecture.named("gpt-oss-20b"))
    // Layer 0 slides over 128 keys: 128 − 128²/(2·4096) = 126; layer 1 is full: 2048.
    #expect(model.meanAttendedKeys(layer: 0, sequenceLength: 4_096, causal: true) == 126)
    #expect(model.meanAttendedKeys(layer: 1, sequenceLength: 4_096, causal: true) == 2_048)
    // A window longer than the sequence changes nothing.
    #expect(model.meanAttendedKeys(layer: 0, sequenceLength: 64, causal: true) == 32)
    let scout = try #require(Architecture.named("llama-4-scout"))
    // Chunks of 8192: half of it on average; every fourth layer is full.
    #expect(scout.meanAttendedKeys(layer: 0, sequenceLength: 32_768, causal: true) == 4_096)
    #expect(scout.meanAttendedKeys(layer: 3, sequenceLength: 32_768, causal: true) == 16_384)
  }

  @Test("latent attention and the next-token module of DeepSeek-V3") func deepSeek() throws {
    let model = try #require(Architecture.named("deepseek-v3"))
    let flops = model.forwardFlops(sequenceLength: 4_096, causal: false)
    // 62 layers with the module: 128 heads, 2·(192 + 128) per key.
    #expect(flops.attentionScores == 62 * 4_096 * 128 * 640)
    // Down 7168·(1536 + 576), up 1536·128·192 + 512·128·256, output 7168·128·128; twice each.
    let projections = 7_168 * 2_112 + 1_536 * 24_576 + 512 * 32_768 + 7_168 * 16_384
    #expect(flops.attentionProjections == Double(2 * 62 * projections))
    #expect(flops.head == 2 * 2 * 7_168 * 129_280)
    // arXiv:2412.19437, section 2.2: the module is one layer with projection; the released
    // checkpoint holds 685 B with it (its table and head stored again: 1.85 B).
    let stored = model.trainedParameterCount + 2 * 129_280 * 7_168
    #expect(abs(Double(stored) / 685e9 - 1) < 0.001)
  }

  @Test("windows move with their queries, chunks and whole layers do not")
  func movingWindows() throws {
    let oss = try #require(Architecture.named("gpt-oss-20b"))
    let layers = (0..<oss.layerCount).map { oss.hasMovingWindow(layer: $0, keys: 4_096) }
    #expect(layers.count { $0 } == 12)
    #expect((0..<oss.layerCount).allSatisfy { !oss.hasMovingWindow(layer: $0, keys: 128) })
    let llama = try #require(Architecture.named("llama-4-scout"))
    #expect((0..<llama.layerCount).allSatisfy { !llama.hasMovingWindow(layer: $0, keys: 16_384) })
  }
}
