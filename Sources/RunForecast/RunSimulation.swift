import Foundation
public import Quantities

/// What can break.
public enum FailureKind: Int, Hashable, Sendable, CaseIterable {
  /// One GPU with its share of everything else.
  case gpu
  /// A whole node.
  case node
  /// Something all nodes share.
  case fabric
}

/// One training run with its failures, drawn at random.
public struct RunOutcome: Hashable, Sendable {
  /// Wall time.
  public var wallTime: Seconds
  /// Work done and lost again.
  public var lostTime: Seconds
  /// Detection, restarts, and waiting for repaired nodes.
  public var downTime: Seconds
  /// Failures by raw value of ``FailureKind``.
  public var failures: [Int]
}

/// Draws training runs: useful work, checkpoints, failures, restarts, spares.
///
/// Every random number comes from a stream of its own for (seed, run): run `i` is the same whichever
/// process draws it and however many are drawn.
public struct RunSimulation: Sendable {
  private let useful: Double
  private let startUp: Double
  private let interval: Double
  private let stall: Double
  private let commit: Double
  private let failing: FailureSettings
  private let rates: [Double]

  /// Prepares to draw runs; `nil` when nothing ever fails.
  ///
  /// - Parameters:
  ///   - plan: the step and what it is repeated for.
  ///   - settings: checkpoints, failures, evaluations.
  public init?(_ plan: RunPlan, settings: RunSettings) {
    guard let failing = settings.failures else { return nil }
    let forecast = RunForecast(plan, settings: settings)
    useful = forecast.trainingTime.value + forecast.evaluationTime.value
    startUp = settings.startUp.value
    self.failing = failing
    rates = failing.rates(gpuCount: plan.gpuCount, gpusPerNode: plan.gpusPerNode)
    if let checkpoint = settings.checkpoint {
      let write = (plan.checkpoint / checkpoint.writeRate).value
      interval = min(checkpoint.interval.value, max(useful, 1e-9))
      stall = checkpoint.isAsynchronous ? 0 : write
      commit = checkpoint.isAsynchronous ? write : 0
    } else {
      interval = max(useful, 1e-9)
      stall = 0
      commit = 0
    }
  }

  /// Failures after which a run counts as one that never ends.
  private static let limit = 1_000_000

  /// Draws run `index` of `seed`.
  ///
  /// Failures strike at any time, restarts included. Work since the last finished checkpoint is lost.
  /// A broken GPU or node is replaced by a spare, or, when none is left, by the first that comes
  /// back from repair.
  /// - Returns: the run; its wall time is infinite when it never ends.
  public func run(_ index: Int, seed: UInt64) -> RunOutcome {
    var random = RandomStream(seed: seed, stream: UInt64(index))
    var pool = SparePool(failing)
    var outcome = RunOutcome(
      wallTime: .zero, lostTime: .zero, downTime: .zero,
      failures: [Int](repeating: 0, count: FailureKind.allCases.count))
    var time = startUp
    var saved = 0.0
    var count = 0
    var next = time + interval(until: &random)
    while true {
      let left = useful - saved
      let need = left + (left / interval).rounded(.down) * stall
      if time + need <= next {
        outcome.wallTime = Seconds(time + need)
        return outcome
      }
      let elapsed = next - time
      let cycles = max(0, ((elapsed - commit) / (interval + stall)).rounded(.down))
      saved += cycles * interval
      outcome.lostTime = outcome.lostTime + Seconds(elapsed - cycles * (interval + stall))
      time = next
      // Down until a whole restart passes without another failure.
      while true {
        count += 1
        guard count <= Self.limit else {
          outcome.wallTime = Seconds(.infinity)
          return outcome
        }
        let kind = kind(&random)
        outcome.failures[kind.rawValue] += 1
        // Nothing runs, and so nothing breaks, while a node is missing.
        let start = pool.replace(kind, at: time)
        outcome.downTime = outcome.downTime + Seconds(start - time)
        time = start
        let ready = time + failing.detection.value + failing.restart.value
        next = time + interval(until: &random)
        let end = min(next, ready)
        outcome.downTime = outcome.downTime + Seconds(end - time)
        time = end
        if ready <= next { break }
      }
    }
  }

  /// Time to the next failure of the job: Weibull with the mean of all rates together; shape 1 is
  /// the exponential distribution.
  private func interval(until random: inout RandomStream) -> Double {
    let mean = 1 / rates.reduce(0, +)
    let shape = failing.shape
    let draw = -log(random.uniform())
    guard shape != 1 else { return mean * draw }
    return mean / tgamma(1 + 1 / shape) * pow(draw, 1 / shape)
  }

  private func kind(_ random: inout RandomStream) -> FailureKind {
    var place = random.uniform() * rates.reduce(0, +)
    for kind in FailureKind.allCases {
      place -= rates[kind.rawValue]
      if place < 0 { return kind }
    }
    return .gpu
  }
}

extension FailureSettings {
  /// Failures a second by raw value of ``FailureKind``.
  func rates(gpuCount: Int, gpusPerNode: Int) -> [Double] {
    let nodes = (Double(gpuCount) / Double(max(gpusPerNode, 1))).rounded(.up)
    return [
      Double(gpuCount) / gpuMeanTimeBetweenFailures.value,
      nodeMeanTimeBetweenFailures.map { nodes / $0.value } ?? 0,
      fabricMeanTimeBetweenFailures.map { 1 / $0.value } ?? 0,
    ]
  }
}

/// Nodes that stand by, and nodes under repair.
private struct SparePool {
  private var available: Int?
  private let repair: Double
  /// When nodes come back, earliest first: repairs all take the same time.
  private var returns: [Double] = []
  private var firstReturn = 0

  init(_ settings: FailureSettings) {
    available = settings.spares
    repair = settings.repair.value
  }

  /// When the broken part's replacement can start.
  mutating func replace(_ kind: FailureKind, at time: Double) -> Double {
    guard let spares = available, kind != .fabric else { return time }
    returns.append(time + repair)
    var ready = spares
    while firstReturn < returns.count, returns[firstReturn] <= time {
      firstReturn += 1
      ready += 1
    }
    if ready > 0 {
      available = ready - 1
      return time
    }
    available = 0
    defer { firstReturn += 1 }
    return returns[firstReturn]
  }
}

/// Random numbers that depend on (seed, stream, place in it) alone.
///
/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) from a state mixed of seed and stream.
struct RandomStream {
  private var state: UInt64

  init(seed: UInt64, stream: UInt64) {
    state = Self.mixed(seed &+ 0x9e37_79b9_7f4a_7c15 &* (stream &+ 1))
  }

  private static func mixed(_ value: UInt64) -> UInt64 {
    var value = value
    value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
    return value ^ (value >> 31)
  }

  /// A number above 0 and at most 1.
  mutating func uniform() -> Double {
    state &+= 0x9e37_79b9_7f4a_7c15
    return (Double(Self.mixed(state) >> 11) + 1) * 0x1p-53
  }
}
