public import Kernels

/// Formats of compute, parameters and gradients used together.
public enum Precision: String, Hashable, Sendable, CaseIterable {
  /// Everything in single precision.
  case fp32
  /// fp16 compute and parameters, fp32 masters.
  case fp16Mixed = "fp16-mixed"
  /// bf16 compute and parameters, fp32 masters.
  case bf16Mixed = "bf16-mixed"
  /// bf16 throughout, no masters.
  case bf16
  /// fp8 matrix multiplies, bf16 elsewhere, fp32 masters.
  case fp8Mixed = "fp8-mixed"
  /// Block-scaled fp8 matrix multiplies, bf16 elsewhere, fp32 masters.
  case mxfp8Mixed = "mxfp8-mixed"
  /// Block-scaled fp4 matrix multiplies, bf16 elsewhere, fp32 masters.
  case nvfp4Mixed = "nvfp4-mixed"
  /// int8 matrix multiplies, bf16 elsewhere, fp32 masters.
  case int8

  /// Format the layers' matrix multiplies run in.
  public var matmulFormat: NumberFormat {
    switch self {
    case .fp32: .tf32
    case .fp16Mixed: .fp16
    case .bf16Mixed, .bf16: .bf16
    case .fp8Mixed: .fp8
    case .mxfp8Mixed: .mxfp8
    case .nvfp4Mixed: .nvfp4
    case .int8: .int8
    }
  }

  /// Format of activations between layers and of the parameters' working copy.
  public var activationFormat: NumberFormat {
    switch self {
    case .fp32: .fp32
    case .fp16Mixed: .fp16
    case .bf16Mixed, .bf16, .fp8Mixed, .mxfp8Mixed, .nvfp4Mixed, .int8: .bf16
    }
  }

  /// Whether an fp32 copy of the parameters is kept for the optimizer.
  public var hasMasters: Bool { self != .fp32 && self != .bf16 }
}

/// The rule that turns gradients into updates, with the states it keeps for each parameter.
public enum Optimizer: String, Hashable, Sendable, CaseIterable {
  /// fp32 momentum and variance, 4 + 4 bytes a parameter (arXiv:1711.05101).
  case adamw
  /// 8-bit momentum and variance, 1 + 1 bytes a parameter (arXiv:2110.02861).
  case adamw8bit = "adamw-8bit"
  /// fp32 momentum, 4 bytes a parameter.
  case sgdMomentum = "sgd-momentum"
  /// fp32 momentum, 4 bytes a parameter, whose sign is the update (arXiv:2302.06675, algorithm 2).
  case lion
  /// Variance factored into row and column sums of each matrix, no momentum (arXiv:1804.04235, algorithm 4).
  ///
  /// Vectors keep theirs whole.
  case adafactor
  /// fp32 momentum of the layers' matrices, orthogonalised by Newton–Schulz iterations.
  ///
  /// AdamW for embeddings, head and vectors (arXiv:2502.16982, section 2).
  case muon

  /// Moments it keeps of every parameter: none where only sums are kept.
  ///
  /// Muon keeps the one of the layers' matrices; what AdamW updates has two.
  public var momentCount: Int {
    switch self {
    case .adamw, .adamw8bit: 2
    case .sgdMomentum, .lion, .muon: 1
    case .adafactor: 0
    }
  }

  /// Bytes of state per parameter, without the fp32 master copy (4 more where there is one).
  ///
  /// Of a large matrix inside a layer: Adafactor's sums of a matrix r × c, 4 · (r + c) bytes, are
  /// under a thousandth of a byte a parameter there and count as 0; a step program has them to the byte.
  public var stateBytesPerParameter: Int {
    switch self {
    case .adamw: 8
    case .adamw8bit: 2
    case .sgdMomentum, .lion, .muon: 4
    case .adafactor: 0
    }
  }

  /// The same with moments of `bytes` a value.
  ///
  /// Those of 8-bit Adam and Adafactor's sums have their own formats.
  public func stateBytes(momentBytes bytes: Int) -> Int {
    switch self {
    case .adamw, .sgdMomentum, .lion, .muon: stateBytesPerParameter / 4 * bytes
    case .adamw8bit, .adafactor: stateBytesPerParameter
    }
  }
}
