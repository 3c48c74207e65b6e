import Foundation
import Testing

/// `sweep` through the built program.
@Suite(.serialized) struct SweepTests {
  @Test("points shared over 1, 2 and 4 processes come out as the same bytes, mistakes too")
  func processCounts() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: folder) }
    // 3 does not divide the heads, the third model is none, 48 GPUs are no whole number of replicas.
    let arguments = [
      "sweep", "Scenarios/llama-3.1-8b-16xh100.yaml", "--json", "--quiet", "--output", folder.path,
      "--vary", "parallelism.tensor=1,2,3", "--vary", "model=llama-3.1-8b,llama-2-7b,nothing",
      "--vary", "cluster.gpus=16,32,48",
    ]
    let alone = try ProcessCountTests.run(arguments, processes: nil)
    #expect(alone.status == 0, "\(alone.error)")
    let root = try #require(
      try JSONSerialization.jsonObject(with: alone.output) as? [String: Any])
    let rows = try #require(root["rows"] as? [[String: Any]])
    #expect(rows.count == 27)
    // Of two tensor degrees, two models and two numbers of GPUs.
    #expect(rows.count { $0["step_seconds"] != nil } == 8)
    for processes in [1, 2, 4] {
      let outcome = try ProcessCountTests.run(arguments, processes: processes)
      #expect(outcome.status == 0, "\(outcome.error)")
      #expect(outcome.output == alone.output, "\(processes) processes")
    }
  }
}
