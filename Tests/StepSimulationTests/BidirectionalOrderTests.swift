import Layout
import Quantities
import Testing

@testable import StepProgram
@testable import StepSimulation

/// DualPipe with two copies of the weights (arXiv:2412.19437).
@Suite("Pipelines from both ends") struct BidirectionalOrderTests {
  private func text(rank: Int, ranks: Int, microbatches: Int) -> String {
    PipelineSchedule.bidirectional.turns(
      rank: rank, ranks: ranks, chunks: 2, microbatches: microbatches
    ).map(\.text).joined(separator: " ")
  }

  @Test("eight microbatches on four ranks, by hand")
  func byHand() {
    // P = 4, four microbatches a direction. Rank 0, d = 0: 2 forwards down; one of either way; input
    // gradient, weights, forward of the way up; 4 − 4 + 0 + 1 = 1 round of pairs; one backward and a
    // pair; the last backwards, the second without weights; and those.
    #expect(
      text(rank: 0, ranks: 4, microbatches: 8)
        == "F0.0 F1.0 F2.0 F0.1 B0.1 W0.1 F1.1 F3.0& B1.1& W1.1 F2.1& B0.0& W0.0 "
        + "B2.1& W2.1 F3.1& B1.0& W1.0 B3.1& W3.1 B2.0 W2.0 B3.0 W3.0")
    // Rank 1, d = 1: none; two of either way; none; 2 rounds, the first forward alone; none; two
    // backwards of either way, the second two without weights.
    #expect(
      text(rank: 1, ranks: 4, microbatches: 8)
        == "F0.0 F0.1 F1.0 F1.1 F2.0 B0.1& W0.1 F2.1& B0.0& W0.0 F3.0& B1.1& W1.1 "
        + "F3.1& B1.0& W1.0 B2.1& W2.1 B2.0& W2.0 B3.1 B3.0 W3.1 W3.0")
    // The other half is the mirror image.
    for rank in 0..<4 {
      let mirrored = text(rank: 3 - rank, ranks: 4, microbatches: 8)
        .replacing(".0", with: ".x").replacing(".1", with: ".0").replacing(".x", with: ".1")
      #expect(text(rank: rank, ranks: 4, microbatches: 8) == mirrored)
    }
  }

  @Test("every pass runs once, after what it needs", arguments: [2, 4, 6, 16], [2, 8, 24, 64])
  func completeness(ranks: Int, microbatches: Int) {
    for rank in 0..<ranks {
      let turns = PipelineSchedule.bidirectional.turns(
        rank: rank, ranks: ranks, chunks: 2, microbatches: microbatches)
      #expect(
        Set(turns.map { Turn($0.kind, microbatch: $0.microbatch, chunk: $0.chunk) }).count
          == 3 * microbatches)
      #expect(turns.count == 3 * microbatches)
      var forward = [0, 0]
      var backward = [0, 0]
      var most = 0
      for turn in turns {
        if turn.kind == .forward { forward[turn.chunk] += 1 }
        if turn.kind == .backward {
          #expect(turn.microbatch < forward[turn.chunk])
          backward[turn.chunk] += 1
        }
        most = max(most, forward[0] + forward[1] - backward[0] - backward[1])
      }
      // The published activations: P + 1.
      #expect(most <= ranks + 1)
    }
  }

  @Test("the bubble is (P/2 − 1)(F&B + B − 3W)", arguments: [2, 4, 8], [1, 2])
  func bubble(ranks: Int, times: Int) throws {
    // Forward and input gradient 2 µs each, weight gradient 1 µs: F&B = 5, B = 3, W = 1, so that every
    // rank idles (P/2 − 1) × (5 + 3 − 3) = (P/2 − 1) × 5 µs beside its M × 5 of work.
    let microbatches = 2 * ranks * times
    var program = try SyntheticPrograms.pipeline(
      .bidirectional, ranks: ranks, microbatches: microbatches, forward: 2_000_000,
      backward: 2_000_000, send: 0)
    var weights = program.blocks[1]
    weights.summary = WorkSummary(issue: 0, busy: 1_000_000, lag: 1_000_000)
    weights.leaves = [.work(weights.summary)]
    weights.busyByCategory = weights.busyByCategory.map { $0 / 2 }
    program.blocks.append(weights)
    for stage in program.stages.indices {
      var kind = Phase.Kind.forward
      for index in program.stages[stage].instructions.indices {
        if case .phase(let phase) = program.stages[stage].instructions[index] { kind = phase.kind }
        if kind == .weightGradient, program.stages[stage].instructions[index] == .run(1) {
          program.stages[stage].instructions[index] = .run(2)
        }
      }
      // Without the exchange of gradients at the end.
      program.stages[stage].instructions.removeAll {
        switch $0 {
        case .send(let lane, _, _, _, _): lane >= 4 * ranks
        case .receive(let lane, _): lane >= 4 * ranks
        default: false
        }
      }
    }
    for result in [try FoldedSimulation.run(program), try SmallJobs.full(program)] {
      let idle = Int64(ranks / 2 - 1) * 5_000_000
      #expect(result.duration.picoseconds == Int64(microbatches) * 5_000_000 + idle)
    }
  }

  @Test("each rank holds its stage and its mirror image's, and owns half of its shard's states")
  func states() throws {
    // Four equal layers on four ranks, data 2: rank 1 holds layers 1 and 2, as rank 2 does.
    let layout = Parallelism(pipeline: 4, schedule: .bidirectional, data: 2, zero: 1)
    let job = try SmallJobs.job(layout, model: SmallJobs.model(layers: 4), microbatches: 8)
    let compiler = StepCompiler(job: job)
    let chunks = compiler.states.chunks(ofStage: 1).map(\.chunk)
    #expect(chunks.map(\.layers) == [1..<2, 2..<3])
    #expect(chunks.map(\.stage) == [1, 4 + 2])
    #expect(compiler.states.chunks(ofStage: 2).map(\.chunk.layers) == [2..<3, 1..<2])
    // One way a rank has the table, the other the head.
    let ends = compiler.states.chunks(ofStage: 3).map(\.chunk)
    #expect(ends.map(\.hasHead) == [true, false] && ends.map(\.hasEmbedding) == [false, true])
    let local = Int64(compiler.states.parameters(ofStage: 1).total)
    // Two data ranks and two copies share them: 12 bytes for each parameter in four.
    #expect(compiler.states.ownedOptimizerBytes(ofStage: 1) == (local + 3) / 4 * 12)
  }

  @Test("folded and full agree, the exchange of both copies included", arguments: [0, 1])
  func fidelity(zero: Int) throws {
    let layout = Parallelism(
      pipeline: 4, schedule: .bidirectional, data: 2, zero: zero)
    let program = StepCompiler.compile(try SmallJobs.job(layout, microbatches: 10))
    let folded = try FoldedSimulation.run(program)
    let full = try SmallJobs.full(program)
    #expect(full.duration == folded.duration)
    #expect(full.ranks.map(\.peak) == folded.ranks.map(\.peak))
    let exchanged = program.stages[0].instructions.compactMap { instruction -> Int64? in
      if case .send(let lane, _, let bytes, _, _) = instruction, lane >= 16 { bytes } else { nil }
    }
    let compiler = StepCompiler(job: program.job)
    let local = Int64(compiler.states.parameters(ofStage: 0).total)
    // Whole gradients, half to sum and half summed; or half a shard of them, and of the parameters.
    let half = (local / (zero == 0 ? 1 : 2)) / 2
    #expect(
      exchanged
        == (zero == 0
          ? [2 * half * compiler.states.reduceBytes]
          : [half * compiler.states.reduceBytes, half * 2]))
  }

  @Test("ranks are paired: an odd number of them cannot train", arguments: [2, 3, 4, 5])
  func pairs(ranks: Int) {
    for schedule in [PipelineSchedule.bidirectional, .dualPipe] {
      var layout = Parallelism(pipeline: ranks)
      layout.schedule = schedule
      let request = LayoutRequest(
        architecture: SmallJobs.model(layers: 60), sequenceLength: 2_048, globalBatch: 16,
        microBatch: 1)
      #expect(layout.canTrain(request) == ranks.isMultiple(of: 2))
    }
  }

  @Test("a checkpoint has every state once, though two ranks hold it") func checkpoint() throws {
    func bytes(_ schedule: PipelineSchedule) throws -> Int64 {
      var layout = Parallelism(pipeline: 4, data: 2, zero: 1)
      layout.schedule = schedule
      return StepCompiler.compile(try SmallJobs.job(layout, microbatches: 8)).checkpointBytes.total
    }
    #expect(try bytes(.bidirectional) == bytes(.oneForwardOneBackward))
  }

  @Test("without other stages every schedule is one forward, one backward")
  func oneStage() throws {
    func seconds(_ schedule: PipelineSchedule) throws -> Double {
      var layout = Parallelism(expert: 4, data: 8)
      layout.schedule = schedule
      let job = try SmallJobs.job(layout, model: SmallJobs.model(experts: 8))
      return try FoldedSimulation.run(StepCompiler.compile(job)).duration.seconds
    }
    let usual = try seconds(.oneForwardOneBackward)
    for schedule in [PipelineSchedule.zeroBubble, .dualPipe, .bidirectional] {
      #expect(try seconds(schedule) == usual)
    }
  }
}
