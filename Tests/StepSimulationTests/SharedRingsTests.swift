import Collectives
import Hardware
import Quantities
import StepProgram
import Testing

@testable import StepSimulation

@Suite("Rings over shared links")
struct SharedRingsTests {
  /// When the last message of each of `starts.count` members of one ring left; the messages of those in
  /// `sharers` cross link 0, which carries `capacity`.
  private static func departures(
    _ starts: [Int64], occupancy: Int64, travel: Int64, steps: Int, sharers: Set<Int> = [],
    capacity: Double = 1
  ) -> [Int64] {
    let members = starts.indices.map { index in
      SharedRings.Member(
        next: Int32((index + 1) % starts.count), occupancy: occupancy, travel: travel,
        start: starts[index],
        hops: sharers.contains(index) ? [LinkGraph.Hop(link: 0)] : [])
    }
    return SharedRings.departures(of: members, steps: steps, demand: 1, over: [capacity])
  }

  @Test("a ring that nothing slows: a step each message and its way") func plain() {
    // Five steps of 10, and the way of 3 four times: 62.
    #expect(
      Self.departures([0, 0, 0, 0], occupancy: 10, travel: 3, steps: 5) == [62, 62, 62, 62])
    // Who begins late holds up one more with each step. Member 0 begins at 100: 110, 123 by the message
    // of the last, ... Member 1 hears at 113 and leaves at 123; member 2 at 136, 3 at 149.
    #expect(
      Self.departures([100, 0, 0, 0], occupancy: 10, travel: 3, steps: 2)
        == [120, 123, 23, 23])
  }

  @Test("one that takes twice as long sets the pace of all behind it") func slow() {
    // Member 0 at half its rate: 20 a message, 20, 40; its own are never held up by others' 13 a step.
    // Step 0: 20, 10, 10. Step 1: 0 goes on at 20: 40; 1 hears at 23: 33; 2 hears at 13: 23.
    // Step 2: 0 heard 2 at 26, goes on at 40: 60; 1 hears at 43: 53; 2 hears at 36: 46.
    #expect(
      Self.departures(
        [0, 0, 0], occupancy: 10, travel: 3, steps: 3, sharers: [0], capacity: 0.5)
        == [60, 53, 46])
  }

  @Test("two that share a link have half each while both are there") func two() {
    // Members 0 and 2 of four share a link that carries one. Step 0: both until 20; 1 and 3 until 10.
    // Step 1: 0 and 2 go on at 20, until 40; 1 and 3 hear at 23: 33. Step 2: 0 and 2 at 40 (they heard
    // at 36), until 60; 1 and 3 hear at 43: 53.
    #expect(
      Self.departures([0, 0, 0, 0], occupancy: 10, travel: 3, steps: 3, sharers: [0, 2])
        == [60, 53, 60, 53])
    // Member 2 begins 5 late: 0 alone until 5, then both at half. 0 has 5 left: 15. It heard nothing yet
    // of step 0 of member 3, who left at 10: 13, so goes on at 15. 2 has 5 left then, shared until 25.
    #expect(
      Self.departures([0, 0, 5, 0], occupancy: 10, travel: 3, steps: 1, sharers: [0, 2])
        == [15, 10, 20, 10])
  }

  @Test("folded or member by member: the same times", arguments: UInt64(0)..<40)
  func folding(seed: UInt64) throws {
    var random = SeededGenerator(state: seed)
    // Four to twelve times the same stretch of a ring, two to four rings.
    let period = Int.random(in: 1...6, using: &random)
    let repeats = Int.random(in: 4...12, using: &random)
    let rings = Int.random(in: 2...4, using: &random)
    let steps = Int.random(in: 1...60, using: &random)
    let sharers = (0..<period).map { _ in Int.random(in: 0...2, using: &random) }
    let starts = (0..<period).map { _ in Int64.random(in: 0...50, using: &random) }
    let occupancy = Int64.random(in: 1...30, using: &random)
    let members = (0..<rings * repeats * period).map { index -> SharedRings.Member in
      let length = repeats * period
      let (ring, place) = (index / length, index % length)
      // At each place of the stretch, for each repeat, two links that all rings cross there.
      let first = Int32(place / period * 2)
      return SharedRings.Member(
        next: Int32(ring * length + (place + 1) % length), occupancy: occupancy, travel: 7,
        start: starts[place % period],
        hops: (0..<sharers[place % period]).map { LinkGraph.Hop(link: first + Int32($0)) })
    }
    let capacities = (0..<2 * repeats).map { $0 % 2 == 0 ? 1.5 : 1 }
    let folding = RingFolding(members, capacities)
    // A stretch has at most `period` kinds of members.
    #expect(try #require(folding).members.count <= period)
    let folded = SharedRings.departures(of: members, steps: steps, demand: 1, over: capacities)
    let each = SharedRings.departures(
      of: members, steps: steps, demand: 1, over: capacities, folds: false)
    #expect(folded == each)
  }

  @Test(
    "a collective in which messages meet: ring by ring the same time as event by event",
    arguments: [CollectiveAlgorithm.ring, .hierarchical], [1, 8])
  func events(algorithm: CollectiveAlgorithm, perNode: Int) throws {
    let changes: [(inout Cluster) -> Void] = [
      { $0.network.slowCards = [.init(gpu: 13, fraction: 0.4)] },
      { $0.network.failedCards = [9] },
      {
        $0.network.nodesPerLeaf = 2
        $0.oversubscription = 8
      },
      {
        $0.topology = .fatTree
        $0.network.nodesPerLeaf = 2
        $0.network.routing = .ecmp
      },
      {
        $0.topology = .fatTree
        $0.network.nodesPerLeaf = 2
        $0.oversubscription = 5
        $0.network.slowCards = [.init(gpu: 40, fraction: 0.7)]
      },
      {
        $0.topology = .dragonfly
        $0.network.nodesPerGroup = 2
        $0.network.routing = .deterministic
        $0.network.linkRate = ByteRate(bytesPerSecond: 40e9)
      },
    ]
    for (index, change) in changes.enumerated() {
      var cluster = try SmallJobs.cluster(gpus: 8 * 8)
      change(&cluster)
      let groups = 8 / perNode
      let plan = CollectiveModel(cluster: cluster.unblocked).plan(
        .allReduce, bytes: 256 << 20,
        placement: GroupPlacement(
          ranks: 64 / groups, ranksPerNode: perNode, groupsPerNode: groups),
        algorithm: algorithm)
      let program = try #require(StepProgram.collective(plan, groups: groups, on: cluster))
      let swept = try SmallJobs.full(program)
      // A program with another instruction goes by events.
      var other = program
      other.stages[0].instructions.append(.synchronizeHost)
      let byEvents = try SmallJobs.full(other)
      #expect(swept.duration == byEvents.duration, "fabric \(index)")
      // Something met, and no event was made of it: an event a message and a first one a rank, where
      // the network is asked and answers besides.
      #expect(swept.duration > plan.duration)
      #expect(swept.statistics.events == swept.statistics.messages + 64)
      #expect(swept.statistics.events < byEvents.statistics.events)
    }
  }
}
