import Hardware
import Kernels
import Layout
import Quantities
import RunForecast
import StepProgram
import Transformer

extension Scenario {
  /// The scenario as a tree in the vocabulary of its file, every default written out.
  func resolvedTree(model: JSONValue) -> JSONValue {
    let tree: [JSONValue.Member] = [
      .init("name", .string(name)),
      .init("model", model),
      .init("cluster", job.cluster.resolved),
      .init("parallelism", job.parallelism.resolved),
      .init("training", trainingTree),
      .init("run", run.resolved(for: job.cluster.gpu)),
      .init("simulation", simulation.resolved(gpusPerNode: job.cluster.gpusPerNode)),
    ]
    return .object(tree + (published.map { [.init("published", $0.tree)] } ?? []))
  }

  private var trainingTree: JSONValue {
    let settings = job.training
    var members: [JSONValue.Member] = [
      .init("tokens", .number(tokens)),
      .init("sequence_length", .integer(settings.sequenceLength)),
      .init("global_batch", .integer(settings.globalBatch)),
      .init("micro_batch", .integer(settings.microBatch)),
      .init("precision", .string(settings.precision.rawValue)),
      .init("optimizer", .string(settings.optimizer.rawValue)),
      .init("recompute", settings.recompute.resolved),
    ]
    if let format = settings.gradientFormat {
      members.append(.init("gradients", .string(format == .fp32 ? "fp32" : "parameters")))
    }
    members.append(.init("attention", .string(settings.attention.rawValue)))
    members.append(.init("framework", .string(settings.framework.rawValue)))
    members.append(.init("blocking_launches", .bool(settings.blocksLaunches)))
    if settings.dispatch != ExpertDispatch() {
      members.append(.init("moe", settings.dispatch.resolved))
    }
    return .object(members)
  }
}

extension ExpertDispatch {
  fileprivate var resolved: JSONValue {
    var members: [JSONValue.Member] = []
    if let dispatcher { members.append(.init("dispatcher", .string(dispatcher.rawValue))) }
    members.append(.init("imbalance", .number(imbalance)))
    if let capacityFactor { members.append(.init("capacity_factor", .number(capacityFactor))) }
    if let format { members.append(.init("dispatch_format", .string(format.rawValue))) }
    members.append(.init("overlap_shared", .bool(overlapsShared)))
    if let overlapsMicrobatches { members.append(.init("overlap", .bool(overlapsMicrobatches))) }
    return .object(members)
  }
}

extension Recompute {
  fileprivate var resolved: JSONValue {
    switch self {
    case .none: "none"
    case .selective: "selective"
    case .passes: "passes"
    case .full: "full"
    case .fullLayers(let count): ["full_layers": .integer(count)]
    case .modules(let modules): ["modules": .array(modules.names.map { .string($0) })]
    case .auto: "auto"
    }
  }
}

extension Cluster {
  /// The cluster in the vocabulary of a scenario file.
  var resolved: JSONValue {
    [
      "gpu": gpu.resolved,
      "gpus": .integer(gpuCount),
      "gpus_per_node": .integer(gpusPerNode),
      "intra_node": .object(intraNode.members),
      "inter_node": .object(
        interNode.members + [
          .init("topology", .string(topology.rawValue)),
          .init("oversubscription", .number(oversubscription)),
        ] + network.members),
    ]
  }
}

extension Link {
  fileprivate var members: [JSONValue.Member] {
    [
      .init("bandwidth", .string(rate.unitText)),
      .init("latency", .string(latency.text)),
    ]
  }
}

extension SimDuration {
  /// The interval in the largest unit that leaves a whole number.
  fileprivate var text: String {
    let units: [(String, Int64)] = [
      ("s", 1_000_000_000_000), ("ms", 1_000_000_000), ("us", 1_000_000), ("ns", 1_000),
    ]
    for (name, size) in units where picoseconds != 0 && picoseconds % size == 0 {
      return "\(picoseconds / size) \(name)"
    }
    return "\(picoseconds) ps"
  }
}

extension GPU {
  /// The catalogue name, or the figures that differ from the GPU it is like.
  fileprivate var resolved: JSONValue {
    guard let base = inlineBase else { return .string(name) }
    var members: [JSONValue.Member] = [
      .init("like", .string(base.name)), .init("name", .string(name)),
    ]
    if memory != base.memory { members.append(.init("memory", .string(memory.unitText))) }
    if memoryRate != base.memoryRate {
      members.append(.init("memory_bandwidth", .string(memoryRate.unitText)))
    }
    if multiprocessors != base.multiprocessors {
      members.append(.init("multiprocessors", .integer(multiprocessors)))
    }
    if power != base.power { members.append(.init("power", .string(power.unitText))) }
    let peaks = NumberFormat.allCases.compactMap { format -> JSONValue.Member? in
      guard let rate = self.peaks[format], rate != base.peaks[format] else { return nil }
      return .init(format.rawValue, .string(rate.unitText))
    }
    if !peaks.isEmpty { members.append(.init("peak", .object(peaks))) }
    return .object(members)
  }

  /// The catalogue's GPU with the same kernels and sources; `nil` when this is itself in the
  /// catalogue.
  private var inlineBase: GPU? {
    if GPU.named(name) == self { return nil }
    return GPU.catalogue.first { $0.kernels == kernels && $0.sources == sources }
  }
}

extension Parallelism {
  fileprivate var resolved: JSONValue {
    var members: [JSONValue.Member] = [
      .init("tensor", .integer(tensor)),
      .init("sequence", .bool(sequence)),
      .init("pipeline", .integer(pipeline)),
      .init("virtual_stages", .integer(virtualStages)),
      .init("schedule", .string(schedule.rawValue)),
      .init("context", .integer(context)),
    ]
    // Of one context rank there is no style.
    if context > 1 { members.append(.init("context_style", .string(contextStyle.rawValue))) }
    members += [
      .init("expert", .integer(expert)),
      .init("expert_tensor", .integer(expertTensor)),
      .init("data", .integer(data)),
    ]
    if let shardGroup { members.append(.init("shard_group", .integer(shardGroup))) }
    members.append(.init("zero", .integer(zero)))
    if offloadsOptimizer { members.append(.init("offload", ["optimizer": .bool(true)])) }
    members.append(.init("overlap", .string(overlaps ? "auto" : "none")))
    members.append(.init("order", .array(order.map { .string($0.rawValue) })))
    return .object(members)
  }
}

extension FailureSettings {
  fileprivate var resolved: JSONValue {
    var members: [JSONValue.Member] = [
      .init("gpu_mtbf", .string(gpuMeanTimeBetweenFailures.unitText))
    ]
    if let node = nodeMeanTimeBetweenFailures {
      members.append(.init("node_mtbf", .string(node.unitText)))
    }
    if let fabric = fabricMeanTimeBetweenFailures {
      members.append(.init("fabric_mtbf", .string(fabric.unitText)))
    }
    members += [
      .init("detection", .string(detection.unitText)),
      .init("restart", .string(restart.unitText)), .init("shape", .number(shape)),
    ]
    if let spares { members.append(.init("spares", .integer(spares))) }
    members.append(.init("repair", .string(repair.unitText)))
    return .object(members)
  }
}

extension RunSettings {
  fileprivate func resolved(for gpu: GPU) -> JSONValue {
    var members: [JSONValue.Member] = []
    if let checkpoint {
      members.append(
        .init(
          "checkpoint",
          [
            "every": .string(checkpoint.interval.unitText),
            "write_rate": .string(checkpoint.writeRate.unitText),
            "asynchronous": .bool(checkpoint.isAsynchronous),
          ]))
    }
    if let failures {
      members.append(.init("failures", failures.resolved))
      if let draws { members.append(.init("draws", .integer(draws))) }
    }
    if let evaluation {
      members.append(
        .init(
          "evaluation",
          [
            "every_steps": .integer(evaluation.steps),
            "duration": .string(evaluation.duration.unitText),
          ]))
    }
    members.append(.init("start_up", .string(startUp.unitText)))
    let price = gpuHourPrice ?? gpu.hourlyPrice
    members.append(.init("price", ["gpu_hour": .string(price.unitText)]))
    var powerMembers: [JSONValue.Member] = [
      .init("gpu", .string((power.gpu ?? gpu.power).unitText)),
      .init("pue", .number(power.usageEffectiveness)),
    ]
    if let carbon = power.carbonPerKilowattHour {
      powerMembers.append(.init("carbon_kg_per_kwh", .number(carbon)))
    }
    members.append(.init("power", .object(powerMembers)))
    return .object(members)
  }
}
