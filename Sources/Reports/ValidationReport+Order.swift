import Studies

/// How sure the order of layouts is, and what finding the best asks for.
extension ValidationReport {
  /// For `validation.md`.
  ///
  /// What independent errors would make of the sweeps, and how often pairs of layouts came in order.
  var orderLines: [String] {
    let sweeps = LayoutSweep.all(in: validation.predictions)
    let families = validation.families.map { family in
      (family, sweeps.filter { $0.subject.family == family })
    }
    var asked = TitledTable(
      title: "",
      heading: [
        "family", "choice within 5 % of best", "scatter of errors in a sweep",
        "choices, were the errors independent", "scatter for 90 %",
      ])
    for (name, sweeps) in families + [("overall", sweeps)] where !sweeps.isEmpty {
      let scatter = LayoutSweep.scatter(in: sweeps)
      let choice = ChoiceUnderScatter(sweeps)
      asked.rows.append([
        name, Format.percent(RankingStatistics(sweeps).goodChoices), Format.percent(scatter),
        Format.percent(choice.goodChoices(scatter: scatter)),
        Format.percent(choice.scatter(forGoodChoices: 0.9)),
      ])
    }
    var pairs = TitledTable(
      title: "", heading: ["predicted to differ by at least", "pairs", "came in that order"])
    for row in OrderConfidence(sweeps).classes {
      pairs.rows.append([
        Format.percent(row.difference), Format.grouped(row.pairs), Format.percent(row.inOrder),
      ])
    }
    return [
      "What finding the best takes: the scatter of predicted over measured inside a sweep (its errors less "
        + "their median; 1.4826 times the median size), the share of choices within 5 % that errors of that "
        + "scatter would give were each row's independent of the others', and the scatter with which they "
        + "would give nine in ten. Errors are not independent: rows share them by tensor degree and micro "
        + "batch, so that one of them decides many sweeps.",
      "",
    ] + asked.markdownLines + [
      "",
      "How sure an order is: pairs of layouts of a sweep by how far apart they were predicted, sweeps "
        + "weighing alike. `dryrun search` marks as good as the first what fewer than "
        + "\(Format.percent(OrderConfidence.tie)) of such pairs tell apart.",
      "",
    ] + pairs.markdownLines
  }
}
