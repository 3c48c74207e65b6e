/// An axis of the rank grid.
public enum Axis: String, Hashable, Sendable, CaseIterable {
  /// Ranks that share each weight matrix.
  case tensor
  /// Ranks that share each sequence.
  case context
  /// Replicas of the model, sharded or not.
  case data
  /// Ranks that share the layers.
  case pipeline

  /// The axis Megatron-LM calls `name` in an order of the axes: tp, cp, dp or pp.
  public init?(short name: some StringProtocol) {
    switch name {
    case "tp": self = .tensor
    case "cp": self = .context
    case "dp": self = .data
    case "pp": self = .pipeline
    default: return nil
    }
  }

  /// What Megatron-LM calls the axis in an order of the axes.
  public var shortName: String {
    switch self {
    case .tensor: "tp"
    case .context: "cp"
    case .data: "dp"
    case .pipeline: "pp"
    }
  }
}

extension Parallelism {
  /// The order of the axes as Megatron-LM writes it: `tp-cp-dp-pp`.
  public var orderText: String { order.map(\.shortName).joined(separator: "-") }
}

/// Ranks that communicate with one another for one purpose.
public enum GroupKind: String, Hashable, Sendable, CaseIterable {
  /// Share each weight matrix.
  case tensor
  /// Share each sequence.
  case context
  /// Hold the same part of the model and see different sequences.
  case data
  /// Hold consecutive stages.
  case pipeline
  /// Reduce dense gradients: data × context.
  case gradient
  /// Of the gradient group, those that share one copy of the sharded states.
  case shard
  /// Of the gradient group, those that hold the same shard.
  case replica
  /// Exchange tokens with one another's experts.
  case expert
  /// Share each expert's matrices.
  case expertTensor
  /// Reduce the gradients of the same experts.
  case expertData
  /// Of the expert-data group, those that share one copy of the experts' sharded states.
  case expertShard
  /// Of the expert-data group, those that hold the same shard of them.
  case expertReplica
  /// Of the gradient group, those that share a second copy of the parameters (ZeRO++).
  case secondary
  /// All ranks.
  case world

  /// Whether the group is there for a mixture of experts only.
  public var isForExperts: Bool {
    switch self {
    case .expert, .expertTensor, .expertData, .expertShard, .expertReplica: true
    case .tensor, .context, .data, .pipeline, .gradient, .shard, .replica, .secondary, .world: false
    }
  }
}

/// Where a rank stands on each axis.
public struct Coordinate: Hashable, Sendable {
  /// Position in the tensor group.
  public var tensor: Int
  /// Position in the context group.
  public var context: Int
  /// Position in the data group.
  public var data: Int
  /// Position in the pipeline group.
  public var pipeline: Int

  /// A position on each axis.
  public init(tensor: Int = 0, context: Int = 0, data: Int = 0, pipeline: Int = 0) {
    self.tensor = tensor
    self.context = context
    self.data = data
    self.pipeline = pipeline
  }

  /// The position on `axis`.
  public subscript(axis: Axis) -> Int {
    get {
      switch axis {
      case .tensor: tensor
      case .context: context
      case .data: data
      case .pipeline: pipeline
      }
    }
    set {
      switch axis {
      case .tensor: tensor = newValue
      case .context: context = newValue
      case .data: data = newValue
      case .pipeline: pipeline = newValue
      }
    }
  }
}

/// Where a rank stands among the experts.
public struct ExpertCoordinate: Hashable, Sendable {
  /// Position in the expert-tensor group.
  public var tensor: Int
  /// Position in the expert group: which of the experts it holds.
  public var expert: Int
  /// Position in the expert-data group.
  public var data: Int

  /// A position in each of the groups.
  public init(tensor: Int = 0, expert: Int = 0, data: Int = 0) {
    self.tensor = tensor
    self.expert = expert
    self.data = data
  }
}

/// The grid a layout lays its ranks out on: which rank stands where, and in which groups.
///
/// Ranks are numbered along the axes in ``order``, fastest first. Node n holds
/// the ranks from n × GPUs per node on. The experts have a grid of their own over the ranks of a
/// pipeline stage, in rank order: expert tensor fastest, then expert, then expert data
/// (Megatron-Core, parallel_state.py).
public struct RankGrid: Hashable, Sendable {
  /// The degrees.
  public let parallelism: Parallelism
  /// The axes, fastest first.
  public let order: [Axis]
  /// Ranks from one position to the next on each axis, in the order of ``Axis/allCases``.
  private let strides: [Int]

  /// The grid of `parallelism`, its axes in its order.
  public init(_ parallelism: Parallelism) {
    let order = parallelism.order
    precondition(
      order.count == 4 && Set(order).count == 4, "each axis once, not \(order)")
    self.parallelism = parallelism
    self.order = order
    var strides = [1, 1, 1, 1]
    var stride = 1
    for axis in order {
      strides[Self.index(axis)] = stride
      stride *= Self.degree(axis, parallelism)
    }
    self.strides = strides
  }

  /// Ranks of the grid.
  public var rankCount: Int { parallelism.gpuCount }

  /// The pipeline stage of `rank`.
  public func stage(of rank: Int) -> Int {
    rank / stride(.pipeline) % parallelism.pipeline
  }

  /// Ranks of one pipeline stage.
  public var ranksPerStage: Int { parallelism.tensor * parallelism.context * parallelism.data }

  /// Ranks that reduce the gradients of the same experts.
  public var expertData: Int {
    ranksPerStage / (parallelism.expert * parallelism.expertTensor)
  }

  /// Ranks that share one copy of the sharded states: the shard group, or all data × context.
  public var shardGroup: Int {
    parallelism.shardGroup ?? parallelism.data * parallelism.context
  }

  /// Ranks that share one copy of the experts' sharded states.
  ///
  /// There are as many copies as of the other states, as far as the expert-data group divides (Megatron-Core's
  /// `num_distributed_optimizer_instances`; torchtitan's `dp_replicate`).
  public var expertShardGroup: Int {
    var copies = min(parallelism.data * parallelism.context / shardGroup, expertData)
    while !expertData.isMultiple(of: copies) { copies -= 1 }
    return expertData / copies
  }

  /// Positions on `axis`.
  public func degree(_ axis: Axis) -> Int { Self.degree(axis, parallelism) }

  /// Ranks from one position on `axis` to the next.
  public func stride(_ axis: Axis) -> Int { strides[Self.index(axis)] }

  /// Where `rank` stands.
  public func coordinate(of rank: Int) -> Coordinate {
    precondition(rank >= 0 && rank < rankCount, "rank \(rank) of \(rankCount)")
    var coordinate = Coordinate()
    for axis in Axis.allCases { coordinate[axis] = rank / stride(axis) % degree(axis) }
    return coordinate
  }

  /// The rank that stands at `coordinate`.
  public func rank(at coordinate: Coordinate) -> Int {
    Axis.allCases.reduce(0) { $0 + coordinate[$1] * stride($1) }
  }

  /// Where `rank` stands among the experts.
  public func expertCoordinate(of rank: Int) -> ExpertCoordinate {
    let index = stageIndex(of: rank)
    let tensor = parallelism.expertTensor
    return ExpertCoordinate(
      tensor: index % tensor, expert: index / tensor % parallelism.expert,
      data: index / (tensor * parallelism.expert))
  }

  /// Position of `rank` among the ranks of its pipeline stage, in rank order.
  public func stageIndex(of rank: Int) -> Int {
    let coordinate = coordinate(of: rank)
    var index = 0
    var weight = 1
    for axis in order where axis != .pipeline {
      index += coordinate[axis] * weight
      weight *= degree(axis)
    }
    return index
  }

  /// The group of `kind` that `rank` belongs to.
  /// - Precondition: the layout is valid (``Parallelism/problems(_:)`` finds none): the expert and
  ///   shard degrees divide the ranks they split.
  public func group(_ kind: GroupKind, containing rank: Int) -> StridedGroup {
    let levels = levels(of: kind)
    return StridedGroup(first: first(levels, rank), levels: levels)
  }

  /// Every group of `kind`, by first rank.
  public func groups(_ kind: GroupKind) -> [StridedGroup] {
    let levels = levels(of: kind)
    return (0..<rankCount).filter { first(levels, $0) == $0 }
      .map { StridedGroup(first: $0, levels: levels) }
  }

  /// Ranks in a group of `kind`.
  public func size(_ kind: GroupKind) -> Int {
    levels(of: kind).reduce(1) { $0 * $1.count }
  }

  /// The first rank of the pattern `levels` that passes through `rank`: every level is undone.
  private func first(_ levels: [StridedGroup.Level], _ rank: Int) -> Int {
    levels.reduce(rank) { $0 - $0 / $1.stride % $1.count * $1.stride }
  }

  /// The pattern of the groups of `kind`.
  func levels(of kind: GroupKind) -> [StridedGroup.Level] {
    switch kind {
    case .tensor: return StridedGroup.merged([level(.tensor)])
    case .context: return StridedGroup.merged([level(.context)])
    case .data: return StridedGroup.merged([level(.data)])
    case .pipeline: return StridedGroup.merged([level(.pipeline)])
    case .gradient: return gradientLevels
    case .world: return StridedGroup.merged(order.map { level($0) })
    case .shard: return halves(gradientLevels, after: shardGroup, "shard group").inner
    case .replica: return halves(gradientLevels, after: shardGroup, "shard group").outer
    case .secondary:
      return halves(
        gradientLevels, after: parallelism.sharding.secondaryGroup ?? 1, "secondary group"
      ).inner
    case .expertTensor:
      return halves(stageLevels, after: parallelism.expertTensor, "expert tensor degree").inner
    case .expert:
      let rest = halves(stageLevels, after: parallelism.expertTensor, "expert tensor degree").outer
      return halves(rest, after: parallelism.expert, "expert degree").inner
    case .expertData: return expertDataLevels
    case .expertShard: return halves(expertDataLevels, after: expertShardGroup, "shards").inner
    case .expertReplica: return halves(expertDataLevels, after: expertShardGroup, "shards").outer
    }
  }

  /// Pattern of the ranks of a pipeline stage.
  var stageLevels: [StridedGroup.Level] {
    StridedGroup.merged(order.filter { $0 != .pipeline }.map { level($0) })
  }

  /// Pattern of the ranks that reduce dense gradients.
  var gradientLevels: [StridedGroup.Level] {
    StridedGroup.merged(order.filter { $0 == .context || $0 == .data }.map { level($0) })
  }

  /// Pattern of the ranks that hold the same experts.
  private var expertDataLevels: [StridedGroup.Level] {
    let inside = parallelism.expertTensor * parallelism.expert
    return halves(stageLevels, after: inside, "expert × expert tensor degree").outer
  }

  private func level(_ axis: Axis) -> StridedGroup.Level {
    StridedGroup.Level(count: degree(axis), stride: stride(axis))
  }

  /// The levels below and above `count` members.
  private func halves(
    _ levels: [StridedGroup.Level], after count: Int, _ what: String
  ) -> (inner: [StridedGroup.Level], outer: [StridedGroup.Level]) {
    guard let halves = StridedGroup.split(levels, after: count) else {
      preconditionFailure("\(what) of \(count) does not divide \(levels)")
    }
    return halves
  }

  /// How the group of `kind` that `rank` belongs to lies over nodes of `gpusPerNode` ranks.
  ///
  /// - Complexity: O(members).
  public func spread(_ kind: GroupKind, containing rank: Int = 0, gpusPerNode: Int) -> GroupSpread {
    let levels = levels(of: kind)
    let group = StridedGroup(first: first(levels, rank), levels: levels)
    let nodes = group.nodes(of: gpusPerNode)
    let last = levels.reduce(group.first) { $0 + ($1.count - 1) * $1.stride }
    let node = rank / gpusPerNode
    let end = min((node + 1) * gpusPerNode, rankCount)
    let firsts = Set((node * gpusPerNode..<end).map { first(levels, $0) })
    return GroupSpread(
      ranks: group.count, ranksPerNode: nodes.fullest, nodes: nodes.count,
      groupsPerNode: firsts.count,
      nodeStride: nodes.count > 1
        ? (last / gpusPerNode - group.first / gpusPerNode) / (nodes.count - 1) : 1)
  }

  private static func index(_ axis: Axis) -> Int {
    switch axis {
    case .tensor: 0
    case .context: 1
    case .data: 2
    case .pipeline: 3
    }
  }

  private static func degree(_ axis: Axis, _ parallelism: Parallelism) -> Int {
    switch axis {
    case .tensor: parallelism.tensor
    case .context: parallelism.context
    case .data: parallelism.data
    case .pipeline: parallelism.pipeline
    }
  }
}
