import Dispatch
import Quantities
import StepProgram
import Synchronization

/// A published measurement with the scenario it was taken on.
public struct MeasuredRun: Hashable, Sendable {
  /// Which rank's memory was read.
  public enum MemoryRank: String, Hashable, Sendable, CaseIterable {
    /// Rank 0: the first pipeline stage.
    case first
    /// The last rank: the last pipeline stage.
    case last
    /// The rank with most.
    case max
  }

  /// Which counter of the allocator was read.
  public enum MemoryKind: String, Hashable, Sendable, CaseIterable {
    /// Bytes in tensors.
    case allocated
    /// Bytes the allocator holds, its cache included.
    case reserved
  }

  /// Unique name of the row.
  public var id: String
  /// The collection the row belongs to.
  public var family: String
  /// Where it was published.
  public var source: String
  /// The model as the source calls it.
  public var modelName: String
  /// What was run.
  public var scenario: Scenario
  /// Wall time of one step in seconds.
  public var stepSeconds: Double?
  /// Peak of the allocator's counter in units of 2^30 bytes.
  public var peakMemoryGiB: Double?
  /// Whose memory that is.
  public var memoryRank: MemoryRank
  /// Which counter it is.
  public var memoryKind: MemoryKind
  /// Allocated before the first step, in units of 2^30 bytes.
  public var staticMemoryGiB: Double?
  /// What nvidia-smi showed, in units of 10^9 or 2^30 bytes.
  public var deviceMemoryGB: Double?
  /// Wall time of the whole run in seconds.
  public var runSeconds: Double?
  /// Steps of the whole run.
  public var steps: Double?
  /// Whether it ended for lack of memory.
  public var isOutOfMemory: Bool

  /// A row that cannot be used, with why.
  public struct Unreadable: Hashable, Sendable {
    /// The row's name, or its place where the row has none.
    public var id: String
    /// Every mistake in it.
    public var diagnostics: [Diagnostic]
  }

  /// Reads rows of JSON, one a line, each on its own, on all cores.
  ///
  /// - Parameters:
  ///   - text: JSON Lines; empty lines are skipped.
  ///   - file: what messages call it.
  /// - Returns: the rows that can be used, and those that cannot.
  public static func readableRows(
    in text: String, file: String
  ) -> (rows: [MeasuredRun], unreadable: [Unreadable]) {
    let lines = Array(text.utf8).split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    let found = Mutex([Line](repeating: .empty, count: lines.count))
    DispatchQueue.concurrentPerform(iterations: lines.count) { index in
      let line = read(lines[index], number: index + 1, of: file)
      found.withLock { $0[index] = line }
    }
    var rows: [MeasuredRun] = []
    var unreadable: [Unreadable] = []
    for line in found.withLock({ $0 }) {
      switch line {
      case .empty: break
      case .row(let row): rows.append(row)
      case .unreadable(let row): unreadable.append(row)
      }
    }
    return (rows, unreadable)
  }

  /// What a line of a file holds.
  private enum Line {
    case empty
    case row(MeasuredRun)
    case unreadable(Unreadable)
  }

  private static func read(_ line: ArraySlice<UInt8>, number: Int, of file: String) -> Line {
    guard line.contains(where: { $0 > UInt8(ascii: " ") }) else { return .empty }
    let log = DiagnosticLog()
    var id = "\(file):\(number)"
    do throws(ScenarioError) {
      let node = try SourceNode.reading(json: line, file: file, firstLine: number)
      if case .scalar(let name, _)? = node["id"]?.content { id = name }
      if let row = MeasuredRun(node, file: file, log: log), log.diagnostics.isEmpty {
        return .row(row)
      }
    } catch {
      if case .wrong(let diagnostics) = error {
        for found in diagnostics { log.add(found.position, found.keyPath, found.message) }
      }
    }
    return .unreadable(Unreadable(id: id, diagnostics: log.sorted))
  }

  /// Reads rows of JSON, one a line.
  ///
  /// - Parameters:
  ///   - text: JSON Lines; empty lines are skipped.
  ///   - file: what messages call it.
  /// - Returns: every row.
  /// - Throws: ``ScenarioError`` with every mistake in every row.
  public static func rows(in text: String, file: String) throws(ScenarioError) -> [MeasuredRun] {
    let (rows, unreadable) = readableRows(in: text, file: file)
    guard unreadable.isEmpty else {
      throw ScenarioError.wrong(unreadable.flatMap(\.diagnostics))
    }
    return rows
  }

  /// Reads the rows of the file at `path`.
  ///
  /// - Parameter path: a JSON Lines file.
  /// - Returns: every row.
  /// - Throws: ``ScenarioError``.
  public static func rows(contentsOf path: String) throws(ScenarioError) -> [MeasuredRun] {
    try rows(in: ScenarioSource.contents(of: path), file: path)
  }

  private init?(_ node: SourceNode, file: String, log: DiagnosticLog) {
    let before = log.diagnostics.count
    let row = Block(node, path: "", at: node.position, log: log)
    id = row.text("id") ?? ""
    family = row.text("family") ?? ""
    source = row.text("source") ?? ""
    modelName = row.text("model_name") ?? ""
    if id.isEmpty { row.report("id", "missing; it is required: the name of the row") }
    let measured = row.block("measured")
    let positive: (String) -> Double? = { measured.number($0, from: 0, excluding: true) }
    stepSeconds = positive("step_seconds")
    peakMemoryGiB = positive("peak_memory_gib")
    memoryRank = measured.choice("memory_rank", of: MemoryRank.self) ?? .max
    memoryKind = measured.choice("memory_kind", of: MemoryKind.self) ?? .allocated
    staticMemoryGiB = positive("static_memory_gib")
    deviceMemoryGB = positive("device_memory_gb_nvidia_smi")
    runSeconds = positive("run_seconds")
    steps = positive("steps")
    isOutOfMemory = measured.flag("out_of_memory") ?? false
    // Other keys of `measured` change no prediction: sources may keep what they like beside these.
    guard let inner = row.required("scenario", "what was run") else { return nil }
    var reader = ScenarioReader(log: log, file: file, modelFile: nil, clusterFile: nil)
    reader.usualRelease = row.text("software").flatMap(Self.release(inSoftware:))
    reader.isUsuallyDeterministic = Self.isDeterministicTest(source)
    let read = reader.read(inner, defaultName: id, path: "scenario")
    guard let read, log.diagnostics.count == before else { return nil }
    scenario = read
  }

  /// Whether a row is of Megatron-LM's functional tests of GPT in deterministic mode.
  ///
  /// Those of the folder `gpt` run with `--deterministic-mode` (13 of their `model_config.yaml` were looked
  /// up) unless their name says `nondeterministic`; those of mixtures and other releases do not.
  static func isDeterministicTest(_ source: String) -> Bool {
    source.contains("functional_tests/test_cases/gpt/") && !source.contains("nondeterministic")
  }

  /// The release a row's `software` names, as in "NeMo container 26.04.01".
  ///
  /// NVIDIA's dgxc-benchmarking 25.05 runs NeMo 25.04 (`FW_VERSION` beside `GSW_VERSION` in its
  /// `llama4/launch.sh`).
  static func release(inSoftware text: String) -> FrameworkRelease? {
    if text.contains("(dgxc-benchmarking v25.05") { return FrameworkRelease(25, 4) }
    let words = text.split(separator: " ")
    guard words.count == 3, words[0] == "NeMo", words[1] == "container" else { return nil }
    return FrameworkRelease(String(words[2]))
  }
}
