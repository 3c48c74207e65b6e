import Quantities
import Reports
import MessagePassing
import RunForecast
import ScenarioFile
import StepProgram
import StepSimulation

/// From a scenario to a simulated step: the one place where commands and simulation meet.
enum Simulator {
  /// Draws a scenario's runs, each process its share.
  ///
  /// - Parameters:
  ///   - report: the scenario with its step.
  ///   - communicator: the processes.
  /// - Returns: the same distribution in every process; `nil` when nothing can fail.
  /// - Throws: `CommunicationError` when a process is lost.
  static func distribution(
    of report: SimulationReport, communicator: any Communicator
  ) throws -> RunDistribution? {
    let scenario = report.scenario
    guard report.run.wallTime.value.isFinite,
      let simulation = RunSimulation(scenario.plan(report.step), settings: scenario.run)
    else { return nil }
    let draws = scenario.run.draws ?? RunDistribution.usualDraws(report.run)
    let width = RunOutcome.wordCount
    var words = [Int64](repeating: 0, count: draws * width)
    for index in stride(from: communicator.rank, to: draws, by: communicator.size) {
      let outcome = simulation.run(index, seed: scenario.simulation.seed)
      words.replaceSubrange(index * width..<(index + 1) * width, with: outcome.words)
    }
    try communicator.reduce(&words, with: .sum)
    let outcomes = (0..<draws).map {
      RunOutcome(words: words[$0 * width..<($0 + 1) * width])
    }
    return RunDistribution(outcomes, of: report.run)
  }

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
      case .folded: try FoldedSimulation.run(program, speeds: scenario.simulation.speeds)
      case .full:
        try FullSimulation.run(
          program, speeds: scenario.simulation.speeds, communicator: communicator)
      }
    let elapsed = clock.now - start
    var record = SimulationRecord(
      fidelity: scenario.simulation.fidelity, processes: communicator.size,
      simulatedRanks: result.statistics.simulatedRanks, events: result.statistics.events,
      messages: result.statistics.messages, mpiMessages: result.statistics.mpiMessages,
      wallSeconds: Double(elapsed.components.seconds)
        + Double(elapsed.components.attoseconds) * 1e-18)
    record.windows = result.statistics.windows
    record.shares = result.statistics.shares
    return StepSummary(result, program: program, record: record)
  }
}
