import ScenarioFile

/// Errors of a set of predictions.
public struct ValidationStatistics: Sendable {
  /// Errors of one quantity.
  public struct Errors: Sendable {
    /// Rows in which it was measured.
    public var rows: Int
    /// Signed median of predicted / measured − 1.
    public var median: Double
    /// Mean of its absolute value.
    public var meanAbsolute: Double
    /// Median of its absolute value.
    public var medianAbsolute: Double
    /// 90th percentile of its absolute value.
    public var p90Absolute: Double

    /// Statistics of relative errors.
    public init(_ errors: [Double]) {
      rows = errors.count
      meanAbsolute = errors.isEmpty ? .nan : errors.map(abs).reduce(0, +) / Double(rows)
      median = Self.quantile(errors, 0.5)
      medianAbsolute = Self.quantile(errors.map(abs), 0.5)
      p90Absolute = Self.quantile(errors.map(abs), 0.9)
    }

    /// Linear interpolation between order statistics; NaN for no values.
    static func quantile(_ values: [Double], _ fraction: Double) -> Double {
      guard !values.isEmpty else { return .nan }
      let sorted = values.sorted()
      let position = fraction * Double(sorted.count - 1)
      let lower = Int(position)
      let upper = min(lower + 1, sorted.count - 1)
      return sorted[lower] + (sorted[upper] - sorted[lower]) * (position - Double(lower))
    }
  }

  /// Rows in all.
  public var rows: Int
  /// Errors of the step time.
  public var stepSeconds: Errors
  /// Errors of the time of whole runs.
  public var runSeconds: Errors
  /// Errors of the peak memory.
  public var memory: Errors
  /// Errors of the memory held before the first step.
  public var staticMemory: Errors
  /// Fits, and was predicted to.
  public var trueFit = 0
  /// Did not fit, and was predicted to.
  public var falseFit = 0
  /// Did not fit, and was predicted not to.
  public var trueOutOfMemory = 0
  /// Fits, and was predicted not to.
  public var falseOutOfMemory = 0

  /// Statistics of `predictions`.
  public init(_ predictions: [Prediction]) {
    rows = predictions.count
    stepSeconds = Errors(predictions.compactMap(\.stepError))
    runSeconds = Errors(predictions.compactMap(\.runError))
    memory = Errors(predictions.compactMap(\.memoryError))
    staticMemory = Errors(predictions.compactMap(\.staticMemoryError))
    for prediction in predictions {
      switch (prediction.fits, prediction.run.isOutOfMemory) {
      case (true, false): trueFit += 1
      case (true, true): falseFit += 1
      case (false, true): trueOutOfMemory += 1
      case (false, false): falseOutOfMemory += 1
      }
    }
  }
}
