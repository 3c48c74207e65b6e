import Collectives
import Hardware
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram
@testable import StepSimulation

/// What holds of any layout's step program.
@Suite("Invariants of layouts") struct LayoutInvariantTests {
  /// A layout at random, its options as well.
  static func job(seed: UInt64) throws -> TrainingJob {
    var random = SeededGenerator(state: seed)
    let pipeline = [1, 2, 4].randomElement(using: &random) ?? 1
    let schedules: [PipelineSchedule] = [
      .gpipe, .oneForwardOneBackward, .interleaved, .zeroBubble, .dualPipe, .bidirectional,
    ]
    let schedule = schedules.randomElement(using: &random) ?? .gpipe
    let hasExperts = Bool.random(using: &random)
    let tensor = [1, 2].randomElement(using: &random) ?? 1
    var layout = Parallelism(
      tensor: tensor, sequence: Bool.random(using: &random), pipeline: pipeline,
      virtualStages: schedule == .interleaved && pipeline > 1 ? 2 : 1, schedule: schedule,
      context: [1, 2].randomElement(using: &random) ?? 1,
      contextStyle: ContextStyle.allCases.randomElement(using: &random) ?? .ring,
      expert: hasExperts ? 2 : 1, expertTensor: hasExperts ? 1 : nil,
      data: [2, 4].randomElement(using: &random) ?? 2,
      shardGroup: Bool.random(using: &random) ? 2 : nil,
      zero: Int.random(in: 0...(schedule == .bidirectional ? 1 : 3), using: &random),
      overlaps: Bool.random(using: &random))
    let isUneven = schedule == .oneForwardOneBackward && Bool.random(using: &random)
    if isUneven, pipeline == 4 { layout.stageLayers = [1, 3, 3, 1] }
    layout.sharding.reducesEachMicrobatch = [nil, true, false].randomElement(using: &random) ?? nil
    layout.sharding.reshardsAfterForward = [nil, true, false].randomElement(using: &random) ?? nil
    layout.sharding.bucketParameters = [nil, 1, 20_000_000].randomElement(using: &random) ?? nil
    if layout.zero == 3 {
      layout.sharding.secondaryGroup = Bool.random(using: &random) ? 2 : nil
      layout.sharding.quantizesWeights = Bool.random(using: &random)
    }
    return try SmallJobs.job(
      layout,
      model: SmallJobs.model(tied: Bool.random(using: &random), experts: hasExperts ? 4 : 0),
      microbatches: 2 * pipeline, perNode: 4,
      framework: [Framework.generic, .torchtitan, .megatronLM].randomElement(using: &random)
        ?? .generic)
  }

  @Test("what a stage sends in a lane another receives, once", arguments: UInt64(0)..<40)
  func sendsAreReceived(seed: UInt64) throws {
    let program = StepCompiler.compile(try Self.job(seed: seed))
    var sent: [[Int]] = []
    var received: [[Int]] = []
    for stage in program.stages {
      for instruction in stage.instructions {
        switch instruction {
        case .send(let lane, let microbatch, _, _, _): sent.append([lane, microbatch])
        case .receive(let lane, let microbatch): received.append([lane, microbatch])
        default: break
        }
      }
    }
    let order = { (a: [Int], b: [Int]) in (a[0], a[1]) < (b[0], b[1]) }
    #expect(sent.sorted(by: order) == received.sorted(by: order))
    #expect(Set(sent).count == sent.count)
  }

  @Test(
    "every gradient is reduced over exactly its replicas, once a step or a microbatch",
    arguments: UInt64(0)..<40)
  func reducedOnce(seed: UInt64) throws {
    let job = try Self.job(seed: seed)
    let program = StepCompiler.compile(job)
    let states = StepCompiler(job: job).states
    let layout = job.parallelism
    let replicas = layout.data * layout.context
    let expertReplicas = RankGrid(layout).expertData
    for stage in program.stages {
      var dense: Int64 = 0
      var expert: Int64 = 0
      for case .launch(let index, _, _) in stage.instructions {
        let call = program.calls[index]
        switch (call.operation, call.axis) {
        case (.allReduce, .data), (.reduceScatter, .shard): dense += call.bytes
        case (.allReduce, .expertData), (.reduceScatter, .expertShard): expert += call.bytes
        default: continue
        }
        // The group that sums, with the copies of its shards, is all replicas.
        let copies =
          call.axis == .shard
          ? replicas / states.shardDegree
          : call.axis == .expertShard ? expertReplicas / states.expertShardDegree : 1
        let isExpert = call.axis == .expertShard || call.axis == .expertData
        #expect(call.placement.ranks * copies == (isExpert ? expertReplicas : replicas))
      }
      let local = states.parameters(ofStage: stage.stage)
      // A whole number of times: once, or with every microbatch.
      let times = Int64(layout.zero == 0 && replicas == 1 ? 0 : 1)
      let value = states.reduceBytes
      let most = Int64(job.microbatchCount)
      let denseOnce = Int64(local.dense) * value
      if replicas / max(1, layout.zero > 0 ? replicas / states.shardDegree : 1) > 1 {
        #expect([times * denseOnce, most * denseOnce].contains(dense), "\(layout)")
      }
      if expertReplicas > 1, states.expertShardDegree > 1 || layout.zero == 0 {
        let expertOnce = Int64(local.expert) * value
        #expect([expertOnce, most * expertOnce].contains(expert), "\(layout)")
      }
    }
  }

  @Test("both fidelities agree, and all memory is given back", arguments: UInt64(0)..<30)
  func fidelities(seed: UInt64) throws {
    let program = StepCompiler.compile(try Self.job(seed: seed))
    // Both audit that what was allocated is freed and that no category falls below nothing.
    let folded = try FoldedSimulation.run(program)
    let full = try SmallJobs.full(program)
    #expect(full.duration == folded.duration, "\(program.job.parallelism)")
    #expect(full.ranks.map(\.peak) == folded.ranks.map(\.peak), "\(program.job.parallelism)")
  }

  @Test("more bandwidth is never slower", arguments: UInt64(0)..<30)
  func bandwidth(seed: UInt64) throws {
    let job = try Self.job(seed: seed)
    // Where links of the node pull ahead, NCCL may choose another algorithm, never a worse one. The
    // order of a V is planned anew, and a plan on quicker passes may come out worse by some per cent.
    let slack = StageAssignment(job.architecture, job.parallelism).placement == .vShape ? 1.05 : 1
    let before = try FoldedSimulation.run(StepCompiler.compile(job)).duration.seconds
    for isInside in [false, true] {
      var faster = job
      if isInside {
        faster.cluster.intraNode.rate = ByteRate(
          bytesPerSecond: 2 * job.cluster.intraNode.rate.bytesPerSecond)
      } else {
        faster.cluster.interNode.rate = ByteRate(
          bytesPerSecond: 2 * job.cluster.interNode.rate.bytesPerSecond)
      }
      let after = try FoldedSimulation.run(StepCompiler.compile(faster)).duration.seconds
      #expect(after <= before * slack, "\(job.parallelism)")
    }
  }
}
