import Layout
import MessagePassing
import Quantities
import ScenarioFile
import StepProgram
import StepSimulation
import Studies
import Testing
import Transformer

/// A search that simulates few layouts finds what one that simulates all finds.
@Suite struct LayoutSearchTests {
  /// Jobs small enough to simulate every layout of, of every kind of space.
  static let scenarios = [
    ("gpt2-xl", "a100-sxm-80gb", 16, "megatron-core", "none"),
    ("llama-3.1-8b", "h100-sxm-80gb", 32, "generic", "none"),
    ("llama-3.1-8b", "h100-sxm-80gb", 32, "torchtitan", "none"),
    ("llama-2-13b", "a100-sxm-80gb", 16, "nanotron", "none"),
    ("llama-2-13b", "a100-sxm-80gb", 16, "megatron-deepspeed", "none"),
    ("mixtral-8x7b", "h100-sxm-80gb", 32, "nemo", "none"),
    ("mpt-7b", "a100-sxm-80gb", 16, "llm-foundry", "auto"),
  ]

  static func job(_ index: Int) throws -> TrainingJob {
    let (model, gpu, gpus, framework, recompute) = scenarios[index]
    let text = """
      name: search
      model: \(model)
      cluster: {gpu: \(gpu), gpus: \(gpus)}
      training:
        sequence_length: 2048
        global_batch: 64
        micro_batch: 1
        recompute: \(recompute)
        framework: \(framework)
      """
    return try Scenario(ScenarioSource(path: "search.yaml", text: text, overrides: [])).job
  }

  /// Every seventh layout, so that a debug build is done in seconds.
  static func sample(_ index: Int) throws -> [TrainingJob] {
    let jobs = LayoutSpace(
      job: try job(index),
      restrictions: [
        .microBatch: ["1", "4"], .tensor: ["1", "2", "4"], .pipeline: ["1", "2", "4"],
      ]
    ).jobs
    return stride(from: index, to: jobs.count, by: max(1, jobs.count / 150)).map { jobs[$0] }
  }

  @Test("full recomputation of half a chunk's layers is searched where the framework has it")
  func someLayers() throws {
    // gpt2-xl has 48 layers: of 4 stages 12 each, of 4 × 3 chunks 4.
    func modes(_ index: Int, _ pipeline: String, _ chunks: String) throws -> Set<Recompute> {
      let jobs = LayoutSpace(
        job: try Self.job(index),
        restrictions: [.pipeline: [pipeline], .virtualStages: [chunks], .microBatch: ["1"]]
      ).jobs
      return Set(jobs.map(\.training.recompute))
    }
    #expect(try modes(0, "4", "1") == [.none, .selective, .full, .fullLayers(6)])
    #expect(try modes(0, "4", "3") == [.none, .selective, .full, .fullLayers(2)])
    // nanotron recomputes all layers or none.
    #expect(try modes(3, "4", "1") == [.none, .selective, .full])
    #expect(LayoutSpace.Axis.recompute.accepts("{full_layers: 3}"))
    #expect(!LayoutSpace.Axis.recompute.accepts("{full_layers: many}"))
  }

  @Test("no step is shorter, and no peak lower, than its bound", arguments: scenarios.indices)
  func bounds(_ index: Int) throws {
    var bounds = StepBounds()
    let jobs = try Self.sample(index)
    #expect(jobs.count > 20)
    for job in jobs {
      let bound = bounds.bound(job)
      let result = try FoldedSimulation.run(try StepProgram.compile(deciding: job))
      let peak = result.ranks.map(\.peak.count).max() ?? 0
      #expect(bound.duration <= result.duration, "\(job.parallelism)")
      #expect(bound.bytes <= peak, "\(job.parallelism)")
      // A bound that says nothing would prune nothing: more than a tenth of the step is known.
      #expect(bound.duration.seconds > 0.1 * result.duration.seconds, "\(job.parallelism)")
    }
  }

  @Test("the best are the best of all", arguments: scenarios.indices)
  func pruned(_ index: Int) throws {
    let jobs = try Self.sample(index)
    for objective in [LayoutSearch.Objective.time, .memory] {
      func search(_ wanted: Int) throws -> [LayoutOutcome] {
        try LayoutSearch.evaluate(
          jobs, wanted: wanted, by: objective, communicator: SoloCommunicator()
        ) { _ in }
      }
      func best(_ outcomes: [LayoutOutcome]) -> [TrainingJob] {
        LayoutSearch.distinct(LayoutSearch.ranked(outcomes, by: objective)).prefix(3).map(\.job)
      }
      let all = try search(jobs.count)
      #expect(!all.contains { $0.verdict == .worse })
      #expect(best(try search(3)) == best(all))
    }
  }

  @Test("slow ranks count in every layout that is looked at, and bounds stay below")
  func stragglers() throws {
    let jobs = Array(try Self.sample(1).prefix(40))
    for factor in [2.0, 0.5] {
      let speeds = RankSpeeds(slowdowns: [.init(ranks: 3..<4, factor: factor)])
      let outcomes = try LayoutSearch.evaluate(
        jobs, wanted: jobs.count, speeds: speeds, communicator: SoloCommunicator()
      ) { _ in }
      for outcome in outcomes where outcome.isSimulated {
        let result = try FoldedSimulation.run(
          try StepProgram.compile(deciding: outcome.job), speeds: speeds)
        #expect(outcome.stepSeconds == result.duration.seconds, "\(outcome.job.parallelism)")
      }
      // Pruned with few wanted, the best is the same.
      let few = try LayoutSearch.evaluate(
        jobs, wanted: 1, speeds: speeds, communicator: SoloCommunicator()
      ) { _ in }
      #expect(
        LayoutSearch.ranked(few, by: .time).first?.job
          == LayoutSearch.ranked(outcomes, by: .time).first?.job)
    }
  }

  @Test("what a journal keeps is not simulated again, and changes nothing")
  func journal() throws {
    let scenario = try Scenario(
      ScenarioSource(
        path: "search.yaml",
        text: """
          model: llama-3.1-8b
          cluster: {gpu: h100-sxm-80gb, gpus: 32}
          training: {sequence_length: 2048, global_batch: 64, micro_batch: 1}
          """, overrides: []))
    let jobs = try Self.sample(1)
    func question(_ program: String) -> SearchJournal {
      SearchJournal(scenario: scenario, arguments: ["time"], program: program)
    }
    var journal = question("a")
    let whole = try LayoutSearch.evaluate(
      jobs, wanted: 3, communicator: SoloCommunicator()
    ) { journal.note($0.news) }
    var again = question("a")
    let known = again.resume(journal.text, jobs: jobs)
    #expect(known.count == whole.count { $0.isSimulated })
    #expect(again.text == journal.text)
    var fresh = 0
    let resumed = try LayoutSearch.evaluate(
      jobs, wanted: 3, known: known, communicator: SoloCommunicator()
    ) { fresh += $0.news.count }
    #expect(fresh == 0)
    #expect(
      LayoutSearch.ranked(resumed, by: .time).map(\.job)
        == LayoutSearch.ranked(whole, by: .time).map(\.job))
    // Another build's predictions, or half a line, are not taken over.
    var other = question("b")
    #expect(other.resume(journal.text, jobs: jobs).isEmpty)
    var damaged = question("a")
    #expect(damaged.resume(journal.text + "12 1", jobs: jobs).isEmpty)
  }
}
