public import Hardware
public import Kernels
public import Layout
public import Transformer

/// Everything a training step follows from: what is trained, on what, how it is spread.
///
/// All defaults are filled in; the values are consistent (degrees multiply to the GPUs, batches
/// and heads divide): `ScenarioFile` has checked them.
public struct TrainingJob: Hashable, Sendable {
  /// The model.
  public var architecture: Architecture
  /// The GPUs and their fabric.
  public var cluster: Cluster
  /// The layout.
  public var parallelism: Parallelism
  /// Batch, formats, recomputation.
  public var training: TrainingSettings

  /// A job from its parts.
  public init(
    architecture: Architecture, cluster: Cluster, parallelism: Parallelism,
    training: TrainingSettings
  ) {
    self.architecture = architecture
    self.cluster = cluster
    self.parallelism = parallelism
    self.training = training
  }

  /// Microbatches each pipeline runs in a step: global batch / (micro batch × data).
  public var microbatchCount: Int {
    training.globalBatch / (training.microBatch * parallelism.data)
  }

  /// Tokens in one step.
  public var tokensPerStep: Int { training.globalBatch * training.sequenceLength }
}

/// What the training loop is told.
public struct TrainingSettings: Hashable, Sendable {
  /// Tokens per sequence.
  public var sequenceLength: Int
  /// Sequences per step.
  public var globalBatch: Int
  /// Sequences per rank and microbatch.
  public var microBatch: Int
  /// Number formats.
  public var precision: Precision
  /// Update rule.
  public var optimizer: Optimizer
  /// What is recomputed.
  public var recompute: Recompute
  /// Format gradients are accumulated and reduced in; `nil` for the framework's own.
  public var gradientFormat: NumberFormat?
  /// Attention implementation.
  public var attention: AttentionAlgorithm
  /// Whether the host waits for each kernel it launches (`CUDA_LAUNCH_BLOCKING=1`).
  public var blocksLaunches: Bool
  /// The software that runs it.
  public var framework: Framework { didSet { profile = framework.profile } }
  /// What that software fuses, overlaps and launches.
  ///
  /// The framework's ``Framework/profile`` unless set afterwards, as fits of its constants do.
  public var profile: FrameworkProfile
  /// Release of that software, where it is said; of NeMo only.
  public var release: FrameworkRelease?
  /// How tokens get to their experts.
  public var dispatch: ExpertDispatch
  /// Format of the optimizer's moments.
  ///
  /// `nil` for the optimizer's own, or where there are no masters and the framework has PyTorch's or optax's
  /// optimizers, which make them like the parameters, for theirs.
  public var momentFormat: NumberFormat?
  /// What is compiled; `nil` for the framework's way.
  public var compiled: CompiledParts?
  /// Whose kernels FlashAttention-2 is; `nil` for what the framework runs.
  public var attentionBackend: AttentionBackend?
  /// Pieces the output projection and the loss are done in, one after the other.
  public var lossChunks = 1
  /// Switches of that software.
  public var switches = SoftwareSwitches()

  /// Settings of a training loop.
  public init(
    sequenceLength: Int, globalBatch: Int, microBatch: Int, precision: Precision = .bf16Mixed,
    optimizer: Optimizer = .adamw, recompute: Recompute = .none,
    gradientFormat: NumberFormat? = nil, attention: AttentionAlgorithm = .flash2,
    framework: Framework = .generic, blocksLaunches: Bool = false,
    dispatch: ExpertDispatch = ExpertDispatch()
  ) {
    self.sequenceLength = sequenceLength
    self.globalBatch = globalBatch
    self.microBatch = microBatch
    self.precision = precision
    self.optimizer = optimizer
    self.recompute = recompute
    self.gradientFormat = gradientFormat
    self.attention = attention
    self.blocksLaunches = blocksLaunches
    self.framework = framework
    profile = framework.profile
    self.dispatch = dispatch
  }
}

/// Whose kernels run where a scenario says FlashAttention-2.
///
/// Named as by `--attention-backend` of Megatron-Core (`AttnBackend` in its `transformer/enums.py`).
public enum AttentionBackend: String, Hashable, Sendable, CaseIterable {
  /// Those of the `flash-attn` package, FlashAttention-2.
  case flash
  /// cuDNN's, of FlashAttention-3's class from Hopper on.
  case fused
}

/// Parts of an eager model that `torch.compile` makes kernels of.
public enum CompiledParts: String, Hashable, Sendable, CaseIterable {
  /// None.
  case none
  /// The layers.
  case layers
  /// The layers and the loss.
  case all
}

/// Training software whose fusions, overlaps and buffers are known; see ``FrameworkProfile``.
public enum Framework: String, Hashable, Sendable, CaseIterable {
  /// Megatron-LM as in the papers of 2019–2022.
  case megatronLM = "megatron-lm"
  /// Megatron-DeepSpeed as BigScience and vTrain ran it.
  case megatronDeepSpeed = "megatron-deepspeed"
  /// Megatron-Core with Transformer Engine, 2023 on.
  case megatronCore = "megatron-core"
  /// NVIDIA NeMo on Megatron-Core, overlaps on.
  case nemo
  /// MosaicML llm-foundry on PyTorch FSDP.
  case llmFoundry = "llm-foundry"
  /// Hugging Face nanotron.
  case nanotron
  /// PyTorch torchtitan, FSDP2.
  case torchtitan
  /// DeepSpeed ZeRO on an eager PyTorch model.
  case deepspeed
  /// InternLM's own hybrid ZeRO (InternLM, later InternEvo).
  case internLM = "internlm"
  /// Google MaxText on XLA.
  case maxtext
  /// Aleph Alpha's scaling library (arXiv:2311.05610).
  case alephAlphaScaling = "aleph-alpha-scaling"
  /// No framework in particular: fused kernels, everything overlapped that can be.
  case generic
}
