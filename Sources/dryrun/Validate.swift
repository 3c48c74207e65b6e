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

  @Flag(help: "Predict the measured collectives that come with the program instead of steps.")
  var collectives = false

  @Option(help: "A file of constants to predict with, as `dryrun catalog constants` prints.")
  var constants: String?

  @Option(
    help: "Folder for validation.md with figure and tables, or collectives.md.")
  var output: String?

  func validate() throws {
    if collectives, csv || !files.isEmpty {
      throw ValidationError("--collectives goes without files and without --csv.")
    }
  }

  func run(in session: Session) throws -> Int32 {
    var text = ""
    var written: [(name: String, text: String)] = []
    _ = try session.onRoot {
      if collectives {
        let report = CollectiveValidationReport(.shipped)
        text = json ? report.json.text : report.text
        if output != nil { written = [("collectives.md", report.document)] }
        return []
      }
      let validation = try validation(in: session)
      let report = ValidationReport(validation)
      text = json ? report.json.text : csv ? report.csv : report.text
      if output != nil {
        written = [
          ("validation.md", report.document(explainsShippedRows: files.isEmpty)),
          ("validation.svg", report.figure), ("errors.csv", MeasuredErrors(validation).csv),
          ("order.csv", OrderConfidence(LayoutSweep.all(in: validation.predictions)).csv),
        ]
      }
      return []
    }
    if let output { try session.write(written, to: output) }
    session.output(text)
    return ExitStatus.done
  }

  /// Reads and predicts every row that can be; names the others on the standard error output.
  private func validation(in session: Session) throws -> Validation {
    var runs: [MeasuredRun] = []
    var unreadable: [MeasuredRun.Unreadable] = []
    for path in files.isEmpty ? ShippedMeasurements.paths : files {
      let text = try session.mendable { () throws(ScenarioError) in
        try ScenarioSource.contents(of: path)
      }
      let found = MeasuredRun.readableRows(in: text, file: path)
      runs += found.rows
      unreadable += found.unreadable
    }
    if let constants {
      let text = try session.mendable { () throws(ScenarioError) in
        try ScenarioSource.contents(of: constants)
      }
      let tree = try session.mendable { () throws(ScenarioError) in
        try JSONValue(parsing: text, file: constants)
      }
      let replaced = Result { () throws(StepConstants.Mistake) in try StepConstants(tree) }
      switch replaced {
      case .success(let values):
        for index in runs.indices { values.apply(to: &runs[index].scenario.job) }
      case .failure(let mistake):
        throw ValidationError("\(constants): \(mistake)")
      }
    }
    let lines = unreadable.flatMap { $0.diagnostics.map(\.description) }
    guard !runs.isEmpty || unreadable.isEmpty else {
      throw Failure(code: ExitStatus.scenarioWrong, lines: lines)
    }
    session.log(lines.joined(separator: "\n"))
    let validation = Validation(runs, unreadable: unreadable)
    for failure in validation.failures.dropFirst(unreadable.count) {
      session.log("\(failure.id): error: \(failure.reason)")
    }
    return validation
  }
}

/// `dryrun catalog`.
struct Catalog: SessionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the models, GPUs and clusters known by name, with the sources of their figures."
  )

  @Argument(help: "gpus, models, clusters, constants, or the name of one.")
  var what: String?

  @Flag(help: "Print GPUs and models as JSON.")
  var json = false

  func run(in session: Session) throws -> Int32 {
    guard !json else {
      session.output(CatalogReport.json.text)
      return ExitStatus.done
    }
    switch what {
    case nil:
      session.output(
        [CatalogReport.gpuText, CatalogReport.clusterText, CatalogReport.modelText]
          .joined(separator: "\n"))
    case "constants": session.output(StepConstants.current.text)
    case "clusters": session.output(CatalogReport.clusterText)
    case "gpus": session.output(CatalogReport.gpuText)
    case "models": session.output(CatalogReport.modelText)
    case .some(let name):
      guard let text = CatalogReport.text(of: name) else {
        throw ValidationError(
          "'\(name)' is neither gpus, models, clusters, constants, nor the name of one")
      }
      session.output(text)
    }
    return ExitStatus.done
  }
}
