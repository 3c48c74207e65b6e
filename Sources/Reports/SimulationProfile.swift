import EventKernel
import Quantities
public import RunForecast
import ScenarioFile

extension SimulationRecord {
  /// How the work was spread over processes; nothing where no events were handled.
  var profileMembers: [JSONValue.Member] {
    guard !shares.isEmpty else { return [] }
    return [
      .init("windows", .integer(windows)),
      .init("events_per_window", .number(eventsPerWindow)),
      .init("blocked_seconds", .number(blockedSeconds)),
      .init("imbalance", .number(imbalance)),
      .init("speed_up_estimate", .number(speedUp)),
      .init("state_bytes", .integer(stateBytes)),
      .init("pending_event_bytes", .integer(shares.reduce(0) { $0 + $1.pendingBytes })),
      .init(
        "shares",
        .array(
          shares.map {
            [
              "ranks": .integer($0.logicalProcesses), "events": .integer($0.events),
              "mpi_messages": .integer($0.mpiMessages),
              "blocked_seconds": .number($0.blockedSeconds),
              "wall_seconds": .number($0.wallSeconds),
              "state_bytes": .integer($0.stateBytes),
              "pending_event_bytes": .integer($0.pendingBytes),
              "peak_resident_bytes": .integer($0.residentBytes),
            ]
          })),
    ]
  }

  private var stateBytes: Int { shares.reduce(0) { $0 + $1.stateBytes } }

  private var eventsPerWindow: Double {
    windows == 0 ? Double(events) : Double(events) / Double(windows)
  }

  /// The profile as text.
  public var profileText: String {
    guard !shares.isEmpty else {
      return "No profile: folded simulation handles no events and runs on one process.\n"
    }
    var table = TextTable([
      "Process", "ranks", "events", "MPI messages", "busy", "blocked", "state", "events pending",
      "resident",
    ])
    for (index, share) in shares.enumerated() {
      table.add([
        "\(index)", Format.grouped(share.logicalProcesses), Format.grouped(share.events),
        Format.grouped(share.mpiMessages), Format.duration(Seconds(share.busySeconds)),
        Format.duration(Seconds(share.blockedSeconds)),
        Self.mebibytes(share.stateBytes), Self.mebibytes(share.pendingBytes),
        Self.mebibytes(share.residentBytes),
      ])
    }
    let seconds = shares.map(\.wallSeconds).max() ?? 0
    let rate = seconds > 0 ? Double(events) / seconds * 1e-6 : 0
    var text = table.lines().joined(separator: "\n") + "\n"
    text +=
      "\n\(Format.fixed(rate, decimals: 2)) million events/s in \(Format.duration(Seconds(seconds)))."
    text +=
      " \(Format.grouped(stateBytes / max(simulatedRanks, 1))) bytes of state a GPU; resident is all "
      + "that the process ever held, program included."
    if shares.count > 1 {
      text +=
        " \(Format.grouped(windows)) windows of \(Format.fixed(eventsPerWindow, decimals: 1)) events; blocked "
        + "\(Format.fixed(blockedSeconds / Double(shares.count) / Double(max(windows, 1)) * 1e6, decimals: 2)) "
        + "us in each; the busiest process handles \(Format.fixed(imbalance, decimals: 3)) of the mean; about "
        + "\(Format.fixed(speedUp, decimals: 2)) times as fast as one process."
    }
    return text + "\n"
  }

  private static func mebibytes(_ bytes: Int) -> String {
    Format.fixed(Double(bytes) / 1_048_576, decimals: 1) + " MiB"
  }
}
