/// Working out the rates.
///
/// An allocation is max-min fair exactly when every message has its demand or crosses a full link on
/// which nobody has more (Bertsekas and Gallager, Data Networks, 2nd edition, section 6.5.2). So each link
/// has a level, the rate of those on it whom nothing else holds, and a message has the least of its demand
/// and the levels of its links; these levels are the only ones at which every link that is not full for
/// want of messages is exactly full. A change is followed from link to link: a link's level is found from
/// what its messages could have elsewhere, and asks the other links of those messages anew where that
/// makes a difference there. Lower levels come first, since nothing a link does at its level and above
/// changes what lies below; so most links are asked once, and those that nothing reaches never.
extension FlowNetwork {
  /// Works out the rates that changed.
  ///
  /// - Parameters:
  ///   - now: the present.
  ///   - sooner: where messages are appended that end before their pending event comes; each has a
  ///     new generation.
  /// - Complexity: O(crossings of the links whose level changes and of their messages).
  mutating func settle(at now: Int64, sooner: inout [Int32]) {
    findLevels()
    for index in touched {
      let flow = Int(index)
      flows[flow].isTouched = false
      // One that began and ended at this instant crosses nothing.
      guard flows[flow].count > 0 else { continue }
      let share = max(bounds[flow].least / flows[flow].demand, Self.leastShare)
      guard share != flows[flow].share || flows[flow].end == .max else { continue }
      flows[flow].remaining = max(
        0, flows[flow].remaining - Double(now - flows[flow].updated) * flows[flow].share)
      flows[flow].updated = now
      flows[flow].share = share
      flows[flow].end = now + Int64((flows[flow].remaining / share).rounded())
      guard flows[flow].end < flows[flow].scheduled else { continue }
      flows[flow].generation &+= 1
      sooner.append(index)
    }
    touched.removeAll(keepingCapacity: true)
  }

  /// A message that gets less than this would outlast any step.
  private static let leastShare = 1e-6

  /// Levels that differ by less are the same: some units of ``rounded(_:)``.
  private static let tolerance = 1e-11

  /// A level that has changed as often in one settling only wanders within the rounding.
  private static let mostTurns: Int32 = 100

  /// Finds the levels of all links that a change reaches.
  private mutating func findLevels() {
    epoch &+= 1
    heap.removeAll(keepingCapacity: true)
    for index in dirty {
      links[Int(index)].isDirty = false
      if find(Int(index)) { pushHeap(links[Int(index)].key, index) }
    }
    dirty.removeAll(keepingCapacity: true)
    while let (key, index) = heap.first {
      let link = Int(index)
      popHeap()
      guard links[link].standing != .settled, links[link].key == key else { continue }
      if links[link].standing == .asked {
        guard find(link) else { continue }
        let least = links[link].key
        if let next = heap.first, next.key < least {
          pushHeap(least, index)
          continue
        }
      }
      tell(link)
    }
  }

  /// Finds a link's level anew; false when it stands.
  private mutating func find(_ link: Int) -> Bool {
    let found = level(of: link)
    guard !isSame(found, links[link].level) else {
      links[link].standing = .settled
      return false
    }
    links[link].found = found
    links[link].standing = .found
    links[link].key = min(found, links[link].level)
    return true
  }

  private func isSame(_ one: Double, _ other: Double) -> Bool {
    one == other || abs(one - other) <= Self.tolerance * min(one, other)
  }

  /// The rate at which a link is full when nobody on it has more; infinite when it is not full.
  private mutating func level(of link: Int) -> Double {
    guard links[link].isCrowded else { return .infinity }
    let capacity = capacities[link]
    offers.removeAll(keepingCapacity: true)
    var asked = 0.0
    var open = 0.0
    var position = links[link].head
    while position >= 0 {
      let crossing = crossings[Int(position)]
      let rate = bounds[Int(crossing.flow)].elsewhere(position)
      offers.append((rate, crossing.weight))
      asked += rate * crossing.weight
      open += crossing.weight
      position = crossing.next
    }
    guard asked > capacity * (1 + Self.tolerance) else { return .infinity }
    // From below: those who have less elsewhere leave the rest to the others.
    var level = capacity / open
    var held = 0
    while true {
      let limit = level * (1 - Self.tolerance)
      var left = capacity
      var count = 0
      open = 0
      for offer in offers {
        if offer.rate < limit {
          left -= offer.rate * offer.weight
          count += 1
        } else {
          open += offer.weight
        }
      }
      guard count > held, open > 0 else { return Self.rounded(level) }
      level = max(level, left / open)
      held = count
    }
  }

  /// To 40 bits, so that what is equal but for the order of a sum is equal, and messages that are alike end together.
  static func rounded(_ level: Double) -> Double {
    Double(bitPattern: (level.bitPattern &+ 1 << 11) & ~(1 << 12 - 1))
  }

  /// Gives a link the level found, and its messages what follows from that.
  private mutating func tell(_ link: Int) {
    links[link].standing = .settled
    links[link].turns = links[link].epoch == epoch ? links[link].turns + 1 : 1
    links[link].epoch = epoch
    guard links[link].turns < Self.mostTurns else { return }
    let level = links[link].found
    links[link].level = level
    var position = links[link].head
    while position >= 0 {
      let crossing = crossings[Int(position)]
      crossings[Int(position)].level = level
      let flow = Int(crossing.flow)
      let old = bounds[flow]
      let new = bound(of: flows[flow])
      bounds[flow] = new
      if new.least != old.least { touch(flow) }
      for other in flows[flow].first..<flows[flow].first + flows[flow].count where other != position
      {
        let before = old.elsewhere(other)
        let after = new.elsewhere(other)
        if before != after { ask(Int(crossings[Int(other)].link), before, after) }
      }
      position = crossing.next
    }
  }

  /// Asks a link anew, where that makes a difference.
  ///
  /// One of its messages could have `before` elsewhere and now `after`.
  private mutating func ask(_ link: Int, _ before: Double, _ after: Double) {
    let state = links[link]
    // Where there is room for all demands, no matter what.
    guard state.isCrowded || state.level < .infinity || state.standing != .settled else { return }
    let low = min(before, after)
    let isLess = after < before
    let key: Double
    switch state.standing {
    case .asked:
      key = isLess ? state.key : min(state.key, low)
    case .found:
      // Who could have the level all the same has it all the same; who takes less leaves room.
      guard low < state.found, !isLess || state.found < .infinity else { return }
      key = isLess ? state.key : min(state.key, low)
    case .settled:
      guard low < state.level, !isLess || state.level < .infinity else { return }
      key = isLess ? state.level : low
    }
    links[link].standing = .asked
    if state.standing == .settled || key != state.key {
      links[link].key = key
      pushHeap(key, Int32(link))
    }
  }

  // MARK: A binary heap of (key, link)

  private func isBefore(_ one: (key: Double, link: Int32), _ other: (key: Double, link: Int32))
    -> Bool
  {
    one.key == other.key ? one.link < other.link : one.key < other.key
  }

  private mutating func pushHeap(_ key: Double, _ link: Int32) {
    var place = heap.count
    heap.append((key, link))
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
