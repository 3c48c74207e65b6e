public import Quantities

/// Equally spaced pieces of a buffer.
public struct BufferPieces: Hashable, Sendable {
  /// Where the first piece begins.
  public var offset: Int64
  /// Bytes of each piece.
  public var length: Int64
  /// From one piece's beginning to the next one's.
  public var stride: Int64
  /// How many pieces.
  public var count: Int
  /// Where the buffer ends; pieces are cut off there.
  public var limit: Int64

  /// Bytes in all pieces.
  public var bytes: Int64 {
    var total: Int64 = 0
    for piece in 0..<count { total += Int64(range(piece).count) }
    return total
  }

  /// Offsets of one piece.
  public func range(_ piece: Int) -> Range<Int64> {
    let start = min(offset + stride * Int64(piece), limit)
    return start..<min(start + length, limit)
  }
}

/// One message of a collective.
public struct CollectiveMessage: Hashable, Sendable {
  /// The member it goes to.
  public var receiver: Int
  /// Whether it leaves the node.
  public var crossesNodes: Bool
  /// Which of the receiver's slots counts its arrival.
  public var slot: Int
  /// What is sent, in the sender's buffer.
  public var pieces: BufferPieces
  /// Where the first piece goes in the receiver's buffer; the others follow with the same stride.
  public var receiverOffset: Int64
  /// Whether the receiver adds (or overwrites).
  public var isReduced: Bool
  /// The sender's slots, bit by bit, that this message waits for.
  public var awaitedSlots: UInt64
  /// Messages each awaited slot must have received.
  public var awaitedArrivals: Int
  /// Time the sender's port is busy with it on an idle fabric.
  public var occupancy: SimDuration
  /// Time from departure of the last byte to arrival.
  public var latency: SimDuration

  /// Bytes on the wire.
  public var bytes: Int64 { pieces.bytes }
  /// Departure to arrival on an idle link.
  public var duration: SimDuration { occupancy + latency }
}

extension CollectivePlan {
  /// Lanes on which a member sends independently.
  public var laneCount: Int {
    switch algorithm {
    case .doubleBinaryTree: 8
    case .nvlsTree: 8
    case .inNetwork where nodes > 1, .collNetDirect, .collNetChain: 3
    case .direct where operation.isPairwise: 2
    default: 1
    }
  }

  /// Slots in which a member counts arrivals; at most 64.
  public var slotCount: Int {
    switch algorithm {
    case .ring: 1
    case .doubleBinaryTree: 8
    case .halvingDoubling: 2 * Self.treeDepth(ranks)
    case .direct: 2
    case .nvlsTree: 9
    case .inNetwork where nodes > 1, .collNetDirect, .collNetChain: 4
    case .hierarchical, .inNetwork: 3
    }
  }

  /// Steps of a lane, the same for all members; at some of them a member may have nothing to send.
  public func stepCount(lane: Int) -> Int {
    if ranks <= 1 { return 0 }
    let both = operation == .allReduce ? 2 : 1
    switch algorithm {
    case .ring where operation == .broadcast || operation == .reduce: return chunkCount
    case .ring: return both * (ranks - 1)
    case .doubleBinaryTree: return chunkCount
    case .halvingDoubling: return both * Self.treeDepth(ranks)
    case .direct where operation == .gather || operation == .sendReceive: return 1
    case .direct: return lane == 0 ? both * (ranksPerNode - 1) : ranks - ranksPerNode
    case .inNetwork where nodes == 1: return both * (ranksPerNode - 1)
    case .inNetwork, .collNetDirect, .collNetChain:
      return lane == 2 ? 2 * (nodes - 1) : nodes * (ranksPerNode - 1)
    case .nvlsTree: return lane < 2 ? 2 * chunkCount * (ranksPerNode - 1) : chunkCount
    case .hierarchical: return 2 * (ranksPerNode - 1) + 2 * (nodes - 1)
    }
  }

  /// Messages a member receives, or `nil` where that is as many as it sends.
  public func arrivals(at member: Int) -> Int? {
    switch operation {
    case .broadcast: member == 0 ? 0 : chunkCount
    case .reduce: member == ranks - 1 ? 0 : chunkCount
    case .gather: member == 0 ? ranks - 1 : 0
    case .scatter: member == 0 ? 0 : 1
    default: nil
    }
  }

  /// Steps of lane 0, `step` and those behind it, in which each member's message is like the one before.
  ///
  /// It differs only in its pieces, in waiting for one arrival more, and from the second on in waiting where
  /// the others of these steps arrive.
  public func stepsAlike(from step: Int) -> Int {
    switch algorithm {
    case .ring where operation != .broadcast && operation != .reduce:
      return stepCount(lane: 0) - step
    case .hierarchical:
      let inside = ranksPerNode - 1
      let across = 2 * (nodes - 1)
      return nodes > 1 && step >= inside && step < inside + across ? inside + across - step : 1
    default: return 1
    }
  }

  /// What `member` sends on `lane` at `step`, or `nil` when that is nothing.
  ///
  /// Members are numbered in the group, those of a node together. See ``CollectivePlan`` for the
  /// rule by which messages are executed.
  /// - Precondition: `member`, `lane` and `step` are in range.
  /// - Complexity: O(1).
  public func message(from member: Int, lane: Int, step: Int) -> CollectiveMessage? {
    switch algorithm {
    case .ring where operation == .broadcast || operation == .reduce:
      chainMessage(from: member, step: step)
    case .ring: ringMessage(from: member, step: step)
    case .doubleBinaryTree: treeMessage(from: member, lane: lane, step: step)
    case .halvingDoubling: halvingDoublingMessage(from: member, step: step)
    case .direct: directMessage(from: member, lane: lane, step: step)
    case .hierarchical: hierarchicalMessage(from: member, step: step)
    case .inNetwork where nodes == 1: directMessage(from: member, lane: lane, step: step)
    case .inNetwork, .collNetDirect, .collNetChain:
      switchMessage(from: member, lane: lane, step: step)
    case .nvlsTree: switchTreeMessage(from: member, lane: lane, step: step)
    }
  }

  /// The pieces that are `count` blocks, `stride` apart.
  private func blocks(_ first: Int, stride: Int = 1, count: Int = 1) -> BufferPieces {
    BufferPieces(
      offset: Int64(first) * blockBytes, length: blockBytes, stride: Int64(stride) * blockBytes,
      count: count, limit: bytes)
  }

  func message(
    from member: Int, to receiver: Int, slot: Int, _ pieces: BufferPieces, reduced: Bool,
    awaiting slots: UInt64, arrivals: Int, occupied: Int64? = nil, at receiverOffset: Int64? = nil
  ) -> CollectiveMessage {
    let crosses = member / ranksPerNode != receiver / ranksPerNode
    let hop = crosses ? interNode : intraNode
    return CollectiveMessage(
      receiver: receiver, crossesNodes: crosses, slot: slot, pieces: pieces,
      receiverOffset: receiverOffset ?? pieces.offset, isReduced: reduced,
      awaitedSlots: arrivals == 0 ? 0 : slots, awaitedArrivals: arrivals,
      occupancy: hop.occupancy(occupied ?? pieces.length * Int64(pieces.count)),
      latency: hop.latency)
  }

  func wrapped(_ index: Int, _ count: Int) -> Int { (index % count + count) % count }

  private func ringMessage(from member: Int, step: Int) -> CollectiveMessage {
    let reducing = operation != .allGather && step < ranks - 1
    let gatherStep = operation == .allReduce ? step - (ranks - 1) : step
    let block = wrapped(reducing ? member - 1 - step : member - gatherStep, ranks)
    return message(
      from: member, to: (member + 1) % ranks, slot: 0, blocks(block), reduced: reducing,
      awaiting: 1, arrivals: step)
  }

  private func chainMessage(from member: Int, step: Int) -> CollectiveMessage? {
    let away = operation == .broadcast
    let receiver = away ? member + 1 : member - 1
    guard receiver >= 0, receiver < ranks else { return nil }
    let isFirst = away ? member == 0 : member == ranks - 1
    return message(
      from: member, to: receiver, slot: 0, blocks(step), reduced: !away, awaiting: 1,
      arrivals: isFirst ? 0 : step + 1)
  }

  private func treeMessage(from member: Int, lane: Int, step: Int) -> CollectiveMessage? {
    let tree = lane / 4
    let node = member / ranksPerNode
    let local = member % ranksPerNode
    // The chain of a node begins at its first member for one tree, at its last for the other.
    let position = tree == 0 ? local : ranksPerNode - 1 - local
    func inChain(_ position: Int) -> Int {
      node * ranksPerNode + (tree == 0 ? position : ranksPerNode - 1 - position)
    }
    func head(_ node: Int) -> Int { node * ranksPerNode + local }
    let place = position == 0 ? BinaryTreePosition(node: node, count: nodes, tree: tree) : nil
    let hasChainChild = position + 1 < ranksPerNode
    let isRoot = position == 0 && place?.parent == nil
    var children: UInt64 = hasChainChild ? 0b0010 : 0
    if place?.firstChild != nil { children |= 0b0100 }
    if place?.secondChild != nil { children |= 0b1000 }

    let half = Self.quotientUp(bytes, 2)
    let base = tree == 0 ? 0 : half
    let pieces = BufferPieces(
      offset: base + Int64(step) * blockBytes, length: blockBytes, stride: blockBytes, count: 1,
      limit: tree == 0 ? half : bytes)
    let receiver: Int?
    var slot = 4 * tree
    switch lane % 4 {
    case 0:
      if position > 0 {
        receiver = inChain(position - 1)
        slot += 1
      } else if let parent = place?.parent {
        receiver = head(parent)
        let above = BinaryTreePosition(node: parent, count: nodes, tree: tree)
        slot += above.firstChild == node ? 2 : 3
      } else {
        receiver = nil
      }
    case 1: receiver = hasChainChild ? inChain(position + 1) : nil
    case 2: receiver = place?.firstChild.map(head)
    default: receiver = place?.secondChild.map(head)
    }
    guard let receiver else { return nil }
    let isUp = lane % 4 == 0
    let awaited = isUp || isRoot ? children : 0b0001
    return message(
      from: member, to: receiver, slot: slot, pieces, reduced: isUp,
      awaiting: awaited << UInt64(4 * tree), arrivals: awaited == 0 ? 0 : step + 1)
  }

  private func halvingDoublingMessage(from member: Int, step: Int) -> CollectiveMessage {
    let depth = Self.treeDepth(ranks)
    let reducing = operation != .allGather && step < depth
    let level = reducing ? step : depth - 1 - (operation == .allReduce ? step - depth : step)
    let partner = member ^ (1 << level)
    let stride = 1 << (level + 1)
    return message(
      from: member, to: partner, slot: step,
      blocks(
        (reducing ? partner : member) & (stride - 1), stride: stride, count: ranks / stride),
      reduced: reducing, awaiting: step == 0 ? 0 : 1 << UInt64(step - 1),
      arrivals: step == 0 ? 0 : 1)
  }

  private func directMessage(from member: Int, lane: Int, step: Int) -> CollectiveMessage? {
    let node = member / ranksPerNode
    let local = member % ranksPerNode
    let inside = ranksPerNode - 1
    if operation == .scatter {
      guard member == 0 else { return nil }
      return message(
        from: 0, to: (lane == 0 ? 1 : ranksPerNode) + step, slot: lane,
        blocks((lane == 0 ? 1 : ranksPerNode) + step), reduced: false, awaiting: 0, arrivals: 0)
    }
    if operation == .gather || operation == .sendReceive {
      let peer = operation == .gather ? 0 : (member + 1) % ranks
      // One lane for what stays in the node, the other for what leaves it.
      guard peer != member, (peer / ranksPerNode != node) == (lane == 1) else { return nil }
      let isGather = operation == .gather
      return message(
        from: member, to: peer, slot: lane, blocks(isGather ? member : 0), reduced: false,
        awaiting: 0, arrivals: 0)
    }
    if lane == 1 {
      let peer =
        wrapped(node + 1 + step / ranksPerNode, nodes) * ranksPerNode
        + (local + step) % ranksPerNode
      return message(
        from: member, to: peer, slot: 1, blocks(peer), reduced: false, awaiting: 0, arrivals: 0,
        at: Int64(member) * blockBytes)
    }
    let peer = node * ranksPerNode + (local + 1 + step % max(inside, 1)) % ranksPerNode
    switch operation {
    case .allToAll:
      return message(
        from: member, to: peer, slot: 0, blocks(peer), reduced: false, awaiting: 0, arrivals: 0,
        at: Int64(member) * blockBytes)
    case .allReduce where step < inside, .reduceScatter:
      return message(
        from: member, to: peer, slot: 0, blocks(peer), reduced: true, awaiting: 0, arrivals: 0)
    default:
      return message(
        from: member, to: peer, slot: 1, blocks(member), reduced: false, awaiting: 1,
        arrivals: operation == .allReduce ? inside : 0)
    }
  }

  private func hierarchicalMessage(from member: Int, step: Int) -> CollectiveMessage {
    let node = member / ranksPerNode
    let local = member % ranksPerNode
    let inside = ranksPerNode - 1
    let across = 2 * (nodes - 1)
    if step >= inside, step < inside + across {
      // A ring over the nodes, on this member's region of the buffer.
      let ringStep = step - inside
      let reducing = ringStep < nodes - 1
      let rail = Self.quotientUp(blockBytes, nodes)
      let block = wrapped(
        reducing ? node - 1 - ringStep : node - (ringStep - (nodes - 1)), nodes)
      let region = blocks(local).range(0)
      let pieces = BufferPieces(
        offset: region.lowerBound + Int64(block) * rail, length: rail, stride: rail, count: 1,
        limit: region.upperBound)
      return message(
        from: member, to: (node + 1) % nodes * ranksPerNode + local, slot: 1, pieces,
        reduced: reducing, awaiting: ringStep == 0 ? 0b001 : 0b010,
        arrivals: ringStep == 0 ? inside : ringStep)
    }
    let gathers = step >= inside
    let peer =
      node * ranksPerNode + (local + 1 + (gathers ? step - inside - across : step)) % ranksPerNode
    return message(
      from: member, to: peer, slot: gathers ? 2 : 0,
      blocks((gathers ? member : peer) % ranksPerNode),
      reduced: !gathers, awaiting: 0b010, arrivals: gathers ? across : 0)
  }
}
