import Foundation

/// The text a scenario is read from, with everything it refers to.
///
/// Enough to read it again on a machine without the files.
public struct ScenarioSource: Hashable, Sendable {
  /// The file as it was named.
  public var path: String
  /// Its text.
  public var text: String
  /// Keys set on the command line, later ones winning.
  public var overrides: [ScenarioOverride]
  /// The model configuration the scenario names by path, if it names one.
  public var modelFile: NamedFile?
  /// The cluster file the scenario names in `cluster.like`, if it names one.
  public var clusterFile: NamedFile?

  /// A file named by a scenario.
  public struct NamedFile: Hashable, Sendable {
    /// Where it was looked for.
    public var path: String
    /// Its text; `nil` when it cannot be read.
    public var text: String?

    /// A file at `path` with `text`.
    public init(path: String, text: String?) {
      self.path = path
      self.text = text
    }
  }

  /// A source from text.
  public init(
    path: String, text: String, overrides: [ScenarioOverride] = [], modelFile: NamedFile? = nil,
    clusterFile: NamedFile? = nil
  ) {
    self.path = path
    self.text = text
    self.overrides = overrides
    self.modelFile = modelFile
    self.clusterFile = clusterFile
  }

  /// Loads the file at `path` and the model configuration and cluster file it names.
  ///
  /// - Parameters:
  ///   - path: a YAML or JSON file.
  ///   - overrides: keys set on the command line.
  /// - Throws: ``ScenarioError/unreadable(path:reason:)`` when the file cannot be opened, or
  ///   ``ScenarioError/wrong(_:)`` when it is not YAML.
  public init(contentsOf path: String, overrides: [ScenarioOverride] = []) throws(ScenarioError) {
    self.init(path: path, text: try Self.contents(of: path), overrides: overrides)
    let root = try node()
    modelFile = namedFile(root["model"])
    clusterFile = namedFile(root["cluster"]?["like"])
  }

  /// A source that is nothing but a cluster: `name` is a catalogue name or the path of a file.
  ///
  /// - Parameters:
  ///   - name: for example `dgx-h100` or `lab.yaml`.
  ///   - gpus: how many GPUs; `nil` for as many as the file says, or one node.
  public init(cluster name: String, gpus: Int?) {
    let like = JSONValue.string(name).compactText
    let count = gpus.map { ", gpus: \($0)" } ?? ""
    self.init(path: "--cluster", text: "cluster: {like: \(like)\(count)}")
    clusterFile = namedFile(
      SourceNode(
        position: SourcePosition(file: path, line: 1, column: 1),
        content: .scalar(name, isQuoted: true)))
  }

  /// Loads the file that a value names, seen from the folder of this one; `nil` when it names none.
  private func namedFile(_ node: SourceNode?) -> NamedFile? {
    guard case .scalar(let name, _) = node?.content, ScenarioReader.isFileName(name) else {
      return nil
    }
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
    let file = URL(fileURLWithPath: name, relativeTo: folder)
    return NamedFile(path: name, text: try? String(contentsOf: file, encoding: .utf8))
  }

  /// The text of the file at `path`.
  ///
  /// - Parameter path: a UTF-8 file.
  /// - Returns: its text.
  /// - Throws: ``ScenarioError/unreadable(path:reason:)``.
  public static func contents(of path: String) throws(ScenarioError) -> String {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw ScenarioError.unreadable(path: path, reason: "no such file")
    }
    guard !isFolder.boolValue else {
      throw ScenarioError.unreadable(path: path, reason: "a folder, not a file")
    }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw ScenarioError.unreadable(path: path, reason: "cannot be opened")
    }
    guard let text = String(data: data, encoding: .utf8) else {
      throw ScenarioError.unreadable(path: path, reason: "not UTF-8 text")
    }
    return text
  }

  /// The name of a scenario that gives none: its file's, without folder and extension.
  var defaultName: String {
    let file = path.split(separator: "/").last.map(String.init) ?? path
    guard let dot = file.lastIndex(of: "."), dot > file.startIndex else { return file }
    return String(file[..<dot])
  }

  /// The scenario as written, overrides applied.
  func node() throws(ScenarioError) -> SourceNode {
    let parsed: SourceNode? =
      if path.hasSuffix(".json") {
        try SourceNode.reading(json: text.utf8, file: path)
      } else {
        try SourceNode.reading(yaml: text, file: path)
      }
    let start = SourcePosition(file: path, line: 1, column: 1)
    var root = parsed ?? SourceNode(position: start, content: .mapping([]))
    for override in overrides { root = root.setting(override.path, to: try override.node()) }
    return root
  }
}

/// One key set on the command line, `parallelism.tensor=8`.
public struct ScenarioOverride: Hashable, Sendable {
  /// The keys from the top of the file.
  public var path: ArraySlice<String>
  /// The value as YAML; empty or `null` takes the key away.
  public var value: String

  /// Reads `key=value`; `nil` when there is no `=` or a part of the key is empty.
  public init?(_ text: String) {
    guard let equals = text.firstIndex(of: "=") else { return nil }
    let keys = text[..<equals].split(separator: ".", omittingEmptySubsequences: false)
    guard !keys.contains(where: \.isEmpty) else { return nil }
    path = keys.map(String.init)[...]
    value = String(text[text.index(after: equals)...])
  }

  /// Sets the key at the dotted `key` to `value`.
  public init(key: String, value: String) {
    path = key.split(separator: ".").map(String.init)[...]
    self.value = value
  }

  func node() throws(ScenarioError) -> SourceNode {
    let file = "--set \(path.joined(separator: "."))"
    let empty = SourceNode(
      position: SourcePosition(file: file, line: 1, column: 1),
      content: .scalar("", isQuoted: false))
    return try SourceNode.reading(yaml: value, file: file) ?? empty
  }
}
