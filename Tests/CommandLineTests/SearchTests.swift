import Foundation
import Testing

/// `search` and `sweep` through the built program.
@Suite(.serialized) struct SearchTests {
  static let scenario = "Scenarios/llama-3.1-8b-16xh100.yaml"

  /// Runs a command into a folder of its own and reads its JSON.
  static func json(_ arguments: [String], processes: Int? = nil) throws -> [String: Any] {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: folder) }
    let outcome = try ProcessCountTests.run(
      arguments + ["--json", "--quiet", "--output", folder.path], processes: processes)
    #expect(outcome.status == 0, "\(outcome.error)")
    return try #require(try JSONSerialization.jsonObject(with: outcome.output) as? [String: Any])
  }

  static let restricted = [
    "search", scenario, "--vary", "parallelism.tensor=1,2", "--vary", "parallelism.pipeline=1",
    "--vary", "training.micro_batch=1", "--vary", "training.recompute=full,selective",
    "--vary", "parallelism.zero=1,3",
  ]

  @Test("a restricted space is the product of its axes; ranked by step time")
  func restrictedSpace() throws {
    let result = try Self.json(Self.restricted)
    let layouts = try #require(result["layouts"] as? [String: Int])
    // 2 tensor degrees × 2 recomputations × 2 ZeRO stages × shards over all replicas or a node's.
    #expect(layouts["total"] == 16)
    let best = try #require(result["best"] as? [[String: Any]])
    #expect(best.count == layouts["fit"])
    let times = best.compactMap { $0["step_seconds"] as? Double }
    #expect(times == times.sorted() && times.count == best.count && !times.isEmpty)
    // The first has no order with itself; what is slower has one, and is a tie below one standard deviation's 84 %.
    #expect(best[0]["in_order"] is NSNull && best[0]["tie"] as? Bool == false)
    for (entry, time) in zip(best, times).dropFirst() where time > times[0] {
      let share = try #require(entry["in_order"] as? Double)
      #expect(entry["tie"] as? Bool == (share < 0.84))
    }
  }

  @Test("the winner's figures are those of simulating it, to the last bit")
  func winnerIsSimulated() throws {
    let result = try Self.json(["search", Self.scenario])
    let winner = try #require((result["best"] as? [[String: Any]])?.first)
    let layout = try #require(winner["parallelism"] as? [String: Any])
    let training = try #require(winner["training"] as? [String: Any])
    let settings =
      layout.map { key, value in
        "parallelism.\(key)=\(key == "sequence" ? "\(value as? Bool ?? false)" : "\(value)")"
      } + training.map { "training.\($0)=\($1)" }
    let simulated = try Self.json(
      ["simulate", Self.scenario] + settings.sorted().flatMap { ["--set", $0] })
    let step = try #require(simulated["step"] as? [String: Any])
    let memory = try #require(simulated["memory"] as? [String: Any])
    #expect(step["seconds"] as? Double == winner["step_seconds"] as? Double)
    #expect(step["mfu"] as? Double == winner["mfu"] as? Double)
    #expect(memory["peak_bytes"] as? Int == winner["peak_memory_bytes"] as? Int)
  }

  @Test("the same ranking for 1, 2, 3 and 4 processes")
  func processCounts() throws {
    func comparable(_ processes: Int?) throws -> Data {
      var result = try Self.json(Self.restricted, processes: processes)
      #expect(result.removeValue(forKey: "search") != nil)
      return try JSONSerialization.data(withJSONObject: result, options: [.sortedKeys])
    }
    let alone = try comparable(nil)
    for processes in 1...4 { #expect(try comparable(processes) == alone) }
  }

  @Test("a sweep's rows are simulations; a point that cannot be is told, not fatal")
  func sweep() throws {
    let result = try Self.json([
      "sweep", Self.scenario, "--vary", "training.recompute=selective,full,nonsense",
    ])
    let rows = try #require(result["rows"] as? [[String: Any]])
    #expect(rows.count == 3)
    #expect(rows[0]["parallel_efficiency"] as? Double == 1)
    #expect(rows[2]["error"] is String)
    let simulated = try Self.json([
      "simulate", Self.scenario, "--set", "training.recompute=full",
    ])
    let step = try #require(simulated["step"] as? [String: Any])
    #expect(rows[1]["step_seconds"] as? Double == step["seconds"] as? Double)
  }

  @Test(
    "wrong words exit 64",
    arguments: [
      ["search", scenario, "--vary", "parallelism.tensor=0"],
      ["search", scenario, "--vary", "cluster.gpus=8"],
      ["search", scenario, "--vary", "parallelism.tensor"],
      ["sweep", scenario],
      ["sweep", scenario, "--vary", "cluster.gpus="],
      ["sweep", scenario, "--zip", "--vary", "cluster.gpus=8,16", "--vary", "run.x=1"],
    ])
  func usage(_ arguments: [String]) throws {
    #expect(try ProcessCountTests.run(arguments, processes: nil).status == 64)
  }
}

/// The curve a sweep draws.
@Suite(.serialized) struct SweepPlotTests {
  @Test("a line for each combination of the other keys, and the line of perfect scaling")
  func plot() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: folder) }
    let outcome = try ProcessCountTests.run(
      [
        "sweep", SearchTests.scenario, "--vary", "cluster.gpus=16,32,64", "--vary",
        "training.recompute=none,full", "--quiet", "--output", folder.path,
      ], processes: nil)
    #expect(outcome.status == 0, "\(outcome.error)")
    let text = try String(
      contentsOf: folder.appending(path: "sweep.svg"), encoding: .utf8)
    #expect(text.contains("training.recompute=none") && text.contains("training.recompute=full"))
    // Two lines of three points: the pen goes down once and on twice in each.
    let lines = text.split(separator: "\n").filter { $0.contains("stroke-width=\"2\" fill") }
    #expect(lines.count == 2)
    #expect(lines.allSatisfy { $0.filter { $0 == "L" }.count == 2 })
    #expect(text.contains("stroke-dasharray"))
    // Words have no curve.
    let words = try ProcessCountTests.run(
      [
        "sweep", SearchTests.scenario, "--vary", "training.recompute=none,full", "--quiet",
        "--output", folder.path + "-words",
      ], processes: nil)
    defer { try? FileManager.default.removeItem(atPath: folder.path + "-words") }
    #expect(words.status == 0)
    #expect(!FileManager.default.fileExists(atPath: folder.path + "-words/sweep.svg"))
  }
}
