/// Pieces of text that every drawing and page is made of.
enum SVG {
  /// A coordinate with one decimal, none where it is whole.
  static func coordinate(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return tenths.isMultiple(of: 10)
      ? "\(tenths / 10)" : "\(tenths < 0 ? "-" : "")\(abs(tenths) / 10).\(abs(tenths) % 10)"
  }

  /// Round numbers from 0 to `most`, at least two and about five: a step of 1, 2 or 5 times a power of ten.
  static func ticks(upTo most: Double) -> [Double] {
    guard most > 0, most.isFinite else { return [0] }
    var power = 1.0
    while power * 10 <= most / 2 { power *= 10 }
    while power > most / 2 { power /= 10 }
    let step = [5, 2, 1].map { $0 * power }.first { most / $0 >= 3 } ?? power
    return (0...Int(most / step)).map { Double($0) * step }
  }

  /// Text that XML takes as text.
  static func escaped(_ text: String) -> String {
    var result = ""
    for character in text {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      default: result.append(character)
      }
    }
    return result
  }
}
