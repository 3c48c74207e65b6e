public import Collectives

/// What nccl-tests (or RCCL-tests) printed or wrote about one operation.
public struct CollectiveLog: Hashable, Sendable {
  /// A size and the time it took.
  public struct Row: Hashable, Sendable {
    /// Bytes as nccl-tests counts them.
    public var bytes: Int64
    /// Time of one operation in seconds, out of place where both were measured.
    public var seconds: Double

    /// `seconds` for `bytes`.
    public init(bytes: Int64, seconds: Double) {
      self.bytes = bytes
      self.seconds = seconds
    }
  }

  /// The operation, when the log tells it.
  public var operation: CollectiveOperation?
  /// Ranks, when the log tells them.
  public var ranks: Int?
  /// Hosts, when the log tells them.
  public var hosts: Int?
  /// The sizes in the order measured.
  public var rows: [Row]

  /// Reads a log.
  ///
  /// - Parameters:
  ///   - text: the table nccl-tests prints, the JSON it writes with `-J`, or the JSON of
  ///     `dryrun collective`.
  ///   - file: the name complaints give it.
  /// - Throws: ``ScenarioError`` when there is no row in it.
  public init(_ text: String, file: String) throws(ScenarioError) {
    if text.first(where: { !$0.isWhitespace }) == "{" {
      self.init(json: try SourceNode.reading(json: text.utf8, file: file))
    } else {
      self.init(table: text)
    }
    guard rows.isEmpty else { return }
    throw ScenarioError.wrong([
      Diagnostic(
        position: SourcePosition(file: file, line: 1, column: 1), keyPath: "",
        message: "no row of an nccl-tests table in it")
    ])
  }

  private init(table text: String) {
    operation = Self.operation(in: text)
    rows = []
    var seen: Set<String> = []
    var devices = 0
    for line in text.split(whereSeparator: \.isNewline) {
      var words = line.split(separator: " ")[...]
      if words.first == "#" {
        // "#  Rank  0 Group  0 Pid   6899 on host-a device  0 [0000:04:00] NVIDIA H100"
        guard words.dropFirst().first == "Rank" else { continue }
        devices += 1
        if let place = words.firstIndex(of: "on"), place + 1 < words.endIndex {
          seen.insert(String(words[place + 1]))
        }
        continue
      }
      // size count type [redop] [root] time algbw busbw wrong time algbw busbw wrong
      guard words.count >= 7, let bytes = Int64(words[0]), Int64(words[1]) != nil else { continue }
      words = words.dropFirst(3)
      while let word = words.first, Double(word) == nil { words = words.dropFirst() }
      // With the root there is one number more than the four of each half.
      if !words.count.isMultiple(of: 4) { words = words.dropFirst() }
      guard let time = words.first.flatMap({ Double($0) }), time > 0 else { continue }
      rows.append(Row(bytes: bytes, seconds: time * 1e-6))
    }
    ranks = devices > 0 ? devices : nil
    hosts = seen.isEmpty ? nil : seen.count
  }

  private init(json root: SourceNode?) {
    func list(_ node: SourceNode?) -> [SourceNode] {
      if case .sequence(let values) = node?.content { values } else { [] }
    }
    func number(_ node: SourceNode?) -> Double? {
      if case .scalar(let text, _) = node?.content { Double(text) } else { nil }
    }
    func text(_ node: SourceNode?) -> String? {
      if case .scalar(let text, _) = node?.content { text } else { nil }
    }
    let devices = list(root?["config"]?["devices"])
    ranks = devices.isEmpty ? nil : devices.count
    hosts = devices.isEmpty ? nil : Set(devices.compactMap { text($0["hostname"]) }).count
    operation = list(root?["args"]).compactMap(text).lazy.compactMap(Self.operation).first
    rows = list(root?["results"]).compactMap { row in
      guard let bytes = number(row["size"]) else { return nil }
      let half = row["out_of_place"].flatMap { $0.isNull ? nil : $0 } ?? row["in_place"]
      guard let time = number(half?["time"]) ?? number(half?["cpu_time"]), time > 0 else {
        return nil
      }
      return Row(bytes: Int64(bytes), seconds: time * 1e-6)
    }
    let own = list(root?["rows"])
    guard rows.isEmpty, !own.isEmpty else { return }
    operation = text(own.first?["op"]).flatMap(CollectiveOperation.init)
    ranks = number(own.first?["ranks"]).map { Int($0) }
    rows = own.compactMap { row in
      guard let bytes = number(row["size_bytes"]), let seconds = number(row["seconds"]),
        seconds > 0
      else { return nil }
      return Row(bytes: Int64(bytes), seconds: seconds)
    }
  }

  /// The operation whose program a text names.
  private static func operation(in text: String) -> CollectiveOperation? {
    CollectiveOperation.allCases.first { text.contains($0.testProgram) }
  }
}

extension CollectiveOperation {
  /// The program of nccl-tests that measures the operation.
  public var testProgram: String {
    switch self {
    case .allToAll: "alltoall_perf"
    default: rawValue + "_perf"
    }
  }
}
