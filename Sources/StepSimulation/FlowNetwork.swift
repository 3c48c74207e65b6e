import Hardware

/// Messages that share links, as fluids: rates are max-min fair.
///
/// No message exceeds its demand (what it takes alone), no link its capacity, and no message could
/// have more without taking from one that has no more than it. Rates change only when a message
/// begins or ends, and only for messages connected to it through links that are asked for more than
/// they carry; all changes of an instant are worked out together.
///
/// Work is counted in picoseconds at full demand, so that a message that never meets another ends
/// exactly that many picoseconds after it began.
///
/// - Complexity: a message whose links have room costs O(its links); else O(e log l) for the e
///   crossings and l links of its connected overloaded part.
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
    /// Solver: its mark, and the share found, negative until it is.
    var mark: UInt32 = 0
    var next = 0.0
  }

  /// One message on one link, in the link's list.
  private struct Crossing {
    var link: Int32 = -1
    var flow: Int32 = -1
    var next: Int32 = -1
    var previous: Int32 = -1
    var weight = 0.0
  }

  private struct LinkState {
    var head: Int32 = -1
    /// Messages on it.
    var count: Int32 = 0
    var mark: UInt32 = 0
    var isDirty = false
    /// Solver: capacity left, and weight of messages not yet frozen.
    var left = 0.0
    var open = 0.0
    var openCount: Int32 = 0
  }

  private let capacities: [Double]
  /// What is asked of each link: the demands on it.
  private(set) var loads: [Double]
  private var links: [LinkState]
  private(set) var flows: [Flow] = []
  private var freeFlows: [Int32] = []
  private var crossings: [Crossing] = []
  /// Free runs of crossings, by length.
  private var freeRuns: [[Int32]] = []
  private var dirty: [Int32] = []
  private var epoch: UInt32 = 0
  private var heap: [(level: Double, link: Int32)] = []
  private var partFlows: [Int32] = []
  private var partLinks: [Int32] = []
  /// Messages that are on their way, the most there ever were, and rates worked out anew.
  private(set) var flowCount = 0
  private(set) var mostFlows = 0
  private(set) var rateChanges = 0

  /// Rounding of sums of demands must not look like overload.
  private static let slack = 1 + 1e-9

  init(capacities: [Double]) {
    self.capacities = capacities
    loads = Array(repeating: 0, count: capacities.count)
    links = Array(repeating: LinkState(), count: capacities.count)
  }

  /// Whether rates must be worked out before time goes on.
  var needsSettling: Bool { !dirty.isEmpty }

  /// Begins a message.
  ///
  /// - Parameters:
  ///   - work: picoseconds it takes alone.
  ///   - demand: what it takes of each hop then, in cards.
  ///   - hops: the links it crosses.
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
    }
    let generation = flows[index].generation &+ 1
    let first = run(of: hops.count)
    var fits = true
    for (offset, hop) in hops.enumerated() {
      let link = Int(hop.link)
      loads[link] += demand * hop.weight
      let isOverloaded = loads[link] > capacities[link] * Self.slack
      if isOverloaded {
        fits = false
        soil(link)
      }
      let position = Int32(Int(first) + offset)
      let head = links[link].head
      crossings[Int(position)] = Crossing(
        link: hop.link, flow: Int32(index), next: head, previous: -1, weight: hop.weight)
      if head >= 0 { crossings[Int(head)].previous = position }
      links[link].head = position
      links[link].count += 1
    }
    flows[index] = Flow(
      remaining: Double(work), share: fits ? 1 : 0, demand: demand, updated: now,
      end: fits ? now + work : .max, scheduled: .max, generation: generation, first: first,
      count: Int32(hops.count))
    flowCount += 1
    mostFlows = max(mostFlows, flowCount)
    return index
  }

  /// Ends a message.
  mutating func finish(_ index: Int) {
    let flow = flows[index]
    for position in Int(flow.first)..<Int(flow.first + flow.count) {
      let crossing = crossings[position]
      let link = Int(crossing.link)
      if loads[link] > capacities[link] * Self.slack { soil(link) }
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
    }
    release(first: flow.first, count: Int(flow.count))
    freeFlows.append(Int32(index))
    flowCount -= 1
  }

  /// Notes when a message's pending event comes.
  mutating func schedule(_ index: Int, at time: Int64) { flows[index].scheduled = time }

  private mutating func soil(_ link: Int) {
    guard !links[link].isDirty else { return }
    links[link].isDirty = true
    dirty.append(Int32(link))
  }

  private mutating func run(of count: Int) -> Int32 {
    if count < freeRuns.count, let first = freeRuns[count].popLast() { return first }
    let first = Int32(crossings.count)
    crossings += Array(repeating: Crossing(), count: count)
    return first
  }

  private mutating func release(first: Int32, count: Int) {
    while freeRuns.count <= count { freeRuns.append([]) }
    freeRuns[count].append(first)
  }
}

/// Working out the rates.
extension FlowNetwork {
  /// Works out the rates that changed.
  ///
  /// - Parameters:
  ///   - now: the present.
  ///   - sooner: where messages are appended that end before their pending event comes; each has a
  ///     new generation.
  mutating func settle(at now: Int64, sooner: inout [Int32]) {
    collect()
    fill()
    rateChanges += partFlows.count
    for index in partFlows {
      let flow = Int(index)
      let share = max(flows[flow].next, Self.leastShare)
      guard share != flows[flow].share || flows[flow].end == .max else { continue }
      flows[flow].remaining = max(
        0, flows[flow].remaining - Double(now - flows[flow].updated) * flows[flow].share)
      flows[flow].updated = now
      flows[flow].share = share
      let end = now + Int64((flows[flow].remaining / share).rounded(.up))
      flows[flow].end = end
      guard end < flows[flow].scheduled else { continue }
      flows[flow].generation &+= 1
      sooner.append(index)
    }
  }

  /// A message that gets less than this would outlast any step.
  private static let leastShare = 1e-6

  /// The messages and overloaded links that hang together with what changed.
  private mutating func collect() {
    epoch &+= 1
    partFlows.removeAll(keepingCapacity: true)
    partLinks.removeAll(keepingCapacity: true)
    for link in dirty {
      links[Int(link)].isDirty = false
      links[Int(link)].mark = epoch
      partLinks.append(link)
    }
    dirty.removeAll(keepingCapacity: true)
    var next = 0
    while next < partLinks.count {
      var position = links[Int(partLinks[next])].head
      next += 1
      while position >= 0 {
        let flow = Int(crossings[Int(position)].flow)
        position = crossings[Int(position)].next
        guard flows[flow].mark != epoch else { continue }
        flows[flow].mark = epoch
        flows[flow].next = -1
        partFlows.append(Int32(flow))
        let first = Int(flows[flow].first)
        for crossing in first..<first + Int(flows[flow].count) {
          let link = Int(crossings[crossing].link)
          guard links[link].mark != epoch, loads[link] > capacities[link] * Self.slack else {
            continue
          }
          links[link].mark = epoch
          partLinks.append(Int32(link))
        }
      }
    }
  }

  /// Progressive filling: the rates of all rise together until a link is full or a message has its
  /// demand; those are settled, and the others go on.
  private mutating func fill() {
    heap.removeAll(keepingCapacity: true)
    for index in partLinks {
      let link = Int(index)
      links[link].left = capacities[link]
      links[link].open = 0
      links[link].openCount = links[link].count
      var position = links[link].head
      while position >= 0 {
        links[link].open += crossings[Int(position)].weight
        position = crossings[Int(position)].next
      }
      if loads[link] > capacities[link] * Self.slack { pushHeap(level(of: link), index) }
    }
    var order = partFlows
    let first = order.first.map { flows[Int($0)].demand } ?? 0
    if !order.allSatisfy({ flows[Int($0)].demand == first }) {
      order.sort {
        let (one, other) = (flows[Int($0)].demand, flows[Int($1)].demand)
        return one == other ? $0 < $1 : one < other
      }
    }
    var next = 0
    while true {
      while next < order.count, flows[Int(order[next])].next >= 0 { next += 1 }
      guard next < order.count else { return }
      let demand = flows[Int(order[next])].demand
      if let link = tightest(below: demand) {
        let level = level(of: link)
        var position = links[link].head
        while position >= 0 {
          let flow = Int(crossings[Int(position)].flow)
          position = crossings[Int(position)].next
          if flows[flow].next < 0 { freeze(flow, at: level, share: level / flows[flow].demand) }
        }
      } else {
        freeze(Int(order[next]), at: demand, share: 1)
      }
    }
  }

  private func level(of link: Int) -> Double {
    max(0, links[link].left) / max(links[link].open, 1e-12)
  }

  /// The link that is full first, when that is before messages have `demand`.
  private mutating func tightest(below demand: Double) -> Int? {
    while let top = heap.first {
      let link = Int(top.link)
      guard links[link].openCount > 0 else {
        popHeap()
        continue
      }
      // Levels only rise while others settle below them, so a stale entry is too low, never too high.
      let level = level(of: link)
      if level > top.level {
        popHeap()
        pushHeap(level, top.link)
        continue
      }
      return level < demand ? link : nil
    }
    return nil
  }

  private mutating func freeze(_ flow: Int, at rate: Double, share: Double) {
    flows[flow].next = share
    let first = Int(flows[flow].first)
    for position in first..<first + Int(flows[flow].count) {
      let link = Int(crossings[position].link)
      guard links[link].mark == epoch else { continue }
      let weight = crossings[position].weight
      links[link].left -= rate * weight
      links[link].open -= weight
      links[link].openCount -= 1
    }
  }

  // MARK: A binary heap of (level, link)

  private func isBefore(_ one: (level: Double, link: Int32), _ other: (level: Double, link: Int32))
    -> Bool
  {
    one.level == other.level ? one.link < other.link : one.level < other.level
  }

  private mutating func pushHeap(_ level: Double, _ link: Int32) {
    var place = heap.count
    heap.append((level, link))
    while place > 0, isBefore(heap[place], heap[(place - 1) / 2]) {
      heap.swapAt(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  private mutating func popHeap() {
    let last = heap.removeLast()
    guard !heap.isEmpty else { return }
    var place = 0
    heap[0] = last
    while true {
      var child = 2 * place + 1
      guard child < heap.count else { return }
      if child + 1 < heap.count, isBefore(heap[child + 1], heap[child]) { child += 1 }
      guard isBefore(heap[child], heap[place]) else { return }
      heap.swapAt(place, child)
      place = child
    }
  }
}
