import Layout
import Quantities
public import StepProgram
public import StepSimulation

/// A step over time as SVG: what each pipeline stage computes, and what the fullest holds.
public struct StepPicture: Sendable {
  /// Turns of all stages that a picture can hold; beyond them a browser gets slow.
  public static let turnLimit = 20_000

  private static let width = 900.0
  private static let left = 80.0
  private static let rowHeight = 18.0

  private let traces: [RankTrace]
  private let memory: [MemoryMoment]
  private let memoryStage: Int
  private let namesRanks: Bool
  private let note: String?
  /// When the last turn ends, picoseconds; found once, as every coordinate asks for it.
  private let end: Double

  /// A picture of a step; `nil` when it has more than ``turnLimit`` turns.
  ///
  /// - Parameters:
  ///   - program: the step.
  ///   - ranks: of each pipeline stage the rank that is drawn.
  ///   - memoryStage: the stage whose memory is drawn.
  ///   - speeds: how fast each rank is.
  ///   - note: what of the step is not drawn; `nil` for nothing.
  /// - Throws: `StepSimulationError` when the step does not end.
  public init?(
    _ program: StepProgram, ranks: [Int], memoryStage: Int, speeds: RankSpeeds = .uniform,
    note: String? = nil
  ) throws {
    let job = program.job
    let turns =
      program.stages.count * job.microbatchCount * 2 * max(1, job.parallelism.virtualStages)
    guard turns <= Self.turnLimit else { return nil }
    traces = try FoldedSimulation.trace(program, ranks: ranks, speeds: speeds)
    namesRanks = !speeds.isUniform
    self.note = note
    memory = traces.first { $0.stage == memoryStage }?.memory ?? []
    self.memoryStage = memoryStage
    end = Double(traces.compactMap { $0.turns.lazy.map(\.end.picoseconds).max() }.max() ?? 1)
  }

  private func x(_ picoseconds: Int64) -> Double {
    Self.left + Self.width * Double(picoseconds) / max(end, 1)
  }

  /// The kinds of turns: name, colour.
  private static let kinds: [(kind: Phase.Kind, name: String, colour: String)] = [
    (.forward, "forward", "#4477AA"), (.backward, "backward", "#EE6677"),
    (.weightGradient, "weight gradients", "#CCBB44"), (.optimizer, "optimizer", "#228833"),
  ]

  /// What the rows stand for, where ranks of a stage differ, and what is not drawn.
  var notes: [String] {
    (namesRanks ? ["Each GPU at its own speed; of each stage the rank that is done last."] : [])
      + (note.map { [$0] } ?? [])
  }

  /// One row a stage; gaps are waiting.
  var schedule: String {
    let height = Self.rowHeight * Double(traces.count)
    var lines = [Self.open(height: height + 46)]
    var column = Self.left
    for kind in Self.kinds
    where traces.contains(where: { $0.turns.contains { $0.phase.kind == kind.kind } }) {
      lines.append(
        "<rect x=\"\(text(column))\" y=\"4\" width=\"10\" height=\"10\" fill=\"\(kind.colour)\"/>"
          + "<text x=\"\(text(column + 14))\" y=\"13\">\(kind.name)</text>")
      column += 130
    }
    for (row, trace) in traces.enumerated() {
      let y = 22 + Self.rowHeight * Double(row)
      lines.append(
        "<text x=\"\(text(Self.left - 6))\" y=\"\(text(y + 12))\" text-anchor=\"end\">"
          + (namesRanks ? "rank \(trace.rank)" : "stage \(trace.stage)") + "</text>")
      for kind in Self.kinds {
        // One path a kind and stage: every turn a rectangle.
        let path = trace.turns.filter { $0.phase.kind == kind.kind }.map { turn in
          let start = x(turn.start.picoseconds)
          let length = max(0.2, x(turn.end.picoseconds) - start)
          return "M\(text(start)) \(text(y))h\(text(length))v15h-\(text(length))z"
        }.joined()
        guard !path.isEmpty else { continue }
        lines.append(
          "<path d=\"\(path)\" fill=\"\(kind.colour)\" stroke=\"white\" stroke-width=\"0.3\"/>")
      }
    }
    lines.append(axis(at: 22 + height))
    return (lines + ["</svg>"]).joined(separator: "\n")
  }

  /// Tensor bytes of the stage over the step, category upon category.
  var memoryOverTime: String? {
    guard let most = memory.map(\.total).max(), most > 0 else { return nil }
    let height = 200.0
    let base = 22 + height
    let y = { (bytes: Int64) in base - height * Double(bytes) / Double(most) }
    let names: [(MemoryCategory, String, String)] = MemoryPalette.categories
    var lines = [Self.open(height: base + 46)]
    var column = Self.left
    let drawn = thinned
    var below = [Int64](repeating: 0, count: memory.count)
    for (category, name, colour) in names {
      let held = memory.map { $0.held[category.rawValue] }
      guard held.contains(where: { $0 > 0 }) else { continue }
      var upper = "M\(text(Self.left)) \(text(y(below[0])))"
      var lower = ""
      for index in drawn {
        let from = x(memory[index].picoseconds)
        upper += "H\(text(from))V\(text(y(below[index] + held[index])))"
        lower = "V\(text(y(below[index])))H\(text(from))" + lower
      }
      lines.append(
        "<path d=\"\(upper)H\(text(Self.left + Self.width))\(lower)z\" fill=\"\(colour)\"/>")
      lines.append(
        "<rect x=\"\(text(column))\" y=\"4\" width=\"10\" height=\"10\" fill=\"\(colour)\"/>"
          + "<text x=\"\(text(column + 14))\" y=\"13\">\(name)</text>")
      column += 110
      for index in below.indices { below[index] += held[index] }
    }
    for tick in SVG.ticks(upTo: Bytes(most).gibibytes).dropFirst() {
      let bytes = Bytes.gibibytes(tick).count
      lines.append(
        "<path d=\"M\(text(Self.left)) \(text(y(bytes)))h\(text(Self.width))\" stroke=\"#0002\"/>"
          + "<text x=\"\(text(Self.left - 6))\" y=\"\(text(y(bytes) + 4))\" text-anchor=\"end\">"
          + "\(Format.number(tick)) GiB</text>")
    }
    lines.append(axis(at: base))
    return (lines + ["</svg>"]).joined(separator: "\n")
  }

  /// The stage whose memory is drawn, in words.
  var memoryTitle: String { "Memory of a rank of stage \(memoryStage) over the step (tensors)" }

  /// Places among ``memory`` that are drawn: of those that fall on one pixel the fullest.
  private var thinned: [Int] {
    var result: [Int] = []
    for index in memory.indices {
      if let last = result.last,
        Int(x(memory[last].picoseconds) * 2) == Int(x(memory[index].picoseconds) * 2)
      {
        if memory[index].total > memory[last].total { result[result.count - 1] = index }
      } else {
        result.append(index)
      }
    }
    return result
  }

  private func axis(at y: Double) -> String {
    var ticks = SVG.ticks(upTo: end * 1e-12)
    // The end itself, where a round number does not stand beside it.
    if let last = ticks.last, x(Int64(end)) - x(Int64(last * 1e12)) < 60 { ticks.removeLast() }
    return (ticks + [end * 1e-12]).map { tick in
      "<text x=\"\(text(x(Int64(tick * 1e12))))\" y=\"\(text(y + 16))\" "
        + "text-anchor=\"middle\">\(Format.duration(Seconds(tick)))</text>"
    }.joined()
  }

  private static func open(height: Double) -> String {
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(text(left + width + 40)) "
      + "\(text(height))\" font-family=\"sans-serif\" font-size=\"11\">"
  }

  private static func text(_ value: Double) -> String { SVG.coordinate(value) }

  private func text(_ value: Double) -> String { Self.text(value) }
}

/// Colours of memory categories, the same in every drawing.
enum MemoryPalette {
  static let categories: [(MemoryCategory, String, String)] = [
    (.parameters, "parameters", "#4477AA"), (.gradients, "gradients", "#66CCEE"),
    (.optimizer, "optimizer", "#228833"), (.activations, "activations", "#EE6677"),
    (.buffers, "buffers", "#CCBB44"), (.runtime, "runtime", "#BBBBBB"),
  ]

  /// The colour of a category by its name in results.
  static func colour(_ name: String) -> String {
    categories.first { $0.1 == name }?.2 ?? "#AA3377"
  }
}
