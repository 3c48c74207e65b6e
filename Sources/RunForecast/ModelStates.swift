public import Kernels
public import Layout
public import Quantities

/// Bytes a parameter takes while it is trained, before anything is spread over GPUs.
public struct ParameterBytes: Hashable, Sendable {
  /// The working copy that is multiplied with.
  public var parameter: Double
  /// The gradient.
  public var gradient: Double
  /// Masters and optimizer states.
  public var optimizer: Double

  /// All three.
  public var total: Double { parameter + gradient + optimizer }

  /// The bytes under a precision and an optimizer.
  ///
  /// bf16 with AdamW: 2, 2 (or 4 with fp32 gradients), 12 (master 4, momentum 4, variance 4;
  /// arXiv:1910.02054, section 3.1); 8-bit Adam 6 (4 + 1 + 1, arXiv:2110.02861); SGD with momentum
  /// and Lion 8 (4 + 4). fp32 and plain bf16 training keep no master: the parameter itself is updated.
  ///
  /// - Parameters:
  ///   - precision: formats of the parameters and their masters.
  ///   - optimizer: which states are kept.
  ///   - gradientFormat: format of the gradients; `nil` for that of the parameters.
  public init(precision: Precision, optimizer: Optimizer, gradientFormat: NumberFormat? = nil) {
    let working = precision.activationFormat
    parameter = working.bytesPerValue
    gradient = (gradientFormat ?? working).bytesPerValue
    self.optimizer = Double(optimizer.stateBytesPerParameter + (precision.hasMasters ? 4 : 0))
  }

  /// What a checkpoint of `parameters` holds: everything but the gradients.
  ///
  /// BLOOM-176B: 14 bytes each, 2.47e12; its chronicles say 2.3 TB (2.24 TiB).
  public func checkpoint(parameters: Double) -> Bytes {
    Bytes(Int64(min((parameter + optimizer) * parameters, 9e18).rounded()))
  }
}
