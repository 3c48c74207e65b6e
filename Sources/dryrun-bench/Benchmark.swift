import EventKernel
import Glibc
import MessagePassing
import Quantities

/// One setting of the hold model.
struct Setting {
  let name: String
  let logicalProcesses: Int
  let pendingOnEach: Int
  let events: Int
  var pending: Int { logicalProcesses * pendingOnEach }
}

/// Measures the kernel on the hold model, against a bare loop when alone.
@main struct Benchmark {
  static func main() throws {
    // `dryrun-bench --commands PATH` times whole commands of the program at that path.
    if CommandLine.arguments.count == 3, CommandLine.arguments[1] == "--commands" {
      return try CommandBenchmark.run(CommandLine.arguments[2])
    }
    // `dryrun-bench --flows` times changes of rates; `--oracle FOLDER` writes cases for scripts/oracle.
    if CommandLine.arguments.dropFirst() == ["--flows"] { return FlowBenchmark.run() }
    if CommandLine.arguments.count == 3, CommandLine.arguments[1] == "--oracle" {
      return try FlowBenchmark.writeCases(to: CommandLine.arguments[2])
    }
    // `dryrun-bench --collectives` times collectives message by message.
    if CommandLine.arguments.dropFirst() == ["--collectives"] {
      try CollectiveBenchmark.shared()
      return try CollectiveBenchmark.staggered()
    }
    // `dryrun-bench --queues` compares queues of pending events.
    if CommandLine.arguments.dropFirst().first == "--queues" { return try QueueComparison.run() }
    try World.run { world in
      if world.isRoot {
        print("hold model, \(world.size) process\(world.size == 1 ? "" : "es")")
      }
      if world.size == 1 {
        try alone(world)
      } else {
        try together(world)
      }
    }
  }

  /// Kernel and bare loop in turn; the median of the pairs counts.
  static func alone(_ world: any Communicator) throws {
    let settings = [
      Setting(name: "10^3", logicalProcesses: 1_000, pendingOnEach: 1, events: 10_000_000),
      Setting(name: "10^4", logicalProcesses: 10_000, pendingOnEach: 1, events: 10_000_000),
      Setting(name: "10^5", logicalProcesses: 100_000, pendingOnEach: 1, events: 10_000_000),
      Setting(name: "10^7", logicalProcesses: 100_000, pendingOnEach: 100, events: 40_000_000),
    ]
    for setting in settings {
      let pairs = setting.pending > 1_000_000 ? 1 : 5
      var kernelRates: [Double] = []
      var bareRates: [Double] = []
      var outcome: SimulationOutcome?
      for _ in 0..<pairs {
        let (run, seconds) = try simulateHold(setting, over: world)
        outcome = run
        kernelRates.append(Double(run.events) / seconds)
        let end = HoldModel.end(events: setting.events, pending: setting.pending)
        var handled = 0
        let bareSeconds = measure {
          handled = bareLoop(
            count: setting.logicalProcesses, pendingOnEach: setting.pendingOnEach, end: end)
        }
        bareRates.append(Double(handled) / bareSeconds)
      }
      let ratios = zip(kernelRates, bareRates).map { $0 / $1 }
      print(
        "\(setting.name) pending: \(millions(median(kernelRates))) M events/s, bare loop "
          + "\(millions(median(bareRates))), ratio \(hundredths(median(ratios))), "
          + "\(setting.logicalProcesses) logical processes of \(bytesOfEach) bytes, "
          + "peak \(peakMebibytes()) MiB, \(outcome?.events ?? 0) events")
    }
  }

  /// The kernel over all processes, each setting also on one process alone in the same job.
  static func together(_ world: any Communicator) throws {
    let settings = [
      Setting(name: "10^3", logicalProcesses: 1_000, pendingOnEach: 1, events: 5_000_000),
      Setting(name: "10^4", logicalProcesses: 10_000, pendingOnEach: 1, events: 10_000_000),
      Setting(name: "10^5", logicalProcesses: 100_000, pendingOnEach: 1, events: 10_000_000),
    ]
    for setting in settings {
      var rates: [Double] = []
      var serialRates: [Double] = []
      var outcome: SimulationOutcome?
      for _ in 0..<5 {
        try world.barrier()
        // Every process runs the serial path at once, so that both meet the same machine.
        let (serial, serialSeconds) = try simulateHold(setting, over: SoloCommunicator())
        serialRates.append(Double(serial.events) / serialSeconds)
        try world.barrier()
        let (run, seconds) = try simulateHold(setting, over: world)
        rates.append(Double(run.events) / seconds)
        outcome = run
      }
      // Not timed: the same history on several processes as on one.
      let (shared, _) = try simulateHold(setting, over: world, recordsHistory: true)
      let (alone, _) = try simulateHold(setting, over: SoloCommunicator(), recordsHistory: true)
      guard shared.historyHash == alone.historyHash else { throw Disagreement() }
      guard world.isRoot, let outcome else { continue }
      let ratios = zip(rates, serialRates).map { $0 / $1 }
      let blocked = outcome.blockedSeconds / Double(world.size)
      print(
        "\(setting.name) pending: \(millions(median(rates))) M events/s, serial "
          + "\(millions(median(serialRates))), ratio \(hundredths(median(ratios))); "
          + "\(outcome.windows) windows, \(outcome.mpiMessages) MPI messages in "
          + "\(outcome.mpiBatches) batches, \(hundredths(blocked / Double(outcome.windows) * 1e6)) us "
          + "blocked in each window")
    }
    try emptyWindows(world)
  }

  /// What a window costs in which nearly nothing happens: one token in turn on every process.
  static func emptyWindows(_ world: any Communicator) throws {
    let partition = Partition(evenly: world.size, over: world.size)
    var rates: [Double] = []
    for _ in 0..<5 {
      var clock = Ticks(count: 200_000)
      try world.barrier()
      var windows = 0
      let began = ContinuousClock.now
      windows = try simulate(&clock, partition: partition, over: world).windows
      rates.append(seconds(since: began) / Double(windows))
    }
    if world.isRoot {
      print("empty window: \(hundredths(median(rates) * 1e6)) us")
    }
  }

  /// Bytes the kernel and the model hold for each logical process, without pending events.
  ///
  /// The sequence counter and the random stream.
  static let bytesOfEach = MemoryLayout<UInt32>.size + MemoryLayout<UInt64>.size

  static func simulateHold(
    _ setting: Setting, over communicator: any Communicator, recordsHistory: Bool = false
  )
    throws -> (SimulationOutcome, Double)
  {
    let partition = Partition(evenly: setting.logicalProcesses, over: communicator.size)
    var model = HoldModel(
      count: setting.logicalProcesses, pendingOnEach: setting.pendingOnEach,
      end: HoldModel.end(events: setting.events, pending: setting.pending),
      block: partition.block(of: communicator.rank))
    let began = ContinuousClock.now
    let outcome = try simulate(
      &model, partition: partition, over: communicator, recordsHistory: recordsHistory)
    return (outcome, seconds(since: began))
  }
}

/// Runs on several processes and on one did not agree.
struct Disagreement: Error {}

/// One event a lookahead on every logical process, no message.
struct Ticks: EventModel {
  let lookahead = SimDuration(picoseconds: 1_000)
  var count: Int

  func start(_ context: inout EventContext) {
    for process in context.localProcesses { context.schedule(0, to: process, at: .zero) }
  }

  mutating func handle(_ event: Event, _ context: inout EventContext) {
    count -= 1
    if count > 0 { context.schedule(0, to: event.destination, after: lookahead) }
  }

  func stuckProcesses() -> [StuckProcess] { [] }
}

func seconds(since began: ContinuousClock.Instant) -> Double {
  let parts = (ContinuousClock.now - began).components
  return Double(parts.seconds) + Double(parts.attoseconds) * 1e-18
}

func measure(_ body: () -> Void) -> Double {
  let began = ContinuousClock.now
  body()
  return seconds(since: began)
}

func median(_ values: [Double]) -> Double {
  values.sorted()[values.count / 2]
}

func millions(_ rate: Double) -> String { hundredths(rate * 1e-6) }

func hundredths(_ value: Double) -> String {
  let scaled = Int((value * 100).rounded())
  let cents = scaled % 100
  return "\(scaled / 100).\(cents < 10 ? "0" : "")\(cents)"
}

/// The most memory this process ever held, in MiB.
func peakMebibytes() -> Int {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return usage.ru_maxrss / 1_024
}
