public import Kernels
public import Quantities
public import Transformer

/// What a training framework fuses, overlaps, buffers and launches.
///
/// Documented facts, no efficiencies.
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

  /// When a layer's sharded parameters are gathered, and its gradients reduced.
  public enum LayerGathers: String, Hashable, Sendable {
    /// While the layer before it computes; reduced while the next one does.
    case ahead
    /// Beside the layer itself, but for the weights it begins with and the gradient it ends with.
    case beside
    /// Before the layer, which waits.
    case before
  }

  /// Fused passes.
  public var fusion = Fusion()
  /// Host time to launch one kernel from the framework's hot path.
  public var hostPerLaunch = SimDuration(seconds: 10e-6)
  /// Host time of an operation beyond its launches, forward: module call, autograd node, checks.
  public var hostPerOperation = SimDuration(seconds: 60e-6)
  /// Host time of an operation beyond its launches, backward.
  public var hostPerOperationBackward = SimDuration(seconds: 60e-6)
  /// Host time of one expert's multiply: slicing, quantising and launching of its own.
  ///
  /// Zero where all are one launch.
  ///
  /// Transformer Engine's GroupedLinear loops over experts; Megatron-Bridge's published steps at
  /// micro-batch 1 on hosts without CUDA graphs ask for 65 to 145 µs.
  public var hostPerExpert = SimDuration(seconds: 80e-6)
  /// Whether the host waits for the number of tokens each expert gets before it goes on.
  ///
  /// Dropless dispatchers shape the exchange and the multiplies by it (Megatron-Core's `token_dispatcher.py`
  /// copies the counts to the host and synchronises before the exchange).
  public var readsTokenCounts = true
  /// Whether the host waits for the device in every layer's attention.
  ///
  /// Sequences are packed, and the longest of them is an argument of the kernel (`get_max_seq_length` in
  /// `core/nn/attention/attention.py` of Aleph Alpha's `scaling`; its mask for other kernels is made of lengths
  /// read back too).
  public var readsSequenceLengths = false
  /// How its own switch balances experts, which is what a balanced mixture is taken to use.
  public var balancedRouting = ExpertDispatch.Routing.random
  /// What carries tokens to experts unless a scenario says otherwise; `nil` for what fits the model.
  public var expertDispatcher: ExpertDispatch.Dispatcher?
  /// Whether all-to-alls between nodes hide behind another microbatch's kernels under the interleaved schedule.
  ///
  /// `moe_a2a_overlap` in Megatron-Bridge's recipe of Qwen3-235B for H100; those with fused dispatchers leave
  /// it off (`scripts/performance/configs`).
  public var overlapsSpreadExperts = false
  /// Host time to start a collective through torch.distributed.
  public var hostPerCollective = SimDuration(seconds: 60e-6)
  /// Mean delay of a host that starts a collective, beyond the usual.
  ///
  /// Interrupts, garbage collection, locks. A collective waits for the slowest host of its group.
  public var hostJitter = SimDuration.zero
  /// What the network's software adds to the catalogue's latency between nodes.
  ///
  /// It is extra time of each step of a tensor-parallel collective whose group spans nodes, and of each hop
  /// between nodes of a data-parallel one, there times ``dataCollectiveCost`` as all of that collective's time.
  public var tensorStepBetweenNodes = SimDuration.zero
  /// Host time of a tensor-parallel collective for each rank of its group beside pipeline traffic.
  ///
  /// While pipeline stages on different nodes exchange activations.
  public var hostPerTensorRankBesidePipeline = SimDuration.zero
  /// The same where the group itself spans nodes.
  public var hostPerSpreadTensorRankBesidePipeline = SimDuration.zero
  /// Time each message between stages waits where tensor groups span ``stallingTensorNodes`` nodes or more.
  public var stageMessageStall = SimDuration.zero
  /// Nodes of a tensor group from which on messages between stages stall.
  public var stallingTensorNodes = 4
  /// Time of a data-parallel collective between nodes over its time at the NICs' rate on an idle fabric.
  ///
  /// Of the whole collective, the latency ``tensorStepBetweenNodes`` adds included; 1 where nothing was seen.
  public var dataCollectiveCost = 1.0
  /// The same for jobs on more than ``dataCollectiveReach`` nodes; `nil` for no difference.
  public var dataCollectiveCostBeyond: Double?
  /// Nodes up to which ``dataCollectiveCost`` holds.
  public var dataCollectiveReach = 16
  /// Bytes of copies around the gradient reduction, for each parameter held: flattening, casts.
  public var reductionCopyBytes: Int64 = 0
  /// Tensors of a layer that are copied out rank by rank when parameters are gathered after the update.
  ///
  /// One launch each; 0 where they are gathered in place.
  public var gatheredTensorsPerLayer = 0
  /// Whether embedding, final norm and head count as layers when the layers are dealt out evenly.
  public var dealsEndsAsLayers = false
  /// Whether layers are dealt to stages by their multiply cost, the head counted, rather than by number.
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
  /// Whether ZeRO-1 deals whole tensors out to ranks.
  ///
  /// Each sends what it has updated to all others in a broadcast of its own, one after the other.
  public var broadcastsParameters = false
  /// Whether gradients in the parameters' format stay allocated beside the accumulated ones.
  public var keepsWorkingGradients = false
  /// Whether PyTorch's DistributedDataParallel wraps the model where several ranks hold the same states.
  ///
  /// With buckets in the parameters' format; each backward pass leaves fresh gradients in that format, added to
  /// the accumulated ones when it is done (`make_ddp` in nanotron's `trainer.py`,
  /// `FP32GradientAccumulator.backward`).
  public var accumulatesBehindBackward = false
  /// How data-parallel communication overlaps.
  public var dataOverlap = DataOverlap.gradients
  /// The same under a sharded optimizer; `nil` for no difference.
  public var shardedDataOverlap: DataOverlap?
  /// What ZeRO holds beside the states, where it is DeepSpeed's; `nil` for others.
  public var zeroBuffers: ZeROBuffers?
  /// Parameters in a gradient bucket.
  public var bucketParameters = 40_000_000
  /// Whether tensor-parallel communication runs beside the other gradient multiply in backward.
  ///
  /// In Megatron-LM since 2022, unless `--no-async-tensor-model-parallel-allreduce` (`arguments.py`,
  /// `LinearWithGradAccumulationAndAsyncCommunication` in `layers.py`).
  public var overlapsTensorBackward = true
  /// Whether tensor-parallel communication is cut up and runs beside its own multiply.
  public var overlapsTensorWithMultiply = false
  /// Whether the compute stream waits for its own sends.
  public var sendsBlock = true
  /// The same under the interleaved schedule; `nil` for no difference.
  ///
  /// Megatron-Core's `overlap_p2p_comm` is of that schedule only, and on unless
  /// `--no-overlap-p2p-communication` (`arguments.py`; in Megatron-LM of 2023 off unless
  /// `--overlap-p2p-communication`).
  public var interleavedSendsBlock: Bool?
  /// Whether what two stages send each other goes one message after the other, not both at once.
  ///
  /// Where an activation and a gradient meet, each side waits for both.
  public var exchangesStagesInTurn = false
  /// Whether the host waits for the device at every stage boundary.
  public var pipelineSynchronizesHost = true
  /// Whether the host waits for the device before and behind every pass of a microbatch.
  ///
  /// The timers of Megatron-LM did before they had levels (`torch.cuda.synchronize` in `start` and `stop` of
  /// `timers.py`, `forward-compute` and the like in `schedules.py`), and every batch's sizes are read back from
  /// the device (`broadcast_data` in `data.py`).
  public var synchronizesPasses = false
  /// Whether stage-to-stage traffic without sequence parallelism is cut over tensor ranks.
  public var scattersPipeline = false
  /// Whether what came in parts is put together in a cleared tensor, and copied once more.
  ///
  /// Gathered pieces are copied there; and with each gradient what it is of, since only its part was kept
  /// (DeepSpeed's `PartitionedTensor.full` in `runtime/utils.py`, `_exec_backward_pass` in
  /// `runtime/pipe/engine.py`).
  public var rebuildsScattered = false
  /// The vocabulary is padded to a multiple of this times the tensor degree.
  public var vocabularyMultiple = 128
  /// Whether logits stay split over tensor ranks for the loss.
  public var splitsLoss = true
  /// Whether ZeRO-3 gathers and reduces once per microbatch (FSDP) and casts to the compute format.
  public var isFSDP = false
  /// Whether gathered parameters and gradients to be reduced pass through buffers they are copied out of or into.
  ///
  /// Parameters arrive in one and are copied out of it; gradients are copied into one, in the format they
  /// travel in, that stays until the next layer's (PyTorch's FSDP2: `foreach_all_gather`,
  /// `foreach_all_gather_copy_out` and `foreach_reduce` of `_fsdp_collectives.py`; `all_gather_state` and
  /// `reduce_scatter_state` of `_fsdp_param_group.py`).
  public var copiesGathers = false
  /// Whether ZeRO-3 is Megatron FSDP (`--use-megatron-fsdp`, `optim_grads_params`).
  ///
  /// Layers are its units, and what is in no layer stays gathered.
  public var shardsAsMegatronFSDP = false
  /// How context-parallel ranks attend to whole sequences unless a scenario says otherwise.
  ///
  /// Megatron-Core's `cp_comm_type` is `p2p`.
  public var contextStyle = ContextStyle.ring
  /// When a layer's sharded parameters are gathered.
  ///
  /// In a loop over layers that XLA compiles nothing crosses from one round to the next, and sums over
  /// copies of the shards come when it has ended, unless collectives are pipelined through it
  /// (`xla_gpu_enable_pipelined_all_gather`, `…_reduce_scatter`, `xla_gpu_enable_while_loop_double_buffering`).
  public var layerGathers = LayerGathers.ahead
  /// The same on TPUs; `nil` for no difference.
  public var layerGathersOnTPU: LayerGathers?
  /// Whether gathered parameters are kept from forward to backward.
  public var reshardsAfterForward = true
  /// Times the logits are read again for the metrics of a training step.
  ///
  /// Composer computes cross-entropy and perplexity of every microbatch beside the loss
  /// (`use_train_metrics`); fitted on the rows of 125 million parameters, whose missing time was 10
  /// to 15 times the logits at any sequence length.
  public var metricPasses: Int64 = 0
  /// Bytes of traffic per owned parameter in the optimizer step beyond the minimum (unfused copies, unscaling, norm).
  public var optimizerExtraBytes: Int64 = 12

  /// Whether attention runs the vendor library's kernel when a scenario says FlashAttention-2.
  ///
  /// cuDNN's through Transformer Engine, of FlashAttention-3's class on Hopper.
  public var usesLibraryAttention = false
  /// Whether attention runs FlashAttention in Triton when a scenario says FlashAttention-2.
  ///
  /// MPT's default until early 2024 (`attn_impl` in llm-foundry's `configuration_mpt.py`; pull request 1041),
  /// and that of its benchmarks (`--attn_impl` of `scripts/train/benchmarking/submit_benchmarks.py`, which
  /// `sweep.sh` does not set).
  public var usesTritonAttention = false
  /// Whether selective recomputation keeps attention and every other multiply and computes all else again.
  ///
  /// torchtitan's `selective` mode with option `op`.
  public var selectiveRecomputesOperations = false
  /// Whether selective recomputation keeps every multiply and computes all else again, attention included.
  ///
  /// MaxText's `minimal` policy, `checkpoint_dots_with_no_batch_dims`: a fused attention is no dot.
  public var selectiveRecomputesAllButMultiplies = false

  /// Whether recomputation ends with the last value the backward pass reads.
  ///
  /// The block's last multiply, whose output only flows on, is not done again.
  ///
  /// `torch.utils.checkpoint` without re-entry stops there from PyTorch 2.1 on (`early_stop`, on by
  /// default; its docstring), and XLA drops what nobody reads (`jax.checkpoint`). Megatron-LM's and
  /// DeepSpeed's own checkpoint functions, and earlier PyTorch, run the whole block.
  public var recomputesOnlyWhatIsRead = false

  /// Whether selective recomputation runs a fused attention again, as it does others.
  ///
  /// Megatron-Core's `recompute_modules` are `core_attn` unless told otherwise, whatever attention runs
  /// (`transformer_config.py`; `_checkpointed_attention_forward` in `transformer/attention.py`);
  /// Megatron-LM's own layers leave FlashAttention alone (`ParallelAttention` in `transformer.py`).
  public var selectiveRecomputesFusedAttention = false

  /// Whether norms are fused only beside FlashAttention-2 and without recomputation.
  ///
  /// arXiv:2311.05610, section 4: the RMSNorm kernel fails under activation checkpointing.
  public var fusesNormOnlyWithoutRecompute = false

  /// Whether layers multiply through Transformer Engine, which keeps a workspace of its own (``LibraryWorkspaces``).
  public var multipliesInTransformerEngine = false
  /// PyTorch's cuBLAS workspace of each of its two threads; `nil` for PyTorch's own choice.
  public var cublasWorkspace: Bytes?
  /// Whether what Megatron-Core holds beside states and workspaces is there.
  public var holdsMegatronTensors = false
  /// Whether experts run in Transformer Engine's grouped multiplies.
  ///
  /// These spread over ``groupedMultiplyStreams`` streams, each with a workspace of its own.
  public var groupsExpertMultiplies = false
  /// Streams of a grouped multiply (`_num_cublas_streams` in Transformer Engine's `cpp_extensions/gemm.py`).
  public static let groupedMultiplyStreams: Int64 = 4
  /// What lands in the buffer Megatron's own layers share.
  public var sharedBuffer = SharedBufferUse.none
  /// Whether a model chunk holds on to the input it was sent, and its gradient, until the next one comes.
  ///
  /// Megatron-Core's `TransformerBlock.set_input_tensor` and the `retain_grad` of its schedules.
  public var keepsStageInput = false
  /// Whether every microbatch of a pipeline has receive buffers of its own (PyTorch's `PipelineStage`).
  public var receivesIntoOwnBuffers = false
  /// Whether the last stage holds on to a microbatch's logits until the one after the next writes over them.
  ///
  /// It has two buffers of outputs at least, and its backward pass takes the loss only (`required_buffer_count`
  /// and `_execute_backward_pass` of Aleph Alpha's `scaling`).
  public var keepsLastLogits = false
  /// Whether autograd is handed a stand-in where a multiply adds a weight's gradient to the accumulated one.
  ///
  /// One is kept for each shape of weight from the first backward on (`get_dummy_wgrad` in Transformer Engine's
  /// `pytorch/module/base.py`).
  ///
  /// Megatron-Core's own tests mostly run with `--no-gradient-accumulation-fusion`, so it is not in
  /// what they hold between steps.
  public var keepsGradientStandIns = false
  /// Whether the output projection's multiply keeps one too, and all stay between steps.
  ///
  /// ``SoftwareSwitches/fusesGradientAccumulation``.
  public var keepsStandInsBetweenSteps = false
  /// Whether weights quantised for narrow multiplies are kept from one microbatch to the next.
  ///
  /// As they are and transposed, beside the working copy (`get_weight_workspace` and its `columnwise_usage` in
  /// Transformer Engine's `pytorch/module/base.py`).
  ///
  /// Not where they are the working copy, two bytes a parameter together: NeMo's recipes set
  /// `fp8_params`, for which Megatron-Core has `--fp8-param-gather`, off by default.
  public var keepsQuantizedWeights = false
  /// Whether the working copy of multiplied weights is the quantised one.
  public var quantizesParameters = false
  /// Whether gradients have a buffer of their own, whatever their format.
  ///
  /// `main_grad` in Megatron's DistributedDataParallel, cleared for every step and added to in every
  /// microbatch.
  public var hasGradientBuffer = false
  /// Whether gradients accumulated in half precision are copied to fp32 for the update.
  ///
  /// As Megatron-Core's mixed-precision optimizers do (`_copy_model_grads_to_main_grads`).
  ///
  /// In fp16 they always are: Megatron-LM turns on fp32 accumulation with `--bf16` only
  /// (`arguments.py`); and the first updates are skipped while the loss scale is found. In bf16 they are
  /// where recipes or a scenario ask for gradients in the parameters' format.
  public var copiesGradientsForUpdate = false

  /// Whether recipes move activations to the host before they recompute whole layers.
  ///
  /// Where parameters are sharded, there is no pipeline, and the host's link is no PCIe:
  /// `cpu_offloading_num_layers` of Megatron-Bridge's recipes with Megatron FSDP on GB200 and GB300
  /// (`scripts/performance/configs/llama`).
  public var offloadsActivations = false

  /// Whether tensors given to collectives are held back by `record_stream` until the device has come past them.
  ///
  /// `TORCH_NCCL_AVOID_RECORD_STREAMS` unset.
  public var recordsStreams = false
  /// Whether a compiler lays out all buffers of a step ahead, as XLA does.
  ///
  /// Gathered parameters are there tensor by tensor, where they are used, and gradients from their reduction
  /// on.
  ///
  /// Next to nothing is lost between buffers: 0.4 % in XLA's own report of a TPU program (`HLO temp … 0.4%
  /// fragmentation`, EasyDeL issue 142).
  public var plansBuffers = false
  /// Device memory beyond the usual that the cache does not get, for communicators of many groups.
  public var furtherCommunicators = Bytes.zero
  /// Kernels around a layer's attention beyond those its times count.
  ///
  /// Too small for those, but entries of the device's queue.
  public var launchesAroundAttention = 0
  /// Whether its steps are played to a caching allocator (``CacheReplay``), not taken to lose ``fragmentation``.
  public var replaysCache = false
  /// Bytes the allocator's cache loses to fragmentation, as a share of activations.
  public var fragmentation = 0.03

  /// A profile with the defaults above: a modern fused stack.
  public init() {}
}
