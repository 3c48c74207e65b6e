import Hardware
import Kernels
import Testing
import Transformer

/// What recurrences cost against attention, by published comparisons.
///
/// Mamba-2's authors time the mixers of a layer on an A100 (arXiv:2405.21060, section 9.3 and figure 10):
/// at state 64, SSD is 2 to 8 times as fast as Mamba's scan, faster than FlashAttention-2 from 2,048
/// tokens on, and 6 times as fast at 16,384. Mixers have twice the model's width (`expand=2`), attention
/// has it once (as in the comparison of state-spaces/mamba issue 27).
@Suite struct RecurrenceSpeedTests {
  /// Seconds between the projections, forward and backward, of 32,768 tokens in sequences of `length`.
  private func seconds(_ recurrence: Recurrence?, length: Int) throws -> Double {
    let gpu = try #require(GPU.named("a100-sxm-80gb"))
    let cost = KernelCost(gpu: gpu)
    let model = Architecture(
      name: "mixer", layerCount: 1, hiddenSize: 1_024,
      attention: SelfAttention(heads: 16, keyValueHeads: 16, headDimension: 64),
      recurrence: recurrence, mixers: recurrence == nil ? [] : [.recurrence],
      feedForward: FeedForward(intermediateSize: 4_096, activation: .gelu),
      vocabularySize: 1_000, tiesEmbeddings: true, positions: .none, maximumPositions: 0,
      norm: Norm(.rmsNorm, hasBias: false))
    let shard = LayerShard(
      microBatch: 32_768 / length, sequenceLength: length, vocabulary: 1_000)
    let operations = model.mixerOperations(
      layer: 0, shard: shard, algorithm: .flash2, fusion: Fusion()
    ).filter { ["attention_core", "mixer_scan"].contains($0.name) }
    #expect(operations.count == 1)
    return operations.flatMap { $0.forward + $0.inputGradient }
      .reduce(0) { $0 + cost.seconds(for: $1) }
  }

  private let duality = Recurrence(
    .stateSpaceDuality, heads: 32, headDimension: 64, stateDimension: 64, chunkSize: 256)

  @Test("SSD beats the scan 2 to 8 times") func scan() throws {
    let scan = Recurrence(
      .selectiveScan, heads: 2_048, headDimension: 1, stateDimension: 64, rank: 64)
    for length in [2_048, 8_192] {
      let ratio = try seconds(scan, length: length) / seconds(duality, length: length)
      #expect(ratio > 2 && ratio < 8, "\(ratio)")
    }
  }

  @Test("SSD draws level with attention at 2,048 tokens and is 6 times as fast at 16,384")
  func attention() throws {
    // Within a quarter of what the curves of figure 10 show.
    let level = try seconds(nil, length: 2_048) / seconds(duality, length: 2_048)
    #expect(level > 0.75 && level < 1.33, "\(level)")
    let long = try seconds(nil, length: 16_384) / seconds(duality, length: 16_384)
    #expect(long > 4.5 && long < 8, "\(long)")
  }

  @Test("larger states cost the scan in proportion, SSD little") func states() throws {
    // Figure 10, right: 4,096 tokens; from N = 16 to 256 the scan slows linearly, SSD far less.
    func growth(_ kind: Recurrence.Kind) throws -> Double {
      func time(_ state: Int) throws -> Double {
        var mixer = duality
        if kind == .selectiveScan {
          mixer = Recurrence(
            kind, heads: 2_048, headDimension: 1, stateDimension: state, rank: 64)
        }
        mixer.stateDimension = state
        return try seconds(mixer, length: 4_096)
      }
      return try time(256) / time(16)
    }
    #expect(try growth(.selectiveScan) > 12)
    #expect(try growth(.stateSpaceDuality) < 4)
  }
}
