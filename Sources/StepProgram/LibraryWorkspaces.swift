import Hardware
import Kernels
import Quantities

/// Memory that libraries of matrix multiplies keep for themselves, by the rules of their own sources.
///
/// None on a TPU: XLA compiles for it whatever the framework, and lays out all it needs.
struct LibraryWorkspaces {
  let gpu: GPU

  /// PyTorch's cuBLAS workspace of one thread.
  ///
  /// 32 MiB on Hopper and Blackwell, two pieces of 4 MiB and eight of 16 KiB elsewhere; on AMD's chips
  /// 128 MiB with CDNA 3 and later (those with fp8 units) and 32 MiB before (`parseChosenWorkspaceSize` in
  /// PyTorch's `CublasHandlePool.cpp`; releases before 2.8 took Blackwell for one of the others).
  var torch: Bytes {
    if gpu.isTPU { return .zero }
    guard let capability = gpu.computeCapability else {
      return .mebibytes(gpu.peaks[.fp8] == nil ? 32 : 128)
    }
    return capability >= 90 ? .mebibytes(32) : Bytes(8_320 * 1_024)
  }

  /// Workspace of a Transformer Engine multiply.
  ///
  /// 32 MiB on Hopper and later, 4 MiB before (`get_cublas_workspace_size_bytes` in its
  /// `pytorch/module/base.py`); AMD's taken for Hoppers.
  var transformerEngine: Bytes {
    if gpu.isTPU { return .zero }
    return .mebibytes(gpu.computeCapability ?? 90 >= 90 ? 32 : 4)
  }

  /// What XLA hands a multiply as scratch, one at a time.
  ///
  /// 32 MiB from Hopper on, 4 MiB elsewhere (`GemmConfig` in XLA's `service/gpu/matmul_utils.h`).
  var xla: Bytes {
    if gpu.isTPU { return .zero }
    return .mebibytes(gpu.computeCapability ?? 0 >= 90 ? 32 : 4)
  }

  /// Tensors Megatron-Core holds between steps beside states and workspaces: masks, random states, the loss.
  ///
  /// What is left of the constant in the static memory of its own tests.
  var remainderOfMegatron: Bytes { .mebibytes(gpu.computeCapability ?? 90 >= 90 ? 3 : 2) }

  /// All of a framework's.
  ///
  /// PyTorch's of the forward and of the backward thread, and Transformer Engine's where that multiplies.
  func total(of profile: FrameworkProfile) -> Bytes {
    if gpu.isTPU { return .zero }
    if profile.plansBuffers { return xla }
    return (profile.cublasWorkspace ?? torch) * 2
      + (profile.multipliesInTransformerEngine ? transformerEngine : .zero)
      + (profile.holdsMegatronTensors ? remainderOfMegatron : .zero)
  }

  /// Those of grouped multiplies, one for each of their streams.
  var grouped: Bytes { transformerEngine * Int(FrameworkProfile.groupedMultiplyStreams) }
}
