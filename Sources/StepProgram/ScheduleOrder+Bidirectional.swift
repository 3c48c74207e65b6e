/// The order of a pipeline that microbatches enter from both ends.
///
/// DualPipe with two copies of the weights (arXiv:2412.19437, figure 5; phases and their lengths as in
/// deepseek-ai/DualPipe).
///
/// With f the direction that enters on the rank's half of the pipeline and b the other, P ranks, M/2
/// microbatches a direction, and d the rank's distance from the nearer end:
///
/// | phase | times | passes |
/// | --- | --- | --- |
/// | 1 | 2·(P/2 − d − 1) | forward f |
/// | 2 | d + 1 | forward f, forward b |
/// | 3 | P/2 − d − 1 | input gradient b, weights, forward b |
/// | 4 | M/2 − P + d + 1 | forward f with backward b, forward b with backward f |
/// | 5 | P/2 − d − 1 | backward b, forward b with backward f |
/// | 6 | d + 1 | backward b, backward f; in the second half without weights |
/// | 7 | P/2 − d − 1 | weights, input gradient f |
/// | 8 | d + 1 | weights |
///
/// With fewer than 2·P microbatches, passes of those that do not exist are left out. A forward with a
/// backward is one turn: both begin when both can and send when both are done. Where the gradient of
/// the input takes as long as the forward, the idle time of every rank is the published (P/2 − 1)·(F&B +
/// B − 3W), F&B a forward with a backward B, W its part for the weights; a rank holds at most P + 1
/// microbatches.
struct BidirectionalOrder {
  /// The rank's turns; microbatches are numbered from zero in each direction, chunk 0 the way down.
  private(set) var turns: [Turn] = []
  private let isInSecondHalf: Bool
  /// Microbatches of each direction.
  private let microbatches: Int
  /// The next microbatch of each chunk.
  private var nextForward = [0, 0]
  private var nextBackward = [0, 0]
  /// Weight gradients put off, oldest first.
  private var weights: [Turn] = []

  /// Directions as the rank sees them: of its own half, and of the other.
  private enum Direction: Int { case own, other }

  /// - Precondition: an even number of ranks and of microbatches.
  init(rank: Int, ranks: Int, microbatches: Int) {
    precondition(
      ranks.isMultiple(of: 2) && microbatches.isMultiple(of: 2),
      "\(microbatches) microbatches on \(ranks) ranks from both ends")
    self.microbatches = microbatches / 2
    isInSecondHalf = rank >= ranks / 2
    let distance = min(rank, ranks - 1 - rank)
    let inward = ranks / 2 - distance - 1
    for _ in 0..<2 * inward { forward(.own) }
    for _ in 0...distance {
      forward(.own)
      forward(.other)
    }
    for _ in 0..<inward {
      backward(.other, putsOffWeights: true)
      weightGradient()
      forward(.other)
    }
    for round in 0..<max(0, microbatches / 2 - ranks + distance + 1) {
      // A middle rank's first backward follows from its own forward.
      forward(.own, with: round > 0 || inward > 0 ? .other : nil)
      backward(.other)
      forward(.other, with: .own)
      backward(.own)
    }
    for _ in 0..<inward {
      backward(.other)
      forward(.other, with: .own)
      backward(.own)
    }
    for pass in 0...(2 * distance + 1) {
      backward(pass.isMultiple(of: 2) ? .other : .own, putsOffWeights: pass > distance)
    }
    for _ in 0..<inward {
      weightGradient()
      backward(.own, putsOffWeights: true)
    }
    while !weights.isEmpty { weightGradient() }
  }

  private func chunk(_ direction: Direction) -> Int {
    isInSecondHalf ? 1 - direction.rawValue : direction.rawValue
  }

  /// The next forward of a direction, one turn with the next backward of another.
  private mutating func forward(_ direction: Direction, with other: Direction? = nil) {
    let chunk = chunk(direction)
    guard nextForward[chunk] < microbatches else { return }
    let isJoined = other.map { nextBackward[self.chunk($0)] < microbatches } ?? false
    turns.append(
      Turn(.forward, microbatch: nextForward[chunk], chunk: chunk, isJoined: isJoined))
    nextForward[chunk] += 1
  }

  private mutating func backward(_ direction: Direction, putsOffWeights: Bool = false) {
    let chunk = chunk(direction)
    let microbatch = nextBackward[chunk]
    guard microbatch < microbatches else { return }
    turns.append(
      Turn(.backward, microbatch: microbatch, chunk: chunk, isJoined: !putsOffWeights))
    weights.append(Turn(.weightGradient, microbatch: microbatch, chunk: chunk))
    if !putsOffWeights, let own = weights.popLast() { turns.append(own) }
    nextBackward[chunk] += 1
  }

  private mutating func weightGradient() {
    if !weights.isEmpty { turns.append(weights.removeFirst()) }
  }
}
