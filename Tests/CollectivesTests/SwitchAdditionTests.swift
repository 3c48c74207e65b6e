import Collectives
import Hardware
import Quantities
import Testing

/// Where switches add, and what their links' latency costs.
@Suite struct SwitchAdditionTests {
  private func cluster(latency: Double, kind: NodeFabric.Kind = .switched) throws -> Cluster {
    var cluster = try #require(ClusterDesign.named("dgx-h100")).node
    cluster.intraNode.latency = SimDuration(seconds: latency)
    cluster.node.kind = kind
    return cluster
  }

  private let node = GroupPlacement(ranks: 8, ranksPerNode: 8, groupsPerNode: 1)

  @Test("a link's latency is paid on the way up and on the way down") func latency() throws {
    func seconds(_ latency: Double) throws -> Double {
      try CollectiveModel(cluster: cluster(latency: latency)).plan(
        .allReduce, bytes: 8, placement: node, algorithm: .inNetwork
      ).duration.seconds
    }
    // 1 ms instead of 1 us, twice.
    #expect(abs(try seconds(1e-3) - seconds(1e-6) - 2 * (1e-3 - 1e-6)) < 1e-9)
  }

  @Test("without a switch nothing adds", arguments: [NodeFabric.Kind.mesh, .pcie])
  func noSwitch(kind: NodeFabric.Kind) throws {
    let plan = try CollectiveModel(cluster: cluster(latency: 1e-6, kind: kind)).plan(
      .allReduce, bytes: 1 << 28, placement: node)
    #expect(plan.algorithm != .inNetwork)
    let switched = try CollectiveModel(cluster: cluster(latency: 1e-6)).plan(
      .allReduce, bytes: 1 << 28, placement: node)
    #expect(switched.algorithm == .inNetwork)
  }
}
