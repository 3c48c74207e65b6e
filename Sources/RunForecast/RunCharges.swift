public import Quantities

/// Energy of a run.
///
/// In steps a GPU draws what its activity comes to (``StepPower``), outside them what it draws idle:
/// measured at 85 % and 15 % of an H100's limit, computing and while a checkpoint is written
/// (arXiv:2503.05804). The rest of the node draws its part all the time; the building adds its own.
struct RunEnergy {
  /// What the meter reads.
  var kilowattHours: Double

  init(
    _ plan: RunPlan, _ settings: PowerSettings, wallTime: Seconds, gpuHours: Double
  ) {
    guard wallTime.value.isFinite else {
      kilowattHours = .infinity
      return
    }
    if let gpu = settings.gpu {
      var node = 0.0
      if let extra = settings.node {
        node = gpuHours * extra.value / Double(max(plan.phases[0].gpusPerNode, 1))
      }
      kilowattHours = (gpuHours * gpu.value + node) / 1_000 * settings.usageEffectiveness
      return
    }
    // Hours outside steps belong to the phases in proportion to their time in steps.
    let busy = plan.phases.reduce(0) { $0 + $1.trainingTime.hours * Double($1.gpuCount) }
    let around = busy > 0 ? max(0, gpuHours - busy) / busy : 0
    var wattHours = 0.0
    for phase in plan.phases {
      let hours = phase.trainingTime.hours * Double(phase.gpuCount)
      wattHours += hours * (phase.gpuPower.value + around * phase.idlePower.value)
      let node = (settings.node ?? phase.nodePower).value / Double(max(phase.gpusPerNode, 1))
      wattHours += hours * (1 + around) * node
    }
    kilowattHours = wattHours / 1_000 * settings.usageEffectiveness
  }
}

/// What a run is charged, by what for.
public struct Bill: Hashable, Sendable {
  /// Rent of the GPUs, or the part of their purchase that the run writes off.
  public var gpus: Dollars
  /// Energy, where it is not in the rent.
  public var energy: Dollars
  /// Checkpoints kept for the time of the run.
  public var storage: Dollars

  /// All of it.
  public var total: Dollars { Dollars(gpus.value + energy.value + storage.value) }

  /// The bill for so many GPU-hours, kWh and bytes stored for the wall time.
  init(
    _ price: PriceSettings, catalogue: Dollars, gpuHours: Double, kilowattHours: Double,
    storedBytes: Double, wallTime: Seconds
  ) {
    if let purchase = price.purchase {
      gpus = Dollars(gpuHours * purchase.value / price.life.hours)
    } else {
      let hourly = (price.gpuHour ?? catalogue).value
      gpus = Dollars(hourly == 0 ? 0 : gpuHours * hourly)
    }
    energy = Dollars(price.kilowattHour.map { $0.value * kilowattHours } ?? 0)
    let months = wallTime.value / (30 * 86_400)
    storage = Dollars(price.storage.map { $0.value * storedBytes / 1e9 * months } ?? 0)
  }
}
