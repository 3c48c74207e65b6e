import Hardware
import Quantities

/// What the place of a group's nodes in the network costs it.
extension CollectiveModel {
  /// How many times longer its bytes take for want of links above the leaf switches.
  ///
  /// All nodes are taken to be busy with groups like this one: where its nodes are `s` apart, `s` groups
  /// alternate. Of the L nodes below a leaf switch (or a pod), every group has m = L / s. A ring, chain or
  /// tree over neighbouring nodes leaves the switch once for each group, in L / m of its cards on a rail;
  /// pairs leave it with what goes to the other N − m of N nodes. The links above carry L / o cards.
  func slowdown(
    _ algorithm: CollectiveAlgorithm, _ operation: CollectiveOperation,
    _ placement: GroupPlacement
  ) -> Double {
    let network = cluster.network
    guard placement.nodes > 1, !algorithm.addsInNetwork(nodes: placement.nodes) else { return 1 }
    let leaf = cluster.nodesPerLeaf
    var slowest = slowdown(
      algorithm, operation, placement, below: leaf, by: cluster.oversubscription)
    let isTree = cluster.topology == .railFatTree || cluster.topology == .fatTree
    if isTree, network.levels > 2, leaf < .max {
      slowest = max(
        slowest,
        slowdown(
          algorithm, operation, placement, below: leaf * network.leavesPerPod,
          by: max(cluster.oversubscription, 1) * max(network.coreOversubscription, 1)))
    }
    return slowest
  }

  private func slowdown(
    _ algorithm: CollectiveAlgorithm, _ operation: CollectiveOperation,
    _ placement: GroupPlacement, below switches: Int, by oversubscription: Double
  ) -> Double {
    let stride = max(placement.nodeStride, 1)
    guard oversubscription > 1, (placement.nodes - 1) * stride >= switches else { return 1 }
    let nodes = Double(placement.nodes)
    let near = max(1, Double(switches) / Double(stride))
    // The part of the cards below that send out of the switch at the same time.
    let leaving: Double
    switch algorithm {
    case .halvingDoubling:
      // Partners in other nodes are 1, 2, 4, … nodes away and get half as much each time: of
      // 1 − 1/N in all, 1/m − 1/N leaves.
      let part = (1 / near - 1 / nodes) / (1 - 1 / nodes)
      return 1 + part * (oversubscription - 1)
    case .direct where operation == .gather || operation == .scatter: return 1
    case .direct where operation != .sendReceive: leaving = (nodes - near) / (nodes - 1)
    default: leaving = 1 / near
    }
    // On rails every card has a leaf switch of its rail; elsewhere idle cards leave room.
    let siblings = Double(max(placement.groupsPerNode, 1))
    let busy =
      cluster.topology == .railFatTree
      ? 1 : min(1, siblings * Double(placement.ranksPerNode) / Double(cluster.gpusPerNode))
    return max(1, leaving * busy * oversubscription)
  }

  /// Seconds a message between nodes travels: of a ring the mean of its links, else the farthest.
  func latency(_ algorithm: CollectiveAlgorithm, _ placement: GroupPlacement) -> Double {
    let stride = max(placement.nodeStride, 1)
    let next = cluster.latency(nodesApart: stride)
    let far = cluster.latency(nodesApart: (placement.nodes - 1) * stride)
    guard algorithm == .ring || algorithm == .hierarchical, far > next else { return far.seconds }
    let leaf = cluster.nodesPerLeaf
    let leaving = min(1, Double(stride) / Double(leaf))
    return next.seconds + (far - next).seconds * leaving
  }
}
