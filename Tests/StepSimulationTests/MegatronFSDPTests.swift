import Collectives
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram
@testable import StepSimulation

/// Megatron FSDP on a model of 8 layers, 10 units with embedding and head.
@Suite("Megatron FSDP") struct MegatronFSDPTests {
  // A layer: 12 · 1,024² and two norms; ends: 32,000 rows each, and the last norm.
  private static let layer: Int64 = 12 * 1_024 * 1_024 + 2 * 1_024
  private static let table: Int64 = 32_000 * 1_024

  private func stage(
    _ layout: Parallelism = Parallelism(data: 8, zero: 3), tied: Bool = false,
    fused: Bool? = nil, framework: Framework = .megatronCore
  ) throws -> (program: StepProgram, stage: StageProgram) {
    var job = try SmallJobs.job(
      layout, model: SmallJobs.model(tied: tied), microbatches: 3, framework: framework)
    job.training.switches.fusesGradientAccumulation = fused
    let program = StepCompiler.compile(job)
    return (program, program.stages[0])
  }

  private func launched(_ operation: CollectiveOperation, in program: StepProgram) -> Int {
    program.stages[0].instructions.count {
      guard case .launch(let call, _, _) = $0 else { return false }
      return program.calls[call].axis == .shard && program.calls[call].operation == operation
    }
  }

  private func gradients(_ stage: StageProgram) -> [Int64] {
    stage.instructions.compactMap {
      if case .memory(.gradients, let bytes) = $0 { bytes } else { nil }
    }
  }

  @Test("layers are gathered for each pass, ends once a step; gradients reduced every time")
  func traffic() throws {
    let program = try stage().program
    // Three microbatches: 8 layers forward and 8 again, from the head on, for the backward pass.
    #expect(launched(.allGather, in: program) == 2 + 3 * (8 + 8))
    #expect(launched(.reduceScatter, in: program) == 3 * 10)
  }

  @Test("the ends stay gathered from step to step, beside every rank's shards")
  func ends() throws {
    let items = try stage().stage.items
    let ends = try #require(items.first { $0.name == "gathered ends" })
    #expect(ends.bytes == 2 * (2 * Self.table + 1_024))
    #expect(try stage(framework: .torchtitan).stage.items.allSatisfy { $0.name != ends.name })
    #expect(
      try stage(Parallelism(data: 8, zero: 1)).stage.items.allSatisfy { $0.name != ends.name })
  }

  @Test("buckets are as wide as accumulated gradients; copied ones are beside fresh ones")
  func buckets() throws {
    // fp32 buckets of layers; what multiplies have not added there is in bf16 first.
    let fused = gradients(try stage(fused: true).stage)
    #expect(fused.count { $0 == 4 * Self.layer } == 3 * 8)
    #expect(!fused.contains(2 * Self.layer))
    let separate = gradients(try stage(fused: false).stage)
    #expect(separate.count { $0 == 4 * Self.layer } == 3 * 8)
    #expect(separate.count { $0 == 2 * Self.layer } == 3 * 8)
    // All of it is gone behind the step.
    #expect(fused.reduce(0, +) == 0 && separate.reduce(0, +) == 0)
  }

  @Test("the gradient of a tied table waits for the embedding's") func tied() throws {
    let bytes = gradients(try stage(tied: true, fused: false).stage)
    // The head, the last norm with 4 + 2 bytes, and with it the table's fresh gradient.
    #expect(bytes.count { $0 == 2 * Self.table + 2 * 1_024 } == 3)
    #expect(bytes.reduce(0, +) == 0)
  }

  @Test("buckets leave a full queue oldest first") func queue() {
    var queue = GradientQueue(capacity: 10)
    #expect(queue.add(elements: 6, bytes: 24) == 0)
    // Six are under way, which is not too much.
    #expect(queue.add(elements: 6, bytes: 25) == 0)
    #expect(queue.add(elements: 6, bytes: 26) == 24)
    #expect(queue.emptied() == 51)
    #expect(queue.emptied() == 0)
  }

  @Test("under a pipeline it reshards, as PyTorch's FSDP does not") func pipeline() throws {
    func peak(_ zero: Int, _ framework: Framework) throws -> Bytes {
      let job = try SmallJobs.job(
        Parallelism(pipeline: 2, data: 4, zero: zero),
        model: SmallJobs.model(layers: 32, hidden: 8_192), framework: framework)
      return try FoldedSimulation.run(StepCompiler.compile(job)).ranks[0].peak
    }
    #expect(try peak(3, .megatronCore) < peak(2, .megatronCore))
    // Whole working copies, and shards of fp32 parameters beside them.
    let layout = Parallelism(pipeline: 2, data: 4, zero: 3)
    func plan(_ framework: Framework) throws -> StatePlan {
      let job = try SmallJobs.job(layout, framework: framework)
      return StatePlan(job: job, profile: framework.profile)
    }
    #expect(try plan(.torchtitan).keepsGathered)
    #expect(try !plan(.megatronCore).keepsGathered && plan(.megatronCore).reducesEachMicrobatch)
  }
}
