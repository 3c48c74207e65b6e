import Quantities
import Reports
import RunForecast
import ScenarioFile
import Testing

@Suite struct SimulationReportTests {
  private func report(peak: Double = 60, run: String = "") throws -> SimulationReport {
    let text = """
      name: small
      model: llama-3.1-8b
      cluster: {gpu: a100-sxm-80gb, gpus: 8}
      parallelism: {data: 8, zero: 1}
      training: {tokens: 819200e6, sequence_length: 4096, global_batch: 16, micro_batch: 1}
      run: {price: {gpu_hour: 2 USD}\(run)}
      """
    let scenario = try Scenario(ScenarioSource(path: "a.yaml", text: text))
    let step = StepSummary(
      seconds: Seconds(4),
      breakdown: StepBreakdown(
        compute: Seconds(3), dataExposed: Seconds(0.75), optimizer: Seconds(0.25)),
      modelFlops: Flops(3.2e15), hardwareFlops: Flops(4e15),
      memory: [
        RankMemory(
          rank: 0, count: 8, parameters: .gibibytes(15), gradients: .gibibytes(15),
          optimizer: .gibibytes(10), activations: .gibibytes(peak - 41), runtime: .gibibytes(1),
          peak: .gibibytes(peak))
      ], statistics: SimulationRecord(fidelity: .folded, simulatedRanks: 1, events: 10))
    return try SimulationReport(scenario: scenario, step: step)
  }

  @Test("a checkpoint asked for more often than a step ends is one after every step, and said so")
  func shortCheckpoints() throws {
    // A step takes 4 s.
    let short = try report(run: ", checkpoint: {every: 3 s, write_rate: 1 TB/s}")
    #expect(
      short.warnings.contains(
        "run.checkpoint.every: 3.00 s is shorter than a step of 4.00 s, and a checkpoint can only be "
          + "taken between two steps: one is taken after every step."))
    #expect(short.json["run"]?["checkpoint"]?["interval_seconds"] == .number(4))
    let long = try report(run: ", checkpoint: {every: 9 s, write_rate: 1 TB/s}")
    #expect(!long.warnings.contains { $0.contains("between two steps") })
    #expect(long.json["run"]?["checkpoint"]?["interval_seconds"] == .number(12))
  }

  @Test("the JSON follows the contract, in its order") func json() throws {
    let report = try report()
    let json = report.json
    guard case .object(let members) = json else {
      Issue.record("no object")
      return
    }
    #expect(
      members.map(\.key) == [
        "schema", "scenario", "scenario_hash", "fits", "model", "step", "memory", "run",
        "uncertainty", "simulation", "warnings",
      ])
    // 16 · 4096 = 65,536 tokens in 4 s; 3.2e15 FLOP over 8 GPUs and 4 s: 1e14; of 312e12 peak.
    let mfu = 1e14 / 312e12
    let hfu = 1.25e14 / 312e12
    #expect(
      json["step"]?.text == """
        {
          "seconds": 4,
          "tokens_per_second": 16384,
          "tokens_per_second_per_gpu": 2048,
          "model_flops_per_gpu_per_second": 100000000000000,
          "hardware_flops_per_gpu_per_second": 125000000000000,
          "mfu": \(mfu),
          "hfu": \(hfu),
          "breakdown_seconds": {
            "compute": 3,
            "tensor_exposed": 0,
            "context_exposed": 0,
            "expert_exposed": 0,
            "pipeline_exposed": 0,
            "data_exposed": 0.75,
            "bubble": 0,
            "optimizer": 0.25,
            "other": 0
          }
        }
        """)
    #expect(json["memory"]?["peak_bytes"] == .integer(60 << 30))
    // 819.2e9 tokens / 65,536 = 12,500,000 steps of 4 s on 8 GPUs: 111,111 GPU-hours at 2 USD.
    #expect(json["run"]?["steps"] == .integer(12_500_000))
    #expect(json["run"]?["seconds"] == .number(5e7))
    let hours = 8.0 * 5e7 / 3_600
    let cost = hours * 2
    #expect(json["run"]?["gpu_hours"] == .number(hours))
    #expect(json["run"]?["cost"] == .number(cost))
    #expect(json["uncertainty"] == .null)
    #expect(try self.report().json.text == json.text)
  }

  @Test("the text says first whether it fits, then what binds") func verdict() throws {
    let fitting = try report().text.split(separator: "\n")
    #expect(fitting.first == "small")
    #expect(
      fitting[1].hasPrefix("Fits: rank 0 (pipeline stage 0) needs most, 60.00 of "))
    #expect(
      fitting[2]
        == "Bound by compute (75.0 % of the step), then data-parallel communication (18.8 %).")
    let large = try report(peak: 100)
    #expect(!large.fits)
    #expect(large.text.contains("Does not fit: rank 0 (pipeline stage 0) needs 100.00 of "))
    #expect(large.text.contains(" GiB; activations 59.00 GiB."))
  }

  @Test("the memory table as comma-separated values is in bytes") func csv() throws {
    let parts = [15, 15, 10, 19, 0, 1, 60].map { String($0 << 30) }.joined(separator: ",")
    let heading =
      "rank,count,pipeline_stage,parameters_bytes,gradients_bytes,optimizer_bytes,"
      + "activations_bytes,buffers_bytes,runtime_bytes,peak_bytes"
    #expect(try report().memoryCSV == heading + "\n0,8,0," + parts + "\n")
  }

  @Test("the memory table merges equal ranks and stops at eight rows") func memoryTable() throws {
    let base = try report()
    let rows = { (peaks: [Double]) in
      var step = base.step
      step.memory = peaks.enumerated().map { stage, peak in
        RankMemory(
          rank: stage, count: 2, pipelineStage: stage, activations: .gibibytes(peak),
          peak: .gibibytes(peak))
      }
      let text = try SimulationReport(scenario: base.scenario, step: step).memoryText(remedies: nil)
      return text.split(separator: "\n").filter { $0.hasPrefix("rank ") || $0.hasPrefix("and ") }
        .map(String.init)
    }
    // Stages 1 and 2 are alike: four GPUs in one row.
    let merged = try rows([30, 20, 20, 10])
    #expect(merged.count == 3)
    #expect(merged[1].split(separator: " ").prefix(4) == ["rank", "1", "4", "1–2"])
    // Ten kinds: the first and the last, the six fullest of the others, and two that are not shown.
    let many = try rows([1, 2, 3, 4, 5, 6, 7, 8, 9, 0.5])
    #expect(
      many.dropLast().map { $0.split(separator: " ")[1] } == [
        "0", "3", "4", "5", "6", "7", "8", "9",
      ])
    #expect(many.last?.hasPrefix("and 2 more kinds of ranks") == true)
  }
}
