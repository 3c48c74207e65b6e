import Collectives
import Hardware
import Layout
import Quantities
import StepProgram
import Testing

@testable import StepSimulation

/// A machine, and how its messages may share links.
struct SharedMachine: CustomTestStringConvertible, Sendable {
  var gpu: String
  var kind: NodeFabric.Kind
  var gpusPerNode: Int
  var testDescription: String { "\(gpusPerNode) × \(gpu), \(kind.rawValue)" }

  static let all = [
    SharedMachine(gpu: "h100-sxm-80gb", kind: .switched, gpusPerNode: 8),
    SharedMachine(gpu: "gb200", kind: .switched, gpusPerNode: 8),
    SharedMachine(gpu: "a100-sxm-80gb", kind: .mesh, gpusPerNode: 4),
    SharedMachine(gpu: "mi300x", kind: .mesh, gpusPerNode: 8),
    SharedMachine(gpu: "v100-sxm2-32gb", kind: .hybridCube, gpusPerNode: 8),
    SharedMachine(gpu: "l40s", kind: .pcie, gpusPerNode: 8),
  ]

  /// Nodes of it, every link shared.
  func cluster(nodes: Int) throws -> Cluster {
    let gpu = try #require(GPU.named(gpu))
    var node = NodeFabric.usual(of: gpu, gpusPerNode: gpusPerNode)
    node.kind = kind
    node.sharing = .shared
    return Cluster(
      gpu: gpu, gpuCount: nodes * gpusPerNode, gpusPerNode: gpusPerNode, intraNode: gpu.scaleUp,
      interNode: gpu.scaleOut, node: node)
  }
}

@Suite("Links inside nodes, and a group's place in the network")
struct NodeLinksTests {
  /// Time of one collective by `cluster.gpuCount / groups` ranks, message by message, and its plan's.
  private static func run(
    _ operation: CollectiveOperation, bytes: Int64, algorithm: CollectiveAlgorithm? = nil,
    ranksPerNode: Int, groups: Int = 1, on cluster: Cluster, processes: Int = 1
  ) throws -> (full: Int64, folded: Int64, plan: CollectivePlan) {
    let placement = GroupPlacement(
      ranks: cluster.gpuCount / groups, ranksPerNode: ranksPerNode,
      groupsPerNode: min(groups, cluster.gpusPerNode),
      nodeStride: max(1, groups / cluster.gpusPerNode))
    let folded = CollectiveModel(cluster: cluster).plan(
      operation, bytes: bytes, placement: placement, algorithm: algorithm)
    let plan = CollectiveModel(cluster: cluster.unblocked).plan(
      operation, bytes: bytes, placement: placement, algorithm: folded.algorithm)
    let program = try #require(StepProgram.collective(plan, groups: groups, on: cluster))
    let full = try SmallJobs.full(program, processes: processes).duration.picoseconds
    return (full, folded.duration.picoseconds, plan)
  }

  @Test(
    "alone a collective takes its closed form, whatever joins the GPUs",
    arguments: SharedMachine.all, [1, 2])
  func idle(machine: SharedMachine, nodes: Int) throws {
    var cluster = try machine.cluster(nodes: nodes)
    // Between PCIe switches pairs of GPUs meet where the closed form takes none to.
    let operations = CollectiveOperation.allCases.filter {
      machine.kind != .pcie || $0 == .allToAll || !$0.isPairwise
    }
    for sharp in [false, true] {
      cluster.network.sharp = sharp
      for operation in operations {
        for bytes: Int64 in [5_000, 40 << 20] {
          let algorithms: [CollectiveAlgorithm?] =
            operation == .allReduce ? [nil] + CollectiveAlgorithm.allCases : [nil]
          for algorithm in algorithms {
            if machine.kind == .pcie, algorithm == .halvingDoubling { continue }
            let took = try Self.run(
              operation, bytes: bytes, algorithm: algorithm, ranksPerNode: machine.gpusPerNode,
              on: cluster)
            // A message without latency takes a picosecond to be asked for, and one to arrive: of two
            // steps, 4.
            #expect(
              abs(took.full - took.folded) <= (took.plan.intraNode.latency == .zero ? 4 : 0),
              "\(operation) \(took.plan.algorithm) \(bytes) B, SHARP \(sharp)")
          }
        }
      }
    }
  }

  @Test("one GPU's link serves both streams of its rank")
  func streams() throws {
    // Two all-reduces of the same 8 GPUs at once: each has half of every link.
    var cluster = try SharedMachine.all[0].cluster(nodes: 1)
    let plan = CollectiveModel(cluster: cluster).plan(
      .allReduce, bytes: 1 << 30,
      placement: GroupPlacement(ranks: 8, ranksPerNode: 8, groupsPerNode: 1), algorithm: .ring)
    var program = try #require(StepProgram.collective(plan, on: cluster))
    program.calls.append(program.calls[0])
    program.stages[0].instructions.insert(.meet(call: 1, first: 0, last: 0), at: 1)
    let both = try SmallJobs.full(program).duration
    #expect(both.seconds > 1.9 * plan.seconds && both.seconds <= 2 * plan.seconds)
    #expect(try SmallJobs.full(program, processes: 2).duration == both)
    cluster.node.sharing = .separate
    program.job.cluster = cluster
    #expect(try SmallJobs.full(program).duration == plan.duration)
  }

  @Test("GPUs below one PCIe switch do not cross it, others share what does")
  func pcie() throws {
    // Pairs below a switch each have their links: 4 pairs at once take as long as one.
    let cluster = try SharedMachine.all[5].cluster(nodes: 1)
    let one = CollectiveModel(cluster: cluster).plan(
      .allReduce, bytes: 1 << 28,
      placement: GroupPlacement(ranks: 2, ranksPerNode: 2, groupsPerNode: 1), algorithm: .ring)
    let graph = LinkGraph(cluster)
    func ends(_ pairs: [(Int, Int)]) -> [Int64] {
      SharedLinks.ends(
        of: pairs.map { pair in
          var hops: [LinkGraph.Hop] = []
          graph.appendNodeRoute(from: pair.0, to: pair.1, to: &hops)
          return SharedLinks.Message(start: 0, work: 1_000_000, hops: hops)
        }, over: graph.capacities)
    }
    #expect(one.ranks == 2)
    #expect(
      ends([(0, 1), (2, 3), (4, 5), (6, 7)]) == [1_000_000, 1_000_000, 1_000_000, 1_000_000])
    // To the other switch of a processor 8.6 of 32 GB/s pass, to the other processor 3.7: 3.72 and
    // 8.65 times as long, 7.44 with two at once; to a picosecond.
    for (pairs, factor) in [
      ([(0, 2)], 32 / 8.6), ([(0, 4)], 32 / 3.7), ([(0, 2), (1, 3)], 64 / 8.6),
    ] {
      for end in ends(pairs) { #expect(abs(Double(end) - 1_000_000 * factor) <= 1) }
    }
  }

  @Test("two GPUs' cards behind one PCIe link have half of it each")
  func cardLinks() throws {
    // 8 all-reduces over 4 nodes, one a GPU, cards of 25 GB/s. A PCIe link of 25 GB/s for two: half the
    // rate; one of 50 GB/s is no bottleneck.
    func took(_ rate: Double) throws -> (full: Int64, folded: Int64) {
      var cluster = try SmallJobs.cluster(gpus: 32)
      cluster.network.sharing = .shared
      cluster.node.gpusPerCardLink = 2
      cluster.node.cardLinkRate = .gigabytesPerSecond(rate)
      let run = try Self.run(
        .allReduce, bytes: 1 << 30, algorithm: .ring, ranksPerNode: 1, groups: 8, on: cluster)
      return (run.full, run.folded)
    }
    let wide = try took(50)
    let narrow = try took(25)
    #expect(narrow.full == narrow.folded)
    #expect(wide.full == wide.folded)
    let ratio = Double(narrow.full) / Double(wide.full)
    #expect(ratio > 1.98 && ratio <= 2)
  }

  @Test("activations behind a slow PCIe link take what they are priced at, whatever the card")
  func cardLinkOfSends() throws {
    // Two stages on two nodes, a link of 1 GB/s before cards of 25 or 50: the link decides, once.
    func took(_ card: Double) throws -> (full: Double, folded: Double) {
      var job = try SmallJobs.job(Parallelism(pipeline: 2), perNode: 1)
      job.cluster.network.sharing = .shared
      job.cluster.node.cardLinkRate = .gigabytesPerSecond(1)
      job.cluster.interNode.rate = .gigabytesPerSecond(card)
      let program = StepCompiler.compile(job)
      return (
        try SmallJobs.full(program).duration.seconds,
        try FoldedSimulation.run(program).duration.seconds
      )
    }
    for card in [25.0, 50] {
      let run = try took(card)
      #expect(abs(run.full / run.folded - 1) < 1e-3)
    }
  }

  /// Operation, ranks in each node, groups, and how near the folded time must be to the full one.
  struct Placed: Sendable, CustomTestStringConvertible {
    var operation: CollectiveOperation
    var algorithm: CollectiveAlgorithm
    var stride: Int
    var testDescription: String { "\(operation) \(algorithm), nodes \(stride) apart" }
    static let all: [Placed] = [1, 2, 4, 8].flatMap { stride in
      [
        Placed(operation: .allReduce, algorithm: .ring, stride: stride),
        Placed(operation: .allReduce, algorithm: .hierarchical, stride: stride),
        Placed(operation: .allGather, algorithm: .ring, stride: stride),
        Placed(operation: .allGather, algorithm: .halvingDoubling, stride: stride),
        Placed(operation: .allToAll, algorithm: .direct, stride: stride),
      ]
    }
  }

  @Test(
    "oversubscribed leaf switches cost the closed form what they cost the messages",
    arguments: Placed.all)
  func congestion(_ placed: Placed) throws {
    // 32 nodes of one GPU, 4 below a leaf switch with one link up: groups of nodes 1, 2, 4 and 8 apart, all
    // at once.
    var cluster = try SmallJobs.cluster(gpus: 32)
    cluster.gpusPerNode = 1
    cluster.oversubscription = 4
    cluster.network.nodesPerLeaf = 4
    let run = try Self.run(
      placed.operation, bytes: 1 << 30, algorithm: placed.algorithm, ranksPerNode: 1,
      groups: placed.stride, on: cluster)
    let ratio = Double(run.folded) / Double(run.full)
    #expect(ratio > 0.9 && ratio < 1.1, "folded / full \(ratio)")
  }
}
