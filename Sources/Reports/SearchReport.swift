import Quantities
import Hardware
import Layout
import RunForecast
public import ScenarioFile
import StepProgram
public import Studies

/// A search: the best layouts with what they cost, and every layout that was looked at.
public struct SearchReport {
  /// Time and processes a search took; the one part that may differ between runs.
  public struct Effort: Sendable {
    /// Wall time in seconds.
    public var wallSeconds: Double
    /// Processes that took part.
    public var processes: Int

    /// The effort of a search.
    public init(wallSeconds: Double, processes: Int) {
      self.wallSeconds = wallSeconds
      self.processes = processes
    }
  }

  private let scenario: Scenario
  private let outcomes: [LayoutOutcome]
  private let best: [SimulationReport]
  private let effort: Effort
  private let order: OrderConfidence

  /// A report of a search.
  ///
  /// - Parameters:
  ///   - scenario: what was asked.
  ///   - outcomes: every layout.
  ///   - best: the first of the ranking, simulated in full detail, best first.
  ///   - effort: what it took.
  ///   - order: how sure the order of two predictions is.
  public init(
    scenario: Scenario, outcomes: [LayoutOutcome], best: [SimulationReport], effort: Effort,
    order: OrderConfidence = .shipped
  ) {
    self.scenario = scenario
    self.outcomes = outcomes
    self.best = best
    self.effort = effort
    self.order = order
  }

  /// Layouts of a search by their steps in full detail, the shortest first; equals stay in their order.
  ///
  /// The search compares steps on GPUs that are all alike; stragglers and jitter, which the full detail
  /// knows, may turn the order round. A ranking by memory is kept: neither changes it.
  public static func ranked(
    _ reports: [SimulationReport], by objective: LayoutSearch.Objective
  ) -> [SimulationReport] {
    guard objective != .memory else { return reports }
    return reports.enumerated().sorted {
      let (one, other) = ($0.element.step.seconds.value, $1.element.step.seconds.value)
      return one != other ? one < other : $0.offset < $1.offset
    }.map(\.element)
  }

  /// How much longer a layout's step is than the first one's, as a share of it.
  private func difference(_ report: SimulationReport) -> Double {
    guard let first = best.first else { return 0 }
    return report.step.seconds.value / first.step.seconds.value - 1
  }

  private func count(_ verdict: LayoutOutcome.Verdict) -> Int {
    outcomes.count { $0.verdict == verdict }
  }

  private var simulated: Int { outcomes.count { $0.isSimulated } }

  private var rate: Double {
    effort.wallSeconds > 0 ? Double(outcomes.count) / effort.wallSeconds : 0
  }

  /// `search --json` (contract).
  public var json: JSONValue {
    [
      "schema": "dryrun.search/1",
      "scenario": scenario.resolved,
      "layouts": [
        "total": .integer(outcomes.count), "fit": .integer(count(.fits)),
        "simulated": .integer(simulated),
        "pruned": .integer(count(.boundDoesNotFit) + count(.worse)),
        "pruned_by_memory": .integer(count(.boundDoesNotFit)),
        "pruned_by_bound": .integer(count(.worse)),
        "failed": .integer(count(.failed)),
      ],
      "best": .array(best.indices.map(ranked)),
      "search": [
        "wall_seconds": .number(effort.wallSeconds), "layouts_per_second": .number(rate),
        "processes": .integer(effort.processes),
      ],
    ]
  }

  /// The layout at `place` with how sure it is to be slower than the first.
  private func ranked(_ place: Int) -> JSONValue {
    guard case .object(var members) = Self.entry(best[place]) else { return .null }
    let difference = difference(best[place])
    let share = place > 0 && difference > 0 ? order.inOrder(difference: difference) : nil
    members.append(.init("in_order", share.map(JSONValue.number) ?? .null))
    members.append(.init("tie", .bool(isTie(place))))
    return .object(members)
  }

  /// Whether the step of the layout at `place` is as good as the first one's.
  ///
  /// It may be shorter where layouts are not ranked by it.
  private func isTie(_ place: Int) -> Bool {
    let difference = difference(best[place])
    return place > 0 && (difference == 0 || order.isTie(difference: abs(difference)))
  }

  /// A layout with what it costs.
  static func entry(_ report: SimulationReport) -> JSONValue {
    let layout = report.scenario.job.parallelism
    let training = report.scenario.job.training
    var members: [JSONValue.Member] = [
      .init("tensor", .integer(layout.tensor)), .init("sequence", .bool(layout.sequence)),
      .init("pipeline", .integer(layout.pipeline)),
      .init("virtual_stages", .integer(layout.virtualStages)),
      .init("schedule", .string(layout.schedule.rawValue)),
      .init("context", .integer(layout.context)), .init("expert", .integer(layout.expert)),
      .init("expert_tensor", .integer(layout.expertTensor)),
      .init("data", .integer(layout.data)), .init("zero", .integer(layout.zero)),
    ]
    members.append(.init("order", .string(layout.orderText)))
    if let layers = layout.stageLayers {
      members.append(.init("stage_layers", .array(layers.map { .integer($0) })))
    }
    if let group = layout.shardGroup { members.append(.init("shard_group", .integer(group))) }
    return [
      "parallelism": .object(members),
      "training": [
        "micro_batch": .integer(training.microBatch),
        "recompute": .string(LayoutText(job: report.scenario.job).recompute),
      ],
      "step_seconds": .number(report.step.seconds.value),
      "peak_memory_bytes": .integer(report.step.fullestRank?.peak.count ?? 0),
      "mfu": .number(report.modelRate / report.peakRate),
      "tokens_per_second": .number(report.tokensPerSecond),
      "run_days": .number(report.run.wallTime.value / 86_400),
      "run_cost": .number(report.run.cost.value),
      "breakdown_seconds": .object(
        report.step.breakdown.parts.map { .init($0.key, .number($0.seconds.value)) }),
    ]
  }

  /// Every layout, one a row, as comma-separated values.
  ///
  /// Of those not simulated (`bound-does-not-fit`, `worse`) the least time and memory they can take.
  public var csv: String {
    var table = CommaSeparated([
      "tensor", "sequence", "context", "pipeline", "virtual_stages", "schedule", "expert",
      "expert_tensor", "data", "zero", "shard_group", "order", "micro_batch", "recompute",
      "verdict", "step_seconds", "peak_memory_bytes",
    ])
    for outcome in outcomes {
      let layout = outcome.job.parallelism
      table.add([
        "\(layout.tensor)", "\(layout.sequence)", "\(layout.context)", "\(layout.pipeline)",
        "\(layout.virtualStages)", layout.schedule.rawValue, "\(layout.expert)",
        "\(layout.expertTensor)", "\(layout.data)", "\(layout.zero)",
        layout.shardGroup.map { "\($0)" } ?? "",
        layout.orderText,
        "\(outcome.job.training.microBatch)", LayoutText(job: outcome.job).recompute,
        Self.word(outcome.verdict), "\(outcome.stepSeconds)", "\(outcome.peakBytes)",
      ])
    }
    return table.text
  }

  private static func word(_ verdict: LayoutOutcome.Verdict) -> String {
    switch verdict {
    case .fits: "fits"
    case .doesNotFit: "does-not-fit"
    case .boundDoesNotFit: "bound-does-not-fit"
    case .worse: "worse"
    case .failed: "failed"
    }
  }

  /// The ranking for people.
  public var text: String {
    var lines = [
      "\(scenario.name)",
      "\(Format.grouped(outcomes.count)) layouts of \(Format.grouped(scenario.job.cluster.gpuCount)) "
        + "\(scenario.job.cluster.gpu.name): \(Format.grouped(simulated)) simulated, of which "
        + "\(Format.grouped(count(.fits))) fit; \(Format.grouped(count(.boundDoesNotFit))) hold too "
        + "much whatever they do, \(Format.grouped(count(.worse))) cannot be among the best"
        + (count(.failed) > 0 ? ", \(Format.grouped(count(.failed))) cannot run" : "") + ".",
      "",
    ]
    guard let winner = best.first else {
      lines.append("None fits: use more GPUs, more memory on each, or a smaller model.")
      return lines.joined(separator: "\n") + "\n"
    }
    var table = TextTable(
      ["#", "layout", "against the first", "step", "MFU", "GiB", "days"], leftColumns: 3)
    for (place, report) in best.enumerated() {
      table.add([
        "\(place + 1)" + (isTie(place) ? " =" : ""), LayoutText(job: report.scenario.job).line,
        place == 0 ? strength(of: winner) : difference(report, winner),
        Format.duration(report.step.seconds),
        Format.percent(report.modelRate / report.peakRate),
        report.step.fullestRank.map { Format.gibibytes($0.peak) } ?? "",
        Format.number(report.run.wallTime.value / 86_400),
      ])
    }
    lines += table.lines()
    if best.indices.contains(where: isTie) {
      lines += [
        "",
        "= as good as the first: of measured layouts predicted as close, fewer than "
          + "\(Format.percent(OrderConfidence.tie)) came in the predicted order.",
      ]
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// What the winner spends its step on.
  private func strength(of report: SimulationReport) -> String {
    let total = report.step.seconds.value
    let parts = report.step.breakdown.parts.sorted { $0.seconds.value > $1.seconds.value }
    return parts.prefix(2).map {
      "\(Self.name($0.key)) \(Format.percent($0.seconds.value / total))"
    }.joined(separator: ", ")
  }

  /// The two parts of the step in which a layout differs most from the winner.
  private func difference(_ report: SimulationReport, _ winner: SimulationReport) -> String {
    let total = winner.step.seconds.value
    let differences = zip(report.step.breakdown.parts, winner.step.breakdown.parts).map {
      (name: Self.name($0.key), share: ($0.seconds.value - $1.seconds.value) / total)
    }
    let largest = differences.filter { abs($0.share) >= 0.0005 }
      .sorted { abs($0.share) > abs($1.share) }.prefix(2)
    guard !largest.isEmpty else { return "the same step" }
    return largest.map { ($0.share > 0 ? "+" : "") + Format.percent($0.share) + " " + $0.name }
      .joined(separator: ", ")
  }

  private static func name(_ key: String) -> String {
    key.split(separator: "_").joined(separator: " ")
  }
}
