import ScenarioFile
import Quantities
import RunForecast

extension SimulationReport {
  /// The `run` object of the result.
  var runTree: JSONValue {
    var members: [JSONValue.Member] = [
      .init("tokens", .number(run.tokens)),
      .init("steps", .integer(run.steps)),
      .init("flops", .number(run.flops.count)),
      .init("model_flops", .number(run.modelFlops.count)),
      .init("pflop_days", .number(run.flops.petaflopDays)),
      .init("gpu_hours", .number(run.gpuHours)),
      .init("seconds", .number(run.wallTime.value)),
      .init("days", .number(run.wallTime.days)),
      .init("goodput", .number(run.goodput)),
      .init("cost", .number(run.cost.value)),
      .init("energy_kwh", .number(run.energyKilowattHours)),
      .init("training_seconds", .number(run.trainingTime.value)),
      .init("checkpoint_seconds", .number(run.checkpointTime.value)),
      .init("evaluation_seconds", .number(run.evaluationTime.value)),
      .init("lost_seconds", .number(run.lostTime.value)),
      .init("failures", .number(run.failures)),
      .init("start_up_seconds", .number(run.startUpTime.value)),
      .init("data_wait_seconds", .number(run.dataWaitTime.value)),
      .init("jitter_seconds", .number(run.jitterTime.value)),
      .init("straggler_seconds", .number(run.stragglerTime.value)),
      .init("stragglers", .number(run.stragglers)),
    ]
    if let checkpoint = run.checkpoint { members.append(.init("checkpoint", tree(checkpoint))) }
    if let write = run.checkpointWrite {
      members.append(.init("checkpoint_write_seconds", .number(write.value)))
    }
    if let best = run.bestCheckpointInterval {
      members.append(.init("best_checkpoint_interval_seconds", .number(best.value)))
    }
    if let drawn = checkpointSearch {
      members.append(.init("drawn_best_checkpoint_interval_seconds", .number(drawn.interval.value)))
      members.append(.init("drawn_best_seconds", .number(drawn.wallTime.value)))
    }
    if let carbon = run.carbonKilograms {
      members.append(.init("carbon_kg", .number(carbon)))
    }
    members.append(
      .init(
        "bill",
        [
          "gpus": .number(run.bill.gpus.value), "energy": .number(run.bill.energy.value),
          "storage": .number(run.bill.storage.value),
        ]))
    members.append(.init("gpu_watts_in_steps", .number(meanGPUPower)))
    if plan.phases.count > 1 {
      members.append(.init("phases", .array(plan.phases.map(tree))))
    }
    let parts = waterfall.parts.map { JSONValue.Member($0.key, .number($0.seconds.value)) }
    members.append(.init("waterfall_seconds", .object(parts)))
    if let distribution { members.append(.init("drawn", tree(distribution))) }
    return .object(members)
  }

  /// Mean draw of one GPU in steps, over all phases.
  var meanGPUPower: Double {
    let hours = plan.phases.map { $0.trainingTime.hours * Double($0.gpuCount) }
    let all = hours.reduce(0, +)
    guard all > 0 else { return 0 }
    return zip(plan.phases, hours).reduce(0) { $0 + $1.0.gpuPower.value * $1.1 } / all
  }

  private func tree(_ checkpoint: CheckpointCost) -> JSONValue {
    [
      "bytes": .integer(plan.phases.last?.checkpoint.total.count ?? 0),
      "largest_part_bytes": .integer(plan.phases.last?.checkpoint.largestPart.count ?? 0),
      "interval_seconds": .number(run.checkpointInterval?.value ?? 0),
      "write_seconds": .number(checkpoint.write.value),
      "stall_seconds": .number(checkpoint.stall.value),
      "read_seconds": .number(checkpoint.read.value),
      "local_write_seconds": .number(checkpoint.localWrite.value),
      "host_bytes_per_node": .integer(checkpoint.hostBytes.count),
    ]
  }

  private func tree(_ phase: RunPhase) -> JSONValue {
    [
      "name": .string(phase.name), "steps": .number(phase.steps), "tokens": .number(phase.tokens),
      "gpus": .integer(phase.gpuCount), "training_seconds": .number(phase.trainingTime.value),
      "step_seconds": .number(phase.stepTime.value / phase.steps),
      "evaluation_seconds": .number(phase.evaluation.value),
      "gpu_watts": .number(phase.gpuPower.value),
    ]
  }

  /// Quantiles over runs drawn at random; money and energy grow with the GPU-hours.
  private func tree(_ drawn: RunDistribution) -> JSONValue {
    func quantiles(_ values: RunDistribution.Quantiles, times factor: Double = 1) -> JSONValue {
      [
        "p10": .number(values.p10 * factor), "p50": .number(values.p50 * factor),
        "p90": .number(values.p90 * factor),
      ]
    }
    let perHour = run.gpuHours > 0 ? 1 / run.gpuHours : 0
    return [
      "runs": .integer(drawn.runs), "endless": .integer(drawn.endless),
      "seconds": quantiles(drawn.seconds), "days": quantiles(drawn.seconds, times: 1 / 86_400),
      "goodput": quantiles(drawn.goodput), "gpu_hours": quantiles(drawn.gpuHours),
      "cost": quantiles(drawn.gpuHours, times: perHour * run.cost.value),
      "energy_kwh": quantiles(drawn.gpuHours, times: perHour * run.energyKilowattHours),
      "failures": quantiles(drawn.failures),
      "mean_failures": .object(
        FailureKind.allCases.map { .init("\($0)", .number(drawn.meanFailures[$0.rawValue])) }),
      "mean_lost_seconds": .number(drawn.meanLostTime.value),
      "mean_down_seconds": .number(drawn.meanDownTime.value),
      "mean_stragglers": .number(drawn.meanStragglers),
      "mean_straggler_seconds": .number(drawn.meanStragglerTime.value),
      // Calendar time at which each tenth of the work was done.
      "progress": .array(
        drawn.tenths.enumerated().map { index, times in
          .object(
            [.init("work", .number(Double(index + 1) / 10))] + members(of: quantiles(times)))
        }),
    ]
  }

  private func members(of value: JSONValue) -> [JSONValue.Member] {
    guard case .object(let members) = value else { return [] }
    return members
  }
}
