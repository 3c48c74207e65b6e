import Collectives
import Quantities

/// A collective in which all members do the same at the same time: additions in the network.
///
/// Whom a member hears from does what it does itself, so that its own messages, taken as those that come to
/// it, are all there are.
struct AlikeSweep {
  /// When the last message has come.
  private(set) var end: Int64
  /// Messages of one member.
  private(set) var messages = 0

  /// Runs the messages of one member from `ready` on; `nil` for a plan whose members differ.
  init?(_ plan: CollectivePlan, ready: Int64) {
    guard plan.algorithm.addsInNetwork(nodes: plan.nodes) else { return nil }
    end = ready
    var steps = Array(repeating: 0, count: plan.laneCount)
    var free = Array(repeating: ready, count: plan.laneCount)
    /// When messages come to each slot, those that have come first, in order.
    var arrivals = Array(repeating: [Int64](), count: plan.slotCount)
    var hasSent = true
    // A lane's next message is sent when what it waits for is known to come: the lanes feed one another
    // forwards only, the first of them none.
    while hasSent {
      hasSent = false
      for lane in steps.indices {
        while let message = Self.next(plan, lane, steps[lane]) {
          var departure = free[lane]
          var isKnown = true
          for slot in arrivals.indices where message.awaitedSlots >> UInt64(slot) & 1 == 1 {
            guard arrivals[slot].count >= message.awaitedArrivals else {
              isKnown = false
              break
            }
            departure = max(departure, arrivals[slot][message.awaitedArrivals - 1])
          }
          guard isKnown else { break }
          steps[lane] += 1
          messages += 1
          hasSent = true
          free[lane] = departure + message.occupancy.picoseconds
          // A message takes a picosecond at least, as an event.
          let arrival = max(free[lane] + message.latency.picoseconds, departure + 1)
          let place = arrivals[message.slot].lastIndex { $0 <= arrival }.map { $0 + 1 } ?? 0
          arrivals[message.slot].insert(arrival, at: place)
          end = max(end, arrival)
        }
      }
    }
    for lane in steps.indices where steps[lane] < plan.stepCount(lane: lane) { return nil }
  }

  private static func next(
    _ plan: CollectivePlan, _ lane: Int, _ step: Int
  ) -> CollectiveMessage? {
    step < plan.stepCount(lane: lane) ? plan.message(from: 0, lane: lane, step: step) : nil
  }
}
