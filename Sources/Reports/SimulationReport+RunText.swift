import Hardware
import Quantities
import RunForecast
import ScenarioFile
import StepProgram

extension SimulationReport {
  /// The whole run for a terminal.
  var runLines: [String] {
    var table = TextTable(["Run", ""], leftColumns: 2)
    table.add(["tokens", "\(Format.count(run.tokens)) in \(Format.grouped(run.steps)) steps"])
    table.add([
      "compute",
      "6PD = \(Format.number(run.flops.count)) FLOP = "
        + "\(Format.number(run.flops.petaflopDays, digits: 4)) PFLOP-days; with attention "
        + "\(Format.number(run.modelFlops.count)) FLOP",
    ])
    table.add([
      "time",
      "\(Format.duration(run.wallTime)); goodput \(Format.percent(run.goodput))",
    ])
    if run.checkpointTime.value > 0 || run.lostTime.value > 0 || run.evaluationTime.value > 0 {
      table.add([
        "not in steps",
        "checkpoints \(Format.duration(run.checkpointTime)), evaluation "
          + "\(Format.duration(run.evaluationTime)), lost to \(Format.number(run.failures)) failures "
          + Format.duration(run.lostTime),
      ])
    }
    if run.stragglers > 0 {
      table.add([
        "slow ranks",
        "\(Format.number(run.stragglers)), a step with one takes "
          + "\(Format.percent((plan.phases.last?.stragglerStretch ?? 1) - 1)) longer; they cost "
          + Format.duration(run.stragglerTime),
      ])
    }
    if let drawn = distribution { table.add(["", text(drawn)]) }
    if let checkpoint = run.checkpoint { table.add(["checkpoint", text(checkpoint)]) }
    let gpu = scenario.job.cluster.gpu
    table.add(["GPU-hours", "\(Format.number(run.gpuHours, digits: 4)) of \(gpu.name)"])
    table.add(["cost", costText])
    var energy = "\(Format.number(run.energyKilowattHours, digits: 4)) kWh"
    if scenario.run.power.gpu == nil {
      energy += ", \(Format.number(meanGPUPower)) W a GPU in steps"
    }
    if let carbon = run.carbonKilograms { energy += ", \(Format.number(carbon)) kg CO2e" }
    table.add(["energy", energy])
    return table.lines(indent: 0) + phaseLines + [""] + waterfallLines
  }

  private func text(_ drawn: RunDistribution) -> String {
    let start = "\(Format.grouped(drawn.runs)) runs drawn: "
    guard drawn.endless < drawn.runs else {
      return start + "none ends within \(Format.grouped(RunDistribution.failureLimit)) failures"
    }
    let quantiles = [
      ("a tenth take less than", drawn.seconds.p10), ("half less than", drawn.seconds.p50),
      ("a tenth more than", drawn.seconds.p90),
    ]
    var times = quantiles.filter { $0.1.isFinite }.map {
      "\($0.0) \(Format.duration(Seconds($0.1)))"
    }
    if drawn.endless > 0 { times.append("\(Format.grouped(drawn.endless)) never end") }
    return start + times.joined(separator: ", ") + "; goodput "
      + "\(Format.percent(drawn.goodput.p10)) to \(Format.percent(drawn.goodput.p90)), "
      + "\(Format.number(drawn.failures.p10)) to \(Format.number(drawn.failures.p90)) failures"
  }

  private func text(_ checkpoint: CheckpointCost) -> String {
    let bytes = Double(plan.phases.last?.checkpoint.total.count ?? 0)
    var text = "\(Format.bytes(bytes)), \(Format.duration(checkpoint.write)) to write"
    if checkpoint.hostBytes > .zero {
      text +=
        " beside training, which stops for \(Format.duration(checkpoint.stall)); "
        + "\(Format.gibibytes(checkpoint.hostBytes)) GiB of a host's memory"
    }
    if checkpoint.localWrite.value > 0 {
      text += "; \(Format.duration(checkpoint.localWrite)) on the nodes"
    }
    var best: [String] = []
    if let closed = run.bestCheckpointInterval {
      best.append("\(Format.duration(closed)) (Daly 2006)")
    }
    if let drawn = checkpointSearch {
      best.append("\(Format.duration(drawn.interval)) (runs drawn)")
    }
    return best.isEmpty ? text : text + "; best every " + best.joined(separator: ", ")
  }

  private var costText: String {
    let settings = scenario.run.price
    var text = Format.dollars(run.cost)
    if let purchase = settings.purchase {
      text +=
        ": GPUs \(Format.dollars(run.bill.gpus)), bought at \(Format.dollars(purchase)) each and "
        + "written off in \(Format.duration(settings.life))"
    } else {
      let price = settings.gpuHour ?? scenario.job.cluster.gpu.hourlyPrice
      text += " at \(Format.dollars(price)) a GPU-hour"
    }
    if run.bill.energy.value > 0 { text += ", energy \(Format.dollars(run.bill.energy))" }
    if run.bill.storage.value > 0 { text += ", storage \(Format.dollars(run.bill.storage))" }
    return text
  }

  private var phaseLines: [String] {
    guard plan.phases.count > 1 else { return [] }
    var table = TextTable(["Phase", "tokens", "steps", "GPUs", "step", "in steps"])
    for phase in plan.phases {
      table.add([
        phase.name, Format.count(phase.tokens), Format.number(phase.steps, digits: 6),
        Format.grouped(phase.gpuCount),
        Format.duration(Seconds(phase.stepTime.value / phase.steps)),
        Format.duration(phase.trainingTime),
      ])
    }
    return [""] + table.lines(indent: 0)
  }

  private var waterfallLines: [String] {
    var table = TextTable(["Time from ideal to calendar", "days", "of all"])
    let all = run.wallTime.value
    func add(_ name: String, _ time: Seconds) {
      let share = all.isFinite && all > 0 ? Format.percent(time.value / all) : "–"
      let days = time.value.isFinite ? Format.number(time.days) : "no end"
      table.add([name, days, share])
    }
    let names = [
      "ideal": "ideal, 6PD at peak", "kernels": "kernels beyond ideal",
      "exposed_communication": "exposed communication", "bubble": "pipeline bubble",
      "data_loading": "waiting for data", "start_up": "start-up", "stragglers": "slow ranks",
    ]
    for part in waterfall.parts where part.seconds.value != 0 {
      add(names[part.key] ?? part.key, part.seconds)
    }
    add("calendar", run.wallTime)
    return table.lines(indent: 0)
  }
}
