public import Kernels
import Quantities
import Transformer

extension Framework {
  /// The attention it runs unless told otherwise.
  ///
  /// Megatron-LM's own layers fuse the softmax, and take FlashAttention with `--use-flash-attn` only
  /// (`arguments.py`).
  public var defaultAttention: AttentionAlgorithm {
    switch self {
    case .megatronLM, .megatronDeepSpeed: .fusedSoftmax
    default: .flash2
    }
  }

  /// Time of data-parallel collectives between nodes over that at the NICs' rate in nanotron.
  ///
  /// Its rows come from one cluster over AWS EFA.
  ///
  /// The all-reduces behind a sharded optimizer's last pass want 1.5 to 2 on 2, 4, 8 and 16 nodes for either
  /// model: it does not grow.
  static let nanotronDataCollectiveCost = 1.75

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
      profile.fusion.crossEntropyInPlace = true
      profile.dataOverlap = .none
      profile.scattersPipeline = true
      profile.fusion.gradientAccumulation = true
      profile.fusion.attentionCopies = true
    case .megatronDeepSpeed:
      profile.zeroBuffers = ZeROBuffers()
      profile.bucketParameters = 500_000_000
      profile.synchronizesPasses = true
      profile.fusion.crossEntropyInPlace = true
      profile.dataOverlap = .none
      // DeepSpeed's PipelineEngine: each tensor rank sends its part of activations and gradients
      // (`pipe_partitioned`, `grad_partitioned` of `runtime/config.py`, on unless turned off), and of two
      // stages one receives the gradient before it sends the activation (`TrainSchedule` in
      // `runtime/pipe/schedule.py`), by plain sends and receives.
      profile.scattersPipeline = true
      profile.rebuildsScattered = true
      profile.exchangesStagesInTurn = true
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
      profile.shardsAsMegatronFSDP = true
      profile.selectiveRecomputesFusedAttention = true
      // `CUBLAS_WORKSPACE_CONFIG=:4096:8` of its functional tests; PyTorch's own choice from Hopper on.
      profile.cublasWorkspace = .mebibytes(32)
      profile.fusion.crossEntropyInPlace = true
      profile.usesLibraryAttention = true
      profile.dataOverlap = .gradientsAndParameters
      profile.interleavedSendsBlock = false
      profile.fusion.gradientAccumulation = true
      profile.pipelineSynchronizesHost = false
    case .nemo:
      profile.holdsAsMegatronCore()
      profile.shardsAsMegatronFSDP = true
      profile.selectiveRecomputesFusedAttention = true
      // Performance recipes turn `grad_reduce_in_fp32` off (NeMo `scripts/performance/helpers.py`,
      // Megatron-Bridge `scripts/performance/configs`); before them `grad_sync_dtype: bf16` (NeMo's
      // launcher examples, dgxc-benchmarking `nemotron4-340b-synth.yaml`).
      profile.gradientFormat = .bf16
      profile.offloadsActivations = true
      profile.keepsQuantizedWeights = false
      // `cross_entropy_fusion_impl = "te"` of the same recipes (NeMo `scripts/performance/llm`, Megatron-Bridge
      // `scripts/performance/utils/overrides.py`).
      profile.fusion.crossEntropyFused = true
      profile.fusion.crossEntropyInPlace = true
      profile.usesLibraryAttention = true
      profile.dataOverlap = .gradientsAndParameters
      profile.fusion.gradientAccumulation = true
      profile.overlapsTensorWithMultiply = true
      profile.overlapsSpreadExperts = true
      profile.sendsBlock = false
      profile.pipelineSynchronizesHost = false
    case .llmFoundry:
      profile.usesTritonAttention = true
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
      profile.fusion.ringsInPyTorch = true
      profile.fusion.repeatsKeyValueHeads = true
      profile.receivesIntoOwnBuffers = true
      profile.balancedRouting = .roundRobin
      // `expert_parallel_comm_backend` is "standard".
      profile.expertDispatcher = .allToAll
      profile.selectiveRecomputesOperations = true
      profile.recomputesOnlyWhatIsRead = true
      profile.isFSDP = true
      profile.copiesGathers = true
      // What DTensor redistributes is the input of the multiply, which keeps it.
      profile.fusion.keepsGatheredInputs = true
      // DTensor redistributes outside of the multiplies' autograd nodes, and what follows waits
      // (`torch/distributed/tensor/parallel/style.py`).
      profile.overlapsTensorBackward = false
      profile.gradientFormat = .fp32
      profile.reduceFormat = .fp32
      profile.fusion.crossEntropy = false
      // Eager unless compiled (`training.compile` is false by default): separate kernels. `StepCompiler` says
      // when RMSNorm is one and what a compiled model fuses.
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
      profile.fusion.copiesAroundRotation = true
      profile.replaysCache = true
      // Each layer makes the sequences' ends anew (zeros, sums and running sums, each for queries and for
      // keys: `CoreAttention.forward`), and copies query, key and value into one piece.
      profile.launchesAroundAttention = 7
      // A communicator for each kind of group and each set of tied weights. Of the 655 readings of its
      // sweep none is above 68.3 GiB of 79.18, and rows that would take more read what is left after an
      // emptied cache: 68.9 GiB are there for it.
      profile.furtherCommunicators = Bytes.mebibytes(9_560)
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
      profile.dataCollectiveCost = Self.nanotronDataCollectiveCost
      // A sharded optimizer is not wrapped in DistributedDataParallel (`make_ddp` in `trainer.py`): behind
      // the last backward pass the whole fp32 buffer is all-reduced in one call
      // (`sync_gradients_across_dp` with `reduce_scatter=False`).
      profile.shardedDataOverlap = FrameworkProfile.DataOverlap.none
      profile.allReducesShards = true
      // Otherwise in buckets of 25 MiB of bf16 parameters (`ddp_bucket_cap_mb` of `ModelArgs`).
      profile.bucketParameters = 25 * 1_024 * 1_024 / 2
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
      // The largest logit of each token for the accuracy, in the fp32 copy: twice the bytes of the logits
      // (`losses/cross_entropy.py`).
      profile.metricPasses = 2
      profile.fusion.crossEntropy = false
      profile.gradientFormat = .bf16
      // Fitted on the out-of-memory labels of its layout sweep, so that as many wrong verdicts are fits as
      // are not; eager kernels free in odd orders. Played to an allocator, of its 352 labels without
      // recomputation 18 or more come out wrong whatever is set aside for communicators, 17 with this.
      profile.fragmentation = 0.45
      // `allreduce_no_retain`: flattened (2 + 2 bytes), divided (2 + 2), cast (2 + 4), all-reduced in
      // fp32, cast back (4 + 2), copied out (2 + 2), sharded optimizer or not.
      profile.reduceFormat = .fp32
      profile.allReducesShards = true
      profile.reductionCopyBytes = 24
      // `pipe_partition_uniform`.
      profile.dealsEndsAsLayers = true
      // `_execute_send_activations` and `_execute_receive_gradients` of `parallel_module.py`: plain sends and
      // receives between the same two ranks.
      profile.exchangesStagesInTurn = true
      // Its 64 rows on 32 nodes of one cluster, whatever the pipeline; on 4 to 16 nodes, over InfiniBand,
      // 0.5 to 3 times what the cards allow fit alike.
      profile.dataCollectiveCostBeyond = 7.5
      // `ParallelSwiGLUMLP` of `core/nn/mlp.py`.
      profile.fusion.projectsGateApart = true
      profile.fusion.gate = false
      profile.fusion.biasDropoutAdd = false
    case .internLM:
      // `HybridZeroOptimizer` in its `solver/optimizer/hybrid_zero_optim.py`: gradients all-reduced among all
      // data ranks in buckets of 512 Mi elements beside the backward pass, updated parameters broadcast owner
      // by owner behind it. That only gradients overlap is assumed: InternLM 01e7fd6 has one key for both
      // (`zero_overlap_communication`), c788446 two, of which InternLM's own `configs/7B_sft.py` (0047876)
      // turns both on, InternEvo's (00de613) `overlap_sync_grad` alone. What the measured runs set no source
      // says; with `overlap_sync_param` an owner has whole blocks and hides part of its broadcasts.
      profile.dataOverlap = .gradients
      profile.gradientFormat = .bf16
      profile.allReducesShards = true
      profile.bucketParameters = 512 * 1_024 * 1_024
      profile.broadcastsParameters = true
      profile.fusion.gate = false
      profile.fusion.biasDropoutAdd = false
      profile.fusion.biasActivation = false
      profile.vocabularyMultiple = 1
    case .deepspeed:
      profile.zeroBuffers = ZeROBuffers()
      // `reduce_bucket_size` of its `runtime/zero/config.py`.
      profile.bucketParameters = 500_000_000
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
      // "All-Gather collectives lie exposed … before every layer's forward computation": what
      // AI-Hypercomputer/maxtext pull request 4493 is to change. Recipes for GPUs pipeline them
      // (dgxc-benchmarking, `configure.sh` of MaxText).
      profile.layerGathersOnTPU = .before
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

extension FrameworkProfile {
  /// What Megatron-Core holds, for those that build on it.
  fileprivate mutating func holdsAsMegatronCore() {
    multipliesInTransformerEngine = true
    holdsMegatronTensors = true
    groupsExpertMultiplies = true
    hasGradientBuffer = true
    keepsGradientStandIns = true
    keepsStageInput = true
    sharedBuffer = .ends
    fusion.gathersIntoShared = .head
    copiesGradientsForUpdate = true
    fusion.weighsExpertsInside = true
    fusion.clampsApart = true
    fusion.rotaryCannotScale = true
    fusion.padsNarrowExperts = true
    fusion.keepsQuantizedInputs = true
    keepsQuantizedWeights = true
  }
}
