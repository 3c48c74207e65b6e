public import ScenarioFile
public import StepProgram

/// What a search has simulated so far, kept so that an interrupted one need not do it again.
///
/// A text of lines: first what was asked, then one line a layout: its place in the space, its verdict, its
/// step time (as the bits of a double) and its peak.
public struct SearchJournal: Sendable {
  /// What was asked: whoever asks the same may read the journal.
  private let question: String
  private var lines: [String] = []

  /// An empty journal of a search of `scenario`'s layouts.
  ///
  /// - Parameters:
  ///   - scenario: whose layouts are searched.
  ///   - arguments: what else decides the space and its order.
  ///   - program: what tells this build of the program from others, whose predictions may differ.
  public init(scenario: Scenario, arguments: [String], program: String) {
    // FNV-1a (draft-eastlake-fnv-21), 64 bits: enough to tell a question from another.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in ([scenario.resolved.text, program] + arguments).joined(separator: "\u{0}").utf8 {
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
    }
    question = "dryrun search journal \(hash)"
  }

  /// Notes what became of layouts, by place.
  public mutating func note(_ news: [Int: LayoutOutcome]) {
    for (place, outcome) in news.sorted(by: { $0.key < $1.key }) {
      lines.append(
        "\(place) \(outcome.verdict.rawValue) \(outcome.stepSeconds.bitPattern) \(outcome.peakBytes)"
      )
    }
  }

  /// The journal as text.
  public var text: String { ([question] + lines).joined(separator: "\n") + "\n" }

  /// Takes over what an earlier journal of the same question says.
  ///
  /// - Parameters:
  ///   - text: the earlier journal.
  ///   - jobs: the space.
  /// - Returns: the outcomes by place; none when the question was another or the text is damaged.
  public mutating func resume(_ text: String, jobs: [TrainingJob]) -> [Int: LayoutOutcome] {
    let rows = text.split(separator: "\n")
    guard rows.first.map(String.init) == question else { return [:] }
    var known: [Int: LayoutOutcome] = [:]
    for row in rows.dropFirst() {
      let words = row.split(separator: " ")
      guard words.count == 4, let place = Int(words[0]), jobs.indices.contains(place),
        let verdict = Int64(words[1]).flatMap(LayoutOutcome.Verdict.init(rawValue:)),
        let bits = UInt64(words[2]), let peak = Int64(words[3])
      else { return [:] }
      known[place] = LayoutOutcome(
        job: jobs[place], verdict: verdict, stepSeconds: Double(bitPattern: bits), peakBytes: peak)
    }
    note(known)
    return known
  }
}
