import Collectives
import EventKernel
import Layout
import Quantities
import StepProgram

/// The ranks of one process, each a logical process of the event kernel.
///
/// A rank's clocks are numbers, not events: between two things it must wait for, it runs its program
/// at once and moves its clocks on, and the ranks of a node go on together where they wait for nobody
/// else. Only what comes from another node is an event: a word of a collective, or a microbatch's
/// activations. All state lies in flat arrays indexed by local rank.
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

    /// A collective that the compute stream waits for is issued; returns when it can begin.
    mutating func beginExchange(host time: Int64) -> Int64 {
      host += time
      block.beginExchange()
      return max(compute, host)
    }

    mutating func forkKernels(_ work: WorkSummary, as actual: WorkSummary) -> Int64 {
      block.fork(work, as: actual, compute: compute, host: &host)
    }
  }

  /// Work on another stream that the compute stream may wait for.
  struct Slot {
    /// When it ends.
    var end: Int64 = 0
    /// How long it ran since it was last waited for.
    var active: Int64 = 0
    /// What that costs kernels beside all of it.
    var cost: Int64 = 0
  }

  static let startKind: UInt32 = 0
  static let messageKind: UInt32 = 1
  static let activationsKind: UInt32 = 2
  /// What an event of ``startKind`` is, in the next two bits.
  ///
  /// A member has come to a collective, or the collective is over.
  static let cameKind: UInt32 = 1 << 2
  static let overKind: UInt32 = 2 << 2
  /// Where the collective stands in those kinds.
  static let callShift: UInt32 = 4
  static let categories = TimeCategory.allCases.count

  let program: StepProgram
  let code: FullSimulationCode
  let fabric: FullSimulationFabric
  let lookahead: SimDuration
  /// Which rank each logical process is; local ranks are the logical processes from `first` on.
  let order: RankOrder
  let first: LogicalProcess
  /// Each local rank's number and its stage.
  private let numbers: [Int32]
  private let stages: [Int32]
  let microbatches: Int
  /// Where each rank stands.
  let grid: RankGrid
  let slotCount: Int
  let speeds: RankSpeeds
  /// Kernel time of each rank over its program's; empty when all are as the program says.
  let factors: [Double]
  let wordsPerRank: Int

  var states: [RankState]
  /// Time by category, rank after rank.
  var spent: [Int64]
  var slots: [Slot]
  var backlogs: FullSimulationBacklogs
  /// Which microbatches have arrived in which lane, a bit each.
  var arrived: [UInt64]
  /// Collectives of the compute and the data stream, rank after rank.
  var actives: [FullSimulationFabric.Active]
  /// Collectives in progress of the groups that each rank is first of, communicator by communicator.
  var meetings: [Meeting]
  /// What can go on at once.
  var continuations: [Continuation] = []
  /// Messages of all members of each collective; negative until they have been run.
  var messageCounts: [Int]
  /// Of each block the communicator, when all its collectives are of one within nodes; else negative.
  let meetingBlocks: [Int32]
  /// Messages of each of those blocks in a group; negative until counted.
  var blockMessages: [Int]
  /// First collective of each block; negative when it has none.
  let blockCalls: [Int32]
  /// Where links are shared, what each collective sends, lane after lane, and has received.
  var lanes: [FullSimulationFabric.Lane]
  var inboxes: [FullSimulationFabric.Inbox]
  var counts: [UInt32]
  /// What joins the nodes, on the process it lives on, where links are shared.
  var network: FullSimulationNetworkStorage?
  /// Messages sent and received one by one, and words of members that came and left.
  var sent: Int64 = 0
  var received: Int64 = 0
  /// Messages of all kinds between simulated ranks.
  var messages: Int64 = 0
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
    slotCount = code.slotCount
    wordsPerRank = (code.receivedLanes * microbatches + 63) / 64
    states = ranks.map { rank in
      let stage = code.stages[grid.stage(of: rank)]
      return RankState(
        counter: Int32(stage.instructions.lowerBound),
        nextOperation: Int32(stage.operations.lowerBound),
        reached: Int32(stage.operations.lowerBound))
    }
    spent = Array(repeating: 0, count: ranks.count * Self.categories)
    slots = Array(repeating: Slot(), count: ranks.count * code.slotCount)
    backlogs = FullSimulationBacklogs(count: ranks.count)
    arrived = Array(repeating: 0, count: ranks.count * wordsPerRank)
    actives = Array(repeating: FullSimulationFabric.Active(), count: ranks.count * 2)
    meetings = Array(repeating: Meeting(), count: ranks.count * fabric.communicators.count)
    messageCounts = Array(repeating: -1, count: fabric.calls.count)
    blockCalls = program.blocks.map { Int32($0.calls.first ?? -1) }
    meetingBlocks = program.blocks.map { fabric.meeting(of: $0) }
    blockMessages = Array(repeating: -1, count: program.blocks.count)
    let shared = fabric.requestDelay > 0 ? ranks : []
    lanes = Array(
      repeating: FullSimulationFabric.Lane(), count: shared.count * 2 * fabric.laneWidth)
    inboxes = shared.flatMap { fabric.inboxes(of: $0) }
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
      switch event.kind & 15 {
      case Self.cameKind: hearOfMember(event, local, &context)
      case Self.overKind: hearOfEnd(event, local, &context)
      default:
        advanceData(local, &context)
        run(local, &context)
      }
    }
    goOn(&context)
  }

  /// The number of a local rank.
  func rank(of local: Int) -> Int { Int(numbers[local]) }

  /// Bytes of what says which rank each local one is, and how fast.
  var identityBytes: Int {
    numbers.allocatedBytes + stages.allocatedBytes + factors.allocatedBytes
  }

  /// The pipeline stage of a local rank.
  func stage(of local: Int) -> Int { Int(stages[local]) }

  /// The rank of another stage that a local rank exchanges activations with.
  func neighbour(of local: Int, in stage: Int) -> Int {
    rank(of: local) + (stage - self.stage(of: local)) * grid.stride(.pipeline)
  }
}
