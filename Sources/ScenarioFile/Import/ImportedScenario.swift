/// A scenario made from another program's settings.
public struct ImportedScenario: Hashable, Sendable {
  /// What those settings do not say.
  public struct Supplement: Hashable, Sendable {
    /// The GPU of the catalogue it runs on.
    public var gpu: String
    /// How many; `nil` for what the settings say.
    public var gpus: Int?
    /// The model: a catalogue name or the path of a `config.json`; `nil` for what the settings say.
    public var model: String?
    /// Tokens per sequence; `nil` for what the settings say.
    public var sequenceLength: Int?

    /// What the settings do not say.
    public init(gpu: String, gpus: Int? = nil, model: String? = nil, sequenceLength: Int? = nil) {
      self.gpu = gpu
      self.gpus = gpus
      self.model = model
      self.sequenceLength = sequenceLength
    }
  }

  /// The programs whose settings are understood.
  public enum Format: String, Hashable, Sendable, CaseIterable {
    /// Command-line arguments of Megatron-LM.
    ///
    /// A shell script, a list of flags, or `MODEL_ARGS` of a YAML file.
    case megatron
    /// `ds_config.json`.
    case deepspeed
    /// A TOML job file, as torchtitan read until February 2026.
    case torchtitan

    /// The format a file of that name and text most likely has.
    public static func guessed(path: String, text: String) -> Format {
      if path.hasSuffix(".toml") { return .torchtitan }
      return text.first { !$0.isWhitespace } == "{" ? .deepspeed : .megatron
    }
  }

  /// The scenario's keys.
  public private(set) var tree: JSONValue = .object([])
  /// Sentences about what was assumed or left out.
  public var notes: [String] = []

  /// Reads the settings of another program.
  ///
  /// - Parameters:
  ///   - text: the file.
  ///   - path: its name, for complaints and for the scenario's name.
  ///   - format: what it is.
  ///   - supplement: what it does not say.
  /// - Throws: ``ScenarioError`` when it cannot be read or says too little.
  public init(
    _ text: String, path: String, format: Format, supplement: Supplement
  ) throws(ScenarioError) {
    set("name", .string(ScenarioSource(path: path, text: "").defaultName))
    if let model = supplement.model { set("model", .string(model)) }
    set("cluster.gpu", .string(supplement.gpu))
    if let gpus = supplement.gpus { set("cluster.gpus", .integer(gpus)) }
    if let length = supplement.sequenceLength {
      set("training.sequence_length", .integer(length))
    }
    switch format {
    case .megatron: try readMegatron(text, path: path, supplement)
    case .deepspeed: try readDeepSpeed(text, path: path, supplement)
    case .torchtitan: try readTorchtitan(text, path: path, supplement)
    }
  }

  /// The scenario as a file, notes as comments in front.
  public var fileText: String {
    let order = ["name", "model", "cluster", "parallelism", "training", "run"]
    let members = order.compactMap { key in tree[key].map { JSONValue.Member(key, $0) } }
    return notes.map { "# \($0)\n" }.joined() + JSONValue.object(members).yamlText
  }

  /// Sets the key at a dotted path; a value already there stays.
  mutating func set(_ path: String, _ value: JSONValue?) {
    guard let value else { return }
    tree = tree.adding(value, at: path.split(separator: ".").map(String.init)[...])
  }

  /// The complaint that the file does not say something.
  static func missing(_ what: String, in path: String) -> ScenarioError {
    ScenarioError.wrong([
      Diagnostic(
        position: SourcePosition(file: path, line: 1, column: 1), keyPath: "",
        message: "does not say \(what)")
    ])
  }
}

extension JSONValue {
  /// The object with `value` at the end of `path`, unless something is there.
  fileprivate func adding(_ value: JSONValue, at path: ArraySlice<String>) -> JSONValue {
    guard let key = path.first else { return self == .object([]) ? value : self }
    var members: [Member] = []
    if case .object(let existing) = self { members = existing }
    let rest = path.dropFirst()
    if let index = members.firstIndex(where: { $0.key == key }) {
      guard !rest.isEmpty else { return self }
      members[index].value = members[index].value.adding(value, at: rest)
    } else {
      members.append(
        Member(key, rest.isEmpty ? value : JSONValue.object([]).adding(value, at: rest)))
    }
    return .object(members)
  }
}
