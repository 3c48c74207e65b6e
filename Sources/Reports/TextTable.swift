/// Rows of text under a heading, columns as wide as they need.
///
/// Words to the left, numbers to the right.
struct TextTable {
  private var rows: [[String]]
  private let leftColumns: Int
  private let endsInWords: Bool

  /// A table headed by `heading`; its first `leftColumns` columns hold words, and perhaps its last.
  init(_ heading: [String], leftColumns: Int = 1, endsInWords: Bool = false) {
    rows = [heading]
    self.leftColumns = leftColumns
    self.endsInWords = endsInWords
  }

  /// Adds a row.
  mutating func add(_ row: [String]) { rows.append(row) }

  /// The lines, two spaces between columns, `indent` spaces in front.
  func lines(indent: Int = 2) -> [String] {
    let columns = rows.map(\.count).max() ?? 0
    var widths = [Int](repeating: 0, count: columns)
    for row in rows {
      for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) }
    }
    let margin = String(repeating: " ", count: indent)
    return rows.map { row in
      var line = margin
      for (column, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        let isText = column < leftColumns || endsInWords && column + 1 == columns
        line += isText ? cell + padding : padding + cell
        if column + 1 < row.count { line += "  " }
      }
      while line.hasSuffix(" ") { line.removeLast() }
      return line
    }
  }
}

/// Comma-separated values (RFC 4180).
struct CommaSeparated {
  private(set) var text = ""

  /// A table headed by `heading`.
  init(_ heading: [String]) { add(heading) }

  /// Adds a row.
  mutating func add(_ row: [String]) {
    text += row.map(Self.cell).joined(separator: ",") + "\n"
  }

  private static func cell(_ text: String) -> String {
    guard text.contains(where: { $0 == "," || $0 == "\"" || $0 == "\n" }) else { return text }
    return "\""
      + text.split(separator: "\"", omittingEmptySubsequences: false)
      .joined(separator: "\"\"") + "\""
  }
}
