import Kernels

// Parts with few timings of single kernels: what is known of each, on the constants of the nearest
// part that has many.

extension KernelConstants {
  /// V100.
  ///
  /// The best fp16 multiply reaches 95 of 125 TFLOP/s in a benchmark loop, a pass over vectors 0.098
  /// TFLOP/s where that of an A100 reaches 0.202, 1.1 times as much of the data sheet's rate
  /// (mli/transformers-benchmarks@04df81d0, README.md). 0.80 of the peak, times 0.98 of the clock in loops
  /// and what the largest tiles lose, are those 95; other constants as the A100.
  static let volta: KernelConstants = {
    var constants = ampere
    constants.matmulEfficiency = [.fp16: 0.80]
    constants.defaultMatmulEfficiency = 0.80
    constants.streaming.pointwise = 0.85
    return constants
  }()

  /// L40S.
  ///
  /// No timings. 362 TFLOP/s is at the boost clock of 2.52 GHz, which a 350 W board does not hold
  /// under dense multiplies: the same die with half the matrix units at work (RTX 4090, 450 W) takes
  /// its limit at 165 TFLOP/s. With power as the square of the clock about three quarters are left
  /// (assumption); the rest as the A100.
  static let ada = ampere.clocked(0.72)

  /// MI250X, one die.
  ///
  /// No timings; multiplies and attention at the fractions of the MI300X, the rest as the A100. GPT 175B
  /// and 1T on Frontier (arXiv:2312.12705) run at 0.36 and 0.32 of the peak, recomputation counted.
  static let instinct200: KernelConstants = {
    var constants = instinct300
    constants.tilePrologue = ampere.tilePrologue
    return constants
  }()

  /// MI300X.
  ///
  /// Fitted as `scripts/fit-kernels` does on AMD-AGI/Primus-Turbo@03b9a809, timings of March 2026 on
  /// training shapes: 58 bf16 multiplies with their backward passes (median 4 %, 90th percentile 9 %)
  /// and 58 of fp8; attention of Primus-Turbo@221d75f1, 25 shapes (forward 2 %, backward 4 %). fp8 is the
  /// geometric mean of 0.324 from that table and 0.415 from Azure's hipBLASLt loops. Loops of 0.2 to 200 ms run at one rate, so the sustained clock
  /// is in it. Copies reach 4.1 of 5.3 TB/s (Azure ND MI300X v5 results,
  /// samuel-bohman/AI-benchmarking-guide@3de0c294). The rest as the A100.
  static let instinct300: KernelConstants = {
    var constants = ampere
    constants.sustainedClock = 1
    constants.operandCost = 3.9
    constants.matmulEfficiency = [
      .bf16: 0.441, .fp16: 0.441, .fp8: 0.367, .mxfp8: 0.367, .int8: 0.367,
    ]
    constants.defaultMatmulEfficiency = 0.441
    constants.tilePrologue = 10.7e-6
    constants.waveTail = 0.82
    constants.matmulMemoryFraction = 0.8
    let attention = AttentionConstantsTable.PassPair(
      forward: AttentionConstants(
        efficiency: 0.570, softmaxDimensions: 95, prologueKeys: 432, tail: 0.12),
      backward: AttentionConstants(
        efficiency: 0.375, softmaxDimensions: 20, prologueKeys: 500, tail: 0.64))
    constants.attention = AttentionConstantsTable(
      flash1: attention, flash2: attention, flash3: attention)
    constants.trainingAttention = 1
    return constants
  }()

  /// TPU v5p.
  ///
  /// Systolic arrays of 128 × 128, fed from 128 MiB of vector memory in tiles as large as will do, one
  /// instruction stream a core: no waves of thread blocks, no launches, no throttling. Efficiency and
  /// the rate of attention are fitted on MaxText's published rows (`maxtext_tpu_v5p`).
  static let tensorProcessor: KernelConstants = {
    var constants = ampere
    constants.tiles = [MatmulTile(512, 512), MatmulTile(256, 256), MatmulTile(128, 128)]
    constants.operandCost = 0
    constants.matmulEfficiency = [:]
    constants.defaultMatmulEfficiency = 0.76
    constants.sustainedClock = 1
    constants.tilePrologue = 0
    constants.waveTail = 0
    constants.kernelOverhead = 1e-6
    constants.streaming = StreamingFractions(
      pointwise: 0.85, rowReduction: 0.85, gather: 0.5, multiTensor: 0.85)
    let attention = AttentionConstantsTable.PassPair(
      forward: AttentionConstants(efficiency: 0.6, softmaxDimensions: 7.3, prologueKeys: 110),
      backward: AttentionConstants(efficiency: 0.5, softmaxDimensions: 0, prologueKeys: 199))
    constants.attention = AttentionConstantsTable(
      flash1: attention, flash2: attention, flash3: attention)
    constants.trainingAttention = 1
    constants.trainingFlash3 = 1
    return constants
  }()

  /// B300: the B200 at 1.08 times the clock.
  ///
  /// 1,100 W for 1,000. DeepSeek-V3 in one layout runs 1.11 times as fast, GPT-OSS 1.04
  /// (NVIDIA-NeMo/Megatron-Bridge, performance summary 26.02).
  static let blackwellUltra = blackwell.clocked(blackwell.sustainedClock * 1.08)

  /// GB300: the GB200 at 1.19 times the clock.
  ///
  /// 1,400 W for 1,200. Layouts published for both run 1.05 to 1.24 times as fast, Llama 3 8B on one
  /// node, where nothing but kernels counts, 1.19 and 1.21 (performance summaries 25.11 and 26.02).
  static let graceBlackwellUltra = graceBlackwell.clocked(graceBlackwell.sustainedClock * 1.19)
}
