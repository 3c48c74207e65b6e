import ArgumentParser
import Foundation
import Layout
import Reports
import RunForecast
import ScenarioFile
import StepProgram
import StepSimulation
import Studies

/// A condition that makes the exit code 3.
enum FailureCondition: String, ExpressibleByArgument, CaseIterable {
  case doesNotFit = "does-not-fit"
}

/// The scenario a command reads.
struct ScenarioArguments: ParsableArguments {
  @Argument(help: "A scenario file, YAML or JSON.")
  var scenario: String

  @Option(
    name: .customLong("set"),
    help: "Set a key of the scenario; may be repeated.",
    transform: { $0 })
  var settings: [String] = []

  @Flag(help: "Print the result as JSON.")
  var json = false

  @Flag(help: "Print nothing but the result and errors.")
  var quiet = false

  /// The scenario file's name without folders and ending.
  var folderName: String {
    let file = scenario.split(separator: "/").last.map(String.init) ?? "scenario"
    guard let dot = file.lastIndex(of: "."), dot > file.startIndex else { return file }
    return String(file[..<dot])
  }
}

/// `dryrun simulate`.
struct Simulate: SessionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Simulate one training step on every rank, then the whole run.")

  @OptionGroup var arguments: ScenarioArguments

  @Option(help: "folded: one rank per class of ranks; full: every GPU, every message.")
  var fidelity: Fidelity?

  @Option(help: "Folder for result.json, memory.csv and report.txt (default: Results/<file name>).")
  var output: String?

  @Option(help: "Exit with code 3 when this holds (does-not-fit).")
  var failIf: FailureCondition?

  func run(in session: Session) throws -> Int32 {
    let scenario = try session.scenario(
      at: arguments.scenario, settings: arguments.settings, fidelity: fidelity?.rawValue)
    let step = try Simulator.step(of: scenario, communicator: session.communicator)
    let report = SimulationReport(
      scenario: scenario, step: step,
      uncertainty: MeasuredErrors.shipped.expected(for: scenario.job)
        .map(SimulationReport.Uncertainty.init))
    let json = report.json.text + "\n"
    let folder = output ?? "Results/" + arguments.folderName
    try session.write(
      [("result.json", json), ("memory.csv", report.memoryCSV), ("report.txt", report.text)],
      to: folder)
    session.output(arguments.json ? json : report.text)
    if !arguments.quiet { session.log("wrote \(folder)/result.json, memory.csv, report.txt") }
    return failIf == .doesNotFit && !report.fits ? ExitStatus.conditionHolds : ExitStatus.done
  }
}

/// `dryrun memory`.
struct Memory: SessionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show where every byte is, for each kind of rank, and whether it fits.")

  @OptionGroup var arguments: ScenarioArguments

  @Flag(help: "Print comma-separated values, in bytes.")
  var csv = false

  @Option(help: "Write the memory of a rank over the step to this file, comma-separated.")
  var timeline: String?

  @Option(help: "The rank of the timeline (default: the fullest).")
  var rank: Int?

  func validate() throws {
    if rank != nil, timeline == nil { throw ValidationError("--rank goes with --timeline.") }
  }

  @Option(help: "Exit with code 3 when this holds (does-not-fit).")
  var failIf: FailureCondition?

  func run(in session: Session) throws -> Int32 {
    let scenario = try session.scenario(
      at: arguments.scenario, settings: arguments.settings, fidelity: Fidelity.folded.rawValue)
    let step = try Simulator.step(of: scenario, communicator: session.communicator)
    let report = SimulationReport(scenario: scenario, step: step)
    if let timeline { try write(timeline, of: scenario, step, in: session) }
    if arguments.json {
      session.output(report.memoryJSON.text)
    } else if csv {
      session.output(report.memoryCSV)
    } else {
      var remedies: [MemoryRemedy]?
      if !report.fits {
        let source = try session.source(at: arguments.scenario, settings: arguments.settings)
        remedies = MemoryRemedy.cheapest(for: source)
      }
      session.output(report.memoryText(remedies: remedies))
    }
    return failIf == .doesNotFit && !report.fits ? ExitStatus.conditionHolds : ExitStatus.done
  }
}

extension Memory {
  /// Writes the timeline of the rank asked for.
  private func write(
    _ path: String, of scenario: Scenario, _ step: StepSummary, in session: Session
  ) throws {
    let chosen = rank ?? step.fullestRank?.rank ?? 0
    let gpus = scenario.job.parallelism.gpuCount
    guard chosen >= 0, chosen < gpus else {
      throw Failure(
        code: ExitStatus.usage, lines: ["--rank \(chosen): error: not one of ranks 0–\(gpus - 1)"])
    }
    let program = try StepProgram.compile(deciding: scenario.job)
    let moments = try FoldedSimulation.memoryTimeline(
      program, stage: chosen / (gpus / scenario.job.parallelism.pipeline))
    let file = URL(fileURLWithPath: path)
    try session.write(
      [(file.lastPathComponent, MemoryTimelineText.csv(moments, of: program))],
      to: file.deletingLastPathComponent().path)
  }
}

/// `dryrun check`.
struct Check: SessionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Read and check a scenario, run nothing.",
    discussion: "With --json the scenario is printed with every default filled in.")

  @OptionGroup var arguments: ScenarioArguments

  func run(in session: Session) throws -> Int32 {
    let scenario = try session.scenario(at: arguments.scenario, settings: arguments.settings)
    session.output(arguments.json ? scenario.resolved.text : scenario.checkText)
    return ExitStatus.done
  }
}
