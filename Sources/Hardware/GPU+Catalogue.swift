import Quantities

extension GPU {
  /// Every accelerator the catalogue names, oldest first.
  public static let catalogue: [GPU] =
    voltaGPUs + ampereGPUs + hopperGPUs + blackwellGPUs + adaGPUs + amdGPUs + googleTPUs

  /// The catalogue's accelerator of that name, if there is one.
  public static func named(_ name: String) -> GPU? {
    catalogue.first { $0.name == name }
  }

  /// A link of `gigabytes` × 10^9 bytes a second and `microseconds` of latency.
  static func link(_ gigabytes: Double, microseconds: Double) -> Link {
    Link(
      rate: .gigabytesPerSecond(gigabytes), latency: SimDuration(seconds: microseconds * 1e-6))
  }
}
