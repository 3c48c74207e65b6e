import Quantities
import Testing

@testable import RunForecast

/// Runs drawn at random against what can be said in closed form.
@Suite struct RunSimulationTests {
  /// 20 days of work on 1,000 GPUs that fail once in 1,000 hours each: one failure an hour.
  private static let plan = plan(gpus: 1_000)

  private static func plan(gpus: Int) -> RunPlan {
    RunPlan(
      step: Seconds(10), tokensPerStep: 1e6, tokens: 172_800e6, gpuCount: gpus,
      activeParameters: 1e9, modelFlopsPerStep: Flops(7e15),
      checkpoint: Bytes(6_000_000_000 as Int64), gpuPower: Watts(700), gpuHourPrice: Dollars(2))
  }

  private static func settings(
    restart: Double = 120, asynchronous: Bool = false, spares: Int? = nil, repair: Double = 0,
    shape: Double = 1, node: Seconds? = nil
  ) -> RunSettings {
    RunSettings(
      checkpoint: CheckpointSettings(
        interval: Seconds(600), writeRate: ByteRate(bytesPerSecond: 1e8),
        isAsynchronous: asynchronous),
      failures: FailureSettings(
        gpuMeanTimeBetweenFailures: Seconds(3_600_000), restart: Seconds(restart),
        nodeMeanTimeBetweenFailures: node, shape: shape, spares: spares,
        repair: Seconds(repair)))
  }

  private static func distribution(_ settings: RunSettings, runs: Int = 400) throws -> (
    RunDistribution, RunForecast, mean: Double
  ) {
    let simulation = try #require(RunSimulation(plan, settings: settings))
    let outcomes = (0..<runs).map { simulation.run($0, seed: 1) }
    let forecast = RunForecast(plan, settings: settings)
    let mean = outcomes.reduce(0) { $0 + $1.wallTime.value } / Double(runs)
    return (RunDistribution(outcomes, of: forecast), forecast, mean)
  }

  @Test("the mean is Daly's closed form, writes in step or beside it", arguments: [false, true])
  func meanIsDaly(asynchronous: Bool) throws {
    let (drawn, forecast, mean) = try Self.distribution(Self.settings(asynchronous: asynchronous))
    // One run has about 600 failures: its time spreads by a few parts in a thousand, the mean of
    // 400 runs by a few in ten thousand. The closed form of asynchronous writes is of first order.
    #expect(abs(mean / forecast.wallTime.value - 1) < (asynchronous ? 0.01 : 0.002))
    #expect(drawn.seconds.p10 < drawn.seconds.p50 && drawn.seconds.p50 < drawn.seconds.p90)
    #expect(drawn.seconds.p10 < mean && mean < drawn.seconds.p90)
    #expect(drawn.endless == 0)
    // Failures come at a constant rate, also in the time they cost.
    let rate = drawn.meanFailures.reduce(0, +) / mean
    #expect(abs(rate * 3_600 - 1) < 0.01)
  }

  @Test("run i is the same alone and among others; seeds differ")
  func streams() throws {
    let simulation = try #require(RunSimulation(Self.plan, settings: Self.settings()))
    let all = (0..<20).map { simulation.run($0, seed: 7) }
    #expect(simulation.run(13, seed: 7) == all[13])
    #expect(Set(all.map(\.wallTime)).count == 20)
    #expect(simulation.run(13, seed: 8) != all[13])
    for outcome in all {
      #expect(RunOutcome(words: outcome.words[...]) == outcome)
    }
  }

  @Test("time adds up: work, writes, lost work, down time")
  func addsUp() throws {
    let settings = Self.settings()
    let simulation = try #require(RunSimulation(Self.plan, settings: settings))
    for index in 0..<20 {
      let run = simulation.run(index, seed: 3)
      let parts =
        1_728_000 + run.lostTime.value + run.downTime.value
      // 2,880 intervals of 600 s, each with a write of 60 s; each failure may cut one write short.
      let writes = run.wallTime.value - parts
      #expect(writes > 2_880 * 60 - 60 * Double(run.failures[0]) && writes <= 2_880 * 60 + 1e-3)
      // Every failure costs a restart, those in a restart less.
      #expect(run.downTime.value <= 120 * Double(run.failures[0]) + 1e-6)
    }
  }

  @Test("without enough spares a run waits for repairs")
  func spares() throws {
    let endless = try Self.distribution(Self.settings(), runs: 50).mean
    let few = try Self.distribution(Self.settings(spares: 1, repair: 86_400), runs: 50).mean
    let many = try Self.distribution(Self.settings(spares: 100, repair: 86_400), runs: 50).mean
    // A failure an hour and a day in repair: 24 nodes are away on average, 100 spares never run out.
    #expect(many == endless)
    // With one spare, two nodes break a day: each failure waits half a day on average.
    #expect(few > 5 * endless)
  }

  @Test("kinds break in proportion to their rates; Weibull keeps the mean")
  func kindsAndShapes() throws {
    // 125 nodes at one failure in 125 hours each: as many a second as 1,000 GPUs at 1,000 hours.
    let (both, _, _) = try Self.distribution(
      Self.settings(node: Seconds(125 * 3_600)), runs: 100)
    #expect(abs(both.meanFailures[0] / both.meanFailures[1] - 1) < 0.03)
    #expect(both.meanFailures[2] == 0)
    let (clustered, _, mean) = try Self.distribution(Self.settings(shape: 0.7), runs: 200)
    let rate = clustered.meanFailures.reduce(0, +) / mean
    // Failures in restarts are drawn anew, so more are counted where they come in clusters.
    #expect(rate * 3_600 > 0.95 && rate * 3_600 < 1.1)
  }

  @Test("a run that cannot progress is said not to end")
  func neverEnds() throws {
    var settings = Self.settings(restart: 36_000)
    settings.checkpoint = nil
    let simulation = try #require(
      RunSimulation(Self.plan(gpus: 1_000_000), settings: settings))
    #expect(!simulation.run(0, seed: 0).wallTime.value.isFinite)
  }
}
