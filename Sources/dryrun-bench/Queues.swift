import EventKernel
import Quantities

/// A queue of pending events that can be measured beside the kernel's own.
protocol PendingEvents: ~Copyable {
  init()
  mutating func push(_ event: Event)
  /// Takes the earliest event out; nil when there is none.
  mutating func pop() -> Event?
}

extension EventQueue: PendingEvents {
  /// Takes the earliest event out; nil when there is none.
  mutating func pop() -> Event? {
    var event = Event(
      time: .zero, destination: 0, source: 0, sequence: 0, kind: 0, payload: 0)
    return pop(before: .never, into: &event) ? event : nil
  }
}

/// A heap whose nodes have as many children as `Arity` says, in one block of memory.
struct Heap<Arity: HeapArity>: PendingEvents, ~Copyable {
  private var events = UnsafeMutablePointer<Event>.allocate(capacity: 64)
  private var count = 0
  private var capacity = 64

  init() {}

  deinit { events.deallocate() }

  mutating func push(_ event: Event) {
    if count == capacity {
      let larger = UnsafeMutablePointer<Event>.allocate(capacity: 2 * capacity)
      larger.moveInitialize(from: events, count: count)
      events.deallocate()
      events = larger
      capacity *= 2
    }
    var hole = count
    count &+= 1
    while hole > 0 {
      let parent = (hole &- 1) / Arity.children
      if !event.precedes(events[parent]) { break }
      events[hole] = events[parent]
      hole = parent
    }
    events[hole] = event
  }

  mutating func pop() -> Event? {
    guard count > 0 else { return nil }
    let first = events[0]
    count &-= 1
    let last = events[count]
    var hole = 0
    while true {
      let start = hole &* Arity.children &+ 1
      guard start < count else { break }
      var smallest = start
      var child = start &+ 1
      let end = min(start &+ Arity.children, count)
      while child < end {
        if events[child].precedes(events[smallest]) { smallest = child }
        child &+= 1
      }
      if !events[smallest].precedes(last) { break }
      events[hole] = events[smallest]
      hole = smallest
    }
    events[hole] = last
    return first
  }
}

/// How many children a node of a heap has.
protocol HeapArity {
  static var children: Int { get }
}

/// Two children.
enum Binary: HeapArity { static var children: Int { 2 } }

/// Four children: half the levels, a cache line or two for all of a node's.
enum Quaternary: HeapArity { static var children: Int { 4 } }

/// The pairing heap (Fredman, Sedgewick, Sleator, Tarjan, 1986, doi 10.1007/BF01840439), nodes in one array.
struct PairingHeap: PendingEvents, ~Copyable {
  private struct Node {
    var event: Event
    var child: Int32 = -1
    var sibling: Int32 = -1
  }
  private var nodes: [Node] = []
  private var free: Int32 = -1
  private var root: Int32 = -1
  private var pairs: [Int32] = []

  init() {}

  private mutating func meld(_ first: Int32, _ second: Int32) -> Int32 {
    if first < 0 { return second }
    if second < 0 { return first }
    let isFirst = nodes[Int(first)].event.precedes(nodes[Int(second)].event)
    let (above, below) = isFirst ? (first, second) : (second, first)
    nodes[Int(below)].sibling = nodes[Int(above)].child
    nodes[Int(above)].child = below
    return above
  }

  mutating func push(_ event: Event) {
    let index: Int32
    if free >= 0 {
      index = free
      free = nodes[Int(index)].sibling
      nodes[Int(index)] = Node(event: event)
    } else {
      index = Int32(nodes.count)
      nodes.append(Node(event: event))
    }
    root = meld(root, index)
  }

  mutating func pop() -> Event? {
    guard root >= 0 else { return nil }
    let first = nodes[Int(root)].event
    var child = nodes[Int(root)].child
    nodes[Int(root)].sibling = free
    free = root
    pairs.removeAll(keepingCapacity: true)
    while child >= 0 {
      let second = nodes[Int(child)].sibling
      let next = second >= 0 ? nodes[Int(second)].sibling : -1
      nodes[Int(child)].sibling = -1
      if second >= 0 { nodes[Int(second)].sibling = -1 }
      pairs.append(meld(child, second))
      child = next
    }
    root = -1
    while let last = pairs.popLast() { root = meld(last, root) }
    return first
  }
}

/// The calendar queue (Brown, 1988, doi 10.1145/63039.63045).
///
/// A bucket for each day of a year, days as long as the events are apart.
struct CalendarQueue: PendingEvents, ~Copyable {
  /// Each sorted, the earliest last.
  private var days: [[Event]] = [[], []]
  private var width: Int64 = 1
  private var count = 0
  private var day = 0
  private var dayEnd: Int64 = 1

  init() {}

  private mutating func insert(_ event: Event) {
    let index = Int(event.time.picoseconds / width) & (days.count - 1)
    var place = days[index].count
    while place > 0, days[index][place - 1].precedes(event) { place -= 1 }
    days[index].insert(event, at: place)
  }

  mutating func push(_ event: Event) {
    insert(event)
    count += 1
    if event.time.picoseconds < dayEnd - width { turn(to: event.time.picoseconds) }
    if count > 2 * days.count { rebuild(days: 2 * days.count) }
  }

  private mutating func turn(to time: Int64) {
    day = Int(time / width) & (days.count - 1)
    dayEnd = (time / width + 1) * width
  }

  mutating func pop() -> Event? {
    guard count > 0 else { return nil }
    for _ in days.indices {
      if let event = days[day].last, event.time.picoseconds < dayEnd {
        days[day].removeLast()
        count -= 1
        if count < days.count / 2, days.count > 2 { rebuild(days: days.count / 2) }
        return event
      }
      day = (day + 1) & (days.count - 1)
      dayEnd += width
    }
    // A whole year without events: go to the earliest.
    let earliest = days.compactMap(\.last).min { $0.precedes($1) }
    turn(to: earliest?.time.picoseconds ?? 0)
    return pop()
  }

  private mutating func rebuild(days size: Int) {
    let all = days.flatMap { $0 }
    let times = all.map(\.time.picoseconds).sorted().prefix(64)
    let start = times.first ?? 0
    // Three times the mean distance of the next events, as Brown advises.
    width = max(1, 3 * ((times.last ?? 0) - start) / Int64(max(1, times.count - 1)))
    days = Array(repeating: [], count: size)
    for event in all { insert(event) }
    turn(to: start)
  }
}

/// The ladder queue (Tang, Goh, Thng, 2005, doi 10.1145/1103323.1103324).
///
/// An unsorted top, rungs of ever finer buckets, a sorted bottom.
struct LadderQueue: PendingEvents, ~Copyable {
  private struct Rung {
    var start: Int64
    var width: Int64
    var current = 0
    var buckets: [[Event]]
    /// Where the buckets not yet taken begin.
    var frontier: Int64 { start + Int64(current) * width }
  }
  /// Events in a bucket that are sorted at once.
  private static var threshold: Int { 50 }
  private var top: [Event] = []
  private var topStart: Int64 = 0
  private var rungs: [Rung] = []
  /// Sorted, the earliest last.
  private var bottom: [Event] = []

  init() {}

  mutating func push(_ event: Event) {
    let time = event.time.picoseconds
    if time >= topStart {
      top.append(event)
      return
    }
    for index in rungs.indices where time >= rungs[index].frontier {
      let bucket = Int((time - rungs[index].start) / rungs[index].width)
      rungs[index].buckets[min(bucket, rungs[index].buckets.count - 1)].append(event)
      return
    }
    var place = bottom.count
    while place > 0, bottom[place - 1].precedes(event) { place -= 1 }
    bottom.insert(event, at: place)
  }

  mutating func pop() -> Event? {
    while bottom.isEmpty {
      guard refill() else { return nil }
    }
    return bottom.removeLast()
  }

  private mutating func refill() -> Bool {
    if rungs.isEmpty {
      guard !top.isEmpty else { return false }
      let times = top.map(\.time.picoseconds)
      let last = times.max() ?? 0
      spread(top, from: times.min() ?? 0, to: last + 1)
      top.removeAll(keepingCapacity: true)
      topStart = last + 1
    }
    let index = rungs.count - 1
    while rungs[index].current < rungs[index].buckets.count,
      rungs[index].buckets[rungs[index].current].isEmpty
    { rungs[index].current += 1 }
    guard rungs[index].current < rungs[index].buckets.count else {
      rungs.removeLast()
      return true
    }
    let start = rungs[index].frontier
    let width = rungs[index].width
    let events = rungs[index].buckets[rungs[index].current]
    rungs[index].buckets[rungs[index].current] = []
    rungs[index].current += 1
    if events.count > Self.threshold, width > 1 {
      spread(events, from: start, to: start + width)
    } else {
      bottom = events.sorted { $1.precedes($0) }
    }
    return true
  }

  private mutating func spread(_ events: [Event], from start: Int64, to end: Int64) {
    let width = max(1, (end - start + Int64(events.count) - 1) / Int64(events.count))
    let count = Int((end - start + width - 1) / width)
    var rung = Rung(start: start, width: width, buckets: Array(repeating: [], count: count))
    for event in events {
      rung.buckets[Int((event.time.picoseconds - start) / width)].append(event)
    }
    rungs.append(rung)
  }
}
