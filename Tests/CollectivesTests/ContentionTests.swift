import Hardware
import Quantities
import Testing

@testable import Collectives

/// What collectives take from the kernels beside them.
@Suite struct ContentionTests {
  @Test("channels: 24 inside a node, two a card between nodes, four with fast cards from Hopper on")
  func channels() throws {
    let ampere = CollectiveModel(cluster: try cluster("a100-sxm-80gb", nodes: 4))
    #expect(ampere.channels(group(8, perNode: 8)) == 24)
    #expect(ampere.channels(group(32, perNode: 8)) == 16)
    #expect(ampere.channels(group(4, perNode: 1, siblings: 8)) == 2)
    let hopper = CollectiveModel(cluster: try cluster("h100-sxm-80gb", nodes: 4))
    #expect(hopper.channels(group(32, perNode: 8)) == 16)
    #expect(hopper.channels(group(8, perNode: 2, siblings: 4)) == 8)
    let other = CollectiveModel(cluster: try cluster("mi300x", nodes: 1))
    #expect(other.channels(group(8, perNode: 8)) == nil)
  }

  @Test(
    "channels between nodes as NCCL's search and connection find them",
    arguments: [
      // A100 with 25 GB/s a GPU: two a card; with 50, 300 / 8 = 37.5 inside: halved and doubled.
      (8, 80, 25, 16), (8, 80, 37.5, 32), (1, 80, 25, 2), (1, 80, 50, 4),
      // H100, 50 GB/s: one card's 48 is two of 24, each two; eight stay, and 16 is not doubled; six are 12
      // of 48, doubled; with 25 GB/s nothing is.
      (1, 90, 50, 4), (4, 90, 50, 16), (8, 90, 50, 16), (6, 90, 50, 24), (8, 90, 25, 16),
      // B300, 100 GB/s: one of 96 is two of 48, each four; eight are 16, each two.
      (1, 103, 100, 8), (8, 103, 100, 32),
    ] as [(Int, Int, Double, Int)])
  func search(cards: Int, capability: Int, rate: Double, channels: Int) {
    let found = CollectiveModel.channelsBetweenNodes(
      cards: cards, capability: capability, rate: rate)
    #expect(found == channels)
  }

  @Test("the GPU type decides on channels, whatever its name and its switch")
  func channelsOfType() throws {
    let superchip = CollectiveModel(cluster: try fast("gh200-96gb", perNode: 4))
    // Two a card of four, doubled: 48 GB/s are two of 24.
    #expect(superchip.channels(group(32, perNode: 4)) == 16)
    let ampere = CollectiveModel(cluster: try fast("a100-sxm-80gb", perNode: 4))
    #expect(ampere.channels(group(32, perNode: 4)) == 16)
    let types: [(String, Int?)] = [
      ("mi300x", nil), ("v100-sxm2-32gb", 12), ("h100-sxm-80gb", 24),
    ]
    for (name, channels) in types {
      var renamed = try cluster(name, nodes: 1)
      renamed.gpu.name = "x"
      #expect(CollectiveModel(cluster: renamed).channels(group(8, perNode: 8)) == channels)
    }
  }

  @Test("a GPU under another name has the links and the library of the one it was made from")
  func renamed() throws {
    for name in ["l40s", "v100-sxm2-32gb", "a100-sxm-80gb", "b200-sxm", "mi300x", "tpu-v5p"] {
      let own = try cluster(name, nodes: 2)
      var other = own
      other.gpu.name = "mine"
      #expect(other.gpu.isTPU == name.hasPrefix("tpu"))
      #expect(NodeFabric.usual(of: other.gpu, gpusPerNode: 8) == own.node)
      for placement in [group(8, perNode: 8), group(16, perNode: 8)] {
        func time(_ cluster: Cluster) -> SimDuration {
          CollectiveModel(cluster: cluster)
            .plan(.allReduce, bytes: 1 << 26, placement: placement).duration
        }
        #expect(time(other) == time(own))
      }
    }
  }

  @Test("PCIe bridges that let more through leave more to ranks that share them")
  func bridges() throws {
    var wide = try cluster("rtx-pro-6000", nodes: 1)
    let usual = FabricConstants.nearest(to: "rtx-pro-6000")
    #expect(usual.bridged(in: wide) == usual)
    // 43 and 44 GB/s are usual: twice the first makes 0.4 of a ring's rate 0.8, four times the other 0.3
    // more than that, of which 0.8 are left.
    wide.node.switchRate = .gigabytesPerSecond(86)
    wide.node.socketRate = .gigabytesPerSecond(176)
    let changed = usual.bridged(in: wide)
    #expect(abs(changed.ring.sharing4 - 0.8) < 1e-12)
    #expect(abs(changed.ring.sharing8 - 0.8) < 1e-12)
    #expect(changed.direct.sharing4 == 1)
  }

  /// Eight nodes with a card of 50 GB/s a GPU.
  private func fast(_ name: String, perNode: Int) throws -> Cluster {
    try cluster(name, nodes: 8, gpusPerNode: perNode, inter: 50)
  }

  @Test("a ring all-gather writes and reads what it moves, a reduce-scatter adds a third pass")
  func memoryTraffic() throws {
    let model = CollectiveModel(cluster: try cluster("a100-sxm-80gb", nodes: 1))
    // 7 of 8 GB in 0.1 s: 70 GB/s, twice and three times.
    for (operation, passes) in [(CollectiveOperation.allGather, 2.0), (.reduceScatter, 3)] {
      let rate = model.memoryTraffic(
        operation, bytes: 8_000_000_000, group(8, perNode: 8), seconds: 0.1)
      #expect(abs(rate.bytesPerSecond - passes * 70e9) < 1)
    }
  }
}
