import Transformer
import Hardware
public import StepSimulation
import Layout
import Quantities
public import StepProgram

/// A picture of a pipeline schedule in characters.
public enum ScheduleText {
  /// One line a pipeline stage, time from left to right.
  ///
  /// - Parameters:
  ///   - traces: one a stage.
  ///   - namesRanks: whether ranks differ, so that it matters which of a stage is drawn.
  ///   - directions: ends that microbatches enter at: 2 under dualpipe-bidirectional, where chunk 1
  ///     of every rank belongs to those that come in at the last stage.
  ///   - width: characters a line.
  /// - Returns: the picture with its key.
  public static func picture(
    _ traces: [RankTrace], namesRanks: Bool = false, directions: Int = 1, width: Int = 120
  ) -> String {
    let end = traces.flatMap { $0.turns.map(\.end) }.max() ?? SimTime(picoseconds: 1)
    let names = traces.map { trace in
      "stage \(trace.stage)" + (namesRanks ? ", rank \(trace.rank)" : "")
    }
    let column = max(10, (names.map(\.count).max() ?? 0) + 2)
    var lines = zip(names, traces).map { name, trace in
      name + String(repeating: " ", count: column - name.count)
        + line(trace, end: end, width: width, directions: directions)
    }
    let seconds = Seconds(Double(end.picoseconds) * 1e-12)
    lines += [
      "",
      "One character is \(Format.duration(seconds * (1 / Double(width)))), the step "
        + "\(Format.duration(seconds)). 0–9 forward of that microbatch (its last digit), a–j backward "
        + "of 0–9, w weight gradients, = optimizer, . idle.",
    ]
    if directions > 1 {
      lines.append(
        "Those enter at the first stage; A–J and k–t are forward and backward of the ones that enter "
          + "at the last.")
    }
    if namesRanks { lines.append("Of each stage the rank that is done last.") }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Characters of microbatches by their last digit, forward and backward, for each end they enter at.
  private static let characters: [(forward: [Character], backward: [Character])] = [
    (Array("0123456789"), Array("abcdefghij")), (Array("ABCDEFGHIJ"), Array("klmnopqrst")),
  ]

  private static func line(
    _ trace: RankTrace, end: SimTime, width: Int, directions: Int
  ) -> String {
    var result = ""
    var next = 0
    for column in 0..<width {
      // What runs in the middle of the column.
      let middle = Int64(
        (Double(column) + 0.5) / Double(width) * Double(end.picoseconds))
      while next < trace.turns.count, trace.turns[next].end.picoseconds <= middle { next += 1 }
      guard next < trace.turns.count, trace.turns[next].start.picoseconds <= middle else {
        result.append(".")
        continue
      }
      let phase = trace.turns[next].phase
      let characters = Self.characters[directions > 1 ? phase.chunk : 0]
      switch phase.kind {
      case .forward: result.append(characters.forward[phase.microbatch % 10])
      case .backward: result.append(characters.backward[phase.microbatch % 10])
      case .weightGradient: result.append("w")
      case .optimizer: result.append("=")
      }
    }
    return result
  }
}

/// Where the groups of a layout sit.
public enum GroupText {
  /// One line a kind of group.
  ///
  /// - Parameter job: the layout and its cluster.
  /// - Returns: a table: what for, how many groups of how many ranks, how they lie on nodes.
  public static func table(_ job: TrainingJob) -> String {
    let grid = RankGrid(job.parallelism)
    var table = TextTable(
      ["group", "ranks of the first", "ranks", "groups", "a node", "nodes", "share the NICs"],
      leftColumns: 2)
    for kind in [
      GroupKind.tensor, .context, .pipeline, .data, .gradient, .shard, .replica, .expertTensor,
      .expert, .expertData, .expertShard, .expertReplica, .secondary, .world,
    ] {
      guard !kind.isForExperts || job.architecture.experts != nil else { continue }
      let size = grid.size(kind)
      guard size > 1 else { continue }
      if kind == .expertShard, job.parallelism.shardGroup == nil { continue }
      let spread = grid.spread(kind, gpusPerNode: job.cluster.gpusPerNode)
      table.add([
        kind.rawValue, members(grid.group(kind, containing: 0)), Format.grouped(size),
        Format.grouped(grid.rankCount / size), "\(spread.ranksPerNode)", "\(spread.nodes)",
        "\(spread.groupsPerNode)",
      ])
    }
    let order = job.parallelism.order.map(\.rawValue).joined(separator: ", ")
    return "Ranks are numbered along \(order), fastest first; nodes of "
      + "\(job.cluster.gpusPerNode) GPUs.\n\n" + table.lines(indent: 0).joined(separator: "\n")
      + "\n"
  }

  private static func members(_ group: StridedGroup) -> String {
    let shown = min(group.count, 6)
    let first = (0..<shown).map { "\(group[$0])" }.joined(separator: ", ")
    return group.count > shown ? first + ", …, \(group[group.count - 1])" : first
  }
}
