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

  /// Fused passes.
  public var fusion = Fusion()
  /// Host time to launch one kernel from the framework's hot path.
  public var hostPerLaunch = SimDuration(seconds: 10e-6)
  /// Host time of an operation beyond its launches, forward: module call, autograd node, checks.
  public var hostPerOperation = SimDuration(seconds: 60e-6)
  /// Host time of an operation beyond its launches, backward.
  public var hostPerOperationBackward = SimDuration(seconds: 60e-6)
  /// Host time of one expert's multiply: slicing, quantising and launching of its own; zero where all
  /// are one launch.
  ///
  /// Transformer Engine's GroupedLinear loops over experts; Megatron-Bridge's published steps at
  /// micro-batch 1 on hosts without CUDA graphs ask for 65 to 145 µs.
  public var hostPerExpert = SimDuration(seconds: 80e-6)
  /// Whether the host waits for the number of tokens each expert gets before it goes on: dropless
  /// dispatchers shape the exchange and the multiplies by it (Megatron-Core's `token_dispatcher.py`
  /// copies the counts to the host and synchronises before the exchange).
  public var readsTokenCounts = true
  /// Whether the host waits for the device in every layer's attention: sequences are packed, and the
  /// longest of them is an argument of the kernel (`get_max_seq_length` in `core/nn/attention/attention.py`
  /// of Aleph Alpha's `scaling`; its mask for other kernels is made of lengths read back too).
  public var readsSequenceLengths = false
  /// How its own switch balances experts, which is what a balanced mixture is taken to use.
  public var balancedRouting = ExpertDispatch.Routing.random
  /// What carries tokens to experts unless a scenario says otherwise; `nil` for what fits the model.
  public var expertDispatcher: ExpertDispatch.Dispatcher?
  /// Whether all-to-alls between nodes hide behind another microbatch's kernels under the interleaved
  /// schedule: `moe_a2a_overlap` in Megatron-Bridge's recipe of Qwen3-235B for H100; those with fused
  /// dispatchers leave it off (`scripts/performance/configs`).
  public var overlapsSpreadExperts = false
  /// Host time to start a collective through torch.distributed.
  public var hostPerCollective = SimDuration(seconds: 60e-6)
  /// Mean delay of a host that starts a collective, beyond the usual.
  ///
  /// Interrupts, garbage collection, locks. A collective waits for the slowest host of its group.
  public var hostJitter = SimDuration.zero
  /// Extra time of each step of a tensor-parallel collective whose group spans nodes: what the
  /// network's software adds to the catalogue's latency.
  public var tensorStepBetweenNodes = SimDuration.zero
  /// Host time a tensor-parallel collective takes for each rank of its group while pipeline stages on
  /// different nodes exchange activations.
  public var hostPerTensorRankBesidePipeline = SimDuration.zero
  /// The same where the group itself spans nodes.
  public var hostPerSpreadTensorRankBesidePipeline = SimDuration.zero
  /// Time each message between stages waits where a tensor group spans at least
  /// ``stallingTensorNodes`` nodes.
  public var stageMessageStall = SimDuration.zero
  /// Nodes of a tensor group from which on messages between stages stall.
  public var stallingTensorNodes = 4
  /// Time of a data-parallel collective between nodes over its time on an idle fabric at the NIC's
  /// rate; 1 where nothing was seen.
  public var dataCollectiveCost = 1.0
  /// The same for jobs on more than ``dataCollectiveReach`` nodes; `nil` for no difference.
  public var dataCollectiveCostBeyond: Double?
  /// Nodes up to which ``dataCollectiveCost`` holds.
  public var dataCollectiveReach = 16
  /// Bytes of copies around the gradient reduction, for each parameter held: flattening, casts.
  public var reductionCopyBytes: Int64 = 0
  /// Tensors of a layer that are copied out rank by rank, one launch each, when parameters are
  /// gathered after the update; 0 where they are gathered in place.
  public var gatheredTensorsPerLayer = 0
  /// Whether the first and last stage count the embedding, the final norm and the head as layers when
  /// the layers are dealt out evenly.
  public var dealsEndsAsLayers = false
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
  /// Whether gradients in the parameters' format stay allocated beside the accumulated ones.
  public var keepsWorkingGradients = false
  /// Whether PyTorch's DistributedDataParallel wraps the model where several ranks hold the same states,
  /// with buckets in the parameters' format, and each backward pass leaves fresh gradients in that
  /// format, added to the accumulated ones when it is done (`make_ddp` in nanotron's `trainer.py`,
  /// `FP32GradientAccumulator.backward`).
  public var accumulatesBehindBackward = false
  /// How data-parallel communication overlaps.
  public var dataOverlap = DataOverlap.gradients
  /// The same under a sharded optimizer; `nil` for no difference.
  public var shardedDataOverlap: DataOverlap?
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
  /// Whether the host waits for the device before and behind every pass of a microbatch: the timers of
  /// Megatron-LM did before they had levels (`torch.cuda.synchronize` in `start` and `stop` of
  /// `timers.py`, `forward-compute` and the like in `schedules.py`), and every batch's sizes are read
  /// back from the device (`broadcast_data` in `data.py`).
  public var synchronizesPasses = false
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

  /// Whether recomputation ends with the last value the backward pass reads: the block's last multiply,
  /// whose output only flows on, is not done again.
  ///
  /// `torch.utils.checkpoint` without re-entry stops there from PyTorch 2.1 on (`early_stop`, on by
  /// default; its docstring), and XLA drops what nobody reads (`jax.checkpoint`). Megatron-LM's and
  /// DeepSpeed's own checkpoint functions, and earlier PyTorch, run the whole block.
  public var recomputesOnlyWhatIsRead = false

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
  /// What lands in the buffer Megatron's own layers share.
  public var sharedBuffer = SharedBufferUse.none
  /// Whether a model chunk holds on to the input the previous stage sent it, and to that input's
  /// gradient, until the next one comes: Megatron-Core's `TransformerBlock.set_input_tensor` and the
  /// `retain_grad` of its schedules.
  public var keepsStageInput = false
  /// Whether every microbatch of a pipeline has receive buffers of its own (PyTorch's `PipelineStage`).
  public var receivesIntoOwnBuffers = false
  /// Whether the last stage holds on to a microbatch's logits until the one after the next writes over
  /// them: it has two buffers of outputs at least, and its backward pass takes the loss only
  /// (`required_buffer_count` and `_execute_backward_pass` of Aleph Alpha's `scaling`).
  public var keepsLastLogits = false
  /// Whether, where a multiply adds a weight's gradient straight to the accumulated one, autograd is
  /// handed a stand-in instead, kept for each shape of weight from the first backward on
  /// (`get_dummy_wgrad` in Transformer Engine's `pytorch/module/base.py`).
  ///
  /// Megatron-Core's own tests mostly run with `--no-gradient-accumulation-fusion`, so it is not in
  /// what they hold between steps.
  public var keepsGradientStandIns = false
  /// Whether the output projection's multiply keeps one too, and all stay between steps
  /// (``SoftwareSwitches/fusesGradientAccumulation``).
  public var keepsStandInsBetweenSteps = false
  /// Whether weights quantised for narrow multiplies are kept from one microbatch to the next, as they
  /// are and transposed, beside the working copy (`get_weight_workspace` and its
  /// `columnwise_usage` in Transformer Engine's `pytorch/module/base.py`).
  ///
  /// Not where they are the working copy, two bytes a parameter together: NeMo's recipes set
  /// `fp8_params`, for which Megatron-Core has `--fp8-param-gather`, off by default.
  public var keepsQuantizedWeights = false
  /// Whether the working copy of multiplied weights is the quantised one.
  public var quantizesParameters = false
  /// Gradients have a buffer of their own (`main_grad` in Megatron's DistributedDataParallel), cleared
  /// for every step and added to in every microbatch, whatever their format.
  public var hasGradientBuffer = false
  /// Whether gradients accumulated in half precision are copied to fp32 for the update, as
  /// Megatron-Core's mixed-precision optimizers do (`_copy_model_grads_to_main_grads`).
  ///
  /// In fp16 they always are: Megatron-LM turns on fp32 accumulation with `--bf16` only
  /// (`arguments.py`); and the first updates are skipped while the loss scale is found. In bf16 they are
  /// where recipes or a scenario ask for gradients in the parameters' format.
  public var copiesGradientsForUpdate = false

  /// Whether recipes move activations to the host before they recompute whole layers, where parameters
  /// are sharded, there is no pipeline, and the host's link is no PCIe: `cpu_offloading_num_layers` of
  /// Megatron-Bridge's recipes with Megatron FSDP on GB200 and GB300 (`scripts/performance/configs/llama`).
  public var offloadsActivations = false

  /// Whether tensors given to collectives are held back by `record_stream` until the device has come
  /// past them (`TORCH_NCCL_AVOID_RECORD_STREAMS` unset).
  public var recordsStreams = false
  /// Whether a compiler lays out all buffers of a step ahead, as XLA does: gathered parameters are there
  /// tensor by tensor, where they are used, and gradients from their reduction on.
  ///
  /// Next to nothing is lost between buffers: 0.4 % in XLA's own report of a TPU program (`HLO temp … 0.4%
  /// fragmentation`, EasyDeL issue 142).
  public var plansBuffers = false
  /// Device memory beyond the usual that the cache does not get, for communicators of many groups.
  public var furtherCommunicators = Bytes.zero
  /// Kernels around a layer's attention beyond those its times count: too small for those, but entries of
  /// the device's queue.
  public var launchesAroundAttention = 0
  /// Whether its steps are played to a caching allocator (``CacheReplay``), not taken to lose
  /// ``fragmentation``.
  public var replaysCache = false
  /// Bytes the allocator's cache loses to fragmentation, as a share of activations.
  public var fragmentation = 0.03

  /// A profile with the defaults above: a modern fused stack.
  public init() {}

  /// What Megatron-Core holds, for those that build on it.
  fileprivate mutating func holdsAsMegatronCore() {
    groupsExpertMultiplies = true
    hasGradientBuffer = true
    keepsGradientStandIns = true
    keepsStageInput = true
    sharedBuffer = .ends
    fusion.gathersIntoShared = .head
    copiesGradientsForUpdate = true
    fusion.weighsExpertsInside = true
    fusion.clampsApart = true
    fusion.padsNarrowExperts = true
    fusion.keepsQuantizedInputs = true
    keepsQuantizedWeights = true
  }
}

extension Framework {
  /// The attention it runs unless told otherwise: Megatron-LM's own layers fuse the softmax, and take
  /// FlashAttention with `--use-flash-attn` only (`arguments.py`).
  public var defaultAttention: AttentionAlgorithm {
    switch self {
    case .megatronLM, .megatronDeepSpeed: .fusedSoftmax
    default: .flash2
    }
  }

  /// Time of data-parallel collectives between nodes over that at the NICs' rate, in nanotron and Aleph
  /// Alpha's library; fitted on the former's rows only.
  ///
  /// Node count by node count, with the time of a microbatch left free, they give 2.3 to 2.8 on 2, 4,
  /// 8 and 16 nodes: it does not grow.
  static let torchDataCollectiveCost = 3.0

  /// The same under PyTorch's FSDP.
  ///
  /// The network decides few of its runs: 1.4 puts Llama 2 13B in hybrid shards on 128 A100 with 50 Gb/s
  /// each (foundation-model-stack/fms-fsdp) at its measured time; GPT 175B on 128 A100 (arXiv:2304.11277,
  /// section 5.4) says 1 to 1.4 at a micro-batch of one. llm-foundry's rows are within a third of a per
  /// cent of their error at any value from 1 to 3.
  static let fsdpCollectiveCost = 1.4

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
      profile.hasGradientBuffer = true
      profile.synchronizesPasses = true
      profile.copiesGradientsForUpdate = true
      profile.keepsStageInput = true
      profile.sharedBuffer = .all
      profile.fusion.gathersIntoShared = .columns
      profile.overlapsTensorBackward = false
      profile.fusion.crossEntropyInPlace = true
      profile.dataOverlap = .none
      profile.scattersPipeline = true
      profile.fusion.gradientAccumulation = true
      profile.fusion.attentionCopies = true
    case .megatronDeepSpeed:
      profile.synchronizesPasses = true
      profile.fusion.crossEntropyInPlace = true
      profile.dataOverlap = .none
      profile.gradientFormat = .bf16
      profile.overlapsTensorBackward = false
      profile.hostPerMicrobatch = SimDuration(seconds: 2e-3)
      profile.hostPerStep = SimDuration(seconds: 2e-3)
      profile.hostPerOperation = SimDuration(seconds: 87e-6)
      profile.hostPerOperationBackward = SimDuration(seconds: 87e-6)
      profile.hostPerCollective = SimDuration(seconds: 22e-6)
      profile.hostJitter = SimDuration(seconds: 16e-6)
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
      // Performance recipes turn `grad_reduce_in_fp32` off (NeMo `scripts/performance/helpers.py`,
      // Megatron-Bridge `scripts/performance/configs`); before them `grad_sync_dtype: bf16` (NeMo's
      // launcher examples, dgxc-benchmarking `nemotron4-340b-synth.yaml`).
      profile.gradientFormat = .bf16
      profile.offloadsActivations = true
      profile.keepsQuantizedWeights = false
      profile.fusion.crossEntropyInPlace = true
      profile.usesLibraryAttention = true
      profile.dataOverlap = .gradientsAndParameters
      profile.fusion.gradientAccumulation = true
      profile.overlapsTensorWithMultiply = true
      profile.overlapsSpreadExperts = true
      profile.sendsBlock = false
      profile.pipelineSynchronizesHost = false
    case .llmFoundry:
      profile.hostPerExpert = .zero
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
      profile.dataCollectiveCost = Self.fsdpCollectiveCost
      profile.pipelineSynchronizesHost = false
    case .torchtitan:
      profile.hostPerExpert = .zero
      // `context_parallel_rotate_method` is "allgather".
      profile.contextStyle = .allGather
      profile.receivesIntoOwnBuffers = true
      profile.balancedRouting = .roundRobin
      // `expert_parallel_comm_backend` is "standard".
      profile.expertDispatcher = .allToAll
      profile.selectiveRecomputesOperations = true
      profile.recomputesOnlyWhatIsRead = true
      profile.isFSDP = true
      // DTensor redistributes outside of the multiplies' autograd nodes, and what follows waits
      // (`torch/distributed/tensor/parallel/style.py`).
      profile.overlapsTensorBackward = false
      profile.gradientFormat = .fp32
      profile.reduceFormat = .fp32
      profile.fusion.crossEntropy = false
      // Eager unless compiled (`training.compile` is false by default): separate kernels, but for
      // RMSNorm.
      profile.fusion.rotary = false
      profile.fusion.gate = false
      profile.vocabularyMultiple = 1
      profile.dataCollectiveCost = Self.fsdpCollectiveCost
      profile.pipelineSynchronizesHost = false
    case .nanotron:
      profile.dataOverlap = .gradients
      profile.fusion.gate = false
      profile.fusion.crossEntropy = true
      profile.fusion.biasDropoutAdd = false
      profile.vocabularyMultiple = 1
      profile.balancesStagesByCost = true
      profile.fusion.gathersInputOnce = true
      profile.fusion.keepsGatherBuffers = true
      profile.accumulatesBehindBackward = true
      profile.fusion.keepsUnrotated = true
      profile.replaysCache = true
      // Each layer makes the sequences' ends anew (zeros, sums and running sums, each for queries and for
      // keys: `CoreAttention.forward`), and copies query, key and value into one piece.
      profile.launchesAroundAttention = 7
      // A communicator for each kind of group and each set of tied weights. Of the 655 readings of its
      // sweep none is above 68.3 GiB of 79.18, and rows that would take more read what is left after an
      // emptied cache: 68.9 GiB are there for it.
      profile.furtherCommunicators = Bytes.mebibytes(9_560)
      // No Transformer Engine: PyTorch's two alone.
      profile.libraryWorkspaceHopper = Bytes.mebibytes(64)
      profile.recordsStreams = true
      profile.fusion.splitsGatheredRows = true
      // Fitted by a robust loss on the 655 rows, halves of which (either model; 64 GPUs and fewer)
      // give the same within a tenth: AWS EFA's steps, and what the hosts lose beside pipeline traffic.
      profile.hostPerCollective = SimDuration(seconds: 320e-6)
      profile.tensorStepBetweenNodes = SimDuration(seconds: 50e-6)
      profile.hostPerTensorRankBesidePipeline = SimDuration(seconds: 260e-6)
      profile.hostPerSpreadTensorRankBesidePipeline = SimDuration(seconds: 360e-6)
      // All 34 rows with tensor 32 and a pipeline; other rows do so at times, and nothing tells which.
      profile.stageMessageStall = SimDuration(seconds: 0.25)
      profile.dataCollectiveCost = Self.torchDataCollectiveCost
      // One hardware queue (CUDA_DEVICE_MAX_CONNECTIONS=1): the copy out of each reduced bucket waits
      // in it for the network, and the backward behind it (`reduce_scatter_coalesced`).
      profile.shardedDataOverlap = FrameworkProfile.DataOverlap.none
      // `all_gather_coalesced`: query-key-value, output, gate and up, down, two norms.
      profile.gatheredTensorsPerLayer = 6
    case .alephAlphaScaling:
      profile.dataOverlap = .none
      profile.fusion.rotary = false
      profile.fusesNormOnlyWithoutRecompute = true
      // The norm gathers (`core/nn/norm/rms_norm.py` of its `scaling`).
      profile.fusion.keepsGatheredInputs = true
      profile.keepsLastLogits = true
      profile.readsSequenceLengths = true
      profile.splitsLoss = false
      profile.fusion.crossEntropy = false
      profile.gradientFormat = .bf16
      // Fitted on the out-of-memory labels of its layout sweep, so that as many wrong verdicts are fits as
      // are not; eager kernels free in odd orders.
      profile.fragmentation = 0.45
      // `allreduce_no_retain`: flattened (2 + 2 bytes), divided (2 + 2), cast (2 + 4), all-reduced in
      // fp32, cast back (4 + 2), copied out (2 + 2), sharded optimizer or not.
      profile.reduceFormat = .fp32
      profile.allReducesShards = true
      profile.reductionCopyBytes = 24
      // `pipe_partition_uniform`.
      profile.dealsEndsAsLayers = true
      profile.dataCollectiveCost = Self.torchDataCollectiveCost
      // Its 64 rows on 32 nodes, whatever the pipeline; on 4 to 16 nodes nothing of it shows.
      profile.dataCollectiveCostBeyond = 7.5
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
      profile.hostPerExpert = .zero
      profile.readsTokenCounts = false
      profile.contextStyle = .allGather
      profile.isFSDP = true
      // One compiled program a step: nothing is launched kernel by kernel.
      profile.hostPerLaunch = SimDuration(seconds: 1e-6)
      profile.hostPerCollective = SimDuration(seconds: 1e-6)
      profile.hostPerOperation = .zero
      profile.hostPerOperationBackward = .zero
      profile.plansBuffers = true
      profile.fragmentation = 0.004
      // `cross_entropy_with_logits` of `max_utils.py` keeps the fp32 exponents; their gradient is cast.
      profile.fusion.crossEntropyInPlace = true
      profile.selectiveRecomputesAllButMultiplies = true
      profile.recomputesOnlyWhatIsRead = true
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
