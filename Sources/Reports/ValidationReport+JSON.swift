public import ScenarioFile
import Quantities
import Studies

extension ValidationReport {
  /// Statistics and rows for other programs.
  public var json: JSONValue {
    [
      "schema": "dryrun.validation/1",
      "overall": tree(validation.statistics(), family: nil),
      "families": .object(
        validation.families.map {
          JSONValue.Member($0, tree(validation.statistics(family: $0), family: $0))
        }),
      "rows": .array(validation.predictions.map(tree)),
      "not_predicted": .array(
        validation.failures.map { ["id": .string($0.id), "reason": .string($0.reason)] }),
    ]
  }

  private func tree(_ statistics: ValidationStatistics, family: String?) -> JSONValue {
    let errors = { (errors: ValidationStatistics.Errors) -> JSONValue in
      [
        "rows": .integer(errors.rows),
        "median_error": .number(errors.median),
        "median_absolute_error": .number(errors.medianAbsolute),
        "p90_absolute_error": .number(errors.p90Absolute),
        "mean_absolute_error": .number(errors.meanAbsolute),
      ]
    }
    let sweeps = LayoutSweep.all(in: validation.predictions).filter {
      family == nil || $0.subject.family == family
    }
    let ranking = RankingStatistics(sweeps)
    return [
      "rows": .integer(statistics.rows),
      "step_seconds": errors(statistics.stepSeconds),
      "run_seconds": errors(statistics.runSeconds),
      "memory": errors(statistics.memory),
      "static_memory": errors(statistics.staticMemory),
      "fit": [
        "true_fit": .integer(statistics.trueFit),
        "false_fit": .integer(statistics.falseFit),
        "true_oom": .integer(statistics.trueOutOfMemory),
        "false_oom": .integer(statistics.falseOutOfMemory),
      ],
      "layout_sweeps": [
        "sweeps": .integer(ranking.sweeps),
        "rows": .integer(ranking.rows),
        "median_rank_correlation": .number(ranking.medianCorrelation),
        "choice_within_5_percent": .number(ranking.goodChoices),
        "median_choice_over_best": .number(ranking.medianRatioOfChoice),
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
      "step_seconds_error": number(prediction.stepError),
      "predicted_run_seconds": number(prediction.runSeconds),
      "measured_run_seconds": number(run.runSeconds),
      "run_seconds_error": number(prediction.runError),
      "predicted_peak_memory_gib": .number(prediction.peakMemory.gibibytes),
      "measured_peak_memory_gib": number(run.peakMemoryGiB),
      "memory_error": number(prediction.memoryError),
      "predicted_static_memory_gib": .number(prediction.staticMemory.gibibytes),
      "measured_static_memory_gib": number(run.staticMemoryGiB),
      "predicted_fits": .bool(prediction.fits),
      "measured_fits": .bool(!run.isOutOfMemory),
    ]
  }
}
