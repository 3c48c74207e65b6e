public import Kernels
public import Quantities

/// An accelerator: what its data sheet says, and what its kernels reach.
///
/// One set of constants per type, for every model, framework and paper; each with its source.
public struct GPU: Hashable, Sendable {
  /// Catalogue name, for example `h100-sxm-80gb`.
  public var name: String
  /// Name in the catalogue of what it is, or was made from.
  ///
  /// What the library's transfers reach and how its usual node is laid goes by it, whatever the GPU is called.
  public var catalogueName: String
  /// Memory an allocator can hand out in all (device memory less what the driver reserves).
  public var memory: Bytes
  /// HBM bandwidth of the data sheet.
  public var memoryRate: ByteRate
  /// Second-level cache shared by all multiprocessors.
  public var cache: Bytes
  /// Dense peak of the matrix units by format, data sheet.
  public var peaks: [NumberFormat: FlopRate]
  /// Streaming multiprocessors (compute units, matrix units) that thread blocks are dealt to.
  public var multiprocessors: Int
  /// The link each GPU has into its scale-up domain: rate per direction, and latency.
  public var scaleUp: Link
  /// The NIC share each GPU usually has: rate per direction, and latency.
  public var scaleOut: Link
  /// GPUs that usually share one scale-up domain.
  public var scaleUpDomain: Int
  /// Host link (PCIe or C2C) rate per direction.
  public var hostRate: ByteRate
  /// Board power limit.
  public var power: Watts
  /// Power when idle.
  public var idlePower: Watts
  /// A usual rental price of one GPU for one hour.
  public var hourlyPrice: Dollars
  /// CUDA compute capability, major and minor digit.
  ///
  /// 90 is Hopper's 9.0 (NVIDIA, CUDA C++ programming guide, compute capabilities); `nil` of other makers'
  /// chips, whose collectives are not NCCL's.
  public var computeCapability: Int?
  /// What its kernels reach of the data sheet.
  public var kernels: KernelConstants
  /// Where the figures come from, by figure.
  public var sources: [Source]

  /// An accelerator from its figures.
  public init(
    name: String, memory: Bytes, memoryRate: ByteRate, cache: Bytes,
    peaks: [NumberFormat: FlopRate], multiprocessors: Int, scaleUp: Link, scaleOut: Link,
    scaleUpDomain: Int, hostRate: ByteRate, power: Watts, idlePower: Watts, hourlyPrice: Dollars,
    computeCapability: Int? = nil, kernels: KernelConstants, sources: [Source]
  ) {
    self.name = name
    catalogueName = name
    self.memory = memory
    self.memoryRate = memoryRate
    self.cache = cache
    self.peaks = peaks
    self.multiprocessors = multiprocessors
    self.scaleUp = scaleUp
    self.scaleOut = scaleOut
    self.scaleUpDomain = scaleUpDomain
    self.hostRate = hostRate
    self.power = power
    self.idlePower = idlePower
    self.hourlyPrice = hourlyPrice
    self.computeCapability = computeCapability
    self.kernels = kernels
    self.sources = sources
  }

  /// The rate at which operands of `format` are multiplied.
  ///
  /// The data sheet's, or that of the nearest format the GPU has when it has no units for this one.
  ///
  /// Block-scaled formats fall back to plain fp8, 8 bits to 16, fp16 to bf16, tf32 and fp32 to each
  /// other and then to bf16 (a TPU's default precision). A GPU with fp16 but no bf16 (V100)
  /// multiplies bf16 at its fp32 rate.
  public func peak(of format: NumberFormat) -> FlopRate {
    peaks[multiplied(format)] ?? peaks.values.min() ?? FlopRate(flopsPerSecond: 1)
  }

  /// The format at whose rate operands of `format` are multiplied: itself where the GPU has units for it.
  public func multiplied(_ format: NumberFormat) -> NumberFormat {
    ([format] + Self.substitutes(for: format)).first { peaks[$0] != nil } ?? format
  }

  /// Formats that stand in for `format`, nearest first.
  private static func substitutes(for format: NumberFormat) -> [NumberFormat] {
    switch format {
    case .nvfp4: [.mxfp8, .fp8, .bf16, .fp16]
    case .mxfp8: [.fp8, .bf16, .fp16]
    case .fp8, .int8: [.bf16, .fp16]
    case .bf16: [.fp32]
    case .fp16: [.bf16, .fp32]
    case .tf32: [.fp32, .bf16]
    case .fp32: [.tf32, .bf16]
    }
  }
}

/// A point-to-point connection, one direction.
public struct Link: Hashable, Sendable {
  /// Bytes a second.
  public var rate: ByteRate
  /// Time until the first byte arrives.
  public var latency: SimDuration

  /// A link of that rate and latency.
  public init(rate: ByteRate, latency: SimDuration) {
    self.rate = rate
    self.latency = latency
  }
}

/// Where a figure comes from.
public struct Source: Hashable, Sendable {
  /// Which figure.
  public var figure: String
  /// Document, page, file or fit.
  public var origin: String

  /// The origin of one figure.
  public init(_ figure: String, _ origin: String) {
    self.figure = figure
    self.origin = origin
  }
}
