import Kernels
import Quantities

// Parts with few timings of single kernels: what is known of each, on the constants of the nearest
// part that has many.

extension KernelConstants {
  /// V100.
  ///
  /// The best fp16 multiply reaches 95 of 125 TFLOP/s in a benchmark loop, a pass over vectors 0.098
  /// TFLOP/s where that of an A100 reaches 0.202, 1.1 times as much of the data sheet's rate
  /// (mli/transformers-benchmarks@04df81d0, README.md). 0.80 of the peak, times 0.98 of the clock in loops
  /// and what the largest tiles lose, are those 95; other constants as the A100. Its 300 W have more to drive
  /// than an A100's 400, 2.4 W for a TFLOP/s of the peak against 1.3: the sustained clock is fitted on the
  /// steps of `v100_bigscience` and `v100_papers`, and leaves their median at −8 %, as they are of busy
  /// clusters and of whole epochs.
  static let volta: KernelConstants = {
    var constants = ampere.clocked(0.82)
    constants.matmulEfficiency = [.fp16: 0.80]
    constants.defaultMatmulEfficiency = 0.80
    constants.streaming.pointwise = 0.85
    return constants
  }()

  /// L40S.
  static let ada = professional(best: 269.2 / 362)

  /// Servers' and workstations' boards: multiprocessors whose matrix units do half the A100's work a clock.
  ///
  /// - Parameter best: part of the data sheet's rate that its best multiply reaches.
  /// - Returns: the constants.
  static func professional(best: Double) -> KernelConstants {
    ampere.matrixUnits(slowedTo: adaMatrixShare).timed(best: best)
  }

  /// MI250X, one die.
  ///
  /// No timings; multiplies and attention (FlashAttention's own port) at the fractions of the MI300X, the
  /// rest as the A100. GPT 175B
  /// and 1T on Frontier (arXiv:2312.12705) run at 0.36 and 0.32 of the peak, recomputation counted.
  static let instinct200: KernelConstants = {
    var constants = instinct300
    constants.tilePrologue = ampere.tilePrologue
    constants.attention.flash2 = constants.attention.flash3
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
    let library = AttentionConstantsTable.PassPair(
      forward: AttentionConstants(
        efficiency: 0.570, softmaxDimensions: 95, prologueKeys: 432, tail: 0.12),
      backward: AttentionConstants(
        efficiency: 0.375, softmaxDimensions: 20, prologueKeys: 500, tail: 0.64))
    constants.attention = AttentionConstantsTable(
      flash1: library, flash2: library, flash3: library)
    constants.attention.flash2 =
      constants.attention.changed {
        $0.efficiency /= Self.libraryOverTriton
      }.flash2
    constants.trainingAttention = 1
    constants.trainingFlash1 = 1
    constants.trainingFlash3 = 1
    return constants
  }()

  /// AMD's own attention (AITER, which Transformer Engine calls) over the Triton kernels that PyTorch runs on
  /// ROCm: 1.18 to 1.62 times as fast forward on an MI300X, their geometric mean
  /// (midiareshadi.github.io/blog/attn-dsl-bench, 2026); backward taken as the same.
  private static let libraryOverTriton = (1.18 * 1.62).squareRoot()

  /// MI325X: the MI300X as much faster as its best multiply, 784.9 TFLOP/s for 668.4 (ml-engineering,
  /// "Maximum Achievable Matmul FLOPS"): 1,000 W for 750 hold a higher clock, which is in the fractions.
  static let instinct325 = instinct300.faster(by: 784.9 / 668.4)

  /// MI355X: the fractions of the MI300X as much higher as those of its best multiply, 1,565 of 2,500
  /// TFLOP/s for 668.4 of 1,300 (same table); attention and fp8 in step, as their units doubled too (CDNA 4
  /// white paper).
  static let instinct355 = instinct300.faster(by: (1_565.0 / 2_500) / (668.4 / 1_300))

  /// MI350X: the MI355X at 1,000 of its 1,400 W, with a peak of 2,300 for 2,500 TFLOP/s.
  static let instinct350 = instinct355.faster(
    by: powerClock(powerShare: 1_000.0 / 1_400, unitShare: 1, peakShare: 2_300.0 / 2_500))

  /// TPU v5p.
  ///
  /// Systolic arrays of 128 × 128, fed from 128 MiB of vector memory in tiles as large as will do, one
  /// instruction stream a core: no waves of thread blocks, no launches, no throttling. Heads are padded to a
  /// unit's 128 columns; half of the memory holds sums. Efficiency and the rate of attention are fitted on
  /// MaxText's published rows (`maxtext_tpu_v5p`).
  static let tensorProcessor: KernelConstants = {
    var constants = ampere
    constants.tiles = [MatmulTile(512, 512), MatmulTile(256, 256), MatmulTile(128, 128)]
    constants.operandCost = 0
    constants.matmulEfficiency = [:]
    constants.defaultMatmulEfficiency = 0.85
    constants.sustainedClock = 1
    constants.clockSpread = 0
    constants.tilePrologue = 0
    constants.waveTail = 0
    constants.kernelOverhead = 1e-6
    constants.blockShareOfCache = 0.5
    constants.headMultiple = 128
    constants.streaming = StreamingFractions(
      pointwise: 0.85, rowReduction: 0.85, gather: 0.5, multiTensor: 0.85)
    let attention = AttentionConstantsTable.PassPair(
      forward: AttentionConstants(efficiency: 0.6, softmaxDimensions: 7.3, prologueKeys: 110),
      backward: AttentionConstants(efficiency: 0.5, softmaxDimensions: 0, prologueKeys: 199))
    constants.attention = AttentionConstantsTable(
      flash1: attention, flash2: attention, flash3: attention)
    constants.trainingAttention = 1
    constants.trainingFlash1 = 1
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

  /// TPU v5e: more of its lower clock.
  ///
  /// MaxText reaches 0.669 of the peak there while it computes every layer's forward pass twice
  /// (AI-Hypercomputer/maxtext@0ed7bd52, configs/v5e/README.md, 32B): its multiplies cannot run at less.
  static let tensorProcessorLite: KernelConstants = {
    var constants = tensorProcessor
    constants.defaultMatmulEfficiency = 0.93
    return constants
  }()

  /// TPU v6e and v7x: arrays of 256 × 256 (Google Cloud TPU architecture documentation), which heads of 128 half
  /// fill; the rest as the v5p.
  static let tensorProcessor256: KernelConstants = {
    var constants = tensorProcessor
    constants.tiles = [MatmulTile(512, 512), MatmulTile(256, 256)]
    constants.headMultiple = 256
    return constants
  }()

  /// Gaudi 2 and 3: matrix engines behind a graph compiler, as a TPU's.
  ///
  /// Multiplies reach 0.85 of the best shape of ml-engineering's table, as A100, H100 and MI300X do in
  /// training (0.95, 0.83 and 0.86 of theirs). Two assumptions without any timing: attention at half of the
  /// TPU's fractions, and passes over memory at the A100's; the softmax and they are the vector processors',
  /// 11 TFLOP/s on a Gaudi 2.
  ///
  /// - Parameter best: fraction of the peak that the best shape reaches.
  /// - Returns: the constants.
  static func gaudi(best: Double) -> KernelConstants {
    var constants = tensorProcessor256
    constants.defaultMatmulEfficiency = 0.85 * best
    constants.matmulMemoryFraction = 0.8
    constants.headMultiple = 32
    constants.streaming = ampere.streaming
    constants.attention = constants.attention.changed { $0.efficiency /= 2 }
    return constants
  }

  /// H20: the H100's multiprocessors with about a quarter of their matrix rate: 148 TFLOP/s on 78 of them at
  /// the same clock for 989 on 132.
  ///
  /// Its best multiply reaches 141.9 of 148 TFLOP/s where an H100's reaches 787 of 989 (the test of
  /// ``timed(best:held:)``): 400 W do not limit 78 multiprocessors that multiply a quarter as fast, so the clock is
  /// taken to hold, 1 of the data sheet's.
  static let hopper20: KernelConstants = {
    var constants = hopper.clocked(1).matrixUnits(slowedTo: (148.0 / 78) / (989.0 / 132))
    let share = 141.9 / 148 / (787.0 / 989) * hopperLoopClock
    for (format, efficiency) in constants.matmulEfficiency {
      constants.matmulEfficiency[format] = efficiency * share
    }
    constants.defaultMatmulEfficiency *= share
    constants.clockSpread = 0
    return constants
  }()

  /// Clock of an H100 in loops of 6 ms and longer, see ``hopper``.
  static let hopperLoopClock = 0.89

  /// L40S's multiprocessors with fp32 accumulation at half rate, as consumer boards have it.
  ///
  /// Their best multiplies reach or pass the data sheet, which is at a lower clock than they run at: with half of
  /// their units' rate they do not meet their power limit (RTX 4090: 164 of 165, 450 W), so that it is taken to
  /// hold in training. FlashAttention-2 forward reaches 191 of 209.5 TFLOP/s on an RTX 5090 at 400 W
  /// (gau-nernst's blog, "Writing Speed-of-Light Flash Attention for 5090"): 0.91, here 0.84.
  ///
  /// - Parameter best: part of the data sheet's rate that its best multiply reaches.
  /// - Returns: the constants.
  static func consumer(best: Double) -> KernelConstants {
    ampere.matrixUnits(slowedTo: adaMatrixShare / 2).timed(best: best, held: 1)
  }

  /// FLOP a multiprocessor and clock of Ada over Ampere's A100: 1,024 for 2,048 (white papers).
  static let adaMatrixShare = 0.5
}

extension KernelConstants {
  /// The clock of a part over its own highest one, against the same ratio of a part of the same kind.
  ///
  /// Power goes with the units at work and about the square of their clock (``hopper500``).
  ///
  /// - Parameters:
  ///   - powerShare: its power limit over the other's.
  ///   - unitShare: its multiprocessors over the other's.
  ///   - peakShare: its data-sheet peak over the other's; with the units, this tells its highest clock.
  /// - Returns: the factor on the sustained clock.
  static func powerClock(powerShare: Double, unitShare: Double, peakShare: Double) -> Double {
    (powerShare / unitShare).squareRoot() * unitShare / peakShare
  }

  /// The constants of a part with other power, units and peak; see ``powerClock(powerShare:unitShare:peakShare:)``.
  func limited(powerShare: Double, unitShare: Double, peakShare: Double) -> KernelConstants {
    let share = Self.powerClock(
      powerShare: powerShare, unitShare: unitShare, peakShare: peakShare)
    return clocked(min(1, sustainedClock * share))
  }

  /// The constants with multiplies and attention that reach `factor` times as much of the peak.
  func faster(by factor: Double) -> KernelConstants {
    var constants = self
    for (format, efficiency) in matmulEfficiency {
      constants.matmulEfficiency[format] = efficiency * factor
    }
    constants.defaultMatmulEfficiency *= factor
    constants.attention = attention.changed { $0.efficiency *= factor }
    return constants
  }

  /// The A100's constants at the rate of a part's best square multiply in a loop.
  ///
  /// One test of many parts: bf16, 1,024 to 10,240 rows, 30 times each (zzc0721/torch-performance-test-data@07858687,
  /// database.md and issues). The A100 SXM reaches 264.5 of 312 TFLOP/s in it, which its efficiency and clock in
  /// loops (``ampere``: 0.899, 0.98) stand for; others in proportion, attention too.
  ///
  /// - Parameters:
  ///   - best: part of the data sheet's rate that the best multiply reaches.
  ///   - clock: part of the loop's clock that training holds: the A100's, unless nothing limits the part's power.
  /// - Returns: the constants.
  func timed(best: Double, held clock: Double = ampereHeldClock) -> KernelConstants {
    var constants = faster(by: Self.ampereLoopClock * best / (264.5 / 312)).clocked(clock)
    // Clocks differ where power decides them.
    if clock == 1 { constants.clockSpread = 0 }
    return constants
  }

  /// Clock of an A100 in loops of linear layers, see ``ampere``.
  static let ampereLoopClock = 0.98
  /// Clock of an A100 in training over that in loops.
  static let ampereHeldClock = ampere.sustainedClock / ampereLoopClock

  /// The constants of multiprocessors whose matrix units do `share` of the operations a clock and all else as
  /// much: loading operands, the softmax and a block's prologue then cost as much less in their operations.
  func matrixUnits(slowedTo share: Double) -> KernelConstants {
    var constants = self
    constants.operandCost *= share
    constants.attention = attention.changed {
      $0.softmaxDimensions *= share
      $0.prologueKeys *= share
    }
    return constants
  }
}

extension AttentionConstantsTable {
  /// The table with every entry changed.
  func changed(_ change: (inout AttentionConstants) -> Void) -> Self {
    var table = self
    for path in [\AttentionConstantsTable.flash1, \.flash2, \.flash3] {
      change(&table[keyPath: path].forward)
      change(&table[keyPath: path].backward)
    }
    return table
  }
}

extension GPU {
  /// The kernel constants of `base` under this part's power limit, where that is lower.
  ///
  /// With the same units and peak the clock falls as ``KernelConstants/limited(toPowerShare:)`` says. A lower
  /// peak at the same units is a lower clock to hold, which leaves power: the limit begins to tell only below
  /// what ``KernelConstants/powerClock(powerShare:unitShare:peakShare:)`` says is left. Under the power of
  /// `base` the share of the clock is that of `base`, whatever units and peak were made.
  public func kernels(limitedAsPartOf base: GPU) -> KernelConstants {
    let format: NumberFormat = peaks[.bf16] != nil && base.peaks[.bf16] != nil ? .bf16 : .fp16
    let atFullPower = KernelConstants.powerClock(
      powerShare: 1, unitShare: Double(multiprocessors) / Double(base.multiprocessors),
      peakShare: peak(of: format).flopsPerSecond / base.peak(of: format).flopsPerSecond)
    let share = (power.value / base.power.value).squareRoot() * max(1, atFullPower)
    return share < 1 ? base.kernels.clocked(base.kernels.sustainedClock * share) : base.kernels
  }
}
