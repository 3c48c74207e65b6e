import Hardware
import Quantities
import RunForecast
import ScenarioFile
import StepProgram
import Transformer

extension SimulationReport {
  /// The result for a terminal: the verdict first, then what binds, memory, time, the run.
  public var text: String {
    var lines = [scenario.name, verdict, bindingConstraint, ""]
    lines += stepLines + [""] + memoryLines + [""] + runLines
    if !published.isEmpty { lines += [""] + publishedLines }
    if let uncertainty {
      lines += [
        "",
        "Error: half within \(Format.percent(uncertainty.median)), nine in ten within "
          + "\(Format.percent(uncertainty.ninetiethPercentile)), from \(uncertainty.basis).",
      ]
    }
    let warnings = self.warnings
    if !warnings.isEmpty { lines += [""] + warnings.map { "Warning: \($0)" } }
    return lines.joined(separator: "\n") + "\n"
  }

  /// One line: fits or not, by how much, on which rank.
  var verdict: String {
    guard let fullest = step.fullestRank else { return "Memory not simulated." }
    let place = "rank \(fullest.rank) (pipeline stage \(fullest.pipelineStage))"
    if fits {
      let share = Double(fullest.peak.count) / Double(max(1, capacity.count))
      return "Fits: \(place) needs most, \(Format.gibibytes(fullest.peak)) of "
        + "\(Format.gibibytes(capacity)) GiB (\(Format.percent(share)))."
    }
    let largest = fullest.parts.max { $0.bytes < $1.bytes }
    let part = largest.map { "; \($0.key) \(Format.gibibytes($0.bytes)) GiB" } ?? ""
    return "Does not fit: \(place) needs \(Format.gibibytes(fullest.peak)) of "
      + "\(Format.gibibytes(capacity)) GiB\(part)."
  }

  /// One line: what takes the time.
  var bindingConstraint: String {
    let names = [
      "compute": "compute", "tensor_exposed": "tensor-parallel communication",
      "context_exposed": "context-parallel communication",
      "expert_exposed": "expert-parallel communication",
      "pipeline_exposed": "pipeline communication", "data_exposed": "data-parallel communication",
      "bubble": "the pipeline bubble", "optimizer": "the optimizer", "other": "host and skew",
    ]
    let parts = step.breakdown.parts.sorted { $0.seconds > $1.seconds }
    guard let first = parts.first, step.seconds.value > 0 else { return "" }
    let share = { (part: (key: String, seconds: Seconds)) in
      Format.percent(part.seconds.value / step.seconds.value)
    }
    let name = { (part: (key: String, seconds: Seconds)) in names[part.key] ?? part.key }
    var line = "Bound by \(name(first)) (\(share(first)) of the step)"
    if parts.count > 1, parts[1].seconds.value > 0 {
      line += ", then \(name(parts[1])) (\(share(parts[1])))"
    }
    return line + "."
  }

  private var stepLines: [String] {
    let gpus = Double(scenario.job.cluster.gpuCount)
    var table = TextTable(["Step", "time", "share"])
    for part in step.breakdown.parts where part.seconds.value > 0 {
      table.add([
        part.key, Format.duration(part.seconds),
        Format.percent(part.seconds.value / step.seconds.value),
      ])
    }
    table.add(["total", Format.duration(step.seconds), Format.percent(1)])
    let speed =
      "\(Format.number(tokensPerSecond, digits: 4)) tokens/s, "
      + "\(Format.number(tokensPerSecond / gpus, digits: 4)) per GPU; "
      + "\(Format.teraflops(modelRate)) TFLOP/s per GPU "
      + "(\(Format.teraflops(hardwareRate)) with recomputation); "
      + "MFU \(Format.percent(modelRate / peakRate)), HFU \(Format.percent(hardwareRate / peakRate))"
    return [speed, ""] + table.lines(indent: 0)
  }

  /// Kinds of ranks the memory table shows at most; results have them all.
  private static let memoryRowLimit = 8

  /// Ranks with equal memory as one row; beyond the limit the first, the last and the fullest.
  var memoryLines: [String] {
    var heading = ["Memory, GiB", "ranks", "stage"]
    heading += step.memory.first?.parts.map(\.key) ?? []
    var table = TextTable(heading + ["peak"])
    var rows: [(ranks: RankMemory, stages: ClosedRange<Int>)] = []
    for rank in step.memory {
      let parts = rank.parts.map(\.bytes)
      let equal = rows.firstIndex {
        $0.ranks.peak == rank.peak && $0.ranks.parts.map(\.bytes) == parts
      }
      if let equal {
        rows[equal].ranks.count += rank.count
        let stages = rows[equal].stages
        rows[equal].stages =
          min(stages.lowerBound, rank.pipelineStage)...max(stages.upperBound, rank.pipelineStage)
      } else {
        rows.append((rank, rank.pipelineStage...rank.pipelineStage))
      }
    }
    var left = 0
    if rows.count > Self.memoryRowLimit {
      let fullest = rows.indices.sorted {
        (rows[$1].ranks.peak, $0) < (rows[$0].ranks.peak, $1)
      }
      var shown: Set<Int> = [0, rows.count - 1]
      for index in fullest where shown.count < Self.memoryRowLimit { shown.insert(index) }
      left = rows.count - shown.count
      rows = rows.indices.filter(shown.contains).map { rows[$0] }
    }
    for (rank, stages) in rows {
      let stage =
        stages.count == 1 ? "\(stages.lowerBound)" : "\(stages.lowerBound)–\(stages.upperBound)"
      table.add(
        ["rank \(rank.rank)", Format.grouped(rank.count), stage]
          + rank.parts.map { Format.gibibytes($0.bytes) } + [Format.gibibytes(rank.peak)])
    }
    var lines = table.lines(indent: 0)
    if left > 0 {
      lines.append(
        "and \(left) more kinds of ranks, none fuller than those shown (memory.csv has all)")
    }
    return lines
  }

  private var publishedLines: [String] {
    var table = TextTable(["Held against", "predicted", "published", "error"])
    for entry in published {
      table.add([
        entry.figure.rawValue, Format.number(entry.predicted, digits: 4),
        Format.number(entry.published, digits: 4),
        Format.percent(entry.predicted / entry.published - 1),
      ])
    }
    return table.lines(indent: 0) + ["source: \(scenario.published?.source ?? "")"]
  }

  /// Memory of every kind of rank as comma-separated values, in bytes.
  public var memoryCSV: String {
    let parts = step.memory.first?.parts.map { $0.key + "_bytes" } ?? []
    var table = CommaSeparated(["rank", "count", "pipeline_stage"] + parts + ["peak_bytes"])
    for rank in step.memory {
      table.add(
        ["\(rank.rank)", "\(rank.count)", "\(rank.pipelineStage)"]
          + rank.parts.map { "\($0.bytes.count)" } + ["\(rank.peak.count)"])
    }
    return table.text
  }
}
