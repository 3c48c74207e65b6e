import Transformer
public import Quantities
public import ScenarioFile
import Hardware
import Layout
import RunForecast
import StepProgram

/// A plan: candidates of hardware with the best layout of each, and which to take.
public struct PlanReport {
  /// What the run must keep to.
  public struct Limits: Sendable {
    /// When it must be done; `nil` for any time.
    public var deadline: Seconds?
    /// What it may cost; `nil` for any price.
    public var budget: Dollars?

    /// A deadline and a budget.
    public init(deadline: Seconds?, budget: Dollars?) {
      self.deadline = deadline
      self.budget = budget
    }
  }

  /// One cluster with its best layout.
  public struct Candidate: Sendable {
    /// Its kind, as named.
    public var kind: String
    /// Its GPUs.
    public var gpus: Int
    /// Layouts looked at, and of these the ones that fit.
    public var layouts: (total: Int, fit: Int)
    /// The best layout's step and run; `nil` when none fits.
    public var report: SimulationReport?

    /// A cluster of `gpus` GPUs of a kind.
    public init(kind: String, gpus: Int, layouts: (total: Int, fit: Int), report: SimulationReport?)
    {
      self.kind = kind
      self.gpus = gpus
      self.layouts = layouts
      self.report = report
    }

    fileprivate var days: Double { (report?.run.wallTime.value ?? .infinity) / 86_400 }
    fileprivate var cost: Double { report?.run.cost.value ?? .infinity }
    fileprivate var error: Double? { report?.uncertainty?.ninetiethPercentile }
    fileprivate var medianError: Double? { report?.uncertainty?.median }
  }

  private let scenario: Scenario
  private let limits: Limits
  private let candidates: [Candidate]
  private let notes: [String]
  private let larger: Candidate?

  /// A plan among `candidates`.
  ///
  /// - Parameters:
  ///   - scenario: what is trained.
  ///   - limits: what it must keep to.
  ///   - candidates: the clusters, in the order they are shown.
  ///   - notes: sentences on how the question was understood.
  ///   - larger: the recommended cluster with the fewest nodes more that can train the batch.
  public init(
    scenario: Scenario, limits: Limits, candidates: [Candidate], notes: [String] = [],
    larger: Candidate? = nil
  ) {
    self.scenario = scenario
    self.limits = limits
    self.candidates = candidates
    self.notes = notes
    self.larger = larger
  }

  private func isInTime(_ candidate: Candidate) -> Bool { limits.isInTime(candidate) }

  /// Whether in time even when the step takes longer by the error nine tenths stay within.
  private func isSurelyInTime(_ candidate: Candidate) -> Bool {
    guard let deadline = limits.deadline, let error = candidate.error else { return false }
    return candidate.days * 86_400 * (1 + error) <= deadline.value
  }

  /// Whether no other candidate is at least as fast and as cheap, and better in one of both.
  private func isOnFront(_ candidate: Candidate) -> Bool {
    candidate.report != nil
      && !candidates.contains {
        $0.days <= candidate.days && $0.cost <= candidate.cost
          && ($0.days < candidate.days || $0.cost < candidate.cost)
      }
  }

  private var chosen: Candidate? { limits.recommendation(among: candidates).map { candidates[$0] } }
}

extension PlanReport.Limits {
  fileprivate func isInTime(_ candidate: PlanReport.Candidate) -> Bool {
    candidate.report != nil
      && (deadline.map { candidate.days * 86_400 <= $0.value } ?? candidate.days.isFinite)
  }

  fileprivate func isInBudget(_ candidate: PlanReport.Candidate) -> Bool {
    candidate.report != nil
      && (budget.map { candidate.cost <= $0.value } ?? candidate.cost.isFinite)
  }

  /// The cheapest candidate that keeps to both limits, the faster of equals; `nil` when none does.
  public func recommendation(among candidates: [PlanReport.Candidate]) -> Int? {
    candidates.indices.filter { isInTime(candidates[$0]) && isInBudget(candidates[$0]) }.min {
      (candidates[$0].cost, candidates[$0].days) < (candidates[$1].cost, candidates[$1].days)
    }
  }

  /// Which limit decides, in a sentence without its full stop.
  fileprivate func binding(_ candidates: [PlanReport.Candidate]) -> String {
    let trainable = candidates.filter { $0.report != nil && $0.days.isFinite }
    guard let cheapest = trainable.min(by: { $0.cost < $1.cost }),
      let fastest = trainable.min(by: { $0.days < $1.days })
    else { return "memory: no candidate has a layout that fits" }
    func described(_ candidate: PlanReport.Candidate) -> String {
      "\(Format.grouped(candidate.gpus)) \(candidate.kind), \(Format.number(candidate.days)) days, "
        + Format.dollars(Dollars(candidate.cost))
    }
    if recommendation(among: candidates) != nil {
      return isInTime(cheapest)
        ? (deadline == nil && budget == nil
          ? "none: neither a deadline nor a budget was given"
          : "none: the cheapest candidate of all keeps to both")
        : "the deadline: without it \(described(cheapest)) would do"
    }
    switch (isInTime(fastest), isInBudget(cheapest)) {
    case (false, false):
      return "both: the fastest is \(described(fastest)), the cheapest \(described(cheapest))"
    case (false, true): return "the deadline: the fastest is \(described(fastest))"
    case (true, false): return "the budget: the cheapest is \(described(cheapest))"
    case (true, true):
      return "deadline and budget together: the fastest is \(described(fastest)), the cheapest "
        + described(cheapest)
    }
  }
}

extension PlanReport {
  /// `plan --json`.
  public var json: JSONValue {
    let choice = limits.recommendation(among: candidates)
    return [
      "schema": "dryrun.plan/1",
      "scenario": scenario.resolved,
      "limits": [
        "seconds": limits.deadline.map { .number($0.value) } ?? .null,
        "cost": limits.budget.map { .number($0.value) } ?? .null,
      ],
      "candidates": .array(candidates.map(tree)),
      "recommended": choice.map { .integer($0) } ?? .null,
      "binding": .string(limits.binding(candidates)),
      "larger": larger.map(tree) ?? .null,
      "notes": .array(notes.map(JSONValue.string)),
    ]
  }

  private func tree(_ candidate: Candidate) -> JSONValue {
    var members: [JSONValue.Member] = [
      .init("kind", .string(candidate.kind)), .init("gpus", .integer(candidate.gpus)),
      .init(
        "layouts",
        ["total": .integer(candidate.layouts.total), "fit": .integer(candidate.layouts.fit)]),
      .init("fits", .bool(candidate.report != nil)),
    ]
    guard let report = candidate.report else { return .object(members) }
    let entry = SearchReport.entry(report)
    if case .object(let layout) = entry {
      members += layout.filter { ["parallelism", "training"].contains($0.key) }
    }
    members += [
      .init("step_seconds", .number(report.step.seconds.value)),
      .init("mfu", .number(report.modelRate / report.peakRate)),
      .init("peak_memory_bytes", .integer(report.step.fullestRank?.peak.count ?? 0)),
      .init("days", .number(candidate.days)), .init("gpu_hours", .number(report.run.gpuHours)),
      .init("cost", .number(candidate.cost)),
      .init("energy_kwh", .number(report.run.energyKilowattHours)),
      .init("relative_error_p50", candidate.medianError.map { .number($0) } ?? .null),
      .init("relative_error_p90", candidate.error.map { .number($0) } ?? .null),
      .init("in_time", .bool(isInTime(candidate))),
      .init("surely_in_time", .bool(isSurelyInTime(candidate))),
      .init("in_budget", .bool(limits.isInBudget(candidate))),
      .init("on_front", .bool(isOnFront(candidate))),
    ]
    return .object(members)
  }

  /// Every candidate, one a row, as comma-separated values.
  public var csv: String {
    var table = CommaSeparated([
      "kind", "gpus", "layout", "step_seconds", "mfu", "days", "gpu_hours", "cost", "energy_kwh",
      "relative_error_p50", "relative_error_p90", "in_time", "in_budget", "on_front",
    ])
    for candidate in candidates {
      guard let report = candidate.report else {
        table.add([candidate.kind, "\(candidate.gpus)"] + Array(repeating: "", count: 12))
        continue
      }
      table.add([
        candidate.kind, "\(candidate.gpus)", LayoutText(job: report.scenario.job).line,
        "\(report.step.seconds.value)", "\(report.modelRate / report.peakRate)",
        "\(candidate.days)", "\(report.run.gpuHours)", "\(candidate.cost)",
        "\(report.run.energyKilowattHours)", candidate.medianError.map { "\($0)" } ?? "",
        candidate.error.map { "\($0)" } ?? "", "\(isInTime(candidate))",
        "\(limits.isInBudget(candidate))", "\(isOnFront(candidate))",
      ])
    }
    return table.text
  }

  /// The plan for people.
  public var text: String {
    let model = scenario.job.architecture
    var lines = [
      "\(scenario.name)",
      "\(model.name), \(Format.count(Double(model.parameterCount))) parameters, "
        + "\(Format.count(scenario.tokens)) tokens"
        + (limits.deadline.map { ", within \(Format.duration($0))" } ?? "")
        + (limits.budget.map { ", for at most \(Format.dollars($0))" } ?? "") + ".",
    ]
    lines += notes
    lines.append("")
    var table = TextTable(
      [
        "", "cluster", "best layout", "GPUs", "step", "MFU", "days", "± 50 %", "± 90 %",
        "GPU-hours", "USD", "MWh",
      ], leftColumns: 3)
    let choice = limits.recommendation(among: candidates)
    for (index, candidate) in candidates.enumerated() {
      guard let report = candidate.report else {
        table.add([
          "", candidate.kind,
          candidate.layouts.total == 0 ? "no layout divides the batch" : "no layout fits",
          Format.grouped(candidate.gpus),
        ])
        continue
      }
      let mark =
        (index == choice ? ">" : "") + (isOnFront(candidate) ? "*" : "")
        + (isInTime(candidate) ? "" : "t") + (limits.isInBudget(candidate) ? "" : "$")
      table.add([
        mark, candidate.kind, LayoutText(job: report.scenario.job).line,
        Format.grouped(candidate.gpus), Format.duration(report.step.seconds),
        Format.percent(report.modelRate / report.peakRate), Format.number(candidate.days),
        candidate.medianError.map { Format.percent($0) } ?? "",
        candidate.error.map { Format.percent($0) } ?? "", Format.number(report.run.gpuHours),
        Format.number(candidate.cost), Format.number(report.run.energyKilowattHours / 1e3),
      ])
    }
    lines += table.lines(indent: 0)
    lines += [
      "", "> recommended, * no other is both faster and cheaper, t too late, $ too expensive",
      "± how far off the runs measured most alike are predicted, half and nine tenths of them", "",
    ]
    lines += verdict
    return lines.joined(separator: "\n") + "\n"
  }

  /// A ratio as a change, with its sign.
  private static func change(_ ratio: Double) -> String {
    (ratio >= 1 ? "+" : "−") + Format.percent(abs(ratio - 1))
  }

  private var verdict: [String] {
    var lines: [String] = []
    if let chosen, let report = chosen.report {
      lines.append(
        "Take \(Format.grouped(chosen.gpus)) \(chosen.kind): \(LayoutText(job: report.scenario.job).line), "
          + "\(Format.number(chosen.days)) days, \(Format.dollars(Dollars(chosen.cost))).")
      if limits.deadline != nil {
        lines.append(
          isSurelyInTime(chosen)
            ? "In time even with the error that nine tenths of runs alike stay within."
            : "In time as predicted; with the error that nine tenths of runs alike stay within it "
              + "would take up to \(Format.number(chosen.days * (1 + (chosen.error ?? 0)))) days.")
      }
    } else {
      lines.append("No candidate keeps to the limits.")
    }
    lines.append("Binding: \(limits.binding(candidates)).")
    if let larger, let report = larger.report, let chosen {
      lines.append(
        "\(Format.grouped(larger.gpus - chosen.gpus)) GPUs more, the fewest whole nodes that divide "
          + "the batch: \(Format.number(larger.days)) days "
          + "(\(Self.change(larger.days / chosen.days))), "
          + "\(Format.dollars(Dollars(larger.cost))) "
          + "(\(Self.change(larger.cost / chosen.cost))), "
          + LayoutText(job: report.scenario.job).line + ".")
    } else if chosen != nil {
      lines.append("No whole number of nodes up to twice as many divides the batch better.")
    }
    return lines
  }
}
