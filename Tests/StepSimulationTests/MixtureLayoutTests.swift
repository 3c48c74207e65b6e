import Kernels
import Hardware
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram

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
    let counts = try #require(try Self.job().layersPerStageInV)
    #expect(counts.count == 32)
    #expect(counts.reduce(0, +) == 61)
    // Stages s and 31 − s share a rank.
    let ranks = (0..<16).map { counts[$0] + counts[31 - $0] }
    // 1 + 15 × 4 = 61.
    #expect(ranks == [1] + Array(repeating: 4, count: 15))
    // Layers that divide are split evenly, and so are other schedules.
    var even = try Self.job()
    even.architecture.layerCount = 64
    #expect(even.layersPerStageInV == nil)
    var other = try Self.job()
    other.parallelism.schedule = .oneForwardOneBackward
    #expect(other.layersPerStageInV == nil)
  }

  @Test("a token goes once to each of its four groups, in fp8, and comes back in bf16")
  func dispatch() throws {
    func bytes(_ job: TrainingJob) throws -> [Int64] {
      let model = job.architecture
      let shard = LayerShard(
        microBatch: 1, sequenceLength: 4_096, expert: 64, matmulFormat: .fp8,
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
    // Without the limit 8 copies in bf16 each way.
    #expect(
      try bytes(Self.job(tokensLimited: false)) == Array(repeating: 4_096 * 8 * 7_168 * 2, count: 4)
    )
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
