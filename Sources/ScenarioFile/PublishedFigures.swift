import Quantities

/// What was published of the run a scenario describes: figures its prediction can be held against.
public struct PublishedFigures: Hashable, Sendable {
  /// A figure that a scenario can cite.
  public enum Figure: String, Hashable, Sendable, CaseIterable {
    /// Time of one step, seconds.
    case stepSeconds = "step_seconds"
    /// Tokens a second and GPU.
    case tokensPerSecondPerGPU = "tokens_per_second_per_gpu"
    /// Operations of the model per GPU and second, recomputation not counted, TFLOP/s.
    case modelTeraflops = "model_tflops_per_gpu"
    /// Operations done per GPU and second, recomputation counted, TFLOP/s.
    case hardwareTeraflops = "hardware_tflops_per_gpu"
    /// Model FLOPs utilisation, 0 to 1.
    case mfu
    /// GPU-hours of the run.
    case gpuHours = "gpu_hours"
    /// Calendar days of the run.
    case days
    /// Time in steps over calendar time, 0 to 1.
    case goodput
    /// Energy of the run, kWh.
    case energyKilowattHours = "energy_kwh"
    /// Operations of the run by the rule of thumb, PFLOP-days.
    case petaflopDays = "pflop_days"
  }

  /// The figures given, in the order of ``Figure/allCases``.
  public var values: [(figure: Figure, value: Double)] {
    Figure.allCases.compactMap { figure in table[figure].map { (figure, $0) } }
  }

  /// Where they were published.
  public var source: String
  private var table: [Figure: Double]

  init(source: String, table: [Figure: Double]) {
    self.source = source
    self.table = table
  }

  /// The figures in the vocabulary of the scenario file.
  var tree: JSONValue {
    .object(
      values.map { .init($0.figure.rawValue, .number($0.value)) }
        + [.init("source", .string(source))])
  }
}

extension ScenarioReader {
  /// Reads the `published` mapping; `nil` when there is none.
  func published(_ top: Block) -> PublishedFigures? {
    guard top.has("published") else {
      _ = top.node("published")
      return nil
    }
    let block = top.block("published")
    var table: [PublishedFigures.Figure: Double] = [:]
    for figure in PublishedFigures.Figure.allCases {
      table[figure] = block.number(figure.rawValue, from: 0, excluding: true)
    }
    _ = block.required("source", "where the figures were published")
    let source = block.text("source")
    block.finish()
    return source.map { PublishedFigures(source: $0, table: table) }
  }
}
