public import ScenarioFile
import Foundation
import Hardware
import StepSimulation

/// Predictions held against measurements.
public struct Validation: Sendable {
  /// One prediction a measured row, in the rows' order.
  public var predictions: [Prediction]
  /// Rows that could not be read or predicted, with why.
  public var failures: [(id: String, reason: String)]

  /// Predicts every run, on all cores.
  ///
  /// - Parameters:
  ///   - runs: the measured rows.
  ///   - unreadable: rows that could not be read; they are listed among the failures.
  public init(_ runs: [MeasuredRun], unreadable: [MeasuredRun.Unreadable] = []) {
    let outcomes = OutcomeBuffer(count: runs.count)
    DispatchQueue.concurrentPerform(iterations: runs.count) { index in
      do throws(StepSimulationError) {
        outcomes.set(index, .success(try Prediction(runs[index])))
      } catch {
        outcomes.set(index, .failure(error))
      }
    }
    predictions = []
    failures = unreadable.map { row in
      (row.id, row.diagnostics.map(\.description).joined(separator: "; "))
    }
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
