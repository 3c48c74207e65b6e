import Foundation
import Hardware
import Quantities
import StepSimulation

/// Messages over shared links: how long a change of rates takes, and cases for an oracle.
enum FlowBenchmark {
  /// Bytes a second of a card.
  private static let rate = 50e9

  /// A network of nodes with one card each.
  private static func cluster(
    _ nodes: Int, _ topology: Topology, oversubscription: Double = 1,
    _ change: (inout Network) -> Void
  ) -> Cluster? {
    guard let gpu = GPU.named("h100-sxm-80gb") else { return nil }
    var network = Network()
    change(&network)
    return Cluster(
      gpu: gpu, gpuCount: nodes, gpusPerNode: 1, intraNode: gpu.scaleUp,
      interNode: Link(rate: ByteRate(bytesPerSecond: rate), latency: .zero), topology: topology,
      oversubscription: oversubscription, network: network)
  }

  /// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, doi 10.1145/2660193.2660195).
  private struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var mixed = state
      mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return mixed ^ (mixed >> 31)
    }
  }

  /// From each source 1 to 19 MB to its destination, within a spread of starts.
  private static func messages(
    _ pairs: [(Int, Int)], on graph: LinkGraph, perNode: Int = 1, spread: ClosedRange<Int64>,
    _ random: inout Generator
  ) -> [SharedLinks.Message] {
    let loads = Array(repeating: 0.0, count: graph.capacities.count)
    return pairs.enumerated().map { index, pair in
      var hops: [LinkGraph.Hop] = []
      if pair.0 / perNode == pair.1 / perNode {
        graph.appendNodeRoute(from: pair.0, to: pair.1, to: &hops)
      } else {
        graph.appendRoute(
          from: pair.0, to: pair.1, flow: UInt64(index), loads: loads, to: &hops)
      }
      let bytes = Double.random(in: 1e6...19e6, using: &random)
      return SharedLinks.Message(
        start: Int64.random(in: spread, using: &random), work: Int64(bytes / rate * 1e12),
        hops: hops)
    }
  }

  /// Each of `nodes` sends to another at random.
  private static func random(_ nodes: Int, _ random: inout Generator) -> [(Int, Int)] {
    (0..<nodes).map { source in
      (source, (source + Int.random(in: 1..<nodes, using: &random)) % nodes)
    }
  }

  /// Microseconds for each change of rates, a message's beginning or end, on a fat tree.
  static func run() {
    for nodes in [1_024, 4_096] {
      guard let cluster = cluster(nodes, .fatTree, { $0.routing = .ecmp }) else { return }
      let graph = LinkGraph(cluster)
      var times: [Double] = []
      for seed in UInt64(0)..<9 {
        var generator = Generator(state: seed)
        let load = messages(
          random(nodes, &generator), on: graph, spread: 0...100_000_000, &generator)
        var last: Int64 = 0
        let seconds = measure {
          last = SharedLinks.ends(of: load, over: graph.capacities).max() ?? 0
        }
        if last > 0 { times.append(seconds / Double(2 * nodes) * 1e6) }
      }
      print(
        "flow change, \(nodes) messages at once, hashed fat tree: \(hundredths(median(times))) us")
    }
  }

  /// Writes cases and when their messages end, for `scripts/oracle`.
  static func writeCases(to folder: String) throws {
    var generator = Generator(state: 7)
    func write(
      _ name: String, _ cluster: Cluster?, _ pairs: [(Int, Int)],
      spread: ClosedRange<Int64> = 0...200_000_000
    ) throws {
      guard let cluster else { return }
      let graph = LinkGraph(cluster)
      let load = messages(
        pairs, on: graph, perNode: cluster.gpusPerNode, spread: spread, &generator)
      let links = graph.capacities.map { "link \($0 * rate)" }
      let flows = load.map { message in
        "flow \(Double(message.start) * 1e-12) \(Double(message.work) * 1e-12 * rate) \(rate) "
          + message.hops.map { "\($0.link)" }.joined(separator: " ")
      }
      let ends = SharedLinks.ends(of: load, over: graph.capacities)
      let starts = load.map(\.start)
      let results = zip(starts, ends).map { "\(Double($0) * 1e-12) \(Double($1) * 1e-12)" }
      for (ending, lines) in [("flows", links + flows), ("ends", results)] {
        try (lines.joined(separator: "\n") + "\n").write(
          toFile: "\(folder)/\(name).\(ending)", atomically: true, encoding: .utf8)
      }
    }
    let plain: (inout Network) -> Void = { _ in }
    try write(
      "shared bottleneck, 32 over a 4:1 spine",
      cluster(64, .fatTree, oversubscription: 4, plain), (0..<32).map { ($0, $0 + 32) })
    try write(
      "incast, 63 to 1", cluster(64, .singleSwitch, plain), (1..<64).map { ($0, 0) },
      spread: 0...10_000_000)
    try write(
      "fat tree, hashed, 256 at random", cluster(256, .fatTree) { $0.routing = .ecmp },
      random(256, &generator))
    try write(
      "three levels, 4:1 pods, 512 at random",
      cluster(512, .fatTree) {
        $0.levels = 3
        $0.nodesPerLeaf = 16
        $0.leavesPerPod = 8
        $0.coreOversubscription = 4
      }, random(512, &generator))
    try write(
      "slow card, dead uplinks, 128 at random",
      cluster(128, .fatTree) {
        $0.routing = .deterministic
        $0.slowCards = [.init(gpu: 5, fraction: 0.25)]
        $0.failedUplinks = [.init(leaf: 1, count: 24)]
      }, random(128, &generator))
    try write(
      "dragonfly, minimal, 256 at random",
      cluster(256, .dragonfly) { $0.routing = .deterministic }, random(256, &generator))
    try write(
      "torus 8 x 8 x 4, 256 at random",
      cluster(256, .torus) {
        $0.dimensions = [8, 8, 4]
        $0.routing = .deterministic
      }, random(256, &generator))
    // Eight GPUs a node, whose links are as fast as cards: inside the node of a random GPU, or anywhere.
    func inside(
      _ kind: NodeFabric.Kind, nodes: Int, _ change: (inout NodeFabric) -> Void = { _ in }
    ) -> Cluster? {
      guard var cluster = cluster(8 * nodes, .singleSwitch, plain) else { return nil }
      cluster.gpusPerNode = 8
      cluster.intraNode = cluster.interNode
      cluster.node = NodeFabric(kind)
      cluster.node.sharing = .shared
      change(&cluster.node)
      return cluster
    }
    func pairs(_ count: Int, among gpus: Int) -> [(Int, Int)] {
      (0..<count).map { index in
        let source = index % gpus
        return (source, (source + Int.random(in: 1..<gpus, using: &generator)) % gpus)
      }
    }
    try write("NVSwitch, 64 among 8 GPUs", inside(.switched, nodes: 1), pairs(64, among: 8))
    try write("mesh, 64 among 8 GPUs", inside(.mesh, nodes: 1), pairs(64, among: 8))
    try write("DGX-1, 64 among 8 GPUs", inside(.hybridCube, nodes: 1), pairs(64, among: 8))
    try write(
      "PCIe trees, 128 among 32 GPUs of 4 nodes",
      inside(.pcie, nodes: 4) {
        $0.switchRate = .gigabytesPerSecond(25)
        $0.socketRate = .gigabytesPerSecond(20)
      }, pairs(128, among: 32))
    try write(
      "two GPUs a PCIe link to their cards, 64 among 32 GPUs of 4 nodes",
      inside(.switched, nodes: 4) {
        $0.gpusPerCardLink = 2
        $0.cardLinkRate = .gigabytesPerSecond(32)
      }, pairs(64, among: 32))
  }
}
