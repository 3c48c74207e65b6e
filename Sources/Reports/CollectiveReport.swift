public import Collectives
public import Hardware
public import ScenarioFile
public import Studies
import Foundation
import Quantities

/// The table of `dryrun collective`.
public struct CollectiveReport {
  /// A measurement beside what is predicted for it, before and after the links were fitted.
  public struct Comparison {
    /// The log.
    public var name: String
    /// What it holds.
    public var measured: MeasuredCollective

    /// A log called `name`.
    public init(name: String, measured: MeasuredCollective) {
      self.name = name
      self.measured = measured
    }
  }

  private let cluster: Cluster
  private let rows: [CollectiveRow]
  private let comparisons: [Comparison]
  private let fitted: Cluster?

  /// A table of `rows` on `cluster`, with measurements it is held against.
  public init(
    cluster: Cluster, rows: [CollectiveRow], comparisons: [Comparison] = [],
    fitted: Cluster? = nil
  ) {
    self.cluster = cluster
    self.rows = rows
    self.comparisons = comparisons
    self.fitted = fitted
  }

  /// `collective --json`.
  public var json: JSONValue {
    var members: [JSONValue.Member] = [
      .init("schema", "dryrun.collective/1"), .init("cluster", cluster.tree),
      .init("rows", .array(rows.map(tree))),
    ]
    if let fitted {
      members.append(.init("against", .array(comparisons.map { tree($0, fitted) })))
      members.append(.init("fitted_cluster", fitted.tree))
    }
    return .object(members)
  }

  private func tree(_ row: CollectiveRow) -> JSONValue {
    [
      "op": .string(row.operation.rawValue), "algorithm": .string(row.algorithm.rawValue),
      "protocol": .string(row.transferProtocol.rawValue), "ranks": .integer(row.ranks),
      "size_bytes": .integer(row.bytes), "seconds": .number(row.seconds),
      "algbw_bytes_per_second": .number(row.algorithmBandwidth),
      "busbw_bytes_per_second": .number(row.busBandwidth),
    ]
  }

  private func tree(_ comparison: Comparison, _ fitted: Cluster) -> JSONValue {
    let before = comparison.measured.ratios(on: cluster)
    let after = comparison.measured.ratios(on: fitted)
    return [
      "file": .string(comparison.name),
      "op": .string(comparison.measured.operation.rawValue),
      "ranks": .integer(comparison.measured.placement.ranks),
      "nodes": .integer(comparison.measured.placement.nodes),
      "median_absolute_error": .number(Self.medianError(before)),
      "fitted_median_absolute_error": .number(Self.medianError(after)),
      "rows": .array(
        comparison.measured.rows.indices.map { index in
          let row = comparison.measured.rows[index]
          return [
            "size_bytes": .integer(row.bytes), "measured_seconds": .number(row.seconds),
            "predicted_seconds": .number(row.seconds * before[index]),
            "fitted_seconds": .number(row.seconds * after[index]),
          ]
        }),
    ]
  }

  private static func medianError(_ ratios: [Double]) -> Double {
    let errors = ratios.map { abs($0 - 1) }.sorted()
    guard !errors.isEmpty else { return .nan }
    let middle = errors.count / 2
    return errors.count.isMultiple(of: 2)
      ? (errors[middle - 1] + errors[middle]) / 2 : errors[middle]
  }

  /// The table as nccl-tests prints it, predictions in both halves, and the comparisons.
  public var text: String {
    var lines: [String] = []
    if !rows.isEmpty { lines += table }
    for comparison in comparisons { lines += self.lines(of: comparison) }
    if let fitted {
      lines += [
        "# fitted links: intra-node \(Self.described(fitted.intraNode)) (was "
          + "\(Self.described(cluster.intraNode))), inter-node "
          + "\(Self.described(fitted.interNode)) (was \(Self.described(cluster.interNode)))"
      ]
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func described(_ link: Link) -> String {
    "\(Format.number(link.rate.bytesPerSecond / 1e9)) GB/s "
      + "\(Format.number(link.latency.seconds * 1e6)) us"
  }

  /// Column widths and headings of nccl-tests (`src/util.cu`), so that scripts that read its output read this.
  private var table: [String] {
    let operation = rows[0].operation
    var lines = [
      "# Collective test starting: \(operation.testProgram)",
      "# predicted by dryrun, nothing was run: \(rows[0].ranks) \(cluster.gpu.name), "
        + "\(cluster.gpusPerNode) a node, \(Self.described(cluster.intraNode)) inside, "
        + "\(Self.described(cluster.interNode)) between nodes, each GPU and direction",
      "#",
      "# \(Self.pad("", 10))  \(Self.pad("", 12))  \(Self.pad("", 8))  \(Self.pad("", 6))  "
        + "\(Self.pad("", 6))           out-of-place                       in-place          ",
      heading([
        "size", "count", "type", "redop", "root", "time", "algbw", "busbw", "#wrong", "time",
        "algbw", "busbw", "#wrong",
      ]),
      heading([
        "(B)", "(elements)", "", "", "", "(us)", "(GB/s)", "(GB/s)", "", "(us)", "(GB/s)",
        "(GB/s)", "",
      ]),
    ]
    let adds = [.allReduce, .reduceScatter, .reduce].contains(operation)
    let root = [.broadcast, .reduce, .gather, .scatter].contains(operation) ? "0" : "-1"
    for row in rows {
      let half =
        "  \(Self.figure(row.seconds * 1e6, 7))  \(Self.figure(row.algorithmBandwidth / 1e9, 6))"
        + "  \(Self.figure(row.busBandwidth / 1e9, 6))  \(Self.pad("N/A", 6))"
      lines.append(
        [
          Self.pad("\(row.bytes)", 12), Self.pad("\(row.bytes / 4)", 12), Self.pad("float", 8),
          Self.pad(adds ? "sum" : "none", 6), Self.pad(root, 6),
        ].joined(separator: "  ") + half + half)
    }
    let mean = rows.reduce(0) { $0 + $1.busBandwidth } / Double(rows.count) / 1e9
    lines += [
      "# Out of bounds values : 0 OK", "# Avg bus bandwidth    : \(Format.number(mean, digits: 6))",
      "#",
    ]
    // One line for each stretch of sizes on the same algorithm and protocol.
    var first = 0
    for index in rows.indices.dropFirst() where !isAlike(rows[index], rows[first]) {
      lines.append(stretch(first, index - 1))
      first = index
    }
    return lines + [stretch(first, rows.count - 1)]
  }

  private func isAlike(_ one: CollectiveRow, _ other: CollectiveRow) -> Bool {
    one.algorithm == other.algorithm && one.transferProtocol == other.transferProtocol
  }

  private func stretch(_ first: Int, _ last: Int) -> String {
    "# \(rows[first].bytes) to \(rows[last].bytes) B: \(rows[first].algorithm.rawValue), "
      + rows[first].transferProtocol.rawValue
  }

  private func heading(_ words: [String]) -> String {
    let widths = [10, 12, 8, 6, 6, 7, 6, 6, 6, 7, 6, 6, 6]
    return "# " + zip(words, widths).map { Self.pad($0, $1) }.joined(separator: "  ") + " "
  }

  private static func pad(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }

  /// A number as wide as nccl-tests makes it: two decimals while they fit.
  private static func figure(_ value: Double, _ width: Int) -> String {
    var digits = 0
    var power = 1.0
    while value >= power {
      power *= 10
      digits += 1
    }
    let format =
      digits < width - 2
      ? "%.2f" : digits < width - 1 ? "%.1f" : digits < width + 1 ? "%.0f" : "%.1e"
    return pad(String(format: format, value), width)
  }

  private func lines(of comparison: Comparison) -> [String] {
    let measured = comparison.measured
    let before = measured.ratios(on: cluster)
    let after = fitted.map { measured.ratios(on: $0) }
    var heading = ["size B", "measured us", "predicted us", "error"]
    if after != nil { heading += ["fitted us", "error"] }
    var table = TextTable(heading, leftColumns: 0)
    for (index, row) in measured.rows.enumerated() {
      var cells = [
        "\(row.bytes)", Format.number(row.seconds * 1e6, digits: 4),
        Format.number(row.seconds * before[index] * 1e6, digits: 4),
        Format.percent(before[index] - 1),
      ]
      if let after {
        cells += [
          Format.number(row.seconds * after[index] * 1e6, digits: 4),
          Format.percent(after[index] - 1),
        ]
      }
      table.add(cells)
    }
    var summary = "# median error \(Format.percent(Self.medianError(before)))"
    if let after { summary += ", \(Format.percent(Self.medianError(after))) after the fit" }
    return [
      "# \(comparison.name): \(measured.operation.rawValue), \(measured.placement.ranks) ranks on "
        + "\(measured.placement.nodes) node\(measured.placement.nodes == 1 ? "" : "s")"
    ] + table.lines() + [summary]
  }
}

extension Cluster {
  /// The links for other programs.
  fileprivate var tree: JSONValue {
    [
      "gpu": .string(gpu.name), "gpus": .integer(gpuCount), "gpus_per_node": .integer(gpusPerNode),
      "intra_node_bytes_per_second": .number(intraNode.rate.bytesPerSecond),
      "intra_node_latency_seconds": .number(intraNode.latency.seconds),
      "inter_node_bytes_per_second": .number(interNode.rate.bytesPerSecond),
      "inter_node_latency_seconds": .number(interNode.latency.seconds),
      "topology": .string(topology.rawValue), "oversubscription": .number(oversubscription),
    ]
  }
}
