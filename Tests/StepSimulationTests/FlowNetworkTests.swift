import Hardware
import Testing

@testable import StepSimulation

@Suite("Messages share links fairly")
struct FlowNetworkTests {
  /// A message of the test.
  struct Message {
    var start: Int64
    var work: Int64
    var demand = 1.0
    var links: [Int]
  }

  /// When each message ends.
  static func ends(_ capacities: [Double], _ messages: [Message]) -> [Int64] {
    SharedLinks.ends(
      of: messages.map { message in
        SharedLinks.Message(
          start: message.start, work: message.work, demand: message.demand,
          hops: message.links.map { LinkGraph.Hop(link: Int32($0)) })
      }, over: capacities)
  }

  @Test("alone a message takes its work, to the picosecond") func alone() {
    #expect(
      Self.ends([1, 1], [Message(start: 7, work: 123_457, links: [0, 1])]) == [123_464])
  }

  @Test("two on one link: half each, then the rest alone") func two() {
    // 1000 and 3000 from 0: until 2000 half each, 1000 done; the other has 2000 left, ends at 4000.
    let ends = Self.ends(
      [1], [Message(start: 0, work: 1_000, links: [0]), Message(start: 0, work: 3_000, links: [0])])
    #expect(ends == [2_000, 4_000])
  }

  @Test("who comes later slows who is there from then on") func later() {
    // The first has 1000 left at 1000; half rate until its end at 3000; the second, 1500 of work,
    // has 500 left then: 3500.
    let ends = Self.ends(
      [1],
      [Message(start: 0, work: 2_000, links: [0]), Message(start: 1_000, work: 1_500, links: [0])])
    #expect(ends == [3_000, 3_500])
  }

  @Test("incast: n senders into one card take n times as long") func incast() {
    // Links 0–7 out of the senders, 8 into the receiver.
    let messages = (0..<8).map { Message(start: 0, work: 1_000, links: [$0, 8]) }
    #expect(Self.ends(Array(repeating: 1, count: 9), messages) == Array(repeating: 8_000, count: 8))
  }

  @Test("max-min: what one bottleneck leaves over, others may have") func leftOver() {
    // Link 0 (capacity 1) carries a, b, c; link 1 (capacity 2) carries c and d. Level 1/3 on link 0;
    // d then takes its demand of 1 of the 5/3 left. a, b, c: 900 / (1/3) = 2700.
    let ends = Self.ends(
      [1, 2],
      [
        Message(start: 0, work: 900, links: [0]), Message(start: 0, work: 900, links: [0]),
        Message(start: 0, work: 900, links: [0, 1]), Message(start: 0, work: 900, links: [1]),
      ])
    #expect(ends == [2_700, 2_700, 2_700, 900])
  }

  @Test("a small demand is met before the rest is divided") func demands() {
    // Capacity 1; demands 0.2, 1, 1: 0.2 is met, the others have 0.4 each: 0.2 takes its 1000; at
    // 1000 the others have 600 of 1000 left, and half each: 1200 more.
    let ends = Self.ends(
      [1],
      [
        Message(start: 0, work: 1_000, demand: 0.2, links: [0]),
        Message(start: 0, work: 1_000, links: [0]), Message(start: 0, work: 1_000, links: [0]),
      ])
    #expect(ends == [1_000, 2_200, 2_200])
  }

  /// The max-min fair rates of messages, the plain way: all rates rise together, message by message
  /// they are stopped by their demand or by a link that is full.
  static func fairRates(
    _ capacities: [Double], _ flows: [(demand: Double, hops: [LinkGraph.Hop])]
  ) -> [Double] {
    var rates = Array(repeating: -1.0, count: flows.count)
    while rates.contains(-1) {
      var left = capacities
      var open = Array(repeating: 0.0, count: capacities.count)
      for (flow, rate) in zip(flows, rates) {
        for hop in flow.hops {
          if rate >= 0 {
            left[Int(hop.link)] -= rate * hop.weight
          } else {
            open[Int(hop.link)] += hop.weight
          }
        }
      }
      var level = Double.infinity
      for link in left.indices where open[link] > 0 {
        level = min(level, max(0, left[link]) / open[link])
      }
      for (flow, rate) in zip(flows, rates) where rate < 0 { level = min(level, flow.demand) }
      for index in flows.indices where rates[index] < 0 {
        let isStopped = flows[index].hops.contains {
          left[Int($0.link)] / open[Int($0.link)] <= level * (1 + 1e-12)
        }
        if isStopped || flows[index].demand <= level { rates[index] = level }
      }
    }
    return rates
  }

  @Test(
    "after any change, of one message or several, rates are the max-min fair ones",
    arguments: UInt64(0)..<60)
  func maxMin(seed: UInt64) {
    var random = SeededGenerator(state: seed)
    // Few links or many, few messages or many, links alike or not: 60 networks, 60 settlings of each.
    let linkCount = [3, 12, 40][Int(seed % 3)]
    let mostFlows = [8, 40, 120][Int(seed / 3 % 3)]
    let isEven = seed % 2 == 0
    let capacities = (0..<linkCount).map { _ in
      isEven ? 1 : Double(Int.random(in: 1...9, using: &random)) / 3
    }
    var network = FlowNetwork(capacities: capacities)
    var flows: [(index: Int, demand: Double, hops: [LinkGraph.Hop])] = []
    var sooner: [Int32] = []
    for change in 0..<60 {
      let isBatch = Int.random(in: 0..<4, using: &random) == 0
      for _ in 0..<(isBatch ? Int.random(in: 2...20, using: &random) : 1) {
        if flows.count > Int.random(in: 0..<mostFlows, using: &random) {
          let gone = flows.remove(at: Int.random(in: 0..<flows.count, using: &random))
          network.finish(gone.index)
        } else {
          let count = Int.random(in: 1...min(5, linkCount), using: &random)
          let links = Array((0..<linkCount).shuffled(using: &random).prefix(count))
          let hops = links.map {
            LinkGraph.Hop(
              link: Int32($0), weight: isEven ? 1 : Double(Int.random(in: 1...3, using: &random)))
          }
          let demand = isEven ? 1 : Double(Int.random(in: 1...8, using: &random)) / 5
          let index = network.begin(
            work: 1_000_000, demand: demand, hops: hops, at: Int64(change))
          flows.append((index, demand, hops))
        }
      }
      if network.needsSettling { network.settle(at: Int64(change), sooner: &sooner) }
      let fair = Self.fairRates(capacities, flows.map { ($0.demand, $0.hops) })
      for (flow, rate) in zip(flows, fair) {
        let ours = network.flows[flow.index].share * flow.demand
        #expect(abs(ours - rate) <= 1e-9 * rate)
      }
    }
  }
}
