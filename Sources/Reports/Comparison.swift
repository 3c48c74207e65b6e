public import ScenarioFile
import Quantities

/// Two results side by side: what differs in the question, and what in the answer.
///
/// Works on results in the form of `result.json`, so that one kept from before can be held against
/// one of now.
public struct Comparison {
  /// A result with the name it is shown under.
  public struct Side {
    /// What it is called in the table.
    public var name: String
    /// The result, `dryrun.result/1`.
    public var result: JSONValue

    /// A result called `name`.
    public init(name: String, result: JSONValue) {
      self.name = name
      self.result = result
    }
  }

  private let first: Side
  private let second: Side

  /// A comparison of two results.
  public init(_ first: Side, _ second: Side) {
    self.first = first
    self.second = second
  }

  /// A quantity both results have.
  private struct Pair {
    var key: String
    var first: Double
    var second: Double

    var difference: Double { second - first }
    var ratio: Double? { first != 0 ? second / first : nil }
  }

  /// The numbers under `path`, in the first result's order.
  private func pairs(_ path: String...) -> [Pair] {
    guard case .object(let members) = first.result[path] else { return [] }
    return members.compactMap { pair(path + [$0.key]) }
  }

  private func pair(_ path: [String]) -> Pair? {
    guard let one = first.result[path].number, let other = second.result[path].number else {
      return nil
    }
    return Pair(key: path.last ?? "", first: one, second: other)
  }

  /// Keys of the scenario whose values differ, with both values.
  private var inputs: [(key: String, first: String, second: String)] {
    let one = first.result[["scenario"]].leaves
    let other = second.result[["scenario"]].leaves
    let names =
      one.map(\.path)
      + other.map(\.path).filter { path in
        !one.contains { $0.path == path }
      }
    return names.compactMap { path in
      let left = one.first { $0.path == path }?.value ?? "–"
      let right = other.first { $0.path == path }?.value ?? "–"
      return left == right ? nil : (path, left, right)
    }
  }

  /// Bytes of the fullest rank by part.
  private var memory: [Pair] {
    func fullest(_ result: JSONValue) -> JSONValue {
      guard case .array(let ranks) = result[["memory", "ranks"]] else { return .null }
      return ranks.max {
        ($0[["peak_bytes"]].number ?? 0) < ($1[["peak_bytes"]].number ?? 0)
      } ?? .null
    }
    let one = fullest(first.result)
    let other = fullest(second.result)
    guard case .object(let members) = one else { return [] }
    return members.compactMap { member in
      guard member.key.hasSuffix("_bytes"), let left = member.value.number,
        let right = other[[member.key]].number
      else { return nil }
      return Pair(key: member.key, first: left, second: right)
    }
  }

  private var step: Pair? { pair(["step", "seconds"]) }

  /// Parts of the step, largest difference first.
  private var parts: [Pair] {
    pairs("step", "breakdown_seconds").sorted { abs($0.difference) > abs($1.difference) }
  }

  private var run: [Pair] {
    let keys = [
      "steps", "days", "gpu_hours", "cost", "energy_kwh", "goodput", "failures",
    ]
    return keys.compactMap { pair(["run", $0]) }
  }

  /// Why the second step is faster or slower than the first, in one sentence.
  private var reason: String {
    guard let step, step.first > 0 else { return "The steps cannot be compared." }
    let change = step.difference / step.first
    guard abs(change) >= 0.0005 else {
      return "The steps take the same time."
    }
    let main = parts.filter { $0.difference * step.difference > 0 }.prefix(3).filter {
      abs($0.difference) >= 0.05 * abs(step.difference)
    }
    let against = parts.filter { $0.difference * step.difference < 0 }.prefix(1).filter {
      abs($0.difference) >= 0.05 * abs(step.difference)
    }
    func described(_ pair: Pair) -> String {
      "\(Self.words(pair.key)) \(pair.difference < 0 ? "−" : "+")"
        + Format.duration(Seconds(abs(pair.difference)))
    }
    return
      "\(second.name) is \(Format.percent(abs(change))) \(change < 0 ? "faster" : "slower") a step: "
      + main.map(described).joined(separator: ", ")
      + (against.isEmpty
        ? "" : "; against it " + against.map(described).joined(separator: ", ")) + "."
  }

  private static func words(_ key: String) -> String {
    key.split(separator: "_").joined(separator: " ")
  }

  /// `compare --json`.
  public var json: JSONValue {
    func tree(_ pairs: [Pair]) -> JSONValue {
      .object(
        pairs.map {
          .init(
            $0.key,
            [
              "a": .number($0.first), "b": .number($0.second),
              "difference": .number($0.difference),
              "ratio": $0.ratio.map { .number($0) } ?? .null,
            ])
        })
    }
    return [
      "schema": "dryrun.compare/1", "a": .string(first.name), "b": .string(second.name),
      "inputs": .array(
        inputs.map { ["key": .string($0.key), "a": .string($0.first), "b": .string($0.second)] }),
      "fits": ["a": first.result[["fits"]], "b": second.result[["fits"]]],
      "step": tree(pairs("step")), "breakdown_seconds": tree(parts),
      "memory_bytes": tree(memory), "run": tree(run), "reason": .string(reason),
    ]
  }

  /// The comparison for people.
  public var text: String {
    var lines = ["a  \(first.name)", "b  \(second.name)", "", "Inputs that differ"]
    if inputs.isEmpty {
      lines.append("  none")
    } else {
      var table = TextTable(["key", "a", "b"], leftColumns: 3)
      for input in inputs { table.add([input.key, input.first, input.second]) }
      lines += table.lines()
    }
    lines += ["", reason, ""]
    var table = TextTable(["", "a", "b", "b − a", "b / a"])
    func add(_ title: String, _ pairs: [Pair], _ write: (Double) -> String) {
      table.add([title])
      for pair in pairs where pair.first != 0 || pair.second != 0 {
        table.add([
          "  " + Self.words(pair.key), write(pair.first), write(pair.second),
          (pair.difference < 0 ? "−" : "+") + write(abs(pair.difference)),
          pair.ratio.map { Format.fixed($0, decimals: 3) } ?? "",
        ])
      }
    }
    let seconds: (Double) -> String = { Format.duration(Seconds($0)) }
    let plain: (Double) -> String = { Format.number($0, digits: 4) }
    add("step", step.map { [$0] } ?? [], seconds)
    add("", parts, seconds)
    let speed = pairs("step").filter { $0.key != "seconds" }
    add("speed", speed.filter { $0.first < 1e9 }, plain)
    add("", speed.filter { $0.first >= 1e9 }) { Format.teraflops($0) + " T" }
    add("memory of the fullest rank", memory) { Format.gibibytes(Bytes(Int64($0))) + " GiB" }
    add("run", run, plain)
    lines += table.lines(indent: 0).filter { !$0.allSatisfy { $0 == " " } }
    for side in [first, second] where side.result[["fits"]] == .bool(false) {
      lines.append("\(side.name) does not fit.")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension JSONValue {
  /// The value at the end of a path of keys; null where there is none.
  fileprivate subscript(_ path: [String]) -> JSONValue {
    var value = self
    for key in path {
      guard case .object(let members) = value,
        let next = members.first(where: { $0.key == key })
      else { return .null }
      value = next.value
    }
    return value
  }

  fileprivate var number: Double? {
    switch self {
    case .integer(let whole): Double(whole)
    case .number(let number): number
    default: nil
    }
  }

  /// Every plain value with its dotted path.
  fileprivate var leaves: [(path: String, value: String)] {
    switch self {
    case .object(let members):
      members.flatMap { member in
        member.value.leaves.map { leaf in
          (leaf.path.isEmpty ? member.key : member.key + "." + leaf.path, leaf.value)
        }
      }
    case .string(let text): [("", text)]
    default: [("", compactText)]
    }
  }
}
