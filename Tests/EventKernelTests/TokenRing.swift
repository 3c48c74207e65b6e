import EventKernel
import Quantities

/// A token travels round a ring of logical processes: the shortest useful model.
///
/// Process `p` holds the token for (p + 1) × 10 ps and passes it on over a link of 100 ps, until it
/// has passed it `laps` times.
struct TokenRing: EventModel {
  /// What one logical process knows.
  struct Member {
    var passes = 0
  }

  /// The kinds of event.
  private enum Kind {
    static let arrival: UInt32 = 0
    static let release: UInt32 = 1
  }

  let size: LogicalProcess
  let laps: Int
  /// A logical process that keeps the token for ever, if any.
  var thief: LogicalProcess?
  /// The delay on the link; shorter than the lookahead in a test of the trap.
  var linkDelay = SimDuration(picoseconds: 100)

  /// The states of the logical processes of this MPI process.
  private(set) var members: [Member]
  private let first: LogicalProcess

  let lookahead = SimDuration(picoseconds: 100)

  init(size: Int, laps: Int, block: Range<LogicalProcess>, thief: LogicalProcess? = nil) {
    self.size = LogicalProcess(size)
    self.laps = laps
    self.thief = thief
    members = [Member](repeating: Member(), count: block.count)
    first = block.lowerBound
  }

  mutating func start(_ context: inout EventContext) {
    if context.localProcesses.contains(0) {
      context.schedule(Kind.arrival, to: 0, at: .zero)
    }
  }

  mutating func handle(_ event: Event, _ context: inout EventContext) {
    let me = event.destination
    switch event.kind {
    case Kind.arrival:
      guard me != thief else { return }
      let hold = SimDuration(picoseconds: Int64(me + 1) * 10)
      context.schedule(Kind.release, to: me, after: hold)
    default:
      members[Int(me - first)].passes += 1
      let isLast = me == size - 1 && members[Int(me - first)].passes == laps
      if !isLast {
        context.schedule(Kind.arrival, to: (me + 1) % size, after: linkDelay)
      }
    }
  }

  func stuckProcesses() -> [StuckProcess] {
    members.indices.filter { members[$0].passes < laps }.map { index in
      let me = first + LogicalProcess(index)
      return StuckProcess(
        me, reason: "passed the token \(members[index].passes) of \(laps) times")
    }
  }
}
