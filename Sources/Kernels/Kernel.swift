public import Quantities

/// One piece of work a GPU is asked to do; what it costs is decided in `Hardware`.
public enum Kernel: Hashable, Sendable {
  /// A (batched) matrix multiply.
  case matmul(Matmul)
  /// Scaled-dot-product attention, fused into one kernel.
  case attention(AttentionKernel)
  /// A step of a recurrence over the sequence, fused into one kernel.
  case scan(ScanKernel)
  /// A pass over memory: normalisation, activation, residual, optimizer, copy.
  case stream(StreamingKernel)

  /// Floating-point operations on the matrix units; streaming passes count none.
  public var flops: Flops {
    switch self {
    case .matmul(let matmul): matmul.flops
    case .attention(let attention): attention.flops
    case .scan(let scan): Flops(scan.flops)
    case .stream: .zero
    }
  }
}

/// A matrix multiply `[batch] × (m × k) · (k × n)`.
public struct Matmul: Hashable, Sendable {
  /// Rows of the output; tokens in a forward pass.
  public var m: Int
  /// Columns of the output; output features in a forward pass.
  public var n: Int
  /// Length of the inner products.
  public var k: Int
  /// Independent multiplies of this shape in one launch.
  public var batch: Int
  /// Format of both inputs.
  public var format: NumberFormat
  /// Bytes written per output value.
  public var outputBytesPerValue: Double
  /// Whether the output is added to what is there (fused gradient accumulation): one more read.
  public var accumulates: Bool
  /// Whether the left operand lies in memory as k rows of m values: in a weight gradient it is the
  /// output's gradient, a row of it a token.
  public var leftIsTransposed: Bool

  /// A multiply of `batch` pairs of an m × k and a k × n matrix.
  public init(
    m: Int, n: Int, k: Int, batch: Int = 1, format: NumberFormat, outputBytesPerValue: Double = 2,
    accumulates: Bool = false, leftIsTransposed: Bool = false
  ) {
    self.m = m
    self.n = n
    self.k = k
    self.batch = batch
    self.format = format
    self.outputBytesPerValue = outputBytesPerValue
    self.accumulates = accumulates
    self.leftIsTransposed = leftIsTransposed
  }

  /// 2·m·n·k for each multiply of the batch.
  public var flops: Flops { Flops(2 * Double(m) * Double(n) * Double(k) * Double(batch)) }
}

/// Which implementation of attention runs.
public enum AttentionAlgorithm: String, Hashable, Sendable, CaseIterable {
  /// Two batched multiplies with scale, mask, softmax and dropout as separate kernels between.
  case unfused
  /// Two batched multiplies with one fused scale-mask-softmax kernel between (Megatron-LM).
  case fusedSoftmax = "fused-softmax"
  /// FlashAttention (arXiv:2205.14135).
  case flash1 = "flash-1"
  /// FlashAttention written in Triton, of 2022 (`flash_attn_triton.py` in Dao-AILab/flash-attention).
  case flashTriton = "flash-triton"
  /// FlashAttention-2 (arXiv:2307.08691), and kernels of its class (cuDNN before Hopper).
  case flash2 = "flash-2"
  /// FlashAttention-3 (arXiv:2407.08608), and kernels of its class (cuDNN 9 on Hopper and later).
  case flash3 = "flash-3"

  /// Whether the scores never leave the chip.
  public var isFlash: Bool {
    switch self {
    case .unfused, .fusedSoftmax: false
    case .flash1, .flashTriton, .flash2, .flash3: true
    }
  }
}

/// Which pass over the network a kernel belongs to.
public enum Pass: String, Hashable, Sendable {
  /// Inputs to outputs.
  case forward
  /// Output gradients to input and weight gradients.
  case backward
}

/// Fused attention of `batch` sequences.
public struct AttentionKernel: Hashable, Sendable {
  /// The implementation; one of the flash kinds.
  public var algorithm: AttentionAlgorithm
  /// Forward or backward.
  public var pass: Pass
  /// Sequences in the microbatch.
  public var batch: Int
  /// Query heads on this GPU.
  public var heads: Int
  /// Key and value heads on this GPU.
  public var keyValueHeads: Int
  /// Query positions.
  public var queryLength: Int
  /// Key positions.
  public var keyLength: Int
  /// Dimension of queries and keys.
  public var headDimension: Int
  /// Dimension of values.
  public var valueDimension: Int
  /// The part of the query × key score matrix that is computed: 1 full, about 0.5 causal, less
  /// under a sliding window.
  public var computedFraction: Double
  /// The part of the score matrix that published FLOP counts include: 1, masked half and all, but
  /// only the window's keys under a sliding window.
  public var countedFraction = 1.0
  /// How many of it are done here, or what share of it: ring attention does it in parts.
  public var share = 1.0
  /// Whether a query meets the keys of a window that moves with it: tiles are then cut at both ends of it.
  public var hasWindow = false
  /// Whether another kernel of the same kind, on a stream of its own, fills the multiprocessors that this
  /// one leaves idle at its end.
  public var isFollowed = false
  /// Whether scores are dropped at random, by numbers drawn in the kernel.
  public var dropsScores = false
  /// Whether the backward pass adds up the queries' gradient in the same order every time.
  public var isDeterministic = false
  /// Whether the flash-attn package's kernels are asked for, where frameworks run a library's by themselves.
  public var isPackaged = false
  /// Whether FlashAttention-2 runs its own kernels, not a library's.
  public var runsOwnKernels: Bool { isDeterministic || isPackaged }
  /// Format of the inputs.
  public var format: NumberFormat

  /// Attention of `heads` query heads over `batch` sequences.
  public init(
    algorithm: AttentionAlgorithm, pass: Pass, batch: Int, heads: Int, keyValueHeads: Int,
    queryLength: Int, keyLength: Int, headDimension: Int, valueDimension: Int,
    computedFraction: Double, format: NumberFormat
  ) {
    self.algorithm = algorithm
    self.pass = pass
    self.batch = batch
    self.heads = heads
    self.keyValueHeads = keyValueHeads
    self.queryLength = queryLength
    self.keyLength = keyLength
    self.headDimension = headDimension
    self.valueDimension = valueDimension
    self.computedFraction = computedFraction
    self.format = format
  }

  /// Operations done: forward 2·(d + dᵥ) per computed score; backward recomputes the scores and
  /// makes four more products, 2·(3d + 2dᵥ) (FlashAttention-2, section 3.1).
  public var flops: Flops {
    let scores =
      Double(batch) * Double(heads) * Double(queryLength) * Double(keyLength) * computedFraction
    let perScore =
      switch pass {
      case .forward: 2 * Double(headDimension + valueDimension)
      case .backward: 2 * Double(3 * headDimension + 2 * valueDimension)
      }
    return Flops(scores * perScore * share)
  }

  /// Thread blocks that share the keys of a head in FlashAttention-2's deterministic backward pass.
  ///
  /// As many as fill the GPU, rounded up: each goes along every so-manieth block of keys and adds to
  /// fp32 sums of its own, cleared before and added up behind (`gridDimx` of
  /// `run_flash_bwd_seqk_parallel` in `flash_bwd_launch_template.h`; one fits a multiprocessor). What
  /// is above the number of multiprocessors is a second wave: 160 blocks on an H100's 132 for two
  /// sequences of 16 heads. There 8,192 causal tokens take 7.6 ms by this; 8.3 were measured
  /// (Dao-AILab/flash-attention, pull request 1893).
  ///
  /// - Parameters:
  ///   - sequences: heads of all sequences together.
  ///   - units: multiprocessors of the GPU.
  /// - Returns: blocks to a head, one at least.
  public static func deterministicParts(sequences: Int, units: Int) -> Int {
    max(1, (units + sequences - 1) / sequences)
  }
}

/// What a streaming pass does with the bytes; decides the fraction of memory bandwidth it gets.
public enum StreamingKind: String, Hashable, Sendable, CaseIterable {
  /// Element by element: activation, residual, dropout, rotary, cast, copy.
  case pointwise
  /// A reduction along rows: layer norm, RMS norm, softmax, cross-entropy.
  case rowReduction
  /// Scattered rows: embedding lookup, token permutation.
  case gather
  /// Many tensors in one launch: optimizer step, gradient norm, zeroing.
  case multiTensor
}

/// A pass over memory whose arithmetic is hidden behind its traffic.
public struct StreamingKernel: Hashable, Sendable {
  /// What is done with the bytes.
  public var kind: StreamingKind
  /// Bytes read from HBM.
  public var bytesRead: Int64
  /// Bytes written to HBM.
  public var bytesWritten: Int64
  /// Kernels launched for it: an unfused sequence counts each.
  public var launches: Int

  /// A pass that reads and writes that many bytes in `launches` kernels.
  public init(_ kind: StreamingKind, read: Int64, written: Int64, launches: Int = 1) {
    self.kind = kind
    self.bytesRead = read
    self.bytesWritten = written
    self.launches = launches
  }
}
