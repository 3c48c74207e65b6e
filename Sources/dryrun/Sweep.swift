import ArgumentParser
import Reports
import RunForecast
import ScenarioFile

/// `dryrun sweep`.
struct Sweep: SessionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Simulate a scenario for each combination of values of some of its keys.",
    discussion: """
      Varying cluster.gpus alone gives a strong-scaling curve; give --zip to vary \
      training.global_batch along with it for a weak-scaling one. Efficiency is throughput per GPU \
      over that of the first row.
      """)

  @OptionGroup var arguments: ScenarioArguments

  @Option(help: "A key and its values, as in cluster.gpus=64,128,256; may be repeated.")
  var vary: [String]

  @Flag(
    name: .customLong("zip"), help: "Take the keys' values side by side, not every combination.")
  var isZipped = false

  @Option(help: "Folder for sweep.csv, sweep.json and sweep.svg (default: Results/<file name>).")
  var output: String?

  /// The most points one sweep may have.
  private static let pointLimit = 100_000

  func run(in session: Session) throws -> Int32 {
    let variations = try vary.map(Variation.init)
    // The scenario as it is, so that a mistake in it is told once and not at every point.
    let base = try session.scenario(
      at: arguments.scenario, settings: arguments.settings, fidelity: Fidelity.folded.rawValue)
    let keys = variations.map(\.key)
    let points = try combinations(variations).map { values in
      let settings = zip(keys, values).map { "\($0)=\($1)" }
      return SweepReport.Point(values: values, outcome: try outcome(settings, in: session))
    }
    let report = SweepReport(name: base.name, keys: keys, points: points)
    let json = report.json.text + "\n"
    let folder = output ?? "Results/" + arguments.folderName
    let figure = report.figure
    try session.write(
      [("sweep.json", json), ("sweep.csv", report.csv)]
        + (figure.map { [("sweep.svg", $0)] } ?? []), to: folder)
    session.output(arguments.json ? json : report.text)
    if !arguments.quiet {
      session.log(
        "wrote \(folder)/sweep.json, sweep.csv" + (figure == nil ? "" : ", sweep.svg"))
    }
    return ExitStatus.done
  }

  /// Simulates the scenario with `settings`; a scenario that is wrong is an outcome.
  private func outcome(_ settings: [String], in session: Session) throws -> SweepReport.Outcome {
    do {
      let scenario = try session.scenario(
        at: arguments.scenario, settings: arguments.settings + settings,
        fidelity: Fidelity.folded.rawValue)
      let step = try Simulator.step(of: scenario, communicator: session.communicator)
      return .figures(.init(try SimulationReport(scenario: scenario, step: step)))
    } catch let failure as Failure where failure.code == ExitStatus.scenarioWrong {
      return .refused(failure.lines.first ?? "wrong scenario")
    }
  }

  /// Every point's values, the last key's varying fastest.
  private func combinations(_ variations: [Variation]) throws -> [[String]] {
    if isZipped {
      let counts = Set(variations.map(\.values.count))
      guard counts.count == 1, let count = counts.first else {
        throw Failure(
          code: ExitStatus.usage, lines: ["--zip: error: the keys have different numbers of values"]
        )
      }
      return (0..<count).map { place in variations.map { $0.values[place] } }
    }
    var result: [[String]] = [[]]
    for variation in variations {
      guard result.count <= Self.pointLimit / variation.values.count else {
        throw Failure(
          code: ExitStatus.usage, lines: ["--vary: error: more than \(Self.pointLimit) points"])
      }
      result = result.flatMap { head in variation.values.map { head + [$0] } }
    }
    return result
  }
}
