/// Where something stands in a file.
public struct SourcePosition: Hashable, Sendable, Comparable {
  /// The file as it was named on the command line.
  public var file: String
  /// Line, from 1.
  public var line: Int
  /// Column, from 1.
  public var column: Int

  /// A position in `file`.
  public init(file: String, line: Int, column: Int) {
    self.file = file
    self.line = line
    self.column = column
  }

  /// Whether `lhs` comes before `rhs`: by line and column; files in alphabetical order.
  public static func < (lhs: Self, rhs: Self) -> Bool {
    (lhs.file, lhs.line, lhs.column) < (rhs.file, rhs.line, rhs.column)
  }
}

/// One value as it was written, with its position: what YAML and JSON have in common.
///
/// Scalars keep their text: what `1e3` or `010` means is decided by the key that is read, not by
/// the notation's own typing rules.
struct SourceNode: Hashable, Sendable {
  /// What was written.
  enum Content: Hashable, Sendable {
    /// A single value; `isQuoted` when it was marked as text.
    case scalar(String, isQuoted: Bool)
    /// A list.
    case sequence([SourceNode])
    /// Keys and values in the order written.
    case mapping([Entry])
  }

  /// One key with its value.
  struct Entry: Hashable, Sendable {
    var key: String
    var keyPosition: SourcePosition
    var value: SourceNode
  }

  var position: SourcePosition
  var content: Content

  /// Whether nothing was written: an empty value, `~` or `null`.
  var isNull: Bool {
    guard case .scalar(let text, isQuoted: false) = content else { return false }
    return text.isEmpty || text == "~" || text == "null" || text == "Null" || text == "NULL"
  }

  /// What a message calls the value.
  var described: String {
    switch content {
    case .scalar(let text, let isQuoted): isQuoted ? "'\(text)'" : (text.isEmpty ? "nothing" : text)
    case .sequence: "a list"
    case .mapping: "a mapping"
    }
  }

  /// The value of `key` in a mapping.
  subscript(_ key: String) -> SourceNode? {
    guard case .mapping(let entries) = content else { return nil }
    return entries.first { $0.key == key }?.value
  }
}

extension SourceNode {
  /// The node with `value` at the end of `path`, mappings made on the way where there are none.
  func setting(_ path: ArraySlice<String>, to value: SourceNode) -> SourceNode {
    guard let key = path.first else { return value }
    var entries: [Entry] = []
    if case .mapping(let existing) = content { entries = existing }
    let rest = path.dropFirst()
    if let index = entries.firstIndex(where: { $0.key == key }) {
      entries[index].value = entries[index].value.setting(rest, to: value)
      entries[index].keyPosition = value.position
    } else {
      let empty = SourceNode(position: value.position, content: .mapping([]))
      entries.append(
        Entry(key: key, keyPosition: value.position, value: empty.setting(rest, to: value)))
    }
    return SourceNode(position: position, content: .mapping(entries))
  }

  /// The value in the form results are written in; numbers and flags recognised by their text.
  var json: JSONValue {
    switch content {
    case .scalar(let text, isQuoted: true): .string(text)
    case .scalar(let text, isQuoted: false):
      if isNull {
        .null
      } else if text == "true" || text == "false" {
        .bool(text == "true")
      } else if let whole = Int64(text) {
        .integer(whole)
      } else if let number = Double(text), number.isFinite {
        .number(number)
      } else {
        .string(text)
      }
    case .sequence(let values): .array(values.map(\.json))
    case .mapping(let entries): .object(entries.map { JSONValue.Member($0.key, $0.value.json) })
    }
  }
}
