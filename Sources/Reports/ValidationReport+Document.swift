import Hardware
import Quantities
import ScenarioFile
import StepProgram
import Studies

extension ValidationReport {
  /// `validation.md`: tables, worst rows, patterns, and what is known of the causes.
  ///
  /// - Parameter explainsShippedRows: whether the rows are those that come with the program, which
  ///   the written part is about.
  /// - Returns: Markdown; the same rows give the same bytes.
  public func document(explainsShippedRows: Bool) -> String {
    let rows = validation.predictions.count
    let timed = validation.statistics().stepSeconds.rows
    var lines = [
      "# Predicted against measured", "",
      "\(Format.grouped(rows)) published runs, \(Format.grouped(timed)) of them timed, predicted by "
        + "`dryrun validate`. Errors are predicted over measured less one: below zero the prediction "
        + "is too fast, or too small.",
      "", "![Predicted against measured](validation.svg)", "", "## Step time", "",
    ]
    lines += stepTable.markdownLines + [""]
    if explainsShippedRows { lines += peerLines + [""] + heldOutLines + [""] }
    lines += ["## Memory", ""] + memoryTable.markdownLines + [""]
    lines += ["## Fits or not", ""] + fitTable.markdownLines + [""]
    let ranking = rankingTable
    if !ranking.isEmpty {
      lines += [
        "## Order of layouts", "",
        "Sweeps of at least five timed layouts of one model on the same GPUs with the same batch, "
          + "sequence length and formats. Rank correlation is Spearman's, the median over the sweeps; "
          + "the choice is the layout predicted to be fastest, its measured time over the best "
          + "measured.",
        "",
      ]
      lines += ranking.markdownLines + [""] + orderLines + [""]
    }
    if explainsShippedRows { lines += explanation + [""] }
    lines += ["## Where the errors of step time are", ""]
    for pattern in ResidualPattern.all(of: validation.predictions) where pattern.groups.count > 1 {
      let table = TitledTable(
        title: "", heading: [pattern.property, "rows", "median", "abs. median", "abs. 90 %"],
        rows: pattern.groups.map { [$0.value] + Self.cells($0.errors) })
      lines += table.markdownLines + [""]
    }
    lines += ["## Rows furthest off", ""]
    for family in validation.families {
      let worst = worstTable(count: 5, family: family)
      guard !worst.isEmpty else { continue }
      lines += ["`\(family)`", ""] + worst.markdownLines + [""]
    }
    lines += uncertaintyLines
    if !validation.failures.isEmpty {
      lines += ["", "## Not predicted", ""]
      lines += validation.failures.map { "- \($0.id): \($0.reason)" }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// `validation.svg`: step time, and peak memory where it was measured, on logarithmic axes.
  public var figure: String {
    let panel = {
      (title: String, unit: String, points: (Prediction) -> (measured: Double, predicted: Double)?)
      in
      ScatterPlot.Panel(
        title: title, unit: unit,
        series: validation.families.map { family in
          ScatterPlot.Series(
            name: family,
            points: validation.predictions.filter { $0.run.family == family }.compactMap(points))
        })
    }
    let time = panel("Step time", "s") { prediction in
      prediction.run.stepSeconds.map { ($0, prediction.stepSeconds) }
    }
    let memory = panel("Peak memory", "GiB") { prediction in
      prediction.run.peakMemoryGiB.map { ($0, prediction.peakMemory.gibibytes) }
    }
    let panels = [time, memory].filter { panel in panel.series.contains { !$0.points.isEmpty } }
    return ScatterPlot(panels: panels).svg
  }

  /// Errors of the step time of the rows `isIncluded` holds for.
  func errors(
    where isIncluded: (Prediction) -> Bool
  ) -> ValidationStatistics.Errors {
    ValidationStatistics.Errors(
      validation.predictions.filter(isIncluded).compactMap(\.stepError))
  }

  /// What the fit of the step-level constants is worth on rows it has not seen.
  private var heldOutLines: [String] {
    let errors = HeldOutErrors.shipped
    guard !errors.isEmpty else { return [] }
    let table = TitledTable(
      title: "",
      heading: [
        "constants fitted without", "family", "rows", "median", "abs. median", "abs. 90 %",
      ],
      rows: errors.map { row in
        [
          row.without, row.family, Format.grouped(row.rows), Format.percent(row.median),
          Format.percent(row.medianAbsolute), Format.percent(row.p90Absolute),
        ]
      })
    return ["### On rows the constants were not fitted on", ""] + table.markdownLines + [
      "",
      "Clocks and attention under training load, host costs and network factors "
        + "(`dryrun catalog constants`) are fitted on the rows above by `scripts/fit-steps`. Here the same "
        + "fit was made without some of the rows and judged on these: `models` leaves out a fifth of the "
        + "models at a time (a model of a family is a group; the fit is made five times), `families` one "
        + "family at a time. Kernel and collective constants are not fitted on steps. Families that no "
        + "constant was fitted on are in the tables above, with what was first said of them in "
        + "`Sources/Studies/Measured/README.md`.",
    ]
  }

  /// The same rows predicted by published simulators, in the statistic those print: the mean.
  private var peerLines: [String] {
    let isSingleNode = { (prediction: Prediction) in
      prediction.run.scenario.job.cluster.gpuCount <= 8
    }
    let isFrom = { (prediction: Prediction, family: String) in prediction.run.family == family }
    let single = errors { isFrom($0, "vtrain_ground_truth") && isSingleNode($0) }
    let multiple = errors { isFrom($0, "vtrain_ground_truth") && !isSingleNode($0) }
    let recomputation = errors { $0.run.id.hasPrefix("korthikanti-table5") }
    let table = TitledTable(
      title: "",
      heading: ["rows others predicted too", "rows", "abs. mean here", "abs. mean there"],
      rows: [
        [
          "vTrain, one node", Format.grouped(single.rows), Format.percent(single.meanAbsolute),
          "8.37 %",
        ],
        [
          "vTrain, several nodes", Format.grouped(multiple.rows),
          Format.percent(multiple.meanAbsolute), "14.73 %",
        ],
        [
          "Megatron, selective recomputation", Format.grouped(recomputation.rows),
          Format.percent(recomputation.meanAbsolute), "3.65 %",
        ],
      ])
    return table.markdownLines + [
      "",
      "There: as printed by vTrain (MICRO 2024), which profiles every kernel on the GPU it predicts, and "
        + "by Calculon (SC 2023) on the eight runs of arXiv:2205.05198, Table 5. Nothing was profiled "
        + "here.",
    ]
  }

  /// How the uncertainty of a result is made, and whether it holds for families it has not seen.
  private var uncertaintyLines: [String] {
    let table = MeasuredErrors(validation)
    var within50 = 0
    var within90 = 0
    var count = 0
    for prediction in validation.predictions {
      guard let error = prediction.stepError,
        let expected = table.expected(
          for: prediction.run.scenario.job, without: prediction.run.family)
      else { continue }
      count += 1
      if abs(error) <= expected.median { within50 += 1 }
      if abs(error) <= expected.ninetiethPercentile { within90 += 1 }
    }
    guard count > 0 else { return [] }
    let share = { (part: Int) in Format.percent(Double(part) / Double(count)) }
    return [
      "## Uncertainty of a result", "",
      "Every result carries the errors of the \(MeasuredErrors.neighbours) measured runs most like "
        + "it, at most \(MeasuredErrors.neighboursOfFamily) of a family: their median and 90th percentile. "
        + "Likeness is a sum over features: another GPU 2 plus "
        + "the doublings between the bf16 peaks; other software ½ of the same kind, else 1; ½ for "
        + "each halving of the multiplied format and each doubling of the parameters; ¼ for each "
        + "doubling of GPUs and of sequence length; ½ for each axis (tensor, pipeline, context, "
        + "expert, parameter shards) only one of the two has. Beyond a mean distance of 1 errors are "
        + "widened by \(Int(100 * MeasuredErrors.wideningPerUnit)) % for each unit; the 90th percentile "
        + "is \(MeasuredErrors.unseenNinetieth) times theirs, as rows predicted before they were "
        + "looked into ask.",
      "",
      "Asked about each family without that family's own rows, the stated median holds "
        + "\(share(within50)) of the rows and the stated 90th percentile \(share(within90)).",
    ]
  }
}
