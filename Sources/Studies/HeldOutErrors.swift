/// Errors of step times on rows that the constants were not fitted on.
///
/// `scripts/fit-steps --hold … --table` makes the table that comes with the program,
/// `Measured/held_out.csv`: the program cannot fit itself.
public struct HeldOutErrors: Hashable, Sendable {
  /// What was left out of the fit at a time: `models` or `families`.
  public var without: String
  /// The family, or `overall`.
  public var family: String
  /// Its rows.
  public var rows: Int
  /// Signed median of predicted over measured less one.
  public var median: Double
  /// Median of its absolute value.
  public var medianAbsolute: Double
  /// 90th percentile of its absolute value.
  public var p90Absolute: Double

  /// The table that comes with the program; empty when its file is missing.
  public static var shipped: [HeldOutErrors] {
    guard let text = ShippedMeasurements.table("held_out") else { return [] }
    return table(csv: text)
  }

  /// The rows of a table under its heading; lines that are not of that form are skipped.
  static func table(csv: String) -> [HeldOutErrors] {
    csv.split(whereSeparator: \.isNewline).dropFirst().compactMap { line in
      let cells = line.split(separator: ",").map(String.init)
      guard cells.count == 6, let rows = Int(cells[2]), let median = Double(cells[3]),
        let absolute = Double(cells[4]), let ninetieth = Double(cells[5])
      else { return nil }
      return HeldOutErrors(
        without: cells[0], family: cells[1], rows: rows, median: median, medianAbsolute: absolute,
        p90Absolute: ninetieth)
    }
  }
}
