import MessagePassing
import ArgumentParser
import Reports
import RunForecast
import ScenarioFile
import Studies

/// `dryrun search`.
struct Search: SessionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Find the layouts of a scenario's GPUs that fit, best first.",
    discussion: """
      Layouts differ in tensor, sequence, context, pipeline, virtual stages, schedule, expert, ZeRO, \
      shard group, order, micro-batch and recompute; data takes what is left. --set pins a key to \
      one value, --vary to several. On a given number of GPUs the shortest step is also the cheapest. \
      Layouts that cannot be among the best are told by bounds and not simulated; an interrupted \
      search goes on where it was when it is started again.
      """)

  @OptionGroup var arguments: ScenarioArguments

  @Option(help: "Values to try on a key, as in parallelism.tensor=2,4,8; may be repeated.")
  var vary: [String] = []

  @Option(help: "What to rank by: time, cost, energy or memory.")
  var objective = LayoutSearch.Objective.time

  @Option(help: "Layouts to show.")
  var top = 20

  @Option(help: "Folder for search.json and search.csv (default: Results/<file name>).")
  var output: String?

  func run(in session: Session) throws -> Int32 {
    let scenario = try session.scenario(
      at: arguments.scenario, settings: arguments.settings, fidelity: Fidelity.folded.rawValue)
    let jobs = LayoutSpace(
      job: scenario.job, pinned: LayoutSpace.pinned(by: arguments.settings),
      restrictions: try LayoutSpace.restrictions(vary)
    ).jobs
    let folder = output ?? "Results/" + arguments.folderName
    let journalPath = folder + "/search.partial"
    var journal = SearchJournal(
      scenario: scenario, arguments: vary + arguments.settings + [objective.rawValue, "\(top)"],
      program: session.programFingerprint)
    let known = journal.resume(try session.text(at: journalPath) ?? "", jobs: jobs)
    if !known.isEmpty { session.log("resumed: \(known.count) layouts are known already") }
    let clock = ContinuousClock()
    let start = clock.now
    var reported = start
    let outcomes = try LayoutSearch.evaluate(
      jobs, wanted: top, by: objective, speeds: scenario.simulation.speeds, known: known,
      communicator: session.communicator
    ) { state in
      journal.note(state.news)
      guard clock.now - reported > .seconds(2) else { return }
      reported = clock.now
      session.keep(journal.text, at: journalPath)
      guard !arguments.quiet else { return }
      session.log(Self.line(state, after: (clock.now - start) / .seconds(1)))
    }
    let elapsed = (clock.now - start) / .seconds(1)
    let ranking = LayoutSearch.distinct(LayoutSearch.ranked(outcomes, by: objective))
    let best = try ranking.prefix(max(top, 0)).map {
      var winner = scenario
      winner.job = $0.job
      return try Simulator.report(on: winner, communicator: session.communicator)
    }
    let report = SearchReport(
      scenario: scenario, outcomes: outcomes, best: SearchReport.ranked(best, by: objective),
      effort: .init(wallSeconds: elapsed, processes: session.communicator.size))
    let json = report.json.text + "\n"
    try session.write([("search.json", json), ("search.csv", report.csv)], to: folder)
    session.remove(journalPath)
    session.output(arguments.json ? json : report.text)
    if !arguments.quiet { session.log("wrote \(folder)/search.json, search.csv") }
    return ExitStatus.done
  }

  /// How far the search is, in words.
  private static func line(_ state: LayoutSearch.Progress, after elapsed: Double) -> String {
    let rate = Double(state.done) / max(elapsed, 1e-9)
    let left = Double(state.total - state.done) / max(rate, 1e-9)
    return "\(state.done) of \(state.total) layouts "
      + (state.isBounding ? "bounded" : "decided") + ", \(Int(rate)) a second, "
      + (state.best.map { "best step \($0) s, " } ?? "")
      + "at most \(Int(left.rounded(.up))) s left"
  }
}

extension LayoutSpace {
  /// The axes that `--set` names.
  static func pinned(by settings: [String]) -> Set<Axis> {
    Set(
      settings.compactMap { setting in
        setting.split(separator: "=").first.flatMap { Axis(rawValue: String($0)) }
      })
  }

  /// The axes that `--vary` restricts.
  static func restrictions(_ texts: [String]) throws -> [Axis: [String]] {
    var result: [Axis: [String]] = [:]
    for text in texts {
      let variation = try Variation(text)
      guard let axis = Axis(rawValue: variation.key) else {
        let known = Axis.allCases.map(\.rawValue).joined(separator: ", ")
        throw Failure(
          code: ExitStatus.usage,
          lines: ["--vary \(text): error: not a key that is searched: \(known)"])
      }
      for value in variation.values where !axis.accepts(value) {
        throw Failure(
          code: ExitStatus.usage, lines: ["--vary \(text): error: \(value) is no value of that key"]
        )
      }
      result[axis] = variation.values
    }
    return result
  }
}

/// A key of the scenario and the values it is to take.
struct Variation {
  var key: String
  var values: [String]

  /// Reads `key=a,b,c`.
  /// - Throws: ``Failure`` with the exit code of wrong usage.
  init(_ text: String) throws {
    guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
      throw Failure(
        code: ExitStatus.usage,
        lines: ["--vary \(text): error: not of the form key=a,b, as in parallelism.tensor=2,4"])
    }
    key = String(text[..<equals])
    values = text[text.index(after: equals)...].split(separator: ",").map {
      String($0).trimmingPrefix(" ").description
    }
    guard !values.isEmpty else {
      throw Failure(code: ExitStatus.usage, lines: ["--vary \(text): error: no values"])
    }
  }
}
