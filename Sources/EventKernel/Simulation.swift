import Glibc
public import MessagePassing
public import Quantities

/// Runs a model until no event is left anywhere.
///
/// Every process of `communicator` calls it with a model that holds the states of its own block of
/// `partition`. With one process events are handled one after the other; with several, in windows
/// as long as the model's lookahead. The states afterwards are the same for any number of
/// processes.
///
/// - Parameters:
///   - model: the states; changed in place.
///   - partition: which process each logical process lives on; one block for each process.
///   - communicator: the processes.
///   - recordsHistory: whether to digest what happens to every logical process; costs 8 bytes for
///     each and a few nanoseconds for each event.
///   - progress: told now and then how many events this process has handled.
///   - observer: on one process, told of every event it has handled, in order, and how many events it
///     has scheduled until then; for measurements.
/// - Returns: what happened in all processes together.
/// - Throws: ``SimulationError``.
@inlinable public func simulate<Model: EventModel & ~Copyable>(
  _ model: inout Model, partition: Partition, over communicator: any Communicator,
  recordsHistory: Bool = false, progress: ((Int64) -> Void)? = nil,
  observer: ((Event, Int64) -> Void)? = nil
) throws(SimulationError) -> SimulationOutcome {
  let simulation = Simulation(
    partition: partition, communicator: communicator, lookahead: model.lookahead,
    recordsHistory: recordsHistory, progress: progress)
  simulation.start(&model)
  if let observer, communicator.size == 1 {
    simulation.run(&model, observer)
  } else if communicator.size == 1 {
    simulation.run(&model, before: .never)
  } else {
    while let horizon = try simulation.nextHorizon() {
      simulation.run(&model, before: horizon)
    }
  }
  return try simulation.finish(stuck: model.stuckProcesses(), modelBytes: model.stateBytes)
}

/// The state of a run on one process.
@safe @usableFromInline final class Simulation {
  /// In memory of its own: as a field of a class each access would be checked for exclusivity.
  @usableFromInline let context: UnsafeMutablePointer<EventContext>
  private var exchange: WindowExchange
  private let communicator: any Communicator
  private let process: Int
  @usableFromInline var handled: Int64 = 0
  private var windows = 0
  private var blocked = Duration.zero
  private let began = ContinuousClock.now
  private let progress: ((Int64) -> Void)?
  /// Events after which progress is told next.
  private var nextReport = Int64(reportInterval)
  /// One running digest for each local logical process; empty when it is not asked for.
  @usableFromInline let history: History

  @usableFromInline init(
    partition: Partition, communicator: any Communicator, lookahead: SimDuration,
    recordsHistory: Bool, progress: ((Int64) -> Void)?
  ) {
    precondition(
      partition.processes == communicator.size,
      "the partition is for \(partition.processes) processes, not \(communicator.size)")
    precondition(
      communicator.size == 1 || lookahead > .zero,
      "several processes need a lookahead greater than zero, not \(lookahead.picoseconds) ps")
    process = communicator.rank
    unsafe context = .allocate(capacity: 1)
    unsafe context.initialize(
      to: EventContext(partition: partition, process: process, lookahead: lookahead))
    exchange = WindowExchange(communicator)
    self.communicator = communicator
    self.progress = progress
    history = History(partition.block(of: process), isRecording: recordsHistory)
  }

  deinit {
    unsafe context.deinitialize(count: 1)
    unsafe context.deallocate()
  }

  /// Lets the model schedule its first events.
  @inlinable func start<Model: EventModel & ~Copyable>(_ model: inout Model) {
    unsafe model.start(&context.pointee)
    unsafe context.pointee.isStarting = false
  }

  /// Handles every event before `horizon`, earliest first.
  @inlinable func run<Model: EventModel & ~Copyable>(
    _ model: inout Model, before horizon: SimTime
  ) {
    var event = Event(
      time: .zero, destination: 0, source: 0, sequence: 0, kind: 0, payload: 0)
    var count: Int64 = 0
    let isRecording = history.isRecording
    while unsafe context.pointee.queue.pop(before: horizon, into: &event) {
      unsafe context.pointee.clock = event.time
      unsafe context.pointee.source = event.destination
      count &+= 1
      if count & Int64(Self.reportInterval &- 1) == 0 { report(handled &+ count) }
      if isRecording { history.record(event) }
      unsafe model.handle(event, &context.pointee)
    }
    handled += count
  }

  /// Handles every event, telling of each.
  @inlinable func run<Model: EventModel & ~Copyable>(
    _ model: inout Model, _ observer: (Event, Int64) -> Void
  ) {
    var event = Event(
      time: .zero, destination: 0, source: 0, sequence: 0, kind: 0, payload: 0)
    while unsafe context.pointee.queue.pop(before: .never, into: &event) {
      unsafe context.pointee.clock = event.time
      unsafe context.pointee.source = event.destination
      handled += 1
      if history.isRecording { history.record(event) }
      unsafe model.handle(event, &context.pointee)
      observer(event, unsafe context.pointee.scheduled)
    }
  }

  /// Events between two reports of progress; a power of two.
  @inlinable static var reportInterval: Int { 1 << 18 }

  /// Tells how many events this process has handled.
  @usableFromInline @inline(never) func report(_ events: Int64) { progress?(events) }

  /// Exchanges events and agrees on the end of the next window, nil when no event is left.
  @usableFromInline func nextHorizon() throws(SimulationError) -> SimTime? {
    let began = ContinuousClock.now
    let next: SimTime
    do {
      next = try unsafe exchange.run(&context.pointee.outbox, &context.pointee.queue)
    } catch {
      throw SimulationError.communication(error.description)
    }
    blocked += ContinuousClock.now - began
    guard next < .never else { return nil }
    if handled >= nextReport {
      nextReport = handled + Int64(Self.reportInterval)
      report(handled)
    }
    windows += 1
    let (horizon, overflow) = next.picoseconds.addingReportingOverflow(
      unsafe context.pointee.lookahead.picoseconds)
    return overflow ? .never : SimTime(picoseconds: horizon)
  }

  /// Audits the run and adds up what all processes did.
  @usableFromInline func finish(
    stuck: [StuckProcess], modelBytes: Int
  ) throws(SimulationError) -> SimulationOutcome {
    do {
      let shares = try shares(modelBytes: modelBytes)
      var sums = [
        handled, unsafe context.pointee.scheduled, unsafe context.pointee.messages,
        exchange.sent.reduce(0, +), Int64(exchange.batches), Int64(bitPattern: history.digest),
      ]
      try communicator.reduce(&sums, with: .sum)
      let end = try communicator.maximum(of: unsafe context.pointee.clock.picoseconds)
      let all = try Self.gather(stuck, over: communicator)
      if communicator.size > 1 { try audit() }
      if sums[0] != sums[1] {
        throw SimulationError.unhandledEvents(scheduled: sums[1], handled: sums[0])
      }
      return SimulationOutcome(
        endTime: SimTime(picoseconds: end), events: Int(sums[0]), messages: Int(sums[2]),
        mpiMessages: Int(sums[3]), mpiBatches: Int(sums[4]), windows: windows,
        blockedSeconds: shares.reduce(0) { $0 + $1.blockedSeconds }, shares: shares,
        historyHash: history.isRecording ? UInt64(bitPattern: sums[5]) : nil, stuck: all)
    } catch let error as SimulationError {
      throw error
    } catch {
      throw SimulationError.communication("\(error)")
    }
  }

  /// What each process did.
  private func shares(modelBytes: Int) throws -> [ProcessShare] {
    let local = unsafe context.pointee.localProcesses.count
    let sent: Int64 = exchange.sent.reduce(0, +)
    let wall = Self.nanoseconds(ContinuousClock.now - began)
    let state = modelBytes + local * MemoryLayout<UInt32>.stride + history.bytes
    let pending = unsafe context.pointee.queue.bytes + context.pointee.outbox.bytes
    let own = Wire.encode(
      [Int64(local), handled, sent, Self.nanoseconds(blocked), wall]
        + [state, pending, Self.residentBytes()].map { Int64($0) })
    let all = communicator.size == 1 ? [own] : try communicator.gatherToAll(own)
    return all.map { bytes in
      let counts = Wire.decodeCounts(bytes)
      return ProcessShare(
        logicalProcesses: Int(counts[0]), events: Int(counts[1]), mpiMessages: Int(counts[2]),
        blockedSeconds: Double(counts[3]) * 1e-9, wallSeconds: Double(counts[4]) * 1e-9,
        stateBytes: Int(counts[5]), pendingBytes: Int(counts[6]), residentBytes: Int(counts[7]))
    }
  }

  /// The most bytes this process ever had resident; `getrusage` counts in KiB on Linux.
  private static func residentBytes() -> Int {
    var usage = rusage()
    guard unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
    return usage.ru_maxrss * 1_024
  }

  private static func nanoseconds(_ duration: Duration) -> Int64 {
    let parts = duration.components
    return parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000
  }

  /// Compares what each process sent to each other one with what that one received.
  private func audit() throws {
    let size = communicator.size
    let sent = try communicator.gatherToAll(Wire.encode(exchange.sent)).map(Wire.decodeCounts)
    let received = try communicator.gatherToAll(Wire.encode(exchange.received))
      .map(Wire.decodeCounts)
    for source in 0..<size {
      for destination in 0..<size where sent[source][destination] != received[destination][source] {
        throw SimulationError.lostEvents(
          source: source, destination: destination, sent: sent[source][destination],
          received: received[destination][source])
      }
    }
  }

  /// The stuck logical processes of all processes, in ascending order.
  private static func gather(_ stuck: [StuckProcess], over communicator: any Communicator) throws
    -> [StuckProcess]
  {
    let parts =
      communicator.size == 1
      ? [stuck] : try communicator.gatherToAll(Wire.encode(stuck)).map(Wire.decodeStuck)
    return parts.joined().sorted { $0.logicalProcess < $1.logicalProcess }
  }
}
