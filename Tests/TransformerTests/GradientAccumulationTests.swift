import Kernels
import Testing
import Transformer

@Suite("Adding up gradients") struct GradientAccumulationTests {
  // 1,000 tokens of 1,024 values: 1,024,000 weights in the table and in the projection.
  private static let model = Architecture(
    name: "test", layerCount: 1, hiddenSize: 1_024,
    attention: SelfAttention(heads: 16, keyValueHeads: 16, headDimension: 64),
    feedForward: FeedForward(intermediateSize: 4_096, activation: .gelu),
    vocabularySize: 1_000, tiesEmbeddings: false, positions: .rotary, maximumPositions: 4_096,
    norm: Norm(.rmsNorm, hasBias: false))

  /// Bytes read and written by the passes of the weight gradients of table and projection.
  private func passes(_ fusion: Fusion, tensor: Int = 1) -> [[(read: Int64, written: Int64)]] {
    let shard = LayerShard(microBatch: 1, sequenceLength: 16, tensor: tensor, vocabulary: 1_000)
    let operations =
      Self.model.embeddingOperations(shard: shard, fusion: fusion)
      + Self.model.headOperations(shard: shard, fusion: fusion)
    return ["embedding", "output_proj"].compactMap { name in
      operations.first { $0.name == name }?.weightGradient.compactMap { kernel in
        guard case .stream(let pass) = kernel, pass.kind == .pointwise else { return nil }
        return (pass.bytesRead, pass.bytesWritten)
      }
    }
  }

  @Test("added in fp32: two bytes and four read, four written") func wide() throws {
    let found = passes(Fusion())
    try #require(found.map(\.count) == [2, 1])
    // The table's gradient is first zeroed: 2 bytes a value.
    #expect(found[0][0] == (0, 2_048_000))
    #expect(found[0][1] == (6_144_000, 4_096_000))
    #expect(found[1][0] == (6_144_000, 4_096_000))
  }

  @Test("added in the parameters' format; the first is taken as it is") func narrow()
    throws
  {
    var fusion = Fusion()
    fusion.accumulatedBytes = 2
    // Three of four microbatches: 768,000 values, 2 + 2 bytes read, 2 written.
    fusion.accumulatedShare = 0.75
    let found = passes(fusion)
    try #require(found.map(\.count) == [2, 1])
    #expect(found[0][1] == (3_072_000, 1_536_000))
    #expect(found[1][0] == (3_072_000, 1_536_000))
    fusion.accumulatedShare = 0
    #expect(passes(fusion).map(\.count) == [1, 0])
  }

  @Test("a multiply adds its own; the table's has none") func fused() throws {
    var fusion = Fusion()
    fusion.gradientAccumulation = true
    #expect(passes(fusion).map(\.count) == [2, 0])
    // Half of the table on each of two ranks.
    let half = passes(fusion, tensor: 2)
    try #require(half.map(\.count) == [2, 0])
    #expect(half[0][0] == (0, 1_024_000))
  }
}
