import Kernels
import Quantities
import Testing

@testable import Transformer

@Suite struct RecurrenceTests {
  /// A state space of 2 heads of 4 channels in one group of 8 states.
  private static let small = Recurrence(
    .stateSpaceDuality, heads: 2, headDimension: 4, stateDimension: 8, chunkSize: 16)

  /// Two layers of one part each: a recurrence, a feed-forward block.
  static func model(_ recurrence: Recurrence = small) -> Architecture {
    Architecture(
      name: "hybrid", layerCount: 2, hiddenSize: 16,
      attention: SelfAttention(heads: 4, keyValueHeads: 4, headDimension: 4),
      recurrence: recurrence, mixers: [.recurrence, .none],
      feedForward: FeedForward(intermediateSize: 32, activation: .squaredReLU),
      feedForwardLayers: [false, true], vocabularySize: 100, tiesEmbeddings: false,
      positions: .none, maximumPositions: 0, norm: Norm(.rmsNorm, hasBias: false))
  }

  @Test("a layer has the tensors of its parts alone") func parts() {
    let model = Self.model()
    func count(_ layer: Int) -> Int { model.tensors(ofLayer: layer).reduce(0) { $0 + $1.count } }
    // Input projection 16·(2·8 + 2·8 + 2), convolution (8 + 16)·(4 + 1), step bias, decay and skip 3·2,
    // gated norm 8, output projection 8·16, norm 16.
    #expect(count(0) == 16 * 34 + 24 * 5 + 6 + 8 + 128 + 16)
    // Up and down 2·16·32, norm 16.
    #expect(count(1) == 1_024 + 16)
    #expect(!model.hasAttention)
    let shard = LayerShard(microBatch: 1, sequenceLength: 32, vocabulary: 100)
    func names(_ layer: Int) -> [String] {
      model.layerOperations(layer: layer, shard: shard, algorithm: .flash2, fusion: Fusion())
        .map(\.name)
    }
    #expect(
      names(0) == ["input_norm", "mixer_in_proj", "mixer_scan", "mixer_out_proj", "mixer_residual"])
    #expect(
      names(1)
        == ["feed_forward_norm", "up_proj", "activation", "down_proj", "feed_forward_residual"])
  }

  @Test("model FLOPs follow Megatron-LM's conventions") func flops() {
    let flops = Self.model().forwardFlops(sequenceLength: 32, causal: true)
    // Projections 2·16·34 + 2·8·16; 7 for each of 8 channels × 8 states; no scores.
    #expect(flops.attentionProjections == 2 * 16 * 34 + 2 * 8 * 16)
    #expect(flops.recurrence == 7 * 64)
    #expect(flops.attentionScores == 0)
    #expect(flops.feedForward == 2 * 1_024)
    let delta = Recurrence(
      .gatedDelta, heads: 4, groups: 2, headDimension: 8, stateDimension: 8, chunkSize: 64)
    // 2·(4 heads · 8² · 4 + 4 taps · (2·2·8 + 4·8)).
    #expect(delta.flopsPerToken == 2 * (4 * 64 * 4 + 4 * 64))
  }

  @Test("Mamba-2 keeps what its autograd function saves") func keptDuality() throws {
    let shard = LayerShard(microBatch: 2, sequenceLength: 32, vocabulary: 100)
    let operations = Self.model().mixerOperations(
      layer: 0, shard: shard, algorithm: .flash2, fusion: Fusion())
    let scan = try #require(operations.first { $0.name == "mixer_scan" })
    // 64 tokens: z, x, B, C, dt (8 + 8 + 8 + 8 + 2) and the output (8) in bf16, one deviation in fp32.
    #expect(scan.saved == 64 * (2 * (34 + 8) + 4))
    // The projections keep their inputs.
    #expect(operations[1].saved == 64 * 2 * 16)
    #expect(operations[3].saved == 64 * 2 * 8)
  }

  @Test("Mamba makes convolution and step size again, with norms between keeps them")
  func keptScan() {
    func saved(normalized: Bool) -> Int64 {
      let mixer = Recurrence(
        .selectiveScan, heads: 32, headDimension: 1, stateDimension: 4, rank: 2,
        normalizesOutput: false, normalizesInputs: normalized)
      let shard = LayerShard(microBatch: 1, sequenceLength: 64, vocabulary: 100)
      let operations = Self.model(mixer).mixerOperations(
        layer: 0, shard: shard, algorithm: .flash2, fusion: Fusion())
      return operations.filter { $0.name != "input_norm" }.reduce(0) { $0 + $1.saved }
    }
    // 64 tokens: the norm's output 16; x and z 2·32; step, B and C 2 + 2·4; B and C again 2·4; the
    // output 32: 130 values in bf16. 4 states of 32 channels with their decays in fp32.
    let one: Int64 = 64 * 2 * 130 + 32 * 4 * 8
    #expect(saved(normalized: false) == one)
    // Beside them the convolution's output, the step size behind its projection and the gated output
    // 3·32, the step before its projection 2, the norms' inputs 10.
    #expect(saved(normalized: true) == one + 64 * 2 * 108)
  }

  @Test("a gated delta rule keeps what flash-linear-attention saves") func keptDelta() throws {
    let delta = Recurrence(
      .gatedDelta, heads: 4, groups: 2, headDimension: 8, stateDimension: 8, chunkSize: 64,
      convolutionBias: false)
    let shard = LayerShard(microBatch: 1, sequenceLength: 128, vocabulary: 100)
    let scan = try #require(
      Self.model(delta).mixerOperations(
        layer: 0, shard: shard, algorithm: .flash2, fusion: Fusion()
      ).first { $0.name == "mixer_scan" })
    // A token: convolution input 2·(2·16 + 32); normalised queries and keys of four heads 2·2·32 with
    // deviations 8·4; values 2·32; decays 4·4; β 2·4; inverse of a chunk's triangle 2·4·64; output and
    // gate 2·2·32.
    let token: Int64 = 128 + 128 + 32 + 64 + 16 + 8 + 512 + 128
    #expect(scan.saved == 128 * token)
  }

  @Test("operations on the matrix units of a chunked state space") func work() {
    let shard = LayerShard(microBatch: 1, sequenceLength: 32, vocabulary: 100)
    let scan = Self.model().mixerOperations(
      layer: 0, shard: shard, algorithm: .flash2, fusion: Fusion())[2]
    func flops(_ kernels: [Kernel]) -> Double { kernels.reduce(0) { $0 + $1.flops.count } }
    // 32 tokens of 8 channels, chunks of 16: into states and out of them 2·8·8 each, C·Bᵀ 2·8·16, its
    // causal half times x 8·16.
    #expect(flops(scan.forward) == 32 * 640)
    // Again C·Bᵀ and states; four products with states, three with the causal half, two with C·Bᵀ's.
    let backward = 256 + 128 + 4 * 128 + 3 * 128 + 2 * 256
    #expect(flops(scan.inputGradient) == Double(32 * backward))
  }

  @Test("context ranks exchange tokens for heads") func context() {
    let shard = LayerShard(microBatch: 1, sequenceLength: 64, context: 2, vocabulary: 100)
    let scan = Self.model().mixerOperations(
      layer: 0, shard: shard, algorithm: .flash2, fusion: Fusion())[2]
    // 32 tokens of this rank: 34 features to the recurrence, 8 back.
    #expect(scan.beforeForward == Exchange(.allToAll, on: .context, bytes: 32 * 34 * 2))
    #expect(scan.afterForward == Exchange(.allToAll, on: .context, bytes: 32 * 8 * 2))
  }
}
