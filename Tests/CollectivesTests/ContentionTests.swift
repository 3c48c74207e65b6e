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
