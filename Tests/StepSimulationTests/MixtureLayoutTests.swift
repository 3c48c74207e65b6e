import Kernels
import Hardware
import Layout
import Quantities
import Testing

@testable import StepProgram
@testable import Transformer

/// DeepSeek-V3 as it was trained (arXiv:2412.19437).
@Suite("Mixtures over a V")
struct MixtureLayoutTests {
  private static func job(tokensLimited: Bool = true) throws -> TrainingJob {
    var model = try #require(Architecture.named("deepseek-v3"))
    let groups = model.experts?.groupCount ?? 1
    if !tokensLimited { model.experts?.groupsPerToken = groups }
    let gpu = try #require(GPU.named("h800-sxm-80gb"))
    return TrainingJob(
      architecture: model,
      cluster: Cluster(
        gpu: gpu, gpuCount: 2_048, gpusPerNode: 8, intraNode: gpu.scaleUp,
        interNode: gpu.scaleOut),
      parallelism: Parallelism(
        pipeline: 16, virtualStages: 2, schedule: .dualPipe, expert: 64, expertTensor: 1,
        data: 128, zero: 1),
      training: TrainingSettings(
        sequenceLength: 4_096, globalBatch: 15_360, microBatch: 1, precision: .fp8Mixed))
  }

  @Test("the rank with both ends of the model gets one layer, all others four")
  func stages() throws {
    let counts = try #require(try Self.job().layersPerStageWhereUneven)
    #expect(counts.count == 32)
    #expect(counts.reduce(0, +) == 61)
    // Stages s and 31 − s share a rank.
    let ranks = (0..<16).map { counts[$0] + counts[31 - $0] }
    // 1 + 15 × 4 = 61.
    #expect(ranks == [1] + Array(repeating: 4, count: 15))
    // Layers that divide are split evenly.
    var even = try Self.job()
    even.architecture.layerCount = 64
    #expect(even.layersPerStageWhereUneven == nil)
    var other = try Self.job()
    other.parallelism.schedule = .oneForwardOneBackward
    other.parallelism.virtualStages = 1
    // Megatron-Bridge: "Et*4|(t*4|)*14tmL", and with 32 stages "Et|(tt|)*30mL".
    #expect(other.layersPerStageWhereUneven == Array(repeating: 4, count: 15) + [1])
    other.parallelism.pipeline = 8
    other.parallelism.virtualStages = 4
    other.parallelism.schedule = .interleaved
    let counts32 = try #require(other.layersPerStageWhereUneven)
    #expect(counts32.reduce(0, +) == 61)
    #expect(counts32.dropLast().allSatisfy { (1...2).contains($0) } && counts32.last == 0)
  }

  @Test("a token goes once to each of its four groups, in fp8, and comes back in bf16")
  func dispatch() throws {
    func bytes(_ job: TrainingJob) throws -> [Int64] {
      let model = job.architecture
      let shard = LayerShard(
        microBatch: 1, sequenceLength: 4_096, expert: 64, expertNodes: 8, matmulFormat: .fp8,
        vocabulary: model.vocabularySize)
      let operations = model.feedForwardOperations(layer: 3, shard: shard, fusion: Fusion())
      let dispatch = try #require(operations.first { $0.name == "expert_dispatch" })
      let combine = try #require(operations.first { $0.name == "expert_combine" })
      return [
        dispatch.afterForward, combine.beforeForward, combine.afterInputGradient,
        dispatch.beforeBackward,
      ].compactMap { $0?.bytes }
    }
    // 4,096 tokens × 4 groups × 7,168 values of 1 and of 2 bytes.
    let one: Int64 = 4_096 * 4 * 7_168
    #expect(try bytes(Self.job()) == [one, 2 * one, one, 2 * one])
    // Without the limit 8 of 256 experts, 32 a node, miss a node with probability C(224, 8) / C(256, 8) =
    // 0.339: 8 × 0.661 = 5.29 nodes, in bf16 each way.
    var missed = 1.0
    for taken in 0..<8 { missed *= Double(224 - taken) / Double(256 - taken) }
    let free = Int64((4_096 * 8 * (1 - missed) * 7_168 * 2).rounded())
    #expect(try bytes(Self.job(tokensLimited: false)) == Array(repeating: free, count: 4))
  }

  /// A layer of 8 experts of which a token visits 2, over 4 ranks of a node; 1,000 tokens of 64.
  private func layer(_ dispatch: ExpertDispatch, expertTensor: Int = 1, shared: Int = 0)
    -> [Operation]
  {
    var model = SmallJobs.model(layers: 1, hidden: 64, experts: 8)
    model.experts?.sharedIntermediateSize = shared
    let shard = LayerShard(
      microBatch: 1, sequenceLength: 1_000, expert: 4, expertTensor: expertTensor,
      dispatch: dispatch, vocabulary: 100)
    return model.feedForwardOperations(layer: 0, shard: shard, fusion: Fusion())
  }

  private func operation(_ name: String, in operations: [Operation]) throws -> Operation {
    try #require(operations.first { $0.name == name })
  }

  private func rows(_ operation: Operation) -> Int {
    for case .matmul(let multiply) in operation.forward { return multiply.m * multiply.batch }
    return 0
  }

  @Test("the fullest rank's rows, bytes and memory grow with imbalance and capacity")
  func load() throws {
    // 1,000 tokens × 2 visits: 2,000 rows a rank of two experts, 256,000 bytes in bf16.
    let balanced = layer(ExpertDispatch(dispatcher: .allToAll))
    #expect(try rows(operation("expert_up_proj", in: balanced)) == 2_000)
    #expect(try operation("expert_dispatch", in: balanced).afterForward?.bytes == 256_000)
    #expect(try operation("expert_up_proj", in: balanced).saved == 256_000)
    let skewed = layer(ExpertDispatch(dispatcher: .allToAll, imbalance: 1.5))
    #expect(try rows(operation("expert_up_proj", in: skewed)) == 3_000)
    #expect(try operation("expert_dispatch", in: skewed).afterForward?.bytes == 384_000)
    #expect(try operation("expert_up_proj", in: skewed).saved == 384_000)
    // A capacity drops what is more and pads what is less.
    let capped = layer(
      ExpertDispatch(dispatcher: .allToAll, imbalance: 1.5, capacityFactor: 1.25))
    #expect(try rows(operation("expert_up_proj", in: capped)) == 2_500)
  }

  @Test("all-gather sends every token everywhere, a fused dispatch once a rank")
  func dispatchers() throws {
    // All tokens of 4 ranks: 4 × 1,000 × 64 × 2 bytes, gathered and reduce-scattered.
    let gathered = layer(ExpertDispatch(dispatcher: .allGather), expertTensor: 2)
    let dispatch = try operation("expert_dispatch", in: gathered)
    let combine = try operation("expert_combine", in: gathered)
    #expect(dispatch.afterForward == Exchange(.allGather, on: .expert, bytes: 512_000))
    #expect(combine.beforeForward == Exchange(.reduceScatter, on: .expert, bytes: 512_000))
    #expect(combine.afterInputGradient == Exchange(.allGather, on: .expert, bytes: 512_000))
    #expect(
      try operation("expert_up_proj", in: gathered).beforeForward
        == Exchange(.allGather, on: .expertTensor, bytes: 1_024_000))
    // Two experts of 8 miss a rank's two with probability 6/8 × 5/7 = 15/28: 4 × 13/28 = 13/7 ranks.
    let fused = layer(ExpertDispatch(dispatcher: .fused, format: .fp8))
    #expect(
      try operation("expert_dispatch", in: fused).afterForward?.bytes
        == Int64((1_000 * 64 * 13 / 7.0).rounded()))
  }

  @Test("without a word about it, what carries the tokens follows from model and place")
  func defaultDispatcher() throws {
    func dispatcher(_ name: String, nodes: Int) throws -> ExpertDispatch.Dispatcher {
      let model = try #require(Architecture.named(name))
      let experts = try #require(model.experts)
      return experts.dispatcher(ExpertDispatch(), nodes: nodes)
    }
    // Eight experts a token: DeepSeek-V3 also between nodes, Qwen3 inside one; four and two never.
    #expect(try dispatcher("deepseek-v3", nodes: 8) == .fused)
    #expect(try dispatcher("qwen3-235b-a22b", nodes: 1) == .fused)
    #expect(try dispatcher("qwen3-235b-a22b", nodes: 4) == .allToAll)
    #expect(try dispatcher("gpt-oss-120b", nodes: 1) == .allToAll)
    #expect(try dispatcher("mixtral-8x7b", nodes: 1) == .allToAll)
  }

  @Test("routing limited to groups reaches all the ranks of its groups")
  func limitedRanks() throws {
    let model = try #require(Architecture.named("deepseek-v3"))
    let experts = try #require(model.experts)
    // Two experts of each of four groups of 32. On 8 nodes a group each: 4. On 64 ranks a group has 8
    // ranks of 4, of which two experts miss one with probability 28/32 × 27/31: 4 × 8 × (1 − 756/992).
    #expect(experts.visitedPlaces(of: 8) == 4)
    #expect(abs(experts.visitedPlaces(of: 64) - 32 * (1 - 756.0 / 992)) < 1e-9)
    // Two nodes hold four groups each: 8 of 256 experts miss one of two nodes almost never.
    #expect(experts.visitedPlaces(of: 2) > 1.99)
  }

  private func traffic(_ kernels: [Kernel]) -> [Int64] {
    kernels.compactMap {
      guard case .stream(let pass) = $0 else { return nil }
      return pass.bytesRead + pass.bytesWritten
    }
  }

  @Test("rows are copied on the way to the experts and back, the same backward")
  func copies() throws {
    // 1,000 tokens of 128 bytes, 2,000 rows: permuted 128,000 + 256,000; two experts a rank sort them,
    // 256,000 read and written, both on the way there and back.
    let plain = layer(ExpertDispatch(dispatcher: .allToAll))
    let dispatch = try operation("expert_dispatch", in: plain)
    let combine = try operation("expert_combine", in: plain)
    #expect(traffic(dispatch.forward) == [384_000, 512_000])
    #expect(traffic(combine.forward) == [512_000, 384_000])
    #expect(combine.inputGradient == dispatch.forward)
    #expect(dispatch.inputGradient == combine.forward)
    // A token arrives once on each of 13/7 ranks (see below): 1,000 × 128 × 13/7 = 237,714 bytes,
    // spread to 256,000 of rows.
    let fused = layer(ExpertDispatch(dispatcher: .fused))
    #expect(try traffic(operation("expert_dispatch", in: fused).forward) == [493_714])
  }

  @Test("the host reads the counts unless a capacity fixes them")
  func counts() throws {
    #expect(try operation("expert_dispatch", in: layer(ExpertDispatch())).readsCounts)
    #expect(
      try !operation("expert_dispatch", in: layer(ExpertDispatch(capacityFactor: 1))).readsCounts)
  }

  @Test("experts' biases cost passes over fp32 rows under Megatron-Core")
  func bias() throws {
    var model = SmallJobs.model(layers: 1, hidden: 64, experts: 8)
    let shard = LayerShard(
      microBatch: 1, sequenceLength: 1_000, expert: 4, dispatch: ExpertDispatch(),
      vocabulary: 100)
    func passes(inside: Bool) -> [Operation] {
      var fusion = Fusion()
      fusion.weighsExpertsInside = inside
      return model.feedForwardOperations(layer: 0, shard: shard, fusion: fusion)
        .filter { $0.name == "expert_bias" }
    }
    model.feedForward.hasBias = false
    #expect(passes(inside: true).isEmpty)
    model.feedForward.hasBias = true
    // 2,000 rows of 64: 128,000 values of 14 + 14 bytes, backward 24 + 16.
    let operation = try #require(passes(inside: true).first)
    #expect(traffic(operation.forward) == [28 * 128_000])
    #expect(traffic(operation.inputGradient) == [40 * 128_000])
    // One pass in place in bf16 elsewhere, one that reads its gradient.
    let simple = try #require(passes(inside: false).first)
    #expect(traffic(simple.forward) == [4 * 128_000])
    #expect(traffic(simple.inputGradient) == [2 * 128_000])
  }

  @Test("shared experts run beside the traffic where asked") func shared() throws {
    let beside = layer(
      ExpertDispatch(dispatcher: .allToAll, overlapsShared: true), shared: 128)
    #expect(
      beside.map(\.name).filter { $0.contains("expert") || $0.contains("shared") } == [
        "expert_dispatch", "shared_up_proj", "expert_up_proj", "expert_activation",
        "expert_down_proj", "shared_activation", "shared_down_proj", "expert_combine",
      ])
    let whole = Exchange(.allToAll, on: .expert, bytes: 256_000)
    #expect(try operation("expert_dispatch", in: beside).afterForward == nil)
    #expect(try operation("shared_up_proj", in: beside).besideForward == whole)
    #expect(try operation("shared_down_proj", in: beside).besideBackward == whole)
    #expect(try operation("expert_combine", in: beside).beforeForward == nil)
  }

  @Test("the priced operations of a layer are what its forward pass takes")
  func operationCosts() throws {
    let gpu = try #require(GPU.named("a100-sxm-80gb"))
    let job = TrainingJob(
      architecture: try #require(Architecture.named("llama-2-7b")),
      cluster: Cluster(
        gpu: gpu, gpuCount: 1, gpusPerNode: 8, intraNode: gpu.scaleUp, interNode: gpu.scaleOut),
      parallelism: Parallelism(),
      training: TrainingSettings(sequenceLength: 4_096, globalBatch: 1, microBatch: 1))
    let costs = StepProgram.operationCosts(of: job)
    let program = StepCompiler.compile(job)
    // Forward and backward of 32 equal layers and both ends: all the kernels of the step but the
    // optimizer's.
    var kernels = 0.0
    for cost in costs { kernels += cost.kernels.value * (cost.unit == "layer 0" ? 32 : 1) }
    let busy = program.blocks.filter { ["stage 0 forward", "stage 0 backward"].contains($0.name) }
      .reduce(0.0) { $0 + Double($1.summary.busy) * 1e-12 }
    #expect(abs(kernels / busy - 1) < 1e-6, "\(kernels) against \(busy)")
    #expect(costs.allSatisfy { $0.communication == .zero })
  }
}
