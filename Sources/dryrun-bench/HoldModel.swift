import EventKernel
import Glibc
import Quantities

/// The parallel hold model (PHOLD; Fujimoto, Distributed Simulation 1990).
///
/// Every event schedules one other event, a quarter of them for another logical process, after an exponential
/// delay.
struct HoldModel: EventModel {
  /// The mean of the random part of a delay.
  static let meanDelay = 1_000_000.0
  /// A tenth of the mean, added to every delay.
  static let shortestDelay: Int64 = 100_000

  let lookahead = SimDuration(picoseconds: shortestDelay)
  let count: UInt64
  let pendingOnEach: Int
  let end: SimTime
  /// The random stream of each local logical process, 8 bytes.
  var streams: [UInt64]
  let first: LogicalProcess

  init(count: Int, pendingOnEach: Int, end: SimTime, block: Range<LogicalProcess>) {
    self.count = UInt64(count)
    self.pendingOnEach = pendingOnEach
    self.end = end
    first = block.lowerBound
    streams = block.map { UInt64($0) &* 0x9E37_79B9_7F4A_7C15 }
  }

  mutating func start(_ context: inout EventContext) {
    for process in context.localProcesses {
      for _ in 0..<pendingOnEach {
        let (_, delay) = Self.draw(&streams[Int(process - first)], from: process, count: count)
        context.schedule(0, to: process, at: .zero + delay)
      }
    }
  }

  mutating func handle(_ event: Event, _ context: inout EventContext) {
    let (destination, delay) = Self.draw(
      &streams[Int(event.destination &- first)], from: event.destination, count: count)
    let time = event.time + delay
    if time < end { context.schedule(0, to: destination, at: time) }
  }

  func stuckProcesses() -> [StuckProcess] { [] }

  /// The next destination and delay of a stream; a quarter of the destinations are drawn from all.
  @inline(__always) static func draw(
    _ stream: inout UInt64, from process: LogicalProcess, count: UInt64
  ) -> (LogicalProcess, SimDuration) {
    stream &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (stream ^ (stream &>> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed &>> 27)) &* 0x94D0_49BB_1331_11EB
    mixed ^= mixed &>> 31
    let uniform = Double((mixed &>> 12) | 1) * 0x1p-52
    let delay = Int64(-log(uniform) * meanDelay) &+ shortestDelay
    guard mixed & 3 == 0 else { return (process, SimDuration(picoseconds: delay)) }
    // The upper half of a product with a random word is uniform below `count`.
    let other = (mixed &* 0xD6E8_FEB8_6659_FD93).multipliedFullWidth(by: count).high
    return (LogicalProcess(truncatingIfNeeded: other), SimDuration(picoseconds: delay))
  }

  /// The end time at which about `events` events have been handled by `pending` at a time.
  static func end(events: Int, pending: Int) -> SimTime {
    let mean = meanDelay + Double(shortestDelay)
    return SimTime(picoseconds: Int64(Double(events) / Double(pending) * mean))
  }
}

/// The same events in a bare loop over the queue: no kernel, no model, one sequence for all.
func bareLoop(count: Int, pendingOnEach: Int, end: SimTime) -> Int {
  var queue = EventQueue()
  var streams = (0..<count).map { UInt64($0) &* 0x9E37_79B9_7F4A_7C15 }
  var event = Event(time: .zero, destination: 0, source: 0, sequence: 0, kind: 0, payload: 0)
  var sequence: UInt32 = 0
  for process in 0..<count {
    for _ in 0..<pendingOnEach {
      let (_, delay) = HoldModel.draw(
        &streams[process], from: LogicalProcess(process), count: UInt64(count))
      event.time = .zero + delay
      event.destination = LogicalProcess(process)
      event.sequence = sequence
      sequence &+= 1
      queue.push(event)
    }
  }
  var handled = 0
  while queue.pop(before: .never, into: &event) {
    handled &+= 1
    let source = event.destination
    let (destination, delay) = HoldModel.draw(
      &streams[Int(source)], from: source, count: UInt64(count))
    event.time = event.time + delay
    guard event.time < end else { continue }
    event.source = source
    event.destination = destination
    event.sequence = sequence
    sequence &+= 1
    queue.push(event)
  }
  return handled
}
