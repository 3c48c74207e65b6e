public import ScenarioFile
import Hardware
import Quantities
import RunForecast
import StepProgram
import Transformer

extension SimulationReport {
  /// The result in the form other programs read: schema `dryrun.result/1`.
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
