import Kernels
import Quantities
import Testing
import Transformer

@Suite("Attention over context ranks") struct ContextStyleTests {
  /// 16 query and 4 key and value heads of 64; 4,096 tokens over 4 ranks, 1,024 each.
  private func core(
    _ style: ContextStyle, context: Int = 4, positions: PositionEmbedding = .rotary,
    fusion: Fusion = Fusion()
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
      layer: 0, shard: shard, algorithm: .flash2, fusion: fusion
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

  @Test("a ring's own part is masked; others meet half of the keys or of the queries")
  func ringParts() throws {
    let operations = try core(.ring)
    let kernels = operations.flatMap(\.forward).compactMap { kernel -> AttentionKernel? in
      if case .attention(let attention) = kernel { attention } else { nil }
    }
    // Own; then two of three parts beside the traffic, and one behind it, half of each kind.
    #expect(kernels.map(\.queryLength) == [1_024, 1_024, 512, 1_024, 512])
    #expect(kernels.map(\.keyLength) == [1_024, 512, 1_024, 512, 1_024])
    #expect(kernels.map(\.computedFraction) == [0.5, 1, 1, 1, 1])
    #expect(zip(kernels.map(\.share), [1, 1, 1, 0.5, 0.5]).allSatisfy { abs($0 - $1) < 1e-12 })
    // Two streams: all but one kernel's idle end is filled.
    #expect(kernels.map(\.isFollowed) == [false, true, true, true, true])
    // Counted are all scores, masked or not: 1,024 × 4,096 of either head.
    let counted = kernels.reduce(0.0) {
      $0 + Double($1.queryLength * $1.keyLength) * $1.countedFraction * $1.share
    }
    #expect(abs(counted - 1_024 * 4_096) < 1)
  }

  /// bf16 bytes of a rank's keys and values, and of its output.
  private static let passed = 2 * key

  @Test("PyTorch gathers beside the own part, joins in fp32 and sends gradients in fp32")
  func ringInPyTorch() throws {
    var fusion = Fusion()
    fusion.ringsInPyTorch = true
    let operations = try core(.allGather, fusion: fusion)
    #expect(operations.count == 2)
    let scores = 16.0 * 1_024 * 4_096 / 2
    #expect(operations.map { attentionFlops($0.forward) } == [64 * scores, 192 * scores])
    #expect(
      operations[0].besideForward == Exchange(.allGather, on: .context, bytes: 4 * Self.passed))
    #expect(operations[0].besideBackward == operations[0].besideForward)
    #expect(operations[1].besideForward == nil)
    // Gradients are twice as wide; their last of three steps hides behind nothing.
    #expect(
      operations[1].besideBackward == Exchange(.allGather, on: .context, bytes: 8 * Self.passed))
    #expect(
      operations[0].afterInputGradient
        == Exchange(.allGather, on: .context, bytes: 8 * Self.passed / 3))
    func moved(_ kernels: [Kernel]) -> (Int64, Int64) {
      kernels.reduce((0, 0)) { sum, kernel in
        guard case .stream(let pass) = kernel else { return sum }
        return (sum.0 + pass.bytesRead, sum.1 + pass.bytesWritten)
      }
    }
    // Three parts. Of all queries 11 reads and 8 writes of the output's 2 MiB in bf16; of half of them half
    // as many and 2 and 2 to put halves together: on average 9¼ and 7. Two more joins of keys and values.
    let joined = moved(operations[1].forward)
    #expect(joined.0 == 3 * 37 * Self.query / 4 + 2 * Self.passed)
    #expect(joined.1 == 3 * 7 * Self.query + 2 * Self.passed)
    // Sums: 3¼ and 2½ of queries' and keys' and values' gradients a part; gradients joined three times, keys
    // and values twice.
    let summed = moved(operations[1].inputGradient)
    #expect(summed.0 == 3 * 13 * (Self.query + Self.passed) / 4 + 8 * Self.passed)
    #expect(summed.1 == 3 * 5 * (Self.query + Self.passed) / 2 + 8 * Self.passed)
  }

  @Test("with alltoall keys and values travel a step at a time")
  func ringInPyTorchByTurns() throws {
    var fusion = Fusion()
    fusion.ringsInPyTorch = true
    let operations = try core(.ring, fusion: fusion)
    // One of three steps beside the own part, two beside the others.
    #expect(operations[0].besideForward?.bytes == 4 * Self.passed / 3)
    #expect(operations[1].besideForward?.bytes == 8 * Self.passed / 3)
    #expect(operations[1].besideBackward?.bytes == 8 * Self.passed + 8 * Self.passed / 3)
    #expect(try core(.ring, context: 2, fusion: fusion)[1].besideForward == nil)
  }

  @Test("heads copied before attention travel as copied, and are kept so")
  func repeatedHeads() throws {
    var fusion = Fusion()
    fusion.repeatsKeyValueHeads = true
    let plain = try core(.allGather)
    let operations = try core(.allGather, fusion: fusion)
    // 16 heads of keys and values for 4.
    let before = try #require(plain[0].beforeForward)
    #expect(operations[0].beforeForward?.bytes == 4 * before.bytes)
    #expect(operations[0].saved == plain[0].saved)
  }
}
