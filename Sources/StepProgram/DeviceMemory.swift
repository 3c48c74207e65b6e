import Layout
public import Quantities

extension StepProgram {
  /// What a caching allocator has taken from the device when it holds `held` bytes by category.
  ///
  /// Its cache keeps freed blocks that no later request fits: a share of what comes and goes, that
  /// is of activations (``FrameworkProfile/fragmentation``).
  public func reserved(atPeak held: [Int64]) -> Bytes {
    let moving = Double(held[MemoryCategory.activations.rawValue])
    let fragments = Int64(moving * job.training.framework.profile.fragmentation)
    return Bytes(held.reduce(0, +) + fragments)
  }

  /// Device memory outside the allocator: CUDA context and kernels, 1,573 MiB on an A100 before the
  /// model is built (bigscience training notes); NCCL's channel buffers, 392 MiB in groups of four
  /// and more (ai-dynamo/aiconfigurator `h100_sxm.yaml`, `nccl_mem`), none on a single GPU.
  public var runtime: Bytes {
    job.parallelism.gpuCount > 1
      ? Bytes.mebibytes(1_573 + 392) : Bytes.mebibytes(1_573)
  }
}
