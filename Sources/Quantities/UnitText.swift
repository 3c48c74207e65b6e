/// A quantity that is read from, and written as, a number with its unit.
///
/// Parsing and printing are inverse: what ``unitText`` writes, ``init(unitText:)`` reads back to
/// the same value. Decimal prefixes are powers of 1000 (`GB` is 10^9), binary ones of 1024 (`GiB`
/// is 2^30); `b` is a bit, `B` a byte. A number without a unit is refused.
public protocol UnitTextConvertible: Sendable {
  /// Unit name and its size in the quantity's base unit, from the smallest to the largest.
  ///
  /// The printer uses those marked as preferred.
  static var units: [TextUnit] { get }

  /// The quantity, in its base unit.
  var baseValue: Double { get }

  /// A quantity of `baseValue` base units.
  init(baseValue: Double)
}

/// One unit a quantity can be written in.
public struct TextUnit: Sendable {
  /// The unit as written, for example `GB/s`.
  public let name: String
  /// How many base units it is.
  public let size: Double
  /// Whether the printer may choose it.
  public let isPreferred: Bool

  /// A unit of `size` base units; the printer chooses it only when `isPreferred`.
  public init(_ name: String, _ size: Double, preferred isPreferred: Bool = true) {
    self.name = name
    self.size = size
    self.isPreferred = isPreferred
  }
}

/// Why a text is not a quantity.
public enum UnitTextError: Error, Hashable, Sendable {
  /// The text does not begin with a number.
  case notANumber(String)
  /// The number has no unit; the accepted ones are given.
  case missingUnit(accepted: [String])
  /// The unit is none of the accepted ones.
  case unknownUnit(String, accepted: [String])
}

extension UnitTextConvertible {
  /// Reads a number followed by one of ``units``, with or without a space between.
  ///
  /// - Parameter unitText: for example `450 GB/s`, `1e3us`, `80 GiB`.
  /// - Throws: ``UnitTextError`` when there is no number, no unit, or another quantity's unit.
  public init(unitText: String) throws(UnitTextError) {
    let text = unitText.trimmedOfSpaces
    var end = text.startIndex
    var previous: Character = " "
    while end < text.endIndex {
      let character = text[end]
      let isSign = (character == "+" || character == "-")
      let signFits = end == text.startIndex || previous == "e" || previous == "E"
      let next = text.index(after: end)
      let startsExponent =
        (character == "e" || character == "E") && next < text.endIndex
        && (text[next].isASCIIDigit || text[next] == "+" || text[next] == "-")
      guard
        character.isASCIIDigit || character == "." || character == "_" || (isSign && signFits)
          || startsExponent
      else { break }
      previous = character
      end = next
    }
    guard let number = Double(String(text[..<end].filter { $0 != "_" })), number.isFinite else {
      throw UnitTextError.notANumber(unitText)
    }
    let unit = String(text[end...]).trimmedOfSpaces
    let accepted = Self.units.map(\.name)
    guard !unit.isEmpty else { throw UnitTextError.missingUnit(accepted: accepted) }
    guard let known = Self.units.first(where: { $0.name == unit }) else {
      throw UnitTextError.unknownUnit(unit, accepted: accepted)
    }
    self.init(baseValue: number * known.size)
  }

  /// The quantity in the largest preferred unit that leaves a number of at least one.
  ///
  /// Where that has many digits, in the largest that leaves a whole one below a million: 50,000 h are not
  /// 5.7077… y.
  public var unitText: String {
    let magnitude = abs(baseValue)
    let preferred = Self.units.filter(\.isPreferred)
    let unit =
      preferred.last { magnitude >= $0.size * 0.999_999_5 } ?? preferred.first
      ?? TextUnit("", 1)
    let text = number(in: unit)
    // Seven: a sign or a point and six digits.
    if text.count > 7,
      let plain = preferred.last(where: {
        let scaled = magnitude / $0.size
        return scaled == scaled.rounded() && scaled >= 1 && scaled < 1e6
      })
    {
      return "\(number(in: plain)) \(plain.name)"
    }
    return "\(text) \(unit.name)"
  }

  /// The shortest decimal that reads back to the same value in that unit.
  private func number(in unit: TextUnit) -> String {
    let scaled = baseValue / unit.size
    return scaled == scaled.rounded() && abs(scaled) < 1e15 ? "\(Int64(scaled))" : "\(scaled)"
  }
}

extension Character {
  /// Whether the character is one of `0` to `9`.
  var isASCIIDigit: Bool { ("0"..."9").contains(self) }
}

extension String {
  /// The text without spaces and tabs at either end.
  var trimmedOfSpaces: String {
    let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
    guard let first = firstIndex(where: { !isSpace($0) }),
      let last = lastIndex(where: { !isSpace($0) })
    else { return "" }
    return String(self[first...last])
  }
}

extension Bytes: UnitTextConvertible {
  /// Bytes with decimal and binary prefixes.
  public static let units = [
    TextUnit("B", 1), TextUnit("KiB", 1_024), TextUnit("MiB", 1_048_576),
    TextUnit("GiB", 1_073_741_824), TextUnit("TiB", 1_099_511_627_776),
    TextUnit("kB", 1e3, preferred: false), TextUnit("KB", 1e3, preferred: false),
    TextUnit("MB", 1e6, preferred: false), TextUnit("GB", 1e9, preferred: false),
    TextUnit("TB", 1e12, preferred: false), TextUnit("PB", 1e15, preferred: false),
  ]
  /// The count as a floating-point number.
  public var baseValue: Double { Double(count) }
  /// The nearest whole number of bytes.
  public init(baseValue: Double) { self.init(Int64(baseValue.rounded())) }
}

extension ByteRate: UnitTextConvertible {
  /// Bytes or bits a second with decimal and binary prefixes.
  public static let units = [
    TextUnit("B/s", 1), TextUnit("kB/s", 1e3), TextUnit("MB/s", 1e6), TextUnit("GB/s", 1e9),
    TextUnit("TB/s", 1e12),
    TextUnit("KB/s", 1e3, preferred: false), TextUnit("KiB/s", 1_024, preferred: false),
    TextUnit("MiB/s", 1_048_576, preferred: false),
    TextUnit("GiB/s", 1_073_741_824, preferred: false),
    TextUnit("TiB/s", 1_099_511_627_776, preferred: false),
    TextUnit("b/s", 0.125, preferred: false), TextUnit("kb/s", 125, preferred: false),
    TextUnit("Mb/s", 125e3, preferred: false), TextUnit("Gb/s", 125e6, preferred: false),
    TextUnit("Tb/s", 125e9, preferred: false),
  ]
  /// Bytes a second.
  public var baseValue: Double { bytesPerSecond }
  /// That many bytes a second.
  public init(baseValue: Double) { self.init(bytesPerSecond: baseValue) }
}

extension FlopRate: UnitTextConvertible {
  /// Operations a second with decimal prefixes.
  public static let units = [
    TextUnit("FLOP/s", 1), TextUnit("GFLOP/s", 1e9), TextUnit("TFLOP/s", 1e12),
    TextUnit("PFLOP/s", 1e15), TextUnit("EFLOP/s", 1e18),
    TextUnit("MFLOP/s", 1e6, preferred: false), TextUnit("kFLOP/s", 1e3, preferred: false),
  ]
  /// Operations a second.
  public var baseValue: Double { flopsPerSecond }
  /// That many operations a second.
  public init(baseValue: Double) { self.init(flopsPerSecond: baseValue) }
}

extension Seconds: UnitTextConvertible {
  /// From picoseconds to years of 365 days.
  public static let units = [
    TextUnit("ps", 1e-12), TextUnit("ns", 1e-9), TextUnit("us", 1e-6), TextUnit("ms", 1e-3),
    TextUnit("s", 1), TextUnit("min", 60), TextUnit("h", 3_600), TextUnit("d", 86_400),
    TextUnit("y", 31_536_000),
  ]
  /// The interval in seconds.
  public var baseValue: Double { value }
  /// That many seconds.
  public init(baseValue: Double) { self.init(baseValue) }
}

extension Watts: UnitTextConvertible {
  /// Watts with decimal prefixes.
  public static let units = [TextUnit("W", 1), TextUnit("kW", 1e3), TextUnit("MW", 1e6)]
  /// The power in watts.
  public var baseValue: Double { value }
  /// That many watts.
  public init(baseValue: Double) { self.init(baseValue) }
}

extension Percent: UnitTextConvertible {
  /// Hundredths.
  public static let units = [TextUnit("%", 1)]
  /// The part in hundredths.
  public var baseValue: Double { value }
  /// That many hundredths.
  public init(baseValue: Double) { self.init(baseValue) }
}

extension Dollars: UnitTextConvertible {
  /// United States dollars.
  public static let units = [TextUnit("USD", 1)]
  /// The amount in dollars.
  public var baseValue: Double { value }
  /// That many dollars.
  public init(baseValue: Double) { self.init(baseValue) }
}
