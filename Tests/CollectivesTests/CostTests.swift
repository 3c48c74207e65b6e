@testable import Collectives
import Hardware
import Quantities
import Testing

@Suite struct CostTests {
  private func randomGroup(_ random: inout SeededGenerator) -> GroupPlacement {
    let perNode = [1, 2, 4, 8].randomElement(using: &random) ?? 8
    let nodes = Int.random(in: 1...40, using: &random)
    return group(
      perNode * nodes, perNode: perNode, siblings: Int.random(in: 1...(8 / perNode), using: &random)
    )
  }

  private static let names = [
    "v100-sxm2-16gb", "a100-sxm-80gb", "h100-sxm-80gb", "b200-sxm", "l40s", "mi300x",
  ]

  @Test("more bytes never take less time, more bandwidth never more", arguments: 0..<200)
  func monotone(seed: Int) throws {
    var random = SeededGenerator(seed: seed)
    let name = Self.names.randomElement(using: &random) ?? "h100-sxm-80gb"
    let placement = randomGroup(&random)
    let operation = CollectiveOperation.allCases.randomElement(using: &random) ?? .allReduce
    let algorithm: CollectiveAlgorithm? =
      Bool.random(using: &random) ? CollectiveAlgorithm.allCases.randomElement(using: &random) : nil
    let near = Double.random(in: 30...900, using: &random)
    let far = Double.random(in: 3...100, using: &random)
    func model(_ near: Double, _ far: Double) throws -> CollectiveModel {
      CollectiveModel(
        cluster: try cluster(name, nodes: placement.nodes, intra: near, inter: far))
    }
    let slow = try model(near, far)
    let nearer = try model(near * 1.5, far)
    let farther = try model(near, far * 1.5)
    var before = SimDuration.zero
    var bytes: Int64 = 1
    while bytes < 1 << 34 {
      let plan = slow.plan(operation, bytes: bytes, placement: placement, algorithm: algorithm)
      #expect(plan.duration >= before)
      before = plan.duration
      for quick in [nearer, farther] {
        let other = quick.plan(operation, bytes: bytes, placement: placement, algorithm: algorithm)
        #expect(other.duration <= plan.duration)
      }
      bytes += Int64.random(in: 1...(bytes + 1), using: &random)
    }
  }

  @Test("eight rail groups share the NICs that one node-wide group has")
  func sharing() throws {
    let model = CollectiveModel(cluster: try cluster("h100-sxm-80gb", nodes: 4))
    // 8 groups of 1 rank a node, 1 GiB / 8 each, move as much through the NICs as one group of
    // 8 ranks a node with 1 GiB: 2 × 3/4 against 2 × 31/32 of it, so the group's ring is
    // (31/32) / (3/4) = 1.29 times as long; latencies (62 steps against 6) add some per cent.
    let rails = model.plan(
      .allReduce, bytes: 1 << 27, placement: group(4, perNode: 1, siblings: 8), algorithm: .ring)
    let whole = model.plan(
      .allReduce, bytes: 1 << 30, placement: group(32, perNode: 8), algorithm: .ring)
    let ratio = whole.seconds / rails.seconds
    #expect(ratio > 1.22 && ratio < 1.4)
    // A rank alone on its rail gains nothing from idle NICs of its neighbours.
    let alone = model.plan(
      .allReduce, bytes: 1 << 27, placement: group(4, perNode: 1), algorithm: .ring)
    #expect(alone.duration == rails.duration)
  }

  @Test("oversubscription slows groups by what of them leaves the leaf switches")
  func oversubscription() throws {
    func slowdown(
      _ operation: CollectiveOperation, _ algorithm: CollectiveAlgorithm, nodes: Int, stride: Int,
      perNode: Int = 8, topology: Topology = .railFatTree, levels: Int = 2
    ) throws -> Double {
      var machine = try cluster(
        "a100-sxm-80gb", nodes: nodes * stride, topology: topology, oversubscription: 4)
      machine.network.levels = levels
      machine.network.nodesPerLeaf = 32
      machine.network.leavesPerPod = 2
      machine.network.coreOversubscription = 3
      return CollectiveModel(cluster: machine).slowdown(
        algorithm, operation,
        GroupPlacement(
          ranks: nodes * perNode, ranksPerNode: perNode, groupsPerNode: 1, nodeStride: stride))
    }
    // 32 neighbours are below one leaf switch; 64 leave it once for 32 cards, of which 8 may.
    #expect(try slowdown(.allReduce, .ring, nodes: 32, stride: 1) == 1)
    #expect(try slowdown(.allReduce, .ring, nodes: 64, stride: 1) == 1)
    // Every fourth node: 8 of a group below a leaf switch, four groups, 4 of 32 cards leave: all may.
    #expect(try slowdown(.allReduce, .ring, nodes: 64, stride: 4) == 1)
    // Every sixteenth: 2 below a leaf switch, so half of the cards leave, twice what may.
    #expect(try slowdown(.allReduce, .doubleBinaryTree, nodes: 8, stride: 16) == 2)
    #expect(try slowdown(.allReduce, .ring, nodes: 8, stride: 32) == 4)
    #expect(try slowdown(.allReduce, .hierarchical, nodes: 8, stride: 64) == 4)
    // Pairs: of 63 others 32 are elsewhere, 4 × 32/63; 4 × 15/15 where all are.
    #expect(try abs(slowdown(.allToAll, .direct, nodes: 64, stride: 1) - 128.0 / 63) < 1e-12)
    #expect(try slowdown(.allToAll, .direct, nodes: 16, stride: 32) == 4)
    // Halving: 1/2 + 1/4 + … of the buffer to 1, 2, … nodes away, in all 1 − 1/64; to 32 away 1/64 of it,
    // at a quarter of the rate: 1 + 3 × (1/64) / (63/64).
    #expect(
      try abs(slowdown(.reduceScatter, .halvingDoubling, nodes: 64, stride: 1) - (1 + 3.0 / 63))
        < 1e-12)
    // One card of a node's eight at work on a plain fat tree: 4 × 1/8 of what may leave.
    #expect(
      try slowdown(.allReduce, .ring, nodes: 8, stride: 32, perNode: 1, topology: .fatTree) == 1)
    // Pods of 64 nodes with 4 × 3 fewer links above: every 32nd node, 2 in a pod, half of the cards.
    #expect(try slowdown(.allReduce, .ring, nodes: 8, stride: 32, levels: 3) == 6)
    // Additions in the network send one card's worth up from a leaf switch.
    #expect(try slowdown(.allReduce, .collNetDirect, nodes: 8, stride: 32) == 1)
  }

  @Test("a message between leaf switches travels longer than below one")
  func hops() throws {
    var machine = try cluster("h100-sxm-80gb", nodes: 256)
    machine.network.levels = 3
    machine.network.leavesPerPod = 2
    // 4 µs over a spine; two cables and switches of 0.28 µs less below a leaf switch of 32 nodes, two more
    // over the core, beyond 64.
    #expect(machine.latency(nodesApart: 31).picoseconds == 3_440_000)
    #expect(machine.latency(nodesApart: 32).picoseconds == 4_000_000)
    #expect(machine.latency(nodesApart: 64).picoseconds == 4_560_000)
    machine.topology = .singleSwitch
    #expect(machine.latency(nodesApart: 31).picoseconds == 4_000_000)
    machine.topology = .railFatTree
    // LL's step between nodes is bare: 2 × 7 steps of a ring over 8 neighbours, then over 8 nodes 32 apart.
    let model = CollectiveModel(cluster: machine)
    func seconds(_ stride: Int) -> Double {
      model.plan(
        .allReduce, bytes: 8,
        placement: GroupPlacement(
          ranks: 8, ranksPerNode: 1, groupsPerNode: 8, nodeStride: stride), algorithm: .ring
      ).seconds
    }
    #expect(abs(seconds(32) - seconds(1) - 14 * 1.12e-6) < 0.01e-6)
    // Activations too: 0.56 µs more to a stage under another leaf switch.
    let near = model.sendReceiveSeconds(bytes: 1, sameNode: false, nodesApart: 1)
    let usual = model.sendReceiveSeconds(bytes: 1, sameNode: false)
    #expect(abs(usual - near - 0.56e-6) < 1e-12)
  }

  @Test("a job that is smaller than a pod has a torus of its own chips")
  func slices() throws {
    let gpu = try #require(GPU.named("tpu-v5p"))
    func linked(_ perNode: Int) -> Int {
      Cluster(
        gpu: gpu, gpuCount: 64, gpusPerNode: perNode, intraNode: gpu.scaleUp,
        interNode: gpu.scaleOut
      ).linkedGPUs
    }
    // 64 chips of a pod of 8,960 are one slice: 64; in slices of 16 they are four.
    #expect(linked(8_960) == 64)
    #expect(linked(16) == 16)
  }

  @Test("a group along some axes of a torus has the links of these")
  func tori() throws {
    // 64 chips in 4 × 4 × 4: four along one axis, 16 along two; one of six links to a neighbour.
    let cube = NodeFabric.usual(of: try #require(GPU.named("tpu-v5p")), gpusPerNode: 64)
    #expect(cube.kind == .torus)
    #expect(cube.share(of: 4, gpus: 64) == 1 / 3.0)
    #expect(cube.share(of: 16, gpus: 64) == 2 / 3.0)
    #expect(cube.share(of: 64, gpus: 64) == 1)
    #expect(cube.pairShare(gpus: 64) == 1 / 6.0)
    // 128 in 4 × 4 × 8: eight along the longest, 16 along the others. 3 · 3/7 and 3 · 4/7 of three axes.
    #expect(cube.share(of: 8, gpus: 128) == 1 / 3.0)
    #expect(cube.share(of: 16, gpus: 128) == 2 / 3.0)
    // A v5e's 16 × 16.
    let plane = NodeFabric.usual(of: try #require(GPU.named("tpu-v5e")), gpusPerNode: 256)
    #expect(plane.share(of: 16, gpus: 256) == 1 / 2.0)
    #expect(plane.share(of: 2, gpus: 256) == 1 / 2.0)
    // A gather of 1 GiB among 16 of 64 chips has two thirds of the links: 1.5 times as long as on a switch.
    var slice = try cluster("tpu-v5p", nodes: 1)
    slice.gpusPerNode = 64
    slice.gpuCount = 64
    func seconds() -> Double {
      CollectiveModel(cluster: slice).plan(
        .allGather, bytes: 1 << 30, placement: group(16, perNode: 16), algorithm: .ring
      ).seconds
    }
    slice.node = cube
    let along = seconds()
    slice.node = NodeFabric()
    let ratio = along / seconds()
    #expect(ratio > 1.45 && ratio <= 1.5)
  }

  @Test("links to some of a node's GPUs carry their part of its rate")
  func meshes() throws {
    // Four A100 on a board, 4 of 12 links to each other: 100 of 300 GB/s between two, 200 among three.
    let mesh = NodeFabric(.mesh)
    #expect(mesh.share(of: 2, gpus: 4) == 1 / 3.0)
    #expect(mesh.share(of: 3, gpus: 4) == 2 / 3.0)
    #expect(mesh.share(of: 4, gpus: 4) == 1)
    #expect(mesh.pairShare(gpus: 4) == 1 / 3.0)
    // DGX-1: GPUs 0 and 1 have one of 6 links between them; in the first quad GPU 0 has 1 + 1 + 2.
    let cube = NodeFabric(.hybridCube)
    #expect(cube.share(of: 2, gpus: 8) == 1 / 6.0)
    #expect(cube.share(of: 4, gpus: 8) == 4 / 6.0)
    #expect(cube.share(of: 8, gpus: 8) == 1)
    // An all-reduce of 1 GiB on two of MI300X's eight has one link of seven: 7 times as long, but for the
    // start, as on a switch.
    var platform = try cluster("mi300x", nodes: 1)
    #expect(platform.node.kind == .mesh)
    func seconds() -> Double {
      CollectiveModel(cluster: platform).plan(
        .allReduce, bytes: 1 << 30, placement: group(2, perNode: 2), algorithm: .ring
      ).seconds
    }
    let linked = seconds()
    platform.node = NodeFabric()
    let ratio = linked / seconds()
    #expect(ratio > 6.8 && ratio < 7)
  }

  @Test("switches that add: inside nodes, between them, both")
  func switches() throws {
    var machine = try cluster("h100-sxm-80gb", nodes: 4)
    func algorithm(_ bytes: Int64, perNode: Int = 8) -> CollectiveAlgorithm {
      CollectiveModel(cluster: machine).plan(
        .allReduce, bytes: bytes, placement: group(4 * perNode, perNode: perNode)
      ).algorithm
    }
    #expect(algorithm(1 << 30) != .inNetwork)
    machine.network.sharp = true
    #expect(algorithm(1 << 30) == .inNetwork)
    // 32 H100 with SHARP: 480 GB/s of bus bandwidth (NVIDIA GTC25 S72583), as one node.
    let table = CollectiveTable(
      .allReduce, sizes: [1 << 34], placement: group(32, perNode: 8),
      model: CollectiveModel(cluster: machine))
    #expect(abs((table.rows.first?.busBandwidth ?? 0) / 480e9 - 1) < 0.1)
    // Without NVLS GPUs gather their shares themselves: at once over a switch, 3.7 + 6 × 0.4 µs where a chain
    // takes 7 × 2.8; without a switch in a chain.
    machine.node.adds = false
    #expect(algorithm(1 << 24) == .collNetDirect)
    machine.node.kind = .pcie
    #expect(algorithm(1 << 24) == .collNetChain)
    // One rank a node: its whole buffer once through its card, 50 GB/s × 0.95, instead of 2 × 3/4 of it.
    let plan = CollectiveModel(cluster: machine).plan(
      .allReduce, bytes: 1 << 30, placement: group(4, perNode: 1, siblings: 8))
    #expect(plan.algorithm == .collNetChain || plan.algorithm == .collNetDirect)
    #expect(abs(plan.seconds / (1.073_741_824 / 47.5) - 1) < 0.01)
    // Trees of two nodes with NVLS inside: every share once through its card, 16 GPUs on cards of 25 GB/s,
    // 2 GiB / 8 / 23.75 GB/s, 11.3 ms (NVLS has 2 GiB × 9/8 / 291 GB/s = 8.3 ms).
    machine = try cluster("h100-sxm-80gb", nodes: 2, inter: 25)
    let tree = CollectiveModel(cluster: machine).plan(
      .allReduce, bytes: 1 << 31, placement: group(16, perNode: 8))
    #expect(tree.algorithm == .nvlsTree)
    #expect(abs(tree.seconds / 11.3e-3 - 1) < 0.05)
  }

  @Test("LL between nodes is bound by the host, LL128 by the transport")
  func protocols() throws {
    // 2 nodes of 8 H100: LL moves 39 GB/s between nodes (NCCL's tuner): 64 MiB × 15/8 / 39 GB/s = 3.2 ms.
    var machine = try cluster("h100-sxm-80gb", nodes: 2)
    machine.network.allowsLL128 = false
    let model = CollectiveModel(cluster: machine)
    for size in 3...33 {
      let plan = model.plan(
        .allReduce, bytes: 1 << Int64(size), placement: group(16, perNode: 8))
      #expect(plan.transferProtocol != .lowLatency128)
    }
    let plan = CollectivePlan.pricedAlone(model, bytes: 1 << 26)
    #expect(plan.seconds > 3.2e-3 && plan.seconds < 3.5e-3)
  }

  @Test("large all-reduces reach the rates NVIDIA states")
  func statedRates() throws {
    // GTC24 S62129: A100 232, H100 with SHARP 480, DGX A100 across nodes 192 GB/s of bus bandwidth.
    func bus(_ name: String, nodes: Int) throws -> Double {
      let model = CollectiveModel(cluster: try cluster(name, nodes: nodes))
      let table = CollectiveTable(
        .allReduce, sizes: [1 << 34], placement: group(nodes * 8, perNode: 8), model: model)
      return (table.rows.first?.busBandwidth ?? 0) / 1e9
    }
    #expect(try abs(bus("a100-sxm-80gb", nodes: 1) / 232 - 1) < 0.1)
    #expect(try abs(bus("h100-sxm-80gb", nodes: 1) / 480 - 1) < 0.1)
    #expect(try abs(bus("a100-sxm-80gb", nodes: 4) / 192 - 1) < 0.1)
    #expect(try abs(bus("h100-sxm-80gb", nodes: 4) / 370 - 1) < 0.1)
  }

  @Test("table factors are those of nccl-tests")
  func factors() throws {
    let model = CollectiveModel(cluster: try cluster("h100-sxm-80gb", nodes: 1))
    let table = CollectiveTable(
      .allGather, sizes: [8, 1 << 20], placement: group(8, perNode: 8), model: model)
    #expect(table.rows.map(\.bytes) == [8, 1 << 20])
    for row in table.rows {
      // size / time, and 7/8 of it.
      #expect(row.algorithmBandwidth == Double(row.bytes) / row.seconds)
      #expect(row.busBandwidth == row.algorithmBandwidth * 0.875)
    }
    #expect(CollectiveOperation.allReduce.busFactor(ranks: 8) == 1.75)
  }

  @Test("a send between nodes takes latency plus bytes over one NIC")
  func pointToPoint() throws {
    let model = CollectiveModel(cluster: try cluster("h100-sxm-80gb", nodes: 2))
    // 1 GiB over 50 GB/s × 0.95 = 22.6 ms; start and latency below 0.1 ms.
    let far = model.sendReceiveSeconds(bytes: 1 << 30, sameNode: false)
    #expect(far > 22.6e-3 && far < 22.75e-3)
    // Inside: 376 GB/s (stas00/ml-engineering) = 2.86 ms.
    let near = model.sendReceiveSeconds(bytes: 1 << 30, sameNode: true)
    #expect(near > 2.85e-3 && near < 2.92e-3)
    #expect(model.sendReceiveSeconds(bytes: 1 << 30, sameNode: true, concurrent: 2) > near * 1.9)
  }

  @Test("one rank has nothing to do")
  func single() throws {
    let model = CollectiveModel(cluster: try cluster("h100-sxm-80gb", nodes: 1))
    for operation in CollectiveOperation.allCases {
      let plan = model.plan(operation, bytes: 1 << 20, placement: group(1, perNode: 1))
      #expect(plan.duration == .zero)
      #expect(plan.stepCount(lane: 0) == 0)
    }
  }
}

extension CollectivePlan {
  /// A ring all-reduce of 16 ranks in two nodes under LL.
  static func pricedAlone(_ model: CollectiveModel, bytes: Int64) -> CollectivePlan {
    model.price(.ring, .allReduce, bytes, group(16, perNode: 8), .lowLatency)
  }
}
