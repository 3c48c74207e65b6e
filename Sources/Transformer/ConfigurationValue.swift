/// A value of a configuration file, whatever its syntax (JSON, YAML) was.
public enum ConfigurationValue: Hashable, Sendable {
  /// A whole number.
  case integer(Int)
  /// A number with a fraction or exponent.
  case number(Double)
  /// A text.
  case text(String)
  /// True or false.
  case boolean(Bool)
  /// Values in order.
  case list([ConfigurationValue])
  /// Values by key.
  case map(ConfigurationTree)
  /// Nothing; the same as an absent key.
  case null

  /// What kind of value this is, in words.
  public var kind: String {
    switch self {
    case .integer: "an integer"
    case .number: "a number"
    case .text: "a text"
    case .boolean: "true or false"
    case .list: "a list"
    case .map: "a map"
    case .null: "null"
    }
  }
}

/// The keys and values of a model configuration, in file order; the first of equal keys counts.
public struct ConfigurationTree: Hashable, Sendable {
  /// One key with its value.
  public struct Entry: Hashable, Sendable {
    /// The key.
    public var key: String
    /// Its value.
    public var value: ConfigurationValue

    /// A key with its value.
    public init(_ key: String, _ value: ConfigurationValue) {
      self.key = key
      self.value = value
    }
  }

  /// All entries, in file order.
  public var entries: [Entry]

  /// A tree of those entries.
  public init(_ entries: [Entry] = []) { self.entries = entries }

  /// The value of `key`; `nil` when it is absent or null.
  public subscript(key: String) -> ConfigurationValue? {
    guard let value = entries.first(where: { $0.key == key })?.value, value != .null else {
      return nil
    }
    return value
  }
}

extension ConfigurationTree: ExpressibleByDictionaryLiteral {
  /// A tree written out in source.
  public init(dictionaryLiteral elements: (String, ConfigurationValue)...) {
    self.init(elements.map { Entry($0.0, $0.1) })
  }
}

extension ConfigurationValue: ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral
{
  /// A whole number.
  public init(integerLiteral value: Int) { self = .integer(value) }
  /// A number.
  public init(floatLiteral value: Double) { self = .number(value) }
  /// A text.
  public init(stringLiteral value: String) { self = .text(value) }
  /// True or false.
  public init(booleanLiteral value: Bool) { self = .boolean(value) }
  /// A list.
  public init(arrayLiteral elements: ConfigurationValue...) { self = .list(elements) }
}

/// Why a configuration does not describe an architecture that can be modelled.
public enum ConfigurationError: Error, Hashable, Sendable {
  /// None of these equivalent keys is there.
  case missing(key: String, alsoKnownAs: [String])
  /// The value is of the wrong kind.
  case wrongKind(key: String, expected: String, found: String)
  /// The value is a text none of the accepted ones.
  case unknownValue(key: String, found: String, accepted: [String])
  /// The value cannot be, on its own or beside others.
  case impossible(key: String, found: String, reason: String)
  /// The model has a part that is not modelled: linear attention, state-space layers and the like.
  case notModelled(key: String, reason: String)

  /// The key the complaint is about.
  public var key: String {
    switch self {
    case .missing(let key, _), .wrongKind(let key, _, _), .unknownValue(let key, _, _),
      .impossible(let key, _, _), .notModelled(let key, _):
      key
    }
  }
}

extension ConfigurationError: CustomStringConvertible {
  /// The complaint as a sentence without position.
  public var description: String {
    switch self {
    case .missing(let key, let others):
      others.isEmpty
        ? "\(key) is missing"
        : "\(key) is missing (also known as \(others.joined(separator: ", ")))"
    case .wrongKind(let key, let expected, let found):
      "\(key): expected \(expected), found \(found)"
    case .unknownValue(let key, let found, let accepted):
      if let suggestion = nearest(to: found, among: accepted) {
        "\(key): '\(found)' is not known; did you mean '\(suggestion)'?"
      } else {
        "\(key): '\(found)' is not known; use \(accepted.joined(separator: ", "))"
      }
    case .impossible(let key, let found, let reason): "\(key): \(found) \(reason)"
    case .notModelled(let key, let reason): "\(key): \(reason)"
    }
  }
}
