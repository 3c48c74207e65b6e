import Foundation
import Testing

/// `collective` through the built program.
@Suite(.serialized) struct CollectiveTests {
  private static func rows(_ arguments: [String], processes: Int? = nil) throws -> [[String: Any]] {
    let outcome = try ProcessCountTests.run(
      ["collective", "--json"] + arguments, processes: processes)
    #expect(outcome.status == 0, "\(outcome.error)")
    let result = try JSONSerialization.jsonObject(with: outcome.output) as? [String: Any]
    return try #require(result?["rows"] as? [[String: Any]])
  }

  @Test("bandwidths follow from size and time as nccl-tests defines them")
  func bandwidths() throws {
    let rows = try Self.rows([
      "--op", "all_reduce", "--cluster", "dgx-h100", "--gpus", "16", "--sizes", "8,1K,1M,1G",
    ])
    #expect(rows.map { $0["size_bytes"] as? Int } == [8, 1_024, 1_048_576, 1_073_741_824])
    for row in rows {
      let size = try #require(row["size_bytes"] as? Int)
      let seconds = try #require(row["seconds"] as? Double)
      let algorithm = try #require(row["algbw_bytes_per_second"] as? Double)
      let bus = try #require(row["busbw_bytes_per_second"] as? Double)
      #expect(abs(algorithm * seconds / Double(size) - 1) < 1e-12)
      // 2 × 15 / 16.
      #expect(abs(bus / algorithm - 1.875) < 1e-12)
      #expect(row["ranks"] as? Int == 16)
      #expect(row["op"] as? String == "all_reduce")
    }
  }

  @Test(
    "every message on the event kernel takes what the closed form says, for 1 to 4 processes",
    arguments: ["ring", "tree", "halving-doubling", "hierarchical"])
  func fullEqualsFolded(algorithm: String) throws {
    let arguments = [
      "--cluster", "dgx-a100", "--gpus", "32", "--sizes", "4K,3M,256M", "--algorithm", algorithm,
    ]
    func seconds(_ more: [String], _ processes: Int?) throws -> [Double] {
      try Self.rows(arguments + more, processes: processes).map {
        try #require($0["seconds"] as? Double)
      }
    }
    let folded = try seconds([], nil)
    for processes in [nil, 2, 3, 4] {
      #expect(try seconds(["--fidelity", "full"], processes) == folded)
    }
  }

  @Test(
    "every operation takes its closed form at full fidelity, alone on shared links too",
    arguments: ["broadcast", "reduce", "gather", "sendrecv", "all_to_all"])
  func operations(name: String) throws {
    let arguments = ["--op", name, "--cluster", "dgx-h100", "--gpus", "32", "--sizes", "4K,64M"]
    let folded = try Self.rows(arguments)
    #expect(
      try Self.rows(arguments + ["--fidelity", "full"]).map(Self.seconds)
        == folded.map(Self.seconds))
  }

  private static func seconds(_ row: [String: Any]) -> Double? { row["seconds"] as? Double }

  @Test("a table, read back as a log, is matched without error and fits its own links")
  func roundTrip() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let log = folder.appending(path: "log.txt")
    let table = try ProcessCountTests.run(
      ["collective", "--cluster", "dgx-a100", "--gpus", "16", "--sizes", "1M:1G"], processes: nil)
    try table.output.write(to: log)
    let saved = folder.appending(path: "lab.yaml").path
    let outcome = try ProcessCountTests.run(
      [
        "collective", "--json", "--cluster", "dgx-a100", "--gpus", "16", "--against", log.path,
        "--save-cluster", saved,
      ], processes: nil)
    #expect(outcome.status == 0, "\(outcome.error)")
    let result = try JSONSerialization.jsonObject(with: outcome.output) as? [String: Any]
    let against = try #require((result?["against"] as? [[String: Any]])?.first)
    // Times are printed with two decimals of a microsecond.
    #expect(try #require(against["median_absolute_error"] as? Double) < 1e-3)
    #expect(try #require(against["fitted_median_absolute_error"] as? Double) < 1e-3)
    let again = try Self.rows(["--cluster", saved, "--gpus", "16", "--sizes", "1M:1G"])
    #expect(again.count == 11)
  }

  @Test(
    "what cannot be asked is refused",
    arguments: [
      (["--sizes", "0"], 64), (["--sizes", "8:4"], 64), (["--op", "all_reduced"], 64),
      (["--cluster", "dgx-h10"], 65), (["--save-cluster", "x"], 64),
      (["--against", "no/such/file"], 66), (["--per-node", "3", "--gpus", "8"], 64),
    ])
  func refusals(arguments: [String], status: Int) throws {
    let outcome = try ProcessCountTests.run(["collective"] + arguments, processes: nil)
    #expect(Int(outcome.status) == status, "\(outcome.error)")
    #expect(outcome.output.isEmpty)
  }
}
