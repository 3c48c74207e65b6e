import Foundation

/// Says how far a long simulation is: at most one line in ``interval``, none in the first second.
struct ProgressMeter {
  /// Between two lines.
  static let interval = Duration.seconds(5)

  private let expected: Int
  private let began = ContinuousClock.now
  private var next = Duration.seconds(1)

  /// A meter for a process that handles about `expected` events.
  init(expected: Int) { self.expected = max(1, expected) }

  /// What to print after `events`; `nil` when it is too soon.
  mutating func line(after events: Int) -> String? {
    let elapsed = ContinuousClock.now - began
    guard elapsed >= next else { return nil }
    next = elapsed + Self.interval
    return Self.text(events: events, of: expected, seconds: elapsed / .seconds(1))
  }

  /// Events done and time left, as far as it can be told.
  static func text(events: Int, of expected: Int, seconds: Double) -> String {
    // The number of events is an estimate: the last hundredth may take longer than a hundredth.
    let done = min(0.99, Double(events) / Double(expected))
    let left = seconds / done * (1 - done)
    return "\(Int(done * 100)) % after \(Int(seconds.rounded())) s, about "
      + "\(Int(left.rounded(.up))) s left"
  }
}

/// The machine a process runs on.
struct Machine {
  /// Bytes of memory that its processes may take together.
  let memory: Double
  /// Part of the job's processes that run here.
  let share: Double

  /// The machine of one of so many processes.
  init(processes: Int) {
    // Open MPI tells each process how many of the job run on its machine (mpirun(1)).
    let here =
      ProcessInfo.processInfo.environment["OMPI_COMM_WORLD_LOCAL_SIZE"].flatMap(Int.init)
      ?? processes
    share = Double(here) / Double(max(1, processes))
    memory = min(
      Double(ProcessInfo.processInfo.physicalMemory), Self.containerLimit ?? .infinity,
      Self.processLimit.map { $0 * Double(here) } ?? .infinity)
  }

  /// What the container may take (cgroups 2: `memory.max`); `nil` without a limit.
  private static var containerLimit: Double? {
    (try? String(contentsOfFile: "/sys/fs/cgroup/memory.max", encoding: .utf8))
      .flatMap { Double($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
  }

  /// What a process may take (`ulimit -v`, see `getrlimit(2)`); `nil` without a limit.
  private static var processLimit: Double? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0,
      limit.rlim_cur < rlim_t.max
    else { return nil }
    return Double(limit.rlim_cur)
  }

  /// Bytes in GB with one decimal, less than one in MB.
  static func text(_ bytes: Double) -> String {
    bytes >= 1e9 ? "\((bytes / 1e8).rounded() / 10) GB" : "\(Int((bytes / 1e6).rounded(.up))) MB"
  }
}
