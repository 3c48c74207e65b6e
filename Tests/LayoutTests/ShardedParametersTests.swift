import Layout
import Testing
import Transformer

@Suite struct ShardedParametersTests {
  /// Elements of all parts on all ranks of one replica, copies and replicated tensors once.
  func total(_ parameters: ShardedParameters) -> Int {
    let layout = parameters.parallelism
    var sum = 0
    for pipelineRank in 0..<layout.pipeline {
      for tensorRank in 0..<layout.tensor {
        for part in parameters.chunks(pipelineRank: pipelineRank, tensorRank: tensorRank)
          .flatMap(\.tensors) where !part.isCopy && !part.tensor.isExpert
        {
          if part.tensor.split != .replicated || tensorRank == 0 { sum += part.count }
        }
      }
      for expertRank in 0..<layout.expert {
        for expertTensorRank in 0..<layout.expertTensor {
          for part in parameters.chunks(
            pipelineRank: pipelineRank, expertRank: expertRank, expertTensorRank: expertTensorRank
          ).flatMap(\.tensors) where part.tensor.isExpert {
            if part.tensor.split != .replicated || expertTensorRank == 0 { sum += part.count }
          }
        }
      }
    }
    return sum
  }

  @Test(
    "the parts add up to the model",
    arguments: [
      ("llama-3.1-8b", Parallelism(tensor: 8, pipeline: 4, data: 2)),
      ("gpt-3-175b", Parallelism(tensor: 8, pipeline: 8, virtualStages: 3, schedule: .interleaved)),
      ("mixtral-8x7b", Parallelism(tensor: 2, pipeline: 2, expert: 4, expertTensor: 1, data: 4)),
      ("gpt-oss-20b", Parallelism(tensor: 4, pipeline: 3, expert: 8, expertTensor: 2, data: 8)),
      ("deepseek-v3", Parallelism(pipeline: 16, schedule: .dualPipe, expert: 64, data: 64)),
      ("gpt2", Parallelism(tensor: 4, pipeline: 5)), ("olmo-2-7b", Parallelism(tensor: 4)),
      // 40 heads over 3 ranks: 14, 13, 13; 13,824 features over 3 divide.
      ("llama-2-13b", Parallelism(tensor: 3)),
    ])
  func tiles(_ name: String, _ layout: Parallelism) throws {
    let architecture = try #require(Architecture.named(name))
    #expect(total(ShardedParameters(architecture, layout)) == architecture.trainedParameterCount)
  }

  @Test("Llama 3.1 8B over eight tensor ranks") func tensorShares() throws {
    let architecture = try #require(Architecture.named("llama-3.1-8b"))
    let chunk = try #require(
      ShardedParameters(architecture, Parallelism(tensor: 8)).chunks(pipelineRank: 0).first)
    // Per layer and rank: query and output 2·512·4096, key and value 2·128·4096, three of
    // 1792·4096, norms 2·4096 = 27,271,168. Table and head 2·16,032·4096, final norm 4096.
    #expect(ChunkParameters.count(chunk.layers[0], experts: false) == 27_271_168)
    #expect(chunk.denseCount == 32 * 27_271_168 + 131_334_144 + 4_096)
    #expect(chunk.expertCount == 0)
  }

  @Test("fewer key and value heads than tensor ranks are replicated") func replicatedHeads() throws
  {
    let architecture = try #require(Architecture.named("llama-3.1-405b"))
    let parameters = ShardedParameters(architecture, Parallelism(tensor: 16))
    for tensorRank in [0, 15] {
      let layer = parameters.chunks(pipelineRank: 0, tensorRank: tensorRank)[0].layers[0]
      // One head of 128 on each of the 16 ranks, though there are 8 heads; 8 query heads.
      #expect(layer.first { $0.tensor.name == "attention.key.weight" }?.shape == [128, 16_384])
      #expect(layer.first { $0.tensor.name == "attention.query.weight" }?.shape == [1_024, 16_384])
    }
  }

  @Test("the vocabulary is padded to 128 × tensor") func padding() throws {
    let architecture = try #require(Architecture.named("gpt2"))
    // 50,257 → 393·128 = 50,304 with one rank, 99·512 = 50,688 with four, 50·1024 = 51,200 with
    // eight (the 51,200 of the Megatron-LM papers).
    for (tensor, padded) in [(1, 50_304), (4, 50_688), (8, 51_200)] {
      let parameters = ShardedParameters(
        architecture, Parallelism(tensor: tensor), vocabularyPadding: 128)
      #expect(parameters.paddedVocabularySize == padded)
      let table = parameters.chunks(pipelineRank: 0)[0].embedding[0]
      #expect(table.shape == [padded / tensor, 768])
    }
  }

  @Test("a tied table is copied to the last stage, unless that is the first") func tiedCopy() throws
  {
    let architecture = try #require(Architecture.named("gpt2"))
    let last = ShardedParameters(architecture, Parallelism(pipeline: 2)).chunks(pipelineRank: 1)
    #expect(last[0].final.filter(\.isCopy).map(\.shape) == [[50_257, 768]])
    let folded = ShardedParameters(
      architecture, Parallelism(pipeline: 2, schedule: .dualPipe))
    #expect(folded.chunks(pipelineRank: 0).flatMap(\.tensors).allSatisfy { !$0.isCopy })
    #expect(
      ShardedParameters(architecture, Parallelism()).chunks(pipelineRank: 0)[0].denseCount
        == 124_439_808)
  }

  @Test("routed experts are dealt out; router and shared experts are not") func experts() throws {
    let architecture = try #require(Architecture.named("deepseek-v3"))
    let chunks = ShardedParameters(architecture, Parallelism(expert: 64, data: 64))
      .chunks(pipelineRank: 0)
    let layer = chunks[0].layers[3]
    // 256 / 64 = 4 experts of 3·2048·7168 on each rank.
    #expect(ChunkParameters.count(layer, experts: true) == 4 * 3 * 2_048 * 7_168)
    #expect(layer.first { $0.tensor.name == "router.weight" }?.shape == [256, 7_168])
  }

  @Test("a flat buffer is tiled exactly", arguments: 0..<200)
  func flat(_ seed: UInt64) {
    var random = Sequence64(seed: seed)
    let partition = FlatPartition(
      count: Int(random.next() % 5_000), over: random.pick(Array(1...33)),
      alignment: random.pick([1, 2, 128]))
    var next = 0
    for index in 0..<partition.ranks {
      let range = partition.range(at: index)
      #expect(range.lowerBound == next)
      #expect(range.count <= partition.shardCount)
      next = range.upperBound
    }
    #expect(next == partition.count)
    #expect(partition.shardCount.isMultiple(of: partition.alignment))
    #expect(partition.paddedCount >= partition.count)
    #expect(partition.paddedCount < partition.count + partition.ranks * partition.alignment)
  }

  @Test("shard rules") func rules() throws {
    // 10 elements over 4 by 1: 3 each, the last holds 1.
    let partition = FlatPartition(count: 10, over: 4)
    #expect((0..<4).map { partition.range(at: $0).count } == [3, 3, 3, 1])
    let architecture = try #require(Architecture.named("llama-3.1-8b"))
    let units = ShardedParameters(architecture, Parallelism()).chunks(pipelineRank: 0)[0].layers
    // All extents divide by 8, so every rule agrees: 218,112,000 a layer, 32 layers.
    for rule in [ShardRule.buffer(alignment: 1), .unit(alignment: 1), .rows] {
      #expect(rule.shardCount(of: units, over: 8) == 32 * 218_112_000 / 8)
    }
    // 4096 norm rows over 3 ranks: 1366, 1366, 1364, so the first rank holds 2/3 more than a third.
    let norms = [units[0].filter { $0.tensor.kind == .norm }]
    #expect(
      (0..<3).map { ShardRule.rows.shardCount(of: norms, over: 3, at: $0) } == [
        2_732, 2_732, 2_728,
      ])
  }
}
