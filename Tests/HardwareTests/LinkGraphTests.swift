import Hardware
import Quantities
import Testing

@Suite("Links between nodes, and the ways over them")
struct LinkGraphTests {
  /// `nodes` nodes of `perNode` cards at 50 GB/s.
  private static func cluster(
    _ topology: Topology, nodes: Int, perNode: Int = 2, oversubscription: Double = 1,
    _ change: (inout Network) -> Void = { _ in }
  ) throws -> Cluster {
    let gpu = try #require(GPU.named("h100-sxm-80gb"))
    var network = Network()
    change(&network)
    return Cluster(
      gpu: gpu, gpuCount: nodes * perNode, gpusPerNode: perNode, intraNode: gpu.scaleUp,
      interNode: Link(rate: .gigabytesPerSecond(50), latency: SimDuration(seconds: 4e-6)),
      topology: topology, oversubscription: oversubscription, network: network)
  }

  private static func route(
    _ graph: LinkGraph, _ source: Int, _ destination: Int, flow: UInt64 = 0,
    loads: [Double]? = nil
  ) -> [Int] {
    var hops: [LinkGraph.Hop] = []
    graph.appendRoute(
      from: source, to: destination, flow: flow,
      loads: loads ?? Array(repeating: 0, count: graph.capacities.count), to: &hops)
    return hops.map { Int($0.link) }
  }

  @Test("cards alone on a switch; a rail's leaf, or the node's, between") func trees() throws {
    // 8 nodes of 2 cards: links 0–15 out of, 16–31 into the cards.
    let plain = LinkGraph(try Self.cluster(.singleSwitch, nodes: 8))
    #expect(plain.capacities.count == 32)
    #expect(Self.route(plain, 1, 15) == [1, 31])

    // Two nodes a leaf: 4 node groups × 2 rails = 8 leaves, up 32–39, down 40–47. Card 1 is on
    // rail 1 of group 0: leaf 1. Card 15 on rail 1 of group 3: leaf 7. Card 3 shares card 1's leaf.
    let rails = LinkGraph(try Self.cluster(.railFatTree, nodes: 8) { $0.nodesPerLeaf = 2 })
    #expect(Self.route(rails, 1, 15) == [1, 31, 33, 47])
    #expect(Self.route(rails, 1, 3) == [1, 19])
    // Another rail of the same nodes is another leaf: 0 → 2 is rail 0, 0 → 3 is rail 1.
    #expect(Self.route(rails, 0, 3) == [0, 19, 32, 41])
    // Two cards enter a leaf, two leave it.
    #expect(rails.capacities[32...] == Array(repeating: 2, count: 16)[...])

    // The node's cards on one leaf: 4 leaves of 4 cards, half of which fit above.
    let fat = LinkGraph(
      try Self.cluster(.fatTree, nodes: 8, oversubscription: 2) { $0.nodesPerLeaf = 2 })
    #expect(Self.route(fat, 0, 3) == [0, 19])
    #expect(Self.route(fat, 0, 15) == [0, 31, 32, 39])
    #expect(fat.capacities[32...] == Array(repeating: 2, count: 8)[...])
  }

  @Test("three levels: pods of leaves above which less may leave") func threeLevels() throws {
    // 4 leaves of 4 cards, 2 leaves a pod, 8 cards' uplinks below a pod, a quarter above.
    let graph = LinkGraph(
      try Self.cluster(.fatTree, nodes: 8) {
        $0.nodesPerLeaf = 2
        $0.levels = 3
        $0.leavesPerPod = 2
        $0.coreOversubscription = 4
      })
    // Leaf up 32–35, down 36–39; pod up 40–41, down 42–43.
    #expect(Self.route(graph, 0, 15) == [0, 31, 32, 39, 40, 43])
    #expect(Self.route(graph, 0, 7) == [0, 23, 32, 37])
    #expect(graph.capacities[40] == 2)
  }

  @Test("one of several uplinks: by destination, by hash, and never a dead one") func uplinks()
    throws
  {
    // Leaves of 4 nodes × 2 cards: 8 uplinks each; up 32–39 and 40–47, down 48–55 and 56–63.
    let fixed = LinkGraph(
      try Self.cluster(.fatTree, nodes: 8) {
        $0.nodesPerLeaf = 4
        $0.routing = .deterministic
      })
    // Cards 0–7 to cards 8–15, one each: eight different uplinks.
    let ways = (0..<8).map { Self.route(fixed, $0, $0 + 8) }
    #expect(Set(ways.map { $0[2] }).count == 8)
    #expect(Self.route(fixed, 0, 9) == [0, 25, 33, 57])

    let hashed = LinkGraph(
      try Self.cluster(.fatTree, nodes: 8) {
        $0.nodesPerLeaf = 4
        $0.routing = .ecmp
        $0.failedUplinks = [.init(leaf: 0, count: 6)]
      })
    var seen: Set<Int> = []
    for source in 0..<8 {
      for flow in UInt64(0)..<8 {
        let way = Self.route(hashed, source, 15 - source, flow: flow)
        // The same spine up and down.
        #expect(way[3] - way[2] == 24)
        seen.insert(way[2])
      }
    }
    // The first six of leaf 0 are dead.
    #expect(seen == [38, 39])
    // Spread over all, a leaf with 6 of 8 dead carries 2.
    let spread = LinkGraph(
      try Self.cluster(.fatTree, nodes: 8) {
        $0.nodesPerLeaf = 4
        $0.failedUplinks = [.init(leaf: 0, count: 6)]
      })
    #expect(spread.capacities[32...] == [2, 8, 2, 8])
  }

  @Test("a slow card keeps part of its rate, a dead one's traffic takes the next") func cards()
    throws
  {
    let graph = LinkGraph(
      try Self.cluster(.singleSwitch, nodes: 4, perNode: 4) {
        $0.slowCards = [.init(gpu: 5, fraction: 0.25)]
        $0.failedCards = [3, 7]
      })
    #expect(graph.capacities[5] == 0.25)
    #expect(graph.capacities[16 + 5] == 0.25)
    // GPU 3 leaves through card 0, GPU 7 is reached through card 4.
    #expect(Self.route(graph, 3, 7) == [0, 16 + 4])
  }

  @Test("torus: axis after axis, the shorter way round") func torus() throws {
    // 4 × 3 nodes of 2 cards; of node n, axis a: links 48 + 4 n + 2 a forward, + 1 back.
    let graph = LinkGraph(
      try Self.cluster(.torus, nodes: 12) {
        $0.dimensions = [4, 3]
        $0.routing = .deterministic
      })
    // Node 0 (0, 0) → node 7 (3, 1): one back round the first axis, then one on along the second.
    #expect(Self.route(graph, 0, 14) == [0, 24 + 14, 48 + 1, 48 + 4 * 3 + 2])
    // Two on along an axis of four.
    #expect(Self.route(graph, 0, 4) == [0, 24 + 4, 48, 48 + 4])
    // A link carries what a node's two cards can send.
    #expect(graph.capacities[48] == 2)
    // Adaptive: the second axis first where the first way is loaded.
    let adaptive = LinkGraph(try Self.cluster(.torus, nodes: 12) { $0.dimensions = [4, 3] })
    var loads = Array(repeating: 0.0, count: adaptive.capacities.count)
    loads[48 + 1] = 2
    #expect(Self.route(adaptive, 0, 14, loads: loads) == [0, 24 + 14, 48 + 2, 48 + 4 * 4 + 1])
  }

  @Test("three axes as equal as possible when none are given") func dimensions() throws {
    // 24 = 4 × 3 × 2: a node has 3 axes × 2 directions.
    let graph = LinkGraph(try Self.cluster(.torus, nodes: 24))
    #expect(graph.capacities.count == 2 * 48 + 24 * 6)
  }

  @Test("dragonfly: one link between groups, or a detour where it is full") func dragonfly() throws
  {
    // 4 groups of 2 nodes × 2 cards; 4 cards leave a group over 3 links; link g → h is 32 + 4 g + h.
    let graph = LinkGraph(try Self.cluster(.dragonfly, nodes: 8) { $0.nodesPerGroup = 2 })
    #expect(abs(graph.capacities[33] - 4.0 / 3) < 1e-12)
    #expect(Self.route(graph, 0, 5) == [0, 21, 33])
    #expect(Self.route(graph, 0, 3) == [0, 19])
    var loads = Array(repeating: 0.0, count: graph.capacities.count)
    loads[33] = 4
    let detour = Self.route(graph, 0, 5, loads: loads)
    // Over group 2 or 3.
    #expect(detour == [0, 21, 34, 41] || detour == [0, 21, 35, 45])
  }

  @Test("links are shared where paths may meet or something is broken") func sharing() throws {
    #expect(try !Self.cluster(.railFatTree, nodes: 8).sharesLinks)
    #expect(try Self.cluster(.railFatTree, nodes: 8) { $0.sharing = .shared }.sharesLinks)
    #expect(try Self.cluster(.fatTree, nodes: 8, oversubscription: 2).sharesLinks)
    #expect(try Self.cluster(.fatTree, nodes: 8) { $0.routing = .ecmp }.sharesLinks)
    #expect(try Self.cluster(.fatTree, nodes: 8) { $0.failedCards = [1] }.sharesLinks)
    #expect(try Self.cluster(.torus, nodes: 8).sharesLinks)
    #expect(
      try !Self.cluster(.torus, nodes: 8) { $0.sharing = .separate }.sharesLinks)
  }

  /// Links inside the second of two nodes laid that way, counted from the node's first.
  private static func inside(
    _ kind: NodeFabric.Kind, perNode: Int, _ source: Int, _ destination: Int,
    among peers: [Int] = []
  ) throws -> [LinkGraph.Hop] {
    var cluster = try cluster(.singleSwitch, nodes: 2, perNode: perNode)
    cluster.node = NodeFabric(kind)
    cluster.node.sharing = .shared
    let graph = LinkGraph(cluster)
    // Cards first, out and in: 4 × perNode.
    let links = (graph.capacities.count - 4 * perNode) / 2
    let first = Int32(4 * perNode + links)
    var hops: [LinkGraph.Hop] = []
    graph.appendNodeRoute(
      from: perNode + source, to: perNode + destination, among: peers.map { perNode + $0 },
      to: &hops)
    return hops.map { LinkGraph.Hop(link: $0.link - first, weight: $0.weight) }
  }

  @Test("inside nodes: ports of a switch, links of a mesh, of a DGX-1, of a PCIe tree")
  func nodes() throws {
    typealias Hop = LinkGraph.Hop
    // Ports out 0–7, in 8–15.
    #expect(try Self.inside(.switched, perNode: 8, 2, 5) == [Hop(link: 2), Hop(link: 13)])
    // From i to j of 4: link 4 i + j; of a ring of all three others alike.
    #expect(try Self.inside(.mesh, perNode: 4, 1, 3) == [Hop(link: 7)])
    #expect(
      try Self.inside(.mesh, perNode: 4, 1, 3, among: [0, 1, 2, 3])
        == [4, 6, 7].map { Hop(link: $0, weight: 1 / 3.0) })
    // DGX-1, link 8 i + j: 0 has none to 5, but 1 has to both (0–1 one link, 1–5 two).
    #expect(try Self.inside(.hybridCube, perNode: 8, 0, 5) == [Hop(link: 1), Hop(link: 13)])
    // Of its six links in a ring of all: one to 1 and 2, two to 3 and 4.
    #expect(
      try Self.inside(.hybridCube, perNode: 8, 0, 3, among: Array(0..<8))
        == [
          Hop(link: 1, weight: 1 / 6.0), Hop(link: 2, weight: 1 / 6.0),
          Hop(link: 3, weight: 2 / 6.0), Hop(link: 4, weight: 2 / 6.0),
        ])
    // PCIe: GPUs out 0–7, in 8–15, switches up 16–19, down 20–23, processors out 24–25, in 26–27.
    #expect(try Self.inside(.pcie, perNode: 8, 2, 3) == [Hop(link: 2), Hop(link: 11)])
    #expect(
      try Self.inside(.pcie, perNode: 8, 1, 6)
        == [
          Hop(link: 1), Hop(link: 14), Hop(link: 16), Hop(link: 23), Hop(link: 24), Hop(link: 27),
        ])
    // To all of 8 from GPU 1: 6 of 7 below other switches, 4 of 7 at the other processor.
    #expect(
      try Self.inside(.pcie, perNode: 8, 1, 0, among: Array(0..<8))
        == [
          Hop(link: 1), Hop(link: 8), Hop(link: 16, weight: 6 / 7.0),
          Hop(link: 20, weight: 6 / 7.0), Hop(link: 24, weight: 4 / 7.0),
          Hop(link: 26, weight: 4 / 7.0),
        ])
  }

  @Test("PCIe links to cards are met only where they can block")
  func cardLinks() throws {
    var cluster = try Self.cluster(.singleSwitch, nodes: 2, perNode: 4)
    cluster.node.gpusPerCardLink = 2
    cluster.node.cardLinkRate = .gigabytesPerSecond(100)
    // Two cards of 50 GB/s fit: cards alone.
    #expect(Self.route(LinkGraph(cluster), 1, 7) == [1, 15])
    cluster.node.cardLinkRate = .gigabytesPerSecond(64)
    // Two links a node, out 16–19, in 20–23: GPU 1's is the first, GPU 7's the last.
    let graph = LinkGraph(cluster)
    #expect(Self.route(graph, 1, 7) == [1, 15, 16, 23])
    #expect(graph.capacities[16...] == Array(repeating: 64 / 50.0, count: 8)[...])
  }
}
