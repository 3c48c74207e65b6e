import Layout
import Quantities
import StepProgram
import Testing
import Transformer

@testable import StepSimulation

@Suite("Ranks of different speeds")
struct RankSpeedTests {
  /// A layout, and speeds for its ranks, at random.
  struct Draw {
    let layout: Parallelism
    let example: FidelityCase
    let speeds: RankSpeeds

    init(seed: UInt64) {
      var random = SeededGenerator(state: seed &* 7_919 &+ 1)
      let pipeline = [1, 2, 4].randomElement(using: &random) ?? 1
      let tensor = [1, 2, 4].randomElement(using: &random) ?? 1
      let schedule =
        [PipelineSchedule.gpipe, .oneForwardOneBackward, .interleaved, .zeroBubble]
        .randomElement(using: &random) ?? .gpipe
      let hasExperts = Bool.random(using: &random)
      layout = Parallelism(
        tensor: tensor, sequence: tensor > 1 && Bool.random(using: &random), pipeline: pipeline,
        virtualStages: schedule == .interleaved && pipeline > 1 ? 2 : 1, schedule: schedule,
        context: [1, 2].randomElement(using: &random) ?? 1,
        expert: hasExperts ? 2 : 1, expertTensor: hasExperts ? 1 : nil,
        data: [2, 4, 6].randomElement(using: &random) ?? 2,
        zero: Int.random(in: 0...3, using: &random), overlaps: Bool.random(using: &random),
        order: [
          Parallelism.usualOrder, [.pipeline, .tensor, .context, .data],
          [.context, .data, .tensor, .pipeline],
        ].randomElement(using: &random) ?? Parallelism.usualOrder)
      example = FidelityCase(
        "\(layout)", layout,
        model: SmallJobs.model(tied: Bool.random(using: &random), experts: hasExperts ? 4 : 0),
        microbatches: 2 * pipeline, perNode: [2, 4, 8].randomElement(using: &random) ?? 8,
        recompute: [Recompute.none, .selective, .full].randomElement(using: &random) ?? .none,
        framework: Framework.allCases.randomElement(using: &random) ?? .generic)
      var speeds = RankSpeeds(seed: seed, step: seed % 3)
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let rank = Int.random(in: 0..<layout.gpuCount, using: &random)
        let end = min(layout.gpuCount, rank + Int.random(in: 1...4, using: &random))
        speeds.slowdowns.append(
          RankSpeeds.Slowdown(
            ranks: rank..<end, factor: Double.random(in: 0.9...2, using: &random)))
      }
      if seed % 4 == 3 { speeds.jitter.kernel = 0.02 }
      if seed % 8 == 7 { speeds.jitter.gpu = 0.03 }
      self.speeds = speeds
    }
  }

  @Test("classes of ranks give what all ranks give by messages", arguments: UInt64(0)..<80)
  func classesEqualRanks(seed: UInt64) throws {
    let draw = Draw(seed: seed)
    let program = try draw.example.program()
    let folded = try FoldedSimulation.run(program, speeds: draw.speeds)
    let full = try SmallJobs.full(program, speeds: draw.speeds)
    let hint = "\(draw.layout) \(draw.speeds)"
    #expect(full.duration == folded.duration, "\(hint)")
    #expect(full.ranks.map(\.rank) == folded.ranks.map(\.rank), "\(hint)")
    #expect(full.ranks.map(\.spent) == folded.ranks.map(\.spent), "\(hint)")
    #expect(full.ranks.map(\.peak) == folded.ranks.map(\.peak), "\(hint)")
    #expect(full.ranks.map(\.peakTime) == folded.ranks.map(\.peakTime), "\(hint)")
  }

  @Test("any number of processes gives the same", arguments: [3, 7, 12, 31])
  func processesAgree(seed: UInt64) throws {
    let draw = Draw(seed: seed)
    let program = try draw.example.program()
    let alone = try SmallJobs.full(program, speeds: draw.speeds)
    for processes in [2, 3] {
      for result in try SmallJobs.fullEverywhere(
        program, speeds: draw.speeds, processes: processes)
      {
        #expect(result.duration == alone.duration)
        #expect(result.ranks.map(\.rank) == alone.ranks.map(\.rank))
        #expect(result.ranks.map(\.spent) == alone.ranks.map(\.spent))
      }
    }
  }

  @Test("one slow rank sets apart only the ranks that meet it")
  func fewClasses() throws {
    // 4 tensor × 2 pipeline × 4 data = 32 ranks, rank 0 (tensor 0, data 0, stage 0) slow. In each
    // stage: the ranks at its tensor position and the three other positions, each in its replica and
    // in the other replicas: four classes.
    let program = try FidelityCase(
      "", Parallelism(tensor: 4, pipeline: 2, data: 4), microbatches: 4
    ).program()
    let slow = RankSpeeds(slowdowns: [RankSpeeds.Slowdown(ranks: 0..<1, factor: 1.5)])
    let classes = RankClasses(program, speeds: slow).classes
    #expect(classes.count == 8)
    #expect(classes.map(\.count).sorted() == [1, 1, 3, 3, 3, 3, 9, 9])
    #expect(RankClasses(program, speeds: .uniform).classes.count == 2)
    // A whole replica that is slow leaves its tensor ranks alike: two classes a stage.
    let replica = RankSpeeds(
      slowdowns: [
        RankSpeeds.Slowdown(ranks: 0..<4, factor: 1.5),
        RankSpeeds.Slowdown(ranks: 16..<20, factor: 1.5),
      ])
    #expect(RankClasses(program, speeds: replica).classes.map(\.count).sorted() == [4, 4, 12, 12])
  }

  @Test("a slow rank holds up its pipeline by its own kernels only")
  func slowStage() throws {
    // Two stages, one microbatch: forward 10 µs, backward 20 µs on each, sends of 10 ps: 10 + 10 and
    // 20 + 20 µs and two sends. Stage 1 half again as slow: 15 and 30 µs on it.
    let program = try SyntheticPrograms.pipeline(
      .gpipe, ranks: 2, microbatches: 1, forward: 10_000_000, backward: 20_000_000, send: 10)
    let slow = RankSpeeds(slowdowns: [RankSpeeds.Slowdown(ranks: 1..<2, factor: 1.5)])
    #expect(try FoldedSimulation.run(program).duration.picoseconds == 60_000_020)
    for result in [
      try FoldedSimulation.run(program, speeds: slow), try SmallJobs.full(program, speeds: slow),
    ] {
      #expect(result.duration.picoseconds == 75_000_020)
      #expect(result.ranks[1].spent[TimeCategory.compute.rawValue].picoseconds == 45_000_000)
      #expect(result.ranks[0].spent[TimeCategory.compute.rawValue].picoseconds == 30_000_000)
    }
  }

  @Test(
    "the rank that is shown is the slow one, also where others wait for it in collectives",
    arguments: [0, 2, 3], [0, 5])
  func critical(shards: Int, slow: Int) throws {
    let program = try FidelityCase(
      "", Parallelism(tensor: 2, pipeline: 1, data: 4, zero: shards), microbatches: 2
    ).program()
    let kernels = TimeCategory.compute.rawValue
    let speeds = RankSpeeds(slowdowns: [RankSpeeds.Slowdown(ranks: slow..<slow + 1, factor: 2)])
    let usual = try FoldedSimulation.run(program).ranks[0].spent[kernels].seconds
    for result in [
      try FoldedSimulation.run(program, speeds: speeds),
      try SmallJobs.full(program, speeds: speeds),
    ] {
      let shown = result.ranks[result.criticalRank]
      #expect(shown.rank == slow)
      // Its kernels take twice as long, what communication costs them as long as ever.
      #expect(shown.spent[kernels].seconds > 1.5 * usual)
      #expect(shown.spent.reduce(.zero, +) == result.duration)
    }
  }

  @Test("a slow rank makes a step longer by no more than its own kernels", arguments: [0, 2, 3])
  func waitingCostsNothing(shards: Int) throws {
    // Ranks that are ahead launch their collectives early. Were the wait for the slow one charged as
    // transfers are, 12 % of it, they would end behind a rank that is only 5 % slower.
    let program = try FidelityCase(
      "", Parallelism(data: 16, zero: shards), microbatches: 2
    ).program()
    let speeds = RankSpeeds(slowdowns: [RankSpeeds.Slowdown(ranks: 3..<4, factor: 1.05)])
    let usual = try FoldedSimulation.run(program).duration.seconds
    for result in [
      try FoldedSimulation.run(program, speeds: speeds),
      try SmallJobs.full(program, speeds: speeds),
    ] {
      #expect(result.duration.seconds > usual)
      #expect(result.duration.seconds < 1.05 * usual)
    }
  }

  @Test("kernels stretch, the host does not")
  func stretching() {
    // One kernel of 100 after 7 of the host: 7 + 150 when half again as slow.
    let kernel = WorkSummary.kernel(
      host: SimDuration(picoseconds: 7), device: SimDuration(picoseconds: 100))
    #expect(kernel.stretched(by: 1.5) == WorkSummary(issue: 7, busy: 150, lag: 157))
    // Ten launches of 1 each take the host 70: launch-bound, the last kernel alone is behind: 1.5.
    let small = WorkSummary.kernels(
      10, host: SimDuration(picoseconds: 7), device: SimDuration(picoseconds: 20))
    #expect(small.lag == 72)
    #expect(small.stretched(by: 1.5) == WorkSummary(issue: 70, busy: 30, lag: 73))
    #expect(kernel.stretched(by: 1) == kernel)
  }

  @Test("random factors have the mean 1 and the deviation asked for")
  func deviates() {
    // Of 10,000 draws the mean lies within 5 standard errors of 0.01, the variance near 1.
    var sum = 0.0
    var squares = 0.0
    let speeds = RankSpeeds(jitter: RankSpeeds.Jitter(gpu: 0.1), seed: 5)
    for rank in 0..<10_000 {
      let deviate = (speeds.factor(of: rank) - 1) / 0.1
      sum += deviate
      squares += deviate * deviate
      #expect(abs(deviate) <= 3.4642)
    }
    #expect(abs(sum / 10_000) < 0.05)
    #expect(abs(squares / 10_000 - 1) < 0.05)
    var later = speeds
    later.step = 1
    #expect(later.factor(of: 3) == speeds.factor(of: 3))
    #expect(later.stream(of: 3) != speeds.stream(of: 3))
  }
}
