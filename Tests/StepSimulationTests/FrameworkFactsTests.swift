import Collectives
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram

/// Facts of frameworks that memory and time follow from.
@Suite("Framework facts")
struct FrameworkFactsTests {
  @Test("eager cross-entropy holds 14 bytes a logit at its peak, in place 6")
  func crossEntropy() throws {
    let model = try #require(Architecture.named("llama-3.1-8b"))
    let shard = LayerShard(
      microBatch: 1, sequenceLength: 8_192, vocabulary: model.vocabularySize)
    func loss(_ fusion: Fusion) throws -> Operation {
      try #require(
        model.headOperations(shard: shard, fusion: fusion).first { $0.name == "cross_entropy" })
    }
    let values = Int64(8_192 * 128_256)
    var eager = Fusion()
    eager.crossEntropy = false
    // Log-softmax 4; its gradient and its input's 4 each, and the bf16 logits 2.
    let plain = try loss(eager)
    #expect(plain.saved == 4 * values)
    #expect(plain.saved + plain.backwardScratch == 14 * values)
    var inPlace = Fusion()
    inPlace.crossEntropyInPlace = true
    let best = try loss(inPlace)
    #expect(best.saved + best.backwardScratch == 6 * values)
  }

  @Test("extra time beside pipeline traffic shrinks with the message and vanishes")
  func besidePipeline() {
    let beside = FrameworkProfile.TensorBesidePipeline(
      each: SimDuration(seconds: 500e-6), step: SimDuration(seconds: 100e-6),
      vanishesEach: .mebibytes(20), vanishes: .mebibytes(40))
    // 7 steps: 500 + 700 us with nothing to send, half of it at 20 of 40 MiB, none from there on.
    #expect(beside.extra(steps: 7, bytes: 0) == SimDuration(seconds: 1_200e-6))
    #expect(beside.extra(steps: 7, bytes: 20 << 20) == SimDuration(seconds: 600e-6))
    #expect(beside.extra(steps: 7, bytes: 40 << 20) == .zero)
    // One step: gone at 20 MiB.
    #expect(beside.extra(steps: 1, bytes: 20 << 20) == .zero)
  }

  @Test("collectives cost more with each doubling of the nodes")
  func growth() {
    var profile = FrameworkProfile()
    profile.dataCollectiveCost = 2
    profile.dataCollectiveGrowth = 1.5
    #expect(profile.dataCollectiveFactor(nodes: 1) == 2)
    #expect(profile.dataCollectiveFactor(nodes: 4) == 4.5)
    // Half way from 4.5 to 6.75.
    #expect(profile.dataCollectiveFactor(nodes: 6) == 5.625)
  }

  @Test("a framework offers what its sources say")
  func offers() {
    #expect(Framework.llmFoundry.offer.schedules.isEmpty)
    #expect(!Framework.llmFoundry.offer.hasTensor)
    #expect(Framework.deepspeed.offer.zeroStagesInPipeline == [0, 1])
    for framework in Framework.allCases {
      let offer = framework.offer
      #expect(!offer.zeroStages.isEmpty && !offer.source.isEmpty)
      #expect(offer.schedules.isEmpty == offer.zeroStagesInPipeline.isEmpty)
    }
  }

  @Test("DeepSpeed's BF16_Optimizer all-reduces fp32 gradients whole and gathers its partition")
  func bf16Optimizer() throws {
    func calls(zero: Int) throws -> [CollectiveCall] {
      let layout = Parallelism(data: 4, zero: zero)
      let job = try SmallJobs.job(layout, framework: .megatronDeepSpeed)
      return StepCompiler.compile(job).calls.filter { $0.category == .data }
    }
    let parameters = Int64(SmallJobs.model().parameterCount)
    // The vocabulary of 32,000 is a multiple of 128: nothing is padded.
    let sharded = try calls(zero: 1)
    #expect(sharded.map(\.operation) == [.allReduce, .allGather])
    #expect(sharded.map(\.bytes) == [4 * parameters, 2 * parameters])
    let plain = try calls(zero: 0)
    #expect(plain.map(\.operation) == [.allReduce])
    #expect(plain.map(\.bytes) == [2 * parameters])
  }

  @Test("collectives wait for the slowest host of their group")
  func hostJitter() throws {
    func issue(tensor: Int, jitter: Double) throws -> Int64 {
      var job = try SmallJobs.job(
        Parallelism(tensor: tensor), model: SmallJobs.model(layers: 1), microbatches: 1,
        framework: .megatronDeepSpeed)
      job.training.profile.hostJitter = SimDuration(seconds: jitter)
      return StepCompiler.compile(job).blocks.first { $0.name == "stage 0 forward" }?.summary.issue
        ?? 0
    }
    // Forward: the embedding's, the attention's and the feed-forward's all-reduce, and the loss's.
    // The slowest of two is 1/2 mean late, of four 1/2 + 1/3 + 1/4 = 13/12.
    let two = try issue(tensor: 2, jitter: 12e-6) - issue(tensor: 2, jitter: 0)
    #expect(two == 4 * 6_000_000)
    let four = try issue(tensor: 4, jitter: 12e-6) - issue(tensor: 4, jitter: 0)
    #expect(four == 4 * 13_000_000)
  }
}
