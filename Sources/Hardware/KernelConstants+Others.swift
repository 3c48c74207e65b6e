import Kernels

// Parts with few timings of single kernels: what is known of each, on the constants of the nearest
// part that has many.

extension KernelConstants {
  /// V100.
  ///
  /// The best fp16 multiply reaches 95 of 125 TFLOP/s where that of an A100 reaches 230 of 312 (0.76
  /// and 0.74), a pass over vectors 0.098 against 0.202 TFLOP/s, 1.1 times as much of the data
  /// sheet's rate (mli/transformers-benchmarks, README.md): the constants of the A100 but for that.
  static let volta: KernelConstants = {
    var constants = ampere
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
  /// No timings; the fraction of the MI300X. GPT 175B and 1T on Frontier (arXiv:2312.12705) run at
  /// 0.36 and 0.32 of the peak, recomputation counted.
  static let instinct200 = instinct300

  /// MI300X.
  ///
  /// bf16: the best of thousands of shapes reaches 668 TFLOP/s, 0.514 of the peak
  /// (stas00/ml-engineering@744d01e1). fp8: hipBLASLt reaches 955 to 1,160 TFLOP/s at 4,096 to 32,768
  /// a side, 0.37 to 0.44; copies reach 4.1 of 5.3 TB/s (Azure ND MI300X v5 results,
  /// samuel-bohman/AI-benchmarking-guide@3de0c294). The rest as the A100, attention in the same
  /// proportion as multiplies.
  static let instinct300: KernelConstants = {
    var constants = ampere
    constants.matmulEfficiency = [.fp8: 0.46, .mxfp8: 0.46, .int8: 0.46]
    constants.defaultMatmulEfficiency = 0.54
    let proportion = 0.54 / 0.899
    constants.attention.flash2.forward.efficiency *= proportion
    constants.attention.flash2.backward.efficiency *= proportion
    constants.attention.flash3 = constants.attention.flash2
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
    constants.defaultMatmulEfficiency = 0.87
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
