import Kernels
import Quantities
import Testing
import Transformer

@Suite("Attention over context ranks") struct ContextStyleTests {
  /// 16 query and 4 key and value heads of 64; 4,096 tokens over 4 ranks, 1,024 each.
  private func core(
    _ style: ContextStyle, context: Int = 4, positions: PositionEmbedding = .rotary
  ) throws -> [Operation] {
    let model = Architecture(
      name: "test", layerCount: 1, hiddenSize: 1_024,
      attention: SelfAttention(heads: 16, keyValueHeads: 4, headDimension: 64),
      feedForward: FeedForward(intermediateSize: 4_096, activation: .gelu),
      vocabularySize: 1_000, tiesEmbeddings: true, positions: positions, maximumPositions: 4_096,
      norm: Norm(.rmsNorm, hasBias: false))
    let shard = LayerShard(
      microBatch: 1, sequenceLength: 4_096, context: context, contextStyle: style,
      vocabulary: 1_000)
    return model.mixerOperations(
      layer: 0, shard: shard, algorithm: .flash2, fusion: Fusion()
    ).filter(\.isAttentionCore)
  }

  private func attentionFlops(_ kernels: [Kernel]) -> Double {
    kernels.reduce(0) { sum, kernel in
      if case .attention(let attention) = kernel { sum + attention.flops.count } else { sum }
    }
  }

  // Of a rank's 1,024 tokens in bf16: queries 1,024 × 16 × 64 × 2 = 2 MiB, keys and values 1,024 × 4 ×
  // 64 × 2 = 512 KiB each.
  private static let query: Int64 = 2 << 20
  private static let key: Int64 = 512 << 10

  @Test("every style computes the same scores", arguments: ContextStyle.allCases)
  func sameWork(style: ContextStyle) throws {
    // Forward 2·(64 + 64) FLOPs a score; half of 16 heads × 1,024 queries × 4,096 keys.
    let scores = 16.0 * 1_024 * 4_096 / 2
    let operations = try core(style)
    #expect(operations.reduce(0) { $0 + attentionFlops($1.forward) } == 256 * scores)
    // Backward 2·(3·64 + 2·64).
    #expect(operations.reduce(0) { $0 + attentionFlops($1.inputGradient) } == 640 * scores)
  }

  @Test("the ring computes all parts but the last beside its traffic") func ring() throws {
    let operations = try core(.ring)
    #expect(operations.count == 2)
    // Keys and values of 4 ranks pass by, 3 of 4 parts meanwhile; backward their gradients as well.
    let whole = 4 * 2 * Self.key
    #expect(operations[0].besideForward == Exchange(.allGather, on: .context, bytes: whole))
    #expect(operations[0].besideBackward == Exchange(.allGather, on: .context, bytes: 2 * whole))
    #expect(
      attentionFlops(operations[0].forward) == 3 * attentionFlops(operations[1].forward))
    #expect(operations[1].besideForward == nil && operations[1].besideBackward == nil)
    // Three parts joined, of which every other has half of the queries: 3 × ¾ of 2 MiB, read twice.
    let join = operations[1].forward.compactMap { kernel -> StreamingKernel? in
      if case .stream(let pass) = kernel { pass } else { nil }
    }
    #expect(join.map(\.bytesWritten) == [Self.query * 9 / 4])
    #expect(join.map(\.bytesRead) == [Self.query * 9 / 2])
  }

  @Test("what travels round the ring has buffers of its own") func ringBuffers() throws {
    let alone = try core(.ring, context: 1)
    let operations = try core(.ring)
    // Outputs of three parts, 9/4 of 2 MiB, and keys and values of all four ranks.
    let scratch = operations[0].forwardScratch
    #expect(scratch == Self.query * 9 / 4 + 4 * 2 * Self.key)
    // Rotation has made queries and keys anew: kept is what a rank alone keeps of its 1,024 tokens.
    #expect(operations[0].saved * 4 == alone[0].saved)
    // Without it queries, keys and values are views of one tensor, kept whole beside what travelled.
    let views = try core(.ring, positions: .learned)
    #expect(views[0].saved - operations[0].saved == 2 * Self.key)
  }

  @Test("gathered keys and values are reduced back") func gather() throws {
    let operations = try core(.allGather)
    #expect(operations.count == 1)
    let whole = 4 * 2 * Self.key
    #expect(operations[0].beforeForward == Exchange(.allGather, on: .context, bytes: whole))
    #expect(operations[0].beforeBackward == Exchange(.allGather, on: .context, bytes: whole))
    #expect(
      operations[0].afterInputGradient == Exchange(.reduceScatter, on: .context, bytes: whole))
    #expect(operations[0].besideForward == nil)
    // What is kept is the rank's own: queries, keys, values, output, and 4 bytes for each of 16 ×
    // 1,024 rows.
    #expect(operations[0].saved == 2 * Self.query + 2 * Self.key + 65_536)
  }

  @Test("Ulysses trades tokens for heads") func ulysses() throws {
    let operations = try core(.ulysses)
    #expect(operations.count == 1)
    let inputs = Self.query + 2 * Self.key
    #expect(operations[0].beforeForward == Exchange(.allToAll, on: .context, bytes: inputs))
    #expect(operations[0].afterForward == Exchange(.allToAll, on: .context, bytes: Self.query))
    #expect(operations[0].beforeBackward == Exchange(.allToAll, on: .context, bytes: Self.query))
    #expect(operations[0].afterInputGradient == Exchange(.allToAll, on: .context, bytes: inputs))
    // 4 of the 16 heads over all 4,096 tokens, one of keys and values.
    guard case .attention(let kernel) = operations[0].forward[0] else {
      Issue.record("the first kernel is attention")
      return
    }
    #expect(kernel.heads == 4 && kernel.keyValueHeads == 1)
    #expect(kernel.queryLength == 4_096 && kernel.keyLength == 4_096)
    // Over 8 ranks each key and value head is held twice: 8 × 64 × 2 bytes of 512 tokens each.
    let more = try core(.ulysses, context: 8)
    #expect(more[0].beforeForward?.bytes == Self.query / 2 + 2 * (512 * 8 * 64 * 2))
  }
}
