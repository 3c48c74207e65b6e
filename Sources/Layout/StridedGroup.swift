/// Ranks at regular distances: a base and one or more (count, stride) levels, fastest first.
///
/// Every group of a rank grid has this form, so it costs a few words whatever its size.
public struct StridedGroup: Hashable, Sendable {
  /// One level of the pattern.
  public struct Level: Hashable, Sendable {
    /// Steps on this level.
    public var count: Int
    /// Ranks from one step to the next.
    public var stride: Int

    /// `count` steps of `stride` ranks.
    public init(count: Int, stride: Int) {
      self.count = count
      self.stride = stride
    }
  }

  /// The first rank.
  public let first: Int
  /// The levels, fastest first; levels of one step are left out and adjoining ones merged.
  public let levels: [Level]

  /// The group that starts at `first` and steps along `levels`.
  public init(first: Int, levels: [Level]) {
    self.first = first
    self.levels = Self.merged(levels)
  }

  /// Ranks in the group.
  public var count: Int { levels.reduce(1) { $0 * $1.count } }

  /// Rank of the member `index`.
  /// - Precondition: `index` is in `0..<count`.
  public subscript(index: Int) -> Int {
    precondition(index >= 0 && index < count, "member \(index) of a group of \(count)")
    var rank = first
    var rest = index
    for level in levels {
      rank += rest % level.count * level.stride
      rest /= level.count
    }
    return rank
  }

  /// All members, in group order.
  public var members: [Int] { (0..<count).map { self[$0] } }

  /// How many nodes of `ranks` ranks the members touch, and how many of them the fullest holds.
  ///
  /// Levels of a rank grid lie inside one another: along ascending strides the members ascend, so those
  /// of a node follow one another.
  func nodes(of ranks: Int) -> (count: Int, fullest: Int) {
    let ascending = levels.sorted { $0.stride < $1.stride }
    guard let inner = ascending.first else { return (1, 1) }
    var steps = Array(repeating: 0, count: ascending.count)
    var start = first
    var node = -1
    var here = 0
    var found = (count: 0, fullest: 0)
    while true {
      var member = start
      for _ in 0..<inner.count {
        if member / ranks == node {
          here += 1
        } else {
          node = member / ranks
          here = 1
          found.count += 1
        }
        found.fullest = max(found.fullest, here)
        member += inner.stride
      }
      var level = 1
      while level < ascending.count {
        steps[level] += 1
        start += ascending[level].stride
        if steps[level] < ascending[level].count { break }
        start -= ascending[level].stride * ascending[level].count
        steps[level] = 0
        level += 1
      }
      if level == ascending.count { return found }
    }
  }

  /// Position of `rank` in the group, if it is a member.
  public func index(of rank: Int) -> Int? {
    var offset = rank - first
    guard offset >= 0 else { return nil }
    var index = 0
    var weight = count
    // From the slowest level to the fastest; strides grow with the level.
    for level in levels.sorted(by: { $0.stride > $1.stride }) {
      let step = min(offset / level.stride, level.count - 1)
      offset -= step * level.stride
      weight = 1
      for other in levels {
        if other == level { break }
        weight *= other.count
      }
      index += step * weight
    }
    return offset == 0 ? index : nil
  }

  /// Levels without those of one step, with those that continue each other as one.
  static func merged(_ levels: [Level]) -> [Level] {
    var result: [Level] = []
    for level in levels where level.count > 1 {
      if let last = result.last, last.stride * last.count == level.stride {
        result[result.count - 1].count *= level.count
      } else {
        result.append(level)
      }
    }
    return result
  }

  /// The levels split into the first `count` members and the steps from one such block to the next.
  ///
  /// `nil` when a block would end inside a level that it does not divide.
  static func split(_ levels: [Level], after count: Int) -> (inner: [Level], outer: [Level])? {
    var inner: [Level] = []
    var outer: [Level] = []
    var rest = count
    for level in merged(levels) {
      if rest == 1 {
        outer.append(level)
      } else if rest.isMultiple(of: level.count) {
        inner.append(level)
        rest /= level.count
      } else if level.count.isMultiple(of: rest) {
        inner.append(Level(count: rest, stride: level.stride))
        outer.append(Level(count: level.count / rest, stride: level.stride * rest))
        rest = 1
      } else {
        return nil
      }
    }
    return rest == 1 ? (inner, outer) : nil
  }
}

/// Where the members of a group sit: what a collective over it costs depends on this alone.
public struct GroupSpread: Hashable, Sendable {
  /// Ranks in the group.
  public var ranks: Int
  /// Most ranks of the group in one node.
  public var ranksPerNode: Int
  /// Nodes the group touches.
  public var nodes: Int
  /// Groups of the same kind with members in the node, this one included: they share its NICs.
  public var groupsPerNode: Int
  /// Nodes from one node of the group to the next, in the mean, rounded down; 1 in one node.
  public var nodeStride: Int

  /// A spread from its counts.
  public init(ranks: Int, ranksPerNode: Int, nodes: Int, groupsPerNode: Int, nodeStride: Int = 1) {
    self.ranks = ranks
    self.ranksPerNode = ranksPerNode
    self.nodes = nodes
    self.groupsPerNode = groupsPerNode
    self.nodeStride = nodeStride
  }
}
