import EventKernel
import Quantities
import Testing

@Suite struct EventQueueTests {
  /// SplitMix64, seeded.
  struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
  }

  private func event(_ time: Int64, _ random: inout Random, _ sequence: UInt32) -> Event {
    Event(
      time: SimTime(picoseconds: time), destination: .random(in: 0..<50, using: &random),
      source: .random(in: 0..<4, using: &random), sequence: sequence, kind: 0, payload: 7)
  }

  @Test("events leave in the order of their keys, whatever went in between", arguments: 0..<60)
  func sorted(seed: Int) {
    var random = Random(state: UInt64(seed))
    // Spreads from all-equal times to years.
    let spread = Int64(1) << Int64.random(in: 0...58, using: &random)
    var queue = EventQueue()
    var model: [Event] = []
    var now: Int64 = 0
    var sequence: UInt32 = 0
    for _ in 0..<6_000 {
      if Int.random(in: 0..<5, using: &random) < 3 {
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          let delay = Int64.random(
            in: 0..<(Bool.random(using: &random) ? spread : min(spread, 50)), using: &random)
          let (time, overflow) = now.addingReportingOverflow(delay)
          if overflow || time == .max { continue }
          let new = event(time, &random, sequence)
          sequence += 1
          queue.push(new)
          // Kept latest first, so that the earliest is removed from the end.
          var low = 0
          var high = model.count
          while low < high {
            let middle = (low + high) / 2
            if new.precedes(model[middle]) { low = middle + 1 } else { high = middle }
          }
          model.insert(new, at: low)
        }
      } else if let expected = model.last {
        #expect(queue.nextTime() == expected.time)
        var next = expected
        next.payload = 0
        // A horizon at the event's own time excludes it.
        let early = queue.pop(before: expected.time, into: &next)
        let found = queue.pop(before: .never, into: &next)
        guard !early, found, next == expected else {
          Issue.record("expected \(expected), found \(next)")
          return
        }
        model.removeLast()
        // Sometimes an event of another process is earlier than the own next one.
        now = expected.time.picoseconds
      }
    }
    #expect(queue.count == model.count)
    var next = event(0, &random, 0)
    while let expected = model.popLast() {
      guard queue.pop(before: .never, into: &next), next == expected else {
        Issue.record("expected \(expected), found \(next)")
        return
      }
    }
    let isLeft = queue.pop(before: .never, into: &next)
    #expect(!isLeft)
    #expect(queue.nextTime() == .never)
  }

  @Test("many events of one time leave by destination, source and sequence")
  func ties() {
    var queue = EventQueue()
    var random = Random(state: 1)
    var events = (0..<20_000).map { event(123_456, &random, UInt32($0)) }
    for event in events.shuffled(using: &random) { queue.push(event) }
    events.sort {
      ($0.destination, $0.source, $0.sequence) < ($1.destination, $1.source, $1.sequence)
    }
    var next = events[0]
    for expected in events {
      guard queue.pop(before: .never, into: &next), next == expected else {
        Issue.record("expected \(expected), found \(next)")
        return
      }
    }
  }

  @Test("an event takes 32 bytes")
  func size() {
    #expect(MemoryLayout<Event>.stride == 32)
  }
}
