import Collectives
import Hardware
import Layout
import MessagePassing
import Quantities
import StepProgram
import Testing

@testable import StepSimulation

@Suite("Every message over shared links")
struct SharedLinksTests {
  /// `nodes` nodes of 8 A100 at 25 GB/s a card.
  private static func cluster(
    nodes: Int, topology: Topology = .railFatTree, oversubscription: Double = 1,
    _ change: (inout Network) -> Void
  ) throws -> Cluster {
    var cluster = try SmallJobs.cluster(gpus: 8 * nodes)
    cluster.topology = topology
    cluster.oversubscription = oversubscription
    change(&cluster.network)
    return cluster
  }

  private static func collective(
    _ operation: CollectiveOperation, bytes: Int64 = 64 << 20,
    algorithm: CollectiveAlgorithm? = nil,
    perNode: Int = 8, on cluster: Cluster, processes: Int = 1
  ) throws -> Int64 {
    let groups = 8 / perNode
    let plan = CollectiveModel(cluster: cluster.unblocked).plan(
      operation, bytes: bytes,
      placement: GroupPlacement(
        ranks: cluster.gpuCount / groups, ranksPerNode: perNode, groupsPerNode: groups),
      algorithm: algorithm)
    let program = try #require(StepProgram.collective(plan, groups: groups, on: cluster))
    return try SmallJobs.full(program, processes: processes).duration.picoseconds
  }

  @Test(
    "alone on the network a collective takes its closed form",
    arguments: CollectiveAlgorithm.allCases, [1, 2, 4, 8])
  func idle(algorithm: CollectiveAlgorithm, perNode: Int) throws {
    let shared = try Self.cluster(nodes: 4) { $0.sharing = .shared }
    let operation: CollectiveOperation = algorithm == .direct ? .allToAll : .allReduce
    for bytes: Int64 in [4_096, 3_000_000, 256 << 20] {
      let plan = CollectiveModel(cluster: shared).plan(
        operation, bytes: bytes,
        placement: GroupPlacement(
          ranks: 4 * perNode, ranksPerNode: perNode, groupsPerNode: 8 / perNode),
        algorithm: algorithm)
      let took = try Self.collective(
        operation, bytes: bytes, algorithm: algorithm, perNode: perNode, on: shared)
      #expect(took == plan.duration.picoseconds)
    }
  }

  @Test(
    "operations not all members wait in take their closed form too",
    arguments: [CollectiveOperation.broadcast, .reduce, .gather, .sendReceive], [1, 8])
  func oneSided(operation: CollectiveOperation, perNode: Int) throws {
    for sharing in LinkSharing.allCases {
      let cluster = try Self.cluster(nodes: 4) { $0.sharing = sharing }
      let plan = CollectiveModel(cluster: cluster).plan(
        operation, bytes: 5_000_000,
        placement: GroupPlacement(
          ranks: 4 * perNode, ranksPerNode: perNode, groupsPerNode: 8 / perNode))
      let took = try Self.collective(operation, bytes: 5_000_000, perNode: perNode, on: cluster)
      #expect(took == plan.duration.picoseconds)
    }
  }

  @Test("incast: a gather takes as long as all its parts one after the other at one card")
  func incast() throws {
    // 16 nodes, one rank in each: 15 parts of 64 MiB at 0.95 × 25 GB/s, 42.4 ms.
    let cluster = try Self.cluster(nodes: 16) { $0.sharing = .shared }
    let took = try Self.collective(.gather, bytes: 16 << 26, perNode: 1, on: cluster)
    let bytes = 15 * 67_108_864 / (0.95 * 25e9)
    #expect(abs(Double(took) * 1e-12 / bytes - 1) < 0.01)
  }

  /// Whether sends between stages, or tokens on their way to experts, meet gradients on a card.
  private static func mixes(_ example: FidelityCase) -> Bool {
    example.parallelism.pipeline > 1 || example.parallelism.expert > 2
  }

  @Test(
    "steps whose traffic never meets are as with links of their own",
    arguments: FidelityCase.all.filter { !Self.mixes($0) })
  func steps(_ example: FidelityCase) throws {
    var program = try example.program()
    let folded = try FoldedSimulation.run(program)
    program.job.cluster.network.sharing = .shared
    let full = try SmallJobs.full(program)
    #expect(full.duration == folded.duration)
    #expect(full.ranks.map(\.spent) == folded.ranks.map(\.spent))
  }

  @Test(
    "sharing never speeds a step up, and any number of processes agrees",
    arguments: FidelityCase.all.filter(Self.mixes))
  func pipelines(_ example: FidelityCase) throws {
    var program = try example.program()
    let folded = try FoldedSimulation.run(program)
    program.job.cluster.network.sharing = .shared
    let full = try SmallJobs.full(program)
    #expect(full.duration >= folded.duration)
    for processes in [2, 3] {
      let others = try SmallJobs.full(program, processes: processes)
      #expect(others.duration == full.duration)
      #expect(others.ranks.map(\.spent) == full.ranks.map(\.spent))
      // Members of a group in a node tell each other at once; divided nodes need words for it.
      guard processes <= example.parallelism.gpuCount / example.perNode else { continue }
      #expect(others.statistics.events == full.statistics.events)
    }
  }

  @Test("a card at half its rate halves a ring over all cards") func slowCard() throws {
    let plain = try Self.cluster(nodes: 4) { $0.sharing = .shared }
    let slow = try Self.cluster(nodes: 4) { $0.slowCards = [.init(gpu: 13, fraction: 0.5)] }
    let (usual, slowed) = (
      try Self.collective(.allReduce, bytes: 1 << 30, algorithm: .ring, on: plain),
      try Self.collective(.allReduce, bytes: 1 << 30, algorithm: .ring, on: slow)
    )
    // The ring's parts on all cards are equal, so the slow one sets the pace: twice the time but
    // for launch and the links inside nodes.
    #expect(Double(slowed) / Double(usual) > 1.7)
    #expect(Double(slowed) / Double(usual) <= 2)
    // Groups of one rank a node: only GPU 13's own group waits, for twice as long.
    let alone = try Self.collective(.allReduce, algorithm: .ring, perNode: 1, on: slow)
    let idle = try Self.collective(.allReduce, algorithm: .ring, perNode: 1, on: plain)
    #expect(Double(alone) / Double(idle) > 1.9)
  }

  @Test("an oversubscribed spine divides what leaves the leaf, and nothing else")
  func oversubscription() throws {
    // Leaves of one node on each rail: with a quarter of the links above, 8 equal rings take four
    // times as long for their bytes.
    func took(_ nodesPerLeaf: Int, _ factor: Double) throws -> Double {
      let cluster = try Self.cluster(nodes: 4, oversubscription: factor) {
        $0.nodesPerLeaf = nodesPerLeaf
        $0.sharing = .shared
      }
      return Double(
        try Self.collective(
          .allReduce, bytes: 1 << 30, algorithm: .ring, perNode: 1, on: cluster))
    }
    let free = try took(1, 1)
    #expect(try took(1, 4) / free > 3.9)
    #expect(try took(1, 4) / free <= 4)
    // Below one leaf switch messages travel 0.56 µs less, 6 times.
    #expect(abs(try took(4, 4) - free) < 4e6 * 1.4)
    // Two nodes a leaf: of two senders one leaves it, and half of the links above are enough.
    #expect(abs(try took(2, 2) - free) < 4e6 * 1.4)
    #expect(try took(2, 4) / free > 1.9)
  }

  @Test("hashed paths collide, tables by destination do not, dead links cost what they carried")
  func routing() throws {
    func took(_ change: (inout Network) -> Void) throws -> Int64 {
      try Self.collective(
        .allToAll, bytes: 256 << 20, perNode: 1,
        on: Self.cluster(nodes: 16, topology: .fatTree) {
          $0.nodesPerLeaf = 2
          $0.sharing = .shared
          change(&$0)
        })
    }
    let spread = try took { _ in }
    #expect(try took { $0.routing = .deterministic } == spread)
    #expect(Double(try took { $0.routing = .ecmp }) > 1.2 * Double(spread))
    // 12 of the 16 links of one leaf: the leaf's 16 cards share 4.
    let broken = try took { $0.failedUplinks = [.init(leaf: 3, count: 12)] }
    #expect(Double(broken) > 2 * Double(spread))
    // Where a card is dead, two GPUs share one.
    let dead = try took { $0.failedCards = [13] }
    #expect(Double(dead) / Double(spread) > 1.6)
  }

  @Test("traffic of two kinds on one card slows both") func kinds() throws {
    // Two all-reduces of the same ranks at the same time, one on each stream, each over the cards
    // of all ranks: together they take as long as one after the other, less what is not bytes.
    let shared = try Self.cluster(nodes: 4) { $0.sharing = .shared }
    let plan = CollectiveModel(cluster: shared).plan(
      .allReduce, bytes: 1 << 30,
      placement: GroupPlacement(ranks: 32, ranksPerNode: 8, groupsPerNode: 1), algorithm: .ring)
    var program = try #require(StepProgram.collective(plan, on: shared))
    program.calls.append(program.calls[0])
    program.stages[0].instructions.insert(.meet(call: 1, first: 0, last: 0), at: 1)
    let both = try SmallJobs.full(program).duration.picoseconds
    let one = plan.duration.picoseconds
    #expect(both > 17 * one / 10)
    #expect(both <= 2 * one)
    program.job.cluster.network.sharing = .separate
    #expect(try SmallJobs.full(program).duration.picoseconds == one)
  }

  @Test("how long a request lags is told exactly up to 2.2 s, and to 4.2 µs beyond")
  func ages() {
    for age: Int64 in [0, 1, 999_999_999_999, 1 << 41 - 1] {
      #expect(FullSimulationModel.age(ofCode: FullSimulationModel.code(ofAge: age)) == age)
    }
    // An hour, 3.6e15 ps: 2^22 ps are 4.2 µs.
    let hour: Int64 = 3_600_000_000_000_000
    let told = FullSimulationModel.age(ofCode: FullSimulationModel.code(ofAge: hour))
    #expect(told <= hour && hour - told < 1 << 22)
  }
}
