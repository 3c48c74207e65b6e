import Hardware
public import Quantities

/// What a collective takes from the kernels that run beside it.
extension CollectiveModel {
  /// Multiprocessors a collective keeps: a thread block for each of NCCL's channels.
  ///
  /// `nil` of chips whose library uses others (AMD, TPU, Gaudi).
  ///
  /// Inside a node twice the links of a GPU, at most 24 (an all-gather on an H100 launches 24 blocks:
  /// NVIDIA developer forum, topic 337991); 12 of a V100 with its six links. Over PCIe, which one ring
  /// fills, two. Between nodes ``channelsBetweenNodes(cards:)``.
  public func channels(_ placement: GroupPlacement) -> Int? {
    guard let capability = cluster.gpu.computeCapability else { return nil }
    if placement.nodes == 1 {
      if cluster.node.kind == .pcie { return 2 }
      return capability < 80 ? 12 : 24
    }
    let cards =
      min(placement.ranksPerNode, max(1, cluster.gpusPerNode / max(placement.groupsPerNode, 1)))
    let links = placement.ranksPerNode > 1 ? cluster.intraNode.rate.bytesPerSecond : .infinity
    return Self.channelsBetweenNodes(
      cards: cards, capability: capability,
      rate: min(cluster.interNode.rate.bytesPerSecond, links / Double(cards)) / 1e9)
  }

  /// Channels of a ring between nodes.
  ///
  /// Two for each that the search of the topology finds, which is one a card that the group drives.
  ///
  /// Those of 25 GB/s and more are halved in rate and doubled in number, beyond Ampere up to four of
  /// them only below 50 GB/s (`ncclTopoDupChannels` in NCCL's `src/graph/search.cc`; the rates it tries
  /// next above 25 are 28, and 30 from Hopper on, the highest 48, and 96 from Blackwell on). From Hopper
  /// on those of more than 45 GB/s get four while there are fewer than 16 (`ncclTopoPostset` in
  /// `src/graph/connect.cc`).
  ///
  /// - Parameters:
  ///   - cards: that the group drives in a node.
  ///   - capability: the GPU's compute capability, ten times.
  ///   - rate: GB/s of a card, or what the GPU's links leave for each, where that is less.
  /// - Returns: at most 32.
  static func channelsBetweenNodes(cards: Int, capability: Int, rate: Double) -> Int {
    var found = min(cards, 16)
    var rate = min(rate, capability >= 100 ? 96 : 48)
    if rate >= (capability >= 90 ? 30 : 28), capability <= 80 || rate >= 50 || found <= 4 {
      found = min(2 * found, 16)
      rate /= 2
    }
    let channels = 2 * found
    return capability >= 90 && rate > 45 && channels < 16 ? 2 * channels : channels
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
