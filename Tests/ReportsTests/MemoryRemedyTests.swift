import Hardware
import Quantities
import ScenarioFile
import StepProgram
import Studies
import Testing

@Suite struct MemoryRemedyTests {
  private func source(layers: Int, data: String = "") -> ScenarioSource {
    ScenarioSource(
      path: "a.yaml",
      text: """
        model: {hidden_size: 4096, num_hidden_layers: \(layers), num_attention_heads: 32,
          intermediate_size: 16384, vocab_size: 32000, hidden_act: silu}
        cluster: {gpu: a100-sxm-40gb, gpus: 8}
        parallelism: {zero: 0\(data)}
        training: {sequence_length: 2048, global_batch: 16, micro_batch: 1}
        """)
  }

  @Test("every change offered fits when it is made, the fastest first")
  func remediesFit() throws {
    let start = source(layers: 16, data: ", data: 8")
    let remedies = MemoryRemedy.cheapest(for: start)
    #expect(!remedies.isEmpty)
    #expect(remedies.map(\.seconds.value) == remedies.map(\.seconds.value).sorted())
    for remedy in remedies {
      var changed = start
      changed.overrides += remedy.settings.compactMap { ScenarioOverride($0) }
      let scenario = try Scenario(changed)
      #expect(remedy.peak <= scenario.job.cluster.gpu.memory)
      #expect(scenario.job.cluster.gpuCount == 8)
    }
  }

  @Test("a model far too large for its GPUs has no change to offer")
  func nothingHelps() {
    // 256 layers of 268 M parameters: at 18 bytes over 150 GiB on each of eight ranks, however cut.
    #expect(MemoryRemedy.cheapest(for: source(layers: 256)).isEmpty)
  }
}
