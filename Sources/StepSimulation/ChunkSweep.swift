import Collectives
import Quantities

/// A collective of chunks, each of which waits for the same chunk only: chains and trees.
struct ChunkSweep {
  /// What a member sends on one lane, the same with every chunk.
  private struct Link {
    var member: Int32
    /// Which of all members' lanes: its messages leave one after the other.
    var lane: Int32
    var receiver: Int32
    /// Links whose chunk it waits for; the first place behind all links stands for none.
    var sources: (Int32, Int32, Int32)
    var occupancy: Int64
    var latency: Int64
  }

  /// Behind those they wait for.
  private var links: [Link] = []
  private let chunks: Int
  private let lanes: Int
  private static let nothing: Int32 = -1
  private static let several: Int32 = -2

  /// `nil` for a plan whose messages wait otherwise.
  init?(_ plan: CollectivePlan) {
    let isChain =
      plan.algorithm == .ring && (plan.operation == .broadcast || plan.operation == .reduce)
    guard isChain || [.doubleBinaryTree, .nvlsTree].contains(plan.algorithm) else { return nil }
    chunks = plan.stepCount(lane: plan.laneCount - 1)
    guard chunks > 0 else { return nil }
    lanes = plan.ranks * plan.laneCount
    var messages: [(lane: Int, message: CollectiveMessage)] = []
    /// Which message comes into each slot of each member: none yet, or several, which none may await.
    var feeding = Array(repeating: Self.nothing, count: plan.ranks * plan.slotCount)
    for lane in 0..<lanes {
      let (member, own) = (lane / plan.laneCount, lane % plan.laneCount)
      for step in 0..<plan.stepCount(lane: own) / chunks {
        guard let message = plan.message(from: member, lane: own, step: step) else { continue }
        let slot = message.receiver * plan.slotCount + message.slot
        feeding[slot] = feeding[slot] == Self.nothing ? Int32(messages.count) : Self.several
        messages.append((lane, message))
      }
    }
    func member(of lane: Int) -> Int { lane / plan.laneCount }
    guard let order = Self.order(messages, feeding, plan) else { return nil }
    var places = Array(repeating: Int32(0), count: messages.count)
    for (place, index) in order.enumerated() { places[index] = Int32(place) }
    let none = Int32(messages.count)
    links = order.map { index in
      let (lane, message) = messages[index]
      var sources = Self.sources(of: message, member(of: lane), feeding, plan.slotCount).map {
        places[$0]
      }
      while sources.count < 3 { sources.append(none) }
      return Link(
        member: Int32(member(of: lane)), lane: Int32(lane), receiver: Int32(message.receiver),
        sources: (sources[0], sources[1], sources[2]),
        occupancy: message.occupancy.picoseconds, latency: message.latency.picoseconds)
    }
  }

  /// The messages of a chunk that one of its messages waits for.
  private static func sources(
    of message: CollectiveMessage, _ member: Int, _ feeding: [Int32], _ slotCount: Int
  ) -> [Int] {
    guard message.awaitedArrivals > 0 else { return [] }
    return (0..<slotCount).compactMap { slot in
      message.awaitedSlots >> UInt64(slot) & 1 == 1
        ? Int(feeding[member * slotCount + slot]) : nil
    }
  }

  /// The messages of a chunk, each behind those it waits for; `nil` when that cannot be.
  private static func order(
    _ messages: [(lane: Int, message: CollectiveMessage)], _ feeding: [Int32],
    _ plan: CollectivePlan
  ) -> [Int]? {
    var waiting = Array(repeating: 0, count: messages.count)
    var followers = Array(repeating: [Int](), count: messages.count)
    for (index, entry) in messages.enumerated() {
      // The first chunk waits for one arrival in each slot, of the first chunk.
      guard entry.message.awaitedArrivals <= 1 else { return nil }
      var sources = sources(
        of: entry.message, entry.lane / plan.laneCount, feeding, plan.slotCount)
      guard sources.count <= 3, sources.allSatisfy({ $0 >= 0 }) else { return nil }
      // Those of a lane follow one another.
      if index > 0, messages[index - 1].lane == entry.lane { sources.append(index - 1) }
      waiting[index] = sources.count
      for source in sources { followers[source].append(index) }
    }
    var order = messages.indices.filter { waiting[$0] == 0 }
    var next = 0
    while next < order.count {
      for follower in followers[order[next]] {
        waiting[follower] -= 1
        if waiting[follower] == 0 { order.append(follower) }
      }
      next += 1
    }
    return order.count == messages.count ? order : nil
  }

  /// Runs all chunks; returns how many messages that were.
  func run(ready: [Int64], arrived: inout [Int64], free: inout [Int64]) -> Int {
    var left = Array(repeating: Int64(0), count: lanes)
    for link in links { left[Int(link.lane)] = ready[Int(link.member)] }
    var arrivals = Array(repeating: Int64.min, count: links.count + 1)
    for _ in 0..<chunks {
      for index in links.indices {
        let link = links[index]
        let awaited = max(
          arrivals[Int(link.sources.0)],
          max(arrivals[Int(link.sources.1)], arrivals[Int(link.sources.2)]))
        let departed = max(left[Int(link.lane)], awaited)
        left[Int(link.lane)] = departed + link.occupancy
        // A message takes a picosecond at least, as an event.
        arrivals[index] = departed + max(link.occupancy + link.latency, 1)
      }
    }
    for (index, link) in links.enumerated() {
      arrived[Int(link.receiver)] = max(arrived[Int(link.receiver)], arrivals[index])
      free[Int(link.member)] = max(free[Int(link.member)], left[Int(link.lane)])
    }
    return links.count * chunks
  }
}
