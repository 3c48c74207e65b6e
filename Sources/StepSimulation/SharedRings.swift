import EventKernel
import Hardware
import Quantities

/// Members in rings over links that some of them share.
///
/// Each sends its message of a step when the one before has left and its predecessor's of the step before has
/// come.
///
/// Only messages that may meet others on a link are flows. What lies between two such members of a ring
/// follows from the first: when its message has left, those behind it send theirs of the steps after, one
/// after the other, until one comes to the next member whose messages may meet. So a step costs an
/// addition and a comparison where nothing meets, and a beginning and an end of a flow where it may.
struct SharedRings: ~Copyable {
  /// A member: whom it sends to, how long its message takes, and when it begins with the first step.
  ///
  /// In picoseconds, how long a message takes alone and how long it travels after it has left.
  struct Member {
    var next: Int32
    var occupancy: Int64
    var travel: Int64
    var start: Int64
    /// Links where its messages may meet others.
    var hops: [LinkGraph.Hop] = []
  }

  /// A member whose messages are flows, and those behind it up to the next such.
  private struct Segment {
    var head: Int32
    var end: Int32
    var next: Int32
    /// Its present step, and whether it waits for a message of the step before.
    var step: Int32 = 0
    var waits = false
    /// Messages that have been sent to it and not yet been waited for, the first and the last.
    var first: Int32 = -1
    var last: Int32 = -1
    var hops: [LinkGraph.Hop]
  }

  /// Of members in the order of their rings.
  ///
  /// Their numbers, how long their messages take alone and how long these travel then, and when the last one
  /// left.
  private var numbers: [Int32] = []
  private var occupancies: [Int64] = []
  private var travels: [Int64] = []
  private var left: [Int64] = []
  private var segments: [Segment] = []
  private let steps: Int
  private let demand: Double
  private var network: FlowNetwork
  /// Segments that begin, by number; flows that end, by number behind all segments.
  private var events = EventQueue()
  private var carried: [Int32] = []
  private var sooner: [Int32] = []
  /// Messages sent ahead: when each comes, and the next of its queue or of the free ones.
  private var ahead: [(time: Int64, next: Int32)] = []
  private var freeAhead: Int32 = -1

  /// When each member's last message left.
  ///
  /// - Parameters:
  ///   - members: the members; each is the next of one.
  ///   - steps: messages of each.
  ///   - demand: what a message takes of each link alone.
  ///   - capacities: what each link carries.
  ///   - folds: whether of members that are alike one may stand for all.
  /// - Returns: a time of each, picoseconds.
  static func departures(
    of members: [Member], steps: Int, demand: Double, over capacities: [Double],
    folds: Bool = true
  ) -> [Int64] {
    if folds, let folding = RingFolding(members, capacities) {
      let departures = departures(
        of: folding.members, steps: steps, demand: demand, capacities)
      return folding.classes.map { departures[Int($0)] }
    }
    return departures(of: members, steps: steps, demand: demand, capacities)
  }

  private static func departures(
    of members: [Member], steps: Int, demand: Double, _ capacities: [Double]
  ) -> [Int64] {
    var rings = Self(members, steps: steps, demand: demand, capacities)
    rings.runFlows()
    var departures = Array(repeating: Int64(0), count: members.count)
    for (place, number) in rings.numbers.enumerated() {
      departures[Int(number)] = rings.left[place]
    }
    return departures
  }

  private init(_ given: [Member], steps: Int, demand: Double, _ capacities: [Double]) {
    self.steps = steps
    self.demand = demand
    network = FlowNetwork(capacities: capacities)
    var isKnown = Array(repeating: false, count: given.count)
    // Rings with flows begin at one; the others follow.
    for hasFlows in [true, false] {
      for number in given.indices where !isKnown[number] && given[number].hops.isEmpty != hasFlows {
        let first = numbers.count
        var member = number
        repeat {
          isKnown[member] = true
          numbers.append(Int32(member))
          member = Int(given[member].next)
        } while member != number
        if hasFlows { addSegments(from: first, given) }
      }
    }
    occupancies = numbers.map { given[Int($0)].occupancy }
    travels = numbers.map { given[Int($0)].travel }
    left = numbers.map { given[Int($0)].start }
    var first = Int(segments.last?.end ?? 0)
    while first < numbers.count {
      var end = first + 1
      while given[Int(numbers[end - 1])].next != numbers[first] { end += 1 }
      runPlain(first..<end)
      first = end
    }
  }

  private mutating func addSegments(from first: Int, _ given: [Member]) {
    let firstSegment = segments.count
    for place in first..<numbers.count where !given[Int(numbers[place])].hops.isEmpty {
      if segments.count > firstSegment {
        segments[segments.count - 1].end = Int32(place)
        segments[segments.count - 1].next = Int32(segments.count)
      }
      segments.append(
        Segment(
          head: Int32(place), end: Int32(numbers.count), next: Int32(firstSegment),
          hops: given[Int(numbers[place])].hops))
    }
  }

  /// A ring without flows.
  private mutating func runPlain(_ places: Range<Int>) {
    for place in places { left[place] += occupancies[place] }
    let (begin, end) = (places.lowerBound, places.upperBound)
    for _ in 1..<max(1, steps) {
      let last = left[end - 1] + travels[end - 1]
      for place in stride(from: end - 1, to: begin, by: -1) {
        left[place] = max(left[place], left[place - 1] + travels[place - 1]) + occupancies[place]
      }
      left[begin] = max(left[begin], last) + occupancies[begin]
    }
  }

  // MARK: Rings with flows

  private mutating func runFlows() {
    for index in segments.indices {
      events.push(index, at: left[Int(segments[index].head)])
      // What those behind it send before anything of its comes to them.
      let behind = Int(segments[index].end - segments[index].head) - 1
      for place in stride(from: behind, to: 0, by: -1) { follow(index, from: place, step: 0) }
    }
    var event = Event(time: .zero, destination: 0, source: 0, sequence: 0, kind: 0, payload: 0)
    while events.pop(before: .never, into: &event) {
      let now = event.time.picoseconds
      repeat {
        let index = Int(event.destination)
        if index < segments.count {
          begin(index, at: now)
        } else {
          end(index - segments.count, event.sequence, at: now)
        }
      } while events.pop(before: SimTime(picoseconds: now + 1), into: &event)
      guard network.needsSettling else { continue }
      sooner.removeAll(keepingCapacity: true)
      network.settle(at: now, sooner: &sooner)
      for flow in sooner { schedule(Int(flow)) }
    }
  }

  private mutating func begin(_ index: Int, at now: Int64) {
    let flow = network.begin(
      work: occupancies[Int(segments[index].head)], demand: demand, hops: segments[index].hops,
      at: now)
    if flow == carried.count { carried.append(0) }
    carried[flow] = Int32(index)
    if network.flows[flow].end < .max { schedule(flow) }
  }

  private mutating func end(_ flow: Int, _ generation: UInt32, at now: Int64) {
    guard network.flows[flow].generation == generation else { return }
    guard network.flows[flow].end <= now else { return schedule(flow) }
    network.finish(flow)
    let index = Int(carried[flow])
    let step = Int(segments[index].step)
    left[Int(segments[index].head)] = now
    segments[index].step += 1
    follow(index, from: 0, step: step)
    guard step + 1 < steps else { return }
    let come = segments[index].first
    guard come >= 0 else {
      segments[index].waits = true
      return
    }
    let time = ahead[Int(come)].time
    segments[index].first = ahead[Int(come)].next
    if segments[index].first < 0 { segments[index].last = -1 }
    ahead[Int(come)].next = freeAhead
    freeAhead = come
    if time <= now {
      begin(index, at: now)
    } else {
      events.push(index, at: time)
    }
  }

  /// A member at `offset` behind a head has what its message of `step` waits for.
  ///
  /// Or it is the head, whose message has left: those behind send theirs, each a step further, until the next
  /// head hears.
  private mutating func follow(_ index: Int, from offset: Int, step: Int) {
    let first = Int(segments[index].head) + offset
    let end = Int(segments[index].end)
    // The last step is nobody's to wait for.
    let last = min(end - 1, first + steps - 1 - step)
    if offset > 0 { left[first] += occupancies[first] }
    var come = left[first] + travels[first]
    var place = first
    while place < last {
      place += 1
      let departed = max(left[place], come) + occupancies[place]
      left[place] = departed
      come = departed + travels[place]
    }
    guard place == end - 1, step + place - first + 1 < steps else { return }
    hear(Int(segments[index].next), at: come)
  }

  /// A message comes to a head.
  private mutating func hear(_ index: Int, at time: Int64) {
    if segments[index].waits {
      segments[index].waits = false
      events.push(index, at: max(time, left[Int(segments[index].head)]))
      return
    }
    let entry: Int32
    if freeAhead >= 0 {
      entry = freeAhead
      freeAhead = ahead[Int(entry)].next
      ahead[Int(entry)] = (time, -1)
    } else {
      entry = Int32(ahead.count)
      ahead.append((time, -1))
    }
    if segments[index].last >= 0 {
      ahead[Int(segments[index].last)].next = entry
    } else {
      segments[index].first = entry
    }
    segments[index].last = entry
  }

  private mutating func schedule(_ flow: Int) {
    let state = network.flows[flow]
    network.schedule(flow, at: state.end)
    events.push(segments.count + flow, generation: state.generation, at: state.end)
  }
}
