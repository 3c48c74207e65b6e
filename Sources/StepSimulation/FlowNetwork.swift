import Hardware

/// Messages that share links, as fluids: rates are max-min fair.
///
/// No message exceeds its demand (what it takes alone), no link its capacity, and no message could
/// have more without taking from one that has no more than it. Rates change only when a message
/// begins or ends; all changes of an instant are worked out together, and only as far as they reach
/// (``settle(at:sooner:)``).
///
/// Work is counted in picoseconds at full demand, so that a message that never meets another ends
/// exactly that many picoseconds after it began.
///
/// - Complexity: a message whose links have room costs O(its links).
struct FlowNetwork {
  /// A message on its way.
  struct Flow {
    /// Picoseconds at full demand that are left, as of `updated`.
    var remaining = 0.0
    /// Part of its demand it gets.
    var share = 1.0
    /// Rate it takes alone, in cards of each hop.
    var demand = 0.0
    var updated: Int64 = 0
    /// When it will end at this rate.
    var end: Int64 = 0
    /// When its pending event comes, and which of its events that is.
    var scheduled: Int64 = .max
    var generation: UInt32 = 0
    /// Its crossings, one after the other.
    var first: Int32 = 0
    var count: Int32 = 0
    /// Whether its rate may have changed at this instant.
    var isTouched = false
  }

  /// What holds a message: its demand or the lowest level of its links.
  struct Bound {
    /// The rate it has, in cards.
    var least = 0.0
    /// What it would have if the crossing that holds it did not.
    var second = 0.0
    /// The crossing that holds it; negative for its demand.
    var tightest: Int32 = -1

    /// What it could have at a crossing for all that its other links and its demand allow.
    func elsewhere(_ position: Int32) -> Double { tightest == position ? second : least }
  }

  /// One message on one link, in the link's list.
  struct Crossing {
    var link: Int32 = -1
    var flow: Int32 = -1
    var next: Int32 = -1
    var previous: Int32 = -1
    var weight = 0.0
    /// The link's level.
    var level = Double.infinity
  }

  /// What is known of a link's level while rates are worked out.
  enum Standing: UInt8 {
    /// It stands; it must be found anew; it was found and not yet told to the messages.
    case settled, asked, found
  }

  /// A link: the messages that nothing else holds have the same rate on it, its level.
  struct LinkState {
    /// Infinite where there is room for all that cross it.
    var level = Double.infinity
    /// The level found, and from which level on it changes anything.
    var found = Double.infinity
    var key = 0.0
    /// Its first crossing.
    var head: Int32 = -1
    /// Messages on it.
    var count: Int32 = 0
    /// How often its level has changed in which settling.
    var turns: Int32 = 0
    var epoch: UInt32 = 0
    var standing = Standing.settled
    var isDirty = false
    /// Whether more is asked of it than it carries.
    var isCrowded = false
  }

  let capacities: [Double]
  /// What is asked of each link: the demands on it.
  private(set) var loads: [Double]
  var links: [LinkState]
  var flows: [Flow] = []
  var bounds: [Bound] = []
  var crossings: [Crossing] = []
  private var freeFlows: [Int32] = []
  /// Free runs of crossings, by length.
  private var freeRuns: [[Int32]] = []
  /// Links whose messages came or went, and messages whose rate may have changed.
  var dirty: [Int32] = []
  var touched: [Int32] = []
  var heap: [(key: Double, link: Int32)] = []
  /// What the messages of one link could have elsewhere, and their weights.
  var offers: [(rate: Double, weight: Double)] = []
  /// Which settling this is.
  var epoch: UInt32 = 0

  /// Rounding of sums of demands must not look like overload.
  private static let slack = 1 + 1e-9

  init(capacities: [Double]) {
    self.capacities = capacities
    loads = Array(repeating: 0, count: capacities.count)
    links = Array(repeating: LinkState(), count: capacities.count)
  }

  /// Bytes of the links and of all messages that were ever on their way at once.
  var bytes: Int {
    let links =
      capacities.allocatedBytes + loads.allocatedBytes + links.allocatedBytes
      + dirty.allocatedBytes + heap.allocatedBytes + offers.allocatedBytes
    return links + flows.allocatedBytes + bounds.allocatedBytes + crossings.allocatedBytes
      + touched.allocatedBytes + freeFlows.allocatedBytes
      + freeRuns.reduce(freeRuns.allocatedBytes) { $0 + $1.allocatedBytes }
  }

  /// Whether rates must be worked out before time goes on.
  var needsSettling: Bool { !dirty.isEmpty }

  /// Begins a message.
  ///
  /// - Parameters:
  ///   - work: picoseconds it takes alone.
  ///   - demand: what it takes of each hop then, in cards.
  ///   - hops: the links it crosses, each once.
  ///   - now: the present.
  /// - Returns: its number; its end holds unless ``needsSettling``.
  mutating func begin(
    work: Int64, demand: Double, hops: [LinkGraph.Hop], at now: Int64
  ) -> Int {
    let index: Int
    if let free = freeFlows.popLast() {
      index = Int(free)
    } else {
      index = flows.count
      flows.append(Flow())
      bounds.append(Bound())
    }
    let first = run(of: hops.count)
    var fits = true
    for offset in hops.indices {
      let hop = hops[offset]
      let link = Int(hop.link)
      let position = Int32(Int(first) + offset)
      loads[link] += demand * hop.weight
      if loads[link] > capacities[link] * Self.slack {
        links[link].isCrowded = true
        fits = false
        soil(link)
      }
      let head = links[link].head
      crossings[Int(position)] = Crossing(
        link: hop.link, flow: Int32(index), next: head, weight: hop.weight,
        level: links[link].level)
      if head >= 0 { crossings[Int(head)].previous = position }
      links[link].head = position
      links[link].count += 1
    }
    let old = flows[index]
    flows[index] = Flow(
      remaining: Double(work), share: fits ? 1 : 0, demand: demand, updated: now,
      end: fits ? now + work : .max, scheduled: .max, generation: old.generation &+ 1,
      first: first, count: Int32(hops.count), isTouched: old.isTouched)
    bounds[index] = Bound(least: demand, second: demand)
    if !fits {
      bounds[index] = bound(of: flows[index])
      touch(index)
    }
    return index
  }

  /// Ends a message.
  mutating func finish(_ index: Int) {
    let flow = flows[index]
    for position in Int(flow.first)..<Int(flow.first + flow.count) {
      let crossing = crossings[position]
      let link = Int(crossing.link)
      if crossing.previous >= 0 {
        crossings[Int(crossing.previous)].next = crossing.next
      } else {
        links[link].head = crossing.next
      }
      if crossing.next >= 0 { crossings[Int(crossing.next)].previous = crossing.previous }
      links[link].count -= 1
      // An empty link's load is none, not what rounding left.
      loads[link] =
        links[link].count == 0 ? 0 : loads[link] - flow.demand * crossing.weight
      // Where there was room for all, there is still.
      guard links[link].isCrowded else { continue }
      links[link].isCrowded = loads[link] > capacities[link] * Self.slack
      if links[link].level < .infinity { soil(link) }
    }
    release(first: flow.first, count: Int(flow.count))
    flows[index].count = 0
    freeFlows.append(Int32(index))
  }

  /// Notes when a message's pending event comes.
  mutating func schedule(_ index: Int, at time: Int64) { flows[index].scheduled = time }

  private mutating func soil(_ link: Int) {
    guard !links[link].isDirty else { return }
    links[link].isDirty = true
    dirty.append(Int32(link))
  }

  /// Notes that a message's rate may change.
  mutating func touch(_ flow: Int) {
    guard !flows[flow].isTouched else { return }
    flows[flow].isTouched = true
    touched.append(Int32(flow))
  }

  /// What holds a message at the present levels of its links.
  func bound(of flow: Flow) -> Bound {
    var bound = Bound(least: flow.demand, second: flow.demand)
    for position in flow.first..<flow.first + flow.count {
      let level = crossings[Int(position)].level
      if level < bound.least {
        bound = Bound(least: level, second: bound.least, tightest: position)
      } else if level < bound.second {
        bound.second = level
      }
    }
    return bound
  }

  private mutating func run(of count: Int) -> Int32 {
    if count < freeRuns.count, let first = freeRuns[count].popLast() { return first }
    let first = Int32(crossings.count)
    for _ in 0..<count { crossings.append(Crossing()) }
    return first
  }

  private mutating func release(first: Int32, count: Int) {
    while freeRuns.count <= count { freeRuns.append([]) }
    freeRuns[count].append(first)
  }
}
