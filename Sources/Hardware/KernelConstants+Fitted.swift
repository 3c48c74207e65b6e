import Kernels

extension KernelConstants {
  /// NVIDIA A100: to be fitted on published A100 timings.
  static let ampere = KernelConstants(
    tiles: commonTiles, matmulEfficiency: [.bf16: 0.90, .fp16: 0.90],
    defaultMatmulEfficiency: 0.88, sustainedClock: 0.97, tilePrologue: 2.5e-6, waveTail: 0.6,
    kernelOverhead: 3e-6, matmulMemoryFraction: 0.85, streaming: commonStreaming,
    cacheSpeedup: 2.5, cacheResidency: 0.4, attention: ampereAttention)

  /// NVIDIA H100: to be fitted on published H100 timings.
  static let hopper = KernelConstants(
    tiles: commonTiles, matmulEfficiency: [.bf16: 0.82, .fp16: 0.82, .fp8: 0.75],
    defaultMatmulEfficiency: 0.80, sustainedClock: 0.92, tilePrologue: 1.5e-6, waveTail: 0.6,
    kernelOverhead: 3e-6, matmulMemoryFraction: 0.85, streaming: commonStreaming,
    cacheSpeedup: 2.5, cacheResidency: 0.4, attention: hopperAttention)

  /// NVIDIA B200: to be fitted on published B200 timings.
  static let blackwell = KernelConstants(
    tiles: commonTiles, matmulEfficiency: [.bf16: 0.78, .fp16: 0.78, .fp8: 0.76],
    defaultMatmulEfficiency: 0.76, sustainedClock: 0.92, tilePrologue: 1.5e-6, waveTail: 0.6,
    kernelOverhead: 3e-6, matmulMemoryFraction: 0.8, streaming: blackwellStreaming,
    cacheSpeedup: 2.5, cacheResidency: 0.4, attention: blackwellAttention)

  /// Output tiles of cuBLAS and CUTLASS kernels.
  static let commonTiles = [
    MatmulTile(256, 128, efficiency: 1), MatmulTile(128, 256, efficiency: 1),
    MatmulTile(128, 128, efficiency: 0.93), MatmulTile(128, 64, efficiency: 0.8),
    MatmulTile(64, 64, efficiency: 0.6),
  ]

  static let commonStreaming = StreamingFractions(
    pointwise: 0.85, rowReduction: 0.75, gather: 0.55, multiTensor: 0.8)

  static let blackwellStreaming = StreamingFractions(
    pointwise: 0.75, rowReduction: 0.65, gather: 0.5, multiTensor: 0.75)

  static let ampereAttention = AttentionConstantsTable(
    flash1: .init(
      forward: AttentionConstants(efficiency: 0.45, softmaxDimensions: 40, prologueKeys: 100),
      backward: AttentionConstants(efficiency: 0.38, softmaxDimensions: 40, prologueKeys: 100)),
    flash2: .init(
      forward: AttentionConstants(efficiency: 0.80, softmaxDimensions: 30, prologueKeys: 100),
      backward: AttentionConstants(efficiency: 0.68, softmaxDimensions: 30, prologueKeys: 100)),
    flash3: .init(
      forward: AttentionConstants(efficiency: 0.80, softmaxDimensions: 30, prologueKeys: 100),
      backward: AttentionConstants(efficiency: 0.68, softmaxDimensions: 30, prologueKeys: 100)))

  static let hopperAttention = AttentionConstantsTable(
    flash1: .init(
      forward: AttentionConstants(efficiency: 0.25, softmaxDimensions: 40, prologueKeys: 100),
      backward: AttentionConstants(efficiency: 0.21, softmaxDimensions: 40, prologueKeys: 100)),
    flash2: .init(
      forward: AttentionConstants(efficiency: 0.45, softmaxDimensions: 30, prologueKeys: 100),
      backward: AttentionConstants(efficiency: 0.40, softmaxDimensions: 30, prologueKeys: 100)),
    flash3: .init(
      forward: AttentionConstants(efficiency: 0.85, softmaxDimensions: 60, prologueKeys: 150),
      backward: AttentionConstants(efficiency: 0.65, softmaxDimensions: 40, prologueKeys: 150)))

  static let blackwellAttention = AttentionConstantsTable(
    flash1: hopperAttention.flash1, flash2: hopperAttention.flash2,
    flash3: .init(
      forward: AttentionConstants(efficiency: 0.85, softmaxDimensions: 80, prologueKeys: 200),
      backward: AttentionConstants(efficiency: 0.60, softmaxDimensions: 50, prologueKeys: 200)))

  /// The constants at another sustained clock.
  func clocked(_ sustainedClock: Double) -> KernelConstants {
    var constants = self
    constants.sustainedClock = sustainedClock
    return constants
  }

  /// H100 limited to 500 W.
  static let hopper500 = hopper.clocked(0.80)

  /// GB200: the constants of the B200.
  static let graceBlackwell = blackwell

  /// V100: no timings, the constants of the A100.
  static let volta = ampere

  /// L40S: no timings, the constants of the A100.
  static let ada = ampere

  /// MI250X: no timings.
  static let instinct200 = ampere.clocked(0.8)

  /// MI300X: the best of thousands of shapes reaches 0.514 of the peak (best-shape matmul table).
  static let instinct300 = ampere.clocked(0.57)

  /// TPU v5p: no timings.
  static let tensorProcessor = ampere
}
