import Layout
import Quantities
import StepProgram
import Testing

@testable import StepSimulation

@Suite struct MemoryTimelineTests {
  @Test(
    "the timeline's largest sum is the step's peak, and what it ends with is what it began with")
  func timelineMatchesLedger() throws {
    let program = StepCompiler.compile(
      try SmallJobs.job(Parallelism(tensor: 1, pipeline: 2, data: 1), microbatches: 4))
    let result = try FoldedSimulation.run(program)
    for stage in 0..<2 {
      let timeline = try FoldedSimulation.memoryTimeline(
        program, rank: program.stages[stage].rank)
      #expect(timeline.map(\.total).max() == result.ranks[stage].peak.count)
      #expect(timeline.first?.held == timeline.last?.held)
      #expect(timeline.first?.held == program.stages[stage].resident)
      // The first moment of the largest sum is the peak's.
      let most = try #require(timeline.first { $0.total == result.ranks[stage].peak.count })
      #expect(most.picoseconds == result.ranks[stage].peakTime.picoseconds)
      #expect(most.phase == result.ranks[stage].peakPhase)
      let times = timeline.map(\.picoseconds)
      #expect(times == times.sorted())
    }
  }

  @Test("the peak of the first stage is in the first backward, when all its microbatches are held")
  func peakMoment() throws {
    // 1F1B, two stages: stage 0 runs the forward of microbatches 0 and 1, then backward 0; its
    // chunk has layers 0–3, and the backward pass starts with everything kept at layer 3.
    let program = StepCompiler.compile(
      try SmallJobs.job(Parallelism(tensor: 1, pipeline: 2, data: 1), microbatches: 4))
    let result = try FoldedSimulation.run(program)
    let phase = try #require(result.ranks[0].peakPhase)
    #expect(program.name(of: phase) == "backward of microbatch 0, layer 3")
  }
}
