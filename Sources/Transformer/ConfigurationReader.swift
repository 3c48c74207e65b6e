/// Reads typed values of a configuration.
///
/// Each takes the first of several equivalent keys that is there and not null.
struct ConfigurationReader {
  /// What is read.
  let tree: ConfigurationTree

  /// The first of `keys` that is there, with its value.
  func first(_ keys: [String]) -> (key: String, value: ConfigurationValue)? {
    for key in keys {
      assert(ConfigurationKeys.understood.contains(key), "unlisted configuration key \(key)")
      if let value = tree[key] { return (key, value) }
    }
    return nil
  }

  /// A whole number of at least `minimum`; `nil` when no key is there.
  func integer(_ keys: String..., minimum: Int = 0) throws(ConfigurationError) -> Int? {
    guard let (key, value) = first(keys) else { return nil }
    let number: Int
    switch value {
    case .integer(let whole): number = whole
    case .number(let real) where real == real.rounded() && abs(real) < 1e15: number = Int(real)
    default:
      throw .wrongKind(key: key, expected: "an integer", found: value.kind)
    }
    guard number >= minimum else {
      throw .impossible(key: key, found: "\(number)", reason: "is below \(minimum)")
    }
    guard number < 1 << 40 else {
      throw .impossible(key: key, found: "\(number)", reason: "is beyond 2^40")
    }
    return number
  }

  /// A whole number of at least one; an error when no key is there.
  func required(_ keys: String...) throws(ConfigurationError) -> Int {
    guard let (key, value) = first(keys) else {
      throw .missing(key: keys[0], alsoKnownAs: Array(keys.dropFirst()))
    }
    guard let number = try ConfigurationReader(tree: [key: value]).integer(key, minimum: 1) else {
      throw .missing(key: keys[0], alsoKnownAs: Array(keys.dropFirst()))
    }
    return number
  }

  /// A probability; `nil` when no key is there.
  func fraction(_ keys: String...) throws(ConfigurationError) -> Double? {
    guard let (key, value) = first(keys) else { return nil }
    let number: Double
    switch value {
    case .integer(let whole): number = Double(whole)
    case .number(let real): number = real
    default: throw .wrongKind(key: key, expected: "a number", found: value.kind)
    }
    guard number >= 0, number < 1 else {
      throw .impossible(key: key, found: "\(number)", reason: "is not in 0..<1")
    }
    return number
  }

  /// True or false; `nil` when no key is there.
  func boolean(_ keys: String...) throws(ConfigurationError) -> Bool? {
    guard let (key, value) = first(keys) else { return nil }
    guard case .boolean(let truth) = value else {
      throw .wrongKind(key: key, expected: "true or false", found: value.kind)
    }
    return truth
  }

  /// A text; `nil` when no key is there.
  func text(_ keys: String...) throws(ConfigurationError) -> String? {
    guard let (key, value) = first(keys) else { return nil }
    guard case .text(let text) = value else {
      throw .wrongKind(key: key, expected: "a text", found: value.kind)
    }
    return text
  }

  /// A list of texts; `nil` when the key is absent.
  func texts(_ key: String) throws(ConfigurationError) -> [String]? {
    guard let (_, value) = first([key]) else { return nil }
    guard case .list(let values) = value else {
      throw .wrongKind(key: key, expected: "a list of texts", found: value.kind)
    }
    var texts: [String] = []
    for value in values {
      guard case .text(let text) = value else {
        throw .wrongKind(key: key, expected: "a list of texts", found: "\(value.kind) in it")
      }
      texts.append(text)
    }
    return texts
  }

  /// A list of whole numbers; `nil` when the key is absent or not a list.
  func integers(_ key: String) throws(ConfigurationError) -> [Int]? {
    guard let (_, value) = first([key]), case .list(let values) = value else { return nil }
    var numbers: [Int] = []
    for value in values {
      switch value {
      case .integer(let number): numbers.append(number)
      case .boolean(let truth): numbers.append(truth ? 1 : 0)
      default:
        throw .wrongKind(key: key, expected: "a list of integers", found: "\(value.kind) in it")
      }
    }
    return numbers
  }

  /// A map; `nil` when the key is absent or not a map.
  func map(_ key: String) -> ConfigurationTree? {
    guard case .map(let tree)? = first([key])?.value else { return nil }
    return tree
  }
}
