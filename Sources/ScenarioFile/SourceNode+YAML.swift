import Yams

extension SourceNode {
  /// Reads YAML text.
  ///
  /// - Parameters:
  ///   - yaml: the text.
  ///   - file: what messages call it.
  /// - Returns: the document; `nil` for an empty one.
  /// - Throws: ``ScenarioError`` with the one place where the notation breaks.
  static func reading(yaml: String, file: String) throws(ScenarioError) -> SourceNode? {
    do {
      guard let node = try Yams.compose(yaml: yaml) else { return nil }
      return SourceNode(node, file: file, parent: SourcePosition(file: file, line: 1, column: 1))
    } catch let error as YamlError {
      throw ScenarioError.wrong([error.diagnostic(file: file)])
    } catch {
      let start = SourcePosition(file: file, line: 1, column: 1)
      throw ScenarioError.wrong([
        Diagnostic(position: start, keyPath: "", message: "not YAML: \(error)")
      ])
    }
  }

  private init(_ node: Yams.Node, file: String, parent: SourcePosition) {
    position =
      node.mark.map { SourcePosition(file: file, line: $0.line, column: $0.column) } ?? parent
    switch node {
    case .scalar(let scalar):
      let isQuoted = scalar.style != .plain && scalar.style != .any
      content = .scalar(scalar.string, isQuoted: isQuoted)
    case .sequence(let sequence):
      let here = position
      content = .sequence(sequence.map { SourceNode($0, file: file, parent: here) })
    case .mapping(let mapping):
      let here = position
      content = .mapping(
        mapping.map { key, value in
          let name = SourceNode(key, file: file, parent: here)
          let text = if case .scalar(let text, _) = name.content { text } else { name.described }
          return Entry(
            key: text, keyPosition: name.position,
            value: SourceNode(value, file: file, parent: name.position))
        })
    case .alias:
      content = .scalar("", isQuoted: false)
    }
  }
}

extension YamlError {
  /// The error in the form of every other mistake.
  fileprivate func diagnostic(file: String) -> Diagnostic {
    let (message, line, column): (String, Int, Int) =
      switch self {
      case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
        .composer(_, let problem, let mark, _):
        ("not YAML: \(problem.trimmedDot)", mark.line, mark.column)
      case .reader(let problem, let offset, _, let yaml):
        Self.described(problem, offset: offset, in: yaml)
      case .duplicatedKeysInMapping(let duplicates, let context):
        (
          "the key \(duplicates.map { "'\($0)'" }.joined(separator: ", ")) is given twice",
          context.mark.line, context.mark.column
        )
      default: ("not YAML: \(self)", 1, 1)
      }
    return Diagnostic(
      position: SourcePosition(file: file, line: line, column: column), keyPath: "",
      message: message)
  }

  private static func described(_ problem: String, offset: Int?, in yaml: String)
    -> (String, Int, Int)
  {
    let before = yaml.utf8.prefix(max(0, offset ?? 0))
    let line = before.count { $0 == UInt8(ascii: "\n") } + 1
    return ("not YAML: \(problem.trimmedDot)", line, 1)
  }
}

extension String {
  /// The text without a full stop at its end.
  fileprivate var trimmedDot: String { hasSuffix(".") ? String(dropLast()) : self }
}
