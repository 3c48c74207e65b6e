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

  @Test("events leave in the order of their keys, whatever went in between", arguments: 0..<30)
  func sorted(seed: Int) {
    var random = Random(state: UInt64(seed))
    // Spreads from all-equal times to years.
    let spread = Int64(1) << Int64.random(in: 0...58, using: &random)
    var queue = EventQueue()
    var model: [Event] = []
    var now: Int64 = 0
    var sequence: UInt32 = 0
    for _ in 0..<2_000 {
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
        let peeked = queue.nextTime()
        var next = expected
        next.payload = 0
        // A horizon at the event's own time excludes it.
        let early = queue.pop(before: expected.time, into: &next)
        let found = queue.pop(before: .never, into: &next)
        guard peeked == expected.time, !early, found, next == expected else {
          Issue.record("expected \(expected), found \(next)")
          return
        }
        model.removeLast()
        now = expected.time.picoseconds
        // Looking ahead must not keep out events before the next one.
        _ = queue.nextTime()
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
    var events = (0..<5_000).map { event(123_456, &random, UInt32($0)) }
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

  @Test("a burst into the time range of the next few events leaves in order", arguments: 0..<5)
  func burst(seed: Int) {
    var random = Random(state: UInt64(seed))
    var queue = EventQueue()
    let start = Int64(1) << 30
    var expected: [Event] = []
    var sequence: UInt32 = 0
    func add(_ time: Int64) {
      let new = event(time, &random, sequence)
      sequence += 1
      expected.append(new)
      queue.push(new)
    }
    // Two events in neighbouring ranges become the run together...
    add(start + 5)
    add(start * 3)
    #expect(queue.nextTime() == SimTime(picoseconds: start + 5))
    // ...and far more than the late heap keeps come before, between and on them.
    for _ in 0..<3_000 {
      add(.random(in: 0..<start * 4, using: &random))
      add(start * 3 + .random(in: 0..<3, using: &random))
    }
    #expect(queue.count == 6_002)
    expected.sort { $0.precedes($1) }
    var next = expected[0]
    for event in expected {
      guard queue.pop(before: .never, into: &next), next == event else {
        Issue.record("expected \(event), found \(next)")
        return
      }
    }
    #expect(queue.count == 0)
  }

  @Test("an event takes 32 bytes")
  func size() {
    #expect(MemoryLayout<Event>.stride == 32)
  }
}
