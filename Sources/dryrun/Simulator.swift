import Layout
import MessagePassing
import Quantities
import Reports
import RunForecast
import ScenarioFile
import StepProgram
import StepSimulation
import Studies

/// A simulated step with the program of the ranks.
struct SimulatedStep {
  var summary: StepSummary
  var program: StepProgram
}

/// From a scenario to a simulated step: the one place where commands and simulation meet.
enum Simulator {
  /// Simulates one step of `scenario` and forecasts its run.
  ///
  /// - Parameters:
  ///   - scenario: what to simulate.
  ///   - communicator: the processes that share the work.
  ///   - isJudged: whether to say how sure the result is.
  /// - Returns: the report, the same in every process but for the time it took.
  /// - Throws: `StepSimulationError` when the job has no program or a step does not end.
  static func report(
    on scenario: Scenario, communicator: any Communicator, isJudged: Bool = false
  ) throws -> SimulationReport {
    try report(
      on: scenario, step: try step(of: scenario, communicator: communicator), isJudged: isJudged)
  }

  /// Forecasts the run of `scenario` from a step of it.
  static func report(
    on scenario: Scenario, step: SimulatedStep, isJudged: Bool
  ) throws -> SimulationReport {
    let expected = isJudged ? MeasuredErrors.shipped.expected(for: scenario.job) : nil
    return try SimulationReport(
      scenario: scenario, step: step.summary, program: step.program,
      uncertainty: expected.map(SimulationReport.Uncertainty.init))
  }

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
      report.run.stragglers <= RunDistribution.stragglerLimit,
      let simulation = RunSimulation(report.plan, settings: scenario.run)
    else { return nil }
    let wanted = report.wantedDraws
    let width = RunOutcome.wordCount
    var outcomes: [RunOutcome] = []
    var events = 0
    while outcomes.count < wanted {
      let first = outcomes.count
      let draws = RunDistribution.nextDraws(left: wanted - first, drawn: first, events: events)
      if draws == 0 { break }
      var words = [Int64](repeating: 0, count: draws * width)
      for index in stride(from: communicator.rank, to: draws, by: communicator.size) {
        let outcome = simulation.run(first + index, seed: scenario.simulation.seed)
        words.replaceSubrange(index * width..<(index + 1) * width, with: outcome.words)
      }
      try communicator.reduce(&words, with: .sum)
      outcomes += (0..<draws).map { RunOutcome(words: words[$0 * width..<($0 + 1) * width]) }
      events += outcomes[first...].reduce(0) { $0 + $1.eventCount }
    }
    return RunDistribution(outcomes, of: report.run)
  }

  /// Simulates one step of `scenario`.
  ///
  /// - Parameters:
  ///   - scenario: what to simulate, and at which fidelity.
  ///   - communicator: the processes that share the work.
  ///   - log: prints a line about a long simulation: before it what it needs, then how far it is.
  /// - Returns: the step, the same in every process but for the time it took.
  /// - Throws: `StepSimulationError` when the job has no program or its step does not end.
  static func step(
    of scenario: Scenario, communicator: any Communicator, log: ((String) -> Void)? = nil
  ) throws -> SimulatedStep {
    let clock = ContinuousClock()
    let start = clock.now
    let program = try StepProgram.compile(deciding: scenario.job)
    let result =
      switch scenario.simulation.fidelity {
      case .folded: try FoldedSimulation.run(program, speeds: scenario.simulation.speeds)
      case .full: try full(program, scenario.simulation.speeds, communicator, log)
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
    return SimulatedStep(
      summary: StepSummary(result, program: program, record: record), program: program)
  }

  /// Every rank by messages, after a check that this machine has room for it.
  private static func full(
    _ program: StepProgram, _ speeds: RankSpeeds, _ communicator: any Communicator,
    _ log: ((String) -> Void)?
  ) throws -> StepResult {
    let forecast = try FullSimulationForecast(program)
    let machine = Machine(processes: communicator.size)
    let needed = forecast.memory.baseValue * machine.share
    if needed > machine.memory {
      throw Failure(
        code: ExitStatus.usage,
        lines: [
          "this needs about \(Machine.text(needed)), here may be taken "
            + "\(Machine.text(machine.memory)); use --fidelity folded or more processes, on more "
            + "machines"
        ])
    }
    guard let log, communicator.isRoot else {
      return try FullSimulation.run(program, speeds: speeds, communicator: communicator)
    }
    // A million events take about 0.1 s.
    if forecast.events > 10_000_000 {
      log(
        "\(program.job.parallelism.gpuCount) ranks, about \(forecast.events / 1_000_000) million "
          + "messages, \(Machine.text(needed)) of memory")
    }
    var meter = ProgressMeter(expected: forecast.events / communicator.size)
    return try FullSimulation.run(program, speeds: speeds, communicator: communicator) {
      if let line = meter.line(after: Int($0)) { log(line) }
    }
  }
}
