import Collectives
import EventKernel
import Layout
import Quantities
import StepProgram

/// The ranks of one process, each a logical process of the event kernel.
///
/// A rank's clocks are numbers, not events: between two things it must wait for, it runs its program
/// at once and moves its clocks on. Only what comes from another rank is an event: a message of a
/// collective, or a microbatch's activations. All state lies in flat arrays indexed by local rank.
struct FullSimulationModel: EventModel {
  /// What a rank waits for.
  enum Waiting: UInt8 {
    case nothing, collective, slot, activations, sending, end
  }

  /// Clocks and counters of one rank.
  struct RankState {
    /// When the host thread, and the compute, data and pipeline streams, are free; picoseconds.
    var host: Int64 = 0
    var compute: Int64 = 0
    var data: Int64 = 0
    var pipeline: Int64 = 0
    /// What waiting for the device has cost the host: its clock less all it has issued.
    var hostShift: Int64 = 0
    /// Results the host has read.
    var reads: Int32 = 0
    /// The block in progress.
    var block = BlockProgress()
    var peakTime: Int64 = 0
    /// Next instruction, and next leaf when inside a block (else negative).
    var counter: Int32
    var leaf: Int32 = -1
    /// Next data operation to begin, and next one the program will come to.
    var nextOperation: Int32
    var reached: Int32
    /// Kernel factors drawn.
    var drawn: UInt32 = 0
    var waiting = Waiting.nothing

    mutating func runKernels(_ work: WorkSummary, as actual: WorkSummary) {
      let issued = host + actual.issue
      block.run(work, as: actual, compute: &compute, host: &host)
      hostShift += host - issued
    }

    mutating func forkKernels(_ work: WorkSummary, as actual: WorkSummary) -> Int64 {
      block.fork(work, as: actual, compute: compute, host: &host)
    }
  }

  /// Times of data operations between the two streams that pass over them: when those the program
  /// has passed may begin, or when those it has not come to have ended.
  struct Backlog {
    struct Entry {
      var time: Int64
      var active: Int64
    }
    var entries: [Entry] = []
    var head = 0

    mutating func append(_ entry: Entry) { entries.append(entry) }

    mutating func removeFirst() -> Entry {
      let entry = entries[head]
      head += 1
      if head == entries.count {
        entries.removeAll(keepingCapacity: true)
        head = 0
      }
      return entry
    }
  }

  static let startKind: UInt32 = 0
  static let messageKind: UInt32 = 1
  static let activationsKind: UInt32 = 2
  static let categories = TimeCategory.allCases.count

  let program: StepProgram
  let code: FullSimulationCode
  let fabric: FullSimulationFabric
  let lookahead: SimDuration
  /// Which rank each logical process is; local ranks are the logical processes from `first` on.
  let order: RankOrder
  private let first: LogicalProcess
  /// Each local rank's number and its stage.
  private let numbers: [Int32]
  private let stages: [Int32]
  let microbatches: Int
  /// Where each rank stands.
  let grid: RankGrid
  let slotCount: Int
  private let speeds: RankSpeeds
  /// Kernel time of each rank over its program's; empty when all are as the program says.
  private let factors: [Double]
  private let wordsPerRank: Int

  var states: [RankState]
  /// Time by category, rank after rank.
  var spent: [Int64]
  var slots: [RankClock.Slot]
  var backlogs: [Backlog]
  /// Which microbatches have arrived in which lane, a bit each.
  private var arrived: [UInt64]
  /// Collectives of the compute and the data stream, rank after rank.
  var actives: [FullSimulationFabric.Active]
  /// What each of them sends, lane after lane.
  var lanes: [FullSimulationFabric.Lane]
  var inboxes: [FullSimulationFabric.Inbox]
  var counts: [UInt32]
  /// What joins the nodes, on the process it lives on, where links are shared.
  var network: FullSimulationNetwork?
  var sent: Int64 = 0
  var received: Int64 = 0
  /// What should not have happened, the first of it.
  var fault: String?

  init(
    _ program: StepProgram, code: FullSimulationCode, fabric: FullSimulationFabric,
    order: RankOrder, lookahead: SimDuration, block: Range<LogicalProcess>,
    speeds: RankSpeeds = .uniform
  ) {
    self.program = program
    self.code = code
    self.fabric = fabric
    self.lookahead = lookahead
    self.order = order
    first = block.lowerBound
    let ranks = block.map { order.rank(of: $0) }
    numbers = ranks.map { Int32($0) }
    self.speeds = speeds
    factors = speeds.isUniform ? [] : ranks.map { speeds.factor(of: $0) }
    microbatches = program.job.microbatchCount
    let grid = RankGrid(program.job.parallelism)
    self.grid = grid
    stages = ranks.map { Int32(grid.stage(of: $0)) }
    slotCount = program.slotCount
    wordsPerRank = (code.receivedLanes * microbatches + 63) / 64
    states = ranks.map { rank in
      let stage = code.stages[grid.stage(of: rank)]
      return RankState(
        counter: Int32(stage.instructions.lowerBound),
        nextOperation: Int32(stage.operations.lowerBound),
        reached: Int32(stage.operations.lowerBound))
    }
    spent = Array(repeating: 0, count: ranks.count * Self.categories)
    slots = Array(repeating: RankClock.Slot(), count: ranks.count * program.slotCount)
    backlogs = Array(repeating: Backlog(), count: ranks.count)
    arrived = Array(repeating: 0, count: ranks.count * wordsPerRank)
    actives = Array(repeating: FullSimulationFabric.Active(), count: ranks.count * 2)
    lanes = Array(
      repeating: FullSimulationFabric.Lane(), count: ranks.count * 2 * fabric.laneWidth)
    inboxes = ranks.flatMap { fabric.inboxes(of: $0) }
    counts = Array(repeating: 0, count: ranks.count * fabric.countersPerRank)
  }

  mutating func start(_ context: inout EventContext) {
    for rank in context.localProcesses where rank < networkProcess {
      context.schedule(Self.startKind, to: rank, at: .zero)
    }
  }

  mutating func handle(_ event: Event, _ context: inout EventContext) {
    let local = Int(event.destination - first)
    switch event.kind & 3 {
    case Self.messageKind: receive(event, local, &context)
    case Self.networkKind: handleNetwork(event, local, &context)
    case Self.activationsKind:
      received += 1
      let bit = Int(event.payload)
      arrived[local * wordsPerRank + bit >> 6] |= 1 << UInt64(bit & 63)
      if states[local].waiting == .activations { run(local, &context) }
    default:
      advanceData(local, &context)
      run(local, &context)
    }
  }

  /// The number of a local rank.
  func rank(of local: Int) -> Int { Int(numbers[local]) }

  /// The pipeline stage of a local rank.
  func stage(of local: Int) -> Int { Int(stages[local]) }

  /// The rank of another stage that a local rank exchanges activations with.
  func neighbour(of local: Int, in stage: Int) -> Int {
    rank(of: local) + (stage - self.stage(of: local)) * grid.stride(.pipeline)
  }

  // MARK: The program

  /// Runs a rank's program until it must wait.
  mutating func run(_ local: Int, _ context: inout EventContext) {
    let now = context.now.picoseconds
    let stage = code.stages[stage(of: local)]
    states[local].waiting = .nothing
    while true {
      let counter = Int(states[local].counter)
      guard counter < stage.instructions.upperBound else {
        states[local].waiting = .end
        return
      }
      switch code.instructions[counter] {
      case .run(let block):
        guard run(block: block, local, &context) else { return }
      case .launch(_, let afterCompute, _):
        let state = states[local]
        reach(
          operation: Int(code.related[counter]), local,
          ready: max(state.host, afterCompute ? state.compute : 0))
        states[local].counter += 1
        advanceData(local, &context)
        continue
      case .holdData(let slot):
        reach(
          operation: Int(code.related[counter]), local, ready: slots[local * slotCount + slot].end)
        states[local].counter += 1
        advanceData(local, &context)
        continue
      case .wait(let slot, let category):
        guard operationsDone(local) >= code.related[counter] else {
          states[local].waiting = .slot
          return
        }
        wait(local, slot: slot, as: category)
      case .mark(let slot):
        slots[local * slotCount + slot].end = states[local].compute
        slots[local * slotCount + slot].active = 0
        states[local].counter += 1
        advanceData(local, &context)
        continue
      case .send(let lane, let microbatch, _, let duration, let isBlocking):
        if fabric.requestDelay > 0 {
          request(send: counter, from: local, &context)
          guard !isBlocking else { return }
          break
        }
        let begin = max(states[local].compute, states[local].pipeline)
        let end = begin + duration.picoseconds
        states[local].pipeline = end
        send(lane: lane, microbatch: microbatch, at: end, from: local, &context)
        if isBlocking { wait(local, until: end, as: .pipeline) }
      case .receive(let lane, let microbatch):
        let bit = code.position[lane] * microbatches + microbatch
        guard arrived[local * wordsPerRank + bit >> 6] >> UInt64(bit & 63) & 1 == 1 else {
          states[local].waiting = .activations
          return
        }
        wait(local, until: now, as: .bubble)
      case .synchronizeHost:
        meetHost(local)
        states[local].counter += 1
        advanceData(local, &context)
        continue
      case .meet(let call, _, _):
        let end = begin(call, .compute, at: states[local].compute, local, &context)
        guard end >= 0 else {
          states[local].waiting = .collective
          return
        }
        concludeMeeting(local, call: call, end: end)
        states[local].counter += 1
        advanceData(local, &context)
        continue
      case .memory, .scratch:
        if counter == stage.peakInstruction { states[local].peakTime = states[local].compute }
      case .phase: break
      }
      states[local].counter += 1
    }
  }

  /// The rank's collective on the compute stream is over: the program goes on.
  mutating func resume(_ local: Int, call: Int, end: Int64, _ context: inout EventContext) {
    if states[local].leaf >= 0 {
      conclude(local, call: call, end: end)
    } else {
      concludeMeeting(local, call: call, end: end)
      states[local].counter += 1
      advanceData(local, &context)
    }
    run(local, &context)
  }

  /// Runs what is left of a block; false when it must wait.
  private mutating func run(block: Int, _ local: Int, _ context: inout EventContext) -> Bool {
    let range = code.blocks[block]
    if states[local].leaf < 0 {
      states[local].leaf = range.first
      states[local].block = BlockProgress(start: states[local].compute)
    }
    while states[local].leaf < range.end {
      switch code.leaves[Int(states[local].leaf)] {
      case .work(let work):
        let actual = actual(work, local)
        states[local].runKernels(work, as: actual)
        states[local].leaf += 1
        if work.waits {
          states[local].reads += 1
          advanceData(local, &context)
        }
      case .exchange(let call, let host):
        states[local].host += host.picoseconds
        states[local].block.beginExchange()
        let start = max(states[local].compute, states[local].host)
        guard exchange(call, local, at: start, &context) else { return false }
      case .fork(let call, let host, let work):
        let actual = actual(work, local)
        states[local].host += host.picoseconds
        let start = states[local].forkKernels(work, as: actual)
        guard exchange(call, local, at: start, &context) else { return false }
      }
    }
    let categories = Self.categories
    for category in 0..<categories {
      spent[local * categories + category] += code.busy[block * categories + category]
    }
    let state = states[local]
    spent[local * categories + Int(range.kernelCategory)] += state.block.stretch
    spent[local * categories + TimeCategory.other.rawValue] +=
      state.block.rest(at: state.compute, busy: range.busy)
    states[local].leaf = -1
    return true
  }

  /// Kernels at the rank's speed, the next factor of its stream drawn.
  private mutating func actual(_ work: WorkSummary, _ local: Int) -> WorkSummary {
    if factors.isEmpty { return work }
    var factor = factors[local]
    if speeds.jitter.kernel > 0 {
      factor *= speeds.kernelFactor(
        speeds.stream(of: rank(of: local)), operation: states[local].drawn)
      states[local].drawn &+= 1
    }
    return factor == 1 ? work : work.stretched(by: factor)
  }

  private mutating func exchange(
    _ call: Int, _ local: Int, at start: Int64, _ context: inout EventContext
  ) -> Bool {
    let end = begin(call, .compute, at: start, local, &context)
    guard end >= 0 else {
      states[local].waiting = .collective
      return false
    }
    conclude(local, call: call, end: end)
    return true
  }

  /// Ends the leaf whose collective is over; what it took beyond the closed form counts for its
  /// category, the rest is the block's.
  private mutating func conclude(_ local: Int, call: Int, end: Int64) {
    let (compute, late) = states[local].block.conclude(
      begun: actives[2 * local].start, duration: fabric.calls[call].duration, end: end)
    spent[local * Self.categories + fabric.calls[call].category] += late
    states[local].compute = compute
    states[local].leaf += 1
  }

  /// Ends a meeting: what it took beyond the closed form was waiting for the others.
  private mutating func concludeMeeting(_ local: Int, call: Int, end: Int64) {
    wait(local, until: end - fabric.calls[call].duration, as: .bubble)
    let category = TimeCategory(rawValue: fabric.calls[call].category) ?? .other
    wait(local, until: end, as: category)
    meetHost(local)
  }

  private mutating func meetHost(_ local: Int) {
    let late = max(0, states[local].compute - states[local].host)
    states[local].host += late
    states[local].hostShift += late
  }

  /// Moves the compute stream on to `time`, counting the wait.
  mutating func wait(_ local: Int, until time: Int64, as category: TimeCategory) {
    guard time > states[local].compute else { return }
    spent[local * Self.categories + category.rawValue] += time - states[local].compute
    states[local].compute = time
  }

  /// The compute stream waits for a slot, as ``RankClock/wait(slot:as:interference:)``.
  private mutating func wait(_ local: Int, slot: Int, as category: TimeCategory) {
    let held = slots[local * slotCount + slot]
    slots[local * slotCount + slot].active = 0
    let extra = RankClock.slowdown(
      of: held, at: states[local].compute, interference: program.interference)
    spent[local * Self.categories + TimeCategory.compute.rawValue] += extra
    states[local].compute += extra
    wait(local, until: held.end, as: category)
  }

  private mutating func send(
    lane: Int, microbatch: Int, at time: Int64, from local: Int, _ context: inout EventContext
  ) {
    let receiver = code.receiver[lane]
    guard receiver >= 0 else { return }
    sent += 1
    let target = neighbour(of: local, in: receiver)
    context.schedule(
      Self.activationsKind, payload: UInt64(code.position[lane] * microbatches + microbatch),
      to: order.logicalProcess(of: target), at: SimTime(picoseconds: time))
  }
}
