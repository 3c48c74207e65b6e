import Collectives
import Kernels
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram
@testable import StepSimulation

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

  @Test("embedding, norm and head are dealt out as layers")
  func endsAsLayers() throws {
    func layers(_ count: Int, over stages: Int) throws -> [Int]? {
      try SmallJobs.job(Parallelism(pipeline: stages), model: SmallJobs.model(layers: count))
        .layersPerStageWithEnds
    }
    // 40 + 3 items are 22 and 21: the first 22 hold the embedding, the last 21 norm and head.
    #expect(try layers(40, over: 2) == [21, 19])
    // 63 are 16, 16, 16 and 15.
    #expect(try layers(60, over: 4) == [15, 16, 16, 13])
    #expect(try layers(40, over: 1) == nil)
  }

  @Test(
    "rules for one stage a rank leave a V alone",
    arguments: [Framework.alephAlphaScaling, .nanotron], [PipelineSchedule.dualPipe, .zeroBubble])
  func vShaped(framework: Framework, schedule: PipelineSchedule) throws {
    let job = try SmallJobs.job(
      Parallelism(
        pipeline: 2, virtualStages: schedule == .zeroBubble ? 2 : 1, schedule: schedule),
      framework: framework)
    // 8 layers on 2 ranks of 2 stages.
    let plan = StatePlan(job: job, profile: framework.profile)
    #expect(plan.parameters.stages.chunks.map(\.layers.count) == [2, 2, 2, 2])
  }

  @Test("the rank's own rows are multiplied apart from those gathered")
  func splitRows() throws {
    var fusion = Fusion()
    fusion.splitsGatheredRows = true
    let shard = LayerShard(
      microBatch: 1, sequenceLength: 4_096, tensor: 4, sequenceParallel: true, vocabulary: 32_000)
    let operations = SmallJobs.model().feedForwardOperations(layer: 0, shard: shard, fusion: fusion)
    func rows(_ kernels: [Kernel]) -> [Int] {
      kernels.compactMap { if case .matmul(let matmul) = $0 { matmul.m } else { nil } }
    }
    let up = try #require(operations.first { $0.name == "up_proj" })
    let down = try #require(operations.first { $0.name == "down_proj" })
    // A quarter are its own; of the third rank of four two quarters lie before, one behind.
    #expect(rows(up.forward) == [1_024, 2_048, 1_024])
    #expect(rows(up.inputGradient) == [4_096])
    #expect(rows(down.forward) == [4_096])
    #expect(rows(down.inputGradient) == [1_024, 2_048, 1_024])
  }

  @Test("nanotron's sharded optimizer reduces behind the backward and copies tensor by tensor")
  func nanotronSharding() throws {
    func program(zero: Int) throws -> StepProgram {
      StepCompiler.compile(
        try SmallJobs.job(Parallelism(data: 16, zero: zero), framework: .nanotron))
    }
    func launches(_ program: StepProgram) -> Int {
      program.stages[0].instructions.count { if case .launch = $0 { true } else { false } }
    }
    // One reduction and one gather; in the other case buckets during the backward.
    let sharded = try program(zero: 1)
    #expect(launches(sharded) == 2)
    #expect(launches(try program(zero: 0)) > 2)
    // The whole fp32 buffer in one all-reduce, then the bf16 parameters.
    let parameters = Int64(SmallJobs.model().parameterCount)
    let calls = sharded.calls.filter { $0.category == .data }
    #expect(calls.map(\.operation) == [.allReduce, .allGather])
    #expect(calls.map(\.bytes) == [4 * parameters, 2 * parameters])
    // 8 layers of 6 tensors from 16 ranks at 10 us: 7.68 ms of the host.
    let copies = try #require(sharded.blocks.first { $0.name == "parameter copies" })
    #expect(copies.summary.issue == SimDuration(seconds: 7.68e-3).picoseconds)
    #expect(try program(zero: 0).blocks.allSatisfy { $0.name != "parameter copies" })
  }

  @Test("tensor groups beside pipeline traffic between nodes cost each host 260 us a rank")
  func besidePipeline() throws {
    func host(_ parallelism: Parallelism) throws -> SimDuration? {
      StepCompiler(job: try SmallJobs.job(parallelism, framework: .nanotron)).profile
        .hostPerCollective
    }
    // Both stages in a node: 320 us as ever.
    #expect(try host(Parallelism(tensor: 4, pipeline: 2)) == SimDuration(seconds: 320e-6))
    // Stages on two nodes: 320 + 8 × 260; groups of two nodes: 320 + 16 × 360.
    #expect(try host(Parallelism(tensor: 8, pipeline: 2)) == SimDuration(seconds: 2_400e-6))
    #expect(try host(Parallelism(tensor: 16, pipeline: 2)) == SimDuration(seconds: 6_080e-6))
  }

  @Test("messages between stages stall where a tensor group spans four nodes")
  func stalls() throws {
    func longest(_ tensor: Int) throws -> Double {
      let model = SmallJobs.model(hidden: 2_048)
      let program = StepCompiler.compile(
        try SmallJobs.job(
          Parallelism(tensor: tensor, pipeline: 2), model: model, framework: .nanotron))
      return program.stages[0].instructions.compactMap {
        if case .send(_, _, _, let duration, _) = $0 { duration.seconds } else { nil }
      }.max() ?? 0
    }
    // 8 MiB at 25 GB/s take a third of a millisecond; 32 ranks are four nodes.
    #expect(try longest(16) < 0.001)
    let stalled = try longest(32)
    #expect(stalled > 0.25 && stalled < 0.251)
  }

  @Test("Aleph Alpha's library all-reduces gradients in fp32 and pays more beyond 16 nodes")
  func alephReduction() throws {
    func reduction(_ data: Int) throws -> CollectiveCall {
      let program = StepCompiler.compile(
        try SmallJobs.job(Parallelism(data: data, zero: 1), framework: .alephAlphaScaling))
      return try #require(program.calls.first { $0.operation == .allReduce && $0.axis != .model })
    }
    let job = try SmallJobs.job(Parallelism(data: 128, zero: 1), framework: .alephAlphaScaling)
    let near = try reduction(128)
    let parameters = StatePlan(job: job, profile: job.training.framework.profile)
      .parameters(ofStage: 0).total
    #expect(near.bytes == Int64(parameters) * 4)
    // The factor goes from 1 to 7.5; a reduction over 17 nodes for 16 differs by its trees alone, by far
    // less than that.
    let far = try reduction(136)
    #expect(far.duration.seconds > 6.6 * near.duration.seconds)
    #expect(far.duration.seconds < 9 * near.duration.seconds)
  }

  @Test("InternLM joins the biases of query, key and value as it does their weights")
  func ownersOfBiases() throws {
    func sent(_ data: Int) throws -> [Int64] {
      var job = try SmallJobs.job(Parallelism(data: data, zero: 1), framework: .internLM)
      job.architecture.attention.inputBias = true
      job.architecture.attention.outputBias = true
      let program = StepCompiler.compile(job)
      return program.stages[0].instructions.compactMap {
        guard case .launch(let call, _, _) = $0, program.calls[call].operation == .allGather
        else { return nil }
        return program.calls[call].bytes
      }
    }
    // Two biases more than without in each of eight layers: 51 + 16 tensors. The joined one is three
    // times as wide as a norm or the output's bias, of 1,024 elements.
    let all = try sent(128)
    #expect(all.count == 67)
    #expect(all.filter { $0 == 2 * 3 * 1_024 }.count == 8)
    #expect(all.filter { $0 == 2 * 1_024 }.count == 8 * 3 + 1)
    // On 64 ranks nobody is left without a tensor.
    #expect(try sent(64).count == 64)
    #expect(try sent(64).reduce(0, +) == all.reduce(0, +))
  }

  @Test("InternLM's owners of whole tensors broadcast one after the other")
  func ownersBroadcast() throws {
    func calls(_ data: Int, group: Int? = nil) throws -> [CollectiveCall] {
      var layout = Parallelism(data: data, zero: 1)
      layout.shardGroup = group
      let program = StepCompiler.compile(try SmallJobs.job(layout, framework: .internLM))
      return program.stages[0].instructions.compactMap {
        guard case .launch(let call, _, _) = $0, program.calls[call].operation == .allGather
        else { return nil }
        return program.calls[call]
      }
    }
    func sent(_ data: Int, group: Int? = nil) throws -> [Int64] {
      try calls(data, group: group).map(\.bytes)
    }
    // Eight layers of two norms, a joined query, key and value, an output, an up and a down projection;
    // embedding, final norm and head: 51 tensors, of 1,024 × 12 × 1,024 a layer beside the norms.
    let parameters: Int64 = 8 * (12 * 1_024 * 1_024 + 2 * 1_024) + 2 * 32_000 * 1_024 + 1_024
    let all = try sent(64)
    #expect(all.count == 51)
    #expect(all.reduce(0, +) == 2 * parameters)
    // The heaviest of eight owners has the embedding alone: more than an eighth of all is in it.
    let few = try sent(8)
    #expect(few.count == 8)
    #expect(few.reduce(0, +) == 2 * parameters)
    let table: Int64 = 2 * 32_000 * 1_024
    #expect(few.max() == table)
    // Each takes as long as a chain of all ranks.
    let model = CollectiveModel(cluster: try SmallJobs.cluster(gpus: 64))
    for call in try calls(64) {
      let chain = model.plan(.broadcast, bytes: call.bytes, placement: call.placement)
      #expect(call.duration >= chain.duration)
    }
    #expect(try sent(64, group: 8) == few)
  }

  @Test("four rows of scores share a block of the fused softmax; fewer go through PyTorch's")
  func fusedSoftmax() throws {
    func core(microBatch: Int, tensor: Int) throws -> Operation {
      let shard = LayerShard(
        microBatch: microBatch, sequenceLength: 1_024, tensor: tensor, vocabulary: 32_000)
      let operations = SmallJobs.model().mixerOperations(
        layer: 0, shard: shard, algorithm: .fusedSoftmax, fusion: Fusion())
      return try #require(operations.first { $0.isAttentionCore })
    }
    // 16 heads: over eight ranks two each, times one sequence 2 rows of scores, times two 4.
    #expect(try core(microBatch: 1, tensor: 8).hostOperations == 5)
    #expect(try core(microBatch: 2, tensor: 8).hostOperations == 1)
    #expect(try core(microBatch: 1, tensor: 4).hostOperations == 1)

    func issue(tensor: Int) throws -> Int64 {
      var job = try SmallJobs.job(
        Parallelism(tensor: tensor), microbatches: 1, framework: .megatronDeepSpeed)
      job.training.attention = .fusedSoftmax
      job.training.profile.hostJitter = .zero
      job.training.profile.hostPerOperation = SimDuration(seconds: 80e-6)
      return StepCompiler.compile(job).blocks.first { $0.name == "stage 0 forward" }?.summary.issue
        ?? 0
    }
    // 8 layers of four more operations at 80 us and four more launches at 10 us: 2.88 ms.
    #expect(try issue(tensor: 8) - issue(tensor: 4) == 2_880_000_000)
  }

  @Test("a host that reads back the longest sequence leaves the device idle once a layer")
  func packedSequences() throws {
    func forward(reads: Bool) throws -> WorkSummary {
      var job = try SmallJobs.job(
        Parallelism(), model: SmallJobs.model(hidden: 4_096), microbatches: 1,
        framework: .alephAlphaScaling)
      job.training.profile.readsSequenceLengths = reads
      job.training.profile.hostPerOperation = SimDuration(seconds: 1e-6)
      job.training.profile.hostPerLaunch = SimDuration(seconds: 1e-6)
      job.training.profile.hostPerMicrobatch = .zero
      return try #require(
        StepCompiler.compile(job).blocks.first { $0.name == "stage 0 forward" }
      ).summary
    }
    let reads = try forward(reads: true)
    let ahead = try forward(reads: false)
    // Kernels take longer than a call and a launch, 2 us: a host that runs ahead costs nothing, one that
    // waits those 2 us in each of 8 layers.
    #expect(reads.lag - ahead.lag == 16_000_000)
  }

  @Test("a host that waits behind every pass launches nothing while it waits for a message")
  func passesSynchronized() throws {
    func step(synchronizes: Bool) throws -> (seconds: Double, program: StepProgram) {
      var job = try SmallJobs.job(
        Parallelism(pipeline: 2), model: SmallJobs.model(hidden: 128), microbatches: 1,
        framework: .megatronDeepSpeed)
      job.training.profile.synchronizesPasses = synchronizes
      let program = StepCompiler.compile(job)
      return (try FoldedSimulation.run(program).duration.seconds, program)
    }
    let waits = try step(synchronizes: true)
    let runsAhead = try step(synchronizes: false)
    func summary(_ name: String) throws -> WorkSummary {
      try #require(waits.program.blocks.first { $0.name == name }).summary
    }
    let forward = try summary("stage 1 forward")
    let backward = try summary("stage 0 backward")
    // A host that runs ahead has launched the second stage's forward when the activations come, and
    // the first stage's backward when the gradient comes: their kernels are all that is left of
    // them. One that waits takes its host's time for each.
    let difference = waits.seconds - runsAhead.seconds
    let hidden = Double(forward.issue + backward.issue) * 1e-12
    let kernels = Double(forward.busy + backward.busy) * 1e-12
    #expect(kernels < 0.3 * hidden)
    #expect(difference <= hidden && difference >= hidden - kernels)
  }

  @Test("what ran before the wait has its part of the cost to the kernels beside it")
  func slowdownBesideCollectives() {
    // 100 long, 40 of them still to come: 60 % of 30.
    #expect(RankClock.slowdown(active: 100, cost: 30, end: 120, at: 80) == 18)
    // All of it is still to come.
    #expect(RankClock.slowdown(active: 100, cost: 30, end: 200, at: 80) == 0)
  }

  @Test("a collective in the node takes more from kernels than one of single ranks between nodes")
  func interference() throws {
    func most(_ layout: Parallelism, perNode: Int) throws -> Double {
      let job = try SmallJobs.job(
        layout, model: SmallJobs.model(hidden: 4_096), perNode: perNode, framework: .torchtitan)
      return try #require(StepCompiler.compile(job).calls.map(\.interference).max())
    }
    // 24 of 108 multiprocessors, and an NVLink ring's share of the memory; two of 108.
    let near = try most(Parallelism(data: 8, zero: 3), perNode: 8)
    let far = try most(Parallelism(data: 8, zero: 3), perNode: 1)
    #expect(near > 24.0 / 108)
    #expect(near < 0.6)
    #expect(far > 0)
    #expect(far < near / 2)
  }

  @Test("NeMo's recipes reduce gradients in bf16; torchtitan's tensor traffic is exposed backward")
  func gradientsAndOverlap() {
    #expect(Framework.nemo.profile.gradientFormat == .bf16)
    #expect(Framework.megatronCore.profile.gradientFormat == .fp32)
    #expect(!Framework.torchtitan.profile.overlapsTensorBackward)
  }
}
