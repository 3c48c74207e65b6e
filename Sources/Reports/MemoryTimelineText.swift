public import StepProgram
public import StepSimulation

/// A rank's memory over the step as comma-separated values.
public enum MemoryTimelineText {
  /// One line a change: time in seconds, bytes by category, their sum, what runs.
  ///
  /// - Parameters:
  ///   - timeline: from `FoldedSimulation.memoryTimeline`.
  ///   - program: what was simulated.
  /// - Returns: the table with its heading.
  public static func csv(_ timeline: [MemoryMoment], of program: StepProgram) -> String {
    let categories: [(name: String, category: MemoryCategory)] = [
      ("parameters", .parameters), ("gradients", .gradients), ("optimizer", .optimizer),
      ("activations", .activations), ("buffers", .buffers),
    ]
    var table = CommaSeparated(
      ["seconds"] + categories.map { $0.name + "_bytes" } + ["total_bytes", "moment"])
    for moment in timeline {
      table.add(
        ["\(Double(moment.picoseconds) / 1e12)"]
          + categories.map { "\(moment.held[$0.category.rawValue])" }
          + ["\(moment.total)", moment.phase.map { program.name(of: $0) } ?? "start"])
    }
    return table.text
  }
}
