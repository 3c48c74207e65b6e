import Layout
import ScenarioFile
import StepProgram
import Testing
import Transformer

@Suite("Keys of layouts") struct LayoutKeyTests {
  private func scenario(_ parallelism: String, training: String = "") throws -> Scenario {
    try Scenario(
      ScenarioSource(
        path: "a.yaml",
        text: """
          model: mixtral-8x7b
          cluster: {gpu: h100-sxm-80gb, gpus: 64}
          parallelism: {\(parallelism)}
          training: {sequence_length: 4096, global_batch: 64, micro_batch: 1\(training)}
          """))
  }

  @Test("the ends' layers leave the others equal ones") func ends() throws {
    // 32 layers over 4 ranks: 7 and 5 leave 20, 10 each.
    let job = try scenario("pipeline: 4, first_stage_layers: 7, last_stage_layers: 5").job
    #expect(job.parallelism.stageLayers == [7, 10, 10, 5])
    let given = try scenario("pipeline: 4, stage_layers: [7, 9, 9, 7]").job
    #expect(given.parallelism.stageLayers == [7, 9, 9, 7])
    let wrong = "pipeline: 4, first_stage_layers: 6, last_stage_layers: 5"
    #expect(throws: ScenarioError.self) { try scenario(wrong) }
  }

  @Test("overlap within layers is read and printed") func withinLayers() throws {
    let given = try scenario("zero: 3, overlap: within-layers")
    #expect(given.job.parallelism.overlaps && given.job.parallelism.overlapsWithinLayers)
    #expect(given.resolved["parallelism"]?["overlap"] == .string("within-layers"))
    #expect(try !scenario("zero: 3").job.parallelism.overlapsWithinLayers)
    #expect(throws: ScenarioError.self) { try scenario("overlap: within") }
  }

  @Test("a resolved scenario reads back to the same job") func roundTrip() throws {
    let made = try scenario(
      """
      pipeline: 2, context: 2, context_style: all-gather, zero: 3, stage_layers: [15, 17],
        reshard_after_forward: false, reduce_each_microbatch: true, bucket_parameters: 1000,
        quantized_weights: true, quantized_gradients: true, secondary_group: 8
      """,
      training: """
        , moe: {dispatcher: fused, routing: round-robin, imbalance: 1.25, capacity_factor: 1.5, dispatch_format: fp8,
          overlap_shared: true, overlap: true}
        """)
    #expect(made.job.parallelism.contextStyle == .allGather)
    #expect(made.job.training.dispatch.load == 1.5)
    #expect(made.job.training.dispatch.routing == .roundRobin)
    let again = try Scenario(
      ScenarioSource(path: "b.yaml", text: made.resolved.yamlText))
    #expect(again.job == made.job)
  }

  @Test("data groups that lie unevenly on their nodes are told", arguments: [(56, 126), (48, 126)])
  func unevenGroups(gpus: Int, batch: Int) throws {
    // Two ranks a node beside four tensor ranks: seven are 2, 2, 2 and 1; six are 2, 2 and 2.
    let text = Sample.replacing("gpus: 64", with: "gpus: \(gpus)")
      .replacing("global_batch: 128", with: "global_batch: \(batch)")
    let scenario = try Scenario(ScenarioSource(path: "a.yaml", text: text))
    #expect(scenario.job.parallelism.data == gpus / 8)
    #expect(
      scenario.warnings.contains { $0.contains("do not divide over their nodes") } == (gpus == 56))
  }
}
