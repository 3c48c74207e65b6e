import Foundation
import Testing

/// `simulate --trace`, `--show-schedule` and `--show-groups` through the built program.
@Suite(.serialized) struct TraceTests {
  private static let scenario = [
    "simulate", "Scenarios/llama-3.1-8b-16xh100.yaml", "--set", "simulation.fidelity=folded",
    "--set", "parallelism.pipeline=4", "--set", "parallelism.tensor=2", "--quiet",
  ]

  @Test("the trace is JSON with ranks as processes; every arrow has two ends")
  func trace() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "trace.json")
    let outcome = try ProcessCountTests.run(
      Self.scenario + ["--trace", file.path, "--output", folder.path], processes: 2)
    #expect(outcome.status == 0, "\(outcome.error)")
    let root = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
    let events = try #require(root["traceEvents"] as? [[String: Any]])
    // The first ranks of four stages of 2 × 2 ranks.
    #expect(Set(events.compactMap { $0["pid"] as? Int }) == [0, 4, 8, 12])
    func ids(_ kind: String) -> [Int] {
      events.filter { $0["ph"] as? String == kind }.compactMap { $0["id"] as? Int }.sorted()
    }
    #expect(!ids("s").isEmpty)
    #expect(ids("s") == ids("f"))
    #expect(Set(ids("s")).count == ids("s").count)
    let last = events.compactMap { event -> Double? in
      guard let start = event["ts"] as? Double, let length = event["dur"] as? Double else {
        return nil
      }
      return start + length
    }.max()
    let result = try #require(
      try JSONSerialization.jsonObject(
        with: Data(contentsOf: folder.appending(path: "result.json"))) as? [String: Any])
    let seconds = try #require((result["step"] as? [String: Any])?["seconds"] as? Double)
    #expect(abs(try #require(last) / (seconds * 1e6) - 1) < 1e-6)
  }

  @Test("pictures go to the standard output instead of the result")
  func pictures() throws {
    let outcome = try ProcessCountTests.run(
      Self.scenario + ["--show-groups", "--show-schedule"], processes: nil)
    #expect(outcome.status == 0)
    let text = String(decoding: outcome.output, as: UTF8.self)
    #expect(text.contains("pipeline  0, 4, 8, 12"))
    #expect(text.contains("stage 3   "))
    #expect(!text.contains("k–t"))
    // From both ends: the first stage runs microbatch 0 of its own, the last 0 of the other direction.
    let both = try ProcessCountTests.run(
      Self.scenario + [
        "--show-schedule", "--set", "parallelism.schedule=dualpipe-bidirectional", "--set",
        "parallelism.zero=1",
      ], processes: nil)
    let lines = String(decoding: both.output, as: UTF8.self).split(separator: "\n")
    #expect(lines.first?.hasPrefix("stage 0   0") == true)
    #expect(lines.dropFirst(3).first?.hasPrefix("stage 3   A") == true)
    let wrong = try ProcessCountTests.run(
      Self.scenario + ["--trace", "x", "--trace-ranks", "99"], processes: nil)
    #expect(wrong.status == 64)
  }
}
