/// A JSON value whose objects keep the order their keys were added in.
///
/// The form of everything the tool writes for other programs: order and numbers are stable, so two
/// equal results are equal bytes.
public enum JSONValue: Hashable, Sendable {
  /// `null`.
  case null
  /// `true` or `false`.
  case bool(Bool)
  /// A whole number.
  case integer(Int64)
  /// A floating-point number; written as `null` when it is not finite.
  case number(Double)
  /// Text.
  case string(String)
  /// A list.
  case array([JSONValue])
  /// Keys and values, in order.
  case object([Member])

  /// One key of an object with its value.
  public struct Member: Hashable, Sendable {
    /// The key.
    public var key: String
    /// Its value.
    public var value: JSONValue

    /// A key with its value.
    public init(_ key: String, _ value: JSONValue) {
      self.key = key
      self.value = value
    }
  }

  /// A whole number.
  public static func integer(_ value: Int) -> Self { .integer(Int64(value)) }

  /// The value of `key` in an object; `nil` in anything else or without that key.
  public subscript(_ key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }
}

extension JSONValue: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral,
  ExpressibleByStringLiteral, ExpressibleByBooleanLiteral
{
  /// An object with its keys in the order written.
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(elements.map { Member($0.0, $0.1) })
  }

  /// A list.
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }

  /// Text.
  public init(stringLiteral value: String) { self = .string(value) }

  /// `true` or `false`.
  public init(booleanLiteral value: Bool) { self = .bool(value) }
}

extension JSONValue {
  /// The value as JSON text, two spaces an indent.
  ///
  /// Objects and lists without nested ones, and short enough, take one line.
  public var text: String {
    var result = ""
    write(to: &result, indent: 0)
    return result
  }

  /// The value as JSON text on one line.
  public var compactText: String {
    var result = ""
    writeCompact(to: &result)
    return result
  }

  /// The longest line an object or list may take before each of its values gets its own.
  private static let lineLimit = 100

  private func write(to result: inout String, indent: Int) {
    let open: String
    let close: String
    let parts: [(String, JSONValue)]
    switch self {
    case .array(let values):
      (open, close, parts) = ("[", "]", values.map { ("", $0) })
    case .object(let members):
      (open, close) = ("{", "}")
      parts = members.map { (Self.quoted($0.key) + ": ", $0.value) }
    default:
      writeCompact(to: &result)
      return
    }
    if parts.allSatisfy({ !$0.1.isContainer }) {
      let line = compactText
      if indent * 2 + line.utf8.count <= Self.lineLimit {
        result += line
        return
      }
    }
    let margin = String(repeating: "  ", count: indent + 1)
    result += open
    for (index, part) in parts.enumerated() {
      result += (index == 0 ? "\n" : ",\n") + margin + part.0
      part.1.write(to: &result, indent: indent + 1)
    }
    result += "\n" + String(repeating: "  ", count: indent) + close
  }

  private var isContainer: Bool {
    switch self {
    case .array(let values): !values.isEmpty
    case .object(let members): !members.isEmpty
    default: false
    }
  }

  private func writeCompact(to result: inout String) {
    switch self {
    case .null: result += "null"
    case .bool(let value): result += value ? "true" : "false"
    case .integer(let value): result += String(value)
    case .number(let value): result += Self.number(value)
    case .string(let value): result += Self.quoted(value)
    case .array(let values):
      result += "["
      for (index, value) in values.enumerated() {
        if index > 0 { result += ", " }
        value.writeCompact(to: &result)
      }
      result += "]"
    case .object(let members):
      result += "{"
      for (index, member) in members.enumerated() {
        if index > 0 { result += ", " }
        result += Self.quoted(member.key) + ": "
        member.value.writeCompact(to: &result)
      }
      result += "}"
    }
  }

  /// The shortest decimal that reads back to the same number; `null` for what JSON cannot say.
  private static func number(_ value: Double) -> String {
    guard value.isFinite else { return "null" }
    if let whole = Int64(exactly: value), abs(whole) < 1 << 53 { return String(whole) }
    return "\(value)"
  }

  /// The text in quotes, control characters escaped.
  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20 || scalar.value == 0x7f:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
