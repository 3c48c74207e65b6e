import Collectives
import Hardware
import Kernels
import Layout
import Quantities
import Transformer

/// What collectives on the data stream cost the kernels beside them.
struct Contention {
  /// Part of their speed kernels lose, by what is kept.
  private var known: [Share: Double] = [:]
  /// The kernels of a layer, forward and backward, and their seconds alone.
  private var layer: (kernels: [Kernel], seconds: Double)?

  /// What a collective keeps: multiprocessors, and sixteenths of the memory's rate.
  private struct Share: Hashable {
    var units: Int
    var sixteenths: Int
  }

  /// Where the library is not NCCL, whose channels are known.
  private static let other = StepCompiler.interference
  /// Sixteenths of the memory's rate a collective gets at most beside kernels that want it too.
  private static let mostSixteenths = 8

  /// Part of their speed a layer's kernels lose beside a collective.
  ///
  /// What is left of the GPU is asked for the same kernels: taking s where they take a alone, they lose
  /// 1 − a/s of the time the collective runs. For four A100 and H100 under FSDP arXiv:2507.03114
  /// measured 19 % more kernel time on average and 40 % at most, most of it overlapped: 16 and 29 % of
  /// the speed.
  mutating func interference(
    of call: CollectiveCall, _ collectives: CollectiveModel, cost: KernelCost,
    kernels: () -> [Kernel]
  ) -> Double {
    guard let share = Self.share(of: call, collectives) else { return Self.other }
    if let value = known[share] { return value }
    let layer: (kernels: [Kernel], seconds: Double)
    if let found = self.layer {
      layer = found
    } else {
      let kernels = kernels()
      layer = (kernels, kernels.reduce(0) { $0 + cost.seconds(for: $1) })
    }
    self.layer = layer
    let value = Self.lost(of: layer.kernels, layer.seconds, beside: share, cost: cost)
    known[share] = value
    return value
  }

  /// Part of their speed `kernels` lose beside a collective inside their layer.
  static func interference(
    of call: CollectiveCall, _ collectives: CollectiveModel, cost: KernelCost, kernels: [Kernel]
  ) -> Double {
    guard let share = share(of: call, collectives) else { return other }
    let alone = kernels.reduce(0) { $0 + cost.seconds(for: $1) }
    return lost(of: kernels, alone, beside: share, cost: cost)
  }

  /// What a collective keeps; `nil` where the library's channels are not known.
  private static func share(of call: CollectiveCall, _ collectives: CollectiveModel) -> Share? {
    guard let units = collectives.channels(call.placement) else { return nil }
    let traffic = collectives.memoryTraffic(
      call.operation, bytes: call.bytes, call.placement, seconds: call.duration.seconds)
    let part =
      traffic.bytesPerSecond / collectives.cluster.gpu.memoryRate.bytesPerSecond
    return Share(units: units, sixteenths: min(mostSixteenths, Int((16 * part).rounded())))
  }

  /// Part of their speed kernels that take so many seconds alone lose where `share` is kept.
  private static func lost(
    of kernels: [Kernel], _ alone: Double, beside share: Share, cost: KernelCost
  ) -> Double {
    let beside = cost.beside(
      units: Double(share.units), bandwidth: Double(share.sixteenths) / 16)
    let slowed = kernels.reduce(0) { $0 + beside.seconds(for: $1) }
    return slowed > 0 ? max(0, 1 - alone / slowed) : 0
  }
}

extension StepCompiler {
  /// A call for the data stream, with what it costs the kernels beside it.
  mutating func dataCall(
    _ operation: CollectiveOperation, on axis: CommunicationAxis, bytes: Int64
  ) -> CollectiveCall? {
    guard var call = pricing.call(operation, on: axis, bytes: bytes, category: .data) else {
      return nil
    }
    let architecture = job.architecture
    let (shard, algorithm, fusion) = (self.shard, attention, profile.fusion)
    call.interference = contention.interference(
      of: call, pricing.collectives, cost: builder.cost
    ) {
      let last = architecture.layerCount - 1
      let operations = architecture.layerOperations(
        layer: last, shard: shard, algorithm: algorithm, fusion: fusion)
      return operations.flatMap { $0.forward + $0.inputGradient + $0.weightGradient }
    }
    return call
  }

  /// What stands for a collective of one rank whose data cross the host link.
  ///
  /// Nothing is exchanged, and the copy is added by whoever asks; `nil` on other axes, among several, and where
  /// none crosses.
  func copyAlone(
    _ operation: CollectiveOperation, on axis: CommunicationAxis, bytes: Int64
  ) -> CollectiveCall? {
    let placement = pricing.placements.placement(of: axis)
    guard states.offloadsParameters, axis == .shard, placement.ranks == 1, bytes > 0 else {
      return nil
    }
    return CollectiveCall(
      axis: axis, operation: operation, bytes: bytes, placement: placement, duration: .zero,
      category: .data)
  }
}
