import Foundation
import RunForecast
import ScenarioFile
import Testing

@testable import Studies

@Suite("Rules of benchmarks")
struct BenchmarkRulesTests {
  private static func run(source: String, hidden: Int, layers: Int, batch: Int) throws
    -> MeasuredRun
  {
    let row = """
      {"id": "a", "source": "\(source)", "scenario": {"model": {"hidden_size": \(hidden), \
      "num_hidden_layers": \(layers), "num_attention_heads": 32, "intermediate_size": 14336, \
      "vocab_size": 128256}, "cluster": {"gpu": "h100-sxm-80gb", "gpus": 8}, \
      "training": {"sequence_length": 8192, "global_batch": \(batch), "micro_batch": 1}}, \
      "measured": {"run_seconds": 100, "steps": 400}}
      """
    return try #require(MeasuredRun.rows(in: row, file: "a.jsonl").first)
  }

  @Test("MLPerf's Llama 3.1 8B passes 1,024 sequences after every 12,288")
  func mlperf() throws {
    let source = "mlcommons/training_results_v5.1@441d65f"
    // 12,288 / 64 = 192 steps.
    let run = try Self.run(source: source, hidden: 4_096, layers: 32, batch: 64)
    let expected = EvaluationSettings(steps: 192, length: .sequences(1_024, microBatch: nil))
    #expect(BenchmarkRules.evaluation(of: run) == expected)
    // Other models and other sources: nothing is known of them.
    let other = try Self.run(source: source, hidden: 2_048, layers: 32, batch: 64)
    #expect(BenchmarkRules.evaluation(of: other) == nil)
    let elsewhere = try Self.run(source: "a paper", hidden: 4_096, layers: 32, batch: 64)
    #expect(BenchmarkRules.evaluation(of: elsewhere) == nil)
  }

  @Test("a run that says its evaluations keeps them, one that does not has the rules'")
  func runs() throws {
    let source = "mlcommons/training_results_v5.1@441d65f"
    var run = try Self.run(source: source, hidden: 4_096, layers: 32, batch: 64)
    let ruled = try #require(try Prediction(run).runSeconds)
    // 400 steps: evaluations after 192 and 384.
    run.scenario.run.evaluation = EvaluationSettings(
      steps: 192, length: .sequences(1_024, microBatch: nil))
    #expect(try Prediction(run).runSeconds == ruled)
    run.scenario.run.evaluation = EvaluationSettings(
      steps: 401, length: .sequences(1_024, microBatch: nil))
    let bare = try #require(try Prediction(run).runSeconds)
    #expect(bare < ruled)
    // A forward pass is about a third of a step: 2 · 16 / 3 of 400 steps, 2.7 %.
    #expect(ruled / bare > 1.02 && ruled / bare < 1.035)
  }

  @Test("the rows that come with the program say what the rules do")
  func shipped() throws {
    let path = try #require(
      ShippedMeasurements.paths.first { $0.hasSuffix("mlperf_llm.jsonl") })
    let rows = try MeasuredRun.rows(in: String(contentsOfFile: path, encoding: .utf8), file: path)
    #expect(rows.count == 6)
    for row in rows { #expect(BenchmarkRules.evaluation(of: row) == row.scenario.run.evaluation) }
  }
}
