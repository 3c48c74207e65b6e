public import Hardware
import Quantities

/// Prices and plans collectives on a cluster.
///
/// Each protocol and algorithm is an affine model (start, steps, bytes); like NCCL's tuner the model
/// takes the one that ends first. Making a plan is O(1) and allocates nothing.
public struct CollectiveModel: Sendable {
  /// The cluster.
  public let cluster: Cluster
  let constants: FabricConstants
  /// Seconds by which this link's latency differs from the one the constants were fitted on.
  private let extraLatency: Double

  /// A model of the cluster's collectives.
  public init(cluster: Cluster) {
    self.cluster = cluster
    self.constants = FabricConstants.nearest(to: cluster.gpu.catalogueName).bridged(in: cluster)
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
    if operation == .allReduce, placement.nodes > 1 {
      consider(.doubleBinaryTree)
      if cluster.network.sharp { consider(.collNetChain) }
      if cluster.network.sharp, cluster.node.kind == .switched { consider(.collNetDirect) }
    }
    // NCCL uses NVLS in groups of more than four (measured: 8 H100 do, 4 do not).
    if operation == .allReduce, placement.ranksPerNode > 4 {
      consider(placement.nodes > 1 ? .nvlsTree : .inNetwork)
      if cluster.network.sharp { consider(.inNetwork) }
    }
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
  ///   - nodesApart: nodes from one to the other, where that is known.
  /// - Returns: latency of the protocol plus bytes over the achieved rate; between nodes one NIC.
  public func sendReceiveSeconds(
    bytes: Int64, sameNode: Bool, concurrent: Int = 1, nodesApart: Int? = nil
  ) -> Double {
    let parts = sendReceive(bytes: bytes, sameNode: sameNode, concurrent: concurrent)
    let nearer =
      sameNode
      ? 0
      : nodesApart.map {
        cluster.latency(nodesApart: $0).seconds - cluster.interNode.latency.seconds
      } ?? 0
    return parts.latency + nearer + parts.occupancy
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
    var wire =
      1 / (plan.interNode.secondsPerByte * NetworkConstants.fraction(plan.transferProtocol))
    if plan.algorithm.addsInNetwork(nodes: plan.nodes) { wire *= plan.spared }
    return (cards, wire / (Double(cards) * cluster.interNode.rate.bytesPerSecond))
  }

  /// What a message inside a node takes of its GPU's links on an otherwise idle fabric, in parts of the GPU's rate.
  ///
  /// A tree has up to four messages on its way at once, NVLSTree two.
  public func linkUse(of plan: CollectivePlan) -> Double {
    if [.gather, .scatter, .sendReceive].contains(plan.operation) {
      let senders = plan.operation == .gather ? max(plan.ranksPerNode - 1, 1) : 1
      return cluster.node.pairShare(gpus: cluster.linkedGPUs) / Double(senders)
    }
    let isDirect = [.direct, .hierarchical, .collNetDirect, .collNetChain].contains(plan.algorithm)
    let lines = isDirect ? constants.direct : constants.ring
    let lanes: Double =
      switch plan.algorithm {
      case .doubleBinaryTree: 4
      case .nvlsTree: 2
      default: 1
      }
    return cluster.node.share(of: plan.ranksPerNode, gpus: cluster.linkedGPUs)
      * lines.sharing(plan.ranksPerNode) / lanes
  }

  /// Whether a group's traffic inside a node uses the links to all its members there alike.
  ///
  /// Whatever message stands for it: NCCL's rings go round in every direction a mesh has, its sends to all are
  /// under way at once.
  public func usesAllPeers(_ plan: CollectivePlan) -> Bool {
    if [.gather, .scatter, .sendReceive].contains(plan.operation) { return false }
    return cluster.node.kind != .pcie
      || ![.ring, .doubleBinaryTree, .halvingDoubling].contains(plan.algorithm)
  }

  /// What one transfer between two ranks costs beyond its launch.
  func pointToPoint(
    _ line: ProtocolLine, _ transfer: TransferProtocol, sameNode: Bool
  ) -> (latency: Double, secondsPerByte: Double) {
    if sameNode {
      let fraction =
        (transfer == .simple ? constants.pointToPointFraction : line.moveFraction)
        * cluster.node.pairShare(gpus: cluster.linkedGPUs)
      return (near(line.step), 1 / (cluster.intraNode.rate.bytesPerSecond * fraction))
    }
    let fraction = NetworkConstants.fraction(transfer)
    return (
      cluster.interNode.latency.seconds + NetworkConstants.step(transfer, of: .direct),
      // A node's GPUs send side by side.
      1 / (cluster.cardRate(busy: Double(cluster.gpusPerNode)) * fraction)
    )
  }

  /// A fitted step on this cluster's link.
  func near(_ step: Double) -> Double { max(step + extraLatency, step / 4) }
}
