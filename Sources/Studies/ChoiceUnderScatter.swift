import Foundation
import ScenarioFile

/// What predictions whose errors were independent of each other would make of sweeps.
///
/// How far they may scatter before the layout they choose is not among the best.
///
/// A prediction is taken as the measured time times a factor whose logarithm is normal. The choice is
/// good when it is measured within 5 % of the best: the chance of it is an integral over the smallest
/// of the factors, done numerically.
public struct ChoiceUnderScatter: Sendable {
  /// A sweep's measured times.
  private struct Times {
    /// Logarithms of those within 5 % of the best.
    var good: [Double]
    /// Of the others.
    var others: [Double]
  }

  private var sweeps: [Times]

  /// Of `sweeps`.
  public init(_ sweeps: [LayoutSweep]) {
    self.sweeps = sweeps.map { sweep in
      let logarithms = sweep.predictions.compactMap(\.run.stepSeconds).map { log($0) }
      let limit = (logarithms.min() ?? 0) + log(1.05)
      return Times(
        good: logarithms.filter { $0 <= limit }, others: logarithms.filter { $0 > limit })
    }
  }

  /// Share of good choices when predictions scatter by `scatter`.
  ///
  /// The standard deviation of the logarithm of predicted over measured.
  public func goodChoices(scatter: Double) -> Double {
    sweeps.isEmpty
      ? .nan
      : sweeps.map { Self.chance($0, scatter) }.reduce(0, +) / Double(sweeps.count)
  }

  /// The largest scatter, up to one half, with which `share` of the choices are good.
  public func scatter(forGoodChoices share: Double) -> Double {
    var low = 0.0
    var high = 0.5
    guard goodChoices(scatter: high) < share else { return high }
    while high - low > 5e-4 {
      let middle = (low + high) / 2
      if goodChoices(scatter: middle) >= share { low = middle } else { high = middle }
    }
    return low
  }

  /// Chance that the least of the predictions is a good one's.
  private static func chance(_ times: Times, _ scatter: Double) -> Double {
    guard scatter > 0, let best = times.good.min() else { return 1 }
    // Chance that none of `logarithms` is predicted below `limit`.
    let above = { (logarithms: [Double], limit: Double) in
      logarithms.reduce(1.0) { $0 * erfc((limit - $1) / (scatter * 2.0.squareRoot())) / 2 }
    }
    let steps = 240
    let width = 12 * scatter / Double(steps)
    var sum = 0.0
    var before = 1.0
    for step in 1...steps {
      let limit = best - 6 * scatter + width * Double(step)
      let after = above(times.good, limit)
      sum += (before - after) * above(times.others, limit - width / 2)
      before = after
    }
    return sum
  }
}

extension LayoutSweep {
  /// Logarithms of predicted over measured, less their median in the sweep.
  ///
  /// What is not common to its layouts.
  private var deviations: [Double] {
    let errors = predictions.compactMap(\.stepError).map { log1p($0) }
    let middle = ValidationStatistics.Errors.quantile(errors, 0.5)
    return errors.map { $0 - middle }
  }

  /// Scatter of the predictions inside `sweeps`.
  ///
  /// 1.4826 times the median deviation, which of normal ones is the standard deviation, and which a few broken
  /// runs do not move.
  public static func scatter(in sweeps: [LayoutSweep]) -> Double {
    1.4826
      * ValidationStatistics.Errors.quantile(sweeps.flatMap(\.deviations).map { abs($0) }, 0.5)
  }
}
