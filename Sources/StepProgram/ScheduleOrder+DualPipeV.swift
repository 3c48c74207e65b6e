/// DualPipe's order in a V as it is published.
///
/// Every rank's turns follow from its place alone (`dualpipev.py` of deepseek-ai/DualPipe, steps 1 to 8;
/// arXiv:2412.19437, section 3.2.1).
///
/// Between warm-up and cool-down a rank does both gradients of a pass at once, two chunks in turn, so its
/// bubble does not grow with the microbatches: an order that decides pass by pass, and puts no more weight
/// gradients off than memory allows, loses a little every round where input and weight gradients differ.
struct DualPipeVOrder {
  /// The turns of one rank.
  private(set) var turns: [Turn] = []
  private var forwards = [0, 0]
  private var backwards = [0, 0]
  private var weights: [Turn] = []

  /// Whether there are enough microbatches to fill the V: two a rank.
  static func fits(ranks: Int, microbatches: Int) -> Bool { microbatches >= 2 * ranks }

  /// The turns of `rank`.
  /// - Precondition: ``fits(ranks:microbatches:)``.
  init(rank: Int, ranks: Int, microbatches: Int) {
    precondition(Self.fits(ranks: ranks, microbatches: microbatches), "the V is not filled")
    let below = ranks - rank - 1
    for _ in 0..<2 * below { forward(0) }
    for _ in 0...rank {
      forward(0)
      forward(1)
    }
    for _ in 0..<below {
      backward(1, putsOff: true)
      weightGradient()
      forward(1)
    }
    for _ in 0..<(microbatches - ranks - below) {
      forward(0)
      backward(1)
      forward(1)
      backward(0)
    }
    for _ in 0..<below {
      backward(1)
      forward(1)
      backward(0)
    }
    // Of the last passes half put their weight gradients off, to send on what others wait for.
    let half = (rank + 1) / 2
    for index in 0...rank {
      backward(1, putsOff: index > half || index == half && rank % 2 == 1)
      backward(0, putsOff: index >= half)
    }
    for _ in 0..<below {
      weightGradient()
      backward(0, putsOff: true)
    }
    while !weights.isEmpty { weightGradient() }
  }

  private mutating func forward(_ chunk: Int) {
    turns.append(Turn(.forward, microbatch: forwards[chunk], chunk: chunk))
    forwards[chunk] += 1
  }

  private mutating func backward(_ chunk: Int, putsOff: Bool = false) {
    let microbatch = backwards[chunk]
    turns.append(Turn(.backward, microbatch: microbatch, chunk: chunk))
    backwards[chunk] += 1
    weights.append(Turn(.weightGradient, microbatch: microbatch, chunk: chunk))
    if !putsOff { weightGradient() }
  }

  /// The oldest weight gradient put off.
  private mutating func weightGradient() {
    if !weights.isEmpty { turns.append(weights.removeFirst()) }
  }
}
