public import Quantities
public import RunForecast
public import ScenarioFile
public import Studies
import Hardware
import Layout
public import StepProgram
public import StepSimulation
import Transformer

/// One simulated scenario with everything that is reported of it.
public struct SimulationReport: Hashable, Sendable {
  /// How far predictions like this one are off, learnt from measured runs.
  public struct Uncertainty: Hashable, Sendable {
    /// Half of the measured runs most like this one are predicted within this relative error.
    public var median: Double
    /// Nine tenths are within this one.
    public var ninetiethPercentile: Double
    /// Which measured runs those are.
    public var basis: String

    /// Errors of the runs `basis` names.
    public init(median: Double, ninetiethPercentile: Double, basis: String) {
      self.median = median
      self.ninetiethPercentile = ninetiethPercentile
      self.basis = basis
    }

    /// The errors of the measured runs nearest to the one reported.
    public init(_ expected: MeasuredErrors.Expected) {
      self.init(
        median: expected.median, ninetiethPercentile: expected.ninetiethPercentile,
        basis: expected.basis)
    }
  }

  /// What was asked.
  public var scenario: Scenario
  /// What a step came to.
  public var step: StepSummary
  /// What the run is made of.
  public var plan: RunPlan
  /// What the run comes to.
  public var run: RunForecast
  /// How sure it is; `nil` when nothing measured is like it.
  public var uncertainty: Uncertainty?
  /// Runs drawn at random; `nil` when nothing can fail or none were drawn.
  public var distribution: RunDistribution?
  /// The checkpoint interval under which runs drawn at random take least; `nil` when not looked for.
  public var checkpointSearch: CheckpointSearch?

  /// A report on `step` of `scenario`; the run is forecast from them.
  ///
  /// - Parameters:
  ///   - scenario: what was asked.
  ///   - step: a step of it.
  ///   - program: what was simulated for the step, where it is at hand; else it is made again.
  ///   - uncertainty: how sure it is.
  /// - Throws: `StepSimulationError` when the step of a phase does not end.
  public init(
    scenario: Scenario, step: StepSummary, program: StepProgram? = nil,
    uncertainty: Uncertainty? = nil
  ) throws(StepSimulationError) {
    self.scenario = scenario
    self.step = step
    self.uncertainty = uncertainty
    plan = try scenario.plan(step, program: program)
    run = RunForecast(plan, settings: scenario.run)
  }

  /// How many runs to draw: as the scenario says, else as many as is usual.
  public var wantedDraws: Int { scenario.run.draws ?? RunDistribution.usualDraws(run) }

  /// Memory of one GPU.
  public var capacity: Bytes { scenario.job.cluster.gpu.memory }

  /// Whether every rank's peak is within its GPU's memory.
  public var fits: Bool { step.memory.allSatisfy { $0.peak <= capacity } }

  /// Tokens a second of the whole job.
  public var tokensPerSecond: Double { Double(scenario.job.tokensPerStep) / step.seconds.value }

  /// Operations of the model per GPU and second.
  public var modelRate: Double {
    step.modelFlops.count / step.seconds.value / Double(scenario.job.cluster.gpuCount)
  }

  /// Operations done per GPU and second.
  public var hardwareRate: Double {
    step.hardwareFlops.count / step.seconds.value / Double(scenario.job.cluster.gpuCount)
  }

  /// The data sheet's dense peak in the format of the matrix multiplies.
  public var peakRate: Double {
    let job = scenario.job
    return job.cluster.gpu.peak(of: job.training.precision.matmulFormat).flopsPerSecond
  }

  /// What was published of this run beside what is predicted.
  public var published: [(figure: PublishedFigures.Figure, predicted: Double, published: Double)] {
    (scenario.published?.values ?? []).map { entry in
      let predicted =
        switch entry.figure {
        case .stepSeconds: step.seconds.value
        case .tokensPerSecondPerGPU:
          tokensPerSecond / Double(scenario.job.cluster.gpuCount)
        case .modelTeraflops: modelRate / 1e12
        case .hardwareTeraflops: hardwareRate / 1e12
        case .mfu: modelRate / peakRate
        case .gpuHours: run.gpuHours
        case .days: run.wallTime.days
        case .goodput: run.goodput
        case .energyKilowattHours: run.energyKilowattHours
        case .petaflopDays: run.flops.petaflopDays
        }
      return (entry.figure, predicted, entry.value)
    }
  }

  /// The run's time from the ideal to the calendar.
  public var waterfall: Waterfall { Waterfall(run, of: plan) }

  /// Every warning: of the file, of the step, of the rules of thumb.
  public var warnings: [String] {
    var result = scenario.warnings + step.warnings
    result += Estimate.warnings(
      tokens: scenario.tokens, parameters: Double(scenario.job.architecture.parameterCount))
    if scenario.run.failures != nil, scenario.run.checkpoint == nil {
      result.append("failures without checkpoints: every failure loses all work done so far.")
    }
    if !run.wallTime.value.isFinite {
      result.append(
        "the run never ends: failures come faster than a checkpoint interval and a restart take, "
          + "so time, GPU-hours and cost have no finite value.")
    }
    if let drawn = distribution, drawn.runs < wantedDraws {
      let events = Format.grouped(RunDistribution.eventLimit)
      result.append(
        "run.draws: \(Format.grouped(drawn.runs)) of \(Format.grouped(wantedDraws)) runs are drawn: with "
          + "their failures and slow ranks they are \(events) events, and no more are drawn.")
    }
    if run.wallTime.value.isFinite, run.stragglers > RunDistribution.stragglerLimit {
      result.append(
        "run.stragglers.gpu_mtbf: \(Format.count(run.stragglers)) slow ranks in a run; runs are drawn "
          + "with at most \(Format.count(RunDistribution.stragglerLimit)), so none is.")
    }
    if let drawn = distribution, drawn.endless * 2 > drawn.runs, run.wallTime.value.isFinite {
      result.append(
        "\(Format.grouped(drawn.endless)) of the runs drawn never end: the expected time assumes as many "
          + "spares as it takes, at a constant rate of failures.")
    } else if let drawn = distribution, drawn.seconds.p50 > 1.05 * run.wallTime.value {
      result.append(
        "half of the runs drawn take more than \(Format.duration(Seconds(drawn.seconds.p50))): the "
          + "expected time assumes as many spares as it takes, at a constant rate of failures.")
    }
    if let every = run.checkpointInterval, let asked = scenario.run.checkpoint {
      let step = plan.longestStep
      let keys = [
        ("every", asked.interval), ("local.every", asked.local?.interval ?? asked.interval),
      ]
      for (key, interval) in keys.prefix(asked.local == nil ? 1 : 2)
      where interval.value < step.value * (1 - 1e-9) {
        result.append(
          "run.checkpoint.\(key): \(Format.duration(interval)) is shorter than a step of "
            + "\(Format.duration(step)), and a checkpoint can only be taken between two steps: one is "
            + "taken after every step.")
      }
      if let best = run.bestCheckpointInterval,
        !(0.5...2).contains(every.value / best.value)
      {
        result.append(
          "a checkpoint every \(Format.duration(every)) loses more than one every "
            + "\(Format.duration(best)), the best interval (Daly 2006).")
      }
    }
    return result
  }
}
