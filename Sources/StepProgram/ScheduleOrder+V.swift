public import Layout

/// The order of a pipeline whose stages run down the ranks and back up, two on each: zero-bubble V
/// (arXiv:2405.15362) and DualPipe with one copy of the weights (DualPipeV; arXiv:2412.19437,
/// section 3.2.1).
///
/// It is built by list scheduling with forward, input-gradient and weight-gradient passes of equal
/// length: a rank that is free runs the oldest input gradient that can run, else a forward (the
/// returning chunk's first) while it holds fewer than 2·P chunk activations, 1F1B's memory, else a
/// weight gradient. On four ranks and eight microbatches that leaves the bubble of the papers'
/// figures but for the order of weight gradients at the end.
struct VShapedOrder {
  let ranks: Int
  let microbatches: Int
  private(set) var turns: [[Turn]]
  /// When each pass ends, by stage and microbatch; a large number before it is scheduled.
  private var forwardEnd: [[Int]]
  private var backwardEnd: [[Int]]
  private var free: [Int]
  private var held: [Int]
  private var weightsLeft: [[Turn]]

  private static let never = Int.max / 2

  init(ranks: Int, microbatches: Int) {
    self.ranks = ranks
    self.microbatches = microbatches
    turns = Array(repeating: [], count: ranks)
    let none = Array(repeating: Self.never, count: microbatches)
    forwardEnd = Array(repeating: none, count: 2 * ranks)
    backwardEnd = forwardEnd
    free = Array(repeating: 0, count: ranks)
    held = free
    weightsLeft = turns
    build()
  }

  /// The stage of a rank's chunk.
  private func stage(_ rank: Int, _ chunk: Int) -> Int { chunk == 0 ? rank : 2 * ranks - 1 - rank }

  private mutating func build() {
    let total = 6 * ranks * microbatches
    var scheduled = 0
    var time = 0
    while scheduled < total {
      var next = Self.never
      for rank in 0..<ranks {
        if free[rank] > time {
          next = min(next, free[rank])
          continue
        }
        guard let turn = choice(rank, at: time) else { continue }
        run(turn, on: rank, at: time)
        scheduled += 1
        next = min(next, free[rank])
      }
      precondition(next < Self.never, "the V-shaped order stalls at \(scheduled) of \(total)")
      time = next
    }
  }

  private func choice(_ rank: Int, at time: Int) -> Turn? {
    var best: Turn?
    for chunk in [1, 0] {
      let stage = stage(rank, chunk)
      let isLast = stage == 2 * ranks - 1
      for microbatch in 0..<microbatches where backwardEnd[stage][microbatch] == Self.never {
        let ready =
          forwardEnd[stage][microbatch] <= time
          && (isLast || backwardEnd[stage + 1][microbatch] <= time)
        if ready, microbatch < best?.microbatch ?? Int.max {
          best = Turn(.backward, microbatch: microbatch, chunk: chunk)
        }
        break
      }
    }
    if let best { return best }
    for chunk in [1, 0] where chunk == 1 || held[rank] < 2 * ranks {
      let stage = stage(rank, chunk)
      for microbatch in 0..<microbatches where forwardEnd[stage][microbatch] == Self.never {
        if stage == 0 || forwardEnd[stage - 1][microbatch] <= time {
          return Turn(.forward, microbatch: microbatch, chunk: chunk)
        }
        break
      }
    }
    return weightsLeft[rank].first
  }

  private mutating func run(_ turn: Turn, on rank: Int, at time: Int) {
    let stage = stage(rank, turn.chunk)
    switch turn.kind {
    case .forward:
      forwardEnd[stage][turn.microbatch] = time + 1
      held[rank] += 1
    case .backward:
      backwardEnd[stage][turn.microbatch] = time + 1
      held[rank] -= 1
      weightsLeft[rank].append(
        Turn(.weightGradient, microbatch: turn.microbatch, chunk: turn.chunk))
    case .weightGradient, .optimizer: weightsLeft[rank].removeFirst()
    }
    turns[rank].append(turn)
    free[rank] = time + 1
  }
}

extension PipelineSchedule {
  /// Whether input and weight gradients are passes of their own.
  public var splitsBackward: Bool { self == .zeroBubble || self == .dualPipe }
}
