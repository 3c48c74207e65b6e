import Foundation
import ScenarioFile
import Testing

/// The tables of `ScenarioKeys.md` against the keys the reader asks for.
///
/// An unknown key in every mapping makes the reader list the ones it knows there.
@Suite struct ScenarioKeyTests {
  /// `qqqqzzqq` is in no mapping, and like no key of any.
  private static let everyMapping = """
    model: mixtral-8x7b
    cluster:
      gpu: {like: h100-sxm-80gb, qqqqzzqq: 1}
      gpus: 16
      intra_node: {qqqqzzqq: 1}
      inter_node: {qqqqzzqq: 1}
      qqqqzzqq: 1
    parallelism: {offload: {qqqqzzqq: 1}, qqqqzzqq: 1}
    training:
      sequence_length: 4096
      global_batch: 128
      micro_batch: 1
      recompute: {full_layers: 1, qqqqzzqq: 1}
      moe: {qqqqzzqq: 1}
      kept_formats: {qqqqzzqq: 1}
      batch_ramp: {qqqqzzqq: 1}
      qqqqzzqq: 1
    run:
      checkpoint: {local: {qqqqzzqq: 1}, qqqqzzqq: 1}
      failures: {correlated: {qqqqzzqq: 1}, qqqqzzqq: 1}
      stragglers: {qqqqzzqq: 1}
      evaluation: {qqqqzzqq: 1}
      data_loading: {qqqqzzqq: 1}
      price: {qqqqzzqq: 1}
      power: {qqqqzzqq: 1}
      qqqqzzqq: 1
    simulation: {stragglers: [{qqqqzzqq: 1}], jitter: {qqqqzzqq: 1}, qqqqzzqq: 1}
    published: {qqqqzzqq: 1}
    qqqqzzqq: 1
    """

  /// Phases are read when nothing else is wrong.
  private static let phases = """
    model: mixtral-8x7b
    cluster: {gpu: h100-sxm-80gb, gpus: 16}
    training: {sequence_length: 4096, global_batch: 128, micro_batch: 1, tokens: 1e9}
    phases: [{qqqqzzqq: 1}]
    """

  @Test("every key that is read has its row, and every row is a key that is read")
  func rows() throws {
    var read: [String: Set<String>] = [:]
    let modules = Self.everyMapping.replacing("full_layers: 1", with: "modules: [mlp]")
    let saved = Self.everyMapping.replacing("full_layers: 1", with: "saved: [context]")
    for text in [Self.everyMapping, modules, saved, Self.phases] {
      for line in Sample.mistakes(text) {
        guard let match = line.firstMatch(of: Self.listing) else { continue }
        let path = match.path.replacing(#/\[\d+\]/#, with: "")
        let keys = match.keys.split(separator: ", ").map(String.init)
        #expect(Set(keys).count == keys.count, "a key is listed twice: \(line)")
        read[String(path), default: []].formUnion(keys)
      }
    }
    let documented = try Self.documented()
    #expect(Set(read.keys) == Set(documented.keys))
    for (path, keys) in read {
      #expect(keys == documented[path], "the mapping '\(path)'")
    }
  }

  /// `file:line:column: error: a.b.qqqqzzqq: unknown key; the keys here are c, d`.
  private static var listing: Regex<(Substring, path: Substring, keys: Substring)> {
    #/error: (?<path>[^ ]*?)\.?qqqqzzqq: unknown key; the keys here are (?<keys>.*)$/#
  }

  /// The first column of each section's table, by the mapping it is headed with; "" for the top.
  private static func documented() throws -> [String: Set<String>] {
    let page = URL(filePath: #filePath).deletingLastPathComponent().appending(
      path: "../../Sources/ScenarioFile/ScenarioFile.docc/ScenarioKeys.md")
    var tables: [String: Set<String>] = [:]
    var path = ""
    for line in try String(contentsOf: page, encoding: .utf8).split(separator: "\n") {
      if line.hasPrefix("### ") {
        path = line.firstMatch(of: #/`(.+)`/#).map { String($0.1) } ?? ""
      } else if let row = line.firstMatch(of: #/^\| `([a-z0-9_]+)` \|/#) {
        #expect(tables[path]?.contains(String(row.1)) != true, "\(path).\(row.1) stands twice")
        tables[path, default: []].insert(String(row.1))
      }
    }
    return tables
  }
}
