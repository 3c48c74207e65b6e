import Hardware
import Kernels
import Layout
import Quantities
import StepProgram
import Testing
import Transformer

@testable import StepSimulation

@Suite("Layouts at random, and members that come late")
struct LayoutFidelityTests {
  @Test("both fidelities agree on any layout", arguments: UInt64(0)..<60)
  func randomLayouts(seed: UInt64) throws {
    var random = SeededGenerator(state: seed)
    let pipeline = [1, 2, 4].randomElement(using: &random) ?? 1
    let tensor = [1, 2, 4].randomElement(using: &random) ?? 1
    let schedule =
      [PipelineSchedule.gpipe, .oneForwardOneBackward, .interleaved, .zeroBubble]
      .randomElement(using: &random) ?? .gpipe
    let hasExperts = Bool.random(using: &random)
    let layout = Parallelism(
      tensor: tensor, sequence: tensor > 1 && Bool.random(using: &random), pipeline: pipeline,
      virtualStages: schedule == .interleaved && pipeline > 1 ? 2 : 1, schedule: schedule,
      context: [1, 2].randomElement(using: &random) ?? 1,
      contextStyle: ContextStyle.allCases.randomElement(using: &random) ?? .ring,
      expert: hasExperts ? 2 : 1, expertTensor: hasExperts ? 1 : nil,
      data: [2, 4, 6].randomElement(using: &random) ?? 2,
      zero: Int.random(in: 0...3, using: &random), overlaps: Bool.random(using: &random),
      order: [
        Parallelism.usualOrder, [.pipeline, .tensor, .context, .data],
        [.context, .data, .tensor, .pipeline],
      ].randomElement(using: &random) ?? Parallelism.usualOrder)
    let example = FidelityCase(
      "\(layout)", layout,
      model: SmallJobs.model(tied: Bool.random(using: &random), experts: hasExperts ? 4 : 0),
      microbatches: 2 * pipeline,
      perNode: [2, 4, 8].randomElement(using: &random) ?? 8,
      recompute: [Recompute.none, .selective, .full].randomElement(using: &random) ?? .none,
      framework: Framework.allCases
        .randomElement(using: &random) ?? .generic)
    var job = try example.program().job
    job.training.dispatch = ExpertDispatch(
      dispatcher: ExpertDispatch.Dispatcher.allCases.randomElement(using: &random),
      imbalance: [1, 1.3].randomElement(using: &random) ?? 1,
      overlapsMicrobatches: Bool.random(using: &random))
    let program = StepCompiler.compile(job)
    let folded = try FoldedSimulation.run(program)
    let full = try SmallJobs.full(program)
    #expect(full.duration == folded.duration, "\(layout)")
    #expect(full.ranks.map(\.spent) == folded.ranks.map(\.spent), "\(layout)")
    #expect(full.ranks.map(\.peak) == folded.ranks.map(\.peak), "\(layout)")
    #expect(full.ranks.map(\.peakTime) == folded.ranks.map(\.peakTime), "\(layout)")
  }

  @Test("a dense model runs in any order of the axes, odd degrees too", arguments: 0..<24)
  func orders(number: Int) throws {
    // The number in the factorial number system picks the next of the axes left.
    var left = Axis.allCases
    var order: [Axis] = []
    var rest = number
    for count in (1...4).reversed() {
      order.append(left.remove(at: rest % count))
      rest /= count
    }
    // Experts' groups would be 2 ranks out of 3 × 2 that lie apart; there are none.
    let program = StepCompiler.compile(
      try SmallJobs.job(
        Parallelism(tensor: 2, pipeline: 2, data: 3, zero: 1, order: order), microbatches: 2))
    #expect(
      try FoldedSimulation.run(program).duration == (try SmallJobs.full(program)).duration)
  }

  @Test("a step longer than the clock goes is refused in both fidelities, whatever the schedule")
  func tooLong() throws {
    for schedule in [PipelineSchedule.oneForwardOneBackward, .zeroBubble, .dualPipe] {
      for rate in [1.0, 1e7] {
        var job = try SmallJobs.job(
          Parallelism(pipeline: 2, schedule: schedule, data: 2), microbatches: 400)
        job.cluster.gpu.peaks = [
          .bf16: FlopRate(flopsPerSecond: rate), .fp32: FlopRate(flopsPerSecond: rate),
        ]
        // 8 layers of 25 million parameters: a microbatch of 2,048 tokens takes 2.5e12 operations, 29 days
        // at 1e6 a second; at 1e7 only all 400 of them are too long.
        let program = StepCompiler.compile(job)
        #expect(throws: StepSimulationError.tooLong) { try FoldedSimulation.run(program) }
        #expect(throws: StepSimulationError.tooLong) { try SmallJobs.full(program) }
      }
    }
  }

  @Test("as many operations as the model asks for are done, however few tokens an expert gets")
  func fewTokens() throws {
    // 5 tokens, two experts each of four: 2.5 rows an expert, of which 2 would be a fifth too few.
    var job = try SmallJobs.job(Parallelism(), model: SmallJobs.model(experts: 4))
    job.training.sequenceLength = 5
    let program = StepCompiler.compile(job)
    let result = try FoldedSimulation.run(program)
    #expect(result.hardwareFlops >= program.modelFlops)
    // 50,257 words over 8 ranks: 6,283 on some, not 6,282.
    var words = try SmallJobs.job(Parallelism(tensor: 8), framework: .torchtitan)
    words.architecture.vocabularySize = 50_257
    let cut = StepCompiler.compile(words)
    #expect(try FoldedSimulation.run(cut).hardwareFlops >= cut.modelFlops)
  }

  @Test("a collective takes its closed form from the last member's coming")
  func lateMember() throws {
    var program = try SyntheticPrograms.pipeline(
      .gpipe, ranks: 4, microbatches: 1, forward: 1_000_000, backward: 5_000_000, send: 10)
    let norm = try #require(program.calls.firstIndex { $0.axis == .model })
    let duration = program.calls[norm].duration.picoseconds
    let meeting = Instruction.meet(call: norm, first: 0, last: 3)
    // Stage 2 computes 5 µs before the meeting, the others 1 µs.
    for stage in program.stages.indices {
      program.stages[stage].instructions = [.run(stage == 2 ? 1 : 0), meeting]
    }
    for result in [try FoldedSimulation.run(program), try SmallJobs.full(program)] {
      #expect(result.duration.picoseconds == 5_000_000 + duration)
      for rank in result.ranks {
        let waited = rank.spent[TimeCategory.bubble.rawValue].picoseconds
        #expect(waited == (rank.stage == 2 ? 0 : 4_000_000))
        #expect(rank.spent[TimeCategory.optimizer.rawValue].picoseconds == duration)
      }
    }
  }
}
