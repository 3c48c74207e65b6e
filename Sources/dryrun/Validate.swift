import ArgumentParser
import Reports
import ScenarioFile
import Studies

/// `dryrun validate`.
struct Validate: SessionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Predict measured runs and show how far off the predictions are.",
    discussion: "Without files, the published measurements that come with the program are used.")

  @Argument(help: "Files of measured runs, JSON Lines.")
  var files: [String] = []

  @Flag(help: "Print statistics and rows as JSON.")
  var json = false

  @Flag(help: "Print one line of comma-separated values for each row.")
  var csv = false

  func run(in session: Session) throws -> Int32 {
    _ = try session.onRoot {
      let paths = files.isEmpty ? ShippedMeasurements.paths : files
      let runs = try paths.flatMap { path in
        try session.mendable { () throws(ScenarioError) in
          try MeasuredRun.rows(contentsOf: path)
        }
      }
      let report = ValidationReport(Validation(runs))
      session.output(json ? report.json.text : csv ? report.csv : report.text)
      return []
    }
    return ExitStatus.done
  }
}

/// `dryrun catalog`.
struct Catalog: SessionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the models and GPUs known by name, with the sources of their figures.")

  @Argument(help: "gpus, models, or the name of one.")
  var what: String?

  @Flag(help: "Print GPUs and models as JSON.")
  var json = false

  func run(in session: Session) throws -> Int32 {
    guard !json else {
      session.output(CatalogReport.json.text)
      return ExitStatus.done
    }
    switch what {
    case nil: session.output(CatalogReport.gpuText + "\n" + CatalogReport.modelText)
    case "gpus": session.output(CatalogReport.gpuText)
    case "models": session.output(CatalogReport.modelText)
    case .some(let name):
      guard let text = CatalogReport.text(of: name) else {
        throw ValidationError("'\(name)' is neither gpus, models, nor the name of one")
      }
      session.output(text)
    }
    return ExitStatus.done
  }
}
