public import Studies
import Quantities
import RunForecast
import ScenarioFile

extension SimulationReport {
  /// Where the bytes are, the moment of the peak, headroom, and what would make it fit.
  ///
  /// - Parameter remedies: changes that make the scenario fit; `nil` when it was not asked for any.
  /// - Returns: lines for a terminal.
  public func memoryText(remedies: [MemoryRemedy]?) -> String {
    var lines = [scenario.name, verdict, ""] + memoryLines
    if let fullest = step.fullestRank {
      lines += ["", peakLine(fullest)]
      if fullest.reserved > .zero {
        lines.append(
          "Counted by the allocator \(Format.gibibytes(fullest.tensors)) GiB, reserved by it "
            + "\(Format.gibibytes(fullest.reserved)), by nvidia-smi \(Format.gibibytes(fullest.peak))."
        )
      }
      if fullest.host > .zero {
        lines.append("In the host's memory, for each GPU: \(Format.gibibytes(fullest.host)) GiB.")
      }
      let room = capacity - fullest.peak
      lines.append(
        room >= .zero
          ? "Headroom: \(Format.gibibytes(room)) GiB."
          : "Missing: \(Format.gibibytes(Bytes.zero - room)) GiB.")
    }
    if let remedies { lines += [""] + remedyLines(remedies) }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Rank, moment and the parts of the peak, the largest first.
  private func peakLine(_ rank: RankMemory) -> String {
    let moment = rank.peakMoment.isEmpty ? "all step long" : rank.peakMoment
    let parts = rank.parts.filter { $0.bytes > .zero }.sorted { $0.bytes > $1.bytes }
      .map { "\($0.key) \(Format.gibibytes($0.bytes))" }
    return "Peak: rank \(rank.rank), \(moment): \(Format.gibibytes(rank.peak)) GiB, of which "
      + parts.joined(separator: ", ") + "."
  }

  private func remedyLines(_ remedies: [MemoryRemedy]) -> [String] {
    guard !remedies.isEmpty else {
      return ["No change of one or two settings makes it fit; use more GPUs or a smaller model."]
    }
    var table = TextTable(["Changes that make it fit", "peak, GiB", "step", "step time"])
    for remedy in remedies {
      let percent = (remedy.slowdown * 1000).rounded() / 10
      table.add([
        remedy.settings.map { "--set \($0)" }.joined(separator: " "),
        Format.gibibytes(remedy.peak), Format.duration(remedy.seconds),
        (percent >= 0 ? "+" : "−") + Format.fixed(abs(percent), decimals: 1) + " %",
      ])
    }
    return table.lines(indent: 0)
  }
}
