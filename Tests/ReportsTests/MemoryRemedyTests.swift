import Hardware
import Quantities
import ScenarioFile
import StepProgram
import StepSimulation
import Testing

@testable import Studies

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

  @Test("a step of very many microbatches follows from two of few", arguments: [1, 4])
  func manyMicrobatches(pipeline: Int) throws {
    let text = """
      model: llama-3.2-1b
      cluster: {gpu: a100-sxm-80gb, gpus: 8}
      parallelism: {pipeline: \(pipeline)}
      training: {sequence_length: 2048, global_batch: \(8 / pipeline * 400), micro_batch: 1}
      """
    let job = try Scenario(ScenarioSource(path: "a.yaml", text: text)).job
    let outcome = try #require(StepOutcome(job))
    let result = try FoldedSimulation.run(StepCompiler.compile(job))
    #expect(abs(outcome.seconds / result.duration.seconds - 1) < 1e-6)
    #expect(outcome.peak == result.ranks.map(\.device).max())
  }

  @Test("but not where memory grows with their number")
  func growingMemory() throws {
    // Two stages put the head's weight gradients off; a host under nanotron gets ever further ahead.
    let layouts = [
      ("megatron-core", "{pipeline: 2}", 1_000_000), ("nanotron", "{tensor: 2, sequence: true}", 0),
    ]
    for (framework, layout, deferred) in layouts {
      func job(_ count: Int) throws -> TrainingJob {
        let text = """
          model: llama-3.2-1b
          cluster: {gpu: h200-sxm-141gb, gpus: 2}
          parallelism: \(layout)
          training: {sequence_length: 512, global_batch: \(count), micro_batch: 1, framework: \(framework)}
          """
        var job = try Scenario(ScenarioSource(path: "a.yaml", text: text)).job
        job.training.switches.deferredGradients = deferred
        return job
      }
      let outcome = try #require(StepOutcome(try job(160)))
      let result = try FoldedSimulation.run(StepCompiler.compile(try job(160)))
      let short = try FoldedSimulation.run(StepCompiler.compile(try job(32)))
      #expect(outcome.peak == result.ranks.map(\.device).max())
      #expect(try #require(short.ranks.map(\.device).max()) < outcome.peak)
    }
  }
}
