import Collectives
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram
@testable import StepSimulation

/// FSDP, DDP and ZeRO++ on a model of 8 layers: 10 units with embedding and head.
@Suite("How sharded states travel") struct ShardingOptionTests {
  private func program(
    _ layout: Parallelism, microbatches: Int = 3,
    _ options: (inout ShardingOptions) -> Void = { _ in }
  ) throws -> StepProgram {
    var layout = layout
    options(&layout.sharding)
    return StepCompiler.compile(
      try SmallJobs.job(layout, microbatches: microbatches, perNode: 4, framework: .torchtitan))
  }

  /// Collectives of an operation on an axis that stage 0 launches.
  private func launched(
    _ operation: CollectiveOperation, _ axis: CommunicationAxis, in program: StepProgram
  ) -> [CollectiveCall] {
    program.stages[0].instructions.compactMap { instruction in
      guard case .launch(let call, _, _) = instruction else { return nil }
      let found = program.calls[call]
      return found.axis == axis && found.operation == operation ? found : nil
    }
  }

  private static let sharded = Parallelism(data: 8, zero: 3)

  @Test("resharding gathers twice a microbatch, keeping once") func reshard() throws {
    // 3 microbatches: 10 units forward and 9 backward (the last is still there).
    let usual = try program(Self.sharded)
    #expect(launched(.allGather, .shard, in: usual).count == 3 * (10 + 9))
    #expect(launched(.reduceScatter, .shard, in: usual).count == 3 * 10)
    let kept = try program(Self.sharded) { $0.reshardsAfterForward = false }
    #expect(launched(.allGather, .shard, in: kept).count == 3 * 10)
    #expect(launched(.reduceScatter, .shard, in: kept).count == 3 * 10)
    // Kept parameters are all there at once.
    let memory = try [usual, kept].map { try FoldedSimulation.run($0).ranks[0].peak }
    #expect(memory[1] > memory[0])
  }

  @Test("DeepSpeed all-reduces the gradients of ZeRO 1 and 2, each rank keeps its part")
  func deepSpeedReduction() throws {
    for zero in 1...3 {
      let program = StepCompiler.compile(
        try SmallJobs.job(
          Parallelism(data: 8, zero: zero), microbatches: 3, perNode: 4, framework: .deepspeed))
      let whole = launched(.allReduce, .shard, in: program).count
      let scattered = launched(.reduceScatter, .shard, in: program).count
      #expect((whole > 0) == (zero < 3) && (scattered > 0) == (zero == 3))
    }
  }

  @Test("without reduction after each microbatch there is one, and gradients stay whole")
  func noSync() throws {
    let usual = try program(Self.sharded)
    let held = try program(Self.sharded) { $0.reducesEachMicrobatch = false }
    #expect(launched(.reduceScatter, .shard, in: held).count == 10)
    let memory = try [usual, held].map { try FoldedSimulation.run($0).ranks[0].peak }
    #expect(memory[1] > memory[0])
    // Replicated gradients: in buckets once, or after every microbatch.
    let replicated = Parallelism(data: 8, zero: 0)
    let once = launched(.allReduce, .data, in: try program(replicated)).count
    let each = try program(replicated) { $0.reducesEachMicrobatch = true }
    #expect(once > 0)
    #expect(launched(.allReduce, .data, in: each).count == 3 * once)
  }

  @Test("a bucket holds as many parameters as said") func buckets() throws {
    // A layer of hidden 1,024: 4 × 1,024² + 2 × 4 × 1,024² + norms: over 12 million parameters. In
    // buckets of 1 every unit is one.
    let replicated = Parallelism(data: 8, zero: 0)
    let small = try program(replicated) { $0.bucketParameters = 1 }
    #expect(launched(.allReduce, .data, in: small).count == 10)
    let large = try program(replicated) { $0.bucketParameters = 1_000_000_000 }
    #expect(launched(.allReduce, .data, in: large).count == 1)
  }

  @Test("ZeRO++: int8 parameters, int4 gradients, backward from a second copy") func zeroPlusPlus()
    throws
  {
    let plain = try program(Self.sharded)
    let quick = try program(Self.sharded) {
      $0.quantizesWeights = true
      $0.quantizesGradients = true
      $0.secondaryGroup = 4
    }
    // Forward over 8 ranks, backward over 4: 3 × 10 and 3 × 9.
    let forward = launched(.allGather, .shard, in: quick)
    let backward = launched(.allGather, .secondary, in: quick)
    #expect(forward.count == 3 * 10)
    #expect(backward.count == 3 * 9)
    #expect(backward.allSatisfy { $0.placement.ranks == 4 && $0.placement.nodes == 1 })
    // One byte a value instead of two; half a byte instead of the four torchtitan reduces in.
    let bytes = { (calls: [CollectiveCall]) in calls.reduce(0) { $0 + $1.bytes } }
    let allForward = bytes(Array(launched(.allGather, .shard, in: plain).prefix(10)))
    #expect(2 * bytes(Array(forward.prefix(10))) == allForward)
    #expect(
      8 * bytes(launched(.reduceScatter, .shard, in: quick))
        == bytes(launched(.reduceScatter, .shard, in: plain)))
    // A quarter of the parameters in bf16 more.
    let resident = [plain, quick].map { $0.stages[0].resident[MemoryCategory.parameters.rawValue] }
    #expect(resident[1] - resident[0] == allForward / 4)
  }

  @Test("hybrid shards reach the experts") func expertShards() throws {
    // 4 experts over 2 ranks, so 4 ranks hold the same; shards of 4 of the 8 data ranks make 2 copies, of
    // experts as well, 2 ranks each.
    var layout = Parallelism(expert: 2, expertTensor: 1, data: 8, shardGroup: 4, zero: 3)
    let job = try SmallJobs.job(
      layout, model: SmallJobs.model(experts: 4), perNode: 4, framework: .torchtitan)
    let hybrid = StepCompiler.compile(job)
    #expect(launched(.allGather, .expertShard, in: hybrid).allSatisfy { $0.placement.ranks == 2 })
    let scattered = launched(.reduceScatter, .expertShard, in: hybrid)
    let summed = launched(.allReduce, .expertReplica, in: hybrid)
    #expect(!scattered.isEmpty && scattered.count == summed.count)
    // What is summed over copies is a shard: half of what was scattered.
    #expect(scattered.map { $0.bytes / 2 } == summed.map(\.bytes))
    layout.shardGroup = nil
    let whole = StepCompiler.compile(
      try SmallJobs.job(
        layout, model: SmallJobs.model(experts: 4), perNode: 4, framework: .torchtitan))
    #expect(launched(.allReduce, .expertReplica, in: whole).isEmpty)
    #expect(launched(.allGather, .expertShard, in: whole).allSatisfy { $0.placement.ranks == 4 })
  }
}
