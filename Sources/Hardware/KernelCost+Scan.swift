public import Kernels

extension KernelCost {
  /// Seconds of a step of a recurrence.
  ///
  /// Its multiplies are tiles of 64 to 128 rows with decays applied between them, which is what
  /// FlashAttention-2 does to scores: they get the rate of that kernel class, a decay costs what a score
  /// does, and a thread block what one of 128 queries in heads of 64 spends outside its main loop.
  /// Blocks here are short, so that is much of them: chunks are no longer than the part of a sequence
  /// that costs attention as much. Vector instructions issue at one a lane and clock. A thread block
  /// lives on one multiprocessor: fewer blocks than those, as where a state is carried along the
  /// sequence, leave the others idle. Beside that run the bytes, at the rate of a pointwise pass.
  public func seconds(for scan: ScanKernel) -> Double {
    guard scan.blocks > 0 else { return 0 }
    let flash = constants.attention[.flash2, scan.pass]
    let matrixRate =
      attentionRate[scan.format.index] * flash.efficiency * constants.trainingAttention
    let blocks = Double(scan.blocks)
    let outside = scan.flops > 0 ? blocks * 128 * flash.prologueKeys * 2 * (64 + 64) : 0
    let products = scan.flops + 2 * scan.scores * max(0, flash.softmaxDimensions) + outside
    // A fused multiply-add is two operations of the peak.
    let vector = 2 * scan.vectorInstructions / attentionRate[NumberFormat.fp32.index]
    let busy = min(1, blocks / multiprocessors)
    let compute = (products / matrixRate + vector) / busy
    let bytes = Double(scan.bytesRead) + Double(scan.bytesWritten)
    let fromMemory = (bytes - residentBytes) / streamingRate[StreamingKind.pointwise.index]
    return constants.kernelOverhead + max(compute, bytes / cacheRate, fromMemory)
  }
}
