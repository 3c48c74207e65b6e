public import RunForecast
public import ScenarioFile
public import StepProgram
public import StepSimulation

extension Scenario {
  /// The run of this scenario, its own phase made of `step`.
  ///
  /// A scenario whose job was changed after it was read, as a search does, has that one phase.
  /// - Parameters:
  ///   - step: a step of its own phase.
  ///   - program: what was simulated for it, where it is at hand.
  /// - Returns: the plan.
  /// - Throws: `StepSimulationError` when the step of another phase does not end.
  public func plan(
    _ step: StepSummary, program: StepProgram? = nil
  ) throws(StepSimulationError) -> RunPlan {
    var run = phases
    var main = mainPhaseIndex
    if !run.indices.contains(main) || run[main].job != job {
      run = [PhaseSettings(name: "", job: job, tokens: tokens)]
      main = 0
    }
    if run.count == 1 { run[0].tokens = tokens }
    return try RunPlan(
      simulating: run, main: main, step: step, program: program, settings: self.run,
      speeds: simulation.speeds)
  }
}
