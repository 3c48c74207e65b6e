import Hardware
import Kernels
import Layout
import Quantities
import Transformer

extension TrainingJob {
  /// The attention that runs where the scenario's is asked for.
  ///
  /// FlashAttention-2 or the library's, as the scenario says, or else as Transformer Engine chooses
  /// (`get_attention_backend` in its `dot_product_attention/utils.py`), with what FlashAttention-2 asks of
  /// `profile`. The library's, cuDNN's, is preferred from Hopper on. Where sums are to be made in the same
  /// order it serves on Hopper; on Blackwell since cuDNN 9.18.1, but not with dropout (Transformer Engine's
  /// pull request 2584).
  func chooseAttention(_ profile: inout FrameworkProfile) -> AttentionAlgorithm {
    var choice = training.attention
    if choice == .flash2 {
      switch training.attentionBackend {
      case .flash:
        profile.fusion.transposesForAttention = profile.usesLibraryAttention
        profile.fusion.runsAttentionPackage = true
      case .fused:
        if cluster.gpu.computeCapability ?? 0 >= 90 { choice = .flash3 }
      case nil:
        guard profile.usesLibraryAttention else { break }
        if runsFlashAttention {
          profile.fusion.transposesForAttention = true
        } else {
          choice = .flash3
        }
      }
    }
    if runsTritonAttention { choice = .flashTriton }
    if choice == .flash2, profile.fusion.isDeterministic {
      profile.fusion.flashUnits = cluster.gpu.multiprocessors
    }
    return choice
  }

  /// Whether FlashAttention in Triton runs where the scenario says FlashAttention-2
  /// (``FrameworkProfile/usesTritonAttention``); that of its time runs on Ampere, Ada and Hopper.
  public var runsTritonAttention: Bool {
    training.attention == .flash2 && training.attentionBackend == nil
      && training.framework.profile.usesTritonAttention
      && (80..<100).contains(cluster.gpu.computeCapability ?? 0)
  }

  /// Values of an fp32 row up to which the rows in flight, one for each of two thread blocks on a
  /// multiprocessor, fit the second-level cache: 48,545 on an A100 (216 rows, 40 MiB).
  var cachedRowValues: Int {
    Int(cluster.gpu.cache.count) / (2 * cluster.gpu.multiprocessors * 4)
  }

  /// The job as it is run: what its settings rule out left out.
  var asRun: TrainingJob {
    var job = self
    // A host that waits for each kernel lets nothing run beside it.
    if training.blocksLaunches { job.parallelism.overlaps = false }
    // Without other stages there is nothing to put weight gradients off for.
    if parallelism.pipeline == 1 { job.parallelism.schedule = .oneForwardOneBackward }
    // `NCCL_ALGO` must be set, and not to NVLS (`validate_args` in Megatron-LM's `arguments.py`).
    if training.switches.isDeterministic { job.cluster.node.adds = false }
    return job
  }

  /// Whether Transformer Engine runs FlashAttention-2 itself.
  private var runsFlashAttention: Bool {
    guard let capability = cluster.gpu.computeCapability,
      architecture.attention.headDimension == architecture.attention.valueDimension
    else { return false }
    if (80..<90).contains(capability) { return true }
    return training.switches.isDeterministic && capability >= 100
      && architecture.attentionDropout > 0
  }
}
