public import Kernels
public import Quantities

/// An accelerator: what its data sheet says, and what its kernels reach.
///
/// One set of constants per type, for every model, framework and paper; each with its source.
public struct GPU: Hashable, Sendable {
  /// Catalogue name, for example `h100-sxm-80gb`.
  public var name: String
  /// Memory an allocator can hand out in all (device memory less what the driver reserves).
  public var memory: Bytes
  /// HBM bandwidth of the data sheet.
  public var memoryRate: ByteRate
  /// Dense peak of the matrix units by format, data sheet.
  public var peaks: [NumberFormat: FlopRate]
  /// Streaming multiprocessors (compute units) that thread blocks are dealt to.
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
  /// What its kernels reach of the data sheet.
  public var kernels: KernelConstants
  /// Where the figures come from, by figure.
  public var sources: [Source]
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
