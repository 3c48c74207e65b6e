public import Kernels

/// Narrower formats in which tensors wait for the backward pass than they are computed in.
///
/// Block scales, a byte or four for every 128 values, are not counted.
public struct KeptFormats: Hashable, Sendable {
  /// A format something is kept in.
  public enum Format: String, Hashable, Sendable, CaseIterable {
    /// 8 bits.
    case fp8
    /// 12 bits: five of exponent, six of mantissa (arXiv:2412.19437, section 3.3.3).
    case e5m6

    /// Bytes of a value.
    public var bytesPerValue: Double { self == .fp8 ? 1 : 1.5 }
  }

  /// Format of the inputs of feed-forward activations, of experts and elsewhere.
  ///
  /// `nil` for that of activations (`--activation-func-fp8-input-store` of Megatron-Core; arXiv:2412.19437,
  /// section 3.3.3, for SwiGLU).
  public var activationInputs: Format?
  /// Format of attention's output, which its own backward pass and the output projection's read: kept once for both.
  ///
  /// `nil` for that of activations, beside a quantised copy where that projection multiplies narrow operands.
  public var attentionOutputs: Format?

  /// Nothing kept narrower, unless said.
  public init(activationInputs: Format? = nil, attentionOutputs: Format? = nil) {
    self.activationInputs = activationInputs
    self.attentionOutputs = attentionOutputs
  }
}

extension KeptFormats.Format {
  /// Bytes of as many values as `bytes` are in `format`.
  public func bytes(insteadOf bytes: Int64, in format: NumberFormat) -> Int64 {
    let narrow = (Double(bytes) / format.bytesPerValue * bytesPerValue).rounded(.up)
    return min(bytes, Int64(narrow))
  }

  /// The pass that narrows `bytes` of `format`, or the one that widens them again.
  func cast(_ bytes: Int64, in format: NumberFormat, back: Bool = false) -> Kernel {
    let narrow = self.bytes(insteadOf: bytes, in: format)
    return .stream(
      StreamingKernel(.pointwise, read: back ? narrow : bytes, written: back ? bytes : narrow))
  }
}
