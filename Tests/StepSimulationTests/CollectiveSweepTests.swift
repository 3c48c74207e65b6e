import Collectives
import Hardware
import Layout
import MessagePassing
import Quantities
import StepProgram
import Testing

@testable import StepSimulation

/// A collective to run message by message.
struct SweepCase: CustomTestStringConvertible {
  var operation: CollectiveOperation
  var algorithm: CollectiveAlgorithm
  var nodes: Int
  var perNode: Int
  var testDescription: String { "\(operation) \(algorithm) \(nodes) × \(perNode)" }

  func plan(bytes: Int64) throws -> CollectivePlan {
    CollectiveModel(cluster: try SmallJobs.cluster(gpus: nodes * perNode, perNode: perNode)).plan(
      operation, bytes: bytes,
      placement: GroupPlacement(ranks: nodes * perNode, ranksPerNode: perNode, groupsPerNode: 1),
      algorithm: algorithm)
  }

  /// Every operation with every algorithm, where it falls back to another one that one.
  static let all: [SweepCase] = CollectiveOperation.allCases.flatMap { operation in
    CollectiveAlgorithm.allCases.flatMap { algorithm in
      [(1, 8), (2, 4), (3, 8), (4, 1), (16, 2)].map {
        SweepCase(operation: operation, algorithm: algorithm, nodes: $0.0, perNode: $0.1)
      }
    }
  }
}

@Suite("All messages of a collective without a queue")
struct CollectiveSweepTests {
  @Test("members that come together end after the closed form", arguments: SweepCase.all)
  func together(_ example: SweepCase) throws {
    for bytes: Int64 in [1, 1_000_003, 1 << 28] {
      let plan = try example.plan(bytes: bytes)
      let sweep = try #require(FullSimulationSweep(plan))
      #expect(sweep.end == plan.duration.picoseconds)
      #expect(sweep.messages > 0)
    }
  }

  @Test(
    "no message is later than if all had come with the last member", arguments: SweepCase.all,
    [UInt64(1), 2, 3])
  func staggered(_ example: SweepCase, seed: UInt64) throws {
    var random = SeededGenerator(state: seed)
    let plan = try example.plan(bytes: 1_000_003)
    let together = try #require(FullSimulationSweep(plan))
    for _ in 0..<8 {
      let spread = Int64.random(in: 1...2 * plan.duration.picoseconds, using: &random)
      let starts = (0..<plan.ranks).map { _ in Int64.random(in: 0...spread, using: &random) }
      let sweep = try #require(FullSimulationSweep(plan, starts: starts))
      // This is why a collective ends a fixed time after its last member came, whoever was early.
      #expect(sweep.end <= (starts.max() ?? 0) + plan.duration.picoseconds)
      #expect(sweep.end >= (starts.min() ?? 0) + plan.duration.picoseconds)
      #expect(sweep.messages == together.messages)
    }
  }

  @Test(
    "switches that add: members that come together end after the closed form, step by step or by events",
    arguments: [(2, 8), (3, 8), (5, 6), (4, 1), (16, 8)])
  func switches(nodes: Int, perNode: Int) throws {
    let gpu = try #require(GPU.named("h100-sxm-80gb"))
    var cluster = Cluster(
      gpu: gpu, gpuCount: nodes * perNode, gpusPerNode: perNode, intraNode: gpu.scaleUp,
      interNode: gpu.scaleOut)
    cluster.network.sharp = true
    for algorithm in [CollectiveAlgorithm.nvlsTree, .inNetwork, .collNetDirect, .collNetChain] {
      if perNode == 1, [.nvlsTree, .inNetwork].contains(algorithm) { continue }
      for bytes: Int64 in [1_003, 1 << 26] {
        let plan = CollectiveModel(cluster: cluster).plan(
          .allReduce, bytes: bytes,
          placement: GroupPlacement(
            ranks: nodes * perNode, ranksPerNode: perNode, groupsPerNode: 1), algorithm: algorithm)
        #expect(plan.algorithm == algorithm)
        let sweep = try #require(FullSimulationSweep(plan))
        #expect(sweep.end == plan.duration.picoseconds)
        // Between nodes 2 (N − 1) pieces a member, inside as many chunks to r − 1 others twice; of trees 2
        // to and from each node but the roots.
        let inside = nodes * perNode * (perNode - 1) * 2
        let chunks = plan.stepCount(lane: plan.laneCount - 1)
        let expected =
          algorithm == .nvlsTree
          ? chunks * (2 * inside + 4 * (nodes - 1) * perNode)
          : nodes * inside + nodes * perNode * 2 * (nodes - 1)
        #expect(sweep.messages == expected)
        var program = try #require(StepProgram.collective(plan, on: cluster))
        program.stages[0].instructions.append(.synchronizeHost)
        let result = try SmallJobs.full(program)
        #expect(result.duration == plan.duration)
        #expect(result.statistics.messages == sweep.messages)
      }
    }
  }

  @Test("messages are counted")
  func counts() throws {
    func messages(_ algorithm: CollectiveAlgorithm) throws -> Int {
      let example = SweepCase(operation: .allReduce, algorithm: algorithm, nodes: 3, perNode: 8)
      let plan = try example.plan(bytes: 1 << 20)
      return try #require(FullSimulationSweep(plan)).messages
    }
    // Ring: 2 × 23 of each of 24; two tiers: 2 × 7 inside, 2 × 2 between nodes.
    #expect(try messages(.ring) == 24 * 46)
    #expect(try messages(.hierarchical) == 24 * 18)
    // Trees: 23 links in each of two, up and down, all chunks of half of 1 MiB.
    let chunks = try SweepCase(
      operation: .allReduce, algorithm: .doubleBinaryTree, nodes: 3, perNode: 8
    ).plan(bytes: 1 << 20).stepCount(lane: 0)
    #expect(try messages(.doubleBinaryTree) == 2 * 2 * 23 * chunks)
  }

  @Test("a chain of two and a half chunks by hand")
  func chain() throws {
    // Three nodes of one rank: chunks go from 0 to 1 to 2, one behind the other.
    let plan = try SweepCase(operation: .broadcast, algorithm: .ring, nodes: 3, perNode: 1)
      .plan(bytes: 1 << 28)
    let chunks = plan.stepCount(lane: 0)
    let occupancy = plan.interNode.occupancy(plan.blockBytes).picoseconds
    let latency = plan.interNode.latency.picoseconds
    let late: Int64 = 5_000_000_000
    // Rank 1 comes 5 ms after the others: what has come by then goes on at its pace from there.
    let sweep = try #require(FullSimulationSweep(plan, launch: 0, starts: [0, late, 0]))
    #expect(sweep.arrived[1] == Int64(chunks) * occupancy + latency)
    let first = max(late, occupancy + latency)
    let last = max(first + Int64(chunks - 1) * occupancy, sweep.arrived[1])
    #expect(sweep.arrived[2] == last + occupancy + latency)
  }

  @Test("a collective in a program ends when alone: by its last member, all messages counted")
  func inProgram() throws {
    for algorithm in [CollectiveAlgorithm.ring, .doubleBinaryTree, .hierarchical] {
      let example = SweepCase(operation: .allReduce, algorithm: algorithm, nodes: 3, perNode: 8)
      let plan = try example.plan(bytes: 1_000_003)
      var program = try #require(
        StepProgram.collective(plan, on: try SmallJobs.cluster(gpus: 24)))
      // A program of nothing else would be swept without ranks.
      program.stages[0].instructions.append(.synchronizeHost)
      let result = try SmallJobs.full(program)
      #expect(result.duration == plan.duration)
      #expect(result.statistics.messages == FullSimulationSweep(plan)?.messages)
      // One to begin, one to say that it has come, one that all have.
      #expect(result.statistics.events == 3 * 24)
    }
  }
}
