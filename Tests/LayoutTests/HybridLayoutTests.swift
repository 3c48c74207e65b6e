import Layout
import Testing
import Transformer

@Suite struct HybridLayoutTests {
  private func model(_ recurrence: Recurrence) -> Architecture {
    Architecture(
      name: "hybrid", layerCount: 4, hiddenSize: 256,
      attention: SelfAttention(heads: 16, keyValueHeads: 4, headDimension: 16),
      recurrence: recurrence, mixers: [.recurrence, .none, .attention, .both],
      feedForward: FeedForward(intermediateSize: 512, activation: .squaredReLU),
      feedForwardLayers: [false, true, false, true], vocabularySize: 1_024,
      tiesEmbeddings: false, positions: .none, maximumPositions: 0,
      norm: Norm(.rmsNorm, hasBias: false))
  }

  private func problems(_ recurrence: Recurrence, _ layout: Parallelism) -> [LayoutProblem] {
    layout.problems(
      LayoutRequest(
        architecture: model(recurrence), sequenceLength: 1_024, globalBatch: 64, microBatch: 1))
  }

  private let duality = Recurrence(
    .stateSpaceDuality, heads: 16, groups: 4, headDimension: 32, stateDimension: 16,
    chunkSize: 128)

  @Test("what a rank holds of a mixer is its heads and groups") func parts() {
    let whole = ShardedParameters(model(duality), Parallelism(tensor: 1))
    let cut = ShardedParameters(model(duality), Parallelism(tensor: 4))
    func mixer(_ sharded: ShardedParameters) -> [LocalTensor] {
      sharded.chunks(pipelineRank: 0)[0].layers[0].filter { $0.tensor.name.hasPrefix("mixer.") }
    }
    // All but nothing of a Mamba-2 mixer is cut: every tensor is a quarter.
    for (one, all) in zip(mixer(cut), mixer(whole)) {
      #expect(4 * one.count == all.count, "\(one.tensor.name)")
    }
  }

  @Test("tensor ranks divide heads and groups") func tensor() {
    #expect(problems(duality, Parallelism(tensor: 4)).isEmpty)
    // 16 heads but 4 groups.
    let text = problems(duality, Parallelism(tensor: 8)).map(\.text)
    #expect(text == ["8 does not divide the 4 state-space groups; use 1, 2 or 4"])
  }

  @Test("context ranks share heads, but no selective scan") func context() {
    #expect(problems(duality, Parallelism(tensor: 2, context: 4)).isEmpty)
    #expect(
      problems(duality, Parallelism(tensor: 4, context: 8)).map(\.text) == [
        "8 does not divide the 4 heads of the recurrence on a rank; use 1, 2 or 4"
      ])
    let scan = Recurrence(
      .selectiveScan, heads: 512, headDimension: 1, stateDimension: 16, rank: 16)
    #expect(
      problems(scan, Parallelism(context: 2)).map(\.text) == [
        "2 needs another model: no framework splits mamba over tokens; use 1"
      ])
  }
}
