public import Kernels
public import Quantities
public import Transformer

/// What a training framework fuses, overlaps, buffers and launches: documented facts, no
/// efficiencies.
public struct FrameworkProfile: Hashable, Sendable {
  /// How data-parallel communication runs beside computation.
  public enum DataOverlap: String, Hashable, Sendable {
    /// After the last backward, and before the first forward.
    case none
    /// Gradient buckets during the last microbatch's backward.
    case gradients
    /// Gradient buckets during the backward, parameters during the next forward.
    case gradientsAndParameters
  }

  /// What a tensor-parallel collective takes beyond its time on an idle fabric.
  public struct TensorBesidePipeline: Hashable, Sendable {
    /// Extra time of a collective of the smallest messages.
    public var each: SimDuration
    /// Extra time of each of its steps.
    public var step: SimDuration
    /// Bytes of a step, for each step, from which on there is no extra time; it shrinks linearly up
    /// to there.
    public var vanishesEach: Bytes
    /// The most that bound can be.
    public var vanishes: Bytes

    /// Extra time of a collective of `steps` steps that move `bytes` each.
    func extra(steps: Int, bytes: Int64) -> SimDuration {
      let bound = min(vanishes.count, vanishesEach.count * Int64(steps))
      let share = max(0, 1 - Double(bytes) / Double(max(bound, 1)))
      return SimDuration(seconds: (each.seconds + step.seconds * Double(steps)) * share)
    }
  }

  /// Fused passes.
  public var fusion = Fusion()
  /// Host time to launch one kernel from the framework's hot path.
  public var hostPerLaunch = SimDuration(seconds: 10e-6)
  /// Host time of an operation beyond its launches, forward: module call, autograd node, checks.
  public var hostPerOperation = SimDuration(seconds: 60e-6)
  /// Host time of an operation beyond its launches, backward.
  public var hostPerOperationBackward = SimDuration(seconds: 60e-6)
  /// Host time to start a collective through torch.distributed.
  public var hostPerCollective = SimDuration(seconds: 60e-6)
  /// Mean delay of a host that starts a collective, beyond the usual.
  ///
  /// Interrupts, garbage collection, locks. A collective waits for the slowest host of its group.
  public var hostJitter = SimDuration.zero
  /// Extra time of each step of a tensor-parallel collective whose group spans nodes.
  public var tensorStepBetweenNodes = SimDuration.zero
  /// Extra time of tensor-parallel collectives while pipeline stages on different nodes exchange
  /// activations; `nil` for none.
  public var tensorBesidePipeline: TensorBesidePipeline?
  /// Time of a data-parallel collective between nodes over its time on an idle fabric.
  ///
  /// What small buckets, host staging and shared networks add. Fitted on how the error of measured steps grows
  /// with replicas; 1 where nothing was seen.
  public var dataCollectiveCost = 1.0
  /// By what that factor grows with each doubling of the nodes; between powers of two linearly.
  public var dataCollectiveGrowth = 1.0
  /// Whether layers are dealt to stages by their multiply cost, the head counted, rather than by
  /// number.
  public var balancesStagesByCost = false
  /// Host time per microbatch outside the layers: batch fetch, schedule bookkeeping, loss.
  public var hostPerMicrobatch = SimDuration(seconds: 1e-3)
  /// Host time per step outside the microbatches: logging, learning rate, gradient norm readback.
  public var hostPerStep = SimDuration(seconds: 5e-3)
  /// Format gradients are accumulated in, unless the scenario says otherwise.
  public var gradientFormat = NumberFormat.fp32
  /// Format gradients travel in; `nil` for the format they are accumulated in.
  public var reduceFormat: NumberFormat?
  /// Whether gradients are all-reduced whole though each rank updates its shard only.
  public var allReducesShards = false
  /// Whether gradients in the parameters' format stay allocated beside the accumulated ones (the
  /// buckets of PyTorch's DistributedDataParallel).
  public var keepsWorkingGradients = false
  /// How data-parallel communication overlaps.
  public var dataOverlap = DataOverlap.gradients
  /// Parameters in a gradient bucket.
  public var bucketParameters = 40_000_000
  /// Whether tensor-parallel communication runs beside the other gradient multiply in backward.
  public var overlapsTensorBackward = true
  /// Whether tensor-parallel communication is cut up and runs beside its own multiply.
  public var overlapsTensorWithMultiply = false
  /// Whether the compute stream waits for its own sends.
  public var sendsBlock = true
  /// Whether the host waits for the device at every stage boundary.
  public var pipelineSynchronizesHost = true
  /// Whether stage-to-stage traffic without sequence parallelism is cut over tensor ranks.
  public var scattersPipeline = false
  /// The vocabulary is padded to a multiple of this times the tensor degree.
  public var vocabularyMultiple = 128
  /// Whether logits stay split over tensor ranks for the loss.
  public var splitsLoss = true
  /// Whether ZeRO-3 gathers and reduces once per microbatch (FSDP) and casts to the compute format.
  public var isFSDP = false
  /// How context-parallel ranks attend to whole sequences unless a scenario says otherwise:
  /// Megatron-Core's `cp_comm_type` is `p2p`.
  public var contextStyle = ContextStyle.ring
  /// Whether gathered parameters are kept from forward to backward.
  public var reshardsAfterForward = true
  /// Times the logits are read again for the metrics of a training step.
  ///
  /// Composer computes cross-entropy and perplexity of every microbatch beside the loss
  /// (`use_train_metrics`); fitted on the rows of 125 million parameters, whose missing time was 10
  /// to 15 times the logits at any sequence length.
  public var metricPasses: Int64 = 0
  /// Bytes of traffic per owned parameter in the optimizer step beyond the minimum (unfused
  /// copies, unscaling, norm).
  public var optimizerExtraBytes: Int64 = 12

  /// Whether attention runs the vendor library's kernel (cuDNN through Transformer Engine), of
  /// FlashAttention-3's class on Hopper, when a scenario says FlashAttention-2.
  public var usesLibraryAttention = false
  /// Whether selective recomputation keeps attention and every other multiply and computes all else
  /// again (torchtitan's `selective` mode with option `op`).
  public var selectiveRecomputesOperations = false
  /// Whether selective recomputation keeps every multiply and computes all else again, attention
  /// included (MaxText's `minimal` policy, `checkpoint_dots_with_no_batch_dims`: a fused attention
  /// is no dot).
  public var selectiveRecomputesAllButMultiplies = false

  /// Whether norms are fused only beside FlashAttention-2 and without recomputation
  /// (arXiv:2311.05610, section 4: the RMSNorm kernel fails under activation checkpointing).
  public var fusesNormOnlyWithoutRecompute = false

  /// Tensors the libraries hold for ever: PyTorch's cuBLAS workspace of the forward and of the
  /// backward thread and Transformer Engine's own, on an A100 (2 × 32 + 4 MiB and 2 more; the
  /// constant in the static memory of Megatron-Core's own tests, which set
  /// `CUBLAS_WORKSPACE_CONFIG=:4096:8`; without it the two are 8 MiB each there).
  public var libraryWorkspace = Bytes.mebibytes(70)
  /// The same on Hopper and later, where Transformer Engine's is 32 MiB too.
  public var libraryWorkspaceHopper = Bytes.mebibytes(99)
  /// Whether experts run in Transformer Engine's grouped multiplies, which spread over
  /// ``groupedMultiplyStreams`` streams, each with a workspace of its own.
  public var groupsExpertMultiplies = false
  /// Streams of a grouped multiply (`_num_cublas_streams` in Transformer Engine's
  /// `cpp_extensions/gemm.py`).
  public static let groupedMultiplyStreams: Int64 = 4
  /// Workspace of a Transformer Engine multiply: 4 MiB, on Hopper and later 32 MiB
  /// (`get_cublas_workspace_size_bytes` in its `pytorch/module/base.py`).
  static func multiplyWorkspace(onHopper: Bool) -> Bytes { .mebibytes(onHopper ? 32 : 4) }
  /// Whether a model chunk holds on to the input the previous stage sent it, and to that input's
  /// gradient, until the next one comes: Megatron-Core's `TransformerBlock.set_input_tensor` and the
  /// `retain_grad` of its schedules.
  public var keepsStageInput = false
  /// Whether, where a multiply adds a weight's gradient straight to the accumulated one, autograd is
  /// handed a stand-in instead, kept for each shape of weight from the first backward on
  /// (`get_dummy_wgrad` in Transformer Engine's `pytorch/module/base.py`).
  ///
  /// Megatron-Core's own tests mostly run with `--no-gradient-accumulation-fusion`, so it is not in
  /// what they hold between steps.
  public var keepsGradientStandIns = false
  /// Whether half-precision gradients are accumulated as they are: Megatron-LM turns on fp32
  /// accumulation with `--bf16` only (`arguments.py`).
  public var accumulatesHalfInHalf = false

  /// Whether tensors given to collectives are held back by `record_stream` until the device has come
  /// past them (`TORCH_NCCL_AVOID_RECORD_STREAMS` unset).
  public var recordsStreams = false
  /// Bytes the allocator's cache loses to fragmentation, as a share of activations.
  public var fragmentation = 0.03

  /// Time of a data-parallel collective over that many nodes over its time on an idle fabric.
  func dataCollectiveFactor(nodes: Int) -> Double {
    var factor = dataCollectiveCost
    var count = 1
    while count * 2 <= nodes {
      factor *= dataCollectiveGrowth
      count *= 2
    }
    return factor * (1 + (dataCollectiveGrowth - 1) * Double(nodes - count) / Double(count))
  }

  /// A profile with the defaults above: a modern fused stack.
  public init() {}

  /// What Megatron-Core holds, for those that build on it.
  fileprivate mutating func holdsAsMegatronCore() {
    groupsExpertMultiplies = true
    keepsGradientStandIns = true
    keepsStageInput = true
    accumulatesHalfInHalf = true
    fusion.weighsExpertsInside = true
  }
}

extension Framework {
  /// The facts of this framework.
  ///
  /// Sources: Megatron-LM `schedules.py`, `distrib_optimizer.py`, `layers.py`; DeepSpeed
  /// `runtime/bf16_optimizer.py`, `zero/stage_1_and_2.py`; PyTorch FSDP; nanotron `parallel/`; the
  /// host costs and factors of the network are fitted by `scripts/fit-steps` (see
  /// `Results/validation.md`).
  public var profile: FrameworkProfile {
    var profile = FrameworkProfile()
    switch self {
    case .megatronLM:
      profile.accumulatesHalfInHalf = true
      profile.keepsStageInput = true
      profile.overlapsTensorBackward = false
      profile.fusion.crossEntropyInPlace = true
      profile.dataOverlap = .none
      profile.scattersPipeline = true
      profile.fusion.gradientAccumulation = true
      profile.fusion.attentionCopies = true
    case .megatronDeepSpeed:
      profile.fusion.crossEntropyInPlace = true
      profile.dataOverlap = .none
      profile.gradientFormat = .bf16
      profile.overlapsTensorBackward = false
      profile.hostPerMicrobatch = SimDuration(seconds: 3.5e-3)
      profile.hostPerStep = SimDuration(seconds: 10e-3)
      profile.hostPerOperation = SimDuration(seconds: 86e-6)
      profile.hostPerOperationBackward = SimDuration(seconds: 86e-6)
      profile.hostPerCollective = SimDuration(seconds: 29e-6)
      profile.hostJitter = SimDuration(seconds: 12e-6)
      profile.fusion.attentionCopies = true
    case .megatronCore:
      profile.holdsAsMegatronCore()
      profile.fusion.crossEntropyInPlace = true
      profile.usesLibraryAttention = true
      profile.dataOverlap = .gradientsAndParameters
      profile.fusion.gradientAccumulation = true
      profile.pipelineSynchronizesHost = false
    case .nemo:
      profile.holdsAsMegatronCore()
      profile.fusion.crossEntropyInPlace = true
      profile.usesLibraryAttention = true
      profile.dataOverlap = .gradientsAndParameters
      profile.fusion.gradientAccumulation = true
      profile.overlapsTensorWithMultiply = true
      profile.sendsBlock = false
      profile.pipelineSynchronizesHost = false
    case .llmFoundry:
      profile.fusion.crossEntropyFused = true
      profile.metricPasses = 12
      profile.fusion.attentionCopies = true
      profile.isFSDP = true
      profile.gradientFormat = .fp32
      profile.reduceFormat = .bf16
      profile.fusion.crossEntropy = true
      profile.fusion.biasDropoutAdd = false
      profile.fusion.biasActivation = false
      profile.vocabularyMultiple = 1
      // As for nanotron: all of them gather and reduce per layer through torch.distributed.
      profile.dataCollectiveCost = 2.8
      profile.pipelineSynchronizesHost = false
    case .torchtitan:
      // `context_parallel_rotate_method` is "allgather".
      profile.contextStyle = .allGather
      profile.selectiveRecomputesOperations = true
      profile.isFSDP = true
      profile.gradientFormat = .fp32
      profile.reduceFormat = .fp32
      profile.fusion.crossEntropy = false
      // Eager unless compiled (`training.compile` is false by default): separate kernels, but for
      // RMSNorm.
      profile.fusion.rotary = false
      profile.fusion.gate = false
      profile.vocabularyMultiple = 1
      profile.dataCollectiveCost = 3.6
      profile.pipelineSynchronizesHost = false
    case .nanotron:
      profile.dataOverlap = .gradients
      profile.fusion.gate = false
      profile.fusion.crossEntropy = true
      profile.fusion.biasDropoutAdd = false
      profile.vocabularyMultiple = 1
      profile.balancesStagesByCost = true
      profile.fusion.gathersInputOnce = true
      profile.keepsWorkingGradients = true
      profile.recordsStreams = true
      // Reserved over allocated, fitted on the 655 rows of its sweep: eager kernels, three streams.
      profile.fragmentation = 0.12
      profile.hostPerCollective = SimDuration(seconds: 320e-6)
      profile.tensorStepBetweenNodes = SimDuration(seconds: 60e-6)
      profile.tensorBesidePipeline = FrameworkProfile.TensorBesidePipeline(
        each: SimDuration(seconds: 500e-6), step: SimDuration(seconds: 275e-6),
        vanishesEach: .mebibytes(20), vanishes: .mebibytes(40))
      profile.dataCollectiveCost = 3.5
    case .alephAlphaScaling:
      profile.dataOverlap = .none
      profile.fusion.rotary = false
      profile.fusesNormOnlyWithoutRecompute = true
      profile.splitsLoss = false
      profile.fusion.crossEntropy = false
      profile.gradientFormat = .bf16
      // Fitted on the out-of-memory labels of its layout sweep; eager kernels free in odd orders.
      profile.fragmentation = 0.30
      // 32 to 256 GPUs: nothing on one node, tenfold on 32. Fitted on its 208 timed rows.
      profile.dataCollectiveGrowth = 1.8
      profile.fusion.gate = false
      profile.fusion.biasDropoutAdd = false
    case .deepspeed:
      profile.contextStyle = .ulysses
      profile.dataOverlap = .gradients
      profile.gradientFormat = .bf16
      profile.fusion.gate = false
      profile.fusion.biasDropoutAdd = false
      profile.fusion.biasActivation = false
      profile.vocabularyMultiple = 1
    case .maxtext:
      profile.contextStyle = .allGather
      profile.isFSDP = true
      // One compiled program a step: nothing is launched kernel by kernel.
      profile.hostPerLaunch = SimDuration(seconds: 1e-6)
      profile.hostPerCollective = SimDuration(seconds: 1e-6)
      profile.hostPerOperation = .zero
      profile.hostPerOperationBackward = .zero
      profile.selectiveRecomputesAllButMultiplies = true
      // XLA cuts a multiply up with the collective before or after it (collective matmul).
      profile.overlapsTensorWithMultiply = true
      profile.hostPerMicrobatch = .zero
      profile.vocabularyMultiple = 1
      profile.pipelineSynchronizesHost = false
      profile.sendsBlock = false
    case .generic:
      profile.holdsAsMegatronCore()
      profile.fusion.crossEntropyInPlace = true
      profile.usesLibraryAttention = true
      profile.dataOverlap = .gradientsAndParameters
      profile.fusion.gradientAccumulation = true
      profile.pipelineSynchronizesHost = false
      profile.sendsBlock = false
    }
    return profile
  }
}
