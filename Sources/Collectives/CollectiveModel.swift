public import Hardware
import Quantities

/// Prices and plans collectives on a cluster.
///
/// Each protocol and algorithm is an affine model (start, steps, bytes); like NCCL's tuner the model
/// takes the one that ends first. Making a plan is O(1) and allocates nothing.
public struct CollectiveModel: Sendable {
  /// The cluster.
  public let cluster: Cluster
  private let constants: FabricConstants
  /// Seconds by which this link's latency differs from the one the constants were fitted on.
  private let extraLatency: Double

  /// A model of the cluster's collectives.
  public init(cluster: Cluster) {
    self.cluster = cluster
    self.constants = .nearest(to: cluster.gpu.name)
    self.extraLatency = cluster.intraNode.latency.seconds - constants.linkLatency
  }

  /// Plans a collective.
  ///
  /// - Parameters:
  ///   - operation: what is done.
  ///   - bytes: the size as nccl-tests counts it: the buffer of all-reduce, broadcast and reduce, the
  ///     gathered total of all-gather, the total input of reduce-scatter, what one rank sends in all
  ///     (its own part included) in all-to-all.
  ///   - placement: where the members sit.
  ///   - algorithm: the algorithm to use, or `nil` for the one that ends first. One that does not
  ///     apply falls back to the ring (all-to-all, gather and
  ///     send/receive: to direct).
  /// - Returns: the plan; for one member it takes no time.
  /// - Complexity: O(1).
  public func plan(
    _ operation: CollectiveOperation, bytes: Int64, placement: GroupPlacement,
    algorithm: CollectiveAlgorithm? = nil
  ) -> CollectivePlan {
    if let algorithm {
      let usable =
        applies(algorithm, to: operation, placement)
        ? algorithm : operation.isPairwise ? .direct : .ring
      return fastest(usable, operation, bytes, placement)
    }
    if operation.isPairwise { return fastest(.direct, operation, bytes, placement) }
    var best = fastest(.ring, operation, bytes, placement)
    func consider(_ algorithm: CollectiveAlgorithm) {
      guard applies(algorithm, to: operation, placement) else { return }
      let other = fastest(algorithm, operation, bytes, placement)
      if other.duration < best.duration { best = other }
    }
    if operation == .allReduce, placement.nodes > 1 { consider(.doubleBinaryTree) }
    // NCCL uses NVLS in groups of more than four (measured: 8 H100 do, 4 do not). On several nodes
    // measured rates are the NICs' (32 B200: 382 of 400 GB/s), so it is not chosen there.
    if operation == .allReduce, placement.ranks > 4, placement.nodes == 1 { consider(.inNetwork) }
    // NCCL's PAT, logarithmic as halving-doubling, serves groups of one rank a node.
    if operation != .allReduce, placement.ranksPerNode == 1 { consider(.halvingDoubling) }
    return best
  }

  /// Time of a point-to-point transfer between two ranks, such as a pipeline stage's send.
  ///
  /// - Parameters:
  ///   - bytes: payload.
  ///   - sameNode: whether both sit in one scale-up domain.
  ///   - concurrent: transfers that share the sender's link or NIC at that time, this one included.
  /// - Returns: latency of the protocol plus bytes over the achieved rate; between nodes one NIC.
  public func sendReceiveSeconds(
    bytes: Int64, sameNode: Bool, concurrent: Int = 1
  ) -> Double {
    let parts = sendReceive(bytes: bytes, sameNode: sameNode, concurrent: concurrent)
    return parts.latency + parts.occupancy
  }

  /// A point-to-point transfer in two parts: what it waits for, and how long it keeps the link busy.
  public func sendReceive(
    bytes: Int64, sameNode: Bool, concurrent: Int = 1
  ) -> (latency: Double, occupancy: Double) {
    let share = 1 / Double(max(concurrent, 1))
    func time(_ line: ProtocolLine, _ transfer: TransferProtocol) -> (Double, Double) {
      let hop = pointToPoint(line, transfer, sameNode: sameNode)
      return (line.base + hop.latency, Double(bytes) * hop.secondsPerByte / share)
    }
    let lines = constants.ring
    var best = time(lines.lowLatency, .lowLatency)
    func consider(_ other: (Double, Double)) {
      if other.0 + other.1 < best.0 + best.1 { best = other }
    }
    consider(time(lines.simple, .simple))
    if let line = lines.lowLatency128 { consider(time(line, .lowLatency128)) }
    return best
  }

  /// What a message between nodes takes of the cards it crosses on an otherwise idle fabric.
  ///
  /// - Parameter plan: a plan of this model.
  /// - Returns: the cards at each end, and the part of each card's rate, protocol overhead included.
  public func cardUse(of plan: CollectivePlan) -> (cards: Int, demand: Double) {
    let cards = plan.algorithm.sendsFromEachRank ? 1 : plan.ranksPerNode
    let wire =
      1 / (plan.interNode.secondsPerByte * NetworkConstants.fraction(plan.transferProtocol))
    return (cards, wire / (Double(cards) * cluster.interNode.rate.bytesPerSecond))
  }

  /// What one transfer between two ranks costs beyond its launch.
  private func pointToPoint(
    _ line: ProtocolLine, _ transfer: TransferProtocol, sameNode: Bool
  ) -> (latency: Double, secondsPerByte: Double) {
    if sameNode {
      let fraction = transfer == .simple ? constants.pointToPointFraction : line.moveFraction
      return (near(line.step), 1 / (cluster.intraNode.rate.bytesPerSecond * fraction))
    }
    let fraction = NetworkConstants.fraction(transfer)
    return (
      cluster.interNode.latency.seconds + NetworkConstants.step(transfer),
      1 / (cluster.interNode.rate.bytesPerSecond * fraction)
    )
  }

  /// A fitted step on this cluster's link.
  private func near(_ step: Double) -> Double { max(step + extraLatency, step / 4) }

  /// Whether the algorithm can do that operation there.
  private func applies(
    _ algorithm: CollectiveAlgorithm, to operation: CollectiveOperation,
    _ placement: GroupPlacement
  ) -> Bool {
    let isScatterGather = [.allReduce, .allGather, .reduceScatter].contains(operation)
    switch algorithm {
    case .ring: return !operation.isPairwise
    case .doubleBinaryTree: return operation == .allReduce
    case .halvingDoubling:
      return isScatterGather && placement.ranks.nonzeroBitCount == 1
    case .direct: return operation.isPairwise || isScatterGather && placement.nodes == 1
    case .hierarchical: return operation == .allReduce && placement.nodes > 1
    case .inNetwork:
      return operation == .allReduce && constants.inNetwork != nil && placement.ranksPerNode > 1
    }
  }

  /// The plan under the protocol that ends first.
  private func fastest(
    _ algorithm: CollectiveAlgorithm, _ operation: CollectiveOperation, _ bytes: Int64,
    _ placement: GroupPlacement
  ) -> CollectivePlan {
    var best = price(algorithm, operation, bytes, placement, .simple)
    func consider(_ transfer: TransferProtocol) {
      let other = price(algorithm, operation, bytes, placement, transfer)
      if other.duration < best.duration { best = other }
    }
    consider(.lowLatency)
    if constants.ring.lowLatency128 != nil || constants.direct.lowLatency128 != nil {
      consider(.lowLatency128)
    }
    return best
  }

  private func price(
    _ algorithm: CollectiveAlgorithm, _ operation: CollectiveOperation, _ bytes: Int64,
    _ placement: GroupPlacement, _ transfer: TransferProtocol
  ) -> CollectivePlan {
    if operation == .gather || operation == .sendReceive {
      return pricePairs(operation, bytes, placement, transfer)
    }
    let pairwise = algorithm == .direct
    let lines = pairwise ? constants.direct : constants.ring
    let line = lines[transfer] ?? lines.simple
    let adds = operation == .allReduce || operation == .reduce
    let linkRate = cluster.intraNode.rate.bytesPerSecond
    let rate =
      linkRate * (adds ? line.reduceFraction : line.moveFraction)
      * lines.sharing(placement.ranksPerNode)
    var intra = HopCost(
      latency: SimDuration(seconds: near(line.step)), secondsPerByte: 1 / rate)
    var inter = interNode(transfer, placement, perRank: algorithm.sendsFromEachRank)
    var start = line.base
    let part = Double(bytes) / Double(placement.ranks)
    switch algorithm {
    case .ring where operation != .broadcast && operation != .reduce, .direct:
      start += part * (adds ? lines.reduceCopy : lines.moveCopy) / rate
    case .doubleBinaryTree:
      // A node passes on 2 × the buffer (up 1, down 2 in one tree, up 1 in the other, half each);
      // of two nodes, only once.
      // Of two nodes each tree is one link, as of a ring.
      intra.secondsPerByte *= 4
      inter.secondsPerByte *= placement.nodes == 2 ? 2 : 4 / NetworkConstants.treeFraction
    case .inNetwork:
      if let lines = constants.inNetwork {
        let ranks = Double(placement.ranksPerNode)
        let large = transfer == .simple
        start = large ? lines.largeBase : lines.smallBase
        let fraction = large ? lines.largeFraction : lines.smallFraction
        // bytes × (1 + 1/n) spread over 2 (n − 1) steps of bytes / n.
        intra = HopCost(
          latency: .zero,
          secondsPerByte: (1 + 1 / ranks) * ranks / (2 * (ranks - 1)) / (linkRate * fraction))
      }
    default: break
    }
    return CollectivePlan(
      operation: operation, algorithm: algorithm, transferProtocol: transfer, bytes: bytes,
      ranks: placement.ranks, ranksPerNode: placement.ranksPerNode,
      launch: SimDuration(seconds: start), intraNode: intra, interNode: inter,
      pipelineChunk: transfer.slice * Self.channels / (algorithm == .doubleBinaryTree ? 2 : 1))
  }

  /// Channels NCCL opens between nodes of eight GPUs and cards: two a card, as its logs show
  /// (`16 coll channels`); half of them run each of the two trees.
  private static let channels: Int64 = 16

  /// Transfers between pairs of ranks, all at once; of a gather all that come over one port share it.
  private func pricePairs(
    _ operation: CollectiveOperation, _ bytes: Int64, _ placement: GroupPlacement,
    _ transfer: TransferProtocol
  ) -> CollectivePlan {
    let line = constants.ring[transfer] ?? constants.ring.simple
    let used = constants.ring[transfer] == nil ? TransferProtocol.simple : transfer
    func hop(sameNode: Bool, senders: Int) -> HopCost {
      let cost = pointToPoint(line, used, sameNode: sameNode)
      return HopCost(
        latency: SimDuration(seconds: cost.latency),
        secondsPerByte: cost.secondsPerByte * Double(operation == .gather ? max(senders, 1) : 1))
    }
    return CollectivePlan(
      operation: operation, algorithm: .direct, transferProtocol: used, bytes: bytes,
      ranks: placement.ranks, ranksPerNode: placement.ranksPerNode,
      launch: SimDuration(seconds: line.base),
      intraNode: hop(sameNode: true, senders: placement.ranksPerNode - 1),
      interNode: hop(sameNode: false, senders: placement.ranks - placement.ranksPerNode),
      pipelineChunk: transfer.slice)
  }

  /// A hop between nodes over all NICs the group has in a node, or over one rank's share of them.
  ///
  /// A node has `gpusPerNode` NICs of the inter-node rate. A group uses those nearest to its ranks,
  /// at most one a rank, and its even share when sibling groups use them too. Traffic of a group
  /// that does not fit under one leaf switch has its rate divided by the oversubscription.
  private func interNode(
    _ transfer: TransferProtocol, _ placement: GroupPlacement, perRank: Bool
  ) -> HopCost {
    let share = Double(cluster.gpusPerNode) / Double(max(placement.groupsPerNode, 1))
    let cards = min(share, Double(placement.ranksPerNode))
    var rate =
      cluster.interNode.rate.bytesPerSecond * NetworkConstants.fraction(transfer)
      * (perRank ? cards / Double(placement.ranksPerNode) : cards)
    if placement.nodes > cluster.nodesPerLeaf { rate /= max(cluster.oversubscription, 1) }
    let latency = cluster.interNode.latency.seconds + NetworkConstants.step(transfer)
    return HopCost(latency: SimDuration(seconds: latency), secondsPerByte: 1 / rate)
  }
}
