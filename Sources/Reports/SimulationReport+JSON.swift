public import ScenarioFile
import Hardware
import Quantities
import RunForecast
import StepProgram
import Transformer

extension SimulationReport {
  /// The result in the form other programs read: `dryrun.result/1` of DESIGN.md, section 5.
  public var json: JSONValue {
    guard case .object(let members) = result, !published.isEmpty else { return result }
    let place = (members.firstIndex { $0.key == "uncertainty" } ?? members.count)
    return .object(
      members[..<place] + [.init("published", publishedTree)] + members[place...])
  }

  private var publishedTree: JSONValue {
    .object(
      published.map { entry in
        .init(
          entry.figure.rawValue,
          [
            "predicted": .number(entry.predicted), "published": .number(entry.published),
            "error": .number(entry.predicted / entry.published - 1),
          ])
      } + [.init("source", .string(scenario.published?.source ?? ""))])
  }

  private var result: JSONValue {
    [
      "schema": "dryrun.result/1",
      "scenario": scenario.resolved,
      "scenario_hash": .string(scenario.hash),
      "fits": .bool(fits),
      "model": modelTree,
      "step": stepTree,
      "memory": memoryTree,
      "run": runTree,
      "uncertainty": uncertaintyTree,
      "simulation": simulationTree,
      "warnings": .array(warnings.map(JSONValue.string)),
    ]
  }

  private var modelTree: JSONValue {
    let model = scenario.job.architecture
    return [
      "name": .string(model.name),
      "parameters": .integer(model.parameterCount),
      "active_parameters": .integer(model.activeParameterCount),
      "layers": .integer(model.layerCount),
    ]
  }

  private var stepTree: JSONValue {
    let gpus = Double(scenario.job.cluster.gpuCount)
    return [
      "seconds": .number(step.seconds.value),
      "tokens_per_second": .number(tokensPerSecond),
      "tokens_per_second_per_gpu": .number(tokensPerSecond / gpus),
      "model_flops_per_gpu_per_second": .number(modelRate),
      "hardware_flops_per_gpu_per_second": .number(hardwareRate),
      "mfu": .number(modelRate / peakRate),
      "hfu": .number(hardwareRate / peakRate),
      "breakdown_seconds": .object(
        step.breakdown.parts.map { JSONValue.Member($0.key, .number($0.seconds.value)) }),
    ]
  }

  /// The `memory` object: capacity, peak, and one entry for each kind of rank.
  var memoryTree: JSONValue {
    let fullest = step.fullestRank
    return [
      "capacity_bytes": .integer(capacity.count),
      "peak_bytes": fullest.map { .integer($0.peak.count) } ?? .null,
      "peak_rank": fullest.map { .integer($0.rank) } ?? .null,
      "ranks": .array(
        step.memory.map { rank in
          .object(
            [
              JSONValue.Member("rank", .integer(rank.rank)),
              JSONValue.Member("count", .integer(rank.count)),
              JSONValue.Member("pipeline_stage", .integer(rank.pipelineStage)),
            ] + rank.parts.map { JSONValue.Member($0.key + "_bytes", .integer($0.bytes.count)) }
              + [
                JSONValue.Member("peak_bytes", .integer(rank.peak.count)),
                JSONValue.Member("tensor_bytes", .integer(rank.tensors.count)),
                JSONValue.Member("reserved_bytes", .integer(rank.reserved.count)),
                JSONValue.Member("host_bytes", .integer(rank.host.count)),
                JSONValue.Member("peak_moment", .string(rank.peakMoment)),
              ])
        }),
    ]
  }

  private var runTree: JSONValue {
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
    ]
    if let write = run.checkpointWrite {
      members.append(.init("checkpoint_write_seconds", .number(write.value)))
    }
    if let best = run.bestCheckpointInterval {
      members.append(.init("best_checkpoint_interval_seconds", .number(best.value)))
    }
    if let carbon = run.carbonKilograms {
      members.append(.init("carbon_kg", .number(carbon)))
    }
    let parts = waterfall.parts.map { JSONValue.Member($0.key, .number($0.seconds.value)) }
    members.append(.init("waterfall_seconds", .object(parts)))
    if let distribution { members.append(.init("drawn", tree(distribution))) }
    return .object(members)
  }

  /// Quantiles over runs drawn at random; GPU-hours, money and energy grow with the wall time.
  private func tree(_ drawn: RunDistribution) -> JSONValue {
    func quantiles(_ values: RunDistribution.Quantiles, times factor: Double = 1) -> JSONValue {
      [
        "p10": .number(values.p10 * factor), "p50": .number(values.p50 * factor),
        "p90": .number(values.p90 * factor),
      ]
    }
    let hours = Double(scenario.job.cluster.gpuCount) / 3_600
    let perHour = run.gpuHours > 0 ? 1 / run.gpuHours : 0
    return [
      "runs": .integer(drawn.runs), "endless": .integer(drawn.endless),
      "seconds": quantiles(drawn.seconds), "days": quantiles(drawn.seconds, times: 1 / 86_400),
      "goodput": quantiles(drawn.goodput), "gpu_hours": quantiles(drawn.seconds, times: hours),
      "cost": quantiles(drawn.seconds, times: hours * perHour * run.cost.value),
      "energy_kwh": quantiles(drawn.seconds, times: hours * perHour * run.energyKilowattHours),
      "failures": quantiles(drawn.failures),
      "mean_failures": .object(
        FailureKind.allCases.map { .init("\($0)", .number(drawn.meanFailures[$0.rawValue])) }),
      "mean_lost_seconds": .number(drawn.meanLostTime.value),
      "mean_down_seconds": .number(drawn.meanDownTime.value),
    ]
  }

  private var uncertaintyTree: JSONValue {
    guard let uncertainty else { return .null }
    return [
      "relative_error_p50": .number(uncertainty.median),
      "relative_error_p90": .number(uncertainty.ninetiethPercentile),
      "basis": .string(uncertainty.basis),
    ]
  }

  private var simulationTree: JSONValue {
    let record = step.statistics
    let rate = record.wallSeconds > 0 ? Double(record.events) / record.wallSeconds : 0
    let members: [JSONValue.Member] = [
      .init("fidelity", .string(record.fidelity.rawValue)),
      .init("processes", .integer(record.processes)),
      .init("simulated_ranks", .integer(record.simulatedRanks)),
      .init("events", .integer(record.events)),
      .init("messages", .integer(record.messages)),
      .init("mpi_messages", .integer(record.mpiMessages)),
      .init("wall_seconds", .number(record.wallSeconds)),
      .init("events_per_second", .number(rate)),
    ]
    return .object(members + record.profileMembers)
  }
}

extension SimulationReport {
  /// The memory part of the result alone.
  public var memoryJSON: JSONValue {
    [
      "schema": "dryrun.memory/1",
      "scenario": scenario.resolved,
      "fits": .bool(fits),
      "memory": memoryTree,
    ]
  }
}
