import Foundation
import Testing

/// `plan` and `compare` through the built program.
@Suite(.serialized) struct PlanTests {
  private static let scenario = SearchTests.scenario

  private static let plan = [
    "plan", scenario, "--candidates", "b200-sxm", "--gpus", "16,32", "--within", "30d",
    "--budget", "30000", "--vary", "parallelism.tensor=1,2", "--vary", "parallelism.pipeline=1",
    "--vary", "training.micro_batch=1", "--vary", "training.recompute=selective",
  ]

  @Test("each candidate's figures are those of simulating its layout on that cluster")
  func candidatesAreSimulated() throws {
    let result = try SearchTests.json(Self.plan)
    let candidates = try #require(result["candidates"] as? [[String: Any]])
    #expect(
      candidates.map { $0["kind"] as? String } == [
        "h100-sxm-80gb", "h100-sxm-80gb", "b200-sxm", "b200-sxm",
      ])
    #expect(candidates.map { $0["gpus"] as? Int } == [16, 32, 16, 32])
    // 2 tensor degrees × (ZeRO 0, and 2 and 3 over all replicas or a node's, as torchtitan has).
    #expect((candidates[0]["layouts"] as? [String: Int])?["total"] == 10)
    let candidate = candidates[3]
    let layout = try #require(candidate["parallelism"] as? [String: Any])
    let simulated = try SearchTests.json(
      ["simulate", Self.scenario, "--set", "cluster.gpu=b200-sxm", "--set", "cluster.gpus=32"]
        + ["--set", "run.price=null"]
        + layout.flatMap { key, value in
          [
            "--set",
            "parallelism.\(key)=\(key == "sequence" ? "\(value as? Bool ?? false)" : "\(value)")",
          ]
        })
    let step = try #require(simulated["step"] as? [String: Any])
    let run = try #require(simulated["run"] as? [String: Any])
    #expect(step["seconds"] as? Double == candidate["step_seconds"] as? Double)
    #expect(run["days"] as? Double == candidate["days"] as? Double)
    #expect(run["cost"] as? Double == candidate["cost"] as? Double)
  }

  @Test("the recommended candidate is the cheapest within both limits")
  func recommendation() throws {
    let result = try SearchTests.json(Self.plan)
    let candidates = try #require(result["candidates"] as? [[String: Any]])
    let allowed = candidates.indices.filter {
      (candidates[$0]["days"] as? Double ?? .infinity) <= 30
        && (candidates[$0]["cost"] as? Double ?? .infinity) <= 30_000
    }
    #expect(!allowed.isEmpty)
    let cheapest = allowed.min {
      (candidates[$0]["cost"] as? Double ?? 0) < (candidates[$1]["cost"] as? Double ?? 0)
    }
    #expect(result["recommended"] as? Int == cheapest)
    // A limit nothing meets leaves no recommendation and names itself.
    let strict = try SearchTests.json(Self.plan + ["--within", "1min"])
    #expect(strict["recommended"] is NSNull)
    #expect(try #require(strict["binding"] as? String).hasPrefix("the deadline"))
  }

  @Test("the same plan for 1 and 3 processes")
  func processCounts() throws {
    func comparable(_ processes: Int?) throws -> Data {
      try JSONSerialization.data(
        withJSONObject: try SearchTests.json(Self.plan, processes: processes),
        options: [.sortedKeys])
    }
    #expect(try comparable(3) == comparable(nil))
  }

  @Test("prices decide the cost, budgets the model")
  func pricesAndBudgets() throws {
    let cheap = try SearchTests.json(Self.plan + ["--price", "b200-sxm=0.01"])
    #expect(cheap["recommended"] as? Int == 2 || cheap["recommended"] as? Int == 3)
    // 13 GB of bf16 with a sixth left: 13e9 / 2.4 = 5.4 B parameters.
    let small = try SearchTests.json(Self.plan + ["--inference-memory", "13 GB"])
    let note = try #require((small["notes"] as? [String])?.first)
    #expect(note.contains("within 5.42 billion parameters"))
  }

  @Test("a comparison with itself finds nothing; with another layout, what was set")
  func comparison() throws {
    func compare(_ more: [String]) throws -> [String: Any] {
      let outcome = try ProcessCountTests.run(
        ["compare", Self.scenario, Self.scenario, "--json"] + more, processes: nil)
      #expect(outcome.status == 0, "\(outcome.error)")
      return try #require(
        try JSONSerialization.jsonObject(with: outcome.output) as? [String: Any])
    }
    let same = try compare([])
    #expect((same["inputs"] as? [Any])?.isEmpty == true)
    #expect(same["reason"] as? String == "The steps take the same time.")
    let other = try compare(["--set-b", "training.recompute=full"])
    let inputs = try #require(other["inputs"] as? [[String: String]])
    #expect(inputs == [["key": "training.recompute", "a": "selective", "b": "full"]])
    let step = try #require((other["step"] as? [String: Any])?["seconds"] as? [String: Double])
    let parts = try #require(other["breakdown_seconds"] as? [String: [String: Any]])
    let sum = parts.values.compactMap { $0["difference"] as? Double }.reduce(0, +)
    #expect(abs(sum - (step["difference"] ?? .nan)) < 1e-9)
    #expect((step["difference"] ?? 0) > 0)
  }

  @Test("a kept result stands for its scenario")
  func keptResult() throws {
    let kept = "Results/llama-3.1-8b-16xh100/result.json"
    let outcome = try ProcessCountTests.run(
      ["compare", kept, Self.scenario, "--json"], processes: nil)
    #expect(outcome.status == 0, "\(outcome.error)")
    let result = try #require(
      try JSONSerialization.jsonObject(with: outcome.output) as? [String: Any])
    #expect((result["inputs"] as? [Any])?.isEmpty == true)
  }
}
