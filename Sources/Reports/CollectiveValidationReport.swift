public import ScenarioFile
public import Studies
import Collectives
import Quantities

/// The error table of the collectives.
public struct CollectiveValidationReport {
  private let validation: CollectiveValidation

  /// A report on `validation`.
  public init(_ validation: CollectiveValidation) { self.validation = validation }

  private static let heading = [
    "cluster", "operation", "nodes", "rows", "≥ 1 MB median", "p90", "signed", "< 1 MB median",
    "p90", "signed",
  ]

  private var lines: [[String]] {
    func line(_ name: String, _ operation: String, _ group: CollectiveValidation.Group) -> [String]
    {
      let nodes = Set(group.rows.map(\.nodes)).sorted()
      let span = nodes.count > 1 ? "\(nodes[0])–\(nodes[nodes.count - 1])" : "\(nodes.first ?? 1)"
      return [name, operation, span, "\(group.rows.count)"] + Self.cells(group.large)
        + Self.cells(group.small)
    }
    return validation.groups.map { line($0.cluster, $0.operation.rawValue, $0) }
      + [true, false].compactMap { isOneNode in
        let group = validation.all(onOneNode: isOneNode)
        return group.rows.isEmpty
          ? nil : line(isOneNode ? "one node" : "several nodes", "all", group)
      }
  }

  private static func cells(_ errors: ValidationStatistics.Errors) -> [String] {
    guard errors.rows > 0 else { return ["", "", ""] }
    return [errors.medianAbsolute, errors.p90Absolute, errors.median].map { Format.percent($0) }
  }

  /// The table for people.
  public var text: String {
    var table = TextTable(Self.heading, leftColumns: 3)
    for line in lines { table.add(line) }
    return table.lines().joined(separator: "\n") + "\n"
  }

  /// `Results/collectives.md`.
  public var document: String {
    let table = ([Self.heading, Self.heading.map { _ in "---" }] + lines).map {
      "| " + $0.joined(separator: " | ") + " |"
    }
    return """
      # Collectives: predicted against measured

      Made by `dryrun validate --collectives` from the \(validation.rows.count) measurements of \
      `Sources/Studies/Measured/collectives.csv`, each with its source. Errors are predicted / measured \
      time − 1; median and p90 of the absolute value, and the signed median. The constants of the \
      fabric were fitted on the tables of one node (a100-sxm-80gb, h100-sxm-80gb, b200-sxm and l40s), \
      so those rows say how well the model's form fits; on the rows of several nodes two latencies were \
      fitted, named below.

      \(table.joined(separator: "\n"))

      Several nodes: the latencies of `gcp-a3-mega` (55 us) and of the EFA clusters `aws-p5` and `aws-p6-b200` \
      (65 us) were read off these very rows. Of a busy cluster (`aws-p5`) the 95th percentile of bandwidth \
      stands for the idle fabric that is predicted; which rows were left out, and why, is in \
      `Sources/Studies/Measured/README.md`. `dryrun collective --against LOG --save-cluster FILE` fits a \
      cluster of your own.

      """
  }

  /// The statistics and rows for other programs.
  public var json: JSONValue {
    [
      "schema": "dryrun.collective-validation/1",
      "groups": .array(
        validation.groups.map { group in
          [
            "cluster": .string(group.cluster), "op": .string(group.operation.rawValue),
            "one_node": .bool(group.isOneNode), "large": Self.tree(group.large),
            "small": Self.tree(group.small),
          ]
        }),
      "one_node": Self.tree(validation.all(onOneNode: true)),
      "several_nodes": Self.tree(validation.all(onOneNode: false)),
      "rows": .array(
        validation.rows.map { row in
          [
            "cluster": .string(row.cluster), "op": .string(row.operation.rawValue),
            "ranks": .integer(row.ranks), "nodes": .integer(row.nodes),
            "size_bytes": .integer(row.bytes), "measured_seconds": .number(row.measured),
            "predicted_seconds": .number(row.predicted), "source": .string(row.source),
          ]
        }),
    ]
  }

  private static func tree(_ group: CollectiveValidation.Group) -> JSONValue {
    ["large": tree(group.large), "small": tree(group.small)]
  }

  private static func tree(_ errors: ValidationStatistics.Errors) -> JSONValue {
    [
      "rows": .integer(errors.rows), "median_error": .number(errors.median),
      "median_absolute_error": .number(errors.medianAbsolute),
      "p90_absolute_error": .number(errors.p90Absolute),
    ]
  }
}
