import Hardware
import Kernels
import Quantities
import Testing

@testable import RunForecast

/// Energy and money.
@Suite struct ChargeTests {
  private func plan() -> RunPlan {
    var plan = RunPlan(
      step: Seconds(2), tokensPerStep: 1e6, tokens: 1_800e6, gpuCount: 16, activeParameters: 1e9,
      modelFlopsPerStep: Flops(7e15), checkpoint: Bytes(6_000_000_000_000 as Int64),
      gpuPower: Watts(500), gpuHourPrice: Dollars(2))
    plan.phases[0].idlePower = Watts(100)
    plan.phases[0].nodePower = Watts(2_000)
    return plan
  }

  @Test("energy: busy in steps, idle around them, the rest of the node always") func energy() {
    var settings = RunSettings()
    settings.startUp = Seconds(900)
    settings.power.usageEffectiveness = 1.25
    let run = RunForecast(plan(), settings: settings)
    // 3,600 s in steps on 16 GPUs: 16 h · 500 W; 900 s around: 4 h · 100 W; 2 nodes · 1.25 h · 2 kW:
    // 8 + 0.4 + 5 = 13.4 kWh, times 1.25.
    #expect(abs(run.energyKilowattHours - 16.75) < 1e-9)
    settings.power.node = Watts(800)
    // 8 + 0.4 + 2 · 1.25 · 0.8 = 10.4.
    #expect(abs(RunForecast(plan(), settings: settings).energyKilowattHours - 13) < 1e-9)
    settings.power.gpu = Watts(400)
    settings.power.node = nil
    // A draw that is given holds all the time: 20 h · 400 W.
    #expect(abs(RunForecast(plan(), settings: settings).energyKilowattHours - 10) < 1e-9)
  }

  @Test("money: rent, or purchase written off; energy; storage") func money() {
    var settings = RunSettings(
      checkpoint: CheckpointSettings(
        interval: Seconds(1e6), writeRate: ByteRate(bytesPerSecond: 1e18)))
    settings.checkpoint?.kept = 3
    settings.power.gpu = Watts(500)
    settings.price = PriceSettings(
      purchase: Dollars(35_040), life: Seconds(4 * 31_536_000), kilowattHour: Dollars(0.1),
      storage: Dollars(0.02))
    let run = RunForecast(plan(), settings: settings)
    // 35,040 USD over 35,040 h is 1 USD an hour: 16 GPU-hours. 16 h · 0.5 kW = 8 kWh.
    #expect(abs(run.bill.gpus.value - 16) < 1e-4)
    #expect(abs(run.bill.energy.value - 0.8) < 1e-4)
    // 3 · 6,000 GB for an hour, 1/720 of a month, at 0.02 USD.
    #expect(abs(run.bill.storage.value - 0.5) < 1e-4)
    #expect(abs(run.cost.value - 17.3) < 1e-3)
  }

  @Test("a GPU draws its limit in multiplies, less in passes over memory, least when it waits")
  func activity() throws {
    var gpu = try #require(GPU.named("h100-sxm-80gb"))
    gpu.idlePower = Watts(100)
    gpu.power = Watts(700)
    gpu.kernels.activity = ActivityPower(compute: 1, memory: 0.5, communication: 0.25)
    gpu.kernels.sustainedClock = 0.8
    gpu.kernels.matmulEfficiency[.bf16] = 0.75
    let peak = gpu.peak(of: .bf16).flopsPerSecond
    // Half of the step's 4 s at 0.6 of the peak, a quarter in other kernels, a quarter waiting.
    let breakdown = StepBreakdown(
      compute: Seconds(2.5), dataExposed: Seconds(0.75), bubble: Seconds(0.25),
      optimizer: Seconds(0.5))
    let mean = StepPower.mean(
      breakdown, hardwareFlops: Flops(2 * 0.6 * peak), gpu: gpu, format: .bf16)
    // 100 + 600 · (2 · 1 + 1 · 0.5 + 1 · 0.25) / 4 = 512.5 W.
    #expect(abs(mean.value - 512.5) < 1e-9)
  }
}
