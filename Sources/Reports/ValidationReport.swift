public import Studies
import Quantities
import ScenarioFile

/// Predictions against measurements.
///
/// As text, JSON, comma-separated values, and as the document `Results/validation.md` with its figure.
public struct ValidationReport: Sendable {
  /// What is reported.
  public var validation: Validation

  /// A report on `validation`.
  public init(_ validation: Validation) { self.validation = validation }

  /// Error statistics by family and overall, then the worst rows, for a terminal.
  public var text: String {
    var lines = ["Predicted over measured less one.", ""]
    let tables = [
      stepTable, runTable, memoryTable, fitTable, rankingTable, worstTable(count: 15),
    ]
    for table in tables {
      guard !table.isEmpty else { continue }
      lines += table.textLines + [""]
    }
    if !validation.failures.isEmpty {
      lines.append("Not predicted: \(validation.failures.count) rows.")
      lines += validation.failures.map { "  \($0.id): \($0.reason)" }
    }
    while lines.last == "" { lines.removeLast() }
    return lines.joined(separator: "\n") + "\n"
  }

  /// One line a row.
  public var csv: String {
    var table = CommaSeparated([
      "id", "family", "predicted_step_seconds", "measured_step_seconds",
      "predicted_peak_memory_bytes", "measured_peak_memory_gib", "predicted_fits",
      "measured_out_of_memory", "predicted_run_seconds", "measured_run_seconds",
    ])
    for prediction in validation.predictions {
      let run = prediction.run
      table.add([
        run.id, run.family, "\(prediction.stepSeconds)", run.stepSeconds.map { "\($0)" } ?? "",
        "\(prediction.peakMemory.count)", run.peakMemoryGiB.map { "\($0)" } ?? "",
        "\(prediction.fits)", "\(run.isOutOfMemory)",
        prediction.runSeconds.map { "\($0)" } ?? "", run.runSeconds.map { "\($0)" } ?? "",
      ])
    }
    return table.text
  }
}

/// A table with its title, for a terminal or for Markdown.
struct TitledTable {
  var title: String
  var heading: [String]
  var rows: [[String]] = []
  /// Columns of words, from the left.
  var leftColumns = 1

  var isEmpty: Bool { rows.isEmpty }

  /// Under its title, columns aligned.
  var textLines: [String] {
    var table = TextTable([title] + heading.dropFirst(), leftColumns: leftColumns)
    for row in rows { table.add(row) }
    return table.lines(indent: 0)
  }

  /// A Markdown table.
  var markdownLines: [String] {
    let rule = heading.indices.map { $0 < leftColumns ? "---" : "---:" }
    return ([heading, rule] + rows).map { "| " + $0.joined(separator: " | ") + " |" }
  }
}

extension ValidationReport {
  /// Errors of the step time by family.
  var stepTable: TitledTable {
    errorTable("Step time", mean: true, of: \.stepSeconds)
  }

  /// Errors of the time of whole runs by family; empty where none was measured.
  var runTable: TitledTable {
    errorTable("Whole run", mean: true, of: \.runSeconds)
  }

  /// Errors of the peak memory, and of the memory before the first step, by family.
  var memoryTable: TitledTable {
    var table = errorTable("Peak memory", mean: false, of: \.memory)
    let before = errorTable("Memory before step 1", mean: false, of: \.staticMemory)
    for row in before.rows { table.rows.append(["\(row[0]), before step 1"] + row.dropFirst()) }
    return table
  }

  private func errorTable(
    _ title: String, mean: Bool,
    of quantity: KeyPath<ValidationStatistics, ValidationStatistics.Errors>
  ) -> TitledTable {
    var table = TitledTable(
      title: title, heading: ["family", "rows", "median", "abs. median", "abs. 90 %"])
    if mean { table.heading.append("abs. mean") }
    let families = validation.families.map { ($0, validation.statistics(family: $0)) }
    for (name, statistics) in families + [("overall", validation.statistics())] {
      let errors = statistics[keyPath: quantity]
      guard errors.rows > 0 else { continue }
      table.rows.append(
        [name] + Self.cells(errors) + (mean ? [Format.percent(errors.meanAbsolute)] : []))
    }
    return table
  }

  /// Rows, signed median, absolute median and 90th percentile.
  static func cells(_ errors: ValidationStatistics.Errors) -> [String] {
    [Format.grouped(errors.rows)]
      + [errors.median, errors.medianAbsolute, errors.p90Absolute].map(Format.percent)
  }

  /// Whether a run fits in memory, predicted against what happened.
  var fitTable: TitledTable {
    var table = TitledTable(
      title: "Fits in memory",
      heading: [
        "family", "fits, said so", "fits, said not", "out of memory, said so",
        "out of memory, said fits",
      ])
    let families = validation.families.map { ($0, validation.statistics(family: $0)) }
    for (name, all) in families + [("overall", validation.statistics())] {
      table.rows.append(
        [name]
          + [all.trueFit, all.falseOutOfMemory, all.trueOutOfMemory, all.falseFit]
          .map { Format.grouped($0) })
    }
    return table
  }

  /// How well layouts of one job are ordered.
  var rankingTable: TitledTable {
    var table = TitledTable(
      title: "Order of layouts",
      heading: [
        "family", "sweeps", "rows", "rank correlation", "choice within 5 % of best",
        "choice over best",
      ])
    let sweeps = LayoutSweep.all(in: validation.predictions)
    let families = validation.families.map { family in
      (family, sweeps.filter { $0.subject.family == family })
    }
    for (name, sweeps) in families + [("overall", sweeps)] where !sweeps.isEmpty {
      let ranking = RankingStatistics(sweeps)
      table.rows.append([
        name, Format.grouped(ranking.sweeps), Format.grouped(ranking.rows),
        Format.fixed(ranking.medianCorrelation, decimals: 2), Format.percent(ranking.goodChoices),
        "\(Format.fixed(ranking.medianRatioOfChoice, decimals: 2)) x",
      ])
    }
    return table
  }

  /// The rows furthest off, by the ratio of predicted and measured step time.
  func worstTable(count: Int, family: String? = nil) -> TitledTable {
    var table = TitledTable(
      title: "Furthest off", heading: ["row", "predicted", "measured", "error"])
    let timed = validation.predictions.filter {
      $0.stepError != nil && (family == nil || $0.run.family == family)
    }
    let worst = timed.enumerated().sorted { first, second in
      let ratios = (first.element.ratio, second.element.ratio)
      return ratios.0 != ratios.1 ? ratios.0 > ratios.1 : first.offset < second.offset
    }
    for (_, prediction) in worst.prefix(count) {
      table.rows.append([
        prediction.run.id, Format.duration(Seconds(prediction.stepSeconds)),
        Format.duration(Seconds(prediction.run.stepSeconds ?? 0)),
        Format.percent(prediction.stepError ?? 0),
      ])
    }
    return table
  }
}

extension Prediction {
  /// Predicted over measured or its inverse, whichever is larger; 1 without a measured time.
  fileprivate var ratio: Double {
    guard let error = stepError else { return 1 }
    return max(1 + error, 1 / (1 + error))
  }
}
