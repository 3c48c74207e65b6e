public import Kernels

/// What the kernels of a GPU type reach of its data sheet: few numbers, fitted on many timings.
///
/// Every field may be changed, so that a later fit on whole training steps can refine it.
public struct KernelConstants: Hashable, Sendable {
  /// Shapes of output tile the matrix-multiply library chooses among.
  public var tiles: [MatmulTile]
  /// Multiply-adds a multiprocessor could do in the time it takes to load one operand value.
  ///
  /// Smaller tiles use each loaded value less often; see ``tileEfficiency(_:)``.
  public var operandCost: Double
  /// Fraction of the data-sheet peak that the main loop of the largest tile reaches, by format.
  ///
  /// A format not named takes ``defaultMatmulEfficiency``.
  public var matmulEfficiency: [NumberFormat: Double]
  /// The fraction for formats without timings of their own.
  public var defaultMatmulEfficiency: Double
  /// Clock under a sustained training load over the clock of a benchmark loop.
  ///
  /// The power limit decides it. Multiplies matrix-unit rates of matrix multiplies and attention.
  public var sustainedClock: Double
  /// Relative standard deviation of that clock from one GPU to another; a job runs at that of its slowest
  /// (``SlowestGPU``).
  ///
  /// Run times of equal GPUs on five clusters vary by 8 % on average (Sinha et al., SC 2022,
  /// arXiv:2208.11035): taken for the six deviations that hundreds to thousands of draws span, 1.3 %. Fitted
  /// on 55 sets of measured steps that differ in the number of GPUs only, each with its own level: 1.4 % in
  /// the median of what they want, 2.3 % of NVIDIA's at 16 to 2,304 GPUs.
  public var clockSpread = 0.015
  /// Seconds a thread block spends outside its main loop: filling the pipeline, writing the tile.
  public var tilePrologue: Double
  /// How much of a full wave a partly filled last wave costs beyond its share.
  ///
  /// 1 is plain wave quantisation, 0 perfect balancing (stream-K).
  public var waveTail: Double
  /// Device-side minimum duration of any kernel in seconds.
  public var kernelOverhead: Double
  /// Fraction of HBM bandwidth that matrix multiplies get when bound by it.
  public var matmulMemoryFraction: Double
  /// Fraction of HBM bandwidth that streaming passes get, by kind.
  public var streaming: StreamingFractions
  /// L2 bandwidth over HBM bandwidth.
  public var cacheSpeedup: Double
  /// Fraction of the L2 whose content a pass finds, or leaves behind unwritten.
  public var cacheResidency: Double
  /// Share of the on-chip memory that holds the sums of one block of a multiply's output; 0 where they lie in
  /// registers, a tile for each multiprocessor.
  ///
  /// A matrix unit fed from a memory the program fills (a TPU's vector memory) works on blocks as large as that
  /// memory lets it, whatever its own width, and reads operands again for each block only.
  public var blockShareOfCache = 0.0
  /// Multiple that attention's heads are filled up to: what the matrix units multiply at once.
  public var headMultiple = 32
  /// Constants of fused attention.
  public var attention: AttentionConstantsTable
  /// Rate of fused attention inside training steps over its rate in benchmark loops, beyond the
  /// sustained clock: real masks, unaligned strides, cold caches.
  public var trainingAttention = 1.0
  /// The same of the first FlashAttention's.
  ///
  /// Its thread blocks are one for each head and sequence (arXiv:2307.08691, section 3.2), so a rank's few
  /// of either in training leave multiprocessors idle that its benchmark's 16,384 tokens a batch fill.
  public var trainingFlash1 = 1.0
  /// The same of kernels of FlashAttention-3's class.
  ///
  /// The vendor's library, tuned for the GPU, loses less of its benchmark than FlashAttention-2 does. Up
  /// to 1 over the sustained clock: there the benchmark's own loops are reached, which met the power
  /// limit too.
  public var trainingFlash3 = 1.0
  /// Rate of FlashAttention in Triton inside training steps over that of FlashAttention-2 in benchmark
  /// loops, beyond the sustained clock.
  ///
  /// FlashAttention-2 is about 1.3 to 1.5 times as fast forward and twice as fast backward
  /// (arXiv:2307.08691, section 4.1): 0.55 for both, where no steps were measured.
  public var trainingTriton = 0.55
  /// Speed of a backward pass of FlashAttention-3's class that adds in the same order every time, over
  /// that of one that does not.
  ///
  /// FlashAttention-3 under a causal mask on an H100: 361 of 575 TFLOP/s (Dao-AILab/flash-attention,
  /// pull request 1893, "naive"); 37.9 % less at most on an H800 (arXiv:2601.21824). The blocks of keys
  /// wait for each other before they add to the queries' gradient. Nothing was found on cuDNN's.
  public var deterministicFlash3 = 0.63
  /// Multiple to which dimensions of more than 128 are padded in the library's backward pass.
  public var backwardPadding = 32
  /// Board power by activity, as a fraction of the way from idle power to the power limit.
  public var activity: ActivityPower

  /// Constants from their values.
  public init(
    tiles: [MatmulTile], operandCost: Double, matmulEfficiency: [NumberFormat: Double],
    defaultMatmulEfficiency: Double, sustainedClock: Double, tilePrologue: Double,
    waveTail: Double, kernelOverhead: Double, matmulMemoryFraction: Double,
    streaming: StreamingFractions, cacheSpeedup: Double, cacheResidency: Double,
    attention: AttentionConstantsTable, activity: ActivityPower = ActivityPower()
  ) {
    self.tiles = tiles
    self.operandCost = operandCost
    self.matmulEfficiency = matmulEfficiency
    self.defaultMatmulEfficiency = defaultMatmulEfficiency
    self.sustainedClock = sustainedClock
    self.tilePrologue = tilePrologue
    self.waveTail = waveTail
    self.kernelOverhead = kernelOverhead
    self.matmulMemoryFraction = matmulMemoryFraction
    self.streaming = streaming
    self.cacheSpeedup = cacheSpeedup
    self.cacheResidency = cacheResidency
    self.attention = attention
    self.activity = activity
  }

  /// Main-loop rate of `tile` over that of a 256 × 128 tile.
  ///
  /// A tile of r × c does r·c multiply-adds for every r + c values loaded, so a multiply-add costs
  /// 1 + a·(1/r + 1/c), with a the ``operandCost``.
  func tileEfficiency(_ tile: MatmulTile) -> Double {
    let largest = 1 + operandCost * (1.0 / 256 + 1.0 / 128)
    return largest / (1 + operandCost * (1 / Double(tile.rows) + 1 / Double(tile.columns)))
  }
}

/// An output tile of a matrix-multiply kernel.
public struct MatmulTile: Hashable, Sendable {
  /// Rows of the output one thread block makes.
  public var rows: Int
  /// Columns of the output one thread block makes.
  public var columns: Int

  /// A tile of `rows` × `columns`.
  public init(_ rows: Int, _ columns: Int) {
    self.rows = rows
    self.columns = columns
  }
}

/// Fraction of HBM bandwidth by kind of streaming pass.
public struct StreamingFractions: Hashable, Sendable {
  /// Element-wise passes.
  public var pointwise: Double
  /// Reductions along rows.
  public var rowReduction: Double
  /// Scattered rows.
  public var gather: Double
  /// Many tensors in one launch.
  public var multiTensor: Double

  /// Fractions from their values.
  public init(pointwise: Double, rowReduction: Double, gather: Double, multiTensor: Double) {
    self.pointwise = pointwise
    self.rowReduction = rowReduction
    self.gather = gather
    self.multiTensor = multiTensor
  }

  /// The fraction for `kind`.
  public subscript(kind: StreamingKind) -> Double {
    switch kind {
    case .pointwise: pointwise
    case .rowReduction: rowReduction
    case .gather: gather
    case .multiTensor: multiTensor
    }
  }
}

/// How fast one implementation of attention runs in one direction.
public struct AttentionConstants: Hashable, Sendable {
  /// Fraction of the dense peak its matrix products reach.
  public var efficiency: Double
  /// Cost of the softmax of one score, as the head dimension that would cost as much.
  ///
  /// A score costs as if half of it were added to each of the dimensions of its products. Negative
  /// for FlashAttention-1, whose wide heads spill registers: there narrow heads cost less.
  public var softmaxDimensions: Double
  /// Keys a block of queries could have met in the time it takes to start and finish.
  public var prologueKeys: Double
  /// Durations of the longest block by which the last multiprocessor outlasts the average one.
  public var tail: Double
  /// Dimensions of queries and values together below which a score costs no less: exponentials, not
  /// products, are what it waits for.
  public var leastDimensions: Double
  /// Keys beyond a moving window that a block of queries is charged for: tiles at both ends of the window
  /// are computed whole, and starting and finishing a block weighs more on few keys.
  public var windowKeys: Double
  /// Rate of products in 8-bit formats over what their peak would make of that in 16 bits.
  public var narrowFormats: Double

  /// Constants from their values.
  public init(
    efficiency: Double, softmaxDimensions: Double, prologueKeys: Double, tail: Double = 0.5,
    leastDimensions: Double = 0, windowKeys: Double = 0, narrowFormats: Double = 1
  ) {
    self.efficiency = efficiency
    self.softmaxDimensions = softmaxDimensions
    self.prologueKeys = prologueKeys
    self.tail = tail
    self.leastDimensions = leastDimensions
    self.windowKeys = windowKeys
    self.narrowFormats = narrowFormats
  }
}

/// Constants of fused attention by implementation and direction.
public struct AttentionConstantsTable: Hashable, Sendable {
  /// FlashAttention, forward and backward.
  public var flash1: PassPair
  /// FlashAttention-2 and kernels of its class.
  public var flash2: PassPair
  /// FlashAttention-3 and kernels of its class.
  public var flash3: PassPair
  /// FlashAttention-2's own kernels where ``flash2`` stands for the library's; `nil` where it is they.
  public var ownFlash2: PassPair?

  /// The two directions of one implementation.
  public struct PassPair: Hashable, Sendable {
    /// Inputs to outputs.
    public var forward: AttentionConstants
    /// Output gradients to input gradients.
    public var backward: AttentionConstants

    /// Both directions.
    public init(forward: AttentionConstants, backward: AttentionConstants) {
      self.forward = forward
      self.backward = backward
    }
  }

  /// A table from its rows.
  public init(
    flash1: PassPair, flash2: PassPair, flash3: PassPair, ownFlash2: PassPair? = nil
  ) {
    self.flash1 = flash1
    self.flash2 = flash2
    self.flash3 = flash3
    self.ownFlash2 = ownFlash2
  }

  /// The constants of `algorithm` in direction `pass`; the unfused kinds, which are built of
  /// separate kernels, and Triton's are read as FlashAttention-2, whose own kernels are read where the library has
  /// none that serve (`own`).
  public subscript(
    algorithm: AttentionAlgorithm, pass: Pass, own own: Bool = false
  ) -> AttentionConstants {
    let pair =
      switch algorithm {
      case .flash1: flash1
      case .unfused, .fusedSoftmax, .flashTriton, .flash2: own ? ownFlash2 ?? flash2 : flash2
      case .flash3: flash3
      }
    return switch pass {
    case .forward: pair.forward
    case .backward: pair.backward
    }
  }
}

/// Board power by what the GPU does, as fractions of the way from idle power to the power limit.
///
/// Training draws up to and beyond the limit while it computes, and falls far below it while the GPUs
/// synchronise; the bandwidth-bound phase of inference lies between (A100; arXiv:2308.12908, section 4).
/// On average H100 in training draw 85 % of their limit (arXiv:2503.05804). Three round numbers that
/// say so: no kernel was metered.
public struct ActivityPower: Hashable, Sendable {
  /// Matrix multiplies and attention.
  public var compute: Double
  /// Streaming passes.
  public var memory: Double
  /// Waiting for, and taking part in, communication.
  public var communication: Double

  /// Fractions from their values.
  public init(compute: Double = 1, memory: Double = 0.7, communication: Double = 0.4) {
    self.compute = compute
    self.memory = memory
    self.communication = communication
  }
}
