/// An operation all ranks of a group take part in.
public enum CollectiveOperation: String, Hashable, Sendable, CaseIterable {
  /// Every rank ends with the sum of all inputs.
  case allReduce = "all_reduce"
  /// Every rank ends with its part of the sum.
  case reduceScatter = "reduce_scatter"
  /// Every rank ends with all parts.
  case allGather = "all_gather"
  /// Every rank sends a different part to every other.
  case allToAll = "all_to_all"
  /// One rank's data to all.
  case broadcast
  /// The sum to one rank.
  case reduce
  /// Every rank's part to one rank: what all send meets at its port.
  case gather
  /// A part of one rank's data to each of the others.
  case scatter
  /// Every rank sends to the next and receives from the one before.
  case sendReceive = "sendrecv"

  /// Whether every pair of ranks that exchanges anything does so directly.
  public var isPairwise: Bool {
    switch self {
    case .allToAll, .gather, .scatter, .sendReceive: true
    default: false
    }
  }
}

/// Where the ranks of a group sit, as far as cost is concerned.
public struct GroupPlacement: Hashable, Sendable {
  /// Ranks in the group.
  public var ranks: Int
  /// Ranks of the group in each node it touches (equal in all nodes).
  public var ranksPerNode: Int
  /// Groups of the same kind that use the NICs of a node at the same time, this one included.
  ///
  /// A node of 8 GPUs whose 8 tensor ranks each reduce with their own data group has 8.
  public var groupsPerNode: Int
  /// Nodes from one node of the group to its next.
  ///
  /// A data group around 4 pipeline stages of whole nodes has 1 where stages are outermost, 4 where they are
  /// innermost.
  public var nodeStride: Int

  /// A group of `ranks`, `ranksPerNode` to a node, beside `groupsPerNode` − 1 others.
  public init(ranks: Int, ranksPerNode: Int, groupsPerNode: Int, nodeStride: Int = 1) {
    self.ranks = ranks
    self.ranksPerNode = ranksPerNode
    self.groupsPerNode = groupsPerNode
    self.nodeStride = nodeStride
  }

  /// Nodes the group touches.
  public var nodes: Int { ranks / ranksPerNode }
}
