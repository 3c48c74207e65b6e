public import Quantities

/// What is simulated.
///
/// The states of the logical processes of this MPI process and what an event does to them.
///
/// A model must keep two rules, which make a run independent of the number of processes. An event
/// changes the state of its destination only (or of logical processes that no partition in use
/// separates from it). An event for a logical process that may live on another process comes at
/// least ``lookahead`` after the one that scheduled it.
public protocol EventModel: ~Copyable {
  /// The smallest delay of any event that crosses processes.
  ///
  /// Greater than zero when there are several.
  var lookahead: SimDuration { get }

  /// Schedules the first events of the logical processes in `context.localProcesses`, each for itself.
  mutating func start(_ context: inout EventContext)

  /// Changes the state of `event.destination` and schedules what follows.
  mutating func handle(_ event: Event, _ context: inout EventContext)

  /// The logical processes of this process that still wait for something.
  ///
  /// Asked when no event is left anywhere. An empty answer means that the simulation is complete.
  func stuckProcesses() -> [StuckProcess]

  /// Bytes that the model holds for the logical processes of this process, for ``ProcessShare/stateBytes``.
  ///
  /// Zero when it does not say.
  var stateBytes: Int { get }
}

extension EventModel where Self: ~Copyable {
  /// Zero: the model does not say.
  public var stateBytes: Int { 0 }
}

/// A logical process that waits for something that will never happen.
public struct StuckProcess: Hashable, Sendable {
  /// Which one.
  public let logicalProcess: LogicalProcess
  /// What it waits for, and from whom.
  public let reason: String

  /// A logical process that waits because of `reason`.
  public init(_ logicalProcess: LogicalProcess, reason: String) {
    self.logicalProcess = logicalProcess
    self.reason = reason
  }
}

/// What a simulation was and what it took, for all processes together; the same on each.
public struct SimulationOutcome: Hashable, Sendable {
  /// The time of the last event, zero when there was none.
  public var endTime: SimTime
  /// Events handled.
  public var events: Int
  /// Events that one logical process scheduled for another.
  public var messages: Int
  /// Messages between logical processes on different processes.
  public var mpiMessages: Int
  /// Batches that carried them.
  public var mpiBatches: Int
  /// Windows in which all processes advanced together; zero for one process.
  public var windows: Int
  /// Wall-clock seconds that processes spent exchanging events or waiting for each other, summed.
  ///
  /// With ``shares`` the one value that differs from run to run.
  public var blockedSeconds: Double
  /// What each process did.
  public var shares: [ProcessShare]
  /// A digest of what happened to every logical process in order, when it was asked for.
  public var historyHash: UInt64?
  /// The logical processes that wait for ever, in ascending order; empty when the run is complete.
  public var stuck: [StuckProcess]

  /// Whether nothing waits for ever.
  public var isComplete: Bool { stuck.isEmpty }
}

/// One process's part of a simulation.
public struct ProcessShare: Hashable, Sendable {
  /// Logical processes that live there.
  public var logicalProcesses: Int
  /// Events it handled.
  public var events: Int
  /// Messages it sent to other processes.
  public var mpiMessages: Int
  /// Wall-clock seconds it spent exchanging events or waiting for other processes.
  public var blockedSeconds: Double
  /// Wall-clock seconds from its first event to its last, ``blockedSeconds`` included.
  public var wallSeconds: Double
  /// Bytes the model and the kernel hold for its logical processes, pending events not counted.
  ///
  /// Room that was taken, whether or not it is full.
  public var stateBytes: Int
  /// Bytes of room for pending events and for those on their way to other processes.
  ///
  /// As it never shrinks, the most of the run.
  public var pendingBytes: Int
  /// The most bytes of memory the process ever had resident, program and all (`getrusage(2)`).
  public var residentBytes: Int

  /// Wall-clock seconds in which it handled events.
  public var busySeconds: Double { wallSeconds - blockedSeconds }
}

/// Why a simulation could not be carried to its end.
public enum SimulationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Processes could not exchange events.
  case communication(String)
  /// The end-of-run audit found that events were lost or doubled.
  case lostEvents(source: Int, destination: Int, sent: Int64, received: Int64)
  /// The end-of-run audit found that events were scheduled and never handled.
  case unhandledEvents(scheduled: Int64, handled: Int64)

  /// The error in one sentence.
  public var description: String {
    switch self {
    case .communication(let text): text
    case .lostEvents(let source, let destination, let sent, let received):
      "process \(source) sent \(sent) events to process \(destination), which received \(received)"
    case .unhandledEvents(let scheduled, let handled):
      "\(scheduled) events were scheduled, \(handled) were handled"
    }
  }
}
