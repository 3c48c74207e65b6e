public import Transformer

/// How a training job is spread over its GPUs: one degree per axis of the rank grid.
public struct Parallelism: Hashable, Sendable {
  /// Tensor-parallel degree: ranks that share each weight matrix.
  public var tensor: Int
  /// Whether activations between tensor-parallel regions are split along the sequence.
  public var sequence: Bool
  /// Pipeline-parallel degree: ranks that share the layers.
  public var pipeline: Int
  /// Model chunks per pipeline rank (virtual pipeline stages).
  public var virtualStages: Int
  /// The order of microbatches in the pipeline.
  public var schedule: PipelineSchedule
  /// Context-parallel degree: ranks that share each sequence.
  public var context: Int
  /// How context-parallel ranks attend to whole sequences.
  public var contextStyle: ContextStyle
  /// Expert-parallel degree: ranks that share the routed experts.
  ///
  /// Divides context × data (times tensor when experts are not tensor parallel).
  public var expert: Int
  /// Tensor degree inside the experts.
  public var expertTensor: Int
  /// Data-parallel degree: replicas of the model, sharded or not.
  public var data: Int
  /// Ranks that share one copy of the sharded states; equal to ``data`` × ``context`` unless hybrid.
  public var shardGroup: Int?
  /// ZeRO stage: 0 nothing, 1 optimizer states, 2 and gradients, 3 and parameters partitioned over data ranks.
  ///
  /// arXiv:1910.02054.
  public var zero: Int
  /// Whether optimizer states, masters included, are held and updated by the host (arXiv:2101.06840).
  public var offloadsOptimizer = false
  /// Whether the shards of parameters that are gathered layer by layer wait in the host's memory.
  ///
  /// With optimizer states offloaded those of their gradients, too (`offload_param` of arXiv:2104.07857;
  /// PyTorch FSDP2's `CPUOffloadPolicy`).
  public var offloadsParameters = false
  /// Whether communication the framework can overlap is overlapped.
  public var overlaps: Bool
  /// Whether what a layer's sharded parameters need of other ranks runs beside that layer alone.
  ///
  /// Not beside the ones before and behind it, whatever the framework does.
  public var overlapsWithinLayers = false
  /// Layers of each pipeline stage, in model order; `nil` for as even as they divide.
  public var stageLayers: [Int]?
  /// How sharded states travel, where it is not the framework's way.
  public var sharding = ShardingOptions()
  /// The axes in the order ranks are numbered along them, fastest first, each once.
  public var order: [Axis]

  /// Tensor, context, data, pipeline: Megatron-Core's `tp-cp-ep-dp-pp`, DeepSpeed's, torchtitan's.
  public static let usualOrder: [Axis] = [.tensor, .context, .data, .pipeline]

  /// A layout from its degrees; those not named are one.
  public init(
    tensor: Int = 1, sequence: Bool = false, pipeline: Int = 1, virtualStages: Int = 1,
    schedule: PipelineSchedule = .oneForwardOneBackward, context: Int = 1,
    contextStyle: ContextStyle = .ring, expert: Int = 1, expertTensor: Int? = nil, data: Int = 1,
    shardGroup: Int? = nil, zero: Int = 0, overlaps: Bool = true,
    order: [Axis] = Parallelism.usualOrder
  ) {
    self.tensor = tensor
    self.sequence = sequence
    self.pipeline = pipeline
    self.virtualStages = virtualStages
    self.schedule = schedule
    self.context = context
    self.contextStyle = contextStyle
    self.expert = expert
    self.expertTensor = expertTensor ?? tensor
    self.data = data
    self.shardGroup = shardGroup
    self.zero = zero
    self.overlaps = overlaps
    self.order = order
  }

  /// GPUs the layout takes: tensor × context × data × pipeline.
  public var gpuCount: Int { tensor * context * data * pipeline }
}

/// The order in which a pipeline rank runs its microbatches.
public enum PipelineSchedule: String, Hashable, Sendable, CaseIterable {
  /// All forwards, then all backwards (arXiv:1811.06965).
  case gpipe
  /// Warm-up, then one forward and one backward in turn (arXiv:1806.03377, flushing variant of arXiv:2104.04473).
  case oneForwardOneBackward = "1f1b"
  /// 1F1B over several model chunks per rank (arXiv:2104.04473).
  case interleaved
  /// Backward split into input and weight gradients to fill the bubble (arXiv:2401.10241).
  case zeroBubble = "zero-bubble"
  /// Down the ranks and back up, two chunks on each.
  ///
  /// DualPipe cut in half, without a second copy of the weights (DualPipeV in deepseek-ai/DualPipe;
  /// arXiv:2412.19437).
  case dualPipe = "dualpipe"
  /// DualPipe as published.
  ///
  /// Half of the microbatches go down the ranks, half up, and each rank holds the stages of both directions, so
  /// that all weights are there twice (arXiv:2412.19437, section 3.2.1).
  case bidirectional = "dualpipe-bidirectional"
}

extension Parallelism {
  /// Whether stages are held twice, for either direction of the pipeline.
  public var isBidirectional: Bool { schedule == .bidirectional && pipeline > 1 }

  /// Whether stages go down the ranks and back up, two a rank.
  ///
  /// Under DualPipe, and under zero-bubble with two chunks a rank.
  public var isVShaped: Bool {
    pipeline > 1 && (schedule == .dualPipe || schedule == .zeroBubble && virtualStages == 2)
  }

  /// Model chunks of a pipeline rank in one direction.
  public var chunksPerRank: Int { schedule == .dualPipe && pipeline > 1 ? 2 : virtualStages }

  /// Ranks of a pipeline that hold each stage.
  public var stageCopies: Int { isBidirectional ? 2 : 1 }
}
