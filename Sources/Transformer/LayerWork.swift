public import Kernels

/// How one rank's part of a layer is cut out of the whole, and how many tokens pass through it.
public struct LayerShard: Hashable, Sendable {
  /// Sequences in the microbatch.
  public var microBatch: Int
  /// Tokens of each whole sequence.
  public var sequenceLength: Int
  /// Tensor-parallel degree.
  public var tensor: Int
  /// Whether norms, residuals and dropouts work on 1/tensor of the tokens.
  public var sequenceParallel: Bool
  /// Context-parallel degree: this rank sees sequence / context tokens of each sequence.
  public var context: Int
  /// How those ranks attend to whole sequences.
  public var contextStyle: ContextStyle
  /// Expert-parallel degree.
  public var expert: Int
  /// Tensor-parallel degree inside experts.
  public var expertTensor: Int
  /// Nodes the ranks that share the experts sit on.
  public var expertNodes: Int
  /// How tokens get to them.
  public var dispatch: ExpertDispatch
  /// Format of the layers' matrix multiplies.
  public var matmulFormat: NumberFormat
  /// Format of activations.
  public var activationFormat: NumberFormat
  /// Padded vocabulary.
  public var vocabulary: Int
  /// Words of the fullest tensor rank: without padding they may not divide.
  public var vocabularyShare: Int { (vocabulary + tensor - 1) / tensor }

  /// A shard from its degrees.
  public init(
    microBatch: Int, sequenceLength: Int, tensor: Int = 1, sequenceParallel: Bool = false,
    context: Int = 1, contextStyle: ContextStyle = .ring, expert: Int = 1, expertTensor: Int = 1,
    expertNodes: Int = 1, dispatch: ExpertDispatch = ExpertDispatch(),
    matmulFormat: NumberFormat = .bf16, activationFormat: NumberFormat = .bf16, vocabulary: Int
  ) {
    self.microBatch = microBatch
    self.sequenceLength = sequenceLength
    self.tensor = tensor
    self.sequenceParallel = sequenceParallel && tensor > 1
    self.context = context
    self.contextStyle = contextStyle
    self.expert = expert
    self.expertTensor = expertTensor
    self.expertNodes = expertNodes
    self.dispatch = dispatch
    self.matmulFormat = matmulFormat
    self.activationFormat = activationFormat
    self.vocabulary = vocabulary
  }

  /// Tokens of one sequence on this rank.
  public var localSequence: Int { (sequenceLength + context - 1) / context }

  /// Tokens of the microbatch on this rank inside tensor-parallel regions.
  public var tokens: Int { microBatch * localSequence }

  /// Tokens of the microbatch on this rank between tensor-parallel regions.
  public var tokensOutside: Int { sequenceParallel ? (tokens + tensor - 1) / tensor : tokens }

  /// Bytes of one activation value.
  public var valueBytes: Int64 { Int64(activationFormat.bytesPerValue) }

  /// Bytes of an activation of `tokens` rows and `width` columns.
  public func bytes(_ tokens: Int, _ width: Int) -> Int64 {
    Int64(tokens) * Int64(width) * valueBytes
  }
}

/// Whose inputs, gathered under sequence parallelism, land in a buffer that is never given back, forward
/// and backward (`LinearWithGradAccumulationAndAsyncCommunication` in Megatron-Core's
/// `tensor_parallel/layers.py`).
public enum SharedGather: Hashable, Sendable {
  /// Nobody's.
  case none
  /// The output projection's; Transformer Engine's layers allocate anew.
  case head
  /// Every column-parallel layer's.
  case columns
}

/// Which passes the software fuses, and what it keeps; facts of a framework, not efficiencies.
public struct Fusion: Hashable, Sendable {
  /// Norms are one kernel per direction.
  public var norm = true
  /// A bias and the activation after it are one kernel.
  public var biasActivation = true
  /// Bias, dropout and residual addition are one kernel.
  public var biasDropoutAdd = true
  /// The gate and its product are one kernel, which keeps only its inputs.
  public var gate = true
  /// Gate and up projection are layers of their own, each with its own input gradient.
  public var projectsGateApart = false
  /// Rotary embedding is one kernel over queries and keys.
  public var rotary = true
  /// That kernel cannot scale what it rotates: where a model does, rotation is eager (`mscale` in
  /// `apply_rotary_pos_emb` of Megatron-Core's `rope_utils.py`).
  public var rotaryCannotScale = false
  /// Cross-entropy keeps one copy of the logits; else fp32 logits, log-softmax and gradient.
  public var crossEntropy = true
  /// Cross-entropy is one kernel a direction over the logits as they are, its gradient written over
  /// them (flash-attn's fused cross-entropy with in-place backward).
  public var crossEntropyFused = false
  /// Cross-entropy works in place on the fp32 copy of the logits (Megatron-LM's vocabulary-parallel
  /// cross-entropy).
  public var crossEntropyInPlace = false
  /// Cross-entropy is compiled: one pass a direction over the logits as they are, which stay, their
  /// gradient beside them (`torch.compile` of a loss in fp32; Inductor fuses the cast, the softmax and
  /// their backward passes).
  public var crossEntropyCompiled = false
  /// Cross-entropy is compiled in parts (Megatron-Core), with fewer launches and a second fp32 tensor of
  /// the logits' size for a while in either direction.
  public var crossEntropyPartlyCompiled = false
  /// A weight's gradient is a tensor of its own before it is added to the accumulated one, and counts
  /// while its multiply runs.
  public var makesFreshGradients = false
  /// Experts are multiplied one after the other.
  public var multipliesExpertsApart = false
  /// Weight gradients accumulate in the multiply's epilogue straight into the gradient buffer.
  public var gradientAccumulation = false
  /// Bytes of a value of the gradients that fresh ones are added to, by the multiply or by a pass of
  /// their own.
  public var accumulatedBytes: Int64 = 4
  /// Share of the microbatches whose gradient is added: kept in the parameters' format, in PyTorch's
  /// `.grad`, the first one is taken as it is (`AccumulateGrad` in `torch/csrc/autograd`).
  public var accumulatedShare = 1.0
  /// The pass that adds a fresh gradient casts it to a tensor of its own first, and clears it
  /// afterwards (DeepSpeed's `BF16_Optimizer.update_hp_grads`).
  public var accumulatesEagerly = false
  /// Linear layers quantise their inputs for narrow multiplies in passes of their own.
  public var quantizePasses = true
  /// Linear layers with narrower operands than the activations keep their inputs as quantised, for the
  /// weight gradient's multiply (`update_usage(rowwise_usage=False, columnwise_usage=True)` in
  /// Transformer Engine's `pytorch/module/linear.py`).
  public var keepsQuantizedInputs = false
  /// Under sequence parallelism the input of a column-parallel layer is gathered again for the weight
  /// gradient at no cost in time.
  ///
  /// nanotron's default `tp_recompute_allgather` keeps the parts only, as its memory shows; the
  /// step times of its sweep do not show the second gather (median error 7.0 % without it, 10.1 %
  /// with it).
  public var gathersInputOnce = false
  /// Under sequence parallelism what is gathered lands in two buffers that are never given back, one
  /// for inputs and one for gradients of outputs (`MemoryBuffer` in nanotron's
  /// `tensor_parallel/functional.py`).
  public var keepsGatherBuffers = false
  /// Whose gathered inputs land, under sequence parallelism, in a buffer that is never given back.
  public var gathersIntoShared = SharedGather.none
  /// Under sequence parallelism column-parallel layers keep their input as gathered, and need no second
  /// gather: the gather is an operation of its own before them.
  public var keepsGatheredInputs = false
  /// Experts' outputs are weighed by the router's probabilities inside the experts, between the
  /// activation and the down projection, not when they are combined.
  ///
  /// Megatron-Core's `TEGroupedMLP`: fused with a gated activation, which then keeps its inputs only;
  /// a product of its own behind any other, which keeps the activation's output as well.
  public var weighsExpertsInside = false
  /// Rows of experts are copied to multiples of a block before multiplies of narrow operands, and back
  /// behind them.
  public var padsNarrowExperts = false
  /// Whether the experts' first multiply, their activation and the quantisation of its result are one
  /// kernel, backward that of the second multiply's input gradient likewise, where operands are MXFP8;
  /// `nil` for the models whose recipes turned it on first, those with limits and biases.
  ///
  /// The kernels are cuDNN frontend's grouped GEMM with GLU, in CuTe (`ForwardGroupedMLP_CuTeGEMMSwiGLU_MXFP8`
  /// of Transformer Engine's `pytorch/ops/fused`, `NVTE_CUTEDSL_FUSED_GROUPED_MLP`).
  public var fusesExperts: Bool?
  /// What fused experts keep is copied to pages and back: a graph of the whole step has buffers for more rows
  /// than come, which would be too much to keep (`--moe-paged-stash`; Megatron-Core's
  /// `transformer/moe/paged_stash.py`, which does so for Transformer Engine's quantised grouped tensors).
  public var stashesExperts = false
  /// Attention's products are in the multiplies' format where that has eight bits.
  public var narrowsAttention = false
  /// A gated activation with limits is clamped in passes of its own, only then computed
  /// (Megatron-Core; elsewhere the limits are taken to be inside the activation's kernel).
  public var clampsApart = false
  /// Beside a gather, the rank's own rows are multiplied apart from those before and behind them
  /// (nanotron's `tp_linear_async_communication`).
  public var splitsGatheredRows = false
  /// Queries and keys before their rotation stay: values are a view of the tensor they are in, and
  /// rotated ones are tensors of their own (`apply_rotary_pos_emb` in nanotron's `llama.py`, behind one
  /// contiguous copy of the projection's output).
  public var keepsUnrotated = false
  /// Flash attention is given query, key and value after a layout copy.
  public var attentionCopies = false
  /// Keys and values are repeated for every query head that shares them before attention, which then has
  /// as many heads of each (`repeat_kv` of torchtitan's `models/llama/model.py`).
  public var repeatsKeyValueHeads = false
  /// Query, key and value are taken apart and keys joined with values in copies of their own around the
  /// rotation (the training branch of `CausalSelfAttention.forward` in nanotron's `models/llama.py`).
  public var copiesAroundRotation = false
  /// Context-parallel parts are computed and joined as PyTorch's `context_parallel` does.
  public var ringsInPyTorch = false
  /// What is kept in narrower formats than it is computed in.
  public var keptFormats = KeptFormats()
  /// Flash attention wants sequences first, the layers have tokens first: several sequences are copied
  /// on the way in and out, both ways, and the output is kept in either order (`FlashAttention.forward`
  /// in Transformer Engine's `dot_product_attention/backends.py`).
  ///
  /// It shows: of Megatron-Core's tests with a micro-batch of two or four, those that run
  /// FlashAttention peak one output a layer above those that run cuDNN's.
  public var transposesForAttention = false
  /// FlashAttention-2 is the flash-attn package's (``AttentionKernel/isPackaged``).
  public var runsAttentionPackage = false
  /// Sums are made in the same order every time.
  public var isDeterministic = false
  /// Multiprocessors among which FlashAttention-2 deals sums it makes in the same order every time, each
  /// thread block those of the queries' gradient for its part of the keys; 0 where it does not.
  public var flashUnits = 0
  /// Values of an fp32 row up to which the rows that a GPU works on at a time stay in its cache.
  public var cachedRowValues = Int.max
  /// What library kernels write to is filled beforehand (``Operation/filled``).
  public var fillsOutputs = false

  /// All fusions of a modern stack.
  public init() {}

  /// Bytes of a value of what a multiply in `format` leaves for the backward pass, of activations in
  /// another format.
  public func keptBytesPerValue(for format: NumberFormat, of activation: NumberFormat) -> Double {
    keepsQuantizedInputs
      ? min(format.bytesPerValue, activation.bytesPerValue) : activation.bytesPerValue
  }
}

/// A communication inside a layer, among the ranks of one axis.
public struct Exchange: Hashable, Sendable {
  /// The axis whose ranks take part.
  public enum Axis: String, Hashable, Sendable {
    /// Tensor-parallel ranks.
    case tensor
    /// Context-parallel ranks.
    case context
    /// Expert-parallel ranks.
    case expert
    /// Tensor-parallel ranks inside the experts.
    case expertTensor
  }

  /// What is exchanged.
  public enum Operation: String, Hashable, Sendable {
    /// Sum to all.
    case allReduce
    /// Parts to all.
    case allGather
    /// Sum, each its part.
    case reduceScatter
    /// Each to each.
    case allToAll
  }

  /// Among whom.
  public var axis: Axis
  /// What.
  public var operation: Operation
  /// The size in the sense of nccl-tests: the whole (gathered or reduced) buffer; for all-to-all
  /// what one rank sends in all.
  public var bytes: Int64

  /// An exchange of `bytes` on `axis`.
  public init(_ operation: Operation, on axis: Axis, bytes: Int64) {
    self.operation = operation
    self.axis = axis
    self.bytes = bytes
  }
}

/// One operation of a layer with all it does forward and backward, and what it keeps between.
public struct Operation: Hashable, Sendable {
  /// What it is, as a trace names it.
  public var name: String
  /// Kernels of the forward pass.
  public var forward: [Kernel] = []
  /// Kernels that produce the gradient of the input.
  public var inputGradient: [Kernel] = []
  /// Kernels that produce the gradient of the weights.
  public var weightGradient: [Kernel] = []
  /// Exchange before the forward kernels.
  public var beforeForward: Exchange?
  /// Exchange after the forward kernels.
  public var afterForward: Exchange?
  /// Exchange before any backward kernel: the output's gradient is needed whole.
  public var beforeBackward: Exchange?
  /// Exchange of the input again for the weight gradient; may run beside the input gradient.
  public var regather: Exchange?
  /// Exchange of the input's gradient; may run beside the weight gradient.
  public var afterInputGradient: Exchange?
  /// Communication that runs beside the forward kernels (ring attention).
  public var besideForward: Exchange?
  /// Communication that runs beside the backward kernels (ring attention).
  public var besideBackward: Exchange?
  /// Bytes kept from forward to backward.
  public var saved: Int64 = 0
  /// Bytes that live only while the operation runs forward, beyond inputs and outputs kept.
  public var forwardScratch: Int64 = 0
  /// Bytes that live only while the operation runs backward.
  public var backwardScratch: Int64 = 0
  /// Whether selective recomputation runs it again instead of keeping what it saves.
  public var isAttentionCore = false
  /// Of the bytes kept, an attention core's output where the projection behind it reads that and keeps no
  /// input of its own, in the format it is kept in.
  public var sharedOutput: Int64 = 0
  /// Of the bytes kept, those that cost only a pass over memory to make again: a norm's and an
  /// activation's output.
  public var savedCheaply: Int64 = 0
  /// Experts it multiplies with; software without a grouped multiply launches each one's by itself.
  public var experts = 0
  /// Whether software without a capacity reads on the host how many tokens each expert gets, before
  /// it does this.
  public var readsCounts = false
  /// Operations of the framework it is on the host: each a call and a node of the autograd graph.
  public var hostOperations = 1

  /// An operation that does nothing yet.
  public init(_ name: String) { self.name = name }
}
