import Hardware
import Layout
import Quantities
import StepProgram
import StepSimulation
import Testing
import Transformer

@testable import RunForecast

/// Slow ranks and jitter at scale.
@Suite struct UnevenRanksTests {
  private func job(replicas: Int) throws -> TrainingJob {
    let gpu = try #require(GPU.named("a100-sxm-80gb"))
    var model = try #require(Architecture.named("gpt2"))
    model.layerCount = 2
    return TrainingJob(
      architecture: model,
      cluster: Cluster(
        gpu: gpu, gpuCount: replicas, gpusPerNode: 8, intraNode: gpu.scaleUp,
        interNode: gpu.scaleOut),
      parallelism: Parallelism(data: replicas, zero: 1),
      training: TrainingSettings(sequenceLength: 1_024, globalBatch: 8 * replicas, microBatch: 8))
  }

  @Test("a line through the samples, never below them") func line() {
    let samples = [(place: 1.0, growth: 0.1), (place: 2.0, growth: 0.2), (place: 3.0, growth: 0.3)]
    #expect(abs(UnevenRanks.extrapolated(samples, to: 5) - 0.5) < 1e-12)
    #expect(UnevenRanks.extrapolated(samples, to: 1) == 0.3)
    #expect(UnevenRanks.extrapolated([(place: 1, growth: 0.2)], to: 9) == 0.2)
    // √(2 ln e²) = 2.
    #expect(abs(UnevenRanks.place(1_000) - 3.716_922) < 1e-6)
  }

  @Test("jitter beyond what is simulated lies near what a simulation of all ranks gives")
  func extrapolation() throws {
    let job = try job(replicas: 1_024)
    let speeds = RankSpeeds(jitter: RankSpeeds.Jitter(kernel: 0.05), seed: 3)
    let program = StepCompiler.compile(job)
    let uniform = try FoldedSimulation.run(program).duration.seconds
    var whole = 0.0
    for step in 0..<3 as Range<UInt64> {
      var drawn = speeds
      drawn.step = step
      whole += try FoldedSimulation.run(program, speeds: drawn).duration.seconds / 3
    }
    let guess = try UnevenRanks.step(job, uniform: uniform, speeds: speeds)
    #expect(whole > uniform)
    // Twice the replicas of the largest sample: the growth within a fifth.
    #expect(abs((guess - uniform) / (whole - uniform) - 1) < 0.2)
  }

  @Test("fewer replicas keep their shard groups, and the slow among them")
  func cut() throws {
    var job = try job(replicas: 64)
    job.parallelism.shardGroup = 8
    let smaller = try #require(job.cut(toReplicas: 16))
    #expect(smaller.parallelism.shardGroup == 8)
    #expect(smaller.cluster.gpuCount == 16)
    #expect(smaller.training.globalBatch == 8 * 16)
    // Groups of 8 over 8 replicas are all of them; 12 they do not divide.
    #expect(try #require(job.cut(toReplicas: 8)).parallelism.shardGroup == nil)
    #expect(job.cut(toReplicas: 12) == nil)

    // Tensor 2 × data 8 × pipeline 2: rank 2d + t of stage 0, 16 + 2d + t of stage 1. Slow are replica 7's
    // rank 15 (stage 0, tensor 1), replica 3's rank 22 (stage 1, tensor 0), replica 5's rank 10 least.
    let layout = Parallelism(tensor: 2, pipeline: 2, data: 8)
    let speeds = RankSpeeds(slowdowns: [
      RankSpeeds.Slowdown(ranks: 15..<16, factor: 1.5),
      RankSpeeds.Slowdown(ranks: 22..<23, factor: 1.4),
      RankSpeeds.Slowdown(ranks: 10..<11, factor: 1.1),
    ])
    // Of two replicas the first is the former 3: rank 4 + 0 of stage 1; the second the former 7: rank 3.
    let two = speeds.cut(toReplicas: 2, of: layout)
    #expect((0..<8).map { two.factor(of: $0) } == [1, 1, 1, 1.5, 1.4, 1, 1, 1])
    // Of four the former 5 lies between them and the last has none.
    let four = speeds.cut(toReplicas: 4, of: layout)
    #expect(
      (0..<16).map { four.factor(of: $0) }
        == [1, 1, 1.1, 1, 1, 1.5, 1, 1, 1.4, 1, 1, 1, 1, 1, 1, 1])
  }

  @Test("ranks that differ in speed wait for one another, never less than nothing")
  func jitterIsNoGain() throws {
    let job = try job(replicas: 4)
    let program = StepCompiler.compile(job)
    let speeds = RankSpeeds(slowdowns: [RankSpeeds.Slowdown(ranks: 0..<1, factor: 1.5)])
    var step = StepSummary(
      try FoldedSimulation.run(program), program: program,
      record: SimulationRecord(fidelity: .folded))
    let usual = step.seconds
    for (factor, waits) in [(0.99, 0.0), (1.25, 0.25)] {
      step.seconds = usual * factor
      let plan = try RunPlan(
        simulating: [PhaseSettings(name: "", job: job, tokens: 1)], main: 0, step: step,
        settings: RunSettings(), speeds: speeds)
      #expect(abs(plan.phases[0].jitter.value / usual.value - waits) < 1e-9)
    }
  }

  @Test("one slow rank holds up a step by what simulation says") func straggler() throws {
    let job = try job(replicas: 16)
    let program = StepCompiler.compile(job)
    let uniform = try FoldedSimulation.run(program)
    let step = StepSummary(
      uniform, program: program, record: SimulationRecord(fidelity: .folded))
    var settings = RunSettings()
    settings.stragglers = StragglerSettings(
      gpuMeanTimeBetween: Seconds(1e9), slowdown: 0.5, foundAfter: Seconds(3_600))
    let plan = try RunPlan(
      simulating: [PhaseSettings(name: "", job: job, tokens: 1e6)], main: 0, step: step,
      settings: settings)
    let slowed = try FoldedSimulation.run(
      program,
      speeds: RankSpeeds(slowdowns: [RankSpeeds.Slowdown(ranks: 5..<6, factor: 1.5)]))
    // Ranks are alike: it does not matter which is slow.
    let expected = slowed.duration.seconds / uniform.duration.seconds
    #expect(abs(plan.phases[0].stragglerStretch - expected) < 1e-9)
    #expect(expected > 1.2 && expected < 1.5)
  }
}
