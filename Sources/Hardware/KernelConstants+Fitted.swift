import Kernels

// Fitted by scripts/fit-kernels on published timings; the errors are tabulated in the Hardware
// article. Rows of the sources: library matmuls of ai-dynamo/aiconfigurator@095f58a5 (gemm),
// figures of Dao-AILab/flash-attention and arXiv:2407.08608 (attention), operators of
// DebarghaG/estimate-train-time (A100 layers), layer timings and bandwidth constants of
// MooreThreads/SimuMax@4dcaae51 (A100 PCIe, B200).

extension KernelConstants {
  /// NVIDIA A100.
  ///
  /// Matmul: 193 library timings of 1,024 rows and more under 3 ms. Attention: FlashAttention-1
  /// and -2 figures and 96 layer timings. Streaming: layer timings; row reductions by the time they
  /// take in a step, mostly the fused causal softmax (0.75 forward, 0.82 backward; layer norm 0.50
  /// and 0.40, plain softmax 0.42), gather from embedding lookups, multi-tensor from mixed-precision
  /// Adam at 40 bytes a parameter.
  /// Sustained clock: 700 forward and backward timings of linear layers are matched to within −0.3
  /// and +6 %, library loops of 6 ms and longer run 7 % slower than the fit; between the two.
  static let ampere = KernelConstants(
    tiles: libraryTiles, operandCost: 5.4, matmulEfficiency: [.bf16: 0.899, .fp16: 0.899],
    defaultMatmulEfficiency: 0.899, sustainedClock: 0.98, tilePrologue: 5.1e-6, waveTail: 0.97,
    kernelOverhead: 3.1e-6, matmulMemoryFraction: 0.85,
    streaming: StreamingFractions(
      pointwise: 0.78, rowReduction: 0.70, gather: 0.15, multiTensor: 0.90),
    cacheSpeedup: 2.5, cacheResidency: 0.06,
    attention: AttentionConstantsTable(
      flash1: .both(
        AttentionConstants(efficiency: 0.238, softmaxDimensions: -37, prologueKeys: 160)),
      flash2: ampereFlash2, flash3: ampereFlash2)
  ).inTraining(clock: 0.89, attention: 0.85, flash1: 0.75, triton: 0.69)

  /// NVIDIA H100, H800 and H200 at 700 W.
  ///
  /// Matmul: 143 bf16 and 151 fp8 library timings of 1,024 rows and more under 3 ms; the fp8 rows
  /// include quantising the input, fitted beside. Attention: figures of FlashAttention-1, -2, -3 and
  /// cuDNN. Streaming: A100 fractions, but row reductions from the constant SimuMax fitted for
  /// ordinary passes on a B200 (newer kernels), gather from permuting tokens to experts: 4,096 of 7,168
  /// values, eight experts of 128 each, on an H200 at 1.92 TB/s in vLLM's Triton kernels and 2.40 in
  /// TileOPs's, 0.40 and 0.50 of the data sheet's 4.8 (tile-ai/TileOPs, pull request 2125).
  /// Sustained clock: bf16 library loops of 6 ms and longer, which reach the power limit, run 11.5 %
  /// slower than the fit; the best shape of thousands reaches 794 TFLOP/s in longer loops, 4 %
  /// under the best here.
  static let hopper = KernelConstants(
    tiles: libraryTiles, operandCost: 5, matmulEfficiency: [.bf16: 0.84, .fp16: 0.84, .fp8: 0.789],
    defaultMatmulEfficiency: 0.789, sustainedClock: 0.89, tilePrologue: 1.27e-6, waveTail: 1,
    kernelOverhead: 2.0e-6, matmulMemoryFraction: 0.85,
    streaming: StreamingFractions(
      pointwise: 0.78, rowReduction: 0.67, gather: 0.45, multiTensor: 0.90),
    cacheSpeedup: 2.5, cacheResidency: 0.06,
    attention: AttentionConstantsTable(
      flash1: .both(
        AttentionConstants(efficiency: 0.129, softmaxDimensions: -29, prologueKeys: 112)),
      flash2: .init(
        forward: AttentionConstants(efficiency: 0.396, softmaxDimensions: 22.5, prologueKeys: 155),
        backward: AttentionConstants(efficiency: 0.418, softmaxDimensions: 48, prologueKeys: 280)),
      flash3: .init(
        forward: AttentionConstants(
          efficiency: 0.945, softmaxDimensions: 115.7, prologueKeys: 266),
        backward: AttentionConstants(
          efficiency: 0.768, softmaxDimensions: 63.9, prologueKeys: 410)))
  ).inTraining(clock: 0.788, attention: 0.92, flash1: 0.79, flash3: 1.05, triton: 0.665)

  /// NVIDIA B200 and B300.
  ///
  /// Matmul: 144 bf16 and 150 fp8 library timings of 1,024 rows and more under 3 ms; nvfp4, without
  /// kernel timings, from the five nvfp4 rows of whole steps, which GB200 fp8 would make 24 % too
  /// fast; other formats
  /// timings, as GB200 fp8. Attention: 64 timings of SimuMax, which are sustained ones, hence divided
  /// by the sustained clock; every flash kind, as frameworks run the library's kernel whatever
  /// they are told. FlashAttention-2 itself, which runs where the library's does not serve:
  /// ``blackwellFlash2``. Streaming: SimuMax's fitted constants. Sustained clock: library loops of 6 ms and
  /// longer run 4 % slower than the fit, SimuMax's 514 training-layer timings 29 %; about the
  /// geometric mean of the two.
  static let blackwell = KernelConstants(
    tiles: libraryTiles, operandCost: 6.6,
    matmulEfficiency: [
      .bf16: 0.707, .fp16: 0.707, .fp8: 0.711, .mxfp8: 0.711, .nvfp4: 0.5,
    ],
    defaultMatmulEfficiency: 0.650, sustainedClock: 0.82, tilePrologue: 0.3e-6, waveTail: 0.19,
    kernelOverhead: 2.2e-6, matmulMemoryFraction: 0.85,
    streaming: StreamingFractions(
      pointwise: 0.67, rowReduction: 0.67, gather: 0.50, multiTensor: 0.67),
    cacheSpeedup: 2.5, cacheResidency: 0.06,
    attention: AttentionConstantsTable(
      flash1: blackwellAttention, flash2: blackwellAttention, flash3: blackwellAttention,
      ownFlash2: blackwellFlash2)
  ).inTraining(clock: 0.65, attention: 1.0, deterministicFlash3: 0.83).paddingBackward(to: 128)

  /// NVIDIA GB200 and GB300.
  ///
  /// Matmul: 150 bf16 and 141 fp8 library timings as for the B200, the rest as the B200. Sustained
  /// clock: by `scripts/fit-steps`; loops of 6 ms and longer run 11 % under the fit.
  static let graceBlackwell: KernelConstants = {
    var constants = blackwell
    constants.operandCost = 5.2
    constants.matmulEfficiency = [
      .bf16: 0.669, .fp16: 0.669, .fp8: 0.650, .mxfp8: 0.650, .nvfp4: 0.46,
    ]
    constants.waveTail = 0.16
    constants.kernelOverhead = 1.8e-6
    constants.sustainedClock = 0.79
    return constants
  }()

  /// Output tiles of cuBLAS and CUTLASS kernels.
  static let libraryTiles = [
    MatmulTile(256, 128), MatmulTile(128, 256), MatmulTile(128, 128), MatmulTile(256, 64),
    MatmulTile(128, 64), MatmulTile(64, 64),
  ]

  /// FlashAttention-2 on an A100.
  static let ampereFlash2 = AttentionConstantsTable.PassPair(
    forward: AttentionConstants(
      efficiency: 0.648, softmaxDimensions: 7.3, prologueKeys: 110, tail: 0.64),
    backward: AttentionConstants(
      efficiency: 0.507, softmaxDimensions: 0, prologueKeys: 199, tail: 0.74))

  /// The library's attention on a B200: sustained 0.593 and 0.474 over the sustained clock 0.82.
  ///
  /// Backward: fitted on the timings with heads of 128 (2.5 % in the median of 20, 8.5 % in nine of ten);
  /// the twelve with 192 and 128 are then within 2.3 and 5.9 % as if padded to 256 and 128.
  ///
  /// Narrow heads, windows and 8-bit formats by what cudnn-frontend publishes of cuDNN on a GB200
  /// (`benchmark/sdpa_benchmark_training/results`: `gb200_919_only_cudnn`, cuDNN 9.19, and `gpt_oss`, 9.22,
  /// 9.26), as ratios to its heads of 128 under a causal mask, of which rates are fitted above. Under
  /// windows of 128 and 1,024 a key more takes heads of 64 0.84 of the time heads of 128 take forward,
  /// 0.725 backward: as heads of 212 and 179 dimensions, queries and values together, would. What is left
  /// under a window of 128, 0.210 and 0.465 ms for 256 heads of 4,096 tokens, are 640 and 420 keys.
  /// MXFP8 at heads of 192 and 128 is 1.57 and 1.35 times as fast as bf16 (`dsv3`, GB300; 4,096 and 8,192
  /// tokens), for a peak of twice; exponentials, which are no faster, leave 1.47 of the former here.
  static let blackwellAttention = AttentionConstantsTable.PassPair(
    forward: AttentionConstants(
      efficiency: 0.723, softmaxDimensions: 19.6, prologueKeys: 0, tail: 1.8,
      leastDimensions: 212, windowKeys: 640, narrowFormats: 0.78),
    backward: AttentionConstants(
      efficiency: 0.578, softmaxDimensions: 23.7, prologueKeys: 98, tail: 0.206,
      leastDimensions: 179, windowKeys: 420, narrowFormats: 0.68))

  /// FlashAttention-2 on a B200: Ampere's instructions, which do not reach its matrix units' rate.
  ///
  /// Per multiprocessor and cycle it is what it is on an H100, so softmax, prologue and tail are
  /// Hopper's; the rates are the medians of 12 forward and 6 backward timings without a mask
  /// (Dao-AILab/flash-attention, issue 1589; meta-pytorch/tritonbench, pull request 171), 1.08 and
  /// 1.16 of those of Hopper's with 148 multiprocessors.
  static let blackwellFlash2 = AttentionConstantsTable.PassPair(
    forward: AttentionConstants(efficiency: 0.188, softmaxDimensions: 22.5, prologueKeys: 155),
    backward: AttentionConstants(efficiency: 0.213, softmaxDimensions: 48, prologueKeys: 280))

  /// H100 limited to 500 W.
  ///
  /// Near its power limit a GPU's dynamic power goes with about the square of the clock (voltage
  /// follows it in part): (500/700)^(1/2) = 0.845 of the clock at 700 W.
  static let hopper500 = hopper.clocked(hopper.sustainedClock * 0.845)

  /// The constants of a part whose power limit is `share` of the one they are for, at most 1.
  ///
  /// The clock follows the root of it, as in ``hopper500``: an A100 PCIe at 300 of 400 W runs linear
  /// layers at 0.87 of the clock, 13 % slower than the SXM part by 183 timings (`Hardware.md`).
  public func limited(toPowerShare share: Double) -> KernelConstants {
    clocked(sustainedClock * min(1, share).squareRoot())
  }

  /// The constants refined on whole training steps.
  ///
  /// Fitted by `scripts/fit-steps` on the rows of `Sources/Studies/Measured`, which also says what the
  /// fit is worth on models and families it has not seen; see `Results/validation.md`.
  ///
  /// - Parameters:
  ///   - clock: the sustained clock.
  ///   - attention: rate of attention over its benchmark's.
  ///   - flash1: the same of the first FlashAttention.
  ///   - flash3: the same of FlashAttention-3's class; `nil` where the library's kernel is none of it.
  ///   - triton: the same of FlashAttention in Triton over FlashAttention-2's benchmark.
  ///   - deterministicFlash3: see ``deterministicFlash3``; of FlashAttention-4 on a B200 934 of 1,118
  ///     TFLOP/s (Dao-AILab/flash-attention, pull request 2280, one thread block a tile).
  /// - Returns: the constants with these.
  func inTraining(
    clock: Double, attention: Double, flash1: Double? = nil, flash3: Double? = nil,
    triton: Double? = nil, deterministicFlash3: Double? = nil
  ) -> KernelConstants {
    var constants = clocked(clock)
    constants.trainingAttention = attention
    constants.trainingFlash1 = flash1 ?? attention
    constants.trainingFlash3 = flash3 ?? attention
    constants.trainingTriton = triton ?? constants.trainingTriton
    constants.deterministicFlash3 = deterministicFlash3 ?? constants.deterministicFlash3
    return constants
  }

  /// The constants where the library's backward pass pads dimensions of more than 128 further.
  func paddingBackward(to multiple: Int) -> KernelConstants {
    var constants = self
    constants.backwardPadding = multiple
    return constants
  }

  /// The constants at another sustained clock.
  func clocked(_ sustainedClock: Double) -> KernelConstants {
    var constants = self
    constants.sustainedClock = sustainedClock
    return constants
  }
}

extension AttentionConstantsTable.PassPair {
  /// The same constants in both directions, from timings of both together.
  static func both(_ constants: AttentionConstants) -> Self {
    Self(forward: constants, backward: constants)
  }
}
