import Foundation

/// Throughput over a swept key, as SVG.
///
/// One line for each combination of the other keys, logarithmic axes, and for GPUs the line of perfect scaling
/// from the first point.
struct ScalingPlot {
  /// One line.
  struct Series {
    var name: String
    var points: [(x: Double, y: Double)]
  }

  var title: String
  var xName: String
  var series: [Series]
  /// Whether throughput would ideally grow with x.
  var hasIdeal: Bool

  private static let colours = [
    "#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB",
  ]
  private static let width = 620.0
  private static let height = 420.0
  private static let left = 100.0
  private static let top = 50.0

  /// The drawing; `nil` when there are fewer than two points to draw.
  var svg: String? {
    let points = series.flatMap(\.points).filter { $0.x > 0 && $0.y > 0 }
    guard points.count > 1, let least = points.map(\.x).min(), let most = points.map(\.x).max(),
      let low = points.map(\.y).min(), var high = points.map(\.y).max(), most > least
    else { return nil }
    let first = points.min { $0.x < $1.x } ?? points[0]
    if hasIdeal { high = max(high, first.y * most / first.x) }
    let (bottom, ceiling) = (low / 1.3, high * 1.3)
    let x = { (value: Double) in
      text(Self.left + Self.width * log(value / least) / log(most / least))
    }
    let y = { (value: Double) in
      text(Self.top + Self.height * (1 - log(value / bottom) / log(ceiling / bottom)))
    }
    var lines = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 "
        + "\(text(Self.left + Self.width + 240)) \(text(Self.top + Self.height + 70))\" "
        + "font-family=\"sans-serif\" font-size=\"12\">",
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
      "<text x=\"\(text(Self.left))\" y=\"24\" font-size=\"15\">\(SVG.escaped(title))</text>",
    ]
    for tick in Set(points.map(\.x)).sorted() {
      lines.append(
        "<path d=\"M\(x(tick)) \(y(bottom))V\(y(ceiling))\" stroke=\"#ddd\"/>"
          + "<text x=\"\(x(tick))\" y=\"\(text(Self.top + Self.height + 18))\" "
          + "text-anchor=\"middle\">\(Self.tickText(tick))</text>")
    }
    for tick in Self.ticks(from: bottom, to: ceiling) {
      lines.append(
        "<path d=\"M\(x(least)) \(y(tick))H\(x(most))\" stroke=\"#ddd\"/>"
          + "<text x=\"\(text(Self.left - 6))\" y=\"\(y(tick))\" dy=\"4\" "
          + "text-anchor=\"end\">\(Format.number(tick))</text>")
    }
    if hasIdeal {
      lines.append(
        "<path d=\"M\(x(first.x)) \(y(first.y))L\(x(most)) \(y(first.y * most / first.x))\" "
          + "stroke=\"#444\" stroke-dasharray=\"4 4\"/>")
    }
    for (index, series) in series.enumerated() {
      let colour = Self.colours[index % Self.colours.count]
      let path = series.points.filter { $0.x > 0 && $0.y > 0 }.sorted { $0.x < $1.x }
        .enumerated().map { "\($0.offset == 0 ? "M" : "L")\(x($0.element.x)) \(y($0.element.y))" }
        .joined()
      lines.append(
        "<path d=\"\(path)\" stroke=\"\(colour)\" stroke-width=\"2\" fill=\"none\"/>")
      let place = Self.top + 10 + 18 * Double(index)
      lines.append(
        "<path d=\"M\(text(Self.left + Self.width + 16)) \(text(place))h18\" "
          + "stroke=\"\(colour)\" stroke-width=\"2\"/><text "
          + "x=\"\(text(Self.left + Self.width + 40))\" y=\"\(text(place + 4))\">"
          + "\(SVG.escaped(series.name))</text>")
    }
    let middle = text(Self.top + Self.height / 2)
    lines += [
      "<text x=\"\(text(Self.left + Self.width / 2))\" y=\"\(text(Self.top + Self.height + 44))\" "
        + "text-anchor=\"middle\">\(SVG.escaped(xName))</text>",
      "<text x=\"18\" y=\"\(middle)\" transform=\"rotate(-90 18 \(middle))\" "
        + "text-anchor=\"middle\">tokens/s\(hasIdeal ? " (dashed: perfect scaling)" : "")</text>",
      "</svg>",
    ]
    return lines.joined(separator: "\n") + "\n"
  }

  private static func tickText(_ value: Double) -> String {
    Int64(exactly: value).map { Format.grouped($0) } ?? Format.number(value)
  }

  /// 1, 2 and 5 times the powers of ten between two values.
  private static func ticks(from low: Double, to high: Double) -> [Double] {
    var result: [Double] = []
    var power = pow(10, log10(low).rounded(.down))
    while power <= high {
      result += [1, 2, 5].map { $0 * power }.filter { $0 >= low && $0 <= high }
      power *= 10
    }
    return result
  }

  private func text(_ coordinate: Double) -> String { SVG.coordinate(coordinate) }
}
