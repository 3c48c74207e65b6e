import Foundation
import Quantities
import RunForecast
import Testing

@Suite struct RunForecastTests {
  private func plan(tokens: Double = 10.5e6, gpus: Int = 8) -> RunPlan {
    RunPlan(
      step: Seconds(2), tokensPerStep: 1e6, tokens: tokens, gpuCount: gpus, activeParameters: 1e9,
      modelFlopsPerStep: Flops(7e15), checkpoint: Bytes(6_000_000_000 as Int64),
      gpuPower: Watts(700), gpuHourPrice: Dollars(2))
  }

  @Test("nothing but steps: whole steps, 6PD, GPU-hours, money, energy") func plain() {
    let run = RunForecast(plan(), settings: RunSettings())
    // 10.5 million tokens take 11 steps of a million, 22 s.
    #expect(run.steps == 11)
    #expect(run.tokens == 11e6)
    #expect(run.flops == Flops(6.6e16))
    #expect(run.modelFlops == Flops(7.7e16))
    #expect(run.wallTime == Seconds(22))
    #expect(run.goodput == 1)
    // 8 · 22 s = 176 GPU-s = 0.04889 h, at 2 USD and 0.7 kW.
    #expect(abs(run.gpuHours - 176.0 / 3_600) < 1e-12)
    #expect(abs(run.cost.value - 352.0 / 3_600) < 1e-12)
    #expect(abs(run.energyKilowattHours - 176.0 * 0.7 / 3_600) < 1e-12)
    #expect(run.bestCheckpointInterval == nil)
    #expect(run.carbonKilograms == nil)
  }

  @Test("checkpoints and evaluations stop training") func overheads() {
    let plan = plan(tokens: 3_000e6)
    let run = RunForecast(
      plan,
      settings: RunSettings(
        checkpoint: CheckpointSettings(
          interval: Seconds(600), writeRate: ByteRate(bytesPerSecond: 1e8)),
        evaluation: EvaluationSettings(steps: 1_000, duration: Seconds(100))))
    // 3,000 steps are 6,000 s; 3 evaluations 300 s: 2.1 s a step. 600 s are 285.7
    // steps, so 286, 600.6 s: 6300/600.6 = 10.4895 writes of 6e9/1e8 = 60 s, 629.371 s.
    #expect(run.evaluationTime == Seconds(300))
    #expect(run.checkpointWrite == Seconds(60))
    #expect(abs(run.checkpointTime.value - 6_300 / 600.6 * 60) < 1e-9)
    #expect(abs(run.wallTime.value - 6_929.371) < 1e-3)
    #expect(abs(run.goodput - 6_000.0 / run.wallTime.value) < 1e-12)
    #expect(run.failures == 0)
  }

  @Test("failures follow Daly's complete model, near its first order") func failures() {
    let plan = plan(tokens: 3_000e6, gpus: 1_000)
    let settings = RunSettings(
      checkpoint: CheckpointSettings(
        interval: Seconds(600), writeRate: ByteRate(bytesPerSecond: 1e8)),
      failures: FailureSettings(
        gpuMeanTimeBetweenFailures: Seconds(3_600_000), restart: Seconds(120)))
    let run = RunForecast(plan, settings: settings)
    // M = 3.6e6/1000 = 3,600 s: 3600 · e^(120/3600) · (e^(660/3600) − 1) · 6000/600 = 7489.258 s.
    #expect(abs(run.wallTime.value - 7_489.258) < 0.001)
    // First order: 6000 · (1 + 60/600) · (1 + (330 + 120)/3600) = 7425 s, under 1 % away.
    #expect(abs(run.wallTime.value / 7_425 - 1) < 0.01)
    #expect(abs(run.failures - run.wallTime.value / 3_600) < 1e-9)
    #expect(abs(run.lostTime.value - (run.wallTime.value - 6_600)) < 1e-9)
  }

  @Test("the best interval is Daly's, and no other loses less", arguments: 1...20)
  func bestInterval(multiple: Int) throws {
    let settings = { (interval: Double) in
      RunSettings(
        checkpoint: CheckpointSettings(
          interval: Seconds(interval), writeRate: ByteRate(bytesPerSecond: 1e8)),
        failures: FailureSettings(
          gpuMeanTimeBetweenFailures: Seconds(8 * 86_400), restart: Seconds(600)))
    }
    let plan = plan(tokens: 1e12)
    // δ = 60 s, M = 8 · 86400 / 8 GPUs: √(2 · 60 · 86400) = 3219.9; · (1 + 0.00621 + 0.00004) − 60
    // = 3180.06 s, of which 1,590 steps of 2 s lose less than 1,591.
    let best = RunForecast(plan, settings: settings(600))
    let interval = try #require(best.bestCheckpointInterval).value
    #expect(interval == 3_180)
    let least = RunForecast(plan, settings: settings(interval)).wallTime
    let other = RunForecast(plan, settings: settings(Double(multiple) * 400)).wallTime
    #expect(least.value <= other.value * (1 + 1e-6))
  }

  @Test("a checkpoint is taken between two steps: its interval is of whole steps, at least one")
  func wholeSteps() throws {
    // Steps of 1,000 s, 100 of them; one failure in 10,000 s.
    let plan = RunPlan(
      step: Seconds(1_000), tokensPerStep: 1e6, tokens: 100e6, gpuCount: 100, activeParameters: 1e9,
      modelFlopsPerStep: Flops(7e15), checkpoint: Bytes(6_000_000_000 as Int64),
      gpuPower: Watts(700), gpuHourPrice: Dollars(2))
    let settings = { (interval: Double) in
      RunSettings(
        checkpoint: CheckpointSettings(
          interval: Seconds(interval), writeRate: ByteRate(bytesPerSecond: 1e9)),
        failures: FailureSettings(
          gpuMeanTimeBetweenFailures: Seconds(1e6), restart: Seconds(100)))
    }
    for (asked, steps) in [(1.0, 1.0), (1_000, 1), (1_001, 2), (2_500, 3), (1e9, 100)] {
      let run = RunForecast(plan, settings: settings(asked))
      #expect(run.checkpointInterval == Seconds(steps * 1_000))
      // A write of 6 s after so many steps.
      #expect(abs(run.checkpointTime.value - 600 / steps) < 1e-9)
    }
    // Daly's: 10000 · e^0.01 · (e^(1006/10000) − 1) · 100 = 106,897.9 s; near half a cycle and the restart
    // are lost at each of 10.69 failures, not half of the second that was asked for.
    let run = RunForecast(plan, settings: settings(1))
    let wall = 1e4 * exp(0.01) * (exp(0.1006) - 1) * 100
    #expect(abs(run.wallTime.value - wall) < 1e-6)
    #expect(abs(run.lostTime.value / run.failures - 604) < 20)
    // √(2 · 6 · 10000) = 346 s is the best interval of all, a step of 1,000 s of those there are.
    #expect(run.bestCheckpointInterval == Seconds(1_000))
    let found = try #require(CheckpointSearch(plan, settings: settings(1), seed: 0))
    #expect(found.interval == Seconds(1_000))
  }

  @Test("energy counts the building, carbon the energy") func energy() {
    let power = PowerSettings(gpu: Watts(500), usageEffectiveness: 1.2, carbonPerKilowattHour: 0.5)
    let run = RunForecast(plan(), settings: RunSettings(power: power))
    // 176 GPU-s · 0.5 kW · 1.2 / 3600 = 0.02933 kWh.
    #expect(abs(run.energyKilowattHours - 0.029_333_333) < 1e-8)
    #expect(abs((run.carbonKilograms ?? 0) - 0.014_666_667) < 1e-8)
  }

  @Test("failures without checkpoints lose everything, and stay a number or endless") func endless()
  {
    let plan = plan(tokens: 1e15)
    let run = RunForecast(
      plan,
      settings: RunSettings(
        failures: FailureSettings(gpuMeanTimeBetweenFailures: Seconds(60), restart: Seconds(1))))
    #expect(run.wallTime.value == .infinity)
    #expect(run.goodput == 0)
  }
}
