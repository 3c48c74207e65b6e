import Kernels
import Layout
import Quantities
import Transformer

/// What DeepSpeed's ZeRO holds beside the states, in elements.
///
/// Its defaults (`zero/config.py` of DeepSpeed's `runtime`).
public struct ZeROBuffers: Hashable, Sendable {
  /// Elements between two uses of a layer below which ZeRO-3 does not give its gathered parameters back.
  ///
  /// Elements of parameters, in the order they are used (`stage3_max_reuse_distance`).
  public var reuseElements: Int64 = 1_000_000_000
  /// Elements ZeRO-3 updates at once (`sub_group_size`).
  public var subgroupElements: Int64 = 1_000_000_000

  /// DeepSpeed's defaults.
  public init() {}
}

extension StatePlan {
  /// Whether there is nobody to reduce gradients with.
  private var isOnlyCopy: Bool {
    job.parallelism.data * job.parallelism.context * job.parallelism.stageCopies == 1
  }

  /// Whether the host holds and updates the optimizer states of the only copy of the model.
  ///
  /// ZeRO-2 on a single GPU.
  ///
  /// Hooks put each gradient into the bucket as soon as it is there, and a full bucket's go to the host,
  /// though there is nobody to reduce with (`reduce_independent_p_g_buckets_and_remove_grads` of
  /// DeepSpeed's `stage_1_and_2.py`). The copies' time is counted with the update.
  var streamsAlone: Bool {
    let layout = job.parallelism
    return layout.offloadsOptimizer && layout.zero == 2 && layout.overlaps
      && profile.dataOverlap != .none && !layout.schedule.splitsBackward && isOnlyCopy
  }

  /// Whether gradients are copied into a bucket that is there all the time.
  var hasGradientBucket: Bool {
    profile.zeroBuffers != nil && (job.parallelism.zero == 2 || gathersParameters)
  }

  /// The buckets gradients are reduced from, in the parameters' format.
  ///
  /// Under ZeRO-2 two that take turns where reductions run beside the backward pass (`overlap_comm`), else one
  /// (`ipg_buffer` of `stage_1_and_2.py`); one under ZeRO-3 (`__ipg_bucket_flat_buffer` of `stage3.py`); none
  /// under ZeRO-1, which turns `contiguous_gradients` off (`_configure_zero_optimizer` of `engine.py`). A
  /// single GPU, which reduces with nobody, is taken to have one.
  var gradientBucket: MemoryItem? {
    guard hasGradientBucket else { return nil }
    let takesTurns = job.parallelism.zero == 2 && job.parallelism.overlaps && !isOnlyCopy
    return MemoryItem(
      name: "gradient bucket", category: .buffers,
      bytes: Int64(profile.bucketParameters) * workingBytes * (takesTurns ? 2 : 1))
  }

  /// Bytes an update needs meanwhile under DeepSpeed.
  ///
  /// The owned gradients joined, and that in fp32 (`flatten_dense_tensors_aligned` in `step` of
  /// `stage_1_and_2.py`); under ZeRO-3 fp32 of one group at a time (`_prepare_sub_group` of `stage3.py`).
  func updateBytes(ofStage stage: Int) -> Int64 {
    guard let buffers = profile.zeroBuffers, job.training.precision.hasMasters,
      !job.parallelism.offloadsOptimizer
    else { return 0 }
    let owned = ownedCount(ofStage: stage)
    // What is fp32 already is updated from where it is (`bf16_optimizer.py`).
    guard gradientBytes < 4 else { return 0 }
    switch job.parallelism.zero {
    case 0: return 0
    case 1, 2: return owned * (gradientBytes + 4)
    default: return min(owned, buffers.subgroupElements) * 4
    }
  }
}
