import Layout
import Quantities
import StepProgram
import Testing

@testable import StepSimulation

@Suite("Pipeline schedules in time")
struct PipelineTimeTests {
  @Test("GPipe and 1F1B idle for p − 1 of m + p − 1 turns", arguments: [2, 4, 8], [1, 4, 8, 16])
  func bubbleFraction(ranks: Int, microbatches: Int) throws {
    for schedule in [PipelineSchedule.gpipe, .oneForwardOneBackward] {
      let program = try SyntheticPrograms.pipeline(
        schedule, ranks: ranks, microbatches: microbatches, forward: 1_000_000,
        backward: 2_000_000, send: 0)
      let result = try FoldedSimulation.run(program)
      // The last microbatch enters after m − 1 turns and passes p stages each way
      // (arXiv:2104.04473, section 2.2): (m + p − 1)(F + B), of which m (F + B) is work.
      let turns = Int64(microbatches + ranks - 1)
      #expect(result.duration.picoseconds == turns * 3_000_000)
      for rank in result.ranks {
        let idle = rank.spent[TimeCategory.bubble.rawValue].picoseconds
        #expect(idle == Int64(ranks - 1) * 3_000_000)
        #expect(idle * turns == Int64(ranks - 1) * result.duration.picoseconds)
      }
    }
  }

  @Test("Megatron-Core's interleaved stages do not wait for what they send, unless told to")
  func interleavedSends() throws {
    func blocking(_ schedule: PipelineSchedule, _ framework: Framework, overlaps: Bool? = nil)
      throws
      -> Set<Bool>
    {
      var job = try SmallJobs.job(
        Parallelism(
          pipeline: 2, virtualStages: schedule == .interleaved ? 2 : 1, schedule: schedule),
        framework: framework)
      job.training.switches.overlapsSends = overlaps
      let program = StepCompiler.compile(job)
      return Set(
        program.stages.flatMap(\.instructions).compactMap {
          if case .send(_, _, _, _, let blocking) = $0 { blocking } else { nil }
        })
    }
    #expect(try blocking(.interleaved, .megatronCore) == [false])
    #expect(try blocking(.oneForwardOneBackward, .megatronCore) == [true])
    #expect(try blocking(.interleaved, .megatronCore, overlaps: false) == [true])
    #expect(try blocking(.interleaved, .nemo, overlaps: false) == [true])
    #expect(try blocking(.interleaved, .megatronLM) == [true])
  }

  @Test("every rank by messages has the same bubble")
  func bubbleByMessages() throws {
    // Sends of 1 ps delay the critical path 2 (p − 1) times.
    let program = try SyntheticPrograms.pipeline(
      .gpipe, ranks: 4, microbatches: 8, forward: 1_000_000, backward: 2_000_000, send: 1)
    let result = try SmallJobs.full(program)
    #expect(result.duration.picoseconds == 11 * 3_000_000 + 6)
    #expect(try FoldedSimulation.run(program).duration == result.duration)
    // 3 boundaries × 8 microbatches × 2 directions, and a start for each rank.
    #expect(result.statistics.messages == 48)
    #expect(result.statistics.events == 52)
  }

  @Test("interleaving v chunks divides the bubble by v")
  func interleavedBubble() throws {
    // Chunks take F/v and B/v: the bubble is (p − 1)(F + B)/v (arXiv:2104.04473, section 2.2).
    let program = try SyntheticPrograms.pipeline(
      .interleaved, ranks: 4, chunks: 2, microbatches: 8, forward: 500_000, backward: 1_000_000,
      send: 0)
    let result = try FoldedSimulation.run(program)
    #expect(result.duration.picoseconds == 8 * 3_000_000 + 3 * 3_000_000 / 2)
  }

  @Test("1F1B keeps at most p − s microbatches on stage s, GPipe all")
  func keptMicrobatches() throws {
    for (schedule, isAll) in [(PipelineSchedule.gpipe, true), (.oneForwardOneBackward, false)] {
      let program = try SyntheticPrograms.pipeline(
        schedule, ranks: 4, microbatches: 8, forward: 1_000_000, backward: 2_000_000, send: 1,
        kept: 1_000)
      for result in [try FoldedSimulation.run(program), try SmallJobs.full(program)] {
        for rank in result.ranks {
          let resident = rank.resident.reduce(Bytes.zero, +)
          let kept = isAll ? 8 : 4 - rank.stage
          #expect(rank.peak - resident == Bytes(1_000 * kept))
          #expect(rank.atPeak[MemoryCategory.activations.rawValue] == Bytes(1_000 * kept))
        }
      }
    }
  }
}

@Suite("Turns of pipeline ranks")
struct ScheduleOrderTests {
  /// Turns as text: F, B or W, microbatch, and chunk where there are several.
  private func text(
    _ schedule: PipelineSchedule, rank: Int, ranks: Int, chunks: Int = 1, microbatches: Int
  ) -> String {
    schedule.turns(rank: rank, ranks: ranks, chunks: chunks, microbatches: microbatches).map {
      let kind: String
      switch $0.kind {
      case .forward: kind = "F"
      case .backward: kind = "B"
      default: kind = "W"
      }
      return kind + String($0.microbatch) + (chunks > 1 ? "c" + String($0.chunk) : "")
    }.joined(separator: " ")
  }

  @Test("GPipe runs all forwards first")
  func gpipe() {
    #expect(text(.gpipe, rank: 0, ranks: 2, microbatches: 3) == "F0 F1 F2 B0 B1 B2")
  }

  @Test("1F1B warms up with p − s − 1 forwards")
  func oneForwardOneBackward() {
    let schedule = PipelineSchedule.oneForwardOneBackward
    #expect(text(schedule, rank: 0, ranks: 3, microbatches: 4) == "F0 F1 F2 B0 F3 B1 B2 B3")
    #expect(text(schedule, rank: 1, ranks: 3, microbatches: 4) == "F0 F1 B0 F2 B1 F3 B2 B3")
    #expect(text(schedule, rank: 2, ranks: 3, microbatches: 4) == "F0 B0 F1 B1 F2 B2 F3 B3")
    #expect(text(schedule, rank: 0, ranks: 4, microbatches: 2) == "F0 F1 B0 B1")
  }

  @Test("interleaving takes microbatches in groups of p through each chunk")
  func interleaved() {
    // arXiv:2104.04473, figure 4, for two ranks: rank 0 warms up with 2·1 + 2 forwards.
    #expect(
      text(.interleaved, rank: 0, ranks: 2, chunks: 2, microbatches: 4)
        == "F0c0 F1c0 F0c1 F1c1 F2c0 B0c1 F3c0 B1c1 F2c1 B0c0 F3c1 B1c0 B2c1 B3c1 B2c0 B3c0")
    #expect(
      text(.interleaved, rank: 1, ranks: 2, chunks: 2, microbatches: 4)
        == "F0c0 F1c0 F0c1 B0c1 F1c1 B1c1 F2c0 B0c0 F3c0 B1c0 F2c1 B2c1 F3c1 B3c1 B2c0 B3c0")
  }

  @Test("interleaving ends for any number of microbatches", arguments: 1..<34)
  func interleavedEnds(microbatches: Int) {
    for (ranks, chunks) in [(2, 3), (4, 2), (4, 4), (5, 3)] {
      let turns = (0..<ranks).map {
        PipelineSchedule.interleaved.turns(
          rank: $0, ranks: ranks, chunks: chunks, microbatches: microbatches)
      }
      // Every rank does what it can until none can do more; stage s of a microbatch needs stage s − 1's
      // forward, or its own forward and stage s + 1's backward.
      var done = Set<[Int]>()
      var next = Array(repeating: 0, count: ranks)
      var isMoving = true
      while isMoving {
        isMoving = false
        for rank in 0..<ranks {
          while next[rank] < turns[rank].count {
            let turn = turns[rank][next[rank]]
            let stage = turn.chunk * ranks + rank
            let isForward = turn.kind == .forward
            let needs =
              isForward
              ? (stage > 0 ? [[0, stage - 1, turn.microbatch]] : [])
              : [[0, stage, turn.microbatch]]
                + (stage < ranks * chunks - 1 ? [[1, stage + 1, turn.microbatch]] : [])
            guard needs.allSatisfy(done.contains) else { break }
            done.insert([isForward ? 0 : 1, stage, turn.microbatch])
            next[rank] += 1
            isMoving = true
          }
        }
      }
      #expect(done.count == 2 * ranks * chunks * microbatches, "\(ranks) ranks, \(chunks) chunks")
    }
  }

  @Test("interleaving takes larger groups where p leaves a short one")
  func interleavedGroups() {
    // 5 microbatches on 2 ranks: groups of 3 leave 2, which is enough; rank 1 warms up with 0 + 3.
    #expect(
      text(.interleaved, rank: 1, ranks: 2, chunks: 2, microbatches: 5)
        == "F0c0 F1c0 F2c0 F0c1 B0c1 F1c1 B1c1 F2c1 B2c1 F3c0 B0c0 F4c0 B1c0 F3c1 B2c0 F4c1 B3c1 "
        + "B4c1 B3c0 B4c0")
  }

  @Test("zero-bubble puts weight gradients off, never drops one", arguments: 1..<9)
  func zeroBubble(microbatches: Int) {
    #expect(
      text(.zeroBubble, rank: 0, ranks: 2, microbatches: 3) == "F0 F1 B0 W0 F2 B1 W1 B2 W2")
    for rank in 0..<4 {
      let turns = PipelineSchedule.zeroBubble.turns(
        rank: rank, ranks: 4, chunks: 1, microbatches: microbatches)
      for kind in [Phase.Kind.forward, .backward, .weightGradient] {
        #expect(turns.filter { $0.kind == kind }.map(\.microbatch) == Array(0..<microbatches))
      }
      for microbatch in 0..<microbatches {
        let input = turns.firstIndex(of: Turn(.backward, microbatch: microbatch))
        let weight = turns.firstIndex(of: Turn(.weightGradient, microbatch: microbatch))
        #expect(input ?? 0 < weight ?? 0)
      }
    }
  }
}
