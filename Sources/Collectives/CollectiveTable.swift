/// One line of an nccl-tests style table.
public struct CollectiveRow: Hashable, Sendable {
  /// The operation.
  public var operation: CollectiveOperation
  /// The algorithm in use.
  public var algorithm: CollectiveAlgorithm
  /// The protocol in use.
  public var transferProtocol: TransferProtocol
  /// Members.
  public var ranks: Int
  /// Size in bytes as nccl-tests counts it.
  public var bytes: Int64
  /// Time on an idle fabric.
  public var seconds: Double
  /// Size over time, bytes a second.
  public var algorithmBandwidth: Double
  /// ``algorithmBandwidth`` times the operation's factor: what the busiest port carries.
  public var busBandwidth: Double

  /// Puts another time in, and the bandwidths that follow from it.
  public mutating func take(seconds: Double) {
    self.seconds = seconds
    algorithmBandwidth = seconds > 0 ? Double(bytes) / seconds : 0
    busBandwidth = algorithmBandwidth * operation.busFactor(ranks: ranks)
  }
}

/// An nccl-tests style table: one operation over a list of sizes.
public struct CollectiveTable: Hashable, Sendable {
  /// The lines, in order of the sizes.
  public var rows: [CollectiveRow]

  /// Prices `operation` for each size.
  public init(
    _ operation: CollectiveOperation, sizes: [Int64], placement: GroupPlacement,
    model: CollectiveModel, algorithm: CollectiveAlgorithm? = nil
  ) {
    rows = sizes.map { size in
      let plan = model.plan(
        operation, bytes: size, placement: placement, algorithm: algorithm)
      let rate = plan.seconds > 0 ? Double(size) / plan.seconds : 0
      return CollectiveRow(
        operation: operation, algorithm: plan.algorithm,
        transferProtocol: plan.transferProtocol, ranks: placement.ranks, bytes: size,
        seconds: plan.seconds, algorithmBandwidth: rate,
        busBandwidth: rate * operation.busFactor(ranks: placement.ranks))
    }
  }
}

extension CollectiveOperation {
  /// Bus bandwidth over algorithm bandwidth (nccl-tests, `doc/PERFORMANCE.md`).
  ///
  /// 2 (n − 1) / n for all-reduce, (n − 1) / n for all-gather, reduce-scatter, all-to-all, gather and scatter,
  /// 1 otherwise.
  public func busFactor(ranks: Int) -> Double {
    let others = Double(ranks - 1) / Double(ranks)
    return switch self {
    case .allReduce: 2 * others
    case .allGather, .reduceScatter, .allToAll, .gather, .scatter: others
    case .broadcast, .reduce, .sendReceive: 1
    }
  }
}
