import Quantities
import Transformer

/// A mapping being read.
///
/// Hands out its values by key, checks their kind, remembers what was asked for, and at the end reports every
/// key nobody asked for.
///
/// A wrong value is reported and replaced by the default, so that one reading finds all mistakes.
final class Block {
  /// The mapping's own key path; empty at the top of the file.
  let path: String
  /// Where the mapping stands.
  let position: SourcePosition
  /// Whether nothing was wrong so far.
  private(set) var isSound = true
  /// Whether it is a mapping, or nothing; of anything else no key is missed.
  private var isMapping = true

  private let entries: [SourceNode.Entry]
  private var isUsed: [Bool]
  private var known: [String] = []
  private let log: DiagnosticLog

  /// Begins to read `node`; reports it when it is no mapping, and duplicate keys in it.
  init(_ node: SourceNode?, path: String, at fallback: SourcePosition, log: DiagnosticLog) {
    self.path = path
    self.log = log
    position = node?.position ?? fallback
    if case .mapping(let entries) = node?.content {
      self.entries = entries
    } else {
      self.entries = []
    }
    isUsed = [Bool](repeating: false, count: entries.count)
    if let node, !node.isNull {
      guard case .mapping = node.content else {
        isSound = false
        isMapping = false
        log.add(node.position, path, "\(node.described) is not a mapping of keys to values")
        return
      }
    }
    reportDuplicates()
  }

  private func reportDuplicates() {
    var first: [String: SourcePosition] = [:]
    for (index, entry) in entries.enumerated() {
      if let earlier = first[entry.key] {
        isUsed[index] = true
        add(entry.keyPosition, entry.key, "given twice; first on line \(earlier.line)")
      } else {
        first[entry.key] = entry.keyPosition
      }
    }
  }

  /// The key path of `key` in this mapping.
  func keyPath(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  fileprivate func add(_ position: SourcePosition, _ key: String, _ message: String) {
    isSound = false
    log.add(position, keyPath(key), message)
  }

  /// Reports a mistake in the value of `key`, at the value, or at the mapping where it is absent.
  func report(_ key: String, _ message: String) {
    add(entries.first { $0.key == key }?.value.position ?? position, key, message)
  }

  /// Says of what `key` is set to that it is allowed and probably not meant.
  func warn(_ key: String, _ message: String) {
    let value = entries.first { $0.key == key }?.value
    log.warn(value?.position, keyPath(key), message)
  }

  /// The value of `key`, marked as used; `nil` when it is absent or null.
  func node(_ key: String) -> SourceNode? {
    if !known.contains(key) { known.append(key) }
    guard let index = entries.firstIndex(where: { $0.key == key }) else { return nil }
    isUsed[index] = true
    let value = entries[index].value
    return value.isNull ? nil : value
  }

  /// The value of `key`; its absence is reported.
  func required(_ key: String, _ meaning: String) -> SourceNode? {
    if let node = node(key) { return node }
    if isMapping { add(position, key, "missing; it is required: \(meaning)") }
    return nil
  }

  /// Marks `keys`, of which `all` is the set, as known without reading them.
  func accept(_ keys: [String], all: Set<String>) {
    known += keys
    for (index, entry) in entries.enumerated() where all.contains(entry.key) {
      isUsed[index] = true
    }
  }

  /// Whether `key` is given.
  func has(_ key: String) -> Bool { entries.contains { $0.key == key && !$0.value.isNull } }

  /// The mapping under `key`; an empty one when it is absent.
  func block(_ key: String) -> Block {
    let value = node(key)
    let inner = Block(value, path: keyPath(key), at: position, log: log)
    if !inner.isSound { isSound = false }
    return inner
  }

  /// Reports every key that was never asked for, with the nearest that was.
  func finish() {
    for (index, entry) in entries.enumerated() where !isUsed[index] {
      let near = nearest(to: entry.key, among: known)
      let hint =
        near.map { "did you mean '\($0)'?" }
        ?? (known.count > 40
          ? "no key of a configuration is like it"
          : "the keys here are \(known.joined(separator: ", "))")
      add(entry.keyPosition, entry.key, "unknown key; \(hint)")
    }
  }
}

extension Block {
  /// The text of a single value, or `nil` after a report.
  private func scalar(_ node: SourceNode, _ key: String, wanted: String) -> String? {
    guard case .scalar(let text, _) = node.content else {
      add(node.position, key, "\(node.described) is not \(wanted)")
      return nil
    }
    return text
  }

  /// A number without quotes, or `nil` after a report.
  private func number(_ node: SourceNode, _ key: String, wanted: String) -> Double? {
    guard let text = scalar(node, key, wanted: wanted) else { return nil }
    let digits = text.filter { $0 != "_" }
    guard let number = Double(digits), number.isFinite, !digits.lowercased().contains("x") else {
      add(node.position, key, "\(node.described) is not \(wanted)")
      return nil
    }
    if case .scalar(_, isQuoted: true) = node.content {
      add(node.position, key, "'\(text)' is text; write \(text) without quotes")
      return nil
    }
    return number
  }

  /// Reads a whole number of `key` between `range`'s ends.
  func integer(_ key: String, in range: ClosedRange<Int>) -> Int? {
    node(key).flatMap { integer($0, key, in: range) }
  }

  /// Reads `node`, the value of `key`, as a whole number.
  func integer(_ node: SourceNode, _ key: String, in range: ClosedRange<Int>) -> Int? {
    guard let number = number(node, key, wanted: "a whole number") else { return nil }
    guard number == number.rounded() else {
      add(node.position, key, "\(node.described) is not a whole number")
      return nil
    }
    guard let whole = Int(exactly: number), range.contains(whole) else {
      add(
        node.position, key,
        number < Double(range.lowerBound)
          ? "\(node.described) is less than \(range.lowerBound)"
          : "\(node.described) is more than \(range.upperBound)")
      return nil
    }
    return whole
  }

  /// Reads a plain number of `key` that is at least `low`, or above it when `low` is excluded.
  func number(_ key: String, from low: Double, excluding: Bool = false, to high: Double = 1e30)
    -> Double?
  {
    guard let node = node(key) else { return nil }
    guard let number = number(node, key, wanted: "a number") else { return nil }
    guard excluding ? number > low : number >= low else {
      report(key, "\(node.described) is not \(excluding ? "above" : "at least") \(short(low))")
      return nil
    }
    guard number <= high else {
      report(key, "\(node.described) is more than \(short(high))")
      return nil
    }
    return number
  }

  /// Reads `true` or `false`.
  func flag(_ key: String) -> Bool? {
    guard let node = node(key) else { return nil }
    switch node.content {
    case .scalar("true", isQuoted: false), .scalar("True", isQuoted: false): return true
    case .scalar("false", isQuoted: false), .scalar("False", isQuoted: false): return false
    default:
      report(key, "\(node.described) is neither true nor false")
      return nil
    }
  }

  /// Reads text.
  func text(_ key: String) -> String? {
    node(key).flatMap { scalar($0, key, wanted: "text") }
  }

  /// Reads one of a fixed set of names.
  func choice<Choice: RawRepresentable & CaseIterable>(_ key: String, of type: Choice.Type)
    -> Choice? where Choice.RawValue == String
  {
    guard let node = node(key) else { return nil }
    return choice(node, key, among: Choice.allCases.map(\.rawValue)).flatMap(Choice.init(rawValue:))
  }

  /// Reads `node`, the value of `key`, as one of `names`.
  func choice(_ node: SourceNode, _ key: String, among names: [String]) -> String? {
    if case .scalar(let text, _) = node.content {
      if names.contains(text) { return text }
      let question = nearest(to: text, among: names).map { "; did you mean '\($0)'?" } ?? ""
      add(node.position, key, "'\(text)' is not one of \(names.joined(separator: ", "))\(question)")
    } else {
      add(node.position, key, "\(node.described) is not one of \(names.joined(separator: ", "))")
    }
    return nil
  }

  /// Reads a number with its unit, between `range`'s ends in the quantity's base unit.
  func quantity<Quantity: UnitTextConvertible>(
    _ key: String, of type: Quantity.Type, in range: ClosedRange<Double>
  ) -> Quantity? {
    guard let node = node(key) else { return nil }
    let units = Quantity.units.map(\.name).joined(separator: ", ")
    guard let text = scalar(node, key, wanted: "a number with its unit (\(units))") else {
      return nil
    }
    // Read as a plain number first: a whole-number quantity cannot hold every number in the text.
    let value: Double
    do throws(UnitTextError) {
      value = try UnitNumber<Quantity>(unitText: text).baseValue
    } catch {
      switch error {
      case .notANumber: report(key, "'\(text)' is not a number with its unit (\(units))")
      case .missingUnit: report(key, "\(text) has no unit; write one of \(units) after it")
      case .unknownUnit(let unit, _):
        report(key, "'\(text)' has the unit '\(unit)', which is not one of \(units)")
      }
      return nil
    }
    guard range.contains(value) else {
      let isLow = value < range.lowerBound
      let bound = UnitNumber<Quantity>(baseValue: isLow ? range.lowerBound : range.upperBound)
      report(key, "\(text) is \(isLow ? "less" : "more") than \(bound.unitText)")
      return nil
    }
    return Quantity(baseValue: value)
  }

  /// A whole number without its fraction, any other as it is.
  private func short(_ number: Double) -> String {
    Int64(exactly: number).map(String.init) ?? "\(number)"
  }
}

/// The number of base units a quantity's text stands for, before it becomes that quantity.
private struct UnitNumber<Quantity: UnitTextConvertible>: UnitTextConvertible {
  static var units: [TextUnit] { Quantity.units }
  var baseValue: Double
}
