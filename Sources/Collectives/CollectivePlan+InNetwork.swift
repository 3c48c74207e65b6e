import Quantities

/// All-reduces whose additions switches do, message by message.
///
/// A switch has no data of its own, so its part is played by ranks: messages carry what the links of
/// the GPUs and cards carry, at half the price where a switch would have spared half of them.
extension CollectivePlan {
  // MARK: Additions in the network (SHARP)

  /// Bytes of one node's piece of a GPU's share.
  private var nodePiece: Int64 { Self.quotientUp(blockBytes, nodes) }

  /// Piece `node` of the share of `local`.
  private func piece(_ node: Int, of local: Int) -> BufferPieces {
    let start = min(Int64(local) * blockBytes, bytes)
    return BufferPieces(
      offset: start + Int64(node) * nodePiece, length: nodePiece, stride: nodePiece, count: 1,
      limit: min(start + blockBytes, bytes))
  }

  /// A message of an all-reduce whose additions between nodes the network does.
  ///
  /// Lane 0: pieces to the GPU of the node whose share they are, the node's own piece last. Lane 2:
  /// each piece's sum to the node that completes it, then the complete one to all. Lane 1: complete
  /// pieces to the GPUs of the node, in order of their arrival.
  ///
  /// Slots: 0 pieces from within, 1 what completes the node's own piece, 2 complete pieces from other
  /// nodes, 3 from within.
  func switchMessage(from member: Int, lane: Int, step: Int) -> CollectiveMessage? {
    let node = member / ranksPerNode
    let local = member % ranksPerNode
    let inside = ranksPerNode - 1
    if lane == 2 {
      let gathers = step >= nodes - 1
      let other = wrapped(node + 1 + step % (nodes - 1), nodes)
      return message(
        from: member, to: other * ranksPerNode + local, slot: gathers ? 2 : 1,
        piece(gathers ? node : other, of: local), reduced: !gathers,
        awaiting: gathers ? 0b10 : 0b01,
        arrivals: gathers ? nodes - 1 + inside : (step + 1) * inside)
    }
    let turn = step / inside
    let peer = (local + 1 + step % inside) % ranksPerNode
    if lane == 0 {
      return message(
        from: member, to: node * ranksPerNode + peer, slot: turn == nodes - 1 ? 1 : 0,
        piece(wrapped(node + 1 + turn, nodes), of: peer), reduced: true, awaiting: 0, arrivals: 0)
    }
    return message(
      from: member, to: node * ranksPerNode + peer, slot: 3,
      piece(wrapped(node - turn, nodes), of: local), reduced: false,
      awaiting: turn == 0 ? 0b10 : 0b100, arrivals: turn == 0 ? nodes - 1 + inside : turn)
  }

  /// Time with additions in the network: pieces come from within every `inside`, leave the card every `across`.
  ///
  /// The last sum arrives behind whichever is slower, then complete pieces go the same way back.
  func switched() -> SimDuration {
    let inside = intraNode.occupancy(nodePiece) * (ranksPerNode - 1)
    let within = ranksPerNode > 1 ? intraNode.latency : .zero
    let across = interNode.occupancy(nodePiece)
    let others = nodes - 1
    let complete = max(
      inside * nodes + within,
      within + interNode.latency
        + max(inside + across * others, inside * others + across))
    let last = complete + across * others + interNode.latency
    if ranksPerNode == 1 { return launch + last }
    return launch + within
      + max(
        max(complete + inside * nodes, last + inside),
        complete + across + interNode.latency + inside * others)
  }

  // MARK: Trees between nodes (NVLSTree)

  /// A message of an all-reduce over trees between nodes, a share of the buffer on each GPU's.
  ///
  /// Lane 0: chunks to the GPU of the node whose share they are, those of the two trees in turn. Lanes
  /// 2 to 4 and 5 to 7: up, and down to the first and the second child, of either tree. Lane 1: complete
  /// chunks to the GPUs of the node.
  ///
  /// Slots: 0 and 1 chunks from within, counted once complete, by tree; 2 to 4 and 5 to 7 from the
  /// parent, the first and the second child; 8 what nothing waits for.
  func switchTreeMessage(from member: Int, lane: Int, step: Int) -> CollectiveMessage? {
    let node = member / ranksPerNode
    let local = member % ranksPerNode
    let inside = ranksPerNode - 1
    let tree = lane < 2 ? step / inside % 2 : (lane - 2) / 3
    let chunk = lane < 2 ? step / inside / 2 : step
    let place = BinaryTreePosition(node: node, count: nodes, tree: tree)
    let base = 2 + 3 * tree
    // What makes a chunk of this tree complete in this node, and complete altogether.
    var own: UInt64 = 1 << UInt64(tree)
    if place.firstChild != nil { own |= 1 << UInt64(base + 1) }
    if place.secondChild != nil { own |= 1 << UInt64(base + 2) }
    let whole = place.parent == nil ? own : 1 << UInt64(base)
    func pieces(of local: Int) -> BufferPieces {
      let share = Self.quotientUp(bytes, ranksPerNode)
      let half = Self.quotientUp(share, 2)
      let start = min(Int64(local) * share, bytes)
      let middle = min(start + half, bytes)
      return BufferPieces(
        offset: (tree == 0 ? start : middle) + Int64(chunk) * blockBytes, length: blockBytes,
        stride: blockBytes, count: 1, limit: tree == 0 ? middle : min(start + share, bytes))
    }
    if lane < 2 {
      let turn = step % inside
      let peer = (local + 1 + turn) % ranksPerNode
      let isLast = turn == inside - 1
      return message(
        from: member, to: node * ranksPerNode + peer, slot: lane == 0 && isLast ? tree : 8,
        pieces(of: lane == 0 ? peer : local), reduced: lane == 0, awaiting: lane == 0 ? 0 : whole,
        arrivals: lane == 0 ? 0 : chunk + 1)
    }
    let receiver: Int?
    var slot = base
    switch (lane - 2) % 3 {
    case 0:
      receiver = place.parent
      if let parent = place.parent {
        let above = BinaryTreePosition(node: parent, count: nodes, tree: tree)
        slot += above.firstChild == node ? 1 : 2
      }
    case 1: receiver = place.firstChild
    default: receiver = place.secondChild
    }
    guard let receiver else { return nil }
    let isUp = (lane - 2) % 3 == 0
    return message(
      from: member, to: receiver * ranksPerNode + local, slot: slot, pieces(of: local),
      reduced: isUp, awaiting: isUp ? own : whole, arrivals: chunk + 1)
  }

  /// Time over trees: a line of stages as in a pipeline, into the share, up and down the tree, out of it.
  ///
  /// The slowest sets the pace of the pairs of chunks, one of each tree.
  func switchTree() -> SimDuration {
    let inside = intraNode.occupancy(blockBytes) * (ranksPerNode - 1)
    let across = interNode.occupancy(blockBytes)
    let hops = 2 * Self.treeDepth(nodes)
    return launch + inside * 3 + intraNode.latency * 2 + (across + interNode.latency) * hops
      + max(inside * 2, across) * (chunkCount - 1)
  }
}
