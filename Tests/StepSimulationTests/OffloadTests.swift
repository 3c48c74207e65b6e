import Collectives
import Hardware
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram
@testable import StepSimulation

/// Optimizer states held and updated by the host.
@Suite("Offload of optimizer states")
struct OffloadTests {
  private func job(offloads: Bool) throws -> TrainingJob {
    var layout = Parallelism(data: 2, zero: 1)
    layout.offloadsOptimizer = offloads
    return try SmallJobs.job(layout, model: SmallJobs.model(layers: 2))
  }

  @Test("12 bytes a parameter move from the device to the host")
  func memory() throws {
    let program = StepCompiler.compile(try job(offloads: true))
    // 90 706 944 parameters (`MemoryTests.residentOfOneGPU`), halves of two ranks.
    #expect(program.stages[0].hostBytes.count == 12 * 45_353_472)
    #expect(program.stages[0].resident[MemoryCategory.optimizer.rawValue] == 0)
    let plain = StepCompiler.compile(try job(offloads: false))
    #expect(plain.stages[0].hostBytes == .zero)
    #expect(plain.stages[0].resident[MemoryCategory.optimizer.rawValue] == 12 * 45_353_472)
    let result = try FoldedSimulation.run(program)
    #expect(result.ranks[0].host == program.stages[0].hostBytes)
  }

  @Test("the step takes as much longer as the host updates; gradients travel as they are reduced")
  func time() throws {
    func optimizer(_ offloads: Bool) throws -> Double {
      let result = try FoldedSimulation.run(StepCompiler.compile(try job(offloads: offloads)))
      return result.ranks[0].spent[TimeCategory.optimizer.rawValue].seconds
    }
    // The host reads and writes 24 bytes of states, reads 4 of gradient, writes 2: 30 × 45 353 472 /
    // (0.5 × 51.2 GB/s) = 53.15 ms, during which 2 × 45 353 472 / 25.6 GB/s = 3.5 ms go back.
    let more = try optimizer(true) - optimizer(false)
    // The device's own update falls away: 24 bytes of states, 4 + 2 + 12 others, 42 × 45 353 472 at
    // no more than 2.04 TB/s: 0.93 ms or somewhat more.
    #expect(more > 0.0510 && more < 0.0523)
    // fp32 gradients over PCIe 4 behind their reductions: 4 × 45 353 472 / (0.8 × 32 GB/s) = 7.09 ms.
    func reductions(_ offloads: Bool) throws -> Double {
      let program = StepCompiler.compile(try job(offloads: offloads))
      return program.stages[0].instructions.reduce(0) {
        guard case .launch(let call, _, _) = $1, program.calls[call].operation == .reduceScatter
        else { return $0 }
        return $0 + program.calls[call].duration.seconds
      }
    }
    let copies = try reductions(true) - reductions(false)
    #expect(abs(copies / 7.09e-3 - 1) < 0.01)
  }

  @Test(
    "keeping parameters on the host as well never makes a step shorter",
    arguments: [Framework.deepspeed, .generic, .torchtitan], [1, 4])
  func both(framework: Framework, microbatches: Int) throws {
    func seconds(_ parameters: Bool) throws -> Double {
      var layout = Parallelism(data: 2, zero: 3)
      layout.offloadsParameters = parameters
      layout.offloadsOptimizer = true
      let job = try SmallJobs.job(layout, microbatches: microbatches, framework: framework)
      return try FoldedSimulation.run(StepCompiler.compile(job)).duration.seconds
    }
    #expect(try seconds(true) >= seconds(false))
  }

  @Test("ZeRO-2 and 3 leave no gradients on a device whose host updates, but those not reduced yet")
  func gradients() throws {
    for zero in [2, 3] {
      var layout = Parallelism(data: 2, zero: zero)
      layout.offloadsOptimizer = true
      let program = StepCompiler.compile(
        try SmallJobs.job(layout, model: SmallJobs.model(layers: 2), framework: .deepspeed))
      let stage = program.stages[0]
      #expect(stage.resident[MemoryCategory.gradients.rawValue] == 0)
      // 12 bytes of states and 2 of gradient a parameter.
      #expect(stage.hostBytes.count == 14 * 45_353_472)
      let most = try #require(
        stage.instructions.compactMap { instruction -> Int64? in
          guard case .memory(.gradients, let bytes) = instruction else { return nil }
          return bytes
        }.max())
      // The table's and the head's, 32,000 × 1,024, are the largest at once; the head has a norm too.
      #expect(most == 2 * (32_000 * 1_024 + 1_024))
    }
  }

  @Test("a copy over the host link takes no multiprocessors: kernels lose as much as without it")
  func copyBesideKernels() throws {
    var layout = Parallelism(data: 2, zero: 3)
    func gather() throws -> CollectiveCall {
      let program = StepCompiler.compile(try SmallJobs.job(layout, framework: .deepspeed))
      let gathers = program.calls.filter { $0.operation == .allGather && $0.category == .data }
      return try #require(gathers.max { $0.bytes < $1.bytes })
    }
    let plain = try gather()
    layout.offloadsParameters = true
    layout.offloadsOptimizer = true
    let copied = try gather()
    #expect(plain.bytes == copied.bytes && copied.duration > plain.duration)
    let lost = plain.interference * plain.duration.seconds
    #expect(lost > 0)
    #expect(abs(copied.interference * copied.duration.seconds / lost - 1) < 1e-9)
  }

  private func sharded(_ parameters: Bool, _ optimizer: Bool, _ framework: Framework) throws
    -> StepProgram
  {
    var layout = Parallelism(data: 2, zero: 3)
    layout.offloadsParameters = parameters
    layout.offloadsOptimizer = optimizer
    return StepCompiler.compile(
      try SmallJobs.job(
        layout, model: SmallJobs.model(layers: 2), microbatches: 1, framework: framework))
  }

  @Test("parameters wait in the host's memory, gradients too where it updates")
  func shards() throws {
    let count: Int64 = 45_353_472
    func held(_ program: StepProgram, _ category: MemoryCategory) -> Int64 {
      program.stages[0].resident[category.rawValue]
    }
    // ZeRO-Infinity: two bytes a parameter on the host, gradients and states on the device.
    let infinity = try sharded(true, false, .deepspeed)
    #expect(infinity.stages[0].hostBytes.count == 2 * count)
    #expect(held(infinity, .parameters) == 0)
    #expect(held(infinity, .gradients) > 0 && held(infinity, .optimizer) == 12 * count)
    // FSDP2: parameters in fp32, moments of 8 bytes, gradients in fp32.
    let fsdp = try sharded(true, true, .torchtitan)
    #expect(fsdp.stages[0].hostBytes.count == (4 + 8 + 4) * count)
    #expect(held(fsdp, .parameters) + held(fsdp, .gradients) + held(fsdp, .optimizer) == 0)
  }

  @Test("experts that a rank shares with nobody cross the host link beside the dense part")
  func loneExperts() throws {
    func program(_ offloads: Bool) throws -> StepProgram {
      var layout = Parallelism(expert: 2, expertTensor: 1, data: 2, zero: 3)
      layout.offloadsParameters = offloads
      layout.offloadsOptimizer = offloads
      return StepCompiler.compile(
        try SmallJobs.job(
          layout, model: SmallJobs.model(layers: 2, experts: 2), microbatches: 1,
          framework: .torchtitan))
    }
    let plain = try program(false)
    let offloaded = try program(true)
    func more(_ operation: CollectiveOperation) -> Set<Int64> {
      let durations = [offloaded, plain].map { program in
        program.calls.filter { $0.axis == .shard && $0.operation == operation }.map {
          $0.duration.picoseconds
        }
      }
      return Set(zip(durations[0], durations[1]).map { $0 - $1 })
    }
    // Half of attention's 4 × 1,024² weights, two norms of 1,024 and the router's 2 × 1,024; all of the
    // rank's one expert of 2 × 1,024 × 2,048: 6 293 504 values of 4 bytes over 25.6 GB/s are 983.36 µs,
    // both for a gather and for a reduced gradient.
    #expect(more(.allGather).contains { abs($0 - 983_360_000) < 200_000 })
    #expect(more(.reduceScatter).contains { abs($0 - 983_360_000) < 200_000 })
    #expect(!offloaded.calls.contains { $0.axis == .expertShard })
    // What waits on the host is not there for nothing.
    #expect(try FoldedSimulation.run(offloaded).duration > FoldedSimulation.run(plain).duration)
  }

  @Test("a backward pass that gathers from the device's second copy leaves the host link alone")
  func secondCopy() throws {
    func durations(_ offloads: Bool, _ axis: CommunicationAxis) throws -> [Int64] {
      var layout = Parallelism(data: 4, zero: 3)
      layout.offloadsParameters = offloads
      layout.sharding.secondaryGroup = 2
      let program = StepCompiler.compile(
        try SmallJobs.job(
          layout, model: SmallJobs.model(layers: 2), microbatches: 1, framework: .generic))
      return program.calls.filter { $0.axis == axis && $0.operation == .allGather }.map {
        $0.duration.picoseconds
      }
    }
    let plain = try durations(false, .secondary)
    #expect(!plain.isEmpty)
    #expect(try durations(true, .secondary) == plain)
    // The forward pass's: a quarter of 12 × 1,024² + 2 × 1,024 values of two bytes: 245.8 µs.
    let more = zip(try durations(true, .shard), try durations(false, .shard)).map { $0 - $1 }
    #expect(more.contains { abs($0 - 245_800_000) < 100_000 })
  }

  @Test("gathers wait for the host link: a shard for the forward and one for the backward")
  func gathers() throws {
    func data(_ parameters: Bool) throws -> [Int64] {
      try sharded(parameters, false, .deepspeed).calls.filter { $0.operation == .allGather }.map {
        $0.duration.picoseconds
      }
    }
    // A layer of 12 × 1,024² weights and two norms of 1,024, half of it, 2 bytes over 25.6 GB/s of
    // PCIe 4: (12 582 912 + 2 048) / 25.6e9 = 491.6 µs.
    let plain = try data(false)
    let offloaded = try data(true)
    #expect(plain.count == offloaded.count)
    let more = zip(offloaded, plain).map { $0 - $1 }
    #expect(more.contains { abs($0 - 491_600_000) < 100_000 })
    #expect(more.allSatisfy { $0 > 0 })
    // The same on every rank, message by message.
    let program = try sharded(true, true, .torchtitan)
    let folded = try FoldedSimulation.run(program).duration.seconds
    let full = try SmallJobs.full(program).duration.seconds
    #expect(abs(full / folded - 1) < 0.001)
  }

  @Test(
    "activations of offloaded layers wait on the host; their copies show where the link is slow")
  func activations() throws {
    func program(_ recompute: Recompute) throws -> StepProgram {
      StepCompiler.compile(
        try SmallJobs.job(
          Parallelism(data: 8, zero: 3), microbatches: 1, recompute: recompute, framework: .nemo))
    }
    let kept = try program(.none)
    let away = try program(.offloadLayers(8))
    let half = try program(.offloadLayers(4))
    let bytes = away.stages[0].hostBytes.count
    #expect(kept.stages[0].hostBytes == .zero)
    #expect(bytes > 0)
    #expect(half.stages[0].hostBytes.count == bytes / 2)
    let before = try FoldedSimulation.run(kept)
    let after = try FoldedSimulation.run(away)
    // Of eight layers at most two, the one that moves and the next, are on the device.
    let saving = before.ranks[0].peak.count - after.ranks[0].peak.count
    #expect(saving >= bytes / 8 * 5)
    // An A100's PCIe 4 takes 1.25 / 32 ns a byte, each way, more than a layer's kernels.
    let copies = 2 * Double(bytes) * 1.25 / 32e9
    #expect(after.duration.seconds >= copies)
    #expect(after.duration > before.duration)
  }

  @Test("what NeMo's recipes move to a Grace's memory, a PCIe host leaves to be recomputed")
  func automaticActivations() throws {
    func decided(_ gpu: String) throws -> Recompute {
      var job = try SmallJobs.job(
        Parallelism(data: 8, zero: 3), microbatches: 1, recompute: .passes, framework: .nemo)
      let part = try #require(GPU.named(gpu))
      job.cluster.gpu = part
      let peak = try #require(
        try FoldedSimulation.run(StepCompiler.compile(job)).ranks.map(\.device).max())
      job.cluster.gpu.memory = peak - Bytes(1)
      job.training.recompute = .auto
      return try StepProgram.compile(deciding: job).job.training.recompute
    }
    guard case .offloadLayers = try decided("gb200") else {
      Issue.record("a GB200 recomputes")
      return
    }
    switch try decided("h100-sxm-80gb") {
    case .full, .fullLayers: break
    default: Issue.record("an H100 does not recompute")
    }
  }

  @Test("latent attention makes queries, keys and values again before anything else is")
  func automaticLatent() throws {
    func decided(_ framework: Framework) throws -> Recompute {
      let model = try #require(Architecture.named("deepseek-v3"))
      var job = try SmallJobs.job(
        Parallelism(pipeline: 8, data: 8), model: model, recompute: .none, framework: framework)
      job.parallelism.expert = 8
      let peak = try #require(
        try FoldedSimulation.run(StepCompiler.compile(job)).ranks.map(\.device).max())
      job.cluster.gpu.memory = peak - Bytes(1)
      job.training.recompute = .auto
      return try StepProgram.compile(deciding: job).job.training.recompute
    }
    #expect(try decided(.megatronCore) == .modules(.latentUpProjection))
    // DeepSpeed has no such module.
    #expect(try decided(.deepspeed) == .passes)
  }
}
