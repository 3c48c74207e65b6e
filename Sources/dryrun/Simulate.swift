import ArgumentParser
import Foundation
import Hardware
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

  @Option(
    help: """
      Folder for result.json, memory.csv, report.txt and report.html (default: Results/<file name>).
      """)
  var output: String?

  @Option(help: "Exit with code 3 when this holds (does-not-fit).")
  var failIf: FailureCondition?

  @Option(help: "Write the step as Chrome trace events, for ui.perfetto.dev, to this file.")
  var trace: String?

  @Option(help: "Ranks in the trace, as in 0,8,16 (default: the first of each pipeline stage).")
  var traceRanks: String?

  @Flag(help: "Print a picture of the pipeline schedule instead of the result.")
  var showSchedule = false

  @Flag(help: "Print what each operation of a layer costs instead of the result.")
  var showKernels = false

  @Flag(help: "Print where the groups of ranks sit instead of the result.")
  var showGroups = false

  @Flag(help: "Also print how a full simulation's work was spread over processes.")
  var profile = false

  func validate() throws {
    if traceRanks != nil, trace == nil { throw ValidationError("--trace-ranks goes with --trace.") }
  }

  func run(in session: Session) throws -> Int32 {
    let scenario = try session.scenario(
      at: arguments.scenario, settings: arguments.settings, fidelity: fidelity?.rawValue)
    if showGroups || showSchedule || showKernels {
      if showKernels { session.output(KernelText.table(scenario.job)) }
      if showGroups { session.output(GroupText.table(scenario.job)) }
      if showSchedule { session.output(try picture(of: scenario)) }
      return ExitStatus.done
    }
    let traced = try tracedRanks(scenario)
    let step = try Simulator.step(
      of: scenario, communicator: session.communicator,
      log: arguments.quiet ? nil : { session.log($0) })
    if let trace { try write(trace, of: traced ?? step.drawnRanks, step, scenario, in: session) }
    var report = try Simulator.report(on: scenario, step: step, isJudged: true)
    report.distribution = try Simulator.distribution(
      of: report, communicator: session.communicator)
    report.checkpointSearch = CheckpointSearch(
      report.plan, settings: scenario.run, seed: scenario.simulation.seed)
    let json = report.json.text + "\n"
    let folder = output ?? "Results/" + arguments.folderName
    let page = session.isRoot ? report.html(picture: try Self.picture(of: step, scenario)) : ""
    try session.write(
      [
        ("result.json", json), ("memory.csv", report.memoryCSV), ("report.txt", report.text),
        ("report.html", page),
      ], to: folder)
    session.output(arguments.json ? json : report.text)
    if profile, !arguments.json { session.output("\n" + report.step.statistics.profileText) }
    if !arguments.quiet {
      session.log("wrote \(folder)/result.json, memory.csv, report.txt, report.html")
    }
    return failIf == .doesNotFit && !report.fits ? ExitStatus.conditionHolds : ExitStatus.done
  }
}

extension Simulate {
  /// The step over time, for the page; `nil` when it is too long to draw.
  private static func picture(of step: SimulatedStep, _ scenario: Scenario) throws -> StepPicture? {
    try StepPicture(
      step.program, ranks: step.drawnRanks,
      memoryStage: step.summary.fullestRank?.pipelineStage ?? 0,
      speeds: scenario.simulation.speeds, note: idleFabricNote(scenario))
  }

  /// The pipeline schedule in characters.
  private func picture(of scenario: Scenario) throws -> String {
    let program = try StepProgram.compile(deciding: scenario.job)
    let speeds = scenario.simulation.speeds
    let ranks = try FoldedSimulation.run(program, speeds: speeds).ranks.map(\.rank)
    let text = ScheduleText.picture(
      try FoldedSimulation.trace(program, ranks: ranks, speeds: speeds),
      namesRanks: !speeds.isUniform, directions: program.job.parallelism.stageCopies)
    return text + (Self.idleFabricNote(scenario).map { $0 + "\n" } ?? "")
  }

  /// What no drawing of a step shows, where it matters.
  ///
  /// Who does what when is recorded by the folded simulation; on an idle fabric messages one by one come
  /// to the same.
  private static func idleFabricNote(_ scenario: Scenario) -> String? {
    scenario.job.cluster.sharesLinks
      ? "Drawn with every group its links to itself: what messages cost one another is in the result "
        + "at full fidelity only."
      : nil
  }

  /// The ranks that `--trace-ranks` names.
  private func tracedRanks(_ scenario: Scenario) throws -> [Int]? {
    let count = scenario.job.parallelism.gpuCount
    return try traceRanks?.split(separator: ",").map { text in
      guard let rank = Int(text), (0..<count).contains(rank) else {
        throw Failure(
          code: ExitStatus.usage,
          lines: ["--trace-ranks: error: \(text) is not one of ranks 0–\(count - 1)"])
      }
      return rank
    }
  }

  /// Writes the step of some ranks as trace events.
  private func write(
    _ path: String, of ranks: [Int], _ step: SimulatedStep, _ scenario: Scenario,
    in session: Session
  ) throws {
    let note = Self.idleFabricNote(scenario)
    let text = TraceText.json(
      of: step.program,
      traces: try FoldedSimulation.trace(
        step.program, ranks: ranks, speeds: scenario.simulation.speeds),
      note: note ?? "")
    let file = URL(fileURLWithPath: path)
    try session.write(
      [(file.lastPathComponent, text)], to: file.deletingLastPathComponent().path)
    if !arguments.quiet { session.log("wrote \(path)" + (note.map { ". " + $0 } ?? "")) }
  }
}

extension SimulatedStep {
  /// Of each pipeline stage the rank that stands for it.
  fileprivate var drawnRanks: [Int] {
    program.stages.indices.map { stage in
      summary.memory.first { $0.pipelineStage == stage }?.rank ?? program.stages[stage].rank
    }
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

  @Option(
    help: "Write the same to this file as a snapshot for pytorch.org/memory_viz (a Python pickle).")
  var snapshot: String?

  @Option(help: "The rank of timeline and snapshot (default: the fullest).")
  var rank: Int?

  func validate() throws {
    if rank != nil, timeline == nil, snapshot == nil {
      throw ValidationError("--rank goes with --timeline or --snapshot.")
    }
  }

  @Option(help: "Exit with code 3 when this holds (does-not-fit).")
  var failIf: FailureCondition?

  func run(in session: Session) throws -> Int32 {
    let scenario = try session.scenario(
      at: arguments.scenario, settings: arguments.settings, fidelity: Fidelity.folded.rawValue)
    let step = try Simulator.step(of: scenario, communicator: session.communicator)
    let report = try Simulator.report(on: scenario, step: step, isJudged: false)
    if timeline != nil || snapshot != nil { try writeMemory(of: scenario, step, in: session) }
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
  /// Writes timeline and snapshot of the rank asked for.
  private func writeMemory(
    of scenario: Scenario, _ step: SimulatedStep, in session: Session
  ) throws {
    let chosen = rank ?? step.summary.fullestRank?.rank ?? 0
    let gpus = scenario.job.parallelism.gpuCount
    guard chosen >= 0, chosen < gpus else {
      throw Failure(
        code: ExitStatus.usage, lines: ["--rank \(chosen): error: not one of ranks 0–\(gpus - 1)"])
    }
    let program = step.program
    let stage = RankGrid(scenario.job.parallelism).stage(of: chosen)
    let moments = try FoldedSimulation.memoryTimeline(
      program, rank: chosen, speeds: scenario.simulation.speeds)
    func write(_ path: String, _ bytes: [UInt8]) throws {
      let file = URL(fileURLWithPath: path)
      try session.write(
        [(name: file.lastPathComponent, bytes: bytes)], to: file.deletingLastPathComponent().path)
    }
    if let timeline {
      try write(timeline, Array(MemoryTimelineText.csv(moments, of: program).utf8))
    }
    if let snapshot {
      try write(snapshot, MemorySnapshot(moments, of: program, stage: stage).pickle)
    }
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
