import Kernels
import Layout
import Transformer

/// A setting that changes nothing in the step of a job, and what it would take to.
public struct IdleSetting: Hashable, Sendable {
  /// The scenario key, for example `parallelism.context_style`.
  public var keyPath: String
  /// Why, as in "of one context rank".
  public var reason: String
}

extension TrainingJob {
  /// What the layout and the training say in vain: with it or without it the program is the same.
  ///
  /// Only keys that an accident can make idle are looked at, and those only where they are not what
  /// holds anyway; a degree of 1 is never idle, so that a sweep may pass through it.
  public var idleSettings: [IdleSetting] {
    let compiler = StepCompiler(job: self)
    return idleDegrees + idleSharding(compiler) + idleSoftware(compiler) + idleDispatch(compiler)
  }

  private var idleDegrees: [IdleSetting] {
    var idle: [IdleSetting] = []
    func add(_ key: String, _ reason: String, when isIdle: Bool) {
      if isIdle { idle.append(IdleSetting(keyPath: "parallelism." + key, reason: reason)) }
    }
    add("sequence", "tensor is 1", when: parallelism.sequence && parallelism.tensor == 1)
    add(
      "schedule", "pipeline is 1",
      when: parallelism.pipeline == 1
        && (parallelism.schedule == .interleaved || parallelism.schedule.splitsBackward))
    for key in ["first_stage_layers", "last_stage_layers"] {
      add(key, "pipeline is 1", when: parallelism.pipeline == 1)
    }
    add("context_style", "context is 1", when: parallelism.context == 1)
    add(
      "expert_tensor", "the model has no experts",
      when: architecture.experts == nil && parallelism.expertTensor != parallelism.tensor)
    if case .modules(let modules) = training.recompute, modules.contains(.sharedExperts),
      let experts = architecture.experts, experts.sharedIntermediateSize == 0
    {
      idle.append(
        IdleSetting(keyPath: "training.recompute", reason: "the model has no shared experts"))
    }
    return idle
  }

  /// How sharded states travel, where none are or they travel otherwise.
  private func idleSharding(_ compiler: StepCompiler) -> [IdleSetting] {
    let states = compiler.states
    let sharding = parallelism.sharding
    let replicas = parallelism.data * parallelism.context
    let profile = compiler.profile
    var idle: [IdleSetting] = []
    func add(_ key: String, _ reason: String, when isIdle: Bool) {
      if isIdle { idle.append(IdleSetting(keyPath: "parallelism." + key, reason: reason)) }
    }
    add(
      "overlap", "within-layers is how parameters are gathered, which goes with zero: 3",
      when: parallelism.overlapsWithinLayers && !states.gathersParameters)
    add(
      "zero",
      "gradients are reduced once, after the last microbatch, and are whole until then: as zero: 1",
      when: replicas > 1 && states.keepsWholeGradients)
    let noReplicas = "data × context is 1"
    let noGathers = replicas == 1 ? noReplicas : "it goes with zero: 3"
    add(
      "shard_group", "zero is 0: nothing is sharded",
      when: parallelism.shardGroup != nil && parallelism.zero == 0)
    add(
      "reshard_after_forward", noGathers,
      when: sharding.reshardsAfterForward != nil && !states.gathersParameters)
    add(
      "quantized_weights", noGathers, when: sharding.quantizesWeights && !states.gathersParameters)
    add(
      "quantized_gradients",
      replicas == 1
        ? noReplicas
        : parallelism.zero == 0
          ? "zero is 0: gradients are all-reduced" : "the framework all-reduces gradients",
      when: sharding.quantizesGradients && (states.shardDegree == 1 || profile.allReducesShards))
    add(
      "secondary_group", "parameters gathered for a forward pass stay for its backward pass",
      when: sharding.secondaryGroup != nil && states.gathersParameters && states.keepsToBackward)
    let buckets =
      compiler.bucketsOverlap && !compiler.job.parallelism.schedule.splitsBackward
    let reducesInBackward = states.gathersParameters || buckets
    add(
      "reduce_each_microbatch",
      replicas == 1
        ? noReplicas
        : states.gathersParameters
          ? "Megatron FSDP reduces after each"
          : "gradients are reduced after the last microbatch, not beside backward passes",
      when: sharding.reducesEachMicrobatch != nil
        && (replicas == 1 || states.gathersParameters && profile.shardsAsMegatronFSDP
          || !reducesInBackward && parallelism.zero != 2)
    )
    add(
      "bucket_parameters",
      replicas == 1
        ? noReplicas
        : states.gathersParameters
          ? "under zero: 3 each layer is a bucket" : "gradients travel all at once",
      when: sharding.bucketParameters != nil && !states.hasGradientBucket
        && (replicas == 1 || states.gathersParameters || !buckets))
    return idle
  }

  /// What the optimizer or the software has no place for.
  private func idleSoftware(_ compiler: StepCompiler) -> [IdleSetting] {
    var idle: [IdleSetting] = []
    func add(_ key: String, _ reason: String, when isIdle: Bool) {
      if isIdle { idle.append(IdleSetting(keyPath: key, reason: reason)) }
    }
    let optimizer = training.optimizer
    add(
      "training.moments", "the states of \(optimizer.rawValue) have a format of their own",
      when: training.momentFormat != nil
        && optimizer.stateBytes(momentBytes: 1) == optimizer.stateBytes(momentBytes: 4))
    add(
      "parallelism.keep_outputs",
      parallelism.pipeline == 1
        ? "pipeline is 1" : "\(training.framework.rawValue) does not run PyTorch's schedules",
      when: parallelism.sharding.keepsOutputs != nil
        && (parallelism.pipeline == 1 || !compiler.profile.receivesIntoOwnBuffers))
    let profile = compiler.profile
    add(
      "training.recompute", "selective drops scores, which a fused attention has not",
      when: training.recompute == .selective && compiler.attention.isFlash
        && !profile.selectiveRecomputesFusedAttention && !profile.selectiveRecomputesOperations
        && !profile.selectiveRecomputesAllButMultiplies)
    add(
      "training.kept_formats", "recompute: full keeps nothing inside layers",
      when: training.switches.keptFormats != KeptFormats() && training.recompute == .full)
    add(
      "training.overlap_sends", "only the interleaved schedule's sends can wait",
      when: training.switches.overlapsSends != nil
        && (parallelism.schedule != .interleaved || parallelism.pipeline == 1))
    add(
      "training.cublas_workspace", "XLA has no workspace of PyTorch's",
      when: training.switches.cublasWorkspace != nil && !hasTorchWorkspace)
    return idle
  }

  /// How tokens get to experts, where there are none or all are at hand.
  private func idleDispatch(_ compiler: StepCompiler) -> [IdleSetting] {
    let dispatch = training.dispatch
    let switches = training.switches
    guard
      dispatch != ExpertDispatch() || switches.groupsExperts != nil || switches.fusesExperts != nil
    else { return [] }
    guard let experts = architecture.experts else {
      return [IdleSetting(keyPath: "training.moe", reason: "the model has no experts")]
    }
    var idle: [IdleSetting] = []
    func add(_ key: String, _ reason: String, when isIdle: Bool) {
      if isIdle { idle.append(IdleSetting(keyPath: "training.moe." + key, reason: reason)) }
    }
    let isLocal = parallelism.expert == 1
    add(
      "dispatcher", "expert is 1",
      when: dispatch.dispatcher != nil && isLocal && parallelism.expertTensor == 1)
    add(
      "routing", isLocal ? "expert is 1" : "only a fused dispatch sends a copy for each place",
      when: dispatch.routing != nil
        && (isLocal
          || experts.dispatcher(compiler.shard.dispatch, nodes: compiler.shard.expertNodes)
            != .fused)
    )
    add(
      "dispatch_format",
      isLocal ? "expert is 1" : "the all-gather dispatcher sends activations as they are",
      when: dispatch.format != nil && (isLocal || dispatch.dispatcher == .allGather))
    // Where the host reads token counts it need not wait for them.
    add(
      "overlap", "expert is 1",
      when: dispatch.overlapsMicrobatches == true && isLocal && parallelism.expertTensor == 1
        && !compiler.profile.readsTokenCounts)
    add(
      "overlap_shared",
      experts.sharedIntermediateSize == 0
        ? "the model has no shared experts"
        : isLocal ? "expert is 1" : "shared experts cut over tensor ranks run by themselves",
      when: dispatch.overlapsShared
        && (experts.sharedIntermediateSize == 0 || isLocal || parallelism.tensor > 1))
    add(
      "imbalance", "capacity_factor says how many rows each expert has",
      when: dispatch.imbalance != 1 && dispatch.capacityFactor != nil)
    return idle
  }
}
