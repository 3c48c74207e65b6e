/// One mistake in an input file: where it is, which key, what was read and what was wanted.
public struct Diagnostic: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// Where the mistake stands.
  public var position: SourcePosition
  /// The key from the top of the file, for example `parallelism.tensor`; empty for the whole file.
  public var keyPath: String
  /// What is wrong and what would be right: lower case, no full stop.
  public var message: String

  /// A mistake at `position`.
  public init(position: SourcePosition, keyPath: String, message: String) {
    self.position = position
    self.keyPath = keyPath
    self.message = message
  }

  /// `file:line:column: error: key: message`.
  public var description: String {
    let key = keyPath.isEmpty ? "" : keyPath + ": "
    return "\(position.file):\(position.line):\(position.column): error: \(key)\(message)"
  }

  /// Whether `lhs` stands before `rhs`.
  public static func < (lhs: Self, rhs: Self) -> Bool {
    if lhs.position != rhs.position { return lhs.position < rhs.position }
    return (lhs.keyPath, lhs.message) < (rhs.keyPath, rhs.message)
  }
}

/// Why an input could not be used.
public enum ScenarioError: Error, Hashable, Sendable {
  /// The file cannot be opened; the reason is the system's.
  case unreadable(path: String, reason: String)
  /// The file was read and is wrong; every mistake found, in the order of the file.
  case wrong([Diagnostic])

  /// One line for each mistake.
  public var lines: [String] {
    switch self {
    case .unreadable(let path, let reason): ["\(path): error: \(reason)"]
    case .wrong(let diagnostics): diagnostics.map(\.description)
    }
  }
}

/// Something in a file that is allowed and probably not meant.
struct Doubt {
  /// Where it stands; `nil` for what the file does not say.
  var position: SourcePosition?
  /// The key from the top of the file.
  var keyPath: String
  /// What is doubtful.
  var message: String

  /// `key (line 3): message.`, with the name of a file that is not `file`, or `--set`.
  func text(in file: String) -> String {
    "\(keyPath)\(place(in: file)): \(message)."
  }

  private func place(in file: String) -> String {
    guard let position else { return "" }
    if position.file == file { return " (line \(position.line))" }
    return position.file.hasPrefix("--")
      ? " (--set)" : " (\(position.file), line \(position.line))"
  }
}

/// Mistakes and doubts found so far.
final class DiagnosticLog {
  private(set) var diagnostics: [Diagnostic] = []
  /// What is allowed and probably not meant, in the order it was found.
  var doubts: [Doubt] = []

  /// Notes a mistake.
  func add(_ position: SourcePosition, _ keyPath: String, _ message: String) {
    diagnostics.append(Diagnostic(position: position, keyPath: keyPath, message: message))
  }

  /// Notes what is allowed and probably not meant.
  func warn(_ position: SourcePosition?, _ keyPath: String, _ message: String) {
    doubts.append(Doubt(position: position, keyPath: keyPath, message: message))
  }

  /// All mistakes in the order of the file, each once.
  var sorted: [Diagnostic] {
    var result: [Diagnostic] = []
    for diagnostic in diagnostics.sorted() where result.last != diagnostic {
      result.append(diagnostic)
    }
    return result
  }
}
