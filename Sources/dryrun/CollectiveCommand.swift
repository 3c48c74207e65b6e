import Quantities
import ArgumentParser
import Collectives
import Foundation
import Hardware
import Reports
import RunForecast
import ScenarioFile
import StepProgram
import StepSimulation
import Studies

/// `dryrun collective`.
struct CollectiveCommand: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "collective",
    abstract: "Predict what nccl-tests would print on a cluster, or fit a cluster to what it did.",
    discussion: """
      --against compares with logs of nccl-tests (text, or JSON of its -J option) and fits rate and \
      latency of the links to them; --save-cluster writes the result as a file that a scenario's \
      cluster.like, or --cluster, can name.
      """)

  @Option(
    help: """
      all_reduce, reduce_scatter, all_gather, all_to_all, broadcast, reduce, gather, scatter or \
      sendrecv.
      """)
  var op: CollectiveOperation?

  @Option(help: "A cluster of the catalogue, or the path of a cluster or scenario file.")
  var cluster = "dgx-h100"

  @Option(help: "Ranks (default: the file's GPUs, or one node).")
  var gpus: Int?

  @Option(help: "Ranks in each node; the node's other GPUs run groups like this one meanwhile.")
  var perNode: Int?

  @Option(help: "Sizes in bytes, K = 1024: a list, 8,1K,1M, or a range that doubles, 8:8G.")
  var sizes = CollectiveSizes(values: CollectiveSizes.usual)

  @Option(
    help: """
      auto, ring, tree, halving-doubling, direct, hierarchical, in-network, nvls-tree, \
      collnet-direct or collnet-chain.
      """)
  var algorithm = AlgorithmChoice.auto

  @Option(
    help: """
      folded: closed form; full: every message on the event kernel, over links that are shared \
      (default: full where the cluster's network is out of the ordinary).
      """)
  var fidelity: Fidelity?

  @Option(help: "A log of nccl-tests to compare with; may be repeated.")
  var against: [String] = []

  @Option(help: "Write the fitted cluster to this file.")
  var saveCluster: String?

  @Flag(help: "Print the result as JSON.")
  var json = false

  @Flag(help: "Print nothing but the result and errors.")
  var quiet = false

  func validate() throws {
    if saveCluster != nil, against.isEmpty {
      throw ValidationError("--save-cluster goes with --against.")
    }
    if let gpus, !(1...16_777_216).contains(gpus) {
      throw ValidationError("--gpus \(gpus): not between 1 and 16777216.")
    }
    if let perNode, perNode < 1 { throw ValidationError("--per-node \(perNode): not positive.") }
  }

  func run(in session: Session) throws -> Int32 {
    // With ranks in a part of each node, --gpus are those of one group.
    let bytes = try session.onRoot {
      ScenarioSource(cluster: self.cluster, gpus: perNode == nil ? gpus : nil).bytes
    }
    guard let source = ScenarioSource(bytes: bytes) else {
      throw Failure(code: ExitStatus.internalError, lines: ["cluster lost on its way"])
    }
    var cluster = try session.mendable { () throws(ScenarioError) in try Cluster(source) }
    if let perNode, let gpus {
      cluster.gpuCount = max(1, gpus / perNode) * cluster.gpusPerNode
    }
    let report: CollectiveReport
    if against.isEmpty {
      report = CollectiveReport(cluster: cluster, rows: try rows(on: cluster, in: session))
    } else {
      let comparisons = try comparisons(on: cluster, in: session)
      let fitted = FabricCalibration.fit(cluster, to: comparisons.map(\.measured))
      report = CollectiveReport(
        cluster: cluster, rows: [], comparisons: comparisons, fitted: fitted)
      if let saveCluster { try save(fitted, to: saveCluster, in: session) }
    }
    session.output(json ? report.json.text : report.text)
    return ExitStatus.done
  }

  /// Where `ranks` ranks sit: as many in each node as fit and divide.
  private func placement(_ ranks: Int, on cluster: Cluster) throws -> GroupPlacement {
    if let perNode {
      guard perNode <= cluster.gpusPerNode, ranks.isMultiple(of: perNode) else {
        throw Failure(
          code: ExitStatus.usage,
          lines: [
            "--per-node \(perNode): error: \(ranks) ranks on nodes of \(cluster.gpusPerNode) GPUs "
              + "cannot sit that way"
          ])
      }
      return GroupPlacement(
        ranks: ranks, ranksPerNode: perNode, groupsPerNode: cluster.gpusPerNode / perNode)
    }
    var perNode = min(ranks, cluster.gpusPerNode)
    while !ranks.isMultiple(of: perNode) { perNode -= 1 }
    return GroupPlacement(ranks: ranks, ranksPerNode: perNode, groupsPerNode: 1)
  }

  private func rows(on cluster: Cluster, in session: Session) throws -> [CollectiveRow] {
    let ranks = gpus ?? cluster.gpuCount * (perNode ?? cluster.gpusPerNode) / cluster.gpusPerNode
    let placement = try placement(ranks, on: cluster)
    let operation = op ?? .allReduce
    let model = CollectiveModel(cluster: cluster)
    if perNode == nil, placement.ranksPerNode != min(placement.ranks, cluster.gpusPerNode),
      !quiet
    {
      session.log(
        "\(placement.ranks) ranks do not fill nodes of \(cluster.gpusPerNode): "
          + "\(placement.ranksPerNode) in each of \(placement.nodes) nodes")
    }
    var table = CollectiveTable(
      operation, sizes: sizes.values, placement: placement, model: model,
      algorithm: algorithm.algorithm)
    if (fidelity ?? (cluster.sharesLinks ? .full : .folded)) == .full, placement.ranks > 1 {
      for index in table.rows.indices {
        let plan = model.plan(
          operation, bytes: table.rows[index].bytes, placement: placement,
          algorithm: algorithm.algorithm)
        table.rows[index].take(
          seconds: try simulatedSeconds(
            plan, groups: placement.groupsPerNode, on: cluster, in: session))
      }
    }
    return table.rows
  }

  /// The time every message of a collective takes on the event kernel.
  private func simulatedSeconds(
    _ plan: CollectivePlan, groups: Int, on cluster: Cluster, in session: Session
  ) throws -> Double {
    guard let program = StepProgram.collective(plan, groups: groups, on: cluster) else {
      return plan.seconds
    }
    do {
      return try FullSimulation.run(program, communicator: session.communicator).duration.seconds
    } catch .impossible(let reason) {
      throw Failure(code: ExitStatus.usage, lines: ["--fidelity full: error: \(reason)"])
    }
  }

  /// Reads the logs; what they do not tell is taken from the command line.
  private func comparisons(
    on cluster: Cluster, in session: Session
  ) throws -> [CollectiveReport.Comparison] {
    try against.map { path in
      let bytes = try session.onRoot {
        try session.mendable { () throws(ScenarioError) in
          Array(try ScenarioSource.contents(of: path).utf8)
        }
      }
      let log = try session.mendable { () throws(ScenarioError) in
        try CollectiveLog(String(decoding: bytes, as: UTF8.self), file: path)
      }
      guard let operation = op ?? log.operation else {
        throw Failure(
          code: ExitStatus.usage, lines: ["\(path): error: names no operation; say --op"])
      }
      guard let ranks = gpus ?? log.ranks else {
        throw Failure(
          code: ExitStatus.usage, lines: ["\(path): error: names no devices; say --gpus"])
      }
      var place = try placement(ranks, on: cluster)
      if perNode == nil, let hosts = log.hosts, ranks == log.ranks, ranks.isMultiple(of: hosts) {
        place.ranksPerNode = ranks / hosts
      }
      return CollectiveReport.Comparison(
        name: path,
        measured: MeasuredCollective(operation, placement: place, rows: log.rows))
    }
  }

  private func save(_ fitted: Cluster, to path: String, in session: Session) throws {
    let file = URL(fileURLWithPath: path)
    let text = fitted.fileText(comment: [
      "Links fitted by `dryrun collective --cluster \(cluster) "
        + against.map { "--against \($0)" }.joined(separator: " ") + "`."
    ])
    try session.write(
      [(file.lastPathComponent, text)], to: file.deletingLastPathComponent().path)
    if !quiet { session.log("wrote \(path)") }
  }
}

/// An algorithm, or the library's own choice.
enum AlgorithmChoice: ExpressibleByArgument, Hashable {
  case auto
  case fixed(CollectiveAlgorithm)

  init?(argument: String) {
    if argument == "auto" {
      self = .auto
    } else if let algorithm = CollectiveAlgorithm(rawValue: argument) {
      self = .fixed(algorithm)
    } else {
      return nil
    }
  }

  var algorithm: CollectiveAlgorithm? {
    if case .fixed(let algorithm) = self { algorithm } else { nil }
  }

  var defaultValueDescription: String { "auto" }
}

/// Sizes of a table.
struct CollectiveSizes: ExpressibleByArgument {
  var values: [Int64]

  init(values: [Int64]) { self.values = values }

  /// 8 B to 8 GiB, doubling.
  static let usual = (3...33).map { Int64(1) << Int64($0) }

  /// Reads `8,1K,1M` or `8:8G`; `nil` for anything else.
  init?(argument: String) {
    if argument.contains(":") {
      let ends = argument.split(separator: ":", omittingEmptySubsequences: false)
      guard ends.count == 2, let first = Self.bytes(ends[0]), let last = Self.bytes(ends[1]),
        first <= last
      else { return nil }
      values = []
      var size = first
      while size <= last {
        values.append(size)
        size *= 2
      }
    } else {
      let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
      let sizes = parts.compactMap(Self.bytes)
      guard !sizes.isEmpty, sizes.count == parts.count else { return nil }
      values = sizes
    }
  }

  var defaultValueDescription: String { "8:8G" }

  /// A size as nccl-tests reads it: K, M, G, T are powers of 1024.
  ///
  /// At most 1 PiB.
  private static func bytes(_ text: Substring) -> Int64? {
    var digits = text.uppercased()
    for ending in ["IB", "B"] where digits.hasSuffix(ending) {
      digits.removeLast(ending.count)
      break
    }
    var factor: Int64 = 1
    if let power = digits.last.flatMap({ "KMGT".firstIndex(of: $0) }) {
      factor = Int64(1) << Int64(10 * ("KMGT".distance(from: "KMGT".startIndex, to: power) + 1))
      digits.removeLast()
    }
    guard let count = Int64(digits), count > 0, count <= (Int64(1) << 50) / factor else {
      return nil
    }
    return count * factor
  }
}
