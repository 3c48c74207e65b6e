import StepProgram
import RunForecast
import Quantities
import Hardware
public import ScenarioFile

/// A sweep: one row a combination of values.
public struct SweepReport {
  /// What was predicted at one point.
  public struct Figures: Sendable {
    /// GPUs.
    public var gpus: Int
    /// Wall time of a step in seconds.
    public var stepSeconds: Double
    /// Tokens a second on all GPUs.
    public var tokensPerSecond: Double
    /// Model FLOP utilisation, 0 to 1.
    public var mfu: Double
    /// Peak of the fullest GPU in bytes.
    public var peakBytes: Int64
    /// Whether every GPU's peak stays within its memory.
    public var fits: Bool
    /// Calendar days of the run.
    public var days: Double
    /// GPU-hours of the run.
    public var gpuHours: Double
    /// Money for the run in USD.
    public var cost: Double

    /// The figures of a simulated scenario.
    public init(_ report: SimulationReport) {
      gpus = report.scenario.job.cluster.gpuCount
      stepSeconds = report.step.seconds.value
      tokensPerSecond = report.tokensPerSecond
      mfu = report.modelRate / report.peakRate
      peakBytes = report.step.fullestRank?.peak.count ?? 0
      fits = report.fits
      days = report.run.wallTime.value / 86_400
      gpuHours = report.run.gpuHours
      cost = report.run.cost.value
    }

    /// The figures as whole numbers.
    fileprivate var words: [Int64] {
      [stepSeconds, tokensPerSecond, mfu, days, gpuHours, cost].map {
        Int64(bitPattern: $0.bitPattern)
      } + [Int64(gpus), peakBytes, fits ? 1 : 0]
    }

    fileprivate static let wordCount = 9

    /// The figures whose ``words`` these are.
    fileprivate init(words: [Int64]) {
      let numbers = words.prefix(6).map { Double(bitPattern: UInt64(bitPattern: $0)) }
      (stepSeconds, tokensPerSecond, mfu) = (numbers[0], numbers[1], numbers[2])
      (days, gpuHours, cost) = (numbers[3], numbers[4], numbers[5])
      (gpus, peakBytes, fits) = (Int(words[6]), words[7], words[8] == 1)
    }

    /// Tokens a second and GPU.
    public var tokensPerSecondPerGPU: Double { tokensPerSecond / Double(max(gpus, 1)) }
  }

  /// One combination of values.
  public struct Point: Sendable {
    /// The value of each key, in the order of the keys.
    public var values: [String]
    /// What was predicted, or why nothing was.
    public var outcome: Outcome

    /// A point and its outcome.
    public init(values: [String], outcome: Outcome) {
      self.values = values
      self.outcome = outcome
    }
  }

  /// What a point came to.
  public enum Outcome: Sendable {
    /// It was simulated.
    case figures(Figures)
    /// The scenario cannot be trained that way; the first complaint.
    case refused(String)

    /// The figures, if there are any.
    var figures: Figures? { if case .figures(let figures) = self { figures } else { nil } }

    /// The outcome as bytes, for the journey between processes.
    public var bytes: [UInt8] {
      switch self {
      case .refused(let reason): return [0] + reason.utf8
      case .figures(let figures):
        return [1]
          + figures.words.flatMap { word in
            (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
          }
      }
    }

    /// The outcome whose ``bytes`` these are; `nil` for any other bytes.
    public init?(bytes: [UInt8]) {
      switch bytes.first {
      case 0: self = .refused(String(decoding: bytes.dropFirst(), as: UTF8.self))
      case 1 where bytes.count == 1 + 8 * Figures.wordCount:
        self = .figures(
          Figures(
            words: (0..<Figures.wordCount).map { word in
              (0..<8).reduce(0) { $0 | Int64(bytes[1 + 8 * word + $1]) << (8 * $1) }
            }))
      default: return nil
      }
    }
  }

  private let name: String
  private let keys: [String]
  private let points: [Point]

  /// A sweep of the scenario called `name` over `keys`.
  public init(name: String, keys: [String], points: [Point]) {
    self.name = name
    self.keys = keys
    self.points = points
  }

  /// Parallel efficiency: throughput per GPU over that of the first point that could be simulated.
  private func efficiency(_ figures: Figures) -> Double {
    guard let first = points.lazy.compactMap({ $0.outcome.figures }).first,
      first.tokensPerSecondPerGPU > 0
    else { return 1 }
    return figures.tokensPerSecondPerGPU / first.tokensPerSecondPerGPU
  }

  /// `sweep --json`.
  public var json: JSONValue {
    [
      "schema": "dryrun.sweep/1",
      "name": .string(name),
      "keys": .array(keys.map(JSONValue.string)),
      "rows": .array(points.map(row)),
    ]
  }

  private func row(_ point: Point) -> JSONValue {
    let settings = JSONValue.object(
      zip(keys, point.values).map { .init($0, .string($1)) })
    switch point.outcome {
    case .refused(let reason): return ["set": settings, "error": .string(reason)]
    case .figures(let figures):
      return [
        "set": settings, "gpus": .integer(figures.gpus),
        "step_seconds": .number(figures.stepSeconds),
        "tokens_per_second": .number(figures.tokensPerSecond),
        "tokens_per_second_per_gpu": .number(figures.tokensPerSecondPerGPU),
        "parallel_efficiency": .number(efficiency(figures)), "mfu": .number(figures.mfu),
        "peak_memory_bytes": .integer(figures.peakBytes), "fits": .bool(figures.fits),
        "run_days": .number(figures.days), "gpu_hours": .number(figures.gpuHours),
        "cost": .number(figures.cost),
      ]
    }
  }

  /// The rows as comma-separated values.
  public var csv: String {
    var table = CommaSeparated(
      keys + [
        "gpus", "step_seconds", "tokens_per_second", "tokens_per_second_per_gpu",
        "parallel_efficiency", "mfu", "peak_memory_bytes", "fits", "run_days", "gpu_hours", "cost",
        "error",
      ])
    for point in points {
      switch point.outcome {
      case .refused(let reason):
        table.add(point.values + Array(repeating: "", count: 11) + [reason])
      case .figures(let figures):
        table.add(
          point.values + [
            "\(figures.gpus)", "\(figures.stepSeconds)", "\(figures.tokensPerSecond)",
            "\(figures.tokensPerSecondPerGPU)", "\(efficiency(figures))", "\(figures.mfu)",
            "\(figures.peakBytes)", "\(figures.fits)", "\(figures.days)", "\(figures.gpuHours)",
            "\(figures.cost)", "",
          ])
      }
    }
    return table.text
  }

  /// Throughput over the first key as SVG; `nil` when its values are no numbers or too few.
  public var figure: String? {
    guard let key = keys.first else { return nil }
    var series: [ScalingPlot.Series] = []
    for point in points {
      guard let figures = point.outcome.figures, let x = Double(point.values[0]) else { continue }
      let name = zip(keys, point.values).dropFirst().map { "\($0)=\($1)" }.joined(separator: " ")
      let index =
        series.firstIndex { $0.name == name }
        ?? {
          series.append(ScalingPlot.Series(name: name, points: []))
          return series.count - 1
        }()
      series[index].points.append((x, figures.tokensPerSecond))
    }
    if series.count == 1 { series[0].name = "predicted" }
    return ScalingPlot(
      title: name, xName: key, series: series, hasIdeal: key == "cluster.gpus"
    ).svg
  }

  /// The rows for people.
  public var text: String {
    var table = TextTable(
      keys + [
        "GPUs", "step s", "tokens/s", "per GPU", "efficiency", "MFU", "GiB", "fits", "days",
        "GPU-hours", "USD",
      ])
    var refusals: [String] = []
    for point in points {
      switch point.outcome {
      case .refused(let reason):
        table.add(point.values + ["refused"])
        let set = zip(keys, point.values).map { "\($0)=\($1)" }.joined(separator: " ")
        refusals.append("\(set): \(reason)")
      case .figures(let figures):
        table.add(
          point.values + [
            Format.grouped(figures.gpus), Format.number(figures.stepSeconds, digits: 4),
            Format.number(figures.tokensPerSecond, digits: 4),
            Format.number(figures.tokensPerSecondPerGPU, digits: 4),
            Format.percent(efficiency(figures)), Format.percent(figures.mfu),
            Format.number(Double(figures.peakBytes) / 1_073_741_824), figures.fits ? "yes" : "no",
            Format.number(figures.days), Format.number(figures.gpuHours),
            Format.number(figures.cost),
          ])
      }
    }
    return ([name, ""] + table.lines() + (refusals.isEmpty ? [] : [""] + refusals))
      .joined(separator: "\n") + "\n"
  }
}
