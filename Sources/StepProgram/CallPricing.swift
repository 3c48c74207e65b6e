import Collectives
import Hardware
import Layout
import Quantities
import Transformer

/// Prices collectives by axis.
///
/// It never changes, and is too large to be copied wherever it is asked.
final class CallPricing {
  let profile: FrameworkProfile
  let collectives: CollectiveModel
  let placements: Placements
  /// Those of the data axes, between nodes with the latency the network's software adds.
  ///
  /// What comes of it is multiplied by the profile's `dataCollectiveCost`, that latency included.
  private let dataCollectives: CollectiveModel

  /// Prices on `cluster`.
  init(profile: FrameworkProfile, cluster: Cluster, placements: Placements) {
    self.profile = profile
    self.placements = placements
    collectives = CollectiveModel(cluster: cluster)
    var slower = cluster
    slower.interNode.latency += profile.tensorStepBetweenNodes
    dataCollectives = CollectiveModel(cluster: slower)
  }

  /// The collective for an exchange inside a layer; `nil` when its group has one rank.
  func call(for exchange: Exchange) -> CollectiveCall? {
    let axis: CommunicationAxis
    let category: TimeCategory
    switch exchange.axis {
    case .tensor: (axis, category) = (.tensor, .tensor)
    case .context: (axis, category) = (.context, .context)
    case .expert: (axis, category) = (.expert, .expert)
    case .expertTensor: (axis, category) = (.expertTensor, .expert)
    }
    let operation: CollectiveOperation =
      switch exchange.operation {
      case .allReduce: .allReduce
      case .allGather: .allGather
      case .reduceScatter: .reduceScatter
      case .allToAll: .allToAll
      }
    return call(operation, on: axis, bytes: exchange.bytes, category: category)
  }

  /// A collective on an axis, priced; `nil` when there is nothing to exchange.
  func call(
    _ operation: CollectiveOperation, on axis: CommunicationAxis, bytes: Int64,
    category: TimeCategory
  ) -> CollectiveCall? {
    let placement = placements.placement(of: axis)
    guard placement.ranks > 1, bytes > 0 else { return nil }
    let model = category == .data ? dataCollectives : collectives
    let plan = model.plan(operation, bytes: bytes, placement: placement)
    var duration = plan.duration
    if category == .data, placement.nodes > 1 {
      duration = SimDuration(seconds: duration.seconds * profile.dataCollectiveCost)
    }
    if axis == .tensor, placement.nodes > 1 {
      let steps = (operation == .allReduce ? 2 : 1) * (placement.ranks - 1)
      duration += profile.tensorStepBetweenNodes * steps
    }
    return CollectiveCall(
      axis: axis, operation: operation, bytes: bytes, placement: placement,
      duration: duration, category: category)
  }
}
