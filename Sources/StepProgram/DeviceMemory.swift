import Hardware
import Kernels
import Layout
public import Quantities

extension StepProgram {
  /// What a caching allocator has taken from the device when a rank of `stage` holds `held` bytes
  /// by category.
  ///
  /// Its cache keeps freed blocks that no later request fits: a share of what comes and goes, that
  /// is of activations (``FrameworkProfile/fragmentation``); and blocks that are still in use on
  /// another stream (``StageProgram/pending``), for which it waits before it gives up for want of
  /// memory.
  public func reserved(atPeak held: [Int64], stage: StageProgram) -> Bytes {
    let moving = Double(held[MemoryCategory.activations.rawValue])
    let fragments = Int64(moving * job.training.profile.fragmentation)
    let taken = held.reduce(0, +) + fragments
    let room = (job.cluster.gpu.memory - runtime).count - taken
    return Bytes(taken + max(0, min(stage.pending.count, room)))
  }

  /// Device memory outside the allocator: CUDA context and kernels, and NCCL's buffers.
  ///
  /// Context: 1,573 MiB on an A100 before the model is built (bigscience training notes, CUDA 11);
  /// 550 MiB on Hopper and later, an assumption: their CUDA 12 loads kernels when first used. NCCL:
  /// 392 MiB (ai-dynamo/aiconfigurator `h100_sxm.yaml`, `nccl_mem`), none on a single GPU.
  public var runtime: Bytes {
    let loadsLazily = job.cluster.gpu.peaks[.fp8] != nil
    return Bytes.mebibytes(loadsLazily ? 550 : 1_573)
      + Bytes.mebibytes(job.parallelism.gpuCount > 1 ? 392 : 0)
  }
}
