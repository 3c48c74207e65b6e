public import Layout
public import Transformer

/// What layouts a framework can be told to use.
///
/// A scenario may say anything; a search proposes only what its framework can run.
public struct FrameworkOffer: Hashable, Sendable {
  /// ZeRO stages without a pipeline.
  public var zeroStages: [Int]
  /// ZeRO stages under a pipeline.
  public var zeroStagesInPipeline: [Int]
  /// Pipeline schedules; empty when there are no pipelines.
  public var schedules: [PipelineSchedule]
  /// Whether layers can be split by tensor parallelism.
  public var hasTensor: Bool
  /// Whether activations between tensor-parallel regions can be split along the sequence, and can be left whole.
  public var sequence: [Bool]
  /// Whether states can be sharded within groups of the replicas (hybrid sharding).
  public var hasShardGroups: Bool
  /// Whether some layers of each model chunk can be recomputed and the others not.
  ///
  /// Megatron-LM's `--recompute-method block --recompute-num-layers`.
  public var recomputesSomeLayers: Bool
  /// Orders of the axes on the nodes, fastest first.
  public var orders: [[Axis]]
  /// Where this is documented.
  public var source: String

  /// An offer, of the usual where nothing else is said.
  ///
  /// Sequence parallelism always with tensor parallelism, whole groups and the usual order.
  init(
    zeroStages: [Int], zeroStagesInPipeline: [Int], schedules: [PipelineSchedule],
    hasTensor: Bool, sequence: [Bool] = [true], hasShardGroups: Bool = false,
    recomputesSomeLayers: Bool = false, orders: [[Axis]] = [Parallelism.usualOrder],
    source: String
  ) {
    self.zeroStages = zeroStages
    self.zeroStagesInPipeline = zeroStagesInPipeline
    self.schedules = schedules
    self.hasTensor = hasTensor
    self.sequence = sequence
    self.hasShardGroups = hasShardGroups
    self.recomputesSomeLayers = recomputesSomeLayers
    self.orders = orders
    self.source = source
  }

  /// Stages of a model copy next to one another before its replicas are.
  ///
  /// Megatron-LM's `--use-tp-pp-dp-mapping`.
  static let pipelineBeforeData: [Axis] = [.tensor, .context, .pipeline, .data]
}

extension Framework {
  /// What the framework offers.
  public var offer: FrameworkOffer {
    switch self {
    case .megatronLM:
      FrameworkOffer(
        zeroStages: [0, 1], zeroStagesInPipeline: [0, 1],
        schedules: [.oneForwardOneBackward, .interleaved], hasTensor: true,
        sequence: [true, false], recomputesSomeLayers: true,
        source: "Megatron-LM v3.0, --use-distributed-optimizer, --sequence-parallel, schedules.py")
    case .megatronCore, .nemo:
      FrameworkOffer(
        zeroStages: [0, 1, 2, 3], zeroStagesInPipeline: [0, 1],
        schedules: [.oneForwardOneBackward, .interleaved], hasTensor: true,
        sequence: [true, false], hasShardGroups: true, recomputesSomeLayers: true,
        orders: [Parallelism.usualOrder, FrameworkOffer.pipelineBeforeData],
        source: "Megatron-LM d98e8a6, --data-parallel-sharding-strategy of Megatron FSDP, "
          + "--num-distributed-optimizer-instances, --use-tp-pp-dp-mapping")
    case .megatronDeepSpeed, .deepspeed:
      FrameworkOffer(
        zeroStages: [0, 1, 2, 3], zeroStagesInPipeline: [0, 1],
        schedules: [.oneForwardOneBackward], hasTensor: true, sequence: [false],
        hasShardGroups: self == .deepspeed,
        source: "DeepSpeed edaa722, runtime/pipe/engine.py: ZeRO-2 and 3 refuse pipelines; "
          + "mics_shard_size")
    case .internLM:
      FrameworkOffer(
        zeroStages: [0, 1], zeroStagesInPipeline: [0, 1],
        schedules: [.oneForwardOneBackward, .interleaved], hasTensor: true, sequence: [false],
        hasShardGroups: true,
        source: "InternLM 01e7fd6, parallel.zero1, parallel.pipeline, model.num_chunks")
    case .llmFoundry:
      FrameworkOffer(
        zeroStages: [0, 2, 3], zeroStagesInPipeline: [], schedules: [], hasTensor: false,
        hasShardGroups: true,
        source: "llm-foundry, FSDP sharding_strategy; neither pipeline nor tensor parallel")
    case .nanotron:
      FrameworkOffer(
        zeroStages: [0, 1], zeroStagesInPipeline: [0, 1],
        schedules: [.oneForwardOneBackward, .gpipe], hasTensor: true, sequence: [true, false],
        source: "nanotron, config parallelism.pp_engine and optimizer.zero_stage")
    case .torchtitan:
      FrameworkOffer(
        zeroStages: [0, 2, 3], zeroStagesInPipeline: [2, 3],
        schedules: [.oneForwardOneBackward, .interleaved, .zeroBubble], hasTensor: true,
        hasShardGroups: true,
        source: "torchtitan, parallelism.fsdp_reshard_after_forward and pipeline_parallel_schedule")
    case .alephAlphaScaling:
      FrameworkOffer(
        zeroStages: [0, 1], zeroStagesInPipeline: [0, 1], schedules: [.oneForwardOneBackward],
        hasTensor: true, sequence: [true, false],
        source: "Aleph-Alpha/scaling, topology and optimizer configuration")
    case .maxtext, .generic:
      FrameworkOffer(
        zeroStages: [0, 1, 2, 3], zeroStagesInPipeline: [0, 1, 2, 3],
        schedules: [.oneForwardOneBackward, .interleaved, .zeroBubble], hasTensor: true,
        sequence: [true, false], hasShardGroups: true, recomputesSomeLayers: true,
        orders: [Parallelism.usualOrder, FrameworkOffer.pipelineBeforeData],
        source: "no restriction taken")
    }
  }
}

extension Framework {
  /// Whether the framework has layers of that recurrence.
  ///
  /// Megatron-Core has Mamba-2, Gated DeltaNet and Kimi Delta Attention (`megatron/core/ssm`:
  /// `mamba_mixer.py`, `gated_delta_net.py`, `kda.py`), MaxText Gated DeltaNet (`layers/qwen3.py`);
  /// DeepSpeed and llm-foundry train any model of Hugging Face Transformers; the others define their
  /// transformers themselves and nothing else.
  public func has(_ recurrence: Recurrence.Kind) -> Bool {
    switch self {
    case .generic, .deepspeed, .llmFoundry: true
    case .megatronCore, .nemo:
      [.stateSpaceDuality, .gatedDelta, .kimiDelta].contains(recurrence)
    case .maxtext: recurrence == .gatedDelta
    case .megatronLM, .megatronDeepSpeed, .nanotron, .torchtitan, .internLM, .alephAlphaScaling:
      false
    }
  }
}
