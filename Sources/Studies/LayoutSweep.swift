public import Hardware
public import Layout
public import Transformer
import Kernels
import ScenarioFile
import StepProgram

/// Measured runs that differ in nothing but how the model is spread, trained in the same software.
///
/// What a search for the best layout needs of a simulator is the order of its answers, not their
/// size: each sweep is judged by it.
public struct LayoutSweep: Sendable {
  /// What the runs of a sweep share.
  public struct Subject: Hashable, Sendable {
    /// The collection.
    public var family: String
    /// The model.
    public var architecture: Architecture
    /// The GPUs and their network.
    public var cluster: Cluster
    /// Sequences a step.
    public var globalBatch: Int
    /// Tokens a sequence.
    public var sequenceLength: Int
    /// Number formats.
    public var precision: Precision
  }

  /// What its runs share.
  public var subject: Subject
  /// Its timed runs, in the order of the rows.
  public var predictions: [Prediction]

  /// Every sweep of at least `minimum` timed layouts, in order of first appearance.
  ///
  /// - Parameters:
  ///   - predictions: predicted rows, timed or not.
  ///   - minimum: the least number of different layouts; a layout timed with several versions of
  ///     the software is one.
  /// - Returns: the sweeps.
  public static func all(in predictions: [Prediction], minimum: Int = 5) -> [LayoutSweep] {
    var sweeps: [LayoutSweep] = []
    var places: [Subject: Int] = [:]
    for prediction in predictions where prediction.stepError != nil {
      let job = prediction.run.scenario.job
      let subject = Subject(
        family: prediction.run.family, architecture: job.architecture, cluster: job.cluster,
        globalBatch: job.training.globalBatch, sequenceLength: job.training.sequenceLength,
        precision: job.training.precision)
      if let place = places[subject] {
        sweeps[place].predictions.append(prediction)
      } else {
        places[subject] = sweeps.count
        sweeps.append(LayoutSweep(subject: subject, predictions: [prediction]))
      }
    }
    return sweeps.filter { $0.layoutCount >= minimum }
  }

  /// Different layouts: degrees, micro batch, recomputation and attention kernel.
  var layoutCount: Int {
    struct Layout: Hashable {
      var parallelism: Parallelism
      var microBatch: Int
      var recompute: Recompute
      var attention: AttentionAlgorithm
    }
    return Set(
      predictions.map { prediction in
        let job = prediction.run.scenario.job
        return Layout(
          parallelism: job.parallelism, microBatch: job.training.microBatch,
          recompute: job.training.recompute, attention: job.training.attention)
      }
    ).count
  }

  /// Spearman's rank correlation of predicted and measured step times.
  ///
  /// `nil` when either is the same in every run.
  public var rankCorrelation: Double? {
    Self.rankCorrelation(
      predictions.map(\.stepSeconds), predictions.map { $0.run.stepSeconds ?? 0 })
  }

  /// Measured time of the layout predicted to be best, over the best measured time.
  public var ratioOfChoice: Double {
    let measured = { (prediction: Prediction) in prediction.run.stepSeconds ?? .infinity }
    let choice = predictions.min { $0.stepSeconds < $1.stepSeconds }
    let best = predictions.map(measured).min() ?? .nan
    return choice.map { measured($0) / best } ?? .nan
  }

  /// Spearman's rank correlation: Pearson's of the ranks, equal values sharing their mean rank.
  static func rankCorrelation(_ first: [Double], _ second: [Double]) -> Double? {
    let x = ranks(first)
    let y = ranks(second)
    let mean = Double(x.count + 1) / 2
    var product = 0.0
    var squareX = 0.0
    var squareY = 0.0
    for (a, b) in zip(x, y) {
      product += (a - mean) * (b - mean)
      squareX += (a - mean) * (a - mean)
      squareY += (b - mean) * (b - mean)
    }
    guard squareX > 0, squareY > 0 else { return nil }
    return product / (squareX * squareY).squareRoot()
  }

  /// Rank of each value from 1, equal values sharing their mean rank.
  private static func ranks(_ values: [Double]) -> [Double] {
    let order = values.indices.sorted { (values[$0], $0) < (values[$1], $1) }
    var result = [Double](repeating: 0, count: values.count)
    var start = 0
    while start < order.count {
      var end = start
      while end + 1 < order.count, values[order[end + 1]] == values[order[start]] { end += 1 }
      for place in start...end { result[order[place]] = Double(start + end) / 2 + 1 }
      start = end + 1
    }
    return result
  }
}

/// How well the sweeps of a family are ordered.
public struct RankingStatistics: Sendable {
  /// Sweeps.
  public var sweeps: Int
  /// Timed runs in them.
  public var rows: Int
  /// Median over the sweeps of Spearman's rank correlation.
  public var medianCorrelation: Double
  /// Share of sweeps whose predicted best layout was measured within 5 % of the best.
  public var goodChoices: Double
  /// Median over the sweeps of the measured time of the predicted best over the best.
  public var medianRatioOfChoice: Double

  /// Statistics of `sweeps`.
  public init(_ sweeps: [LayoutSweep]) {
    self.sweeps = sweeps.count
    rows = sweeps.map(\.predictions.count).reduce(0, +)
    medianCorrelation = ValidationStatistics.Errors.quantile(
      sweeps.compactMap(\.rankCorrelation), 0.5)
    let ratios = sweeps.map(\.ratioOfChoice)
    goodChoices =
      ratios.isEmpty ? .nan : Double(ratios.count { $0 <= 1.05 }) / Double(ratios.count)
    medianRatioOfChoice = ValidationStatistics.Errors.quantile(ratios, 0.5)
  }
}
