public import Hardware
public import Kernels
public import Quantities

/// What a GPU draws on average over a step, from what it does.
///
/// Matrix units draw up to the board's limit, streaming passes less, waiting and communication less
/// still (``ActivityPower``). The time on matrix units is the step's operations at the rate the main
/// loop of a large multiply reaches under load; the rest of the time in kernels is memory traffic.
public enum StepPower {
  /// The mean draw of one GPU.
  ///
  /// - Parameters:
  ///   - breakdown: where a rank's time goes.
  ///   - hardwareFlops: operations of one GPU in it, recomputation included.
  ///   - gpu: the GPU.
  ///   - format: what its matrix units multiply.
  /// - Returns: watts between idle and the limit.
  public static func mean(
    _ breakdown: StepBreakdown, hardwareFlops: Flops, gpu: GPU, format: NumberFormat
  ) -> Watts {
    let whole = breakdown.parts.reduce(0) { $0 + $1.seconds.value }
    guard whole > 0 else { return gpu.power }
    let constants = gpu.kernels
    let reached =
      (constants.matmulEfficiency[format] ?? constants.defaultMatmulEfficiency)
      * constants.sustainedClock
    let kernels = breakdown.compute.value
    let matrix = min(
      kernels, hardwareFlops.count / (gpu.peak(of: format).flopsPerSecond * reached))
    let memory = kernels - matrix + breakdown.optimizer.value
    let waiting = whole - matrix - memory
    let activity = constants.activity
    let active =
      (matrix * activity.compute + memory * activity.memory + waiting * activity.communication)
      / whole
    return Watts(gpu.idlePower.value + active * (gpu.power.value - gpu.idlePower.value))
  }

  /// Draw of a node beside its GPUs, over the power limit of its GPUs.
  ///
  /// Processors, memory, network cards, fans, power supplies.
  ///
  /// A node of 8 H100 (8 × 700 W) draws 76 % of its rated 10.2 kW in demanding training
  /// (arXiv:2506.14551), its GPUs 85 % of their limit (arXiv:2503.05804): 7.75 kW − 4.76 kW.
  public static let nodeShare = 0.53
}
