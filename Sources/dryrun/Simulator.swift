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
    let result =
      switch scenario.simulation.fidelity {
      case .folded: try FoldedSimulation.run(program)
      case .full: try FullSimulation.run(program, communicator: communicator)
      }
    let elapsed = clock.now - start
    let record = SimulationRecord(
      fidelity: scenario.simulation.fidelity, processes: communicator.size,
      simulatedRanks: result.statistics.simulatedRanks, events: result.statistics.events,
      messages: result.statistics.messages, mpiMessages: result.statistics.mpiMessages,
      wallSeconds: Double(elapsed.components.seconds)
        + Double(elapsed.components.attoseconds) * 1e-18)
    return StepSummary(result, program: program, record: record)
  }
}
