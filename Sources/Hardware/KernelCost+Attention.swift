public import Kernels

extension KernelCost {
  /// Seconds of a fused attention kernel.
  ///
  /// Thread blocks take 128 queries (backward: keys) of one head each and run along the keys they
  /// may see. A score costs its products (``AttentionKernel/flops``, heads padded to a multiple of
  /// ``KernelConstants/headMultiple`` or more) and its softmax; a block costs its scores and a prologue. The GPU is done when the average
  /// multiprocessor is, plus the tail; under a causal mask the longest block is twice the average.
  /// Reading and writing the tensors once is the floor. A backward pass that adds in the same order
  /// every time is slower: ``KernelConstants/deterministicFlash3``, `AttentionKernel.deterministicParts(sequences:units:)`.
  public func seconds(for attention: AttentionKernel) -> Double {
    let constants = self.constants.attention[
      attention.algorithm, attention.pass, own: attention.runsOwnKernels]
    let isNarrow = attention.format.bytesPerValue < 2
    let scoresPerQuery = computedKeys(attention, constants, isNarrow: isNarrow)
    let sequences = Double(attention.batch) * Double(attention.heads)
    guard scoresPerQuery > 0, sequences > 0, attention.queryLength > 0 else { return 0 }
    let queryKey = padded(attention.headDimension, in: attention)
    let value = padded(attention.valueDimension, in: attention)
    let products =
      switch attention.pass {
      case .forward: 2 * (queryKey + value)
      case .backward: 2 * (3 * queryKey + 2 * value)
      }
    let dimensions = queryKey + value
    let perScore = products * (1 + constants.softmaxDimensions / dimensions)
    let inTraining =
      switch attention.algorithm {
      case .flash1: self.constants.trainingFlash1
      case .flash3: self.constants.trainingFlash3
      case .flashTriton: self.constants.trainingTriton
      default: self.constants.trainingAttention
      }
    let unit = constants.efficiency * inTraining / multiprocessors
    let rate =
      attentionRate[attention.format.index] * unit * (isNarrow ? constants.narrowFormats : 1)
    // Exponentials are no faster in narrow formats.
    let least =
      products * (constants.leastDimensions + constants.softmaxDimensions) / dimensions
      / (attentionRate[(isNarrow ? NumberFormat.bf16 : attention.format).index] * unit)
    let secondsPerScore = max(perScore / rate, constants.leastDimensions > 0 ? least : 0)
    let blockRows = 128.0
    let blocks = sequences * (Double(attention.queryLength) / blockRows).rounded(.up)
    let average = blockRows * (scoresPerQuery + constants.prologueKeys) * secondsPerScore
    let longest = max(1, min(2, 1 / attention.computedFraction))
    let dropout =
      attention.dropsScores ? blockRows * scoresPerQuery * Self.dropoutSeconds : 0
    let tail = attention.isFollowed ? 0 : constants.tail * longest
    let usual = max(blocks / available + tail, longest)
    guard attention.isDeterministic, attention.pass == .backward else {
      let memory = bytes(of: attention) / matmulMemoryRate
      return self.constants.kernelOverhead + max(usual * (average + dropout), memory)
    }
    let memory = bytes(of: attention) / matmulMemoryRate
    if attention.algorithm == .flash3 {
      let compute = usual * (average / self.constants.deterministicFlash3 + dropout)
      return self.constants.kernelOverhead + max(compute, memory)
    }
    let parts = Double(
      AttentionKernel.deterministicParts(
        sequences: attention.batch * attention.heads, units: Int(multiprocessors)))
    let waves = (parts * sequences / available).rounded(.up)
    let compute = waves * (blocks / sequences / parts).rounded(.up) * (average + dropout)
    let sums = 4 * parts * Double(attention.queryLength * attention.headDimension) * sequences
    return self.constants.kernelOverhead + max(compute, memory)
      + 2 * sums / streamingRate[StreamingKind.pointwise.index]
  }

  /// Keys a query is charged for, on average.
  ///
  /// In 8-bit formats the library's backward pass computes what a window masks too: on a GB200 its time
  /// grows with the square of the sequence under a window of 128 (`gpt_oss` in cudnn-frontend's
  /// `sdpa_benchmark_training`, cuDNN 9.19 to 9.26).
  private func computedKeys(
    _ attention: AttentionKernel, _ constants: AttentionConstants, isNarrow: Bool
  ) -> Double {
    let seen = Double(attention.keyLength) * attention.computedFraction
    guard attention.hasWindow, seen > 0 else { return seen }
    let whole = Double(attention.keyLength) / 2
    if isNarrow, attention.pass == .backward { return max(seen, whole) }
    return max(seen, min(seen + constants.windowKeys, whole))
  }

  /// A head's dimension as a kernel computes it.
  private func padded(_ dimension: Int, in attention: AttentionKernel) -> Double {
    let isWide = attention.pass == .backward && dimension > 128 && !attention.runsOwnKernels
    let multiple =
      isWide ? max(constants.backwardPadding, constants.headMultiple) : constants.headMultiple
    return Double((dimension + multiple - 1) / multiple * multiple)
  }

  /// Seconds a multiprocessor takes to decide whether a score is dropped.
  ///
  /// FlashAttention draws 16 bytes with each Philox 4×32-10 call, a score's threshold a byte
  /// (`csrc/flash_attn/src/dropout.h`, `philox.cuh`): ten rounds of two wide multiplies (two slots each)
  /// and four logical operations are 80 operations for 16 scores, comparing and selecting a score five
  /// more: ten, in both directions. A multiprocessor does 64 integer operations a cycle from Volta to
  /// Blackwell (CUDA C programming guide, arithmetic throughput), at about 1.5 GHz. They wait in line
  /// with the softmax.
  private static let dropoutSeconds = 10 / (64 * 1.5e9)

  /// Bytes a fused attention kernel reads and writes: queries, keys, values and output once, twice
  /// as much backward.
  private func bytes(of attention: AttentionKernel) -> Double {
    let queries =
      Double(attention.queryLength) * Double(attention.heads)
      * Double(attention.headDimension + attention.valueDimension)
    let keys =
      Double(attention.keyLength) * Double(attention.keyValueHeads)
      * Double(attention.headDimension + attention.valueDimension)
    let once = Double(attention.batch) * (queries + keys) * attention.format.bytesPerValue
    return attention.pass == .forward ? once : 2 * once
  }
}
