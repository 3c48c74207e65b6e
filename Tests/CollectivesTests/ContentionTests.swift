import Collectives
import Hardware
import Quantities
import Testing

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

  @Test("the GPU type decides on channels, whatever its name and its switch")
  func channelsOfType() throws {
    let superchip = CollectiveModel(cluster: try fast("gh200-96gb", perNode: 4))
    // Two a card of four, doubled.
    #expect(superchip.channels(group(32, perNode: 4)) == 16)
    let ampere = CollectiveModel(cluster: try fast("a100-sxm-80gb", perNode: 4))
    #expect(ampere.channels(group(32, perNode: 4)) == 8)
    let types: [(String, Int?)] = [
      ("mi300x", nil), ("v100-sxm2-32gb", 12), ("h100-sxm-80gb", 24),
    ]
    for (name, channels) in types {
      var renamed = try cluster(name, nodes: 1)
      renamed.gpu.name = "x"
      #expect(CollectiveModel(cluster: renamed).channels(group(8, perNode: 8)) == channels)
    }
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
