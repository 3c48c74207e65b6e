import Hardware
import Kernels
public import Quantities
public import Transformer

/// Switches of Megatron-Core that change what a framework holds or launches.
///
/// What is not said stays as ``FrameworkProfile`` has it.
public struct SoftwareSwitches: Hashable, Sendable {
  /// Whose layers run (`--transformer-impl`).
  public enum Layers: String, Hashable, Sendable, CaseIterable {
    /// Transformer Engine's.
    case transformerEngine = "transformer-engine"
    /// Megatron's own: attention by products and a softmax, experts one after the other.
    case local
  }

  /// How the loss is computed (`--cross-entropy-loss-fusion`, `--cross-entropy-fusion-impl`).
  public enum Loss: String, Hashable, Sendable, CaseIterable {
    /// Operation by operation, in place on an fp32 copy of the logits.
    case plain
    /// The same compiled (`native`).
    ///
    /// Fewer launches, but where a value is both written in place and summed up the compiler makes a new tensor
    /// and copies it back (comment on in-place semantics in Megatron-Core's `fusions/fused_cross_entropy.py`).
    case compiled
    /// One kernel a direction over the logits as they are, the gradient written over them.
    ///
    /// `te`; Transformer Engine's `pytorch/triton/cross_entropy.py`.
    case fused
  }

  /// What is recorded once and launched as a CUDA graph.
  public enum Graph: String, Hashable, Sendable, CaseIterable {
    /// Nothing: every kernel is launched by itself.
    case none
    /// A whole step but for the update.
    ///
    /// The host launches it once and waits for nothing inside, not even the number of tokens each expert gets
    /// (`--cuda-graph-impl full_iteration` of Megatron-Core, with `--moe-paged-stash`).
    case step
  }

  /// What is launched as a CUDA graph.
  public var graph: Graph?
  /// Whether the experts' activation is inside their multiplies' kernels (``Fusion/fusesExperts``).
  public var fusesExperts: Bool?
  /// Whose layers run.
  public var layers: Layers?
  /// Whether experts are multiplied in groups (`--moe-grouped-gemm`) or one after the other.
  public var groupsExperts: Bool?
  /// PyTorch's cuBLAS workspace of each of its two threads (`CUBLAS_WORKSPACE_CONFIG`).
  ///
  /// `nil` for what PyTorch takes without it (``LibraryWorkspaces``).
  public var cublasWorkspace: Bytes?
  /// Whether multiplies add weight gradients to the accumulated ones themselves.
  ///
  /// Not with `--no-gradient-accumulation-fusion`.
  ///
  /// Said to do so, the output projection's multiply keeps a stand-in as the layers' do, and all of them
  /// between steps (`tensor_parallel/layers.py` of Megatron-Core since late 2025).
  public var fusesGradientAccumulation: Bool?
  /// How the loss is computed.
  public var loss: Loss?
  /// Microbatches whose weight gradient of the output projection waits for the end of the step.
  ///
  /// Where other stages still work (`--defer-embedding-wgrad-compute`, `--wgrad-deferral-limit`).
  public var deferredGradients = 0
  /// Whether the working copy of multiplied weights is the quantised one (`--fp8-param-gather`).
  public var quantizesParameters: Bool?
  /// Whether queries and keys are rotated by one kernel; not with `--no-rope-fusion`.
  public var fusesRotary: Bool?
  /// Whether attention's products are in the multiplies' format where that has eight bits.
  ///
  /// `fp8_dot_product_attention`.
  public var narrowsAttention: Bool?
  /// Whether everything is done in the same order every time.
  ///
  /// `--deterministic-mode`, with `NVTE_ALLOW_NONDETERMINISTIC_ALGO=0` and an `NCCL_ALGO` that is not NVLS.
  public var isDeterministic = false

  /// What is kept for the backward pass in narrower formats than it is computed in.
  public var keptFormats = KeptFormats()
  /// Whether computation goes on while stages of the interleaved schedule send to each other.
  ///
  /// `nil` for the framework's (``FrameworkProfile/interleavedSendsBlock``).
  public var overlapsSends: Bool?

  /// Nothing said.
  public init() {}

  /// What they change of a framework's facts, for a model with or without experts.
  func apply(to profile: inout FrameworkProfile, hasExperts: Bool) {
    if let cublasWorkspace { profile.cublasWorkspace = cublasWorkspace }
    if layers == .local {
      profile.usesLibraryAttention = false
      profile.sharedBuffer = .all
      profile.fusion.gathersIntoShared = .columns
      profile.fusion.multipliesExpertsApart = true
      profile.groupsExpertMultiplies = false
      // The router's multiply is Transformer Engine's all the same (`RouterGatingLinearFunction` in
      // Megatron-Core's `moe/moe_utils.py`).
      if !hasExperts { profile.multipliesInTransformerEngine = false }
    }
    if let groupsExperts {
      profile.groupsExpertMultiplies = groupsExperts
      profile.fusion.multipliesExpertsApart = !groupsExperts
    }
    if let fusesGradientAccumulation {
      profile.fusion.gradientAccumulation = fusesGradientAccumulation
      profile.fusion.makesFreshGradients = !fusesGradientAccumulation
      profile.keepsGradientStandIns = fusesGradientAccumulation
      profile.keepsStandInsBetweenSteps = fusesGradientAccumulation
    }
    switch loss {
    case nil: break
    case .plain:
      profile.fusion.crossEntropyFused = false
      profile.fusion.crossEntropyPartlyCompiled = false
    case .compiled:
      profile.fusion.crossEntropyFused = false
      profile.fusion.crossEntropyPartlyCompiled = true
    case .fused: profile.fusion.crossEntropyFused = true
    }
    profile.fusion.keptFormats = keptFormats
    if let fusesExperts { profile.fusion.fusesExperts = fusesExperts }
    if graph == .step { profile.launchesWholeStep() }
    if let narrowsAttention { profile.fusion.narrowsAttention = narrowsAttention }
    if let overlapsSends { profile.interleavedSendsBlock = !overlapsSends }
    if let fusesRotary { profile.fusion.rotary = fusesRotary }
    if isDeterministic {
      profile.fusion.isDeterministic = true
      profile.fusion.fillsOutputs = true
      // PyTorch refuses to multiply in order without `CUBLAS_WORKSPACE_CONFIG`.
      profile.cublasWorkspace = cublasWorkspace ?? .mebibytes(32)
    }
    if let quantizesParameters {
      profile.quantizesParameters = quantizesParameters
      profile.keepsQuantizedWeights = !quantizesParameters
    }
  }
}

extension TrainingJob {
  /// Whether PyTorch's cuBLAS workspace is there to be set: not where XLA lays out all buffers.
  var hasTorchWorkspace: Bool {
    !training.framework.profile.plansBuffers && !cluster.gpu.isTPU
  }
}
