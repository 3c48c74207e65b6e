import Layout
import StepProgram
import Testing
import Transformer

@testable import StepSimulation

/// A layout to run in both fidelities.
struct FidelityCase: CustomTestStringConvertible {
  var testDescription: String
  var parallelism: Parallelism
  var model: Architecture
  var microbatches = 4
  var perNode = 8
  var recompute = Recompute.none
  var framework = Framework.generic
  var blocksLaunches = false

  init(
    _ description: String, _ parallelism: Parallelism, model: Architecture = SmallJobs.model(),
    microbatches: Int = 4, perNode: Int = 8, recompute: Recompute = .none,
    framework: Framework = .generic, blocksLaunches: Bool = false
  ) {
    self.blocksLaunches = blocksLaunches
    testDescription = description
    self.parallelism = parallelism
    self.model = model
    self.microbatches = microbatches
    self.perNode = perNode
    self.recompute = recompute
    self.framework = framework
  }

  func program() throws -> StepProgram {
    var job = try SmallJobs.job(
      parallelism, model: model, microbatches: microbatches, perNode: perNode,
      recompute: recompute, framework: framework)
    job.training.blocksLaunches = blocksLaunches
    return StepCompiler.compile(job)
  }

  static let all: [FidelityCase] = [
    FidelityCase("one GPU", Parallelism()),
    FidelityCase("data 8 in a node", Parallelism(data: 8)),
    FidelityCase("data 32 over nodes", Parallelism(data: 32)),
    FidelityCase("data 24, three nodes", Parallelism(data: 24), framework: .megatronDeepSpeed),
    FidelityCase("tensor 4", Parallelism(tensor: 4)),
    FidelityCase("tensor 4, data 4", Parallelism(tensor: 4, data: 4)),
    FidelityCase("tensor 4, sequence", Parallelism(tensor: 4, sequence: true, data: 2)),
    FidelityCase(
      "tensor 4, nemo overlaps", Parallelism(tensor: 4, sequence: true, data: 2),
      framework: .nemo),
    FidelityCase("tensor 4 over two nodes", Parallelism(tensor: 4, data: 2), perNode: 2),
    FidelityCase(
      "pipeline 2, 1f1b", Parallelism(pipeline: 2, data: 2), framework: .megatronLM),
    FidelityCase("pipeline 4, 1f1b", Parallelism(pipeline: 4, data: 4)),
    FidelityCase(
      "blocking launches", Parallelism(tensor: 2, pipeline: 2, data: 2, zero: 1),
      framework: .megatronDeepSpeed, blocksLaunches: true),
    FidelityCase(
      "pipeline 4, gpipe", Parallelism(pipeline: 4, schedule: .gpipe, data: 2), microbatches: 8),
    FidelityCase(
      "pipeline 2, interleaved",
      Parallelism(pipeline: 2, virtualStages: 2, schedule: .interleaved, data: 2),
      framework: .megatronCore),
    FidelityCase(
      "pipeline 4, interleaved, tensor 2",
      Parallelism(tensor: 2, pipeline: 4, virtualStages: 2, schedule: .interleaved, data: 2),
      microbatches: 8, framework: .megatronCore),
    FidelityCase(
      "pipeline 4, zero-bubble", Parallelism(pipeline: 4, schedule: .zeroBubble, data: 2),
      microbatches: 8),
    FidelityCase(
      "pipeline 4, zero-bubble V",
      Parallelism(pipeline: 4, virtualStages: 2, schedule: .zeroBubble, data: 2), microbatches: 8,
      framework: .megatronCore),
    FidelityCase(
      "pipeline 2, DualPipe", Parallelism(pipeline: 2, schedule: .dualPipe, data: 4, zero: 1),
      microbatches: 8, framework: .megatronCore),
    FidelityCase(
      "pipeline 4, DualPipe from both ends",
      Parallelism(pipeline: 4, schedule: .bidirectional, data: 4, zero: 1), microbatches: 8,
      framework: .megatronCore),
    FidelityCase("zero 1", Parallelism(data: 16, zero: 1)),
    FidelityCase("zero 1, pipeline 2", Parallelism(pipeline: 2, data: 8, zero: 1)),
    FidelityCase("zero 2", Parallelism(data: 8, zero: 2), framework: .deepspeed),
    FidelityCase("zero 3", Parallelism(data: 8, zero: 3)),
    FidelityCase("zero 3 over nodes", Parallelism(data: 16, zero: 3), framework: .torchtitan),
    FidelityCase("zero 3, pipeline 2", Parallelism(pipeline: 2, data: 8, zero: 3)),
    FidelityCase(
      "hybrid shard", Parallelism(data: 16, shardGroup: 8, zero: 3), framework: .llmFoundry),
    FidelityCase("full recompute", Parallelism(tensor: 2, data: 4), recompute: .full),
    FidelityCase(
      "tied, pipeline 4", Parallelism(tensor: 2, pipeline: 4, data: 2),
      model: SmallJobs.model(tied: true), framework: .megatronLM),
    FidelityCase(
      "tied, pipeline 2 in a node", Parallelism(pipeline: 2, data: 2, zero: 1),
      model: SmallJobs.model(tied: true)),
    FidelityCase("context 2", Parallelism(context: 2, data: 4)),
    FidelityCase(
      "experts 2", Parallelism(expert: 2, data: 8), model: SmallJobs.model(experts: 4)),
    FidelityCase(
      "experts 4 over nodes, zero 1", Parallelism(expert: 4, data: 8, zero: 1),
      model: SmallJobs.model(experts: 4), perNode: 2),
    FidelityCase(
      "experts and tensor", Parallelism(tensor: 2, expert: 2, expertTensor: 1, data: 4),
      model: SmallJobs.model(experts: 4)),
  ]
}

@Suite("Every rank by messages, and one rank a stage by closed forms")
struct FidelityTests {
  @Test("both give the same step on an idle symmetric fabric", arguments: FidelityCase.all)
  func fidelitiesAgree(_ example: FidelityCase) throws {
    let program = try example.program()
    let folded = try FoldedSimulation.run(program)
    let full = try SmallJobs.full(program)
    // Collectives end a closed form after their last member came, in both; nothing is rounded
    // twice, so the times are equal to the picosecond.
    #expect(full.duration == folded.duration)
    #expect(full.hardwareFlops == folded.hardwareFlops)
    #expect(full.ranks.count == folded.ranks.count)
    for (each, one) in zip(full.ranks, folded.ranks) {
      #expect(each.rank == one.rank)
      #expect(each.spent == one.spent)
      #expect(each.peak == one.peak)
      #expect(each.atPeak == one.atPeak)
      #expect(each.resident == one.resident)
      #expect(each.peakPhase == one.peakPhase)
      #expect(each.peakTime == one.peakTime)
    }
    #expect(full.statistics.simulatedRanks == example.parallelism.gpuCount)
  }

  @Test("any number of processes gives the same result", arguments: FidelityCase.all)
  func processesAgree(_ example: FidelityCase) throws {
    guard example.parallelism.gpuCount <= 16 else { return }
    let program = try example.program()
    let alone = try SmallJobs.full(program)
    for processes in [2, 3, 4, 7] {
      for result in try SmallJobs.fullEverywhere(program, processes: processes) {
        #expect(result.duration == alone.duration)
        #expect(result.ranks.map(\.rank) == alone.ranks.map(\.rank))
        #expect(result.ranks.map(\.spent) == alone.ranks.map(\.spent))
        #expect(result.ranks.map(\.peak) == alone.ranks.map(\.peak))
        #expect(result.ranks.map(\.peakTime) == alone.ranks.map(\.peakTime))
        // Members of a group in a node tell each other at once; divided nodes need words for it.
        if processes <= example.parallelism.gpuCount / example.perNode {
          #expect(result.statistics.events == alone.statistics.events)
        }
        #expect(result.statistics.messages == alone.statistics.messages)
      }
    }
  }
}
