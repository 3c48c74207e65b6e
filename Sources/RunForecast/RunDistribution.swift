public import Quantities

/// What many drawn runs have in common: how long it takes in a good, a middling and a bad case.
public struct RunDistribution: Hashable, Sendable {
  /// Three quantiles of a quantity over the runs.
  public struct Quantiles: Hashable, Sendable {
    /// One run in ten is below.
    public var p10: Double
    /// Half of the runs are below.
    public var p50: Double
    /// Nine runs in ten are below.
    public var p90: Double

    /// Quantiles of values in any order, interpolated between neighbours.
    init(_ values: [Double]) {
      let sorted = values.sorted()
      func quantile(_ fraction: Double) -> Double {
        guard let last = sorted.last else { return .nan }
        let place = fraction * Double(sorted.count - 1)
        let index = Int(place)
        guard index + 1 < sorted.count, sorted[index] != sorted[index + 1] else {
          return index < sorted.count ? sorted[index] : last
        }
        return sorted[index] + (sorted[index + 1] - sorted[index]) * (place - Double(index))
      }
      p10 = quantile(0.1)
      p50 = quantile(0.5)
      p90 = quantile(0.9)
    }
  }

  /// Runs drawn.
  public var runs: Int
  /// Of these the ones that never end.
  public var endless: Int
  /// Wall time in seconds.
  public var seconds: Quantiles
  /// Time in steps over wall time.
  public var goodput: Quantiles
  /// GPU-hours.
  public var gpuHours: Quantiles
  /// Failures of a run.
  public var failures: Quantiles
  /// Wall time at which each tenth of the work but the last was done for good.
  public var tenths: [Quantiles]
  /// Mean number of failures by raw value of ``FailureKind``.
  public var meanFailures: [Double]
  /// Mean time in work that was lost.
  public var meanLostTime: Seconds
  /// Mean time in detection, restarts and waiting for repairs.
  public var meanDownTime: Seconds
  /// Mean number of ranks that became slow.
  public var meanStragglers: Double
  /// Mean time that they add, with that of their replacement.
  public var meanStragglerTime: Seconds

  /// Runs to draw where the scenario does not say.
  ///
  /// 1,000, or 100 where each has so many failures that they hardly differ (the spread of a run's time falls
  /// with the root of their number).
  public static func usualDraws(_ forecast: RunForecast) -> Int {
    forecast.failures + forecast.stragglers > 5_000 ? 100 : 1_000
  }

  /// Events (failures, ranks that become slow, ends of runs) that are drawn in all, some ten seconds of them.
  ///
  /// No more runs are drawn when there have been as many.
  public static let eventLimit = 100_000_000

  /// The most ranks that may become slow in a run that is drawn, as many as failures.
  public static let stragglerLimit = Double(RunSimulation.limit)

  /// Failures after which a run counts as one that never ends.
  public static let failureLimit = RunSimulation.limit

  /// How many runs to draw next.
  ///
  /// - Parameters:
  ///   - left: runs still wanted.
  ///   - drawn: runs drawn so far.
  ///   - events: how many they had.
  /// - Returns: some that keep within ``eventLimit`` if they are like those before; none beyond it.
  public static func nextDraws(left: Int, drawn: Int, events: Int) -> Int {
    guard drawn > 0 else { return min(left, 100) }
    let each = max(1, events / drawn)
    return min(left, max(0, eventLimit - events) / each)
  }

  /// The distribution of drawn runs of a forecast.
  public init(_ outcomes: [RunOutcome], of forecast: RunForecast) {
    let count = Double(max(outcomes.count, 1))
    let times = outcomes.map(\.wallTime.value)
    runs = outcomes.count
    endless = times.count { !$0.isFinite }
    seconds = Quantiles(times)
    goodput = Quantiles(times.map { forecast.trainingTime.value / $0 })
    gpuHours = Quantiles(outcomes.map(\.gpuTime.hours))
    failures = Quantiles(outcomes.map { Double($0.failures.reduce(0, +)) })
    tenths = (0..<9).map { tenth in Quantiles(outcomes.map { $0.tenths[tenth].value }) }
    meanFailures = FailureKind.allCases.map { kind in
      outcomes.reduce(0) { $0 + Double($1.failures[kind.rawValue]) } / count
    }
    meanLostTime = Seconds(outcomes.reduce(0) { $0 + $1.lostTime.value } / count)
    meanDownTime = Seconds(outcomes.reduce(0) { $0 + $1.downTime.value } / count)
    meanStragglers = outcomes.reduce(0) { $0 + Double($1.stragglers) } / count
    meanStragglerTime = Seconds(outcomes.reduce(0) { $0 + $1.stragglerTime.value } / count)
  }
}

extension RunOutcome {
  /// Failures and slow ranks of the run, and its end.
  public var eventCount: Int { failures.reduce(1 + stragglers, +) }

  /// The run as whole numbers, for the journey between processes.
  public var words: [Int64] {
    ([wallTime, gpuTime, lostTime, downTime, stragglerTime] + tenths).map {
      Int64(bitPattern: $0.value.bitPattern)
    } + [Int64(stragglers)] + failures.map { Int64($0) }
  }

  /// Words of a run.
  public static let wordCount = 15 + FailureKind.allCases.count

  /// The run whose ``words`` these are.
  public init(words: ArraySlice<Int64>) {
    let times = words.prefix(14).map { Seconds(Double(bitPattern: UInt64(bitPattern: $0))) }
    let counts = words.dropFirst(14).map { Int($0) }
    self.init(
      wallTime: times[0], gpuTime: times[1], lostTime: times[2], downTime: times[3],
      stragglerTime: times[4], stragglers: counts[0], failures: Array(counts[1...]),
      tenths: Array(times[5...]))
  }
}
