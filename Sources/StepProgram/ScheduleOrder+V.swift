import Collectives
public import Layout
import Quantities
import Transformer

/// How long the passes of a pipeline's stages take, in any unit; decides an order that is planned.
public struct PassLengths: Hashable, Sendable {
  /// Of a forward pass, by stage in model order.
  public var forward: [Int64]
  /// Of an input-gradient pass.
  public var backward: [Int64]
  /// Of a weight-gradient pass.
  public var weights: [Int64]
  /// From the end of a pass until its neighbour on another rank can begin.
  public var transfer: Int64

  /// Lengths from those of each stage.
  public init(forward: [Int64], backward: [Int64], weights: [Int64], transfer: Int64) {
    self.forward = forward
    self.backward = backward
    self.weights = weights
    self.transfer = transfer
  }

  /// Passes of one unit each, whose results arrive at once.
  public static func equal(stages: Int) -> Self {
    let ones = [Int64](repeating: 1, count: stages)
    return Self(forward: ones, backward: ones, weights: ones, transfer: 0)
  }

  /// Lengths in the same proportions, so short that all passes of `microbatches` can be added up.
  func shortened(for microbatches: Int) -> Self {
    let each = (forward + backward + weights).reduce(0.0) { $0 + Double($1) }
    let sum = (each + 2 * Double(transfer) * Double(forward.count)) * Double(microbatches)
    let share = sum / Double(SimDuration.longest.picoseconds)
    guard share > 1 else { return self }
    let cut = { (length: Int64) in Int64(Double(length) / share) }
    return Self(
      forward: forward.map(cut), backward: backward.map(cut), weights: weights.map(cut),
      transfer: cut(transfer))
  }
}

/// The order of a pipeline whose stages run down the ranks and back up, two on each.
///
/// Zero-bubble V (arXiv:2405.15362) and DualPipe with one copy of the weights (DualPipeV; arXiv:2412.19437,
/// section 3.2.1).
///
/// It is built by list scheduling with the passes' lengths, as the zero-bubble papers plan theirs on
/// profiled ones: a rank that is free runs the oldest input gradient that can run, else a forward (the
/// returning chunk's first) while it holds, or will when all microbatches on their way are back, at
/// most P + 1 microbatches of both chunks (DualPipe's memory, arXiv:2412.19437, table 2; 1F1B's is P),
/// else a weight gradient. No more than P weight gradients are put off, of half as many layers each as
/// DualPipe's published order puts off at most (P/2, see `BidirectionalOrder`): a rank that is never
/// free would put them all off to the end, and hold what they need. With equal lengths that leaves the bubble
/// of the papers' figures but for the order of weight gradients at the end. Where DualPipe's published order
/// (``DualPipeVOrder``) takes less time, it is taken; of fewer microbatches than it needs, two a rank, the
/// part of it that is left.
struct VShapedOrder {
  let ranks: Int
  let microbatches: Int
  let lengths: PassLengths
  private(set) var turns: [[Turn]]
  /// When each pass's result is there for the next stage, by stage and microbatch.
  ///
  /// A large number before it is scheduled.
  private var forwardEnd: [[Int64]]
  private var backwardEnd: [[Int64]]
  /// The next microbatch of each stage: they pass in order.
  private var nextForward: [Int]
  private var nextBackward: [Int]
  private var free: [Int64]
  private var held: [Int]
  private var weightsLeft: [[Turn]]
  private var weightsDone: [Int]

  private static let never = Int64.max / 2

  init(ranks: Int, microbatches: Int, lengths: PassLengths? = nil) {
    self.ranks = ranks
    self.microbatches = microbatches
    self.lengths = lengths ?? .equal(stages: 2 * ranks)
    turns = Array(repeating: [], count: ranks)
    let none = Array(repeating: Self.never, count: microbatches)
    forwardEnd = Array(repeating: none, count: 2 * ranks)
    backwardEnd = forwardEnd
    nextForward = Array(repeating: 0, count: 2 * ranks)
    nextBackward = nextForward
    free = Array(repeating: 0, count: ranks)
    held = Array(repeating: 0, count: ranks)
    weightsDone = held
    weightsLeft = turns
    build()
    useShorter()
  }

  /// Takes the published order where it ends sooner.
  ///
  /// With too few microbatches for it, the order that fills the V without those that are not there.
  ///
  /// A pass less on a rank delays no other: no step of fewer microbatches is longer than that.
  private mutating func useShorter() {
    let planned = (turns: turns, free: free)
    if DualPipeVOrder.fits(ranks: ranks, microbatches: microbatches) {
      replay(
        (0..<ranks).map {
          DualPipeVOrder(rank: $0, ranks: ranks, microbatches: microbatches).turns
        })
    } else {
      let filled = Self(ranks: ranks, microbatches: 2 * ranks, lengths: lengths)
      replay(filled.turns.map { turns in turns.filter { $0.microbatch < microbatches } })
    }
    if length >= planned.free.max() ?? 0 { (turns, free) = planned }
  }

  /// Sets ``turns`` and when each rank is done with them.
  private mutating func replay(_ order: [[Turn]]) {
    turns = order
    free = Array(repeating: 0, count: ranks)
    let none = Array(repeating: Self.never, count: microbatches)
    forwardEnd = Array(repeating: none, count: 2 * ranks)
    backwardEnd = forwardEnd
    var next = Array(repeating: 0, count: ranks)
    var hasMoved = true
    while hasMoved {
      hasMoved = false
      for rank in 0..<ranks {
        while next[rank] < order[rank].count {
          let turn = order[rank][next[rank]]
          let ready = start(of: turn, on: rank)
          guard ready < Self.never else { break }
          let stage = stage(rank, turn.chunk)
          let begin = max(free[rank], ready)
          switch turn.kind {
          case .forward:
            free[rank] = begin + lengths.forward[stage]
            forwardEnd[stage][turn.microbatch] = free[rank]
          case .backward:
            free[rank] = begin + lengths.backward[stage]
            backwardEnd[stage][turn.microbatch] = free[rank]
          case .weightGradient, .optimizer: free[rank] = begin + lengths.weights[stage]
          }
          next[rank] += 1
          hasMoved = true
        }
      }
    }
    precondition((0..<ranks).allSatisfy { next[$0] == order[$0].count }, "the order stalls")
  }

  /// When what a turn needs is there; a large number while it is not known.
  private func start(of turn: Turn, on rank: Int) -> Int64 {
    let stage = stage(rank, turn.chunk)
    switch turn.kind {
    case .forward:
      return stage == 0 ? 0 : arrival(forwardEnd, of: turn.microbatch, from: stage - 1, at: rank)
    case .backward:
      let own = forwardEnd[stage][turn.microbatch]
      guard stage < 2 * ranks - 1 else { return own }
      return max(own, arrival(backwardEnd, of: turn.microbatch, from: stage + 1, at: rank))
    case .weightGradient, .optimizer: return 0
    }
  }

  /// When the last pass ends.
  var length: Int64 { free.max() ?? 0 }

  /// The stage of a rank's chunk.
  private func stage(_ rank: Int, _ chunk: Int) -> Int { chunk == 0 ? rank : 2 * ranks - 1 - rank }

  private mutating func build() {
    let total = 6 * ranks * microbatches
    var scheduled = 0
    var time: Int64 = 0
    while scheduled < total {
      var next = Self.never
      var endsAtOnce = false
      for rank in 0..<ranks {
        // Passes without length end where they begin: all that can run now do.
        while free[rank] <= time, let turn = choice(rank, at: time, next: &next) {
          run(turn, on: rank, at: time)
          scheduled += 1
          endsAtOnce = endsAtOnce || free[rank] <= time
        }
        if free[rank] > time { next = min(next, free[rank]) }
      }
      // Ranks already asked may have waited for such a pass.
      if endsAtOnce { continue }
      precondition(
        next < Self.never || scheduled == total,
        "the V-shaped order stalls at \(scheduled) of \(total)")
      time = next
    }
  }

  /// What `rank` does at `time`; `next` becomes when it could do more, if that is sooner.
  private func choice(_ rank: Int, at time: Int64, next: inout Int64) -> Turn? {
    let done = weightsDone[rank]
    let putOff = weightsLeft[rank].count - done
    if putOff >= ranks { return weightsLeft[rank][done] }
    var best: Turn?
    for chunk in [1, 0] {
      let stage = stage(rank, chunk)
      let microbatch = nextBackward[stage]
      guard microbatch < microbatches else { continue }
      let ready = max(
        forwardEnd[stage][microbatch],
        stage == 2 * ranks - 1 ? 0 : arrival(backwardEnd, of: microbatch, from: stage + 1, at: rank)
      )
      if ready > time {
        next = min(next, ready)
      } else if microbatch < best?.microbatch ?? Int.max {
        best = Turn(.backward, microbatch: microbatch, chunk: chunk)
      }
    }
    if let best { return best }
    // A microbatch that goes down will come back up: room for both.
    let coming = nextForward[stage(rank, 0)] - nextForward[stage(rank, 1)]
    for chunk in [1, 0] where chunk == 1 || held[rank] + coming <= 2 * ranks {
      let stage = stage(rank, chunk)
      let microbatch = nextForward[stage]
      guard microbatch < microbatches else { continue }
      let ready =
        stage == 0 ? 0 : arrival(forwardEnd, of: microbatch, from: stage - 1, at: rank)
      if ready <= time { return Turn(.forward, microbatch: microbatch, chunk: chunk) }
      next = min(next, ready)
    }
    return putOff > 0 ? weightsLeft[rank][done] : nil
  }

  /// When what `stage` sends of a microbatch is at `rank`.
  private func arrival(_ ends: [[Int64]], of microbatch: Int, from stage: Int, at rank: Int)
    -> Int64
  {
    let end = ends[stage][microbatch]
    guard end < Self.never else { return end }
    let isOwn = stage == rank || stage == 2 * ranks - 1 - rank
    return end + (isOwn ? 0 : lengths.transfer)
  }

  private mutating func run(_ turn: Turn, on rank: Int, at time: Int64) {
    let stage = stage(rank, turn.chunk)
    switch turn.kind {
    case .forward:
      free[rank] = time + lengths.forward[stage]
      forwardEnd[stage][turn.microbatch] = free[rank]
      nextForward[stage] += 1
      held[rank] += 1
    case .backward:
      free[rank] = time + lengths.backward[stage]
      backwardEnd[stage][turn.microbatch] = free[rank]
      nextBackward[stage] += 1
      held[rank] -= 1
      weightsLeft[rank].append(
        Turn(.weightGradient, microbatch: turn.microbatch, chunk: turn.chunk))
    case .weightGradient, .optimizer:
      free[rank] = time + lengths.weights[stage]
      weightsDone[rank] += 1
    }
    turns[rank].append(turn)
  }
}

extension PipelineSchedule {
  /// Whether input and weight gradients are passes of their own.
  public var splitsBackward: Bool {
    self == .zeroBubble || self == .dualPipe || self == .bidirectional
  }
}

extension StepCompiler {
  /// The turns of every pipeline rank; where they run in a V, planned with the passes' lengths.
  func turns(_ chunks: [[ChunkBlocks]]) -> [[Turn]] {
    let ranks = job.parallelism.pipeline
    let stages = states.parameters.stages
    guard stages.placement == .vShape else {
      return (0..<ranks).map {
        job.parallelism.schedule.turns(
          rank: $0, ranks: ranks, chunks: chunks[$0].count, microbatches: job.microbatchCount)
      }
    }
    var lengths = PassLengths.equal(stages: stages.stageCount)
    for rank in chunks {
      for chunk in rank {
        let stage = chunk.plan.stage
        let busy = { (block: Int) in builder.blocks[block].summary.busy }
        lengths.forward[stage] = busy(chunk.forward)
        // Gathered parameters are there for both gradients at once.
        let isWhole = states.gathersParameters
        lengths.backward[stage] = busy(isWhole ? chunk.backward : chunk.inputGradient)
        lengths.weights[stage] = isWhole ? 0 : busy(chunk.weightGradient)
      }
    }
    let crosses = pricing.placements.stagesCrossNodes
    lengths.transfer =
      SimDuration(
        seconds: pricing.collectives.sendReceiveSeconds(
          bytes: shard.bytes(shard.tokensOutside, job.architecture.hiddenSize),
          sameNode: !crosses)
      ).picoseconds
    return VShapedOrder(
      ranks: ranks, microbatches: job.microbatchCount,
      lengths: lengths.shortened(for: job.microbatchCount)
    ).turns
  }
}
