import Collectives
import Hardware
public import Layout

/// Where the groups of each axis sit on the nodes.
struct Placements {
  let cluster: Cluster
  let grid: RankGrid
  private let byAxis: [GroupPlacement]

  /// Without experts nobody stands with anybody for their sake.
  init(cluster: Cluster, grid: RankGrid, hasExperts: Bool) {
    self.cluster = cluster
    self.grid = grid
    byAxis = CommunicationAxis.allCases.map { axis in
      if let kind = axis.groupKind {
        guard hasExperts || !kind.isForExperts else {
          return GroupPlacement(ranks: 1, ranksPerNode: 1, groupsPerNode: 1)
        }
        let spread = grid.spread(kind, gpusPerNode: cluster.gpusPerNode)
        return Self.even(
          ranks: spread.ranks, perNode: spread.ranksPerNode, groups: spread.groupsPerNode,
          stride: spread.nodeStride)
      }
      let parallelism = grid.parallelism
      let node = cluster.gpusPerNode
      let stage = grid.stride(.pipeline)
      if axis == .embedding {
        let sharesNode = stage * (parallelism.pipeline - 1) < node
        let firsts = (0..<min(node, grid.rankCount)).count { grid.stage(of: $0) == 0 }
        return Self.even(
          ranks: min(2, parallelism.pipeline), perNode: sharesNode ? 2 : 1,
          groups: sharesNode ? 1 : firsts, stride: stage * (parallelism.pipeline - 1) / node)
      }
      // All ranks of one model copy, rank 0's: those of them that sit in the first node.
      let ranks = parallelism.tensor * parallelism.pipeline
      var perNode = 0
      for stagePlace in 0..<parallelism.pipeline where stagePlace * stage < node {
        perNode += (0..<parallelism.tensor).count {
          stagePlace * stage + $0 * grid.stride(.tensor) < node
        }
      }
      return Self.even(ranks: ranks, perNode: perNode, groups: 1)
    }
  }

  /// How a group of the axis sits on the nodes.
  func placement(of axis: CommunicationAxis) -> GroupPlacement { byAxis[axis.rawValue] }

  /// Whether neighbouring stages share a node.
  func sharesNode(_ stage: Int, _ other: Int) -> Bool {
    let stride = grid.stride(.pipeline)
    return cluster.node(of: stage * stride) == cluster.node(of: other * stride)
  }

  /// Nodes from one stage's first to the other's.
  func nodesApart(_ stage: Int, _ other: Int) -> Int {
    let stride = grid.stride(.pipeline)
    return abs(cluster.node(of: stage * stride) - cluster.node(of: other * stride))
  }

  /// Whether some neighbouring stages sit on different nodes.
  var stagesCrossNodes: Bool {
    (1..<max(1, grid.parallelism.pipeline)).contains { !sharesNode($0 - 1, $0) }
  }

  /// A placement with equally many ranks in each node: the most that divides.
  private static func even(
    ranks: Int, perNode: Int, groups: Int, stride: Int = 1
  ) -> GroupPlacement {
    var perNode = max(1, min(perNode, ranks))
    while ranks % perNode != 0 { perNode -= 1 }
    return GroupPlacement(
      ranks: ranks, ranksPerNode: perNode, groupsPerNode: groups, nodeStride: max(1, stride))
  }
}

extension TrainingJob {
  /// The ranks of a data group that cannot be equally many in each of its nodes, and how many lie in one.
  ///
  /// `nil` where they can. Collectives are priced with equally many in each node, as many as divide the group:
  /// seven ranks, four to a node, as seven nodes with one network card each.
  public var unevenDataGroup: (ranks: Int, perNode: Int)? {
    let spread = RankGrid(parallelism).spread(.gradient, gpusPerNode: cluster.gpusPerNode)
    guard spread.nodes > 1, spread.ranks % spread.nodes != 0 else { return nil }
    return (spread.ranks, spread.ranksPerNode)
  }
}

extension CommunicationAxis {
  /// The group of the rank grid, but for the two that span stages.
  public var groupKind: GroupKind? {
    switch self {
    case .tensor: .tensor
    case .context: .context
    case .expert: .expert
    case .expertTensor: .expertTensor
    case .data: .gradient
    case .shard: .shard
    case .replica: .replica
    case .expertData: .expertData
    case .expertShard: .expertShard
    case .expertReplica: .expertReplica
    case .secondary: .secondary
    case .embedding, .model: nil
    }
  }
}
