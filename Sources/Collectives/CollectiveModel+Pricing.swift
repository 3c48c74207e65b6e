import Hardware
import Quantities

extension CollectiveModel {
  /// Whether the algorithm can do that operation there.
  func applies(
    _ algorithm: CollectiveAlgorithm, to operation: CollectiveOperation,
    _ placement: GroupPlacement
  ) -> Bool {
    let isScatterGather = [.allReduce, .allGather, .reduceScatter].contains(operation)
    let isSpread = operation == .allReduce && placement.nodes > 1
    let addsInside =
      operation == .allReduce && constants.inNetwork != nil && cluster.node.adds
      && cluster.node.kind == .switched
      && placement.ranksPerNode > 1
    switch algorithm {
    case .ring: return !operation.isPairwise
    case .doubleBinaryTree: return operation == .allReduce
    case .halvingDoubling:
      return isScatterGather && placement.ranks.nonzeroBitCount == 1
    case .direct: return operation.isPairwise || isScatterGather && placement.nodes == 1
    case .hierarchical: return isSpread
    case .inNetwork: return addsInside && (placement.nodes == 1 || cluster.network.sharp)
    case .nvlsTree: return addsInside && isSpread
    case .collNetDirect, .collNetChain: return isSpread && cluster.network.sharp
    }
  }

  /// The plan under the protocol that ends first.
  func fastest(
    _ algorithm: CollectiveAlgorithm, _ operation: CollectiveOperation, _ bytes: Int64,
    _ placement: GroupPlacement
  ) -> CollectivePlan {
    var best = price(algorithm, operation, bytes, placement, .simple)
    func consider(_ transfer: TransferProtocol) {
      let other = price(algorithm, operation, bytes, placement, transfer)
      if other.duration < best.duration { best = other }
    }
    consider(.lowLatency)
    if constants.ring.lowLatency128 != nil || constants.direct.lowLatency128 != nil,
      placement.nodes == 1 || cluster.network.allowsLL128
    {
      consider(.lowLatency128)
    }
    return best
  }

  /// The plan under one protocol.
  func price(
    _ algorithm: CollectiveAlgorithm, _ operation: CollectiveOperation, _ bytes: Int64,
    _ placement: GroupPlacement, _ transfer: TransferProtocol
  ) -> CollectivePlan {
    if [.gather, .scatter, .sendReceive].contains(operation) {
      return pricePairs(operation, bytes, placement, transfer)
    }
    if algorithm == .inNetwork || algorithm == .nvlsTree || algorithm.addsInNetwork(nodes: 2) {
      return priceSwitched(algorithm, bytes, placement, isLarge: transfer == .simple)
    }
    let pairwise = algorithm == .direct
    let lines = pairwise ? constants.direct : constants.ring
    let line = lines[transfer] ?? lines.simple
    let adds = operation == .allReduce || operation == .reduce
    let rate =
      linkRate(placement) * (adds ? line.reduceFraction : line.moveFraction)
      * (algorithm == .hierarchical ? constants.direct : lines).sharing(placement.ranksPerNode)
    var intra = HopCost(
      latency: SimDuration(seconds: near(line.step)), secondsPerByte: 1 / rate)
    var inter = interNode(algorithm, operation, transfer, placement)
    var start = line.base
    let part = Double(bytes) / Double(placement.ranks)
    var slice = transfer.slice
    switch algorithm {
    case .ring where operation != .broadcast && operation != .reduce, .direct:
      if algorithm == .ring, operation == .allReduce, transfer == .simple, placement.nodes > 1,
        Double(bytes) >= 64 * Double(Self.channels) * Double(placement.ranks)
      {
        let plateau = NetworkConstants.ringPlateau(cluster.gpu.catalogueName)
        intra.latency = SimDuration(seconds: intra.latency.seconds * plateau)
        inter.latency = SimDuration(seconds: inter.latency.seconds * plateau)
      }
      start += part * (adds ? lines.reduceCopy : lines.moveCopy) / rate
    case .doubleBinaryTree:
      // A node passes on 2 × the buffer (up 1, down 2 in one tree, up 1 in the other, half each);
      // of two nodes, only once.
      // Of two nodes each tree is one link, as of a ring.
      intra.secondsPerByte *= 4
      inter.secondsPerByte *= placement.nodes == 2 ? 2 : 4 / NetworkConstants.treeFraction
      if transfer == .lowLatency128 { slice = Self.treeSlice(bytes, placement) }
    default: break
    }
    return CollectivePlan(
      operation: operation, algorithm: algorithm, transferProtocol: transfer, bytes: bytes,
      ranks: placement.ranks, ranksPerNode: placement.ranksPerNode,
      launch: SimDuration(seconds: start), intraNode: intra, interNode: inter,
      pipelineChunk: slice * Self.channels / (algorithm == .doubleBinaryTree ? 2 : 1))
  }

  /// Channels NCCL opens between nodes of eight GPUs and cards: two a card, as its logs show (`16 coll channels`).
  ///
  /// Half of them run each of the two trees.
  private static let channels: Int64 = 16

  /// What LL128 hands on at once in a tree.
  ///
  /// Less for short buffers (NCCL `src/enqueue.cc`, `calcCollChunking`: halved down to 32 KiB while a channel
  /// has fewer chunks than 16 steps of the tree to a rank of the node, a tree of N nodes of r ranks having 1 +
  /// log2 N + r / 10 steps).
  private static func treeSlice(_ bytes: Int64, _ placement: GroupPlacement) -> Int64 {
    let ranks = Double(placement.ranksPerNode)
    let depth = Double(CollectivePlan.treeDepth(placement.nodes))
    let least = (1 + depth + 0.1 * ranks) * 16 / ranks
    var slice = TransferProtocol.lowLatency128.slice
    while slice > 32_768, Double(bytes) / Double(channels * slice) < least { slice /= 2 }
    return slice
  }

  /// Rate of a GPU's links to the other ranks of its group in the node.
  private func linkRate(_ placement: GroupPlacement) -> Double {
    cluster.intraNode.rate.bytesPerSecond
      * cluster.node.share(of: placement.ranksPerNode, gpus: cluster.linkedGPUs)
  }

  /// All-reduces with additions in switches: in the node's, the network's, or both.
  private func priceSwitched(
    _ algorithm: CollectiveAlgorithm, _ bytes: Int64, _ placement: GroupPlacement, isLarge: Bool
  ) -> CollectivePlan {
    let nodes = Double(placement.nodes)
    var (start, intra) = inside(algorithm, placement, isLarge: isLarge)
    if placement.nodes == 1 {
      return CollectivePlan(
        operation: .allReduce, algorithm: algorithm,
        transferProtocol: isLarge ? .simple : .lowLatency, bytes: bytes, ranks: placement.ranks,
        ranksPerNode: placement.ranksPerNode, launch: SimDuration(seconds: start),
        intraNode: intra, interNode: intra, pipelineChunk: 1)
    }
    if placement.ranksPerNode == 1 { intra = HopCost(latency: .zero, secondsPerByte: 0) }
    var inter = interNode(algorithm, .allReduce, .simple, placement)
    if algorithm == .nvlsTree {
      inter.secondsPerByte *= placement.nodes == 2 ? 2 : 4
    } else {
      // Each card sends its share once and receives the sum once, in 2 (N − 1) messages of a part of N;
      // to the switches and back in two of them.
      inter.secondsPerByte *= nodes / (2 * (nodes - 1))
      inter.latency = SimDuration(picoseconds: inter.latency.picoseconds / 2)
    }
    return CollectivePlan(
      operation: .allReduce, algorithm: algorithm, transferProtocol: .simple, bytes: bytes,
      ranks: placement.ranks, ranksPerNode: placement.ranksPerNode,
      launch: SimDuration(seconds: start), intraNode: intra, interNode: inter,
      pipelineChunk: Self.switchSlice(bytes, placement) * Self.channels / 2)
  }

  /// Start of an all-reduce with additions in switches, and what a message inside a node costs it.
  private func inside(
    _ algorithm: CollectiveAlgorithm, _ placement: GroupPlacement, isLarge: Bool
  ) -> (start: Double, hop: HopCost) {
    let ranks = Double(placement.ranksPerNode)
    let rate = linkRate(placement)
    if algorithm != .collNetDirect, algorithm != .collNetChain, let lines = constants.inNetwork {
      // bytes × (1 + 1/n) spread over 2 (n − 1) steps of bytes / n; of a tree, both ways at once. Of the
      // base, the latency of the link it was fitted on lies before and after the additions.
      let ways = algorithm == .nvlsTree ? 1.0 : 2.0
      let latency = cluster.intraNode.latency
      return (
        (isLarge ? lines.largeBase : lines.smallBase) - 2 * constants.linkLatency,
        HopCost(
          latency: latency,
          secondsPerByte: (1 + 1 / ranks) * ranks / (ways * max(ranks - 1, 1))
            / (rate * (isLarge ? lines.largeFraction : lines.smallFraction)))
      )
    }
    let isDirect = algorithm == .collNetDirect
    let lines = isDirect ? constants.direct : constants.ring
    let step =
      isDirect
      ? NetworkConstants.directStep + NetworkConstants.directArity * (ranks - 1)
      : NetworkConstants.chainStep * max(ranks - 1, 1)
    return (
      constants.ring.simple.base,
      HopCost(
        latency: SimDuration(seconds: near(step)),
        secondsPerByte: 1
          / (rate * lines.simple.reduceFraction
            * constants.direct.sharing(placement.ranksPerNode)))
    )
  }

  /// What NVLSTree hands on at once.
  ///
  /// 128 KiB, of four nodes and more 64 KiB, less while the buffer has fewer than 4 chunks a channel and share,
  /// 1 below (NCCL `src/enqueue.cc`, `calcCollChunking`).
  private static func switchSlice(_ bytes: Int64, _ placement: GroupPlacement) -> Int64 {
    let parts = channels * Int64(placement.ranksPerNode)
    var slice: Int64 = placement.nodes >= 4 ? 65_536 : 131_072
    if bytes < 4 * parts * slice { slice = min(slice, 65_536) }
    if bytes < parts * slice { slice = min(slice, 32_768) }
    return slice
  }

  /// Transfers between pairs of ranks, all at once.
  ///
  /// Of a gather all that come over one port share it, of a scatter one follows the other.
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
  /// at most one a rank, and its even share when sibling groups use them too. Where more of its traffic
  /// leaves the leaf switches than they have links above, those set the pace.
  private func interNode(
    _ algorithm: CollectiveAlgorithm, _ operation: CollectiveOperation,
    _ transfer: TransferProtocol, _ placement: GroupPlacement
  ) -> HopCost {
    let siblings = Double(max(placement.groupsPerNode, 1))
    let ranks = Double(placement.ranksPerNode)
    let cards = min(Double(cluster.gpusPerNode) / siblings, ranks)
    var rate =
      cluster.cardRate(busy: siblings * ranks) * NetworkConstants.fraction(transfer) * cards
    if transfer == .lowLatency {
      // A tree's buffer passes twice, between two nodes as between more: so NCCL counts its rate.
      let passes = algorithm == .doubleBinaryTree && placement.nodes == 2 ? 2.0 : 1.0
      rate = min(
        rate,
        NetworkConstants.lowLatencyRate(cluster.gpu.catalogueName, nodes: placement.nodes)
          / siblings / passes)
    }
    if algorithm.sendsFromEachRank { rate /= ranks }
    rate /= slowdown(algorithm, operation, placement)
    let latency =
      latency(algorithm, placement) + NetworkConstants.step(transfer, of: algorithm)
    return HopCost(latency: SimDuration(seconds: latency), secondsPerByte: 1 / rate)
  }
}
