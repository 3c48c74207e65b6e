public import StepProgram
public import StepSimulation
import Collectives
import Layout
import Quantities
import Transformer

/// A step as Chrome trace events, which Perfetto and `chrome://tracing` open.
///
/// One process a rank, one thread a stream, memory as a counter, an arrow from each send to what it
/// was for. Names and arguments of collectives are those PyTorch's Kineto writes, so that tools that
/// read its traces find them.
public struct TraceText {
  private let program: StepProgram
  private let grid: RankGrid
  private var text = ""
  private var isFirst = true

  /// The trace of some ranks.
  ///
  /// - Parameters:
  ///   - program: what was simulated.
  ///   - traces: of each rank to draw, what it did.
  ///   - note: what of the simulation the trace does not show; empty for nothing.
  /// - Returns: JSON.
  public static func json(
    of program: StepProgram, traces: [RankTrace], note: String = ""
  ) -> String {
    var writer = Self(program: program, grid: RankGrid(program.job.parallelism))
    writer.text = """
      {"schemaVersion": 1, "displayTimeUnit": "ms", "distributedInfo": {"backend": "nccl", \
      "rank": \(traces.first?.rank ?? 0), "world_size": \(program.job.parallelism.gpuCount)}, \
      \(note.isEmpty ? "" : "\"otherData\": {\"note\": \"\(note)\"}, ")"traceEvents": [

      """
    for trace in traces { writer.write(trace.rank, trace) }
    return writer.text + "\n]}\n"
  }

  private init(program: StepProgram, grid: RankGrid) {
    self.program = program
    self.grid = grid
  }

  private mutating func event(_ body: String) {
    text += isFirst ? "{" : ",\n{"
    isFirst = false
    text += body
    text += "}"
  }

  /// Microseconds to the picosecond.
  private static func time(_ picoseconds: Int64) -> String {
    let fraction = String(picoseconds % 1_000_000)
    return "\(picoseconds / 1_000_000)." + String(repeating: "0", count: 6 - fraction.count)
      + fraction
  }

  private static let scheduleRow = 0

  private static func row(_ row: RankTrace.Row) -> Int { row.rawValue + 1 }

  private mutating func write(_ rank: Int, _ trace: RankTrace) {
    let stage = program.job.parallelism.pipeline > 1 ? ", pipeline stage \(trace.stage)" : ""
    event(
      "\"ph\": \"M\", \"name\": \"process_name\", \"pid\": \(rank), "
        + "\"args\": {\"name\": \"rank \(rank)\(stage)\"}")
    event(
      "\"ph\": \"M\", \"name\": \"process_sort_index\", \"pid\": \(rank), "
        + "\"args\": {\"sort_index\": \(rank)}")
    let rows = [
      "schedule", "stream compute", "stream collectives", "stream data parallel",
      "stream pipeline",
    ]
    for (index, name) in rows.enumerated() {
      event(
        "\"ph\": \"M\", \"name\": \"thread_name\", \"pid\": \(rank), \"tid\": \(index), "
          + "\"args\": {\"name\": \"\(name)\"}")
    }
    let calls = program.calls.map { arguments(of: $0, rank) }
    for turn in trace.turns { write(turn, rank) }
    for span in trace.spans { write(span, rank, calls) }
    for receipt in trace.receipts { write(receipt, rank, trace) }
    for moment in trace.memory {
      let held = MemoryCategory.allCases.map {
        "\"\($0)\": \(moment.held[$0.rawValue])"
      }
      event(
        "\"ph\": \"C\", \"name\": \"memory bytes\", \"pid\": \(rank), "
          + "\"ts\": \(Self.time(moment.picoseconds)), "
          + "\"args\": {\(held.joined(separator: ", "))}")
    }
  }

  private func span(_ start: SimTime, _ end: SimTime) -> String {
    "\"ts\": \(Self.time(start.picoseconds)), "
      + "\"dur\": \(Self.time(end.picoseconds - start.picoseconds))"
  }

  private mutating func write(_ turn: RankTrace.Turn, _ rank: Int) {
    let chunk = program.job.parallelism.virtualStages > 1 ? ", chunk \(turn.phase.chunk)" : ""
    let name =
      switch turn.phase.kind {
      case .forward: "forward \(turn.phase.microbatch)\(chunk)"
      case .backward: "backward \(turn.phase.microbatch)\(chunk)"
      case .weightGradient: "weight gradient \(turn.phase.microbatch)\(chunk)"
      case .optimizer: "optimizer"
      }
    event(
      "\"ph\": \"X\", \"cat\": \"gpu_user_annotation\", \"name\": \"\(name)\", \"pid\": \(rank), "
        + "\"tid\": \(Self.scheduleRow), \(span(turn.start, turn.end))")
  }

  private mutating func write(_ span: RankTrace.Span, _ rank: Int, _ calls: [String]) {
    let head =
      "\"ph\": \"X\", \"cat\": \"kernel\", \"pid\": \(rank), \"tid\": \(Self.row(span.row)), "
    switch span.content {
    case .kernels(let block):
      event(
        head + "\"name\": \"\(program.blocks[block].name)\", \(self.span(span.start, span.end))")
    case .collective(let call):
      event(head + calls[call] + ", \(self.span(span.start, span.end))")
    case .send(let lane, let microbatch, let bytes):
      event(
        head + "\"name\": \"ncclDevKernel_SendRecv\", \(self.span(span.start, span.end)), "
          + "\"args\": {\"Collective name\": \"send\", \"In msg nelems\": \(bytes), "
          + "\"dtype\": \"Byte\", \"Group size\": 2, \"microbatch\": \(microbatch)}")
      event(
        "\"ph\": \"s\", \"cat\": \"pipeline\", \"name\": \"activations\", "
          + "\"id\": \(flow(lane, microbatch, rank)), \"pid\": \(rank), "
          + "\"tid\": \(Self.row(.pipeline)), \"ts\": \(Self.time(span.start.picoseconds))")
    }
  }

  /// One number for a message between two ranks.
  private func flow(_ lane: Int, _ microbatch: Int, _ rank: Int) -> Int {
    // Ranks that exchange activations stand at the same place of their stages.
    let place = rank - grid.stage(of: rank) * grid.stride(.pipeline)
    return (lane * program.job.microbatchCount + microbatch) * grid.rankCount + place
  }

  private mutating func write(
    _ receipt: RankTrace.Receipt, _ rank: Int, _ trace: RankTrace
  ) {
    // The arrow ends at the turn that waited.
    guard let turn = trace.turns.first(where: { $0.start >= receipt.time }) else { return }
    event(
      "\"ph\": \"f\", \"bp\": \"e\", \"cat\": \"pipeline\", \"name\": \"activations\", "
        + "\"id\": \(flow(receipt.lane, receipt.microbatch, rank)), \"pid\": \(rank), "
        + "\"tid\": \(Self.scheduleRow), \"ts\": \(Self.time(turn.start.picoseconds))")
  }

  /// Name and arguments of a collective as Kineto writes them.
  private func arguments(of call: CollectiveCall, _ rank: Int) -> String {
    let ranks = Int64(call.placement.ranks)
    let part = call.bytes / ranks
    let (kernel, name, input, output): (String, String, Int64, Int64) =
      switch call.operation {
      case .allReduce: ("AllReduce", "allreduce", call.bytes, call.bytes)
      case .allGather: ("AllGather", "_allgather_base", part, call.bytes)
      case .reduceScatter: ("ReduceScatter", "_reduce_scatter_base", call.bytes, part)
      case .allToAll: ("SendRecv", "all_to_all", call.bytes, call.bytes)
      case .broadcast: ("Broadcast", "broadcast", call.bytes, call.bytes)
      case .reduce: ("Reduce", "reduce", call.bytes, call.bytes)
      case .gather: ("SendRecv", "gather", part, call.bytes)
      case .scatter: ("SendRecv", "scatter", call.bytes, part)
      case .sendReceive: ("SendRecv", "send", call.bytes, call.bytes)
      }
    var members = ""
    if let kind = call.axis.groupKind, ranks <= 64 {
      let group = grid.group(kind, containing: rank).members
      members =
        ", \"Process Group Ranks\": \"[" + group.map { "\($0)" }.joined(separator: ", ") + "]\""
    }
    return "\"name\": \"ncclDevKernel_\(kernel)\", \"args\": {\"Collective name\": \"\(name)\", "
      + "\"In msg nelems\": \(input), \"Out msg nelems\": \(output), \"dtype\": \"Byte\", "
      + "\"Group size\": \(ranks), \"Process Group Description\": \"\(call.axis)\"\(members)}"
  }
}
