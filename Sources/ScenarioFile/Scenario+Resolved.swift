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
      .init("training", trainingTree(job, tokens: tokens, ramp: mainPhase.ramp)),
    ]
    let rest: [JSONValue.Member] = [
      .init("run", run.resolved(for: job.cluster)),
      .init("simulation", simulation.resolved(gpusPerNode: job.cluster.gpusPerNode)),
    ]
    return .object(
      tree + phasesTree + rest + (published.map { [.init("published", $0.tree)] } ?? []))
  }

  /// The phases, each with the settings by which it differs from the scenario's own.
  private var phasesTree: [JSONValue.Member] {
    guard phases.count > 1 else { return [] }
    let own = mainPhase
    return [
      .init(
        "phases",
        .array(
          phases.map { phase in
            var members: [JSONValue.Member] = [
              .init("name", .string(phase.name)), .init("tokens", .number(phase.tokens)),
            ]
            let parts = [
              ("cluster", own.job.cluster.resolved, phase.job.cluster.resolved),
              ("parallelism", own.job.parallelism.resolved, phase.job.parallelism.resolved),
              (
                "training", trainingTree(own.job, ramp: nil),
                trainingTree(phase.job, ramp: phase == own ? nil : phase.ramp)
              ),
            ]
            for (key, usual, changed) in parts {
              let differing = JSONValue.members(of: changed, differingFrom: usual)
              if !differing.isEmpty { members.append(.init(key, .object(differing))) }
            }
            return .object(members)
          }))
    ]
  }

  private func trainingTree(_ job: TrainingJob, tokens: Double? = nil, ramp: BatchRamp?)
    -> JSONValue
  {
    let settings = job.training
    var members: [JSONValue.Member] = tokens.map { [.init("tokens", .number($0))] } ?? []
    members += [
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
    if let format = settings.momentFormat {
      members.append(.init("moments", .string(format.rawValue)))
    }
    members.append(.init("attention", .string(settings.attention.rawValue)))
    if let backend = settings.attentionBackend {
      members.append(.init("attention_backend", .string(backend.rawValue)))
    }
    members.append(.init("framework", .string(settings.framework.rawValue)))
    if let release = settings.release {
      members.append(.init("release", .string(release.text)))
    }
    if let compiled = settings.compiled {
      members.append(.init("compile", .string(compiled.rawValue)))
    }
    if settings.lossChunks > 1 {
      members.append(.init("loss_chunks", .integer(settings.lossChunks)))
    }
    members.append(.init("blocking_launches", .bool(settings.blocksLaunches)))
    members += settings.switches.resolved
    let switches = settings.switches
    if settings.dispatch != ExpertDispatch() || switches.groupsExperts != nil
      || switches.fusesExperts != nil
    {
      members.append(.init("moe", settings.dispatch.resolved(switches)))
    }
    if let ramp {
      members.append(
        .init(
          "batch_ramp",
          [
            "from": .integer(ramp.first), "by": .integer(ramp.increment),
            "over": .number(ramp.tokens),
          ]))
    }
    return .object(members)
  }
}

extension ExpertDispatch {
  fileprivate func resolved(_ switches: SoftwareSwitches) -> JSONValue {
    var members: [JSONValue.Member] = []
    if let grouped = switches.groupsExperts { members.append(.init("grouped", .bool(grouped))) }
    if let fused = switches.fusesExperts { members.append(.init("fused_experts", .bool(fused))) }
    if let dispatcher { members.append(.init("dispatcher", .string(dispatcher.rawValue))) }
    if let routing { members.append(.init("routing", .string(routing.rawValue))) }
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
    case .offloadLayers(let count): ["offload_layers": .integer(count)]
    case .modules(let modules): ["modules": .array(modules.names.map { .string($0) })]
    case .saved(let outputs, let offloaded):
      .object(
        [("saved", outputs), ("offloaded", offloaded)].filter { !$1.isEmpty }.map {
          .init($0, .array($1.names.map { .string($0) }))
        })
    case .auto: "auto"
    }
  }
}

extension JSONValue {
  /// Members of one object that are not those of another; null for those it lacks.
  fileprivate static func members(of changed: Self, differingFrom usual: Self) -> [Member] {
    guard case .object(let new) = changed, case .object(let old) = usual else { return [] }
    let lacking = old.filter { member in !new.contains { $0.key == member.key } }
    return new.filter { member in !old.contains(member) }
      + lacking.map { Member($0.key, .null) }
  }
}

extension Cluster {
  /// The cluster in the vocabulary of a scenario file.
  var resolved: JSONValue {
    [
      "gpu": gpu.resolved,
      "gpus": .integer(gpuCount),
      "gpus_per_node": .integer(gpusPerNode),
      "intra_node": .object(
        intraNode.members + node.members(unlike: .usual(of: gpu, gpusPerNode: gpusPerNode))),
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
  var text: String {
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

  /// The catalogue's GPU it was made from; `nil` when this is itself in the catalogue.
  private var inlineBase: GPU? {
    GPU.named(name) == self ? nil : GPU.named(catalogueName)
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
    if offloadsParameters {
      members.append(
        .init("offload", ["optimizer": .bool(offloadsOptimizer), "parameters": .bool(true)]))
    } else if offloadsOptimizer {
      members.append(.init("offload", ["optimizer": .bool(true)]))
    }
    if let stageLayers {
      members.append(.init("stage_layers", .array(stageLayers.map { .integer($0) })))
    }
    members += sharding.members
    let choice = !overlaps ? "none" : overlapsWithinLayers ? "within-layers" : "auto"
    members.append(.init("overlap", .string(choice)))
    members.append(.init("order", .array(order.map { .string($0.rawValue) })))
    return .object(members)
  }
}

extension ShardingOptions {
  /// What is not the framework's way.
  fileprivate var members: [JSONValue.Member] {
    var members: [JSONValue.Member] = []
    if let reshardsAfterForward {
      members.append(.init("reshard_after_forward", .bool(reshardsAfterForward)))
    }
    if let reducesEachMicrobatch {
      members.append(.init("reduce_each_microbatch", .bool(reducesEachMicrobatch)))
    }
    if let bucketParameters {
      members.append(.init("bucket_parameters", .integer(bucketParameters)))
    }
    if quantizesWeights { members.append(.init("quantized_weights", true)) }
    if quantizesGradients { members.append(.init("quantized_gradients", true)) }
    if let keepsOutputs { members.append(.init("keep_outputs", .bool(keepsOutputs))) }
    if let secondaryGroup { members.append(.init("secondary_group", .integer(secondaryGroup))) }
    return members
  }
}
