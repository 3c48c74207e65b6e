extension SourceNode {
  /// Reads JSON text; about a hundred times faster than reading it as YAML.
  ///
  /// - Parameters:
  ///   - json: UTF-8 text of one value.
  ///   - file: what messages call it.
  ///   - firstLine: the line of the file that `json` begins on.
  /// - Returns: the value.
  /// - Throws: ``ScenarioError`` with the one place where the notation breaks.
  static func reading(json: some Sequence<UInt8>, file: String, firstLine: Int = 1)
    throws(ScenarioError) -> SourceNode
  {
    var scanner = JSONScanner(bytes: Array(json), file: file, line: firstLine)
    let value = try scanner.value(depth: 0)
    scanner.skipSpace()
    guard scanner.isAtEnd else { throw scanner.failure("something follows the value") }
    return value
  }
}

/// Reads JSON (RFC 8259) byte by byte, keeping positions.
private struct JSONScanner {
  let bytes: [UInt8]
  let file: String
  var line: Int
  var offset = 0
  var lineStart = 0

  /// Objects and lists inside each other, at most.
  static let depthLimit = 100

  init(bytes: [UInt8], file: String, line: Int) {
    self.bytes = bytes
    self.file = file
    self.line = line
  }

  var isAtEnd: Bool { offset >= bytes.count }

  var position: SourcePosition {
    SourcePosition(file: file, line: line, column: offset - lineStart + 1)
  }

  func failure(_ message: String) -> ScenarioError {
    .wrong([Diagnostic(position: position, keyPath: "", message: "not JSON: \(message)")])
  }

  mutating func skipSpace() {
    while offset < bytes.count {
      switch bytes[offset] {
      case UInt8(ascii: "\n"):
        offset += 1
        line += 1
        lineStart = offset
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): offset += 1
      default: return
      }
    }
  }

  mutating func value(depth: Int) throws(ScenarioError) -> SourceNode {
    skipSpace()
    guard !isAtEnd else { throw failure("the text ends where a value should stand") }
    guard depth < Self.depthLimit else {
      throw failure("more than \(Self.depthLimit) objects and lists inside each other")
    }
    let start = position
    switch bytes[offset] {
    case UInt8(ascii: "{"): return try object(start, depth: depth)
    case UInt8(ascii: "["): return try list(start, depth: depth)
    case UInt8(ascii: "\""):
      let text = try string()
      return SourceNode(position: start, content: .scalar(text, isQuoted: true))
    default:
      let begin = offset
      while offset < bytes.count, Self.isBare(bytes[offset]) { offset += 1 }
      let text = String(decoding: bytes[begin..<offset], as: UTF8.self)
      guard text == "true" || text == "false" || text == "null" || Self.isNumber(text) else {
        offset = begin
        throw failure(text.isEmpty ? "a value should stand here" : "'\(text)' is not a value")
      }
      return SourceNode(position: start, content: .scalar(text, isQuoted: false))
    }
  }

  private static func isBare(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"),
      UInt8(ascii: "."), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  private static func isNumber(_ text: String) -> Bool {
    guard let first = text.utf8.first else { return false }
    let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
    guard isDigit || first == UInt8(ascii: "-"), let number = Double(text) else { return false }
    return number.isFinite && !text.contains("x")
  }

  private mutating func object(_ start: SourcePosition, depth: Int) throws(ScenarioError)
    -> SourceNode
  {
    offset += 1
    var entries: [SourceNode.Entry] = []
    skipSpace()
    if take(UInt8(ascii: "}")) { return SourceNode(position: start, content: .mapping([])) }
    while true {
      skipSpace()
      let keyPosition = position
      guard !isAtEnd, bytes[offset] == UInt8(ascii: "\"") else {
        throw failure("a key in quotes should stand here")
      }
      let key = try string()
      skipSpace()
      guard take(UInt8(ascii: ":")) else { throw failure("a colon should follow the key") }
      entries.append(
        SourceNode.Entry(key: key, keyPosition: keyPosition, value: try value(depth: depth + 1)))
      skipSpace()
      if take(UInt8(ascii: ",")) { continue }
      guard take(UInt8(ascii: "}")) else { throw failure("a comma or '}' should stand here") }
      return SourceNode(position: start, content: .mapping(entries))
    }
  }

  private mutating func list(_ start: SourcePosition, depth: Int) throws(ScenarioError)
    -> SourceNode
  {
    offset += 1
    var values: [SourceNode] = []
    skipSpace()
    if take(UInt8(ascii: "]")) { return SourceNode(position: start, content: .sequence([])) }
    while true {
      values.append(try value(depth: depth + 1))
      skipSpace()
      if take(UInt8(ascii: ",")) { continue }
      guard take(UInt8(ascii: "]")) else { throw failure("a comma or ']' should stand here") }
      return SourceNode(position: start, content: .sequence(values))
    }
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard offset < bytes.count, bytes[offset] == byte else { return false }
    offset += 1
    return true
  }

  private mutating func string() throws(ScenarioError) -> String {
    offset += 1
    let begin = offset
    while offset < bytes.count, bytes[offset] >= 0x20 {
      switch bytes[offset] {
      case UInt8(ascii: "\""):
        let text = String(decoding: bytes[begin..<offset], as: UTF8.self)
        offset += 1
        return text
      case UInt8(ascii: "\\"): return try escapedString(from: begin)
      default: offset += 1
      }
    }
    throw failure("the text in quotes does not end on its line")
  }

  /// The rest of a string from its first backslash on.
  private mutating func escapedString(from begin: Int) throws(ScenarioError) -> String {
    var units = Array(String(decoding: bytes[begin..<offset], as: UTF8.self).utf16)
    while offset < bytes.count, bytes[offset] >= 0x20 {
      let byte = bytes[offset]
      if byte == UInt8(ascii: "\"") {
        offset += 1
        return String(decoding: units, as: UTF16.self)
      }
      guard byte == UInt8(ascii: "\\") else {
        let run = offset
        while offset < bytes.count, bytes[offset] >= 0x20, bytes[offset] != UInt8(ascii: "\""),
          bytes[offset] != UInt8(ascii: "\\")
        {
          offset += 1
        }
        units += Array(String(decoding: bytes[run..<offset], as: UTF8.self).utf16)
        continue
      }
      guard offset + 1 < bytes.count else { break }
      offset += 2
      switch bytes[offset - 1] {
      case UInt8(ascii: "n"): units.append(10)
      case UInt8(ascii: "t"): units.append(9)
      case UInt8(ascii: "r"): units.append(13)
      case UInt8(ascii: "b"): units.append(8)
      case UInt8(ascii: "f"): units.append(12)
      case UInt8(ascii: "u"):
        guard offset + 4 <= bytes.count,
          let unit = UInt16(
            String(decoding: bytes[offset..<offset + 4], as: UTF8.self), radix: 16)
        else { throw failure("four hexadecimal digits should follow \\u") }
        units.append(unit)
        offset += 4
      case let byte
      where byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
        || byte == UInt8(ascii: "/"):
        units.append(UInt16(byte))
      default: throw failure("an escape JSON does not know")
      }
    }
    throw failure("the text in quotes does not end on its line")
  }
}
