import Foundation
import Quantities
import Testing

@testable import RunForecast

/// Two levels of checkpoints, slow ranks, restarts that grow: closed forms against runs drawn.
@Suite struct InterruptionTests {
  /// 20 days of work on 1,000 GPUs in nodes of 8; a checkpoint of 6 GB.
  private func plan(stretch: Double = 1) -> RunPlan {
    var plan = RunPlan(
      step: Seconds(10), tokensPerStep: 1e6, tokens: 172_800e6, gpuCount: 1_000,
      activeParameters: 1e9, modelFlopsPerStep: Flops(7e15),
      checkpoint: Bytes(6_000_000_000 as Int64), gpuPower: Watts(700), gpuHourPrice: Dollars(2))
    plan.phases[0].checkpoint.largestPart = Bytes(6_000_000 as Int64)
    plan.phases[0].stragglerStretch = stretch
    plan.phases[0].hostRate = ByteRate(bytesPerSecond: 1e6)
    return plan
  }

  private func mean(_ plan: RunPlan, _ settings: RunSettings, runs: Int = 200) throws -> (
    time: Double, outcomes: [RunOutcome]
  ) {
    let simulation = try #require(RunSimulation(plan, settings: settings))
    let outcomes = (0..<runs).map { simulation.run($0, seed: 11) }
    return (outcomes.reduce(0) { $0 + $1.wallTime.value } / Double(runs), outcomes)
  }

  private var failures: FailureSettings {
    FailureSettings(gpuMeanTimeBetweenFailures: Seconds(3_600_000), restart: Seconds(120))
  }

  private func twoLevels(covers: Double) -> RunSettings {
    RunSettings(
      checkpoint: CheckpointSettings(
        interval: Seconds(3_600), writeRate: ByteRate(bytesPerSecond: 1e8),
        readRate: ByteRate(bytesPerSecond: 1e8),
        local: LocalCheckpointSettings(
          interval: Seconds(300), writeRate: ByteRate(bytesPerSecond: 1e7), covers: covers)),
      failures: failures)
  }

  @Test("between two checkpoints in storage lie some on the nodes", arguments: [0, 0.5, 1])
  func twoLevelsByHand(covers: Double) throws {
    let segments = RunSegment.segments(of: plan(), settings: twoLevels(covers: covers))
    let segment = try #require(segments.first)
    // An hour holds 12 intervals of 300 s. A node writes 8 · 6 MB at 10 MB/s in 4.8 s; the 60 s of the
    // write into storage are spread over the 12.
    #expect(segment.cyclesPerRemote == 12)
    #expect(abs(segment.stall - (4.8 + 60.0 / 12)) < 1e-9)
    #expect(segment.localRestart == 120)
    // Reading 6 GB at 100 MB/s takes 60 s.
    #expect(segment.remoteRestart == 180)
    // The equations of `between` solved one by one: from E_12 = 0 each E_j is a_j + b_j · E_0.
    let rate = 1 / 3_600.0
    let cycle = 309.8
    let passed = exp(-rate * cycle)
    let near = (1 - passed) * covers
    let far = (1 - passed) * (1 - covers)
    let restart = { (down: Double) in (exp(rate * down) - 1) / rate }
    let own = (1 - passed) / rate + near * restart(120) + far * restart(180)
    var a = 0.0
    var b = 0.0
    for _ in 0..<12 {
      a = (own + passed * a) / (1 - near)
      b = (passed * b + far) / (1 - near)
    }
    let expected = a / (1 - b)
    let found = ExpectedSegment.between(segment, cycle: cycle)
    #expect(abs(found / expected - 1) < 1e-9)
  }

  @Test("failures far more often than a cycle cost what they cost, not nothing")
  func hopeless() throws {
    let segments = RunSegment.segments(of: plan(), settings: twoLevels(covers: 1))
    let segment = try #require(segments.first)
    // λa = 50: each of 12 cycles is passed with q = e^(−50) ≈ 1.9e−22, which 1 − (1 − q) loses; every
    // attempt takes 3,600 s on average and restarts from the node: 12 · (3,600 s + r(120 s)) / q.
    let restart = 3_600 * (exp(120 / 3_600.0) - 1)
    let expected = 12 * (3_600 + restart) / exp(-50)
    #expect(abs(ExpectedSegment.between(segment, cycle: 50 * 3_600) / expected - 1) < 1e-9)
    // e^(−1000) is nothing at all: the run never ends.
    #expect(ExpectedSegment.between(segment, cycle: 1_000 * 3_600) == .infinity)
  }

  @Test("runs drawn with two levels take what the closed form says", arguments: [0.2, 0.8, 1])
  func twoLevelsDrawn(covers: Double) throws {
    let settings = twoLevels(covers: covers)
    let expected = RunForecast(plan(), settings: settings).wallTime.value
    let drawn = try mean(plan(), settings).time
    #expect(abs(drawn / expected - 1) < 0.005)
  }

  @Test("the nearer level loses less") func nearer() throws {
    var one = twoLevels(covers: 1)
    let two = RunForecast(plan(), settings: one).wallTime
    one.checkpoint?.local = nil
    #expect(two.value < RunForecast(plan(), settings: one).wallTime.value)
    // What takes several nodes needs storage: with all failures such, the nodes' copies are of no use.
    var correlated = twoLevels(covers: 1)
    correlated.failures?.correlatedShare = 1
    correlated.failures?.correlatedNodes = 4
    let none = RunForecast(plan(), settings: twoLevels(covers: 0)).wallTime
    #expect(abs(RunForecast(plan(), settings: correlated).wallTime.value / none.value - 1) < 1e-12)
    let drawn = try mean(plan(), correlated).time
    #expect(abs(drawn / none.value - 1) < 0.005)
  }

  @Test("slow ranks make part of the steps longer, and each is replaced once") func stragglers()
    throws
  {
    var settings = RunSettings()
    // One of 1,000 GPUs slows every 1e8 s: every 1e5 s in the job; unnoticed for 5e4 s.
    settings.stragglers = StragglerSettings(
      gpuMeanTimeBetween: Seconds(1e8), slowdown: 0.3, foundAfter: Seconds(5e4))
    settings.startUp = Seconds(600)
    let plan = plan(stretch: 1.2)
    let run = RunForecast(plan, settings: settings)
    // At least one is slow in p = 1 − e^(−0.5) = 0.39347 of the time, in which 1/1.2 of the work is
    // done: 1,728,000 s / (1 − p · (1 − 1/1.2)) = 1,849,272 s, in which 18.49 ranks become slow; each
    // costs a start of 600 s.
    let work = 1_728_000 / (1 - (1 - exp(-0.5)) * (1 - 1 / 1.2))
    #expect(abs(work - 1_849_272) < 1)
    let found = work / 1e5
    #expect(abs(run.stragglers - found) < 1e-9)
    #expect(abs(run.wallTime.value - (work + found * 600 + 600)) < 1e-6)
    #expect(abs(run.stragglerTime.value - (work - 1_728_000 + found * 600)) < 1e-6)
    #expect(run.failures == 0)
    let (time, outcomes) = try mean(plan, settings)
    #expect(abs(time / run.wallTime.value - 1) < 0.005)
    for outcome in outcomes {
      // Work, start and what slow ranks add are all there is.
      let sum = 1_728_000 + 600 + outcome.stragglerTime.value
      #expect(abs(outcome.wallTime.value / sum - 1) < 1e-9)
      #expect(abs(outcome.gpuTime.value / (1_000 * outcome.wallTime.value) - 1) < 1e-9)
    }
  }

  @Test("a restart grows with the nodes; links fail as others do") func restarts() throws {
    var settings = RunSettings(
      checkpoint: CheckpointSettings(
        interval: Seconds(600), writeRate: ByteRate(bytesPerSecond: 1e8)), failures: failures)
    settings.failures?.restartPerNode = Seconds(2)
    let segment = try #require(RunSegment.segments(of: plan(), settings: settings).first)
    // 125 nodes at 2 s each.
    #expect(segment.remoteRestart == 120 + 250)
    settings.failures?.linkMeanTimeBetweenFailures = Seconds(3_600_000)
    let (time, outcomes) = try mean(plan(), settings, runs: 50)
    let links = outcomes.reduce(0) { $0 + $1.failures[FailureKind.link.rawValue] }
    let gpus = outcomes.reduce(0) { $0 + $1.failures[FailureKind.gpu.rawValue] }
    #expect(abs(Double(links) / Double(gpus) - 1) < 0.03)
    #expect(abs(time / RunForecast(plan(), settings: settings).wallTime.value - 1) < 0.01)
  }

  @Test("beside training a checkpoint costs the copy to the host, and its host's memory")
  func asynchronous() throws {
    let settings = CheckpointSettings(
      interval: Seconds(600), writeRate: ByteRate(bytesPerSecond: 1e8), isAsynchronous: true)
    let cost = CheckpointCost(plan().phases[0], settings)
    // 6 MB at 1 MB/s; 6 GB at 100 MB/s; 8 parts of 6 MB.
    #expect(cost.stall == Seconds(6))
    #expect(cost.write == Seconds(60))
    #expect(cost.commit == Seconds(60))
    #expect(cost.hostBytes == Bytes(48_000_000 as Int64))
  }

  @Test("tenths of the work are reached in order, the last before the end") func tenths() throws {
    let (_, outcomes) = try mean(plan(), twoLevels(covers: 0.5), runs: 20)
    for outcome in outcomes {
      let times = outcome.tenths.map(\.value)
      #expect(times == times.sorted())
      #expect(times.allSatisfy { $0 > 0 } && times[8] < outcome.wallTime.value)
      // A tenth of 1,728,000 s of work cannot be done sooner.
      for (index, time) in times.enumerated() { #expect(time >= 172_800 * Double(index + 1) - 1) }
    }
  }

  @Test("the interval found by drawing runs is near Daly's where that is exact") func search()
    throws
  {
    let settings = RunSettings(
      checkpoint: CheckpointSettings(
        interval: Seconds(600), writeRate: ByteRate(bytesPerSecond: 1e9)), failures: failures)
    let run = RunForecast(plan(), settings: settings)
    let daly = try #require(run.bestCheckpointInterval).value
    let found = try #require(CheckpointSearch(plan(), settings: settings, seed: 0))
    // δ = 6 s, M = 3,600 s: the minimum is flat, so within a factor √2 is all that draws can tell.
    #expect(found.interval.value / daly > 0.7 && found.interval.value / daly < 1.42)
    var best = settings
    best.checkpoint?.interval = Seconds(daly)
    #expect(
      abs(found.wallTime.value / RunForecast(plan(), settings: best).wallTime.value - 1) < 0.005)
    #expect(CheckpointSearch(plan(), settings: RunSettings(), seed: 0) == nil)
  }

  @Test("phases on other numbers of GPUs fail at other rates, and hand over by a checkpoint")
  func phases() throws {
    var plan = plan()
    var small = plan.phases[0]
    small.gpuCount = 100
    plan.phases.append(small)
    var settings = RunSettings(
      checkpoint: CheckpointSettings(
        interval: Seconds(600), writeRate: ByteRate(bytesPerSecond: 1e8)), failures: failures)
    settings.startUp = Seconds(300)
    let run = RunForecast(plan, settings: settings)
    let alone = plan.phases.map {
      RunForecast(
        RunPlan(phases: [$0], activeParameters: 1e9, gpuHourPrice: Dollars(2)), settings: settings)
    }
    // The first ends with a write of 60 s that the second starts from.
    #expect(
      abs(run.wallTime.value - alone[0].wallTime.value - alone[1].wallTime.value - 60) < 1e-6)
    #expect(run.startUpTime == Seconds(600))
    #expect(abs(run.failures - alone[0].failures - alone[1].failures) < 1e-9)
    let (time, outcomes) = try mean(plan, settings, runs: 100)
    #expect(abs(time / run.wallTime.value - 1) < 0.005)
    let hours = outcomes.reduce(0) { $0 + $1.gpuTime.hours } / 100
    #expect(abs(hours / run.gpuHours - 1) < 0.005)
  }
}
