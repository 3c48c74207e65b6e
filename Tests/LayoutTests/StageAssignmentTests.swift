import Layout
import Testing
import Transformer

@Suite("Layers given by rank or stage") struct GivenLayersTests {
  @Test("layers of a rank are split over its chunks") func perRank() {
    // Two chunks a rank in rounds: 5 + 4 layers of 9, then the ranks' second chunks.
    let rounds = Parallelism(pipeline: 3, virtualStages: 2, schedule: .interleaved)
    #expect(StageAssignment.layersPerStage([9, 10, 8], rounds) == [5, 5, 4, 4, 5, 4])
    // In a V the second chunks come back up.
    let back = Parallelism(pipeline: 3, virtualStages: 2, schedule: .dualPipe)
    #expect(StageAssignment.layersPerStage([9, 10, 8], back) == [5, 5, 4, 4, 5, 4])
    #expect(StageAssignment.layersPerStage([3, 4, 2], back) == [2, 2, 1, 1, 2, 1])
  }

  @Test("counts that do not add up are refused") func sums() throws {
    var layout = Parallelism(pipeline: 2, data: 1)
    let request = LayoutRequest(
      architecture: try #require(Architecture.named("llama-3.1-8b")), sequenceLength: 8_192,
      globalBatch: 4, microBatch: 1)
    layout.stageLayers = [15, 17]
    #expect(layout.problems(request).isEmpty)
    let stages = StageAssignment(request.architecture, layout)
    #expect(stages.chunks.map(\.layers) == [0..<15, 15..<32])
    layout.stageLayers = [15, 16]
    #expect(
      layout.problems(request).map(\.description) == [
        "parallelism.stage_layers: [15, 16] needs 2 counts that add up to the 32 layers"
      ])
  }
}

@Suite struct StageAssignmentTests {
  /// A Llama of `layers` layers.
  static func llama(_ layers: Int, nextToken: Int = 0) -> Architecture {
    Architecture(
      name: "test", layerCount: layers, hiddenSize: 8,
      attention: SelfAttention(heads: 2, keyValueHeads: 1, headDimension: 4),
      feedForward: FeedForward(intermediateSize: 12, activation: .swiglu), vocabularySize: 10,
      tiesEmbeddings: false, positions: .rotary, maximumPositions: 0,
      norm: Norm(.rmsNorm, hasBias: false), nextTokenLayers: nextToken)
  }

  @Test("interleaved chunks are dealt in rounds") func interleaved() {
    // arXiv:2104.04473, section 2.2: 16 layers, 4 devices, 2 chunks: device 0 has layers 1, 2, 9,
    // 10 (from 0 on: 0, 1, 8, 9), device 1 has 3, 4, 11, 12.
    let stages = StageAssignment(
      Self.llama(16), Parallelism(pipeline: 4, virtualStages: 2, schedule: .interleaved))
    #expect(stages.chunks(of: 0).map(\.layers) == [0..<2, 8..<10])
    #expect(stages.chunks(of: 1).map(\.layers) == [2..<4, 10..<12])
    #expect(stages.chunks(of: 0).map(\.hasEmbedding) == [true, false])
    #expect(stages.chunks(of: 3).map(\.hasHead) == [false, true])
  }

  @Test("DualPipe and zero-bubble with two chunks fold the model into a V") func vShape() {
    for schedule in [PipelineSchedule.dualPipe, .zeroBubble] {
      let stages = StageAssignment(
        Self.llama(8), Parallelism(pipeline: 4, virtualStages: 2, schedule: schedule))
      // Stage s and 7 − s share a rank: rank 0 has the first and the last layer.
      #expect(stages.chunks(of: 0).map(\.layers) == [0..<1, 7..<8])
      #expect(stages.chunks(of: 3).map(\.layers) == [3..<4, 4..<5])
      #expect(stages.chunks(of: 0).map(\.hasEmbedding) == [true, false])
      #expect(stages.chunks(of: 0).map(\.hasHead) == [false, true])
    }
    let plain = StageAssignment(
      Self.llama(8), Parallelism(pipeline: 4, schedule: .zeroBubble))
    #expect(plain.chunksPerRank == 1)
  }

  @Test("layers that do not divide") func uneven() {
    // 126 = 16·8 − 2: the first and the last stage have 7, all others 8 (Llama 3.1 405B).
    let large = StageAssignment(Self.llama(126), Parallelism(pipeline: 16))
    #expect(large.chunks.map(\.layers.count) == [7] + Array(repeating: 8, count: 14) + [7])
    // 10 over 4: remainder 2 = 4 − 2, so the inner two take one more: 2, 3, 3, 2.
    #expect(
      StageAssignment(Self.llama(10), Parallelism(pipeline: 4)).chunks.map(\.layers.count)
        == [2, 3, 3, 2])
    // 11 over 4: remainder 3, the first three: 3, 3, 3, 2. 9 over 4: 3, 2, 2, 2.
    #expect(
      StageAssignment(Self.llama(11), Parallelism(pipeline: 4)).chunks.map(\.layers.count)
        == [3, 3, 3, 2])
    #expect(
      StageAssignment(Self.llama(9), Parallelism(pipeline: 4)).chunks.map(\.layers.count)
        == [3, 2, 2, 2])
    #expect(
      StageAssignment(Self.llama(9), Parallelism(pipeline: 2), layersPerStage: [4, 5])
        .chunks.map(\.layers) == [0..<4, 4..<9])
  }

  @Test("every layer is held once", arguments: 0..<100)
  func tiles(_ seed: UInt64) {
    var random = Sequence64(seed: seed)
    let pipeline = random.pick([1, 2, 3, 4, 8])
    let schedule = PipelineSchedule.allCases[random.pick([0, 1, 2, 3, 4])]
    let chunks = schedule == .interleaved ? random.pick([1, 2, 3]) : random.pick([1, 2])
    let layers = pipeline * 3 + random.pick(Array(0...20))
    let nextToken = random.pick([0, 1])
    let stages = StageAssignment(
      Self.llama(layers, nextToken: nextToken),
      Parallelism(pipeline: pipeline, virtualStages: chunks, schedule: schedule))
    #expect(stages.chunks.flatMap { Array($0.layers) } == Array(0..<(layers + nextToken)))
    #expect((0..<pipeline).reduce(0) { $0 + stages.layerCount(of: $1) } == layers + nextToken)
    for rank in 0..<pipeline { #expect(stages.chunks(of: rank).count == stages.chunksPerRank) }
    let counts = stages.chunks.dropLast().map(\.layers.count)
    if let most = counts.max(), let least = counts.min() { #expect(most - least <= 1) }
  }
}
