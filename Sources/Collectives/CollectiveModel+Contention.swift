import Hardware
public import Quantities

/// What a collective takes from the kernels that run beside it.
extension CollectiveModel {
  /// Multiprocessors a collective keeps: a thread block for each of NCCL's channels; `nil` of chips whose
  /// library uses others (AMD, TPU, Gaudi).
  ///
  /// Inside a node twice the links of a GPU, at most 24 (an all-gather on an H100 launches 24 blocks:
  /// NVIDIA developer forum, topic 337991); 12 of a V100 with its six links. Between nodes two a card that
  /// the group drives, from Hopper on and with fast cards four while they are fewer than 16 (NCCL
  /// `src/graph/connect.cc`, `ncclTopoPostset`). Over PCIe, which one ring fills, two.
  public func channels(_ placement: GroupPlacement) -> Int? {
    guard let capability = cluster.gpu.computeCapability else { return nil }
    if placement.nodes == 1 {
      if cluster.node.kind == .pcie { return 2 }
      return capability < 80 ? 12 : 24
    }
    let cards =
      min(placement.ranksPerNode, max(1, cluster.gpusPerNode / max(placement.groupsPerNode, 1)))
    let channels = min(2 * cards, 24)
    let isFast = cluster.interNode.rate.bytesPerSecond > 45e9 && capability >= 90
    return isFast && channels < 16 ? min(2 * channels, 16) : channels
  }

  /// Bytes of a rank's memory a second that a collective reads and writes.
  ///
  /// A ring all-gather writes what it receives and reads it again to pass it on; a reduction reads what it
  /// adds to besides; an all-reduce is both.
  ///
  /// - Parameters:
  ///   - operation: what is exchanged.
  ///   - bytes: its size in the sense of nccl-tests.
  ///   - placement: among whom.
  ///   - seconds: how long it takes.
  /// - Returns: bytes read and written a second.
  public func memoryTraffic(
    _ operation: CollectiveOperation, bytes: Int64, _ placement: GroupPlacement, seconds: Double
  ) -> ByteRate {
    let touched: Double =
      switch operation {
      case .reduceScatter, .reduce: 3
      case .allReduce: 5
      default: 2
      }
    let moved = Double(bytes) * Double(placement.ranks - 1) / Double(placement.ranks)
    return ByteRate(bytesPerSecond: touched * moved / max(seconds, 1e-9))
  }
}
