public import Quantities
public import StepProgram

/// What a rank did when: for pictures and traces.
public struct RankTrace: Sendable {
  /// Where a span is drawn.
  public enum Row: Int, Hashable, Sendable, CaseIterable {
    /// Kernels.
    case compute
    /// Collectives inside layers, which the compute stream waits for or runs beside.
    case exchange
    /// Gradient reduction and parameter gathers.
    case data
    /// Sends to other stages.
    case pipeline
  }

  /// What a span stands for.
  public enum Content: Hashable, Sendable {
    /// Kernels of a block; index into the program's blocks.
    case kernels(block: Int)
    /// A collective; index into the program's calls.
    case collective(call: Int)
    /// A send into a lane.
    case send(lane: Int, microbatch: Int, bytes: Int64)
  }

  /// Something that kept a row busy.
  public struct Span: Hashable, Sendable {
    /// Where it is drawn.
    public var row: Row
    /// What it is.
    public var content: Content
    /// When it began and ended, since the start of the step.
    public var start: SimTime
    /// When it ended.
    public var end: SimTime
  }

  /// A pass of a microbatch through a chunk, or the optimizer step.
  public struct Turn: Hashable, Sendable {
    /// Which.
    public var phase: Phase
    /// When its first kernel began.
    public var start: SimTime
    /// When its last kernel ended.
    public var end: SimTime
  }

  /// Something another stage had sent, and when it was taken up.
  public struct Receipt: Hashable, Sendable {
    /// The lane.
    public var lane: Int
    /// Which microbatch.
    public var microbatch: Int
    /// When the compute stream took it up.
    public var time: SimTime
  }

  /// Which.
  public var rank = 0
  /// Its pipeline stage.
  public var stage: Int
  /// In the order in which they ended, row by row.
  public var spans: [Span] = []
  /// In order of time.
  public var turns: [Turn] = []
  /// In order of time.
  public var receipts: [Receipt] = []
  /// Every change of memory.
  public var memory: [MemoryMoment] = []
}

extension FoldedSimulation {
  /// Runs the step and records what the given ranks did, each at its own speed.
  ///
  /// Collectives last from a rank's own launch to their end: what they wait for others is in them, as in
  /// a profile of the real kernels.
  ///
  /// - Parameters:
  ///   - program: the step.
  ///   - ranks: whose.
  ///   - speeds: how fast each rank is.
  /// - Returns: one trace a rank, in the order given.
  /// - Throws: ``StepSimulationError`` when the step does not end.
  public static func trace(
    _ program: StepProgram, ranks: [Int], speeds: RankSpeeds = .uniform
  ) throws(StepSimulationError) -> [RankTrace] {
    var simulation = Self(program, speeds: speeds)
    return try simulation.record(ranks)
  }
}

/// Collects a rank's trace while its instructions run.
struct TraceRecorder {
  var trace: RankTrace
  private var phase: Phase?
  /// When the block in progress began.
  private var blockStart: SimTime?

  init(stage: Int) { trace = RankTrace(stage: stage) }

  /// Before `instruction` runs.
  mutating func begin(_ instruction: Instruction) {
    if case .phase(let next) = instruction { phase = next }
  }

  /// After `instruction` has run, but for blocks and the data stream.
  mutating func end(_ instruction: Instruction, _ clock: RankClock, _ program: StepProgram) {
    switch instruction {
    case .send(let lane, let microbatch, let bytes, let duration, _):
      add(
        .pipeline, .send(lane: lane, microbatch: microbatch, bytes: bytes), duration.picoseconds,
        to: clock.pipeline)
    case .receive(let lane, let microbatch):
      trace.receipts.append(
        RankTrace.Receipt(
          lane: lane, microbatch: microbatch, time: SimTime(picoseconds: clock.compute)))
    case .meet(let call, _, _):
      add(
        .exchange, .collective(call: call), program.calls[call].duration.picoseconds,
        to: clock.compute)
      // Not part of a block, so of no pass either.
      blockStart = nil
    default: break
    }
  }

  /// Something that kept a row busy until `end`.
  mutating func add(
    _ row: RankTrace.Row, _ content: RankTrace.Content, _ duration: Int64, to end: Int64
  ) {
    let start = SimTime(picoseconds: end - duration)
    if row == .compute || row == .exchange { blockStart = min(blockStart ?? start, start) }
    guard duration > 0 else { return }
    trace.spans.append(
      RankTrace.Span(row: row, content: content, start: start, end: SimTime(picoseconds: end)))
  }

  /// A block is over: extends the present turn, or begins the next.
  mutating func endBlock(at time: Int64) {
    let end = SimTime(picoseconds: time)
    let start = blockStart ?? end
    blockStart = nil
    guard var now = phase else { return }
    now.layer = -1
    if let last = trace.turns.last, last.phase == now {
      trace.turns[trace.turns.count - 1].end = end
    } else {
      trace.turns.append(RankTrace.Turn(phase: now, start: start, end: end))
    }
  }
}
