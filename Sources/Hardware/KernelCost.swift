public import Kernels
import Quantities

/// Device time of kernels on one GPU type.
///
/// Built once per GPU; ``seconds(for:)`` is pure, allocates nothing and takes well under a
/// microsecond: a layout search calls it millions of times. Time on the host (launching) is not in
/// it.
public struct KernelCost: Sendable {
  /// Seconds of a tile at efficiency 1 for one multiply-add, by format: 2 / (rate of one
  /// multiprocessor).
  private let secondsPerMultiplyAdd: [Double]
  /// Cost of a batched multiply whose rows are not aligned over an aligned one, by format.
  private let misalignedBatchCost: [Double]
  /// Rate of the whole GPU for attention before the implementation's efficiency, by format.
  let attentionRate: [Double]
  /// HBM bytes a second that matrix multiplies get.
  private(set) var matmulMemoryRate: Double
  /// HBM bytes a second that streaming passes get, by kind.
  private(set) var streamingRate: [Double]
  /// L2 bytes a second.
  let cacheRate: Double
  /// Bytes of L2 that a pass finds, or leaves behind unwritten.
  let residentBytes: Double
  /// Bytes of L2.
  private let cacheBytes: Double
  let multiprocessors: Double
  /// Multiprocessors that are free for a kernel; the library chooses tiles and parts for all of them.
  private(set) var available: Double
  /// Clock that is held, over the data sheet's.
  private let clock: Double
  private let tiles: [PreparedTile]
  let constants: KernelConstants

  /// The shortest stretch of an inner product worth giving to a multiprocessor of its own.
  private static let minimumSplit = 512.0

  /// A tile with what does not depend on the multiply.
  private struct PreparedTile: Sendable {
    var rows: Int
    var columns: Int
    /// Values of the tile, divided by its efficiency.
    var weightedArea: Double
  }

  /// Largest part of the data sheet's rate that multiplies reach in `format`.
  ///
  /// Above 1 on boards that run faster than the clock it is printed for.
  public func bestMatmulShare(in format: NumberFormat) -> Double {
    (constants.matmulEfficiency[format] ?? constants.defaultMatmulEfficiency) * clock
  }

  /// The costs of kernels on the slowest of `count` GPUs.
  public init(gpu: GPU, slowestOf count: Int = SlowestGPU.usualCount) {
    let constants = gpu.kernels
    let clock =
      constants.sustainedClock
      * SlowestGPU.clock(of: count, spread: constants.clockSpread)
    let units = Double(gpu.multiprocessors)
    self.constants = constants
    self.clock = clock
    multiprocessors = units
    available = units
    tiles = constants.tiles.map { tile in
      PreparedTile(
        rows: tile.rows, columns: tile.columns,
        weightedArea: Double(tile.rows * tile.columns) / constants.tileEfficiency(tile))
    }
    secondsPerMultiplyAdd = NumberFormat.allCases.map { format in
      let efficiency = constants.matmulEfficiency[format] ?? constants.defaultMatmulEfficiency
      let rate = gpu.peak(of: format).flopsPerSecond * efficiency * clock
      return 2 * units / rate
    }
    misalignedBatchCost = NumberFormat.allCases.map { format in
      max(
        1,
        gpu.peak(of: format).flopsPerSecond / gpu.peak(of: .fp32).flopsPerSecond
          * Self.misalignedBatchShare)
    }
    attentionRate = NumberFormat.allCases.map { format in
      gpu.peak(of: format).flopsPerSecond * clock
    }
    let memoryRate = gpu.memoryRate.bytesPerSecond
    matmulMemoryRate = memoryRate * constants.matmulMemoryFraction
    streamingRate = StreamingKind.allCases.map { memoryRate * constants.streaming[$0] }
    cacheRate = memoryRate * constants.cacheSpeedup
    cacheBytes = Double(gpu.cache.count)
    residentBytes = cacheBytes * constants.cacheResidency
  }

  /// The costs of the same kernels beside something that keeps `units` multiprocessors and the part
  /// `bandwidth` of the memory's rate, such as a collective.
  ///
  /// Libraries choose tiles for a whole GPU: a multiply of one full wave then takes two (shown for an
  /// H100 beside an all-gather in NVIDIA's developer forum, topic 337991).
  public func beside(units: Double, bandwidth: Double) -> Self {
    var cost = self
    cost.available = max(multiprocessors / 2, multiprocessors - units)
    cost.matmulMemoryRate *= 1 - bandwidth
    for index in cost.streamingRate.indices { cost.streamingRate[index] *= 1 - bandwidth }
    return cost
  }

  /// Device-side minimum duration of any kernel.
  public var kernelOverhead: Double { constants.kernelOverhead }

  /// Seconds `kernel` keeps the GPU busy.
  public func seconds(for kernel: Kernel) -> Double {
    switch kernel {
    case .matmul(let matmul): seconds(for: matmul)
    case .attention(let attention): seconds(for: attention) * attention.share
    case .scan(let scan): seconds(for: scan)
    case .stream(let stream): seconds(for: stream)
    }
  }

  /// Seconds of a matrix multiply: the best of the library's tiles.
  ///
  /// A tile of r × c takes (k · r · c multiply-adds at the rate of one multiprocessor) plus the
  /// prologue; tiles are dealt to multiprocessors in waves. Beside that runs the traffic of the
  /// operands through L2 and of the output; the two overlap, and disturb each other where they are
  /// about equal (their fourth powers add). Few tiles are split along k, at the price of writing
  /// and adding the parts.
  public func seconds(for matmul: Matmul) -> Double {
    guard matmul.m > 0, matmul.n > 0, matmul.k > 0, matmul.batch > 0 else { return 0 }
    let perMultiplyAdd = secondsPerMultiplyAdd[matmul.format.index]
    var best = Double.infinity
    var chosen = tiles[0]
    for tile in tiles {
      let seconds = seconds(
        of: matmul, tile: tile, perMultiplyAdd: perMultiplyAdd, on: multiprocessors)
      if seconds < best {
        best = seconds
        chosen = tile
      }
    }
    if available < multiprocessors {
      best = seconds(of: matmul, tile: chosen, perMultiplyAdd: perMultiplyAdd, on: available)
    }
    return constants.kernelOverhead + best
  }

  /// Seconds of `matmul` cut into `tile`s on so many multiprocessors, without the kernel overhead.
  private func seconds(
    of matmul: Matmul, tile: PreparedTile, perMultiplyAdd: Double, on units: Double
  ) -> Double {
    let tileRows = Double((matmul.m + tile.rows - 1) / tile.rows)
    let tileColumns = Double((matmul.n + tile.columns - 1) / tile.columns)
    let tiles = tileRows * tileColumns * Double(matmul.batch)
    let k = Double(matmul.k)
    let mainLoop = tile.weightedArea * k * perMultiplyAdd * alignmentCost(matmul)

    // Few tiles: split each along k so that all multiprocessors work.
    var splits = 1.0
    if tiles < multiprocessors {
      splits = max(
        1,
        min((multiprocessors / tiles).rounded(.down), (k / Self.minimumSplit).rounded(.down)))
    }
    let outputs = Double(matmul.m) * Double(matmul.n) * Double(matmul.batch)
    // Each part is written and read once as fp32.
    let reduction = splits > 1 ? 8 * outputs * splits / cacheRate : 0
    let compute =
      waves(tiles * splits, on: units) * (mainLoop / splits + constants.tilePrologue) + reduction
    let memory =
      traffic(of: matmul, tile: tile, rows: tileRows, columns: tileColumns, outputs: outputs)
      / matmulMemoryRate
    let computeSquared = compute * compute
    let memorySquared = memory * memory
    return (computeSquared * computeSquared + memorySquared * memorySquared).squareRoot()
      .squareRoot()
  }

  /// Cost of rows that do not begin on 16 bytes: operands are then loaded value by value.
  ///
  /// Matrix units are used most efficiently when dimensions are multiples of 16 bytes, and since
  /// cuBLAS 11 also, less efficiently, when they are not (NVIDIA, "Matrix Multiplication Background",
  /// section on tensor core requirements). Strided batched multiplies, those of unfused attention, fall
  /// back to the plain fp32 units: with heads of 108, 150, 225 and 450 BLOOM's designs on A100 lost 10
  /// to 44 ms a layer against heads of multiples of 8, which is all their attention products at 10
  /// TFLOP/s (bigscience chronicles-prequel; arXiv:2401.14489 has the same cliff).
  ///
  /// Rows are those in memory: of k and n values, in a weight gradient of m and n. An output
  /// projection to GPT-2's 50,257 columns pays in all three multiplies.
  @inline(__always)
  private func alignmentCost(_ matmul: Matmul) -> Double {
    let worst = ((matmul.leftIsTransposed ? matmul.m : matmul.k) | matmul.n) & 7
    if worst == 0 { return 1 }
    if matmul.batch > 1 { return misalignedBatchCost[matmul.format.index] }
    return worst & 1 == 1 ? 3 : 1.5
  }

  /// Share of the ratio of peaks, matrix units over fp32 units, that a misaligned batched multiply
  /// pays: the fp32 units lose less to their surroundings.
  private static let misalignedBatchShare = 0.7

  /// Waves that `blocks` thread blocks take on `units` multiprocessors, the last one weighted by
  /// ``KernelConstants/waveTail``.
  @inline(__always)
  private func waves(_ blocks: Double, on units: Double) -> Double {
    let exact = blocks / units
    if exact <= 1 { return 1 }
    let full = exact.rounded(.down)
    let tail = exact - full
    guard tail > 0 else { return full }
    return full + constants.waveTail + (1 - constants.waveTail) * tail
  }

  /// Bytes between HBM and L2.
  ///
  /// At least each operand once. A wave works on a near-square patch of tiles and reads the rows
  /// and columns that border it; operands beyond the size of L2 are read again by each wave. Where sums lie in
  /// on-chip memory (``KernelConstants/blockShareOfCache``), the patch is what that holds in fp32.
  private func traffic(
    of matmul: Matmul, tile: PreparedTile, rows: Double, columns: Double, outputs: Double
  ) -> Double {
    let bytes = matmul.format.bytesPerValue
    let k = Double(matmul.k)
    let operandBytes = Double(matmul.m + matmul.n) * k * bytes
    let written = outputs * matmul.outputBytesPerValue * (matmul.accumulates ? 2 : 1)
    let batch = Double(matmul.batch)
    guard operandBytes > cacheBytes else { return operandBytes * batch + written }
    let tiles = rows * columns
    let block = cacheBytes * constants.blockShareOfCache / Double(4 * tile.rows * tile.columns)
    let patch = min(tiles, max(multiprocessors, block))
    let square = (patch * Double(tile.columns) / Double(tile.rows)).squareRoot()
    let patchRows = min(rows, max(square, patch / columns))
    let patchColumns = patch / patchRows
    let border = patchRows * Double(tile.rows) + patchColumns * Double(tile.columns)
    let rereads = max(0, tiles / patch * border * k * bytes - operandBytes)
    let missed = 1 - cacheBytes / operandBytes
    return (operandBytes + rereads * missed) * batch + written
  }

  /// Seconds of a streaming pass: per launch the kernel overhead, and its bytes at the rate of L2
  /// while they fit there and at the achieved HBM rate beyond.
  public func seconds(for stream: StreamingKernel) -> Double {
    let launches = Double(max(1, stream.launches))
    let bytes = Double(stream.bytesRead) + Double(stream.bytesWritten)
    let fromMemory = (bytes - residentBytes * launches) / streamingRate[stream.kind.index]
    return launches * constants.kernelOverhead + max(bytes / cacheRate, fromMemory)
  }
}

extension NumberFormat {
  /// Position in ``NumberFormat/allCases``.
  @inline(__always)
  var index: Int {
    switch self {
    case .fp32: 0
    case .tf32: 1
    case .fp16: 2
    case .bf16: 3
    case .fp8: 4
    case .mxfp8: 5
    case .nvfp4: 6
    case .int8: 7
    }
  }
}

extension StreamingKind {
  /// Position in ``StreamingKind/allCases``.
  @inline(__always)
  var index: Int {
    switch self {
    case .pointwise: 0
    case .rowReduction: 1
    case .gather: 2
    case .multiTensor: 3
    }
  }
}
