import ArgumentParser
import Reports
import RunForecast
import ScenarioFile
import Studies

/// `dryrun compare`.
struct Compare: SessionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Hold two results or scenarios side by side: what changed, and why.",
    discussion: """
      Each is a result.json that simulate wrote, or a scenario, which is simulated. --set applies to \
      scenarios; --set-a and --set-b to one side, so that the same scenario can be given twice.
      """)

  @Argument(help: "A result.json or a scenario file.")
  var first: String

  @Argument(help: "A result.json or a scenario file.")
  var second: String

  @Option(name: .customLong("set"), help: "Set a key of both scenarios; may be repeated.")
  var settings: [String] = []

  @Option(name: .customLong("set-a"), help: "Set a key of the first scenario; may be repeated.")
  var firstSettings: [String] = []

  @Option(name: .customLong("set-b"), help: "Set a key of the second scenario; may be repeated.")
  var secondSettings: [String] = []

  @Flag(help: "Print the comparison as JSON.")
  var json = false

  func run(in session: Session) throws -> Int32 {
    let comparison = Comparison(
      try side(first, settings + firstSettings, in: session),
      try side(second, settings + secondSettings, in: session))
    session.output(json ? comparison.json.text : comparison.text)
    return ExitStatus.done
  }

  /// A result as it was kept, or that of a scenario simulated now.
  private func side(
    _ path: String, _ settings: [String], in session: Session
  ) throws -> Comparison.Side {
    if path.hasSuffix(".json") {
      let bytes = try session.onRoot {
        try session.mendable { () throws(ScenarioError) in
          Array(try ScenarioSource.contents(of: path).utf8)
        }
      }
      let value = try session.mendable { () throws(ScenarioError) in
        try JSONValue(parsing: String(decoding: bytes, as: UTF8.self), file: path)
      }
      if case .object(let members) = value,
        members.contains(where: { $0.key == "schema" && $0.value == "dryrun.result/1" })
      {
        return Comparison.Side(name: path, result: value)
      }
    }
    let scenario = try session.scenario(at: path, settings: settings)
    let report = try Simulator.report(
      on: scenario, communicator: session.communicator, isJudged: true)
    let name = ([path] + settings).joined(separator: " ")
    return Comparison.Side(name: name, result: report.json)
  }
}
