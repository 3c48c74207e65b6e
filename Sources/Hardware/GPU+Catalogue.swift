import Quantities

extension GPU {
  /// Every accelerator the catalogue names: the parts with timings of their own, then their relatives.
  public static let catalogue: [GPU] =
    voltaGPUs + ampereGPUs + hopperGPUs + blackwellGPUs + adaGPUs + amdGPUs + googleTPUs
    + nvidiaVariants + workstationGPUs + amdVariants + googleVariants + intelGaudis

  /// The catalogue's accelerator of that name, if there is one.
  public static func named(_ name: String) -> GPU? {
    catalogue.first { $0.name == name }
  }

  /// A part that differs from this one in some figures, each with its source; the others keep theirs.
  func variant(_ name: String, sources: [Source], _ change: (inout GPU) -> Void) -> GPU {
    var gpu = self
    gpu.name = name
    gpu.catalogueName = name
    change(&gpu)
    let own = Set(sources.map(\.figure))
    gpu.sources.removeAll { own.contains($0.figure) }
    gpu.sources += sources
    return gpu
  }

  /// A link of `gigabytes` × 10^9 bytes a second and `microseconds` of latency.
  static func link(_ gigabytes: Double, microseconds: Double) -> Link {
    Link(
      rate: .gigabytesPerSecond(gigabytes), latency: SimDuration(seconds: microseconds * 1e-6))
  }
}
