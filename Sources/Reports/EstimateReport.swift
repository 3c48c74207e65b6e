public import RunForecast
public import ScenarioFile
import Hardware
import Kernels
import Layout
import Quantities
import StepProgram
import Transformer

/// An estimate as text and as JSON.
public struct EstimateReport: Hashable, Sendable {
  /// What is reported.
  public var estimate: Estimate
  /// Sentences about how the size or the data came about.
  public var notes: [String]

  /// A report on `estimate`.
  public init(_ estimate: Estimate, notes: [String] = []) {
    self.estimate = estimate
    self.notes = notes
  }

  /// The estimate for a terminal, every step of the arithmetic shown.
  public var text: String {
    let input = estimate.input
    let gpu = input.gpu
    var table = TextTable(["Estimate", ""], leftColumns: 2)
    var size = Format.count(input.parameters)
    if input.activeParameters != input.parameters {
      size += ", \(Format.count(input.activeParameters)) active"
    }
    table.add(["parameters, P", size])
    table.add([
      "tokens, D",
      Format.count(estimate.tokens) + (estimate.hasDefaultTokens ? " (D = 20P, Chinchilla)" : "")
        + "; \(Format.number(estimate.tokens / input.parameters)) a parameter",
    ])
    table.add(["forward, 2PD", "\(Format.number(estimate.forward.count, digits: 4)) FLOP"])
    table.add(["backward, 4PD", "\(Format.number(estimate.backward.count, digits: 4)) FLOP"])
    if input.recomputesAll {
      table.add([
        "recompute, 2PD", "\(Format.number(estimate.recomputation.count, digits: 4)) FLOP",
      ])
    }
    table.add([
      "compute, C",
      "\(input.recomputesAll ? "8PD" : "6PD") = "
        + "\(Format.number(estimate.compute.count, digits: 4)) FLOP = "
        + "\(Format.number(estimate.compute.petaflopDays, digits: 4)) PFLOP-days",
    ])
    table.add([
      "speed, τ",
      "\(Format.grouped(input.gpuCount)) × \(gpu.name) at "
        + "\(Format.teraflops(estimate.achieved.flopsPerSecond)) of "
        + "\(Format.teraflops(estimate.peak.flopsPerSecond)) TFLOP/s "
        + "(MFU \(Format.percent(estimate.modelUtilization)))",
    ])
    table.add(["time, T = C/τ", Format.duration(estimate.time)])
    table.add(["GPU-hours", "\(Format.number(estimate.gpuHours, digits: 4)) of \(gpu.name)"])
    table.add(["cost", Format.dollars(estimate.cost)])
    return
      (table.lines(indent: 0) + [""] + memoryLines + [""]
      + notes + estimate.warnings.map { "Warning: \($0)" })
      .joined(separator: "\n") + "\n"
  }

  private var memoryLines: [String] {
    let input = estimate.input
    let each = estimate.bytesPerParameter
    var table = TextTable(["Memory of one copy", "bytes a parameter", "bytes"])
    let row = { (name: String, bytes: Double) in
      [name, Format.number(bytes), Format.bytes(bytes * input.parameters)]
    }
    table.add(row("parameters (\(input.precision.activationFormat.rawValue))", each.parameter))
    table.add(row("gradients", each.gradient))
    table.add(row("optimizer (\(input.optimizer.rawValue))", each.optimizer))
    table.add(row("without kept activations", each.total))
    if let activations = estimate.activationBytes {
      table.add(["activations, one microbatch", "", Format.bytes(activations)])
      table.add(["with kept activations", "", Format.bytes(estimate.totalBytes)])
    }
    let weights = [NumberFormat.fp32, .bf16, .fp8, .int8].map { format in
      "\(format.rawValue) \(Format.bytes(format.bytesPerValue * input.parameters))"
    }
    return table.lines(indent: 0) + [
      "Spread evenly over \(Format.grouped(input.gpuCount)) GPUs: "
        + "\(Format.bytes(estimate.statesBytes / Double(input.gpuCount))) each of "
        + "\(Format.bytes(Double(input.gpu.memory.count))); at least "
        + "\(Format.grouped(estimate.leastGPUs)) \(input.gpu.name) hold one copy.",
      "Weights alone: \(weights.joined(separator: ", ")).",
    ]
  }

  /// The estimate for other programs: SI base units, full precision.
  public var json: JSONValue {
    let input = estimate.input
    let each = estimate.bytesPerParameter
    return [
      "schema": "dryrun.estimate/1",
      "input": [
        "parameters": .number(input.parameters),
        "active_parameters": .number(input.activeParameters),
        "tokens": .number(estimate.tokens),
        "tokens_are_default": .bool(estimate.hasDefaultTokens),
        "gpus": .integer(input.gpuCount),
        "gpu": .string(input.gpu.name),
        "precision": .string(input.precision.rawValue),
        "optimizer": .string(input.optimizer.rawValue),
        "recomputes_all": .bool(input.recomputesAll),
      ],
      "compute": [
        "forward_flops": .number(estimate.forward.count),
        "backward_flops": .number(estimate.backward.count),
        "recompute_flops": .number(estimate.recomputation.count),
        "flops": .number(estimate.compute.count),
        "pflop_days": .number(estimate.compute.petaflopDays),
      ],
      "speed": [
        "peak_flops_per_gpu_per_second": .number(estimate.peak.flopsPerSecond),
        "achieved_flops_per_gpu_per_second": .number(estimate.achieved.flopsPerSecond),
        "flops_per_second": .number(estimate.throughput.flopsPerSecond),
        "mfu": .number(estimate.modelUtilization),
      ],
      "run": [
        "seconds": .number(estimate.time.value),
        "days": .number(estimate.time.days),
        "gpu_hours": .number(estimate.gpuHours),
        "cost": .number(estimate.cost.value),
      ],
      "memory": [
        "parameter_bytes_each": .number(each.parameter),
        "gradient_bytes_each": .number(each.gradient),
        "optimizer_bytes_each": .number(each.optimizer),
        "parameters_bytes": .number(each.parameter * input.parameters),
        "gradients_bytes": .number(each.gradient * input.parameters),
        "optimizer_bytes": .number(each.optimizer * input.parameters),
        "states_bytes": .number(estimate.statesBytes),
        "activations_bytes": estimate.activationBytes.map(JSONValue.number) ?? .null,
        "total_bytes": .number(estimate.totalBytes),
        "states_bytes_per_gpu": .number(estimate.statesBytes / Double(input.gpuCount)),
        "least_gpus": .integer(estimate.leastGPUs),
      ],
      "notes": .array(notes.map(JSONValue.string)),
      "warnings": .array(estimate.warnings.map(JSONValue.string)),
    ]
  }
}

extension Scenario {
  /// The seed arithmetic's input that follows from the scenario, at the usual speed.
  public var estimateInput: EstimateInput {
    let model = job.architecture
    let settings = job.training
    let kept: ActivationShape.Kept =
      switch settings.recompute {
      case .none, .auto, .fullLayers, .offloadLayers, .modules:
        settings.attention.isFlash ? .withoutAttention : .all
      case .selective, .passes: .withoutAttention
      case .full, .saved: .inputs
      }
    return EstimateInput(
      parameters: Double(model.parameterCount),
      activeParameters: Double(model.activeParameterCount), tokens: tokens,
      gpuCount: job.cluster.gpuCount, gpu: job.cluster.gpu, precision: settings.precision,
      optimizer: settings.optimizer, gradientFormat: settings.gradientFormat,
      recomputesAll: settings.recompute == .full,
      shape: ActivationShape(
        sequenceLength: settings.sequenceLength, microBatch: settings.microBatch,
        hiddenSize: model.hiddenSize, layers: model.layerCount, heads: model.attention.heads,
        tensor: job.parallelism.tensor, splitsSequence: job.parallelism.sequence, kept: kept),
      gpuHourPrice: run.price.gpuHour)
  }
}
