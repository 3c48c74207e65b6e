public import Hardware

/// Messages over shared links, without ranks: what an oracle and a benchmark ask for.
public struct SharedLinks {
  /// A message and the links it crosses.
  public struct Message: Sendable {
    /// When it begins, picoseconds.
    public var start: Int64
    /// What it takes alone, picoseconds.
    public var work: Int64
    /// What it takes of each link alone, in cards.
    public var demand: Double
    /// The links it crosses.
    public var hops: [LinkGraph.Hop]

    /// A message of `work` picoseconds alone from `start` on.
    public init(start: Int64, work: Int64, demand: Double = 1, hops: [LinkGraph.Hop]) {
      self.start = start
      self.work = work
      self.demand = demand
      self.hops = hops
    }
  }

  /// When each message ends, picoseconds.
  ///
  /// - Parameters:
  ///   - messages: the messages.
  ///   - capacities: what each link carries, in cards.
  /// - Returns: one end a message, in their order.
  public static func ends(of messages: [Message], over capacities: [Double]) -> [Int64] {
    var run = Self(capacities)
    return run.ends(of: messages)
  }

  private struct Pending {
    var time: Int64
    var flow: Int32
    var generation: UInt32
  }

  private var network: FlowNetwork
  private var pending: [Pending] = []
  private var sooner: [Int32] = []

  private init(_ capacities: [Double]) { network = FlowNetwork(capacities: capacities) }

  private mutating func ends(of messages: [Message]) -> [Int64] {
    let order = messages.indices.sorted { (messages[$0].start, $0) < (messages[$1].start, $1) }
    var ends = Array(repeating: Int64(0), count: messages.count)
    var carried: [Int] = []
    var next = 0
    while true {
      var now = next < order.count ? messages[order[next]].start : .max
      if let first = pending.first { now = min(now, first.time) }
      guard now < .max else { return ends }
      while let first = pending.first, first.time == now {
        removeFirst()
        let flow = Int(first.flow)
        let state = network.flows[flow]
        guard state.generation == first.generation else { continue }
        guard state.end <= now else {
          schedule(flow)
          continue
        }
        network.finish(flow)
        ends[carried[flow]] = now
      }
      while next < order.count, messages[order[next]].start == now {
        let message = messages[order[next]]
        let flow = network.begin(
          work: message.work, demand: message.demand, hops: message.hops, at: now)
        if flow == carried.count { carried.append(0) }
        carried[flow] = order[next]
        if network.flows[flow].end < .max { schedule(flow) }
        next += 1
      }
      guard network.needsSettling else { continue }
      sooner.removeAll(keepingCapacity: true)
      network.settle(at: now, sooner: &sooner)
      for flow in sooner { schedule(Int(flow)) }
    }
  }

  private mutating func schedule(_ flow: Int) {
    let state = network.flows[flow]
    network.schedule(flow, at: state.end)
    pending.append(
      Pending(time: state.end, flow: Int32(flow), generation: state.generation))
    var place = pending.count - 1
    while place > 0, pending[place].time < pending[(place - 1) / 2].time {
      pending.swapAt(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  private mutating func removeFirst() {
    let last = pending.removeLast()
    guard !pending.isEmpty else { return }
    pending[0] = last
    var place = 0
    while true {
      var child = 2 * place + 1
      guard child < pending.count else { return }
      if child + 1 < pending.count, pending[child + 1].time < pending[child].time { child += 1 }
      guard pending[child].time < pending[place].time else { return }
      pending.swapAt(child, place)
      place = child
    }
  }
}
