import Hardware
public import Quantities
import RunForecast
public import ScenarioFile
import StepProgram
public import StepSimulation

/// What is predicted for a measured run.
public struct Prediction: Sendable {
  /// The measurement.
  public var run: MeasuredRun
  /// Predicted wall time of the step in seconds.
  public var stepSeconds: Double
  /// Predicted wall time of the whole run in seconds; `nil` when none was measured.
  ///
  /// As many steps as were measured, or as the scenario's tokens take, with what the scenario says
  /// happens around them, or the rules of the benchmark it was measured in.
  public var runSeconds: Double?
  /// Predicted peak of the rank and counter that were read, in bytes.
  public var peakMemory: Bytes
  /// Predicted bytes held between a run's first steps by the rank that was read.
  public var staticMemory: Bytes
  /// Whether the fullest rank stays within the GPU's memory.
  public var fits: Bool
  /// The simulated step.
  public var result: StepResult

  /// Predicts `run` by folded simulation.
  /// - Throws: ``StepSimulationError`` when the scenario has no step program.
  public init(_ run: MeasuredRun) throws(StepSimulationError) {
    let program = try StepProgram.compile(deciding: run.scenario.job)
    let result = try FoldedSimulation.run(program)
    self.run = run
    self.result = result
    stepSeconds = result.duration.seconds
    if run.runSeconds != nil {
      var scenario = run.scenario
      if let steps = run.steps { scenario.tokens = steps * Double(scenario.job.tokensPerStep) }
      if scenario.run.evaluation == nil {
        scenario.run.evaluation = BenchmarkRules.evaluation(of: run)
      }
      let step = StepSummary(
        result, program: program, record: SimulationRecord(fidelity: .folded))
      runSeconds = RunForecast(try scenario.plan(step), settings: scenario.run).wallTime.value
    }
    let read: RankResult? =
      switch run.memoryRank {
      case .first: result.ranks.first
      case .last: result.ranks.last
      case .max: result.ranks.max { $0.peak < $1.peak }
      }
    let counted = { (rank: RankResult) in
      run.memoryKind == .reserved ? rank.reserved : rank.peak
    }
    peakMemory = read.map(counted) ?? .zero
    staticMemory =
      read.map { rank in
        program.stages.first { $0.stage == rank.stage }.map {
          rank.resident.reduce($0.leftBehind, +) - $0.madeByFirstUpdate
        } ?? .zero
      } ?? .zero
    let fullest = result.ranks.map(\.device).max() ?? .zero
    fits = fullest <= run.scenario.job.cluster.gpu.memory
  }

  /// Predicted over measured step time less one; `nil` when no time was measured.
  public var stepError: Double? {
    guard let measured = run.stepSeconds, measured > 0 else { return nil }
    return stepSeconds / measured - 1
  }

  /// Predicted over measured time of the whole run less one; `nil` when none was measured.
  public var runError: Double? {
    guard let measured = run.runSeconds, let runSeconds, measured > 0 else { return nil }
    return runSeconds / measured - 1
  }

  /// Predicted over measured peak memory less one; `nil` when none was measured.
  public var memoryError: Double? {
    guard let measured = run.peakMemoryGiB, measured > 0 else { return nil }
    return peakMemory.gibibytes / measured - 1
  }

  /// Predicted over measured memory before the first step less one; `nil` when none was measured.
  public var staticMemoryError: Double? {
    guard let measured = run.staticMemoryGiB, measured > 0 else { return nil }
    return staticMemory.gibibytes / measured - 1
  }
}
