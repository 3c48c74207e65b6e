import Quantities

/// Numbers as people read them: few digits, thousands apart, the unit that fits.
enum Format {
  /// A number with `digits` significant digits, thousands separated by commas.
  static func number(_ value: Double, digits: Int = 3) -> String {
    guard value.isFinite else { return value.isNaN ? "unknown" : "endless" }
    guard value != 0 else { return "0" }
    let magnitude = abs(value)
    var exponent = 0
    var scale = 1.0
    while magnitude >= scale * 10, exponent < 300 {
      scale *= 10
      exponent += 1
    }
    while magnitude < scale, exponent > -300 {
      scale /= 10
      exponent -= 1
    }
    if exponent < -4 || exponent > 14 {
      let mantissa = number(value / scale, digits: digits)
      return "\(mantissa)e\(exponent)"
    }
    let decimals = max(0, digits - 1 - exponent)
    return fixed(value, decimals: decimals)
  }

  /// A number with exactly `decimals` digits after the point, thousands separated by commas.
  static func fixed(_ value: Double, decimals: Int) -> String {
    var factor = 1.0
    for _ in 0..<decimals { factor *= 10 }
    let scaled = (abs(value) * factor).rounded()
    guard scaled < 9e18 else { return "\(value)" }
    let units = Int64(scaled)
    let whole = units / Int64(factor)
    let fraction = String(units % Int64(factor))
    let sign = value < 0 && units > 0 ? "-" : ""
    guard decimals > 0 else { return sign + grouped(whole) }
    let padding = String(repeating: "0", count: decimals - fraction.count)
    return sign + grouped(whole) + "." + padding + fraction
  }

  /// A whole number with thousands separated by commas.
  static func grouped(_ value: Int64) -> String {
    let digits = Array(String(abs(value)))
    var result = value < 0 ? "-" : ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { result += "," }
      result.append(digit)
    }
    return result
  }

  /// A whole number with thousands separated by commas.
  static func grouped(_ value: Int) -> String { grouped(Int64(value)) }

  /// A large count in thousands, millions, billions or trillions.
  static func count(_ value: Double) -> String {
    for (size, name) in [(1e12, "T"), (1e9, "B"), (1e6, "M")] where value >= size {
      return "\(number(value / size, digits: 4)) \(name)"
    }
    return number(value, digits: 6)
  }

  /// A share in per cent with one decimal.
  static func percent(_ value: Double) -> String {
    value.isFinite ? "\(fixed(value * 100, decimals: 1)) %" : number(value)
  }

  /// Bytes in GiB with two decimals.
  static func gibibytes(_ bytes: Bytes) -> String { fixed(bytes.gibibytes, decimals: 2) }

  /// Bytes in the binary unit that fits.
  static func bytes(_ count: Double) -> String {
    for (size, name) in [(1_099_511_627_776.0, "TiB"), (1_073_741_824, "GiB"), (1_048_576, "MiB")]
    where count >= size {
      return "\(number(count / size)) \(name)"
    }
    return "\(number(count)) B"
  }

  /// An interval in the unit that fits.
  static func duration(_ seconds: Seconds) -> String {
    let value = seconds.value
    guard value.isFinite else { return "endless" }
    for (size, name) in [(86_400.0, "days"), (3_600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")]
    where value >= size * (name == "s" || name == "ms" ? 1 : 2) {
      return "\(number(value / size)) \(name)"
    }
    return value == 0 ? "0 s" : "\(number(value * 1e6)) us"
  }

  /// An amount of dollars.
  static func dollars(_ amount: Dollars) -> String {
    for (size, name) in [(1e9, " billion"), (1e6, " million")] where amount.value >= size {
      return "\(number(amount.value / size))\(name) USD"
    }
    return "\(fixed(amount.value, decimals: amount.value < 1_000 ? 2 : 0)) USD"
  }

  /// Operations a second in TFLOP/s.
  static func teraflops(_ perSecond: Double) -> String { number(perSecond / 1e12) }
}
