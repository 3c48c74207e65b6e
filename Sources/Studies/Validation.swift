public import ScenarioFile
import Foundation
import Hardware
import StepSimulation

/// Predictions held against measurements.
public struct Validation: Sendable {
  /// One prediction a measured row, in the rows' order.
  public var predictions: [Prediction]
  /// Rows that could not be predicted, with why.
  public var failures: [(id: String, reason: String)]

  /// Predicts every run, on all cores.
  public init(_ runs: [MeasuredRun]) {
    let outcomes = OutcomeBuffer(count: runs.count)
    DispatchQueue.concurrentPerform(iterations: runs.count) { index in
      do throws(StepSimulationError) {
        outcomes.set(index, .success(try Prediction(runs[index])))
      } catch {
        outcomes.set(index, .failure(error))
      }
    }
    predictions = []
    failures = []
    for (run, outcome) in zip(runs, outcomes.values) {
      switch outcome {
      case .success(let prediction): predictions.append(prediction)
      case .failure(let error): failures.append((run.id, "\(error)"))
      case nil: failures.append((run.id, "not run"))
      }
    }
  }

  /// Families in order of first appearance.
  public var families: [String] {
    var seen: Set<String> = []
    return predictions.map(\.run.family).filter { seen.insert($0).inserted }
  }

  /// Statistics of the rows of a family, or of all.
  public func statistics(family: String? = nil) -> ValidationStatistics {
    ValidationStatistics(predictions.filter { family == nil || $0.run.family == family })
  }
}

/// Outcomes filled in from several threads, one slot each.
private final class OutcomeBuffer: @unchecked Sendable {
  // Each index is written once by one thread, under the lock, and read after all have ended.
  private let lock = NSLock()
  private(set) var values: [Result<Prediction, StepSimulationError>?]

  init(count: Int) { values = Array(repeating: nil, count: count) }

  func set(_ index: Int, _ value: Result<Prediction, StepSimulationError>) {
    lock.withLock { values[index] = value }
  }
}

/// Errors of a set of predictions.
public struct ValidationStatistics: Sendable {
  /// Errors of one quantity.
  public struct Errors: Sendable {
    /// Rows in which it was measured.
    public var rows: Int
    /// Signed median of predicted / measured − 1.
    public var median: Double
    /// Median of its absolute value.
    public var medianAbsolute: Double
    /// 90th percentile of its absolute value.
    public var p90Absolute: Double

    init(_ errors: [Double]) {
      rows = errors.count
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
  /// Errors of the peak memory.
  public var memory: Errors
  /// Fits, and was predicted to.
  public var trueFit = 0
  /// Did not fit, and was predicted to.
  public var falseFit = 0
  /// Did not fit, and was predicted not to.
  public var trueOutOfMemory = 0
  /// Fits, and was predicted not to.
  public var falseOutOfMemory = 0

  init(_ predictions: [Prediction]) {
    rows = predictions.count
    stepSeconds = Errors(predictions.compactMap(\.stepError))
    memory = Errors(predictions.compactMap(\.memoryError))
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
