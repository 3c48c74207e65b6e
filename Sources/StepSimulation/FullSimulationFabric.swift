import Collectives
import Hardware
import Layout
import Quantities
import StepProgram

/// The collectives of a program as plans, and the groups that run them.
struct FullSimulationFabric {
  /// A collective the program calls.
  struct Call {
    var plan: CollectivePlan
    /// What it takes when all members come at once, framework costs included; picoseconds.
    var duration: Int64
    /// From a member's coming to its first departure.
    var launch: Int64
    /// Index of its groups among ``FullSimulationFabric/communicators``.
    var communicator: Int
    var category: Int
    /// From a member's coming to the host's hearing of it, picoseconds.
    var notice: Int64
    var laneCount: Int
    /// Whether a lane without a message at its first step never has one.
    var hasEmptyLanes: Bool
    /// Whether every member receives as many messages as it sends.
    var arrivesAsSent: Bool
    /// Cards a message between nodes crosses at each end, and what it takes of each alone.
    var cards: Int
    var demand: Double
    /// What a message inside a node takes of a GPU's links alone, and whether it is spread over those to all there.
    ///
    /// To all members of its group there.
    var demandInside: Double
    var usesAllPeers: Bool
  }

  /// How the members of a group learn when their collective is over.
  enum Reach {
    /// They share a node, which no process divides: the last one to come tells all.
    case node
    /// One of them, their host, hears of all, and tells them.
    case job
    /// Message by message, through a network whose links are shared.
    case network
  }

  /// Groups of one axis on one stream: their collectives follow one another.
  struct Communicator {
    var axis: CommunicationAxis
    var stream: Stream
    var groups: FullSimulationGroups
    var reach: Reach
    /// Within a node, from the first member's rank to each one's.
    var offsets: [Int32]
    /// Slots counted at each member for each of two collectives.
    var slotCount: Int
    /// Where they begin among a rank's counters.
    var firstCounter: Int
  }

  /// What a member sends on one lane: its next message, asked for once.
  struct Lane {
    /// When its last message has left, picoseconds.
    var free: Int64 = 0
    /// What the next message waits for.
    var awaitedSlots: UInt64 = 0
    /// How long it keeps the sender's port busy, and how long it travels then; picoseconds.
    var occupancy: Int64 = 0
    var latency: Int64 = 0
    var awaitedArrivals: UInt32 = 0
    /// Logical process it goes to, and the slot it counts in there.
    var target: UInt32 = 0
    var slot: UInt32 = 0
    /// Its step; negative when nothing is left.
    var step: Int32 = 0
    /// Whether it goes through the shared network.
    var isShared = false
    /// Whether the network has yet to say when the lane's last message left.
    var awaitsWord = false
  }

  /// A collective in progress on one stream of a rank.
  struct Active {
    var call: Int32 = -1
    var lanesLeft: Int32 = 0
    /// Lanes whose last message is still on its way through the network.
    var wordsLeft: Int32 = 0
    /// Messages sent; as many come in.
    var sent: UInt32 = 0
    /// When the member came, and when it is ready to send.
    var start: Int64 = 0
    var ready: Int64 = 0
    /// When the last member came to the one that has ended.
    var complete: Int64 = 0

    var isBusy: Bool { call >= 0 }
  }

  /// What has come from the other members of one group.
  ///
  /// For the collective in progress (or next) and for the one after it, which others may have begun.
  struct Inbox {
    var first: UInt32
    var member: UInt32
    /// Collectives this rank has ended.
    var ended: UInt32 = 0
    /// Messages received, by parity of the collective.
    var received: (UInt32, UInt32) = (0, 0)
    /// When the last member known to have come came, by parity; picoseconds.
    var latest: (Int64, Int64) = (0, 0)
  }

  private(set) var calls: [Call] = []
  private(set) var communicators: [Communicator] = []
  /// Counters of one rank.
  private(set) var countersPerRank = 0
  /// Most lanes of any collective.
  private(set) var laneWidth = 1
  /// Prices sends.
  let model: CollectiveModel
  /// From a rank's asking to the network's hearing of it, picoseconds.
  ///
  /// Zero where links are not shared.
  private(set) var requestDelay: Int64 = 0
  /// Whether messages inside nodes go through the network too.
  private(set) var sharesNodes = false

  /// - Parameters:
  ///   - program: what the ranks do.
  ///   - keepsNodes: whether the ranks of a node always live on one process.
  /// - Throws: ``StepSimulationError/impossible(_:)`` for a collective whose members do not all wait
  ///   for one another.
  init(_ program: StepProgram, keepsNodes: Bool = true) throws(StepSimulationError) {
    let cluster = program.job.cluster
    // Where links are shared, what blocks above the cards is met on the way, not priced before.
    let usual = CollectiveModel(cluster: cluster)
    let model = cluster.sharesLinks ? CollectiveModel(cluster: cluster.unblocked) : usual
    self.model = model
    let grid = RankGrid(program.job.parallelism)
    let streams = Self.streams(of: program)
    for (index, call) in program.calls.enumerated() {
      // Who waits for nobody could run ahead of the others' collectives.
      let isOneSided = [.broadcast, .reduce, .gather, .scatter].contains(call.operation)
      guard !isOneSided || program.calls.count == 1 else {
        throw .impossible(
          "a step program has no \(call.operation.rawValue) beside other collectives")
      }
      let stream = streams[index]
      let known = communicators.firstIndex { $0.axis == call.axis && $0.stream == stream }
      let plan = model.plan(
        call.operation, bytes: call.bytes, placement: call.placement, algorithm: call.algorithm)
      let communicator = known ?? communicators.count
      if known == nil {
        communicators.append(
          Communicator(
            axis: call.axis, stream: stream, groups: FullSimulationGroups(call.axis, grid: grid),
            reach: .job, offsets: [], slotCount: 0, firstCounter: 0))
      }
      guard communicators[communicator].groups.size == plan.ranks else {
        throw .impossible(
          "a \(call.axis) group of \(communicators[communicator].groups.size) ranks was planned "
            + "for \(plan.ranks)")
      }
      let priced =
        cluster.sharesLinks
        ? usual.plan(
          call.operation, bytes: call.bytes, placement: call.placement, algorithm: call.algorithm
        ) : plan
      let extra = max(0, call.duration.picoseconds - priced.duration.picoseconds)
      let use = model.cardUse(of: plan)
      let duration = plan.duration.picoseconds + extra
      calls.append(
        Call(
          plan: plan, duration: duration,
          launch: plan.launch.picoseconds + extra, communicator: communicator,
          category: call.category.rawValue, notice: duration / 2, laneCount: plan.laneCount,
          hasEmptyLanes: [.doubleBinaryTree, .nvlsTree].contains(plan.algorithm)
            || plan.operation == .scatter,
          arrivesAsSent: plan.arrivals(at: 0) == nil, cards: use.cards, demand: use.demand,
          demandInside: model.linkUse(of: plan), usesAllPeers: model.usesAllPeers(plan)))
    }
    sharesNodes = cluster.sharesNodeLinks
    if cluster.sharesLinks { requestDelay = max(1, leastLatency(program) / 2) }
    reachOut(grid.rankCount, perNode: cluster.gpusPerNode, keepsNodes: keepsNodes)
  }

  /// Decides how the members of each communicator's groups hear of one another.
  private mutating func reachOut(_ ranks: Int, perNode: Int, keepsNodes: Bool) {
    for index in communicators.indices {
      let groups = communicators[index].groups
      let isWithin =
        groups.size == 1
        || keepsNodes && !sharesNodes
          && (0..<ranks).allSatisfy { groups.membership(of: $0).first / perNode == $0 / perNode }
      let crosses =
        sharesNodes || calls.contains { $0.communicator == index && $0.plan.nodes > 1 }
      communicators[index].reach =
        isWithin ? .node : crosses && requestDelay > 0 ? .network : .job
      if isWithin {
        communicators[index].offsets = (0..<groups.size).map {
          Int32(groups.rank(of: $0, first: 0))
        }
      }
      guard communicators[index].reach == .network else { continue }
      for call in calls where call.communicator == index {
        laneWidth = max(laneWidth, call.laneCount)
        communicators[index].slotCount = max(
          communicators[index].slotCount, call.plan.slotCount)
      }
      communicators[index].firstCounter = countersPerRank
      countersPerRank += 2 * communicators[index].slotCount
    }
  }

  /// The least time a message through the network travels after it has left, picoseconds.
  private func leastLatency(_ program: StepProgram) -> Int64 {
    var least = Int64.max
    for call in calls {
      if call.plan.nodes > 1 { least = min(least, call.plan.interNode.latency.picoseconds) }
      if sharesNodes, call.plan.ranksPerNode > 1 {
        least = min(least, call.plan.intraNode.latency.picoseconds)
      }
    }
    for stage in program.stages {
      for case .send(_, _, let bytes, let duration, _) in stage.instructions {
        least = min(least, split(bytes: bytes, duration: duration, crossesNodes: true).latency)
        if sharesNodes {
          least = min(least, split(bytes: bytes, duration: duration, crossesNodes: false).latency)
        }
      }
    }
    return least == .max ? 2 : least
  }

  /// How long a send keeps its link busy, and what else it takes, picoseconds.
  func split(bytes: Int64, duration: SimDuration, crossesNodes: Bool) -> (
    occupancy: Int64, latency: Int64
  ) {
    let parts = model.sendReceive(bytes: bytes, sameNode: !crossesNodes)
    let occupancy = min(SimDuration(seconds: parts.occupancy), duration)
    return (occupancy.picoseconds, (duration - occupancy).picoseconds)
  }

  /// Messages that must come before a member leaves a collective in which it has sent `sent`.
  func expected(_ call: Int, member: UInt32, sent: UInt32) -> UInt32 {
    calls[call].arrivesAsSent
      ? sent : UInt32(calls[call].plan.arrivals(at: Int(member)) ?? Int(sent))
  }

  /// The communicator of a block's collectives when they are all of one within nodes, on the compute stream.
  ///
  /// Else negative.
  func meeting(of block: Block) -> Int32 {
    let communicators = Set(block.calls.map { calls[$0].communicator })
    guard communicators.count == 1, let only = communicators.first,
      self.communicators[only].reach == .node, self.communicators[only].stream == .compute
    else { return -1 }
    return Int32(only)
  }

  /// The stream each call runs on.
  private static func streams(of program: StepProgram) -> [Stream] {
    var streams = Array(repeating: Stream.compute, count: program.calls.count)
    for stage in program.stages {
      for case .launch(let call, _, _) in stage.instructions { streams[call] = .data }
    }
    return streams
  }

  /// The empty inboxes of a rank.
  func inboxes(of rank: Int) -> [Inbox] {
    communicators.map {
      let place = $0.groups.membership(of: rank)
      return Inbox(first: UInt32(place.first), member: UInt32(place.member))
    }
  }

  /// The smallest delay of any event of a collective that goes from one process to another, picoseconds.
  ///
  /// Groups count only where their members live on different processes, messages inside a node only
  /// where members that share a node do.
  func smallestDelay(ranks: Int, process: (Int) -> Int) -> Int64 {
    var smallest = requestDelay > 0 ? requestDelay : Int64.max
    for (index, communicator) in communicators.enumerated() where communicator.reach != .node {
      let perNode = calls.first { $0.communicator == index }?.plan.ranksPerNode ?? 1
      var isSpread = false
      var isSplit = false
      for rank in 0..<ranks {
        let place = communicator.groups.membership(of: rank)
        let home = process(rank)
        if process(place.first) != home { isSpread = true }
        let head = communicator.groups.rank(
          of: place.member / perNode * perNode, first: place.first)
        if process(head) != home { isSplit = true }
      }
      for call in calls where call.communicator == index {
        if communicator.reach == .job {
          if isSpread { smallest = min(smallest, call.notice) }
        } else if isSplit, call.plan.ranksPerNode > 1, !sharesNodes {
          smallest = min(
            smallest,
            Self.delay(
              call.plan.intraNode, call.plan.leastMessageBytes(crossingNodes: false)))
        }
      }
    }
    return smallest
  }

  /// A message takes a picosecond at least, so that simulated causes precede their effects.
  private static func delay(_ hop: HopCost, _ bytes: Int64) -> Int64 {
    max(1, hop.latency.picoseconds + hop.occupancy(bytes).picoseconds)
  }
}

extension Block {
  /// The collectives inside, in order.
  var calls: [Int] {
    leaves.compactMap {
      switch $0 {
      case .work: nil
      case .exchange(let call, _), .fork(let call, _, _): call
      }
    }
  }
}
