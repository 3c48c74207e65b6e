import Hardware
import Quantities
import RunForecast
import ScenarioFile
import StepProgram
import StepSimulation
import Studies

extension SimulationReport {
  /// The result as one page that opens in any browser: no scripts, nothing fetched, prints as it is.
  ///
  /// - Parameter picture: the step over time; `nil` to leave it out.
  /// - Returns: HTML.
  public func html(picture: StepPicture?) -> String {
    let title = Self.escaped(scenario.name)
    var body = [
      "<h1>\(title)</h1>",
      "<p class=\"\(fits ? "fits" : "not")\">\(Self.escaped(verdict))</p>",
      "<p>\(Self.escaped(bindingConstraint))</p>", cards,
      "<h2>Where the step's time goes</h2>", stepBar,
      "<h2>Memory of each kind of rank</h2>", memoryBars,
    ]
    if let picture {
      body += ["<h2>The step, stage by stage</h2>", picture.schedule]
      body += picture.notes.map { "<p>\(Self.escaped($0))</p>" }
      if let memory = picture.memoryOverTime {
        body += ["<h2>\(Self.escaped(picture.memoryTitle))</h2>", memory]
      }
    }
    body += ["<h2>From ideal to calendar time</h2>", waterfallBars]
    let figures = published
    if !figures.isEmpty {
      body += ["<h2>Held against what was published</h2>", publishedTable(figures)]
    }
    body += ["<h2>How sure this is</h2>", "<p>\(Self.escaped(sureness))</p>"]
    if !warnings.isEmpty {
      body.append(
        "<ul>" + warnings.map { "<li>\(Self.escaped($0))</li>" }.joined() + "</ul>")
    }
    body += [
      "<h2>In full</h2>",
      "<details><summary>report.txt</summary><pre>\(Self.escaped(text))</pre></details>",
      "<details><summary>The scenario with every default</summary><pre>"
        + "\(Self.escaped(scenario.resolved.text))</pre></details>",
    ]
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(title)</title>
      <style>
      body { font: 15px/1.45 system-ui, sans-serif; max-width: 1040px; margin: 2em auto; padding: 0 1em; color: #222 }
      h1 { font-size: 1.5em } h2 { font-size: 1.1em; margin-top: 1.8em }
      svg { width: 100%; height: auto; background: #fff }
      .fits, .not { padding: .5em .8em; border-left: 5px solid #228833; background: #22883318 }
      .not { border-color: #cc3311; background: #cc331118 }
      .cards { display: grid; grid-template-columns: repeat(4, 1fr); gap: .8em }
      @media (max-width: 700px) { .cards { grid-template-columns: repeat(2, 1fr) } }
      .cards div { border: 1px solid #ddd; border-radius: 6px; padding: .5em .8em }
      .cards b { display: block; font-size: 1.25em } .cards span { color: #666; font-size: .85em }
      table { border-collapse: collapse } td, th { padding: .15em .8em .15em 0; text-align: left }
      td.n { text-align: right; font-variant-numeric: tabular-nums }
      pre { overflow-x: auto; font-size: 12px }
      </style>
      </head>
      <body>
      \(body.joined(separator: "\n"))
      </body>
      </html>

      """
  }

  /// The figures everybody asks for first.
  private var cards: String {
    let gpus = Double(scenario.job.cluster.gpuCount)
    let figures = [
      (Format.duration(step.seconds), "a step"),
      ("\(Format.number(tokensPerSecond / gpus, digits: 4))", "tokens a second and GPU"),
      ("\(Format.teraflops(modelRate)) TFLOP/s", "a GPU, model operations"),
      (Format.percent(modelRate / peakRate), "MFU"),
      (Format.duration(run.wallTime), "the run"),
      ("\(Format.number(run.gpuHours, digits: 4))", "GPU-hours"),
      (Format.dollars(run.cost), "cost"),
      ("\(Format.number(run.energyKilowattHours / 1_000, digits: 3)) MWh", "energy"),
    ]
    return "<div class=\"cards\">"
      + figures.map { "<div><b>\(Self.escaped($0.0))</b><span>\($0.1)</span></div>" }.joined()
      + "</div>"
  }

  /// The parts of the step as one bar, and as a table.
  private var stepBar: String {
    let colours = [
      "#4477AA", "#EE6677", "#AA3377", "#CC3311", "#EE7733", "#CCBB44", "#BBBBBB", "#228833",
      "#66CCEE",
    ]
    let total = max(step.seconds.value, .leastNonzeroMagnitude)
    var bar = "<svg viewBox=\"0 0 1000 34\">"
    var rows = ""
    var place = 0.0
    for (part, colour) in zip(step.breakdown.parts, colours) where part.seconds.value > 0 {
      let share = part.seconds.value / total
      bar +=
        "<rect x=\"\(SVG.coordinate(place * 1_000))\" y=\"2\" width=\"\(SVG.coordinate(share * 1_000))\" "
        + "height=\"30\" fill=\"\(colour)\"><title>\(Self.words(part.key))</title></rect>"
      place += share
      rows +=
        "<tr><td><span style=\"color:\(colour)\">■</span> \(Self.words(part.key))</td>"
        + "<td class=\"n\">\(Format.duration(part.seconds))</td>"
        + "<td class=\"n\">\(Format.percent(share))</td></tr>"
    }
    return bar + "</svg>\n<table>\(rows)</table>"
  }

  /// One bar a kind of rank, the GPU's memory as a line.
  private var memoryBars: String {
    // As many as a page shows; memory.csv has all.
    let shown = step.memory.count <= 32 ? step.memory : fullestRanks(32)
    let most = max(shown.map(\.peak.count).max() ?? 1, capacity.count)
    let scale = { (bytes: Bytes) in 820 * Double(bytes.count) / Double(most) }
    let height = 20 * shown.count + 44
    var svg = "<svg viewBox=\"0 0 1000 \(height)\" font-family=\"sans-serif\" font-size=\"11\">"
    var column = 120.0
    for (key, _) in shown.first?.parts ?? [] {
      svg +=
        "<rect x=\"\(SVG.coordinate(column))\" y=\"4\" width=\"10\" height=\"10\" "
        + "fill=\"\(MemoryPalette.colour(key))\"/><text x=\"\(SVG.coordinate(column + 14))\" "
        + "y=\"13\">\(key)</text>"
      column += 110
    }
    for (row, rank) in shown.enumerated() {
      let y = 22 + 20 * row
      svg +=
        "<text x=\"114\" y=\"\(y + 13)\" text-anchor=\"end\">rank \(rank.rank)\(alike(rank))</text>"
      var place = 120.0
      for (key, bytes) in rank.parts where bytes.count > 0 {
        svg +=
          "<rect x=\"\(SVG.coordinate(place))\" y=\"\(y)\" width=\"\(SVG.coordinate(scale(bytes)))\" "
          + "height=\"16\" fill=\"\(MemoryPalette.colour(key))\"><title>\(key) "
          + "\(Format.gibibytes(bytes)) GiB</title></rect>"
        place += scale(bytes)
      }
      svg +=
        "<text x=\"\(SVG.coordinate(place + 4))\" y=\"\(y + 13)\">\(Format.gibibytes(rank.peak))</text>"
    }
    let limit = SVG.coordinate(120 + scale(capacity))
    svg +=
      "<path d=\"M\(limit) 18V\(height - 20)\" stroke=\"#cc3311\" stroke-dasharray=\"4 3\"/>"
      + "<text x=\"\(limit)\" y=\"\(height - 6)\" text-anchor=\"middle\" fill=\"#cc3311\">"
      + "\(Format.gibibytes(capacity)) GiB a GPU</text></svg>"
    return svg
  }

  /// How many ranks one stands for.
  private func alike(_ rank: RankMemory) -> String {
    scenario.simulation.speeds.isUniform ? ", \(rank.count) alike" : " of \(rank.count)"
  }

  private func fullestRanks(_ count: Int) -> [RankMemory] {
    let chosen = step.memory.sorted { ($1.peak, $0.rank) < ($0.peak, $1.rank) }.prefix(count)
    return chosen.sorted { $0.rank < $1.rank }
  }

  /// Each loss on the way to the calendar, one below the other.
  private var waterfallBars: String {
    let all = run.wallTime.value
    guard all.isFinite, all > 0 else { return "<p>The run never ends.</p>" }
    let parts = waterfall.parts.filter { $0.seconds.value != 0 }
    var svg =
      "<svg viewBox=\"0 0 1000 \(22 * parts.count + 26)\" font-family=\"sans-serif\" "
      + "font-size=\"11\">"
    var place = 0.0
    for (row, part) in parts.enumerated() {
      let share = part.seconds.value / all
      let from = min(place, place + share)
      svg +=
        "<text x=\"154\" y=\"\(22 * row + 14)\" text-anchor=\"end\">"
        + "\(Self.words(part.key))</text>"
        + "<rect x=\"\(SVG.coordinate(160 + 700 * from))\" y=\"\(22 * row + 2)\" "
        + "width=\"\(SVG.coordinate(max(1, 700 * abs(share))))\" height=\"16\" "
        + "fill=\"\(row == 0 ? "#228833" : "#4477AA")\"/>"
        + "<text x=\"\(SVG.coordinate(166 + 700 * (from + abs(share))))\" y=\"\(22 * row + 14)\">"
        + "\(Format.number(part.seconds.days)) days</text>"
      place += share
    }
    return svg + "<text x=\"160\" y=\"\(22 * parts.count + 16)\">calendar "
      + "\(Format.number(run.wallTime.days)) days</text></svg>"
  }

  private func publishedTable(
    _ figures: [(figure: PublishedFigures.Figure, predicted: Double, published: Double)]
  ) -> String {
    "<table><tr><th></th><th>predicted</th><th>published</th><th>error</th></tr>"
      + figures.map {
        "<tr><td>\($0.figure.rawValue)</td><td class=\"n\">\(Format.number($0.predicted, digits: 4))"
          + "</td><td class=\"n\">\(Format.number($0.published, digits: 4))</td><td class=\"n\">"
          + "\(Format.percent($0.predicted / $0.published - 1))</td></tr>"
      }.joined() + "</table><p>Source: \(Self.escaped(scenario.published?.source ?? ""))</p>"
  }

  private var sureness: String {
    guard let uncertainty else { return "Nothing measured is like this run." }
    return "Half of the measured runs most like this one are predicted within "
      + "\(Format.percent(uncertainty.median)), nine in ten within "
      + "\(Format.percent(uncertainty.ninetiethPercentile)): \(uncertainty.basis)."
  }

  /// A key of a result in words: `tensor exposed`.
  private static func words(_ key: String) -> String {
    key.split(separator: "_").joined(separator: " ")
  }

  private static func escaped(_ text: String) -> String { SVG.escaped(text) }
}
