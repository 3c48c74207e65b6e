import Hardware
import Layout
import Quantities
import RunForecast
import ScenarioFile
import StepProgram
import Testing

@Suite("What happens around the steps, in a scenario")
struct RunSettingsTests {
  private static let keys = """

    run:
      start_up: 5 min
      draws: 50
      checkpoint:
        every: 30 min
        write_rate: 200 GB/s
        read_rate: 100 GB/s
        asynchronous: true
        shares_network: true
        keep: 4
        local: {every: 5 min, write_rate: 2 GB/s, covers: 0.75}
      failures:
        gpu_mtbf: 50000 h
        link_mtbf: 90000 h
        restart: 10 min
        restart_per_node: 2 s
        correlated: {share: 0.25, nodes: 4}
      stragglers: {gpu_mtbf: 100000 h, slowdown: 0.25, found_after: 2 h}
      evaluation: {every_steps: 500, sequences: 1024, micro_batch: 2}
      data_loading: {read_rate: 1 GB/s, tokens_per_second_per_node: 100000, bytes_per_token: 2}
      price: {purchase: 40000 USD, life: 5 y, kwh: 0.125 USD, storage_gb_month: 0.02 USD}
      power: {node: 3 kW, pue: 1.25}
    """

  @Test("every key is read, and read back") func reading() throws {
    let scenario = try Sample.read(Sample.text + Self.keys)
    let run = scenario.run
    let checkpoint = try #require(run.checkpoint)
    #expect(checkpoint.readRate == ByteRate(bytesPerSecond: 1e11))
    #expect(checkpoint.isAsynchronous && checkpoint.sharesNetwork)
    #expect(checkpoint.kept == 4)
    #expect(
      checkpoint.local
        == LocalCheckpointSettings(
          interval: Seconds(300), writeRate: ByteRate(bytesPerSecond: 2e9), covers: 0.75))
    let failures = try #require(run.failures)
    #expect(failures.linkMeanTimeBetweenFailures == Seconds(90_000 * 3_600))
    #expect(failures.restartPerNode == Seconds(2))
    #expect(failures.correlatedShare == 0.25)
    #expect(failures.correlatedNodes == 4)
    #expect(
      run.stragglers
        == StragglerSettings(
          gpuMeanTimeBetween: Seconds(100_000 * 3_600), slowdown: 0.25, foundAfter: Seconds(7_200)))
    #expect(
      run.evaluation == EvaluationSettings(steps: 500, length: .sequences(1_024, microBatch: 2)))
    #expect(
      run.dataLoading
        == DataLoadingSettings(
          tokensPerSecondAndNode: 100_000, readRate: ByteRate(bytesPerSecond: 1e9),
          bytesPerToken: 2))
    #expect(
      run.price
        == PriceSettings(
          purchase: Dollars(40_000), life: Seconds(5 * 31_536_000), kilowattHour: Dollars(0.125),
          storage: Dollars(0.02)))
    #expect(run.power.node == Watts(3_000) && run.power.gpu == nil)
    let again = try Scenario(ScenarioSource(path: "again.json", text: scenario.resolved.text))
    #expect(again.run == run)
    #expect(again.resolved == scenario.resolved)
  }

  @Test(
    "mistakes are named",
    arguments: [
      (
        "every: 5 min", "every: 50 min", "run.checkpoint.local.every",
        "50 min is more than that of checkpoint, 30 min"
      ),
      (
        "asynchronous: true", "asynchronous: false", "run.checkpoint.shares_network",
        "goes with asynchronous: training waits for the write"
      ),
      ("covers: 0.75", "covers: 1.5", "run.checkpoint.local.covers", "1.5 is more than 1"),
      ("slowdown: 0.25, ", "", "run.stragglers.slowdown", "missing; it is required"),
      (
        "sequences: 1024, micro_batch: 2", "duration: 1 min, sequences: 9",
        "run.evaluation.duration", "give duration, how long an evaluation takes, or sequences"
      ),
      (
        "purchase: 40000 USD", "gpu_hour: 2 USD", "run.price.life", "goes with purchase"
      ),
      ("nodes: 4", "nodes: 0", "run.failures.correlated.nodes", "0 is less than 1"),
    ]
  )
  func mistakes(_ old: String, _ new: String, _ key: String, _ message: String) throws {
    let text = Sample.text + Self.keys.replacingFirst(old, with: new)
    let lines = Sample.mistakes(text)
    #expect(lines.contains { $0.contains("\(key): \(message)") }, "\(lines)")
  }
}

@Suite("Phases of a run, in a scenario")
struct PhaseSettingsTests {
  private static let keys = """

    phases:
      - {name: short, tokens: 2e11, training: {sequence_length: 4096, global_batch: 64}}
      - {name: usual}
      - name: long
        tokens: 1e11
        cluster: {gpus: 128}
        parallelism: {context: 4, zero: 1}
        training: {sequence_length: 65536, global_batch: 32}
    """

  @Test("phases differ from the scenario in what they say, and are read back") func reading()
    throws
  {
    let scenario = try Sample.read(Sample.text + Self.keys)
    #expect(scenario.phases.map(\.name) == ["short", "usual", "long"])
    // 2e12 in all; what the others leave is the scenario's own.
    #expect(scenario.phases.map(\.tokens) == [2e11, 1.7e12, 1e11])
    #expect(scenario.mainPhaseIndex == 1)
    #expect(scenario.phases[1].job == scenario.job)
    #expect(scenario.phases[0].job.training.sequenceLength == 4_096)
    #expect(scenario.phases[0].job.parallelism == scenario.job.parallelism)
    let long = scenario.phases[2].job
    #expect(long.cluster.gpuCount == 128)
    // 128 = tensor 4 × context 4 × pipeline 2 × data 4.
    #expect(long.parallelism.data == 4)
    #expect(long.parallelism.tensor == 4 && long.parallelism.virtualStages == 2)
    let again = try Scenario(ScenarioSource(path: "again.json", text: scenario.resolved.text))
    #expect(again.phases == scenario.phases)
    #expect(again.resolved == scenario.resolved)
  }

  @Test("a batch may grow") func ramp() throws {
    let text = Sample.text + "\n  batch_ramp: {from: 32, by: 16, over: 1e10}"
    let scenario = try Sample.read(text)
    #expect(scenario.mainPhase.ramp == BatchRamp(first: 32, increment: 16, tokens: 1e10))
    let again = try Scenario(ScenarioSource(path: "again.json", text: scenario.resolved.text))
    #expect(again.mainPhase == scenario.mainPhase)
    // 64 GPUs, tensor 4 × pipeline 2: data 8.
    #expect(
      Sample.mistakes(text.replacingFirst("by: 16", with: "by: 12")).contains {
        $0.contains("training.batch_ramp: a batch of 44: ")
      })
    #expect(
      Sample.mistakes(text.replacingFirst("from: 32", with: "from: 128")).contains {
        $0.contains("128 is not below global_batch, 128")
      })
  }

  @Test(
    "mistakes are named",
    arguments: [
      ("tokens: 2e11, ", "", "phases: phase 1 needs tokens"),
      ("- {name: usual}", "- {name: usual, tokens: 1e12}", "phases: their tokens add up to"),
      ("  - {name: usual}\n", "", "phases: 0 of them have no settings of their own"),
      ("context: 4", "context: 5", "phases[3].parallelism.tensor: "),
      ("context: 4", "contxt: 4", "phases[3].parallelism.contxt: unknown key"),
      ("name: short", "nam: short", "phases[1].nam: unknown key"),
      ("global_batch: 64", "tokens: 5", "the tokens of a phase stand beside its training"),
    ]
  )
  func mistakes(_ old: String, _ new: String, _ message: String) throws {
    let lines = Sample.mistakes(Sample.text + Self.keys.replacingFirst(old, with: new))
    #expect(lines.contains { $0.contains(message) }, "\(lines)")
  }
}

extension String {
  /// The text with the first `old` replaced.
  func replacingFirst(_ old: String, with new: String) -> String {
    guard let range = firstRange(of: old) else { return self }
    return String(self[..<range.lowerBound]) + new + String(self[range.upperBound...])
  }
}
