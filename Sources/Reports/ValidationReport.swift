public import ScenarioFile
public import Studies
import Quantities

/// Predictions against measurements, as text, JSON and comma-separated values.
public struct ValidationReport: Sendable {
  /// What is reported.
  public var validation: Validation

  /// A report on `validation`.
  public init(_ validation: Validation) { self.validation = validation }

  /// Error statistics by family and overall for a terminal.
  public var text: String {
    var table = TextTable([
      "Family", "rows", "timed", "median", "|median|", "|p90|", "memory rows", "median", "|median|",
      "|p90|", "fits right", "wrongly fits", "wrongly not",
    ])
    for family in validation.families {
      table.add(row(family, validation.statistics(family: family)))
    }
    table.add(row("overall", validation.statistics()))
    var lines = ["Predicted over measured less one; step time, then peak memory.", ""]
    lines += table.lines(indent: 0)
    for failure in validation.failures {
      lines.append("Not predicted: \(failure.id): \(failure.reason)")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func row(_ name: String, _ all: ValidationStatistics) -> [String] {
    let columns = { (errors: ValidationStatistics.Errors) in
      errors.rows == 0
        ? ["0", "", "", ""]
        : ["\(errors.rows)"]
          + [errors.median, errors.medianAbsolute, errors.p90Absolute].map(Format.percent)
    }
    return [name, "\(all.rows)"] + columns(all.stepSeconds) + columns(all.memory) + [
      "\(all.trueFit + all.trueOutOfMemory)", "\(all.falseFit)", "\(all.falseOutOfMemory)",
    ]
  }

  /// Statistics and rows for other programs (contract: DESIGN.md, section 5).
  public var json: JSONValue {
    [
      "schema": "dryrun.validation/1",
      "overall": tree(validation.statistics()),
      "families": .object(
        validation.families.map {
          JSONValue.Member($0, tree(validation.statistics(family: $0)))
        }),
      "rows": .array(validation.predictions.map(tree)),
      "not_predicted": .array(
        validation.failures.map { ["id": .string($0.id), "reason": .string($0.reason)] }),
    ]
  }

  private func tree(_ statistics: ValidationStatistics) -> JSONValue {
    let errors = { (errors: ValidationStatistics.Errors) -> JSONValue in
      [
        "rows": .integer(errors.rows),
        "median_error": .number(errors.median),
        "median_absolute_error": .number(errors.medianAbsolute),
        "p90_absolute_error": .number(errors.p90Absolute),
      ]
    }
    return [
      "rows": .integer(statistics.rows),
      "step_seconds": errors(statistics.stepSeconds),
      "memory": errors(statistics.memory),
      "fit": [
        "true_fit": .integer(statistics.trueFit),
        "false_fit": .integer(statistics.falseFit),
        "true_oom": .integer(statistics.trueOutOfMemory),
        "false_oom": .integer(statistics.falseOutOfMemory),
      ],
    ]
  }

  private func tree(_ prediction: Prediction) -> JSONValue {
    let run = prediction.run
    let number = { (value: Double?) in value.map(JSONValue.number) ?? .null }
    return [
      "id": .string(run.id),
      "family": .string(run.family),
      "predicted_step_seconds": .number(prediction.stepSeconds),
      "measured_step_seconds": number(run.stepSeconds),
      "predicted_peak_memory_bytes": .integer(prediction.peakMemory.count),
      "measured_peak_memory_bytes": number(run.peakMemoryGiB.map { $0 * 1_073_741_824 }),
      "predicted_fits": .bool(prediction.fits),
      "measured_out_of_memory": .bool(run.isOutOfMemory),
    ]
  }

  /// One line a row.
  public var csv: String {
    var table = CommaSeparated([
      "id", "family", "predicted_step_seconds", "measured_step_seconds",
      "predicted_peak_memory_bytes", "measured_peak_memory_gib", "predicted_fits",
      "measured_out_of_memory",
    ])
    for prediction in validation.predictions {
      let run = prediction.run
      table.add([
        run.id, run.family, "\(prediction.stepSeconds)", run.stepSeconds.map { "\($0)" } ?? "",
        "\(prediction.peakMemory.count)", run.peakMemoryGiB.map { "\($0)" } ?? "",
        "\(prediction.fits)", "\(run.isOutOfMemory)",
      ])
    }
    return table.text
  }
}
