public import Quantities

/// What a model may ask of the kernel while it handles an event.
@safe public struct EventContext: ~Copyable {
  /// The time of the event being handled.
  @inlinable public var now: SimTime { clock }

  @usableFromInline var clock = SimTime.zero

  /// The logical processes that live on this process.
  public let localProcesses: Range<LogicalProcess>

  /// Who schedules; its destination when nothing is being handled yet.
  @usableFromInline var source: LogicalProcess = 0
  /// Whether the model's first events are being scheduled.
  @usableFromInline var isStarting = true
  @usableFromInline let lookahead: SimDuration
  @usableFromInline var queue = EventQueue()
  /// For each local logical process, how many events it has scheduled.
  @usableFromInline let sequences: UnsafeMutablePointer<UInt32>
  @usableFromInline let firstLocal: UInt32
  @usableFromInline let localCount: UInt32
  /// Events scheduled by local logical processes.
  @usableFromInline var scheduled: Int64 = 0
  /// Those for another logical process.
  @usableFromInline var messages: Int64 = 0
  /// Events for other processes.
  var outbox: Outbox

  init(partition: Partition, process: Int, lookahead: SimDuration) {
    localProcesses = partition.block(of: process)
    self.lookahead = lookahead
    firstLocal = localProcesses.lowerBound
    localCount = UInt32(localProcesses.count)
    unsafe sequences = .allocate(capacity: localProcesses.count)
    unsafe sequences.initialize(repeating: 0, count: localProcesses.count)
    outbox = Outbox(partition: partition)
  }

  deinit {
    unsafe sequences.deallocate()
  }

  /// Schedules an event for a logical process after a delay.
  ///
  /// - Parameters:
  ///   - kind: what happens; the model's own code.
  ///   - payload: what the model needs to know about it.
  ///   - destination: to whom; in ``EventModel/start(_:)`` a local logical process.
  ///   - delay: zero or more; at least the lookahead when `destination` is on another process.
  @inlinable @inline(__always) public mutating func schedule(
    _ kind: UInt32, payload: UInt64 = 0, to destination: LogicalProcess, after delay: SimDuration
  ) {
    schedule(kind, payload: payload, to: destination, at: now + delay)
  }

  /// Schedules an event for a logical process at a point in time.
  ///
  /// - Parameters:
  ///   - kind: what happens; the model's own code.
  ///   - payload: what the model needs to know about it.
  ///   - destination: to whom; in ``EventModel/start(_:)`` a local logical process.
  ///   - time: not before ``now``; at least the lookahead later when `destination` is on another
  ///     process.
  @inlinable @inline(__always) public mutating func schedule(
    _ kind: UInt32, payload: UInt64 = 0, to destination: LogicalProcess, at time: SimTime
  ) {
    if time < now || time == .never { trapOnTime(time, destination) }
    if isStarting { source = destination }
    let counter = source &- firstLocal
    // In range: the source is the destination of a local event, or checked when starting.
    if isStarting, counter >= localCount { trapOnForeignStart(destination) }
    let sequence = unsafe sequences[Int(counter)]
    unsafe sequences[Int(counter)] = sequence + 1
    scheduled &+= 1
    if destination != source { messages &+= 1 }
    let event = Event(
      time: time, destination: destination, source: source, sequence: sequence, kind: kind,
      payload: payload)
    if destination &- firstLocal < localCount {
      queue.push(event)
    } else {
      send(event)
    }
  }

  /// What is scheduled from here on, until the next event, is scheduled by another logical process.
  ///
  /// For a model whose event changes several logical processes that no partition separates.
  ///
  /// - Parameter process: a local logical process.
  @inlinable @inline(__always) public mutating func act(as process: LogicalProcess) {
    if process &- firstLocal >= localCount { trapOnForeignStart(process) }
    source = process
  }

  /// Keeps an event for another process until the window ends.
  @usableFromInline @inline(never) mutating func send(_ event: Event) {
    guard Int(event.destination) < outbox.logicalProcesses else {
      fatalError(
        "logical process \(event.source) schedules an event for logical process "
          + "\(event.destination), but there are only \(outbox.logicalProcesses)")
    }
    guard event.time - now >= lookahead else {
      fatalError(
        "logical process \(event.source) schedules an event for logical process "
          + "\(event.destination) on another process \((event.time - now).picoseconds) ps ahead; "
          + "the lookahead is \(lookahead.picoseconds) ps")
    }
    outbox.append(event)
  }

  @usableFromInline @inline(never) func trapOnTime(
    _ time: SimTime, _ destination: LogicalProcess
  ) -> Never {
    fatalError(
      "logical process \(source) schedules an event for logical process \(destination) at "
        + "\(time.picoseconds) ps, which is before now (\(now.picoseconds) ps) or never")
  }

  @usableFromInline @inline(never) func trapOnForeignStart(_ destination: LogicalProcess) -> Never {
    fatalError(
      "the first event of logical process \(destination), or one in its name, must be scheduled by "
        + "the process it lives on; here live \(localProcesses.lowerBound)..<\(localProcesses.upperBound)"
    )
  }
}
