/// How a number is stored and multiplied.
public enum NumberFormat: String, Hashable, Sendable, CaseIterable {
  /// IEEE single precision, 4 bytes.
  case fp32
  /// Single precision storage, multiplied with a 10-bit mantissa on tensor cores; 4 bytes.
  case tf32
  /// IEEE half precision, 2 bytes.
  case fp16
  /// bfloat16, 2 bytes.
  case bf16
  /// 8-bit floating point with one scale per tensor; 1 byte.
  case fp8
  /// 8-bit floating point with one scale per 32 values (OCP microscaling); 1 byte and 1/32.
  case mxfp8
  /// 4-bit floating point with one fp8 scale per 16 values (NVIDIA); half a byte and 1/16.
  case nvfp4
  /// 8-bit integers, 1 byte.
  case int8

  /// Whether values are floating-point numbers of eight bits.
  public var hasEightBits: Bool { self == .fp8 || self == .mxfp8 }

  /// Bytes a value takes, block scales included.
  public var bytesPerValue: Double {
    switch self {
    case .fp32, .tf32: 4
    case .fp16, .bf16: 2
    case .fp8, .int8: 1
    case .mxfp8: 1 + 1.0 / 32
    case .nvfp4: 0.5 + 1.0 / 16
    }
  }
}
