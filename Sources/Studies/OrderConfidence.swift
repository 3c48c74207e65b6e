import ScenarioFile

/// How often layouts of one job were measured in the order they were predicted in.
///
/// By how far apart the predictions are.
///
/// Layouts of one job share most of their errors: their order is surer than their times. Every pair of
/// timed layouts of a ``LayoutSweep`` counts, and every sweep as much as any other.
///
/// `scripts/validate` makes the table that comes with the program, `Measured/order.csv`.
public struct OrderConfidence: Hashable, Sendable {
  /// Pairs whose predictions are about as far apart.
  public struct Class: Hashable, Sendable {
    /// The least relative difference: the slower prediction over the faster one, less one.
    public var difference: Double
    /// Pairs.
    public var pairs: Int
    /// Share of them, sweeps weighing alike, whose slower prediction was measured to be slower.
    public var inOrder: Double

    /// A class from its figures.
    public init(difference: Double, pairs: Int, inOrder: Double) {
      self.difference = difference
      self.pairs = pairs
      self.inOrder = inOrder
    }
  }

  /// Classes of growing difference, those without pairs left out.
  public var classes: [Class]

  /// Least differences of the classes.
  private static let differences = [0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5]

  /// Two layouts are as good as each other when fewer pairs than this share came in the predicted order.
  ///
  /// Pairs as close as they are: so many would where the difference is one standard deviation of its error,
  /// were that normal.
  public static let tie = 0.84

  /// A table of `classes`.
  public init(classes: [Class]) { self.classes = classes }

  /// The pairs of `sweeps`.
  public init(_ sweeps: [LayoutSweep]) {
    var pairs = [Int](repeating: 0, count: Self.differences.count)
    var weights = [Double](repeating: 0, count: Self.differences.count)
    var inOrder = weights
    for sweep in sweeps {
      var found: [(place: Int, share: Double)] = []
      for (index, first) in sweep.predictions.enumerated() {
        for second in sweep.predictions[..<index] {
          guard let pair = Self.pair(first, second) else { continue }
          found.append(pair)
        }
      }
      for pair in found {
        pairs[pair.place] += 1
        weights[pair.place] += 1 / Double(found.count)
        inOrder[pair.place] += pair.share / Double(found.count)
      }
    }
    classes = Self.differences.indices.filter { pairs[$0] > 0 }.map {
      Class(difference: Self.differences[$0], pairs: pairs[$0], inOrder: inOrder[$0] / weights[$0])
    }
  }

  /// The class of a pair and whether it came in order, half if both took equally long.
  ///
  /// `nil` when they were predicted to.
  private static func pair(
    _ first: Prediction, _ second: Prediction
  ) -> (place: Int, share: Double)? {
    let isInOrder = first.stepSeconds < second.stepSeconds
    let (faster, slower) = isInOrder ? (first, second) : (second, first)
    let difference = slower.stepSeconds / faster.stepSeconds - 1
    guard let one = faster.run.stepSeconds, let other = slower.run.stepSeconds,
      difference > 1e-9, let place = differences.lastIndex(where: { $0 <= difference })
    else { return nil }
    return (place, one < other ? 1 : one == other ? 0.5 : 0)
  }

  /// Share of measured pairs predicted `difference` apart that came in the predicted order.
  ///
  /// And at least that of pairs predicted closer together; `nil` without any.
  public func inOrder(difference: Double) -> Double? {
    classes.filter { $0.difference <= difference }.map(\.inOrder).max()
  }

  /// Whether layouts predicted `difference` apart are as good as each other.
  public func isTie(difference: Double) -> Bool {
    inOrder(difference: difference).map { $0 < Self.tie } ?? false
  }
}

extension OrderConfidence {
  private static let heading = "difference,pairs,in_order"

  /// The table that comes with the program; empty when its file is missing.
  public static var shipped: OrderConfidence {
    guard let text = ShippedMeasurements.table("order") else { return OrderConfidence(classes: []) }
    return OrderConfidence(csv: text)
  }

  /// The table as comma-separated values, shares to four decimals.
  public var csv: String {
    classes.reduce(Self.heading + "\n") { text, row in
      text + "\(row.difference),\(row.pairs),\((row.inOrder * 10_000).rounded() / 10_000)\n"
    }
  }

  /// The table written by ``csv``; lines that are not of that form are skipped.
  public init(csv: String) {
    classes = csv.split(whereSeparator: \.isNewline).dropFirst().compactMap { line in
      let cells = line.split(separator: ",").map(String.init)
      guard cells.count == 3, let difference = Double(cells[0]), let pairs = Int(cells[1]),
        let share = Double(cells[2])
      else { return nil }
      return Class(difference: difference, pairs: pairs, inOrder: share)
    }
  }
}
