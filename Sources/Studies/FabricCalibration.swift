import Foundation
public import Collectives
public import Hardware
import Quantities
public import ScenarioFile

/// A measured collective and where its ranks sat.
public struct MeasuredCollective: Hashable, Sendable {
  /// The operation.
  public var operation: CollectiveOperation
  /// Where its ranks sat.
  public var placement: GroupPlacement
  /// Sizes and times.
  public var rows: [CollectiveLog.Row]

  /// A measured collective from its parts.
  public init(
    _ operation: CollectiveOperation, placement: GroupPlacement, rows: [CollectiveLog.Row]
  ) {
    self.operation = operation
    self.placement = placement
    self.rows = rows
  }

  /// Predicted over measured time of each row.
  ///
  /// - Parameter cluster: where it is predicted to run.
  /// - Returns: one ratio a row.
  public func ratios(on cluster: Cluster) -> [Double] {
    let model = CollectiveModel(cluster: cluster)
    return rows.map {
      model.plan(operation, bytes: $0.bytes, placement: placement).seconds / $0.seconds
    }
  }
}

/// Fits the links of a cluster to measured collectives.
public enum FabricCalibration {
  /// The cluster with the link rates and latencies that suit the measurements best.
  ///
  /// Two numbers for each kind of link: the inside of a node from measurements on one node, the
  /// network from those on several. Everything else (protocols, steps, fractions) stays as it was
  /// fitted on many machines. The sum over rows of |ln(predicted / measured)| is least on a
  /// logarithmic grid that is refined around its best point; a kind of link nothing was measured on
  /// stays as it is.
  ///
  /// - Parameters:
  ///   - cluster: where it starts: the design of the cluster, as far as it is known.
  ///   - measured: one entry a log.
  /// - Returns: the cluster with other links.
  public static func fit(_ cluster: Cluster, to measured: [MeasuredCollective]) -> Cluster {
    var cluster = cluster
    let inside = measured.filter { $0.placement.nodes == 1 && $0.placement.ranks > 1 }
    let across = measured.filter { $0.placement.nodes > 1 }
    if !inside.isEmpty { fit(&cluster, \.intraNode, to: inside) }
    if !across.isEmpty { fit(&cluster, \.interNode, to: across) }
    return cluster
  }

  /// Points on each side of the best one in a round.
  private static let reach = 12
  /// Rounds; each spans a third of the one before.
  private static let rounds = 6

  private static func fit(
    _ cluster: inout Cluster, _ link: WritableKeyPath<Cluster, Link>,
    to measured: [MeasuredCollective]
  ) {
    let start = cluster[keyPath: link]
    // Natural logarithms: a rate within a factor 20 of the start's, a latency within a factor 100.
    var best = (rate: 0.0, latency: 0.0, error: Double.infinity)
    var span = (rate: log(20.0), latency: log(100.0))
    for _ in 0..<rounds {
      let centre = best
      for rate in -reach...reach {
        for latency in -reach...reach {
          let point = (
            rate: centre.rate + span.rate * Double(rate) / Double(reach),
            latency: centre.latency + span.latency * Double(latency) / Double(reach)
          )
          var trial = cluster
          trial[keyPath: link] = Link(
            rate: start.rate * exp(point.rate),
            latency: SimDuration(seconds: start.latency.seconds * exp(point.latency)))
          let error = measured.reduce(0.0) { sum, entry in
            entry.ratios(on: trial).reduce(sum) { $0 + abs(log($1)) }
          }
          if error < best.error { best = (point.rate, point.latency, error) }
        }
      }
      span = (span.rate / 3, span.latency / 3)
    }
    // Three digits: the measurements carry no more.
    cluster[keyPath: link] = Link(
      rate: ByteRate(bytesPerSecond: rounded(start.rate.bytesPerSecond * exp(best.rate))),
      latency: SimDuration(seconds: rounded(start.latency.seconds * exp(best.latency))))
  }

  /// A number to three significant digits.
  private static func rounded(_ value: Double) -> Double {
    guard value > 0 else { return value }
    let scale = pow(10, (log10(value)).rounded(.down) - 2)
    return (value / scale).rounded() * scale
  }
}
