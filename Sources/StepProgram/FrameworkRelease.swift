import Hardware
import Kernels
import Layout
import Transformer

/// A release of NVIDIA's NeMo containers: year and month, as in 26.04.
public struct FrameworkRelease: Hashable, Comparable, Sendable {
  /// Year of this century.
  public var year: Int
  /// Month.
  public var month: Int

  /// A release from its parts.
  public init(_ year: Int, _ month: Int) {
    self.year = year
    self.month = month
  }

  /// The release called `text`, as in "26.04" or, of a patch, "26.04.01".
  public init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard (2...3).contains(parts.count), parts.allSatisfy({ $0.count == 2 }),
      let year = Int(parts[0]), let month = Int(parts[1]), (1...12).contains(month),
      parts.count == 2 || Int(parts[2]) != nil
    else { return nil }
    self.init(year, month)
  }

  /// The name it is read from; patches are those of their release.
  public var text: String {
    [year, month].map { ($0 < 10 ? "0" : "") + "\($0)" }.joined(separator: ".")
  }

  /// Earlier releases come first.
  public static func < (one: Self, other: Self) -> Bool {
    (one.year, one.month) < (other.year, other.month)
  }
}

extension TrainingJob {
  /// Sets what is not said as the performance recipes of NeMo's release have it; nothing where no release
  /// is said.
  ///
  /// - Before 25.02 the loss is compiled: Transformer Engine's own came with 2.1 (Megatron-LM, issue 1481).
  /// - Before 25.07 (recipes of 25.02 and 25.04) DeepSeek-V3's tokens beyond a capacity of one are dropped, and go by all-to-all
  ///   (`use_tokendrop` in NeMo's `scripts/performance/llm/pretrain_deepseek_v3.py`); on Blackwell no library
  ///   attends with heads of 192 and 128 yet (cuDNN 9.11, `fused_attn.cpp` of Transformer Engine).
  /// - Since 26.06 mixtures in MXFP8 on racks of 72 GPUs are one CUDA graph, with fused experts and hidden
  ///   exchanges (`full_iteration`, `cutedsl_fused_grouped_mlp`, `moe_a2a_overlap` in Megatron-Bridge's
  ///   `scripts/performance/configs`). Those of latent attention have a micro-batch of one then
  ///   (`KIMI_K2_PRETRAIN_CONFIG_GB300_FP8_MX`, `DEEPSEEK_V3_PRETRAIN_CONFIG_GB300_FP8_MX_V1`); hybrids of
  ///   recurrence and attention keep graphs of parts (`nemotron_3_workload_base_configs.py`).
  /// - Attention is in eight bits there for gpt-oss and, on GB300, for models of latent attention
  ///   (`fp8_dot_product_attention`).
  public mutating func followRelease() {
    guard training.framework == .nemo, let release = training.release else { return }
    if release < FrameworkRelease(25, 2), training.switches.loss == nil,
      !training.switches.isDeterministic
    {
      training.switches.loss = .compiled
    }
    let isLatent = architecture.attention.latent != nil
    if release < FrameworkRelease(25, 7), isLatent, architecture.experts != nil {
      if training.dispatch == ExpertDispatch() {
        training.dispatch.dispatcher = .allToAll
        training.dispatch.capacityFactor = 1
      }
      if training.attention == .flash2, training.attentionBackend == nil,
        (cluster.gpu.computeCapability ?? 0) >= 100
      {
        training.attention = .unfused
      }
    }
    let isRack = cluster.gpu.scaleUpDomain >= 72
    guard release >= FrameworkRelease(26, 6), isRack, architecture.experts != nil,
      architecture.recurrence == nil, training.precision.matmulFormat == .mxfp8,
      !isLatent || training.microBatch == 1, training.switches.graph != SoftwareSwitches.Graph.none,
      training.switches.groupsExperts != false, training.switches.layers != .local,
      !training.blocksLaunches
    else { return }
    training.switches.graph = .step
    training.switches.fusesExperts =
      training.switches.fusesExperts ?? architecture.feedForward.activation.isGated
    training.dispatch.overlapsMicrobatches = training.dispatch.overlapsMicrobatches ?? true
    let isGB300 = cluster.gpu.catalogueName.hasPrefix("gb300")
    if training.switches.narrowsAttention == nil,
      architecture.attention.hasSinks || isLatent && isGB300
    {
      training.switches.narrowsAttention = true
    }
  }
}
