import Collectives
import Hardware
import Layout
import Quantities
import StepProgram

/// All messages of one collective, worked out without a queue.
///
/// The times of messages follow from those they wait for by the execution rule of
/// ``Collectives/CollectivePlan``, the same numbers an event a message gives, at a fraction of its cost: a
/// step's from those of the step before, a chunk's along its chains and trees (``ChunkSweep``). Of messages
/// that may meet on a link in one stretch of steps only those are followed through time (``SharedRings``).
/// A collective whose messages may meet in more than one way is left to the events.
struct FullSimulationSweep {
  /// Steps in which messages may ask links for more than they carry, and where.
  struct Meeting {
    var firstStep: Int
    /// Of each member, group after group, the links where its messages may meet others.
    var hops: [[LinkGraph.Hop]]
    /// What these links carry, and what a message takes of each alone.
    var capacities: [Double]
    var demand: Double
  }

  /// When each member's last message arrived and left, picoseconds.
  private(set) var arrived: [Int64]
  private(set) var free: [Int64]
  private(set) var messages = 0

  private let plan: CollectivePlan
  private let count: Int
  private let meeting: Meeting?
  /// When each member hears from the network that its last message has come.
  private var words: [Int64]
  /// Of each slot and member: messages received and when the last of them came.
  private var counts: [Int32]
  private var latest: [Int64]

  /// Runs the plan's messages in `groups` groups, alike but for where their messages meet.
  ///
  /// `nil` when they go neither step by step nor chunk by chunk.
  ///
  /// - Parameters:
  ///   - plan: the collective of one group.
  ///   - groups: how many groups.
  ///   - meeting: where their messages may meet; `nil` when each has its links to itself.
  ///   - launch: from a member's coming to its being ready, picoseconds; the plan's own if `nil`.
  ///   - starts: when each member comes, group after group; all at zero if `nil`.
  init?(
    _ plan: CollectivePlan, groups: Int = 1, meeting: Meeting? = nil, launch: Int64? = nil,
    starts: [Int64]? = nil
  ) {
    guard plan.ranks > 1, plan.laneCount == 1 || meeting == nil && groups == 1 else { return nil }
    self.plan = plan
    self.meeting = meeting
    count = plan.ranks * groups
    let launch = launch ?? plan.launch.picoseconds
    let ready = starts?.map { $0 + launch } ?? Array(repeating: launch, count: count)
    arrived = Array(repeating: 0, count: count)
    free = ready
    words = arrived
    counts = []
    latest = []
    if meeting == nil, groups == 1, let chunks = ChunkSweep(plan) {
      messages = chunks.run(ready: ready, arrived: &arrived, free: &free)
      return
    }
    if starts == nil, let alike = AlikeSweep(plan, ready: launch) {
      messages = alike.messages * count
      arrived = Array(repeating: alike.end, count: count)
      return
    }
    counts = Array(repeating: 0, count: count * plan.slotCount)
    latest = Array(repeating: 0, count: count * plan.slotCount)
    var left = ready
    for lane in 0..<plan.laneCount {
      free = ready
      var step = 0
      let steps = plan.stepCount(lane: lane)
      while step < steps {
        let alike = lane == 0 ? plan.stepsAlike(from: step) : 1
        guard run(lane, step..<step + alike) else { return nil }
        step += alike
      }
      for member in 0..<count { left[member] = max(left[member], free[member]) }
    }
    free = left
  }

  /// When the collective is over, or members have messages yet to come or go.
  var end: Int64 { max(arrived.max() ?? 0, max(free.max() ?? 0, words.max() ?? 0)) }

  /// Steps in which every member sends to the same receiver and waits for what came the step before.
  private mutating func run(_ lane: Int, _ steps: Range<Int>) -> Bool {
    var receivers = Array(repeating: Int32(-1), count: count)
    var occupancies = Array(repeating: Int64(0), count: count)
    var latencies = occupancies
    var ready = occupancies
    var slots = receivers
    for member in 0..<count {
      let first = member / plan.ranks * plan.ranks
      guard let message = plan.message(from: member - first, lane: lane, step: steps.lowerBound)
      else { continue }
      receivers[member] = Int32(first + message.receiver)
      occupancies[member] = message.occupancy.picoseconds
      latencies[member] = message.latency.picoseconds
      slots[member] = Int32(message.slot)
      // A lane goes on inside the node when it hears that its message has come.
      if !message.crossesNodes { free[member] = max(free[member], words[member]) }
      if message.awaitedArrivals > 0 {
        var rest = message.awaitedSlots
        while rest != 0 {
          let index = rest.trailingZeroBitCount * count + member
          // Later ones must not have come yet, or the last to come is not the one waited for.
          guard Int(counts[index]) == message.awaitedArrivals else { return false }
          ready[member] = max(ready[member], latest[index])
          rest &= rest - 1
        }
      }
    }
    if meeting?.firstStep == steps.lowerBound {
      guard share(steps, receivers, occupancies, latencies, &ready) else { return false }
    } else {
      go(steps, receivers, occupancies, latencies, &ready)
    }
    for member in 0..<count where receivers[member] >= 0 {
      messages += steps.count
      let receiver = Int(receivers[member])
      let index = Int(slots[member]) * count + receiver
      counts[index] += Int32(steps.count)
      latest[index] = max(latest[index], ready[receiver])
      arrived[receiver] = max(arrived[receiver], ready[receiver])
    }
    return true
  }

  /// Runs steps whose messages meet no other, and says when the last of them come.
  private mutating func go(
    _ steps: Range<Int>, _ receivers: [Int32], _ occupancies: [Int64], _ latencies: [Int64],
    _ ready: inout [Int64]
  ) {
    var next = Array(repeating: Int64(0), count: count)
    for _ in steps {
      for member in 0..<count where receivers[member] >= 0 {
        let left = max(free[member], ready[member]) + occupancies[member]
        free[member] = left
        // A message takes a picosecond at least, as an event.
        let departed = left - occupancies[member]
        next[Int(receivers[member])] = max(left + latencies[member], departed + 1)
      }
      swap(&ready, &next)
    }
  }

  /// Runs steps whose messages may meet; false when they do not go round in rings.
  private mutating func share(
    _ steps: Range<Int>, _ receivers: [Int32], _ occupancies: [Int64], _ latencies: [Int64],
    _ ready: inout [Int64]
  ) -> Bool {
    guard let meeting else { return false }
    var hasSender = Array(repeating: false, count: count)
    for receiver in receivers {
      guard receiver >= 0, !hasSender[Int(receiver)] else { return false }
      hasSender[Int(receiver)] = true
    }
    let members = (0..<count).map { member in
      // A message is on its way for a picosecond at least, as an event.
      let least = meeting.hops[member].isEmpty ? 1 - occupancies[member] : 1
      return SharedRings.Member(
        next: receivers[member], occupancy: occupancies[member],
        travel: max(latencies[member], least), start: max(free[member], ready[member]),
        hops: meeting.hops[member])
    }
    free = SharedRings.departures(
      of: members, steps: steps.count, demand: meeting.demand, over: meeting.capacities)
    for (member, description) in members.enumerated() {
      words[member] = free[member] + description.travel
      ready[Int(description.next)] = words[member]
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
      let call = fabric.calls.first, !fabric.sharesNodes
    else { return nil }
    let groups = stage.rankCount / call.plan.ranks
    let sweep: FullSimulationSweep
    switch fabric.requestDelay == 0 ? .never : meeting(program, fabric) {
    case .never:
      guard let alone = FullSimulationSweep(call.plan) else { return nil }
      sweep = alone
    case .inOneWay(let meeting):
      guard let shared = FullSimulationSweep(call.plan, groups: groups, meeting: meeting) else {
        return nil
      }
      sweep = shared
    case .otherwise: return nil
    }
    let end = max(sweep.end, call.duration)
    var spent = [Int64](repeating: 0, count: TimeCategory.allCases.count)
    spent[category.rawValue] = end
    var statistics = SimulationStatistics()
    statistics.simulatedRanks = stage.rankCount
    statistics.messages = sweep.messages * (stage.rankCount / sweep.arrived.count)
    statistics.events = statistics.messages + stage.rankCount
    let outcome = RankOutcome(
      rank: stage.rank, compute: end, spent: spent,
      ledger: MemoryLedger(resident: stage.resident), flops: 0)
    return try StepResult(program, [outcome], end: end, statistics)
  }

  /// Whether messages of a program's one collective might ask a link for more than it carries.
  private enum Meetings {
    case never
    case inOneWay(FullSimulationSweep.Meeting)
    case otherwise
  }

  /// Whether messages of a program's one collective might ask a link for more than it carries.
  ///
  /// All that ever cross it, at once.
  private static func meeting(_ program: StepProgram, _ fabric: FullSimulationFabric) -> Meetings {
    let call = fabric.calls[0]
    let plan = call.plan
    let cluster = program.job.cluster
    guard plan.laneCount == 1 else { return .otherwise }
    let graph = LinkGraph(cluster)
    let groups = fabric.communicators[call.communicator].groups
    var loads = Array(repeating: 0.0, count: graph.capacities.count)
    var hops: [LinkGraph.Hop] = []
    /// Tells of the links that each message crosses in a stretch of steps that are alike.
    func route(_ step: Int, _ body: (_ rank: Int, _ hops: [LinkGraph.Hop]) -> Void) {
      for rank in 0..<program.job.parallelism.gpuCount {
        let place = groups.membership(of: rank)
        guard let message = plan.message(from: place.member, lane: 0, step: step),
          message.crossesNodes
        else { continue }
        hops.removeAll(keepingCapacity: true)
        fabric.appendRoute(of: message, from: place, rank: rank, call, graph, loads, &hops)
        body(rank, hops)
      }
    }
    var steps: [Int] = []
    var step = 0
    while step < plan.stepCount(lane: 0) {
      steps.append(step)
      route(step) { _, hops in
        for hop in hops { loads[Int(hop.link)] += call.demand * hop.weight }
      }
      step += plan.stepsAlike(from: step)
    }
    var numbers = Array(repeating: Int32(-1), count: loads.count)
    var capacities: [Double] = []
    for link in loads.indices where loads[link] > graph.capacities[link] * (1 + 1e-9) {
      numbers[link] = Int32(capacities.count)
      capacities.append(graph.capacities[link])
    }
    guard !capacities.isEmpty else { return .never }
    // Where the way depends on the load, nothing is known before.
    guard cluster.network.routing != .adaptive || ![.torus, .dragonfly].contains(cluster.topology)
    else { return .otherwise }
    var meeting: FullSimulationSweep.Meeting?
    var firsts: [Int: Int] = [:]
    for step in steps {
      var shared: [[LinkGraph.Hop]] = []
      route(step) { rank, hops in
        guard hops.contains(where: { numbers[Int($0.link)] >= 0 }) else { return }
        let place = groups.membership(of: rank)
        if shared.isEmpty {
          shared = Array(repeating: [], count: program.job.parallelism.gpuCount)
        }
        let group = firsts[place.first] ?? firsts.count
        firsts[place.first] = group
        shared[group * plan.ranks + place.member] = hops.filter { numbers[Int($0.link)] >= 0 }
          .map { LinkGraph.Hop(link: numbers[Int($0.link)], weight: $0.weight) }
      }
      guard !shared.isEmpty else { continue }
      guard meeting == nil else { return .otherwise }
      meeting = FullSimulationSweep.Meeting(
        firstStep: step, hops: shared, capacities: capacities, demand: call.demand)
    }
    return meeting.map { .inOneWay($0) } ?? .never
  }
}
