import Collectives
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

  @Test("oversubscription slows groups that leave the leaf, and only those")
  func oversubscription() throws {
    func seconds(_ nodes: Int, _ factor: Double) throws -> Double {
      let machine = try cluster("a100-sxm-80gb", nodes: nodes, oversubscription: factor)
      return CollectiveModel(cluster: machine).plan(
        .allReduce, bytes: 1 << 32, placement: group(nodes * 8, perNode: 8), algorithm: .ring
      ).seconds
    }
    #expect(try seconds(32, 4) == seconds(32, 1))
    // 64 nodes: the inter-node share is a quarter; bytes dominate at 4 GiB.
    let ratio = try seconds(64, 4) / seconds(64, 1)
    #expect(ratio > 3 && ratio <= 4)
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
