import MessagePassing
import RunForecast
import ScenarioFile
import StepProgram
import StepSimulation

/// From a scenario to a simulated step: the one place where commands and simulation meet.
enum Simulator {
  /// Simulates one step of `scenario`.
  ///
  /// - Parameters:
  ///   - scenario: what to simulate, and at which fidelity.
  ///   - communicator: the processes that share the work.
  /// - Returns: the step, the same in every process but for the time it took.
  /// - Throws: `StepSimulationError` when the job has no program or its step does not end.
  static func step(of scenario: Scenario, communicator: any Communicator) throws -> StepSummary {
    let clock = ContinuousClock()
    let start = clock.now
    let program = try StepProgram.compile(deciding: scenario.job)
    let result = try FoldedSimulation.run(program)
    let elapsed = clock.now - start
    let record = SimulationRecord(
      fidelity: .folded, processes: communicator.size,
      simulatedRanks: result.statistics.simulatedRanks, events: result.statistics.events,
      messages: result.statistics.messages, mpiMessages: result.statistics.mpiMessages,
      wallSeconds: Double(elapsed.components.seconds)
        + Double(elapsed.components.attoseconds) * 1e-18)
    var summary = StepSummary(result, program: program, record: record)
    if scenario.simulation.fidelity == .full {
      summary.warnings.append(
        "simulation.fidelity: full was asked for; this step was simulated folded.")
    }
    return summary
  }
}
