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

  @Test(
    "no link carries more than it can, and every message is held by something full",
    arguments: UInt64(0)..<50)
  func maxMin(seed: UInt64) {
    var random = SeededGenerator(state: seed)
    let capacities = (0..<12).map { _ in Double(Int.random(in: 1...4, using: &random)) / 2 }
    var network = FlowNetwork(capacities: capacities)
    var flows: [(index: Int, demand: Double, links: [Int])] = []
    for _ in 0..<40 {
      let links = Array(Set((0..<3).map { _ in Int.random(in: 0..<12, using: &random) })).sorted()
      let demand = Double(Int.random(in: 1...4, using: &random)) / 4
      let index = network.begin(
        work: 1_000_000, demand: demand,
        hops: links.map { LinkGraph.Hop(link: Int32($0), weight: 1) }, at: 0)
      flows.append((index, demand, links))
      // In the middle of it some end.
      if flows.count == 30 {
        for _ in 0..<10 {
          network.finish(flows.remove(at: Int.random(in: 0..<flows.count, using: &random)).index)
        }
      }
      var sooner: [Int32] = []
      if network.needsSettling { network.settle(at: 0, sooner: &sooner) }
    }
    var used = Array(repeating: 0.0, count: 12)
    var largest = used
    for flow in flows {
      let rate = network.flows[flow.index].share * flow.demand
      for link in flow.links {
        used[link] += rate
        largest[link] = max(largest[link], rate)
      }
    }
    for link in 0..<12 { #expect(used[link] <= capacities[link] + 1e-9) }
    for flow in flows {
      let rate = network.flows[flow.index].share * flow.demand
      let isHeld = flow.links.contains {
        used[$0] > capacities[$0] - 1e-9 && rate > largest[$0] - 1e-9
      }
      #expect(rate > flow.demand - 1e-9 || isHeld)
    }
  }
}
