import Kernels

extension Operation {
  /// The operation where what library kernels write to is filled beforehand.
  ///
  /// Under `torch.use_deterministic_algorithms` PyTorch fills every new tensor
  /// (`torch.utils.deterministic.fill_uninitialized_memory`, on by default; `empty_cuda` in ATen's
  /// `native/cuda/TensorFactories.cu`): what multiplies, fused attention and norms put out, not what
  /// PyTorch's own operations do, which take memory by another way.
  var filled: Self {
    var operation = self
    operation.forward = forward.flatMap(\.filled)
    operation.inputGradient = inputGradient.flatMap(\.filled)
    operation.weightGradient = weightGradient.flatMap(\.filled)
    return operation
  }
}

extension Kernel {
  /// The kernel behind the passes that fill what it writes to.
  fileprivate var filled: [Kernel] {
    var bytes = 0.0
    var tensors = 1
    switch self {
    case .matmul(let matmul) where !matmul.accumulates:
      bytes = Double(matmul.m * matmul.n * matmul.batch) * matmul.outputBytesPerValue
    case .attention(let attention):
      let queries = Double(attention.batch * attention.heads * attention.queryLength)
      let keys = Double(attention.batch * attention.keyValueHeads * attention.keyLength)
      let value = attention.format.bytesPerValue
      switch attention.pass {
      case .forward: bytes = queries * Double(attention.valueDimension) * value
      case .backward:
        tensors = 3
        bytes = queries * Double(attention.headDimension) * value
        bytes += keys * Double(attention.headDimension + attention.valueDimension) * value
      }
    case .stream(let pass) where pass.kind == .rowReduction: bytes = Double(pass.bytesWritten)
    case .matmul, .scan, .stream: break
    }
    guard bytes > 0 else { return [self] }
    let fill = StreamingKernel(.pointwise, read: 0, written: Int64(bytes), launches: tensors)
    return [.stream(fill), self]
  }
}
