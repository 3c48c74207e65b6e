public import Quantities

/// The checkpoint interval under which drawn runs take least.
///
/// The closed form knows failures at a constant rate, one level and a write that stops training; this
/// knows everything that ``RunSimulation`` draws.
public struct CheckpointSearch: Hashable, Sendable {
  /// The best interval of those tried.
  public var interval: Seconds
  /// Mean wall time of the runs drawn under it.
  public var wallTime: Seconds

  /// Events (failures) that are drawn in all.
  ///
  /// More would tell neighbouring intervals apart better than anybody can use.
  private static let events = 200_000.0

  /// Draws the same runs under intervals a quarter of an octave apart.
  ///
  /// Eight times fewer to eight times more than the one Young's formula gives, each of whole steps; `nil`
  /// without checkpoints or failures, and where one run alone has too many.
  ///
  /// - Parameters:
  ///   - plan: the phases with their steps.
  ///   - settings: what happens around them.
  ///   - seed: of the random streams, those of the run's own draws.
  public init?(_ plan: RunPlan, settings: RunSettings, seed: UInt64) {
    guard let checkpoint = settings.checkpoint, let failing = settings.failures,
      let last = plan.phases.last
    else { return nil }
    let forecast = RunForecast(plan, settings: settings)
    guard forecast.wallTime.value.isFinite, forecast.failures > 0 else { return nil }
    let rate = failing.rates(gpuCount: last.gpuCount, gpusPerNode: last.gpusPerNode)
      .reduce(0, +)
    let cost = CheckpointCost(last, checkpoint)
    let young = ExpectedSegment.bestInterval(
      write: max(cost.stall.value, 1e-3), between: 1 / rate)
    let steps = -12...12
    let step = RunSegment.segments(of: plan, settings: settings).last?.step ?? 1
    let each = forecast.failures + forecast.stragglers + 1
    let draws = Int(min(64, Self.events / each / Double(steps.count)))
    guard draws >= 2 else { return nil }
    var best: (interval: Double, time: Double)?
    var factor = 0.125
    var tried = 0.0
    for _ in steps {
      var settings = settings
      // Not below the time of one write, nor above a year.
      let wanted = min(max(young * factor, cost.write.value, 1), 31_536_000)
      factor *= 1.189_207_115_002_721  // the fourth root of 2
      let interval = RunSegment.steps(in: wanted, of: step) * step
      guard interval != tried else { continue }
      tried = interval
      settings.checkpoint?.interval = Seconds(interval)
      if let local = checkpoint.local, local.interval.value > interval {
        settings.checkpoint?.local?.interval = Seconds(interval)
      }
      guard let simulation = RunSimulation(plan, settings: settings) else { continue }
      var sum = 0.0
      for index in 0..<draws { sum += simulation.run(index, seed: seed).wallTime.value }
      let mean = sum / Double(draws)
      if mean < best?.time ?? .infinity { best = (interval, mean) }
    }
    guard let best, best.time.isFinite else { return nil }
    interval = Seconds(best.interval)
    wallTime = Seconds(best.time)
  }
}
