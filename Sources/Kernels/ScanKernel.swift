/// A step of a recurrence over the sequence, fused into one kernel.
///
/// Small multiplies chunk by chunk, or a scan on the vector units.
///
/// Kernels of this kind (Triton's in mamba_ssm and flash-linear-attention, the CUDA selective scan) keep
/// decays, masks and gates on the chip, like flash attention does its scores.
public struct ScanKernel: Hashable, Sendable {
  /// Forward or backward.
  public var pass: Pass
  /// Operations on the matrix units, an addition and a multiplication counted as two.
  public var flops: Double
  /// Values that are exponentiated and scaled between two multiplies (decays within a chunk).
  public var scores: Double
  /// Instructions of single values on the vector units; a fused multiply-add is one.
  public var vectorInstructions: Double
  /// Bytes read from HBM.
  public var bytesRead: Int64
  /// Bytes written to HBM.
  public var bytesWritten: Int64
  /// Thread blocks, a tile of output each; a state carried along the sequence is one's.
  public var blocks: Int
  /// Format of the multiplied values.
  public var format: NumberFormat
  /// Operations that published FLOP counts see in it; 0 but for one kernel of a recurrence.
  public var countedFlops = 0.0

  /// A kernel that reads and writes that many bytes.
  public init(
    _ pass: Pass, flops: Double = 0, scores: Double = 0, vectorInstructions: Double = 0,
    read: Int64, written: Int64, blocks: Int, format: NumberFormat
  ) {
    self.pass = pass
    self.flops = flops
    self.scores = scores
    self.vectorInstructions = vectorInstructions
    self.bytesRead = read
    self.bytesWritten = written
    self.blocks = blocks
    self.format = format
  }
}
