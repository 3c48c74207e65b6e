import Hardware
import Kernels
import Layout
public import Quantities

extension StepProgram {
  /// What a caching allocator has taken from the device when a rank of `stage` holds `held` bytes by category.
  ///
  /// As played to one (``CacheReplay``), or with a share of what comes and goes, that is of activations,
  /// in freed blocks that no later request fits (``FrameworkProfile/fragmentation``).
  public func reserved(atPeak held: [Int64], stage: StageProgram) -> Bytes {
    let allocated = held.reduce(0, +)
    if let cache = stage.cache { return Bytes(max(allocated, cache.reserved)) }
    let moving = Double(held[MemoryCategory.activations.rawValue])
    return Bytes(allocated + Int64(moving * job.training.profile.fragmentation))
  }

  /// Device memory outside the allocator.
  public var runtime: Bytes { job.runtime }
}

extension TrainingJob {
  /// Device memory outside the allocator: CUDA context and kernels, and NCCL's buffers.
  ///
  /// Context: 1,573 MiB on an A100 before the model is built (bigscience training notes, CUDA 11);
  /// 550 MiB on Hopper and later, an assumption: their CUDA 12 loads kernels when first used. NCCL:
  /// 392 MiB (ai-dynamo/aiconfigurator `h100_sxm.yaml`, `nccl_mem`), none on a single GPU. On a TPU there is
  /// none of that: what its runtime reserves is not in the memory the catalogue gives it ("of 31.25G hbm"
  /// and, apart, "reserved 260.00M" in XLA's messages of a v6e of 32 GiB).
  public var runtime: Bytes {
    if cluster.gpu.isTPU { return .zero }
    let loadsLazily = cluster.gpu.peaks[.fp8] != nil
    return Bytes.mebibytes(loadsLazily ? 550 : 1_573)
      + Bytes.mebibytes(parallelism.gpuCount > 1 ? 392 : 0)
  }
}
