import Collectives
import EventKernel
import Layout
public import Quantities
public import StepProgram

/// What a full simulation will take, known before it starts.
public struct FullSimulationForecast: Hashable, Sendable {
  /// Events; of trees through a shared network estimated.
  public var events: Int
  /// State of all ranks and pending events, all processes together.
  public var memory: Bytes

  /// The forecast of a program; counts its instructions.
  /// - Throws: ``StepSimulationError`` when the program cannot be simulated in full.
  public init(_ program: StepProgram) throws(StepSimulationError) {
    try program.checkPasses()
    let fabric = try FullSimulationFabric(program)
    let code = FullSimulationCode(program)
    let each = fabric.calls.map { Self.events(of: $0, fabric) }
    let perBlock = program.blocks.map { $0.calls.reduce(0.0) { $0 + each[$1] } }
    var events = 0.0
    for stage in program.stages {
      // The first event of each rank.
      var own = 1.0
      for instruction in stage.instructions {
        switch instruction {
        case .run(let block): own += perBlock[block]
        case .launch(let call, _, _), .meet(let call, _, _): own += each[call]
        case .send: own += fabric.requestDelay > 0 ? 3 : 1
        default: break
        }
      }
      events += own * Double(stage.rankCount)
    }
    self.events = Int(events)
    let ranks = program.job.parallelism.gpuCount
    let state = FullSimulationModel.bytesPerRank(program, code, fabric)
    let pending = Self.pendingEvents(program, code, fabric)
    // Pages of the queue are two thirds full in the mean.
    let perEvent = 1.5 * Double(MemoryLayout<Event>.stride)
    memory = Bytes(
      Int64(Double(ranks) * (Double(state) + pending * perEvent)) + Int64(code.bytes + fabric.bytes)
    )
  }

  /// Events of one member of a collective, in the mean.
  private static func events(
    of call: FullSimulationFabric.Call, _ fabric: FullSimulationFabric
  ) -> Double {
    switch fabric.communicators[call.communicator].reach {
    case .node: 0
    // A word that it has come, and one that all have.
    case .job: 2
    // A message through the shared network is asked for, carried, and of its last one word given.
    case .network: 3 * messages(of: call.plan)
    }
  }

  /// Events that wait for their time at once, of one rank.
  private static func pendingEvents(
    _ program: StepProgram, _ code: FullSimulationCode, _ fabric: FullSimulationFabric
  ) -> Double {
    // Activations on their way: a stage runs ahead of the next by the microbatches in flight.
    var most = Double(code.receivedLanes > 0 ? program.stages.count : 0)
    for call in fabric.calls {
      switch fabric.communicators[call.communicator].reach {
      case .node: continue
      case .job: most = max(most, 2)
      case .network:
        // The fullest lanes hold what nothing holds back, all at once; others a message or two.
        most = max(
          most,
          call.plan.algorithm == .direct
            ? Double((0..<call.laneCount).reduce(0) { $0 + call.plan.stepCount(lane: $1) })
            : Double(2 * call.laneCount))
      }
    }
    return max(most, 1)
  }

  /// Messages of one member in the mean.
  private static func messages(of plan: CollectivePlan) -> Double {
    guard plan.ranks > 1 else { return 0 }
    if plan.algorithm == .doubleBinaryTree {
      // Two trees, up and down each of a tree's n − 1 links.
      let links = Double(plan.ranks - 1) / Double(plan.ranks)
      return 4 * links * Double(plan.stepCount(lane: 0))
    }
    if plan.algorithm == .nvlsTree {
      let links = Double(plan.nodes - 1) / Double(plan.nodes)
      return 2 * Double(plan.stepCount(lane: 0)) + 4 * links * Double(plan.stepCount(lane: 2))
    }
    return Double((0..<plan.laneCount).reduce(0) { $0 + plan.stepCount(lane: $1) })
  }
}
