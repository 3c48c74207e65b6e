public import Layout

/// One turn of a pipeline rank: a pass of a microbatch through one of its chunks.
public struct Turn: Hashable, Sendable {
  /// Forward, backward (input and weights unless split), or weight gradients alone.
  public var kind: Phase.Kind
  /// Which microbatch.
  public var microbatch: Int
  /// Which of the rank's chunks.
  public var chunk: Int
  /// Whether it and the next turn are one.
  ///
  /// It waits for what both need, and what it makes leaves when both are done.
  public var isJoined: Bool

  /// A turn.
  public init(_ kind: Phase.Kind, microbatch: Int, chunk: Int = 0, isJoined: Bool = false) {
    self.kind = kind
    self.microbatch = microbatch
    self.chunk = chunk
    self.isJoined = isJoined
  }
}

extension [Turn] {
  /// Most that passes between their forward and their backward hold at once, when one of chunk `c` holds `size(c)`.
  func mostHeld(_ size: (Int) -> Int64) -> Int64 {
    var held: Int64 = 0
    var most: Int64 = 0
    for turn in self {
      switch turn.kind {
      case .forward: held += size(turn.chunk)
      case .backward: held -= size(turn.chunk)
      case .weightGradient, .optimizer: break
      }
      most = Swift.max(most, held)
    }
    return most
  }
}

extension PipelineSchedule {
  /// The turns of pipeline rank `rank` of `ranks`, in order.
  ///
  /// - GPipe: all forwards, then all backwards, oldest first (arXiv:1811.06965).
  /// - 1F1B: `ranks − rank − 1` forwards to warm up, then one of each (arXiv:2104.04473, fig. 3).
  /// - Interleaved: microbatches in groups of g through each chunk in turn, warm-up of
  ///   2·(ranks − rank − 1) + (chunks − 1)·g forwards (fig. 4, and Megatron-LM's `schedules.py`). g is
  ///   `ranks` where that divides the microbatches, else the next that Megatron takes as
  ///   `microbatch_group_size_per_vp_stage`: a last group shorter than the pipeline may wait for itself.
  /// - Zero-bubble: ZB-H1 (arXiv:2401.10241, fig. 3): as 1F1B, weight gradients put off to the
  ///   cool-down, where they fill the bubble.
  /// - Zero-bubble with two chunks a rank, and DualPipe in a V: ``VShapedOrder``.
  /// - DualPipe with two copies of the weights: ``BidirectionalOrder``.
  /// - Precondition: `microbatches` > 0.
  public func turns(rank: Int, ranks: Int, chunks: Int, microbatches: Int) -> [Turn] {
    switch self {
    case .gpipe:
      return (0..<microbatches).map { Turn(.forward, microbatch: $0) }
        + (0..<microbatches).map { Turn(.backward, microbatch: $0) }
    case .zeroBubble where chunks == 2 && ranks > 1, .dualPipe where ranks > 1:
      return VShapedOrder(ranks: ranks, microbatches: microbatches).turns[rank]
    case .bidirectional where ranks > 1:
      return BidirectionalOrder(rank: rank, ranks: ranks, microbatches: microbatches).turns
    case .oneForwardOneBackward:
      return Self.oneForwardOneBackwardTurns(rank: rank, ranks: ranks, microbatches: microbatches)
    case .interleaved:
      guard chunks > 1 else {
        return Self.oneForwardOneBackwardTurns(
          rank: rank, ranks: ranks, microbatches: microbatches)
      }
      return Self.interleavedTurns(
        rank: rank, ranks: ranks, chunks: chunks, microbatches: microbatches)
    case .zeroBubble, .dualPipe, .bidirectional:
      return Self.zeroBubbleTurns(rank: rank, ranks: ranks, microbatches: microbatches)
    }
  }

  private static func oneForwardOneBackwardTurns(rank: Int, ranks: Int, microbatches: Int)
    -> [Turn]
  {
    let warmUp = min(ranks - rank - 1, microbatches)
    var turns = (0..<warmUp).map { Turn(.forward, microbatch: $0) }
    for index in 0..<(microbatches - warmUp) {
      turns.append(Turn(.forward, microbatch: warmUp + index))
      turns.append(Turn(.backward, microbatch: index))
    }
    turns += (microbatches - warmUp..<microbatches).map { Turn(.backward, microbatch: $0) }
    return turns
  }

  private static func interleavedTurns(rank: Int, ranks: Int, chunks: Int, microbatches: Int)
    -> [Turn]
  {
    // All of them in one group always do.
    let sizes = ranks..<max(microbatches, ranks)
    let size =
      sizes.first { microbatches % $0 == 0 || microbatches % $0 >= ranks } ?? sizes.upperBound
    var table: [(microbatch: Int, chunk: Int)] = []
    table.reserveCapacity(microbatches * chunks)
    for first in stride(from: 0, to: microbatches, by: size) {
      for chunk in 0..<chunks {
        for microbatch in first..<min(first + size, microbatches) {
          table.append((microbatch, chunk))
        }
      }
    }
    let total = table.count
    let warmUp = min((ranks - rank - 1) * 2 + (chunks - 1) * size, total)
    let forward = { (index: Int) in
      Turn(.forward, microbatch: table[index].microbatch, chunk: table[index].chunk)
    }
    let backward = { (index: Int) in
      Turn(
        .backward, microbatch: table[index].microbatch, chunk: chunks - 1 - table[index].chunk)
    }
    var turns = (0..<warmUp).map(forward)
    for index in 0..<(total - warmUp) {
      turns.append(forward(warmUp + index))
      turns.append(backward(index))
    }
    turns += (total - warmUp..<total).map(backward)
    return turns
  }

  private static func zeroBubbleTurns(rank: Int, ranks: Int, microbatches: Int) -> [Turn] {
    // Weight gradients wait until the rank has as many outstanding as stages before it, so that
    // memory stays that of 1F1B, and the rest follow the last input gradients.
    var turns: [Turn] = []
    var outstanding = 0
    var next = 0
    for turn in oneForwardOneBackwardTurns(rank: rank, ranks: ranks, microbatches: microbatches) {
      turns.append(turn)
      guard turn.kind == .backward else { continue }
      outstanding += 1
      if outstanding > rank {
        turns.append(Turn(.weightGradient, microbatch: next))
        next += 1
        outstanding -= 1
      }
    }
    turns += (next..<microbatches).map { Turn(.weightGradient, microbatch: $0) }
    return turns
  }
}
