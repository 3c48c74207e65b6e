import Collectives
import EventKernel
import Layout
public import Quantities
public import StepProgram

/// What a full simulation will take, known before it starts.
public struct FullSimulationForecast: Hashable, Sendable {
  /// Events, as many as messages and a first one for each rank; of trees between nodes estimated.
  public var events: Int
  /// State of all ranks and pending events, all processes together.
  public var memory: Bytes

  /// The forecast of a program; counts its instructions.
  /// - Throws: ``StepSimulationError`` when the program cannot be simulated in full.
  public init(_ program: StepProgram) throws(StepSimulationError) {
    let fabric = try FullSimulationFabric(program)
    let code = FullSimulationCode(program)
    let messages = fabric.calls.map { Self.messages(of: $0.plan) }
    var perCall = program.blocks.map { block in
      block.leaves.reduce(0.0) {
        switch $1 {
        case .work: $0
        case .exchange(let call, _), .fork(let call, _, _): $0 + messages[call]
        }
      }
    }
    if perCall.isEmpty { perCall = [0] }
    var events = 0.0
    for stage in program.stages {
      var sent = 1.0
      for instruction in stage.instructions {
        switch instruction {
        case .run(let block): sent += perCall[block]
        case .launch(let call, _, _), .meet(let call, _, _): sent += messages[call]
        case .send: sent += 1
        default: break
        }
      }
      // A message through the shared network is asked for, carried, and of its last one word given.
      events += sent * Double(stage.rankCount) * (fabric.requestDelay > 0 ? 3 : 1)
    }
    self.events = Int(events)
    let ranks = program.job.parallelism.gpuCount
    // The fullest lanes hold what nothing holds back, all at once; others a message or two.
    let pending =
      fabric.calls.map { call in
        call.plan.algorithm == .direct
          ? Double((0..<call.laneCount).reduce(0) { $0 + call.plan.stepCount(lane: $1) })
          : Double(2 * call.laneCount)
      }.max() ?? 1
    // Pages of the queue are two thirds full in the mean.
    let perEvent = 1.5 * Double(MemoryLayout<Event>.stride)
    let state = FullSimulationModel.bytesPerRank(program, code, fabric)
    memory = Bytes(Int64(Double(ranks) * (Double(state) + pending * perEvent)))
  }

  /// Messages of one member in the mean.
  private static func messages(of plan: CollectivePlan) -> Double {
    guard plan.ranks > 1 else { return 0 }
    if plan.algorithm == .doubleBinaryTree {
      // Two trees, up and down each of a tree's n − 1 links.
      let links = Double(plan.ranks - 1) / Double(plan.ranks)
      return 4 * links * Double(plan.stepCount(lane: 0))
    }
    return Double((0..<plan.laneCount).reduce(0) { $0 + plan.stepCount(lane: $1) })
  }
}

extension FullSimulationModel {
  /// Bytes of state that a rank has in this model and in the kernel.
  static func bytesPerRank(
    _ program: StepProgram, _ code: FullSimulationCode, _ fabric: FullSimulationFabric
  ) -> Int {
    let words = (code.receivedLanes * program.job.microbatchCount + 63) / 64
    let collectives =
      2 * MemoryLayout<FullSimulationFabric.Active>.stride
      + 2 * fabric.laneWidth * MemoryLayout<FullSimulationFabric.Lane>.stride
      + fabric.communicators.count * MemoryLayout<FullSimulationFabric.Inbox>.stride
      + fabric.countersPerRank * MemoryLayout<UInt32>.stride
    let streams =
      MemoryLayout<RankState>.stride + categories * MemoryLayout<Int64>.stride
      + program.slotCount * MemoryLayout<RankClock.Slot>.stride
      + MemoryLayout<Backlog>.stride + words * MemoryLayout<UInt64>.stride
    // Numbers, stage, speed, and the kernel's sequence.
    return collectives + streams + 4 + 4 + 8 + 4
  }
}
