import Hardware
import Layout
import Quantities
import StepProgram
import StepSimulation
import Testing
import Transformer

@testable import RunForecast

/// Phases, evaluations and checkpoints made by simulation of a small job.
@Suite struct PhaseTests {
  private func job(batch: Int = 32, sequence: Int = 2_048, gpus: Int = 8) throws -> TrainingJob {
    let gpu = try #require(GPU.named("a100-sxm-80gb"))
    return TrainingJob(
      architecture: try #require(Architecture.named("gpt2-xl")),
      cluster: Cluster(
        gpu: gpu, gpuCount: gpus, gpusPerNode: 8, intraNode: gpu.scaleUp, interNode: gpu.scaleOut),
      parallelism: Parallelism(data: gpus, zero: 1),
      training: TrainingSettings(sequenceLength: sequence, globalBatch: batch, microBatch: 1))
  }

  private func step(_ job: TrainingJob) throws -> StepSummary {
    let program = StepCompiler.compile(job)
    return StepSummary(
      try FoldedSimulation.run(program), program: program,
      record: SimulationRecord(fidelity: .folded))
  }

  private func plan(
    _ phases: [PhaseSettings], main: Int = 0, settings: RunSettings = RunSettings()
  ) throws -> RunPlan {
    try RunPlan(
      simulating: phases, main: main, step: try step(phases[main].job), settings: settings)
  }

  @Test("each phase has the steps its tokens take on its own layout") func phases() throws {
    let short = try job(batch: 64, sequence: 1_024)
    let long = try job(batch: 8, sequence: 8_192, gpus: 16)
    let plan = try plan([
      PhaseSettings(name: "short", job: short, tokens: 65_536 * 10),
      PhaseSettings(name: "long", job: long, tokens: 65_536 * 2.5),
    ])
    // 64 · 1,024 = 8 · 8,192 = 65,536 tokens a step; two and a half steps are three.
    #expect(plan.phases.map(\.steps) == [10, 3])
    #expect(plan.phases.map(\.tokens) == [655_360, 196_608])
    #expect(plan.phases.map(\.startsJob) == [true, true])
    #expect(abs(plan.phases[0].stepTime.value / 10 / (try step(short).seconds.value) - 1) < 1e-12)
    #expect(abs(plan.phases[1].stepTime.value / 3 / (try step(long).seconds.value) - 1) < 1e-12)
    let run = RunForecast(plan, settings: RunSettings())
    #expect(run.steps == 13)
    let seconds = plan.phases.map(\.stepTime.value)
    #expect(abs(run.wallTime.value / (seconds[0] + seconds[1]) - 1) < 1e-12)
    #expect(abs(run.gpuHours * 3_600 / (8 * seconds[0] + 16 * seconds[1]) - 1) < 1e-12)
  }

  @Test("a batch grows in equal parts of the tokens; the job goes on") func ramp() throws {
    let job = try job(batch: 32)
    let ramp = BatchRamp(first: 8, increment: 8, tokens: 2_048 * 48 * 3)
    let plan = try plan([
      PhaseSettings(name: "", job: job, tokens: 2_048 * (48 * 3 + 32 * 5), ramp: ramp)
    ])
    // Batches 8, 16, 24, each for 48 sequences: 6, 3 and 2 steps; then 5 of 32.
    #expect(plan.phases[0].steps == 16)
    #expect(plan.phases[0].tokens == 2_048 * (48 * 3 + 32 * 5))
    var expected = 5 * (try step(job).seconds.value)
    for (batch, steps) in [(8, 6.0), (16, 3), (24, 2)] {
      expected += steps * (try step(self.job(batch: batch)).seconds.value)
    }
    #expect(abs(plan.phases[0].stepTime.value / expected - 1) < 1e-12)
    // The operations are those of the tokens, whatever the batches.
    let perToken = job.modelFlops.count / Double(job.tokensPerStep)
    #expect(abs(plan.phases[0].modelFlops.count / (perToken * plan.phases[0].tokens) - 1) < 1e-12)
  }

  @Test("an evaluation is its forward passes: a third of the work, no gradients") func evaluation()
    throws
  {
    var settings = RunSettings()
    settings.evaluation = EvaluationSettings(steps: 2, length: .sequences(60, microBatch: nil))
    let job = try job(batch: 64)
    let plan = try plan(
      [PhaseSettings(name: "", job: job, tokens: 2_048 * 64 * 5)], settings: settings)
    // 60 sequences on 8 ranks are 8 each, 64 in all: as many as a step, whose backward pass takes
    // twice as long as the forward, less what is launched or reduced once a step.
    let part = plan.phases[0].evaluation.value / (try step(job).seconds.value)
    #expect(part > 0.2 && part < 0.36)
    let run = RunForecast(plan, settings: settings)
    // After steps 2 and 4 of 5.
    #expect(abs(run.evaluationTime.value / (2 * plan.phases[0].evaluation.value) - 1) < 1e-12)
    // Twice the sequences take twice the time, but for what the first fills.
    settings.evaluation = EvaluationSettings(steps: 2, length: .sequences(640, microBatch: nil))
    let longer = try self.plan(
      [PhaseSettings(name: "", job: job, tokens: 2_048 * 64 * 5)], settings: settings)
    let ratio = longer.phases[0].evaluation.value / plan.phases[0].evaluation.value
    #expect(ratio > 9 && ratio < 10.01)
  }

  @Test("under any schedule evaluations of any size end", arguments: PipelineSchedule.allCases)
  func evaluationSchedules(schedule: PipelineSchedule) throws {
    var job = try job(batch: 64)
    job.parallelism = Parallelism(
      pipeline: 4, virtualStages: schedule == .interleaved ? 2 : 1, schedule: schedule, data: 2,
      zero: 1)
    var last = 0.0
    // One, two and five passes of two ranks: more take longer.
    for sequences in [2, 4, 10] {
      var settings = RunSettings()
      settings.evaluation = EvaluationSettings(
        steps: 2, length: .sequences(sequences, microBatch: 1))
      let plan = try plan(
        [PhaseSettings(name: "", job: job, tokens: 2_048 * 64 * 5)], settings: settings)
      #expect(plan.phases[0].evaluation.value > last)
      last = plan.phases[0].evaluation.value
    }
  }

  @Test("forward passes alone neither update nor go backward", arguments: [1, 4])
  func forwardPasses(pipeline: Int) throws {
    var job = try job(batch: 64)
    job.parallelism = Parallelism(pipeline: pipeline, data: 8 / pipeline, zero: 1)
    let passes = StepCompiler.compile(job).forwardPasses
    for stage in passes.stages {
      for instruction in stage.instructions {
        if case .phase(let phase) = instruction { #expect(phase.kind == .forward) }
      }
    }
    let whole = try FoldedSimulation.run(StepCompiler.compile(job))
    let forward = try FoldedSimulation.run(passes)
    // Backward multiplies are twice the forward ones; attention's backward is 2.5 times in flash.
    let part = forward.hardwareFlops.count / whole.hardwareFlops.count
    #expect(part > 0.3 && part < 1.0 / 3 + 1e-9)
    #expect(forward.duration < whole.duration)
  }

  @Test("a checkpoint holds 14 bytes a parameter, each once, shared by the ranks") func bytes()
    throws
  {
    let plan = try plan([PhaseSettings(name: "", job: try job(), tokens: 1e6)])
    let job = try job()
    // bf16 copy 2, master 4, two moments 8.
    let parameters = Int64(job.architecture.parameterCount)
    let total = plan.phases[0].checkpoint.total.count
    // The vocabulary is padded; nothing else differs.
    #expect(total >= 14 * parameters && Double(total) < 14.2 * Double(parameters))
    #expect(plan.phases[0].checkpoint.largestPart.count == (total + 7) / 8)
  }

  @Test("steps wait for data that come too slowly") func data() throws {
    let job = try job(batch: 64)
    let seconds = try step(job).seconds.value
    let tokens = Double(job.tokensPerStep)
    var settings = RunSettings()
    // At half the speed that the steps ask for, each waits as long again as it takes.
    settings.dataLoading = DataLoadingSettings(tokensPerSecondAndNode: tokens / seconds / 2)
    let slow = try plan([PhaseSettings(name: "", job: job, tokens: tokens * 4)], settings: settings)
    #expect(abs(slow.phases[0].dataWait.value / (4 * seconds) - 1) < 1e-9)
    settings.dataLoading = DataLoadingSettings(
      readRate: ByteRate(bytesPerSecond: 4.001 * tokens / seconds))
    let quick = try plan(
      [PhaseSettings(name: "", job: job, tokens: tokens * 4)], settings: settings)
    #expect(quick.phases[0].dataWait == .zero)
  }
}
