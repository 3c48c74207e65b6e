public import Layout

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
  /// Where this is documented.
  public var source: String
}

extension Framework {
  /// What the framework offers.
  public var offer: FrameworkOffer {
    switch self {
    case .megatronLM:
      FrameworkOffer(
        zeroStages: [0, 1], zeroStagesInPipeline: [0, 1],
        schedules: [.oneForwardOneBackward, .interleaved], hasTensor: true,
        source: "Megatron-LM v3.0, --use-distributed-optimizer and schedules.py")
    case .megatronCore, .nemo:
      FrameworkOffer(
        zeroStages: [0, 1, 2, 3], zeroStagesInPipeline: [0, 1],
        schedules: [.oneForwardOneBackward, .interleaved], hasTensor: true,
        source: "Megatron-LM d98e8a6, --data-parallel-sharding-strategy of Megatron FSDP")
    case .megatronDeepSpeed, .deepspeed:
      FrameworkOffer(
        zeroStages: [0, 1, 2, 3], zeroStagesInPipeline: [0, 1],
        schedules: [.oneForwardOneBackward], hasTensor: true,
        source: "DeepSpeed edaa722, runtime/pipe/engine.py: ZeRO-2 and 3 refuse pipelines")
    case .llmFoundry:
      FrameworkOffer(
        zeroStages: [0, 2, 3], zeroStagesInPipeline: [], schedules: [], hasTensor: false,
        source: "llm-foundry, FSDP sharding_strategy; neither pipeline nor tensor parallel")
    case .nanotron:
      FrameworkOffer(
        zeroStages: [0, 1], zeroStagesInPipeline: [0, 1],
        schedules: [.oneForwardOneBackward, .gpipe], hasTensor: true,
        source: "nanotron, config parallelism.pp_engine and optimizer.zero_stage")
    case .torchtitan:
      FrameworkOffer(
        zeroStages: [0, 2, 3], zeroStagesInPipeline: [2, 3],
        schedules: [.oneForwardOneBackward, .interleaved], hasTensor: true,
        source: "torchtitan, parallelism.fsdp_reshard_after_forward and pipeline_parallel_schedule")
    case .alephAlphaScaling:
      FrameworkOffer(
        zeroStages: [0, 1], zeroStagesInPipeline: [0, 1], schedules: [.oneForwardOneBackward],
        hasTensor: true, source: "Aleph-Alpha/scaling, topology and optimizer configuration")
    case .maxtext, .generic:
      FrameworkOffer(
        zeroStages: [0, 1, 2, 3], zeroStagesInPipeline: [0, 1, 2, 3],
        schedules: [.oneForwardOneBackward, .interleaved], hasTensor: true,
        source: "no restriction taken")
    }
  }
}
