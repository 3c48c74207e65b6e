extension JSONValue {
  /// The value as YAML, mappings in block style; reading it back gives the same value.
  public var yamlText: String {
    var result = ""
    writeBlock(to: &result, indent: 0)
    return result
  }

  /// Mappings of plain values no longer than this stay on one line.
  private static let lineLimit = 80

  private func writeBlock(to result: inout String, indent: Int) {
    guard case .object(let members) = self, !members.isEmpty else {
      result += flowText + "\n"
      return
    }
    let margin = String(repeating: "  ", count: indent)
    for member in members {
      result += margin + Self.scalar(member.key) + ":"
      if case .object(let inner) = member.value, !inner.isEmpty, !member.value.isShort {
        result += "\n"
        member.value.writeBlock(to: &result, indent: indent + 1)
      } else {
        result += " " + member.value.flowText + "\n"
      }
    }
  }

  /// Whether a mapping holds plain values only and fits on a line.
  private var isShort: Bool {
    guard case .object(let members) = self, members.count <= 4 else { return false }
    let isPlain = members.allSatisfy {
      switch $0.value {
      case .object, .array: false
      default: true
      }
    }
    return isPlain && flowText.count <= Self.lineLimit
  }

  private var flowText: String {
    switch self {
    case .object(let members):
      "{" + members.map { Self.scalar($0.key) + ": " + $0.value.flowText }.joined(separator: ", ")
        + "}"
    case .array(let values): "[" + values.map(\.flowText).joined(separator: ", ") + "]"
    case .string(let text): Self.scalar(text)
    default: compactText
    }
  }

  /// Text without quotes where nothing could take it for anything else.
  private static func scalar(_ text: String) -> String {
    let isPlainStart = text.first.map { $0.isASCII && ($0.isLetter || $0.isNumber) } ?? false
    let isPlain = text.allSatisfy {
      $0.isASCII && ($0.isLetter || $0.isNumber || " _-./".contains($0))
    }
    let reserved = ["true", "false", "null", "yes", "no", "on", "off"]
    guard isPlainStart, isPlain, text.last != " ", !reserved.contains(text.lowercased()),
      Double(text) == nil
    else { return JSONValue.string(text).compactText }
    return text
  }
}
