import Collectives
import Quantities

/// Executes a plan's messages with data on a fabric without other traffic, by the rule in the
/// documentation of `CollectivePlan`.
struct IdleFabric {
  /// Sum contributions that one byte of a buffer holds: contributor → times.
  typealias Cell = [Int: Int]

  /// Where the buffers stand at the end: member → byte → contributions.
  var buffers: [[Cell]]
  /// Buffers all-to-all and send/receive write into.
  var received: [[Cell]]
  /// When the last message arrived.
  var end: SimDuration = .zero
  /// Messages executed.
  var messages = 0
  /// Bytes moved.
  var bytes: Int64 = 0
  /// Whether every message could be sent.
  var isComplete = true

  /// Runs the plan on these starting buffers.
  init(_ plan: CollectivePlan, buffers: [[Cell]]) {
    self.buffers = buffers
    let keepsInput = plan.operation == .allToAll || plan.operation == .sendReceive
    let padded = Int(plan.blockBytes) * plan.ranks
    received = Array(
      repeating: Array(repeating: [:], count: keepsInput ? padded : 0),
      count: plan.ranks)
    let lanes = plan.laneCount
    var next = Array(repeating: Array(repeating: 0, count: lanes), count: plan.ranks)
    var free = Array(
      repeating: Array(repeating: plan.launch, count: lanes), count: plan.ranks)
    // Arrival times of each member's slots, in order of arrival.
    var arrivals = Array(
      repeating: Array(repeating: [Int64](), count: plan.slotCount), count: plan.ranks)

    struct Flight {
      var arrival: Int64
      var sequence: Int
      var sender: Int
      var message: CollectiveMessage
      var data: [[Cell]]
    }
    var flying: [Flight] = []
    var sequence = 0
    var now = plan.launch.picoseconds

    while true {
      // Send what may be sent now.
      for member in 0..<plan.ranks {
        for lane in 0..<lanes {
          while next[member][lane] < plan.stepCount(lane: lane) {
            guard let message = plan.message(from: member, lane: lane, step: next[member][lane])
            else {
              next[member][lane] += 1
              continue
            }
            let isReady = (0..<plan.slotCount).allSatisfy { slot in
              message.awaitedSlots & (1 << UInt64(slot)) == 0
                || arrivals[member][slot].count >= message.awaitedArrivals
            }
            guard isReady, free[member][lane].picoseconds <= now else { break }
            next[member][lane] += 1
            let departure = SimDuration(picoseconds: now)
            free[member][lane] = departure + message.occupancy
            let data = (0..<message.pieces.count).map { piece in
              message.pieces.range(piece).map { self.buffers[member][Int($0)] }
            }
            flying.append(
              Flight(
                arrival: (departure + message.duration).picoseconds, sequence: sequence,
                sender: member, message: message, data: data))
            sequence += 1
            messages += 1
            bytes += message.bytes
          }
        }
      }
      // Go on to the next arrival, or to when a lane becomes free.
      var instants = flying.map(\.arrival)
      for member in 0..<plan.ranks {
        for lane in 0..<lanes where next[member][lane] < plan.stepCount(lane: lane) {
          if free[member][lane].picoseconds > now {
            instants.append(free[member][lane].picoseconds)
          }
        }
      }
      guard let instant = instants.min() else { break }
      now = instant
      let landed = flying.filter { $0.arrival == now }.sorted { $0.sequence < $1.sequence }
      flying.removeAll { $0.arrival == now }
      for flight in landed {
        let message = flight.message
        arrivals[message.receiver][message.slot].append(now)
        if now > end.picoseconds { end = SimDuration(picoseconds: now) }
        for (piece, cells) in flight.data.enumerated() {
          let start = Int(message.receiverOffset + message.pieces.stride * Int64(piece))
          for (index, cell) in cells.enumerated() {
            let at = start + index
            if keepsInput {
              received[message.receiver][at] = cell
            } else if message.isReduced {
              self.buffers[message.receiver][at].merge(cell) { $0 + $1 }
            } else {
              self.buffers[message.receiver][at] = cell
            }
          }
        }
      }
    }
    for member in 0..<plan.ranks {
      for lane in 0..<lanes where next[member][lane] < plan.stepCount(lane: lane) {
        isComplete = false
      }
    }
  }
}
