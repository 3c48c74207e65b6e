public import Quantities

/// What one message costs on an idle link.
public struct HopCost: Hashable, Sendable {
  /// From the last byte's departure to its being usable at the receiver, the link already free.
  public var latency: SimDuration
  /// Seconds each byte keeps the sender's port busy.
  public var secondsPerByte: Double

  /// A hop of that latency and inverse rate.
  public init(latency: SimDuration, secondsPerByte: Double) {
    self.latency = latency
    self.secondsPerByte = secondsPerByte
  }

  /// Time the sender's port is busy with `bytes`, rounded once to the nearest picosecond.
  public func occupancy(_ bytes: Int64) -> SimDuration {
    SimDuration(seconds: Double(bytes) * secondsPerByte)
  }
}

/// One collective, decided: its algorithm, its closed form, and its messages.
///
/// A value without references: planning and asking for messages allocate nothing. The messages are
/// in ``message(from:lane:step:)``, generated from (member, lane, step) and never stored.
///
/// **Execution rule**, under which an idle fabric gives exactly ``duration``:
/// 1. All members begin together and are ready ``launch`` later.
/// 2. Each member sends on its lanes independently; on one lane, in order of step. Message
///    (lane, step) departs when the lane's previous message has left (its departure plus its
///    occupancy), the member is ready, and each of its
///    ``CollectiveMessage/awaitedSlots`` has received at least
///    ``CollectiveMessage/awaitedArrivals`` messages.
/// 3. It arrives, in the receiver's slot, at departure + occupancy + latency.
/// 4. The collective ends when the last message has arrived.
///
/// Rounding: every occupancy, latency and the launch is one integer of picoseconds; a message's
/// occupancy is that of a full block even when the last block of the buffer is shorter.
public struct CollectivePlan: Hashable, Sendable {
  /// The operation.
  public let operation: CollectiveOperation
  /// The algorithm in use; a fallback when the one asked for does not apply.
  public let algorithm: CollectiveAlgorithm
  /// The protocol chunks are handed over with.
  public let transferProtocol: TransferProtocol
  /// Bytes as nccl-tests counts them.
  public let bytes: Int64
  /// Members.
  public let ranks: Int
  /// Members in each node.
  public let ranksPerNode: Int
  /// From the call to the first departure: kernel launch and the local copy.
  public let launch: SimDuration
  /// Cost of a message inside a node.
  public let intraNode: HopCost
  /// Cost of a message between nodes.
  public let interNode: HopCost
  /// Size of a block (of a pipelined chunk for chains and trees); the last may be shorter.
  public let blockBytes: Int64
  /// Time the collective takes on an idle fabric.
  public private(set) var duration: SimDuration

  init(
    operation: CollectiveOperation, algorithm: CollectiveAlgorithm,
    transferProtocol: TransferProtocol, bytes: Int64, ranks: Int, ranksPerNode: Int,
    launch: SimDuration, intraNode: HopCost, interNode: HopCost,
    pipelineChunk: Int64
  ) {
    self.operation = operation
    self.algorithm = algorithm
    self.transferProtocol = transferProtocol
    self.bytes = bytes
    self.ranks = ranks
    self.ranksPerNode = ranksPerNode
    self.launch = launch
    self.intraNode = intraNode
    self.interNode = interNode
    self.blockBytes = Self.blockBytes(
      operation: operation, algorithm: algorithm, bytes: bytes, ranks: ranks,
      ranksPerNode: ranksPerNode, pipelineChunk: pipelineChunk)
    self.duration = .zero
    self.duration = closedForm()
  }

  /// ``duration`` in seconds.
  public var seconds: Double { duration.seconds }

  /// Nodes the group touches.
  public var nodes: Int { ranks / ranksPerNode }

  /// What additions in the network spare of the bytes that its messages stand for.
  ///
  /// Each card sends and receives its share once, not 2 (N − 1) / N times.
  var spared: Double { Double(nodes) / Double(2 * (nodes - 1)) }

  /// Bytes whose occupancy the smallest message inside nodes, or between them, has.
  public func leastMessageBytes(crossingNodes: Bool) -> Int64 {
    let isSplit = algorithm.addsInNetwork(nodes: nodes)
    return isSplit || crossingNodes && algorithm == .hierarchical
      ? Self.quotientUp(blockBytes, nodes) : blockBytes
  }

  /// Most chunks of a chain or tree: beyond that they grow, which adds little to what is long then.
  private static let mostChunks: Int64 = 512

  /// Chunk of a pipelined transfer: the usual one, doubled until few enough remain.
  private static func chunk(_ bytes: Int64, usual: Int64) -> Int64 {
    if bytes <= usual { return max(bytes, 1) }
    var chunk = usual
    while bytes > chunk * mostChunks { chunk *= 2 }
    return chunk
  }

  private static func blockBytes(
    operation: CollectiveOperation, algorithm: CollectiveAlgorithm, bytes: Int64, ranks: Int,
    ranksPerNode: Int, pipelineChunk: Int64
  ) -> Int64 {
    switch algorithm {
    case .doubleBinaryTree: chunk(quotientUp(bytes, 2), usual: pipelineChunk)
    case .ring where operation == .broadcast || operation == .reduce:
      chunk(bytes, usual: pipelineChunk)
    case .hierarchical, .collNetDirect, .collNetChain: quotientUp(bytes, ranksPerNode)
    case .inNetwork where ranks > ranksPerNode: quotientUp(bytes, ranksPerNode)
    case .nvlsTree: chunk(quotientUp(quotientUp(bytes, ranksPerNode), 2), usual: pipelineChunk)
    case .direct where operation == .sendReceive: max(bytes, 1)
    default: quotientUp(bytes, ranks)
    }
  }

  static func quotientUp(_ bytes: Int64, _ count: Int) -> Int64 {
    (bytes + Int64(count) - 1) / Int64(count)
  }

  /// Chunks a chain carries, or each of the two trees.
  var chunkCount: Int {
    let total =
      switch algorithm {
      case .doubleBinaryTree: Self.quotientUp(bytes, 2)
      case .nvlsTree: Self.quotientUp(Self.quotientUp(bytes, ranksPerNode), 2)
      default: bytes
      }
    return max(1, Int((total + blockBytes - 1) / blockBytes))
  }

  /// Steps of a binary tree over the nodes: ⌈log2 nodes⌉.
  static func treeDepth(_ count: Int) -> Int {
    count <= 1 ? 0 : Int.bitWidth - (count - 1).leadingZeroBitCount
  }
}

extension CollectivePlan {
  /// Time on an idle fabric; the same as executing every message.
  private func closedForm() -> SimDuration {
    if ranks <= 1 { return .zero }
    switch algorithm {
    case .ring:
      return operation == .broadcast || operation == .reduce
        ? pipeline(intraHops: ranks - nodes, interHops: nodes - 1) : ring()
    case .doubleBinaryTree:
      return pipeline(
        intraHops: 2 * (ranksPerNode - 1), interHops: 2 * Self.treeDepth(nodes))
    case .halvingDoubling: return halvingDoubling()
    case .direct: return direct()
    case .hierarchical: return hierarchical()
    case .inNetwork where nodes == 1: return direct()
    case .inNetwork, .collNetDirect, .collNetChain: return switched()
    case .nvlsTree: return switchTree()
    }
  }

  /// The longest chain of dependent waits round the ring.
  ///
  /// Of K steps, each costs occupancy + latency when the chain moves on to the next link, occupancy
  /// alone when the next block waits behind on the same link; the last step moves. A chain that
  /// crosses `f` links between nodes moves over at least (f − 1)(m − 1) and at most (f + 1)(m − 1)
  /// links inside nodes of `m`, and waits at the slowest link otherwise. Its length is concave in
  /// `f`, so the ends and the kink suffice.
  private func ring() -> SimDuration {
    let steps = operation == .allReduce ? 2 * (ranks - 1) : ranks - 1
    let near = intraNode.occupancy(blockBytes)
    let nearMove = near + intraNode.latency
    if nodes == 1 { return launch + nearMove * steps }
    let far = interNode.occupancy(blockBytes)
    let farMove = far + interNode.latency
    if ranksPerNode == 1 { return launch + farMove * steps }
    let inside = ranksPerNode - 1
    let wait = max(near, far)
    func chain(_ crossings: Int) -> SimDuration {
      let moves =
        nearMove < wait
        ? (crossings - 1) * inside : min((crossings + 1) * inside, steps - crossings)
      return farMove * crossings + nearMove * moves + wait * (steps - crossings - moves)
    }
    let most = (steps - 1) / ranksPerNode + 1
    let kink = min(max((steps - inside) / ranksPerNode, 1), most)
    let insideOnly = min(steps, inside)
    return launch
      + max(
        max(nearMove * insideOnly + near * (steps - insideOnly), chain(1)),
        max(max(chain(kink), chain(min(kink + 1, most))), chain(most)))
  }

  /// A line of hops through which chunks follow each other.
  ///
  /// The first chunk crosses all, the others follow at the pace of the slowest.
  private func pipeline(intraHops: Int, interHops: Int) -> SimDuration {
    let near = intraNode.occupancy(blockBytes)
    let far = interNode.occupancy(blockBytes)
    var pace = SimDuration.zero
    if intraHops > 0 { pace = near }
    if interHops > 0 { pace = max(pace, far) }
    return launch + (near + intraNode.latency) * intraHops
      + (far + interNode.latency) * interHops + pace * (chunkCount - 1)
  }

  private func halvingDoubling() -> SimDuration {
    var once = SimDuration.zero
    for step in 0..<Self.treeDepth(ranks) {
      let hop = (1 << step) < ranksPerNode ? intraNode : interNode
      once += hop.latency + hop.occupancy(blockBytes * Int64(ranks >> (step + 1)))
    }
    return launch + (operation == .allReduce ? once * 2 : once)
  }

  private func direct() -> SimDuration {
    if operation == .gather || operation == .sendReceive {
      // Each rank has one message at most.
      let near = intraNode.occupancy(blockBytes) + intraNode.latency
      let far = interNode.occupancy(blockBytes) + interNode.latency
      if nodes == 1 { return launch + near }
      return launch + (ranksPerNode == 1 ? far : max(near, far))
    }
    let near = intraNode.occupancy(blockBytes) * (ranksPerNode - 1) + intraNode.latency
    if operation == .allReduce { return launch + near * 2 }
    if nodes == 1 { return launch + near }
    let far = interNode.occupancy(blockBytes) * (ranks - ranksPerNode) + interNode.latency
    return launch + (ranksPerNode == 1 ? far : max(near, far))
  }

  private func hierarchical() -> SimDuration {
    let rail = Self.quotientUp(blockBytes, nodes)
    let across = (interNode.occupancy(rail) + interNode.latency) * (2 * (nodes - 1))
    if ranksPerNode == 1 { return launch + across }
    let inside = intraNode.occupancy(blockBytes) * (ranksPerNode - 1) + intraNode.latency
    return launch + inside * 2 + across
  }
}
