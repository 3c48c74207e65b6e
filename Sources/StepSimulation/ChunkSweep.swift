import Collectives
import Quantities

/// A collective of chunks, each of which waits for the same chunk only: chains and double trees.
struct ChunkSweep {
  /// What a member sends on one lane, the same with every chunk.
  private struct Link {
    var member: Int32
    var receiver: Int32
    /// Links whose chunk it waits for; the first place behind all links stands for none.
    var sources: (Int32, Int32, Int32)
    var occupancy: Int64
    var latency: Int64
  }

  /// Behind those they wait for.
  private var links: [Link] = []
  private let chunks: Int

  /// `nil` for a plan whose messages wait otherwise.
  init?(_ plan: CollectivePlan) {
    let isChain =
      plan.algorithm == .ring && (plan.operation == .broadcast || plan.operation == .reduce)
    guard isChain || plan.algorithm == .doubleBinaryTree else { return nil }
    chunks = plan.stepCount(lane: 0)
    var messages: [(member: Int, message: CollectiveMessage)] = []
    /// Which message comes into each slot of each member.
    var feeding = Array(repeating: Int32(-1), count: plan.ranks * plan.slotCount)
    for member in 0..<plan.ranks {
      for lane in 0..<plan.laneCount {
        guard let message = plan.message(from: member, lane: lane, step: 0) else { continue }
        let slot = message.receiver * plan.slotCount + message.slot
        guard feeding[slot] < 0 else { return nil }
        feeding[slot] = Int32(messages.count)
        messages.append((member, message))
      }
    }
    guard let order = Self.order(messages, feeding, slotCount: plan.slotCount) else { return nil }
    var places = Array(repeating: Int32(0), count: messages.count)
    for (place, index) in order.enumerated() { places[index] = Int32(place) }
    let none = Int32(messages.count)
    links = order.map { index in
      let (member, message) = messages[index]
      var sources = Self.sources(of: message, member, feeding, plan.slotCount).map {
        places[$0]
      }
      while sources.count < 3 { sources.append(none) }
      return Link(
        member: Int32(member), receiver: Int32(message.receiver),
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
    _ messages: [(member: Int, message: CollectiveMessage)], _ feeding: [Int32], slotCount: Int
  ) -> [Int]? {
    var waiting = Array(repeating: 0, count: messages.count)
    var followers = Array(repeating: [Int](), count: messages.count)
    for (index, entry) in messages.enumerated() {
      // The first chunk waits for one arrival in each slot, of the first chunk.
      guard entry.message.awaitedArrivals <= 1 else { return nil }
      let sources = sources(of: entry.message, entry.member, feeding, slotCount)
      guard sources.count <= 3, sources.allSatisfy({ $0 >= 0 }) else { return nil }
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
    var left = links.map { ready[Int($0.member)] }
    var arrivals = Array(repeating: Int64.min, count: links.count + 1)
    for _ in 0..<chunks {
      for index in links.indices {
        let link = links[index]
        let awaited = max(
          arrivals[Int(link.sources.0)],
          max(arrivals[Int(link.sources.1)], arrivals[Int(link.sources.2)]))
        let departed = max(left[index], awaited)
        left[index] = departed + link.occupancy
        // A message takes a picosecond at least, as an event.
        arrivals[index] = departed + max(link.occupancy + link.latency, 1)
      }
    }
    for (index, link) in links.enumerated() {
      arrived[Int(link.receiver)] = max(arrived[Int(link.receiver)], arrivals[index])
      free[Int(link.member)] = max(free[Int(link.member)], left[index])
    }
    return links.count * chunks
  }
}
