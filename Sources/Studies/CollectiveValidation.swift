public import Collectives
import Foundation
import Hardware
import ScenarioFile

/// Predicted against measured collectives.
///
/// The measurements are those of `Measured/collectives.csv`: nccl-tests tables of one node, on which
/// the constants of the fabric were fitted, and tables of several nodes, on which nothing was.
public struct CollectiveValidation: Sendable {
  /// One measured time and its prediction.
  public struct Row: Sendable {
    /// Catalogue name of the cluster, or of the GPU whose usual node it ran on.
    public var cluster: String
    /// The operation.
    public var operation: CollectiveOperation
    /// Ranks.
    public var ranks: Int
    /// Nodes.
    public var nodes: Int
    /// Bytes as nccl-tests counts them.
    public var bytes: Int64
    /// Measured time in seconds.
    public var measured: Double
    /// Predicted time in seconds.
    public var predicted: Double
    /// Where it was published.
    public var source: String

    /// Predicted / measured − 1.
    public var error: Double { predicted / measured - 1 }
    /// Whether bandwidth rather than latency should decide: 1 MB or more.
    public var isLarge: Bool { bytes >= 1_000_000 }
  }

  /// Rows measured alike.
  public struct Group: Sendable {
    /// Catalogue name of the cluster.
    public var cluster: String
    /// The operation.
    public var operation: CollectiveOperation
    /// Whether on one node.
    public var isOneNode: Bool
    /// Its rows.
    public var rows: [Row]
    /// Errors of rows of 1 MB and more.
    public var large: ValidationStatistics.Errors {
      .init(rows.filter(\.isLarge).map(\.error))
    }
    /// Errors of the smaller ones.
    public var small: ValidationStatistics.Errors {
      .init(rows.filter { !$0.isLarge }.map(\.error))
    }
  }

  /// Every row, in the order of the table.
  public var rows: [Row]

  /// Predicts the rows of a table.
  ///
  /// - Parameter csv: a heading, then cluster, op, ranks, nodes, bytes, microseconds, source; lines
  ///   that are not of that form or name unknown parts are skipped.
  public init(csv: String) {
    rows = csv.split(whereSeparator: \.isNewline).dropFirst().compactMap { line in
      let cells = line.split(separator: ",", maxSplits: 6)
      guard cells.count == 7, let design = ClusterDesign.named(String(cells[0])),
        let operation = CollectiveOperation(rawValue: String(cells[1])), let ranks = Int(cells[2]),
        let nodes = Int(cells[3]), let bytes = Int64(cells[4]),
        let microseconds = Double(cells[5]), nodes > 0, ranks.isMultiple(of: nodes)
      else { return nil }
      let plan = CollectiveModel(cluster: design.cluster(gpus: ranks)).plan(
        operation, bytes: bytes,
        placement: GroupPlacement(ranks: ranks, ranksPerNode: ranks / nodes, groupsPerNode: 1))
      return Row(
        cluster: design.name, operation: operation, ranks: ranks, nodes: nodes, bytes: bytes,
        measured: microseconds * 1e-6, predicted: plan.seconds, source: String(cells[6]))
    }
  }

  /// The measurements that come with the program.
  public static var shipped: CollectiveValidation {
    let file = Bundle.module.url(
      forResource: "collectives", withExtension: "csv", subdirectory: "Measured")
    return CollectiveValidation(
      csv: file.flatMap { try? String(contentsOf: $0, encoding: .utf8) } ?? "")
  }

  /// Rows by cluster, operation, and whether on one node; in the order they first appear.
  public var groups: [Group] {
    var groups: [Group] = []
    for row in rows {
      let index = groups.firstIndex {
        $0.cluster == row.cluster && $0.operation == row.operation
          && $0.isOneNode == (row.nodes == 1)
      }
      if let index {
        groups[index].rows.append(row)
      } else {
        groups.append(
          Group(
            cluster: row.cluster, operation: row.operation, isOneNode: row.nodes == 1, rows: [row]))
      }
    }
    return groups
  }

  /// Every row on one node, or every row on several.
  public func all(onOneNode: Bool) -> Group {
    Group(
      cluster: "all", operation: .allReduce, isOneNode: onOneNode,
      rows: rows.filter { ($0.nodes == 1) == onOneNode })
  }
}
