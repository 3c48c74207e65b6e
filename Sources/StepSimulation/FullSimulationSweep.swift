import Collectives
import Hardware
import Layout
import Quantities
import StepProgram

/// A collective alone, whose messages wait for nothing but the step before: no queue is needed.
///
/// Where all members begin together on links of their own, the times of a step's messages follow from
/// those of the step before by the execution rule of ``Collectives/CollectivePlan``, the same numbers an
/// event a message gives, at a fraction of its cost. A collective whose messages wait otherwise (trees),
/// or may meet on a link, is left to the events.
struct FullSimulationSweep {
  /// When each member's last message arrived and left, picoseconds.
  private(set) var arrived: [Int64]
  private(set) var free: [Int64]
  private(set) var messages = 0

  private let plan: CollectivePlan
  /// Of each slot and member: messages received and when the last of them came.
  private var counts: [Int32]
  private var latest: [Int64]

  /// Runs the plan's messages; `nil` when they do not go step by step.
  init?(_ plan: CollectivePlan) {
    guard plan.laneCount == 1, plan.ranks > 1 else { return nil }
    self.plan = plan
    let ranks = plan.ranks
    arrived = Array(repeating: 0, count: ranks)
    free = Array(repeating: plan.launch.picoseconds, count: ranks)
    counts = Array(repeating: 0, count: ranks * plan.slotCount)
    latest = Array(repeating: 0, count: ranks * plan.slotCount)
    var step = 0
    let steps = plan.stepCount(lane: 0)
    while step < steps {
      let alike = plan.stepsAlike(from: step)
      guard run(step..<step + alike) else { return nil }
      step += alike
    }
  }

  /// When the collective is over, or members have messages yet to come or go.
  var end: Int64 { max(arrived.max() ?? 0, free.max() ?? 0) }

  /// Steps in which every member sends to the same receiver and waits for what came the step before.
  private mutating func run(_ steps: Range<Int>) -> Bool {
    let ranks = plan.ranks
    var receivers = Array(repeating: Int32(-1), count: ranks)
    var occupancies = Array(repeating: Int64(0), count: ranks)
    var latencies = occupancies
    var ready = occupancies
    var slots = receivers
    for member in 0..<ranks {
      guard let message = plan.message(from: member, lane: 0, step: steps.lowerBound) else {
        continue
      }
      receivers[member] = Int32(message.receiver)
      occupancies[member] = message.occupancy.picoseconds
      latencies[member] = message.latency.picoseconds
      slots[member] = Int32(message.slot)
      guard message.awaitedArrivals > 0 else { continue }
      var rest = message.awaitedSlots
      while rest != 0 {
        let index = rest.trailingZeroBitCount * ranks + member
        // Later ones must not have come yet, or the last to come is not the one waited for.
        guard Int(counts[index]) == message.awaitedArrivals else { return false }
        ready[member] = max(ready[member], latest[index])
        rest &= rest - 1
      }
    }
    var next = Array(repeating: Int64(0), count: ranks)
    for _ in steps {
      for member in 0..<ranks where receivers[member] >= 0 {
        let left = max(free[member], ready[member]) + occupancies[member]
        free[member] = left
        // A message takes a picosecond at least, as an event.
        let departed = left - occupancies[member]
        next[Int(receivers[member])] = max(left + latencies[member], departed + 1)
      }
      swap(&ready, &next)
    }
    for member in 0..<ranks where receivers[member] >= 0 {
      messages += steps.count
      let receiver = Int(receivers[member])
      let index = Int(slots[member]) * ranks + receiver
      counts[index] += Int32(steps.count)
      latest[index] = max(latest[index], ready[receiver])
      arrived[receiver] = max(arrived[receiver], ready[receiver])
    }
    return true
  }
}

extension FullSimulation {
  /// The result of a program that is one collective and nothing else, where a sweep gives it.
  ///
  /// The groups of the program all do the same at the same time, each on links of its own.
  static func sweep(
    _ program: StepProgram, _ fabric: FullSimulationFabric
  ) throws(StepSimulationError) -> StepResult? {
    guard program.stages.count == 1, program.calls.count == 1, let stage = program.stages.first,
      stage.instructions.count == 2,
      case .launch(_, false, let slot) = stage.instructions[0],
      case .wait(slot, let category) = stage.instructions[1],
      let call = fabric.calls.first, fabric.requestDelay == 0 || !mayMeet(program, fabric),
      let sweep = FullSimulationSweep(call.plan)
    else { return nil }
    let end = max(sweep.end, call.duration)
    let groups = stage.rankCount / call.plan.ranks
    var spent = [Int64](repeating: 0, count: TimeCategory.allCases.count)
    spent[category.rawValue] = end
    var statistics = SimulationStatistics()
    statistics.simulatedRanks = stage.rankCount
    statistics.messages = sweep.messages * groups
    statistics.events = statistics.messages + stage.rankCount
    let outcome = RankOutcome(
      rank: stage.rank, compute: end, spent: spent,
      ledger: MemoryLedger(resident: stage.resident), flops: 0)
    return try StepResult(program, [outcome], statistics)
  }

  /// Whether messages of a program's one collective might ask a link for more than it carries: all
  /// that ever cross it, at once.
  private static func mayMeet(_ program: StepProgram, _ fabric: FullSimulationFabric) -> Bool {
    let call = fabric.calls[0]
    let plan = call.plan
    guard plan.laneCount == 1 else { return true }
    let graph = LinkGraph(program.job.cluster)
    let groups = fabric.communicators[call.communicator].groups
    var loads = Array(repeating: 0.0, count: graph.capacities.count)
    var hops: [LinkGraph.Hop] = []
    var step = 0
    while step < plan.stepCount(lane: 0) {
      for rank in 0..<program.job.parallelism.gpuCount {
        let place = groups.membership(of: rank)
        guard let message = plan.message(from: place.member, lane: 0, step: step),
          message.crossesNodes
        else { continue }
        hops.removeAll(keepingCapacity: true)
        fabric.appendRoute(of: message, from: place, rank: rank, call, graph, loads, &hops)
        for hop in hops { loads[Int(hop.link)] += call.demand * hop.weight }
      }
      step += plan.stepsAlike(from: step)
    }
    return zip(loads, graph.capacities).contains { $0 > $1 * (1 + 1e-9) }
  }
}
