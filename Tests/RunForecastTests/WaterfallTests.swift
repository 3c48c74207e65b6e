import Quantities
import RunForecast
import Testing

@Suite struct WaterfallTests {
  @Test("from 6PD at the peak to the wall time, nothing left over") func adds() {
    var plan = RunPlan(
      step: Seconds(2), tokensPerStep: 1e6, tokens: 3_000e6, gpuCount: 1_000,
      activeParameters: 1e9, modelFlopsPerStep: Flops(7e15),
      checkpoint: Bytes(6_000_000_000 as Int64), gpuPower: Watts(700), gpuHourPrice: Dollars(2))
    let settings = RunSettings(
      checkpoint: CheckpointSettings(
        interval: Seconds(600), writeRate: ByteRate(bytesPerSecond: 1e8)),
      failures: FailureSettings(
        gpuMeanTimeBetweenFailures: Seconds(3_600_000), restart: Seconds(120)),
      evaluation: EvaluationSettings(steps: 1_000, duration: Seconds(100)))
    let breakdown = StepBreakdown(
      compute: Seconds(1 * 3_000), tensorExposed: Seconds(0.25 * 3_000),
      contextExposed: Seconds(0.03125 * 3_000),
      expertExposed: Seconds(0.03125 * 3_000), pipelineExposed: Seconds(0.0625 * 3_000),
      dataExposed: Seconds(0.125 * 3_000), bubble: Seconds(0.25 * 3_000),
      optimizer: Seconds(0.125 * 3_000),
      other: Seconds(0.125 * 3_000))
    // A phase has the time of all its steps.
    plan.phases[0].breakdown = breakdown
    plan.phases[0].peak = FlopRate(flopsPerSecond: 1.2e13)
    plan.phases[0].dataWait = Seconds(90)
    let run = RunForecast(plan, settings: settings)
    let waterfall = Waterfall(run, of: plan)
    // 6 · 1e9 · 3e9 = 1.8e19 FLOP at 1.2e16 a second are 1,500 s; 3,000 steps compute 3,000 s.
    #expect(waterfall.ideal == Seconds(1_500))
    #expect(waterfall.kernels == Seconds(1_500))
    // (0.25 + 0.03125 + 0.03125 + 0.0625 + 0.125) s = 0.5 s a step.
    #expect(waterfall.exposedCommunication == Seconds(1_500))
    #expect(waterfall.bubble == Seconds(750))
    #expect(waterfall.optimizer == Seconds(375))
    #expect(waterfall.other == Seconds(375))
    #expect(waterfall.dataLoading == Seconds(90))
    #expect(waterfall.evaluation == Seconds(300))
    // (6,000 + 90 + 300) s of work, 2.13 s a step; a write of 60 s every 282 steps, which
    // take 600.66 s.
    #expect(abs(waterfall.checkpoints.value - 6_390 / 600.66 * 60) < 1e-9)
    #expect(waterfall.failures.value > 0)
    let sum = waterfall.parts.reduce(0) { $0 + $1.seconds.value }
    #expect(abs(sum - run.wallTime.value) < 1e-9 * run.wallTime.value)
  }
}
