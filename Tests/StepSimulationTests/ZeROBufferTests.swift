import Collectives
import Hardware
import Kernels
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram
@testable import StepSimulation

/// What DeepSpeed's ZeRO and PyTorch's FSDP2 hold beside the states.
@Suite("Buffers of sharded states")
struct ZeROBufferTests {
  private func stage(
    _ layout: Parallelism, model: Architecture = SmallJobs.model(layers: 2), microbatches: Int = 1,
    framework: Framework = .deepspeed
  ) throws -> StageProgram {
    StepCompiler.compile(
      try SmallJobs.job(layout, model: model, microbatches: microbatches, framework: framework)
    ).stages[0]
  }

  private func item(_ name: String, _ stage: StageProgram) -> Int64 {
    stage.items.first { $0.name == name }?.bytes ?? 0
  }

  @Test("ZeRO-2 and 3 have buckets of 500 million gradients, ZeRO-0 and 1 have none")
  func bucket() throws {
    for zero in 0...3 {
      let held = item("gradient bucket", try stage(Parallelism(data: 2, zero: zero)))
      // 2 bytes each; two take turns under ZeRO-2.
      #expect(held == [0, 0, 2_000_000_000, 1_000_000_000][zero])
    }
    var layout = Parallelism(data: 2, zero: 2)
    layout.sharding.bucketParameters = 200_000_000
    #expect(item("gradient bucket", try stage(layout)) == 800_000_000)
    layout.overlaps = false
    #expect(item("gradient bucket", try stage(layout)) == 400_000_000)
    #expect(item("gradient bucket", try stage(layout, framework: .generic)) == 0)
  }

  @Test("on one GPU ZeRO-2 sends gradients to the host that updates, ZeRO-1 and others keep them")
  func alone() throws {
    func gradients(_ zero: Int, offloads: Bool) throws -> (device: Int64, host: Int64) {
      var layout = Parallelism(zero: zero)
      layout.offloadsOptimizer = offloads
      let stage = try stage(layout)
      return (stage.resident[MemoryCategory.gradients.rawValue], stage.hostBytes.count)
    }
    // 90 706 944 parameters (`MemoryTests.residentOfOneGPU`): 2 bytes of gradient, 12 of states.
    let count: Int64 = 90_706_944
    #expect(try gradients(2, offloads: true) == (0, 14 * count))
    #expect(try gradients(2, offloads: false) == (2 * count, 0))
    #expect(try gradients(1, offloads: true) == (2 * count, 12 * count))
  }

  @Test("13 billion parameters train on one V100 of 32 GB with ZeRO-Offload, not without")
  func thirteenBillion() throws {
    // DeepSpeed's claim (deepspeed.ai/tutorials/zero-offload; arXiv:2101.06840, table 3: 65 layers of
    // 4,096, micro-batch 4, sequences of 1,024): 12 × 65 × 4,096² + 50,257 × 4,096 = 13.3 × 10⁹.
    let model = Architecture(
      name: "13 B", layerCount: 65, hiddenSize: 4096,
      attention: SelfAttention(heads: 32, keyValueHeads: 32, headDimension: 128),
      feedForward: FeedForward(intermediateSize: 16_384, activation: .gelu),
      vocabularySize: 50_257, tiesEmbeddings: true, positions: .learned, maximumPositions: 1024,
      norm: Norm(.layerNorm, hasBias: true))
    func peak(_ zero: Int, offloads: Bool) throws -> Double {
      var layout = Parallelism(zero: zero)
      layout.offloadsOptimizer = offloads
      var job = try SmallJobs.job(
        layout, model: model, microbatches: 4, recompute: .full, framework: .deepspeed)
      job.cluster.gpu = try #require(GPU.named("v100-sxm2-32gb"))
      job.training.sequenceLength = 1024
      job.training.microBatch = 4
      job.training.precision = .fp16Mixed
      let result = try FoldedSimulation.run(StepCompiler.compile(job))
      return try #require(result.ranks.map(\.device).max()).gibibytes
    }
    // The card has 31.75 GiB, of which 24.8 are weights.
    let offloaded = try peak(2, offloads: true)
    #expect(offloaded > 26 && offloaded < 31.75)
    #expect(try peak(1, offloads: true) > 48)
    #expect(try peak(2, offloads: false) > 190)
  }

  @Test("a single rank's parameters come from the host layer by layer, in both fidelities")
  func loneParameters() throws {
    var layout = Parallelism(zero: 3)
    layout.offloadsOptimizer = true
    layout.offloadsParameters = true
    let program = StepCompiler.compile(
      try SmallJobs.job(layout, microbatches: 2, framework: .generic))
    let stage = program.stages[0]
    #expect(stage.resident[MemoryCategory.parameters.rawValue] == 0)
    #expect(stage.resident[MemoryCategory.gradients.rawValue] == 0)
    let folded = try FoldedSimulation.run(program)
    let full = try SmallJobs.full(program)
    #expect(abs(full.duration.seconds / folded.duration.seconds - 1) < 0.001)
    // A layer's 12 × 1,024² weights and two norms of 1,024, 2 bytes over 25.6 GB/s of PCIe 4: 983.2 µs.
    let copies = program.calls.filter { $0.operation == .allGather }
    #expect(copies.contains { abs($0.duration.seconds - 983.2e-6) < 1e-7 })
    layout.offloadsParameters = false
    let kept = StepCompiler.compile(
      try SmallJobs.job(layout, microbatches: 2, framework: .generic))
    #expect(try FoldedSimulation.run(kept).duration < folded.duration)
  }

  @Test("ZeRO-3 keeps layers that are used again within a thousand million elements")
  func reuse() throws {
    func gathers(layers: Int) throws -> Int {
      let program = StepCompiler.compile(
        try SmallJobs.job(
          Parallelism(data: 2, zero: 3), model: SmallJobs.model(layers: layers, hidden: 4_096),
          microbatches: 1, framework: .deepspeed))
      return program.stages[0].instructions.count {
        guard case .launch(let call, _, _) = $0 else { return false }
        return program.calls[call].operation == .allGather
      }
    }
    // A layer has 201 million, the head 131 million: the head and the last two layers come back after
    // none, 2 × 131 and 2 × 332 million elements, what is before after 2 × 533. Of 2 layers and both ends
    // the embedding is gathered twice; of 6 layers and both ends the first four and the embedding.
    #expect(try gathers(layers: 2) == 4 + 1)
    #expect(try gathers(layers: 6) == 8 + 5)
  }

  @Test("the update joins the owned gradients and copies them to fp32")
  func update() throws {
    func most(_ layout: Parallelism) throws -> Int64 {
      try stage(layout).instructions.compactMap { instruction -> Int64? in
        guard case .scratch(.gradients, let bytes) = instruction else { return nil }
        return bytes
      }.max() ?? 0
    }
    // Halves of 90 706 944: 2 + 4 bytes each; under ZeRO-3 4.
    #expect(try most(Parallelism(data: 2, zero: 1)) == 6 * 45_353_472)
    #expect(try most(Parallelism(data: 2, zero: 2)) == 6 * 45_353_472)
    #expect(try most(Parallelism(data: 2, zero: 3)) == 4 * 45_353_472)
    #expect(try most(Parallelism(data: 2, zero: 0)) == 0)
  }

  @Test("FSDP2 gathers into a buffer and copies out of it")
  func gatherBuffer() throws {
    func buffer(_ layout: Parallelism, layers: Int = 8, _ framework: Framework = .torchtitan) throws
      -> Int64
    {
      item(
        "buffer parameters are gathered in",
        try stage(
          layout, model: SmallJobs.model(layers: layers), microbatches: 4, framework: framework))
    }
    // The table of 32,000 × 1,024, or the head with its norm, is larger than two layers of
    // 12 × 1,024² + 2 × 1,024; one layer is counted as gathered ahead.
    let layer: Int64 = 12 * 1_024 * 1_024 + 2 * 1_024
    let head: Int64 = 32_000 * 1_024 + 1_024
    #expect(try buffer(Parallelism(data: 2, zero: 3)) == 2 * (head - layer))
    // Under a pipeline all stay gathered; the first stage has the table.
    #expect(
      try buffer(Parallelism(pipeline: 2, data: 2, zero: 3)) == 2 * (head - 1_024))
    #expect(try buffer(Parallelism(data: 2, zero: 3), .llmFoundry) == 0)
  }

  @Test("what FSDP2 reduces is an fp32 copy that stays until the next layer's")
  func reduceBuffer() throws {
    let stage = try stage(Parallelism(data: 2, zero: 3), framework: .torchtitan)
    var held: Int64 = 0
    var steps: [Int64] = []
    for case .memory(.gradients, let bytes) in stage.instructions where bytes != 0 {
      held += bytes
      steps.append(held)
    }
    // In elements: head 32,769,024 (2 bytes fresh, then 4 more copied, then the fresh ones go), a layer
    // of 12,584,960, again (its copy takes the other's place), the table of 32,768,000; at the end nothing
    // is left.
    let (head, layer, table): (Int64, Int64, Int64) = (32_769_024, 12_584_960, 32_768_000)
    #expect(
      steps == [
        2 * head, 6 * head, 4 * head,
        4 * head + 2 * layer, 6 * layer, 4 * layer,
        6 * layer, 4 * layer,
        4 * layer + 2 * table, 6 * table, 4 * table, 0,
      ])
  }
}
