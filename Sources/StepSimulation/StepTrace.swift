public import Quantities
public import StepProgram

/// What the ranks of one pipeline stage did when: for pictures and traces.
public struct StageTrace: Sendable {
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

  /// Pipeline rank.
  public var stage: Int
  /// In order of program.
  public var spans: [Span] = []
  /// In order of time.
  public var turns: [Turn] = []
  /// In order of time.
  public var receipts: [Receipt] = []
  /// Every change of memory.
  public var memory: [MemoryMoment] = []
}

extension FoldedSimulation {
  /// Runs the step and records what the given pipeline stages did.
  ///
  /// - Parameters:
  ///   - program: the step.
  ///   - stages: pipeline ranks of the program, each once.
  /// - Returns: one trace a stage, in the order given.
  /// - Throws: ``StepSimulationError`` when the step does not end.
  public static func trace(
    _ program: StepProgram, stages: [Int]
  ) throws(StepSimulationError) -> [StageTrace] {
    var simulation = Self(program)
    return try simulation.record(stages)
  }
}

/// Collects a stage's trace while its instructions run.
struct TraceRecorder {
  var trace: StageTrace
  private var phase: Phase?

  init(stage: Int) { trace = StageTrace(stage: stage) }

  /// Before `instruction` runs with the clocks as they are; blocks are taken apart here.
  mutating func begin(_ instruction: Instruction, _ clock: RankClock, _ program: StepProgram) {
    switch instruction {
    case .phase(let next): phase = next
    case .run(let block): run(block, clock, program)
    default: break
    }
  }

  /// After `instruction` has run.
  mutating func end(_ instruction: Instruction, _ clock: RankClock, _ program: StepProgram) {
    switch instruction {
    case .launch(let call, _, _):
      add(.data, .collective(call: call), program.calls[call].duration.picoseconds, to: clock.data)
    case .send(let lane, let microbatch, let bytes, let duration, _):
      add(
        .pipeline, .send(lane: lane, microbatch: microbatch, bytes: bytes), duration.picoseconds,
        to: clock.pipeline)
    case .receive(let lane, let microbatch):
      trace.receipts.append(
        StageTrace.Receipt(
          lane: lane, microbatch: microbatch, time: SimTime(picoseconds: clock.compute)))
    case .meet(let call, _, _):
      add(
        .exchange, .collective(call: call), program.calls[call].duration.picoseconds,
        to: clock.compute)
    default: break
    }
  }

  private mutating func add(
    _ row: StageTrace.Row, _ content: StageTrace.Content, _ duration: Int64, to end: Int64
  ) {
    guard duration > 0 else { return }
    trace.spans.append(
      StageTrace.Span(
        row: row, content: content, start: SimTime(picoseconds: end - duration),
        end: SimTime(picoseconds: end)))
  }

  /// A block piece by piece; the pieces compose to exactly what the block's summary does.
  private mutating func run(_ index: Int, _ clock: RankClock, _ program: StepProgram) {
    var host = clock.host
    var device = clock.compute
    func step(_ work: WorkSummary) {
      let begun = device
      device = max(device + work.busy, host + work.lag)
      host = max(host + work.issue, begun + work.wait)
    }
    let first = trace.spans.count
    for leaf in program.blocks[index].leaves {
      switch leaf {
      case .work(let work):
        step(work)
        add(.compute, .kernels(block: index), work.busy, to: device)
      case .exchange(let call, let hostTime):
        let duration = program.calls[call].duration
        step(.kernel(host: hostTime, device: duration))
        add(.exchange, .collective(call: call), duration.picoseconds, to: device)
      case .fork(let call, let hostTime, let work):
        let duration = program.calls[call].duration
        let both = work.beside(duration, host: hostTime)
        step(both)
        let start = device - both.busy
        add(
          .exchange, .collective(call: call), duration.picoseconds,
          to: start + duration.picoseconds)
        add(.compute, .kernels(block: index), work.busy, to: start + work.busy)
      }
    }
    let begin = trace.spans[first...].map(\.start).min() ?? SimTime(picoseconds: clock.compute)
    turn(from: begin, to: SimTime(picoseconds: device))
  }

  /// Extends the present turn, or begins the next.
  private mutating func turn(from start: SimTime, to end: SimTime) {
    guard var now = phase else { return }
    now.layer = -1
    if let last = trace.turns.last, last.phase == now {
      trace.turns[trace.turns.count - 1].end = end
    } else {
      trace.turns.append(StageTrace.Turn(phase: now, start: start, end: end))
    }
  }
}
