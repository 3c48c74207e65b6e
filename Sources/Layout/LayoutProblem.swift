/// Why a layout cannot run, or will run worse than it reads.
public struct LayoutProblem: Hashable, Sendable {
  /// How bad it is.
  public enum Severity: String, Hashable, Sendable {
    /// The job would not start.
    case error
    /// The job runs, but not as the numbers suggest.
    case warning
  }

  /// What is wrong.
  public enum Reason: Hashable, Sendable {
    /// A degree or size below one.
    case belowOne
    /// `divisor` should divide `count` of `what`.
    case doesNotDivide(_ divisor: Int, _ count: Int, _ what: String)
    /// The value should be a multiple of a unit, which is `what`.
    case notMultiple(of: Int, what: String)
    /// More parts than there are things to share.
    case tooMany(parts: Int, count: Int, what: String)
    /// The value needs something else that is missing.
    case needs(String)
    /// A list should be another.
    case listNeeds([Int], String)
    /// The value is none of the possible ones.
    case notOneOf
    /// A rule that is broken, as a sentence.
    case breaks(String)
  }

  /// The scenario key it is about, for example `parallelism.tensor`.
  public var keyPath: String
  /// The value found there.
  public var value: Int
  /// What is wrong with it.
  public var reason: Reason
  /// Values that would do, smallest first; empty when no list helps.
  public var choices: [Int]
  /// Whether the job can run at all.
  public var severity: Severity
}

extension LayoutProblem: CustomStringConvertible {
  /// The problem as a sentence, key first.
  ///
  /// For example `parallelism.tensor: 6 does not divide the 32 attention heads; use 1, 2, 4, 8, 16 or 32`.
  public var description: String { "\(keyPath): \(text)" }

  /// The problem as a sentence without the key.
  public var text: String {
    let complaint =
      switch reason {
      case .belowOne: "\(value) is below 1"
      case .doesNotDivide(let divisor, let count, let what):
        "\(divisor) does not divide the \(count) \(what)"
      case .notMultiple(let unit, let what): "\(value) is not a multiple of \(unit) (\(what))"
      case .tooMany(let parts, let count, let what): "\(parts) is more than the \(count) \(what)"
      case .needs(let what): "\(value) needs \(what)"
      case .listNeeds(let values, let what): "\(values) needs \(what)"
      case .notOneOf: "\(value) is not possible"
      case .breaks(let rule): rule
      }
    guard let last = choices.last else { return complaint }
    let others = choices.dropLast().map(String.init).joined(separator: ", ")
    return complaint + "; use " + (others.isEmpty ? "\(last)" : "\(others) or \(last)")
  }
}

/// The divisors of `count` up to `limit`, smallest first.
public func divisors(of count: Int, upTo limit: Int = .max) -> [Int] {
  guard count > 0 else { return [] }
  var low: [Int] = []
  var high: [Int] = []
  var candidate = 1
  while candidate * candidate <= count {
    if count.isMultiple(of: candidate) {
      low.append(candidate)
      if candidate != count / candidate { high.append(count / candidate) }
    }
    candidate += 1
  }
  return (low + high.reversed()).filter { $0 <= limit }
}
