import Foundation

/// Predicted against measured on logarithmic axes, as SVG.
struct ScatterPlot {
  /// Points of one colour.
  struct Series {
    var name: String
    var points: [(measured: Double, predicted: Double)]
  }

  /// One square of axes.
  struct Panel {
    var title: String
    var unit: String
    var series: [Series]
  }

  var panels: [Panel]

  /// Twelve colours that stay apart on white (Paul Tol's muted and bright schemes).
  private static let colours = [
    "#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255",
    "#AA4499", "#4477AA", "#EE7733", "#BBBBBB",
  ]

  private static let side = 440.0
  private static let left = 70.0
  private static let top = 40.0
  private static let legend = 210.0

  /// The drawing: panels side by side, one legend at the right.
  var svg: String {
    let panelWidth = Self.left + Self.side + 20
    let width = panelWidth * Double(panels.count) + Self.legend
    let height = Self.top + Self.side + 60
    var names: [String] = []
    for panel in panels {
      for series in panel.series where !names.contains(series.name) { names.append(series.name) }
    }
    let colour = { (name: String) in
      Self.colours[(names.firstIndex(of: name) ?? 0) % Self.colours.count]
    }
    var lines = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(text(width)) \(text(height))\" "
        + "font-family=\"sans-serif\" font-size=\"12\">",
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
    ]
    for (index, panel) in panels.enumerated() {
      lines.append("<g transform=\"translate(\(text(panelWidth * Double(index))) 0)\">")
      lines += drawing(of: panel, colour: colour)
      lines.append("</g>")
    }
    let x = panelWidth * Double(panels.count)
    for (index, name) in names.enumerated() {
      let y = Self.top + 10 + 18 * Double(index)
      lines.append("<circle cx=\"\(text(x))\" cy=\"\(text(y))\" r=\"4\" fill=\"\(colour(name))\"/>")
      lines.append("<text x=\"\(text(x + 10))\" y=\"\(text(y + 4))\">\(SVG.escaped(name))</text>")
    }
    return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
  }

  private func drawing(of panel: Panel, colour: (String) -> String) -> [String] {
    let values = panel.series.flatMap(\.points).flatMap { [$0.measured, $0.predicted] }
      .filter { $0 > 0 && $0.isFinite }
    guard let least = values.min(), let most = values.max() else { return [] }
    let low = Self.floorPowerOfTen(least)
    var high = Self.floorPowerOfTen(most)
    if high < most || high == low { high *= 10 }
    let decades = Self.decades(from: low, to: high)
    let place = { (value: Double) in
      Self.side * log10(value / low) / Double(decades)
    }
    let x = { (value: Double) in text(Self.left + place(value)) }
    let y = { (value: Double) in text(Self.top + Self.side - place(value)) }
    var lines = [
      "<text x=\"\(text(Self.left + Self.side / 2))\" y=\"24\" text-anchor=\"middle\" "
        + "font-size=\"15\">\(SVG.escaped(panel.title))</text>"
    ]
    var tick = low
    for _ in 0...decades {
      lines.append(
        "<path d=\"M\(x(tick)) \(y(low))V\(y(high))M\(x(low)) \(y(tick))H\(x(high))\" "
          + "stroke=\"#ddd\" fill=\"none\"/>")
      lines.append(
        "<text x=\"\(x(tick))\" y=\"\(text(Self.top + Self.side + 18))\" text-anchor=\"middle\">"
          + "\(Format.number(tick))</text>")
      lines.append(
        "<text x=\"\(text(Self.left - 6))\" y=\"\(y(tick))\" dy=\"4\" text-anchor=\"end\">"
          + "\(Format.number(tick))</text>")
      tick *= 10
    }
    let band = 1.2
    lines.append(
      "<path d=\"M\(x(low)) \(y(low * band))L\(x(high / band)) \(y(high))"
        + "M\(x(low * band)) \(y(low))L\(x(high)) \(y(high / band))\" stroke=\"#999\" "
        + "stroke-dasharray=\"4 4\" fill=\"none\"/>")
    lines.append(
      "<path d=\"M\(x(low)) \(y(low))L\(x(high)) \(y(high))\" stroke=\"#444\" fill=\"none\"/>")
    for series in panel.series where !series.points.isEmpty {
      let path = series.points.filter { $0.measured > 0 && $0.predicted > 0 }
        .map { "M\(x($0.measured)) \(y($0.predicted))h0" }.joined()
      lines.append(
        "<path d=\"\(path)\" stroke=\"\(colour(series.name))\" stroke-width=\"4\" "
          + "stroke-linecap=\"round\" stroke-opacity=\"0.6\" fill=\"none\"/>")
    }
    lines.append(
      "<text x=\"\(text(Self.left + Self.side / 2))\" y=\"\(text(Self.top + Self.side + 42))\" "
        + "text-anchor=\"middle\">measured, \(panel.unit)</text>")
    let middle = text(Self.top + Self.side / 2)
    lines.append(
      "<text x=\"20\" y=\"\(middle)\" transform=\"rotate(-90 20 \(middle))\" "
        + "text-anchor=\"middle\">predicted, \(panel.unit) (dashed: 20 % off)</text>")
    return lines
  }

  private func text(_ coordinate: Double) -> String { SVG.coordinate(coordinate) }

  /// The largest power of ten not above `value`, which is positive.
  private static func floorPowerOfTen(_ value: Double) -> Double {
    var power = 1.0
    while power > value { power /= 10 }
    while power * 10 <= value { power *= 10 }
    return power
  }

  private static func decades(from low: Double, to high: Double) -> Int {
    var count = 0
    var power = low
    while power < high * 0.999 {
      power *= 10
      count += 1
    }
    return max(1, count)
  }

}
