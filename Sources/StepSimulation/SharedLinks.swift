import EventKernel
public import Hardware
import Quantities

/// Messages over shared links, without ranks: what an oracle and a benchmark ask for.
public struct SharedLinks: ~Copyable {
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
    var run = Self(messages, capacities)
    return run.ends()
  }

  private let messages: [Message]
  private var network: FlowNetwork
  /// Messages that begin, by number; flows that end, by number behind all messages.
  private var events = EventQueue()
  private var carried: [Int] = []
  private var sooner: [Int32] = []

  private init(_ messages: [Message], _ capacities: [Double]) {
    self.messages = messages
    network = FlowNetwork(capacities: capacities)
  }

  private mutating func ends() -> [Int64] {
    var ends = Array(repeating: Int64(0), count: messages.count)
    for (index, message) in messages.enumerated() { events.push(index, at: message.start) }
    var event = Event(time: .zero, destination: 0, source: 0, sequence: 0, kind: 0, payload: 0)
    while events.pop(before: .never, into: &event) {
      let now = event.time.picoseconds
      repeat {
        let index = Int(event.destination)
        if index < messages.count {
          begin(index, at: now)
          continue
        }
        let flow = index - messages.count
        let state = network.flows[flow]
        guard state.generation == event.sequence else { continue }
        guard state.end <= now else {
          schedule(flow)
          continue
        }
        network.finish(flow)
        ends[carried[flow]] = now
      } while events.pop(before: SimTime(picoseconds: now + 1), into: &event)
      guard network.needsSettling else { continue }
      sooner.removeAll(keepingCapacity: true)
      network.settle(at: now, sooner: &sooner)
      for flow in sooner { schedule(Int(flow)) }
    }
    return ends
  }

  private mutating func begin(_ index: Int, at now: Int64) {
    let message = messages[index]
    let flow = network.begin(
      work: message.work, demand: message.demand, hops: message.hops, at: now)
    if flow == carried.count { carried.append(0) }
    carried[flow] = index
    if network.flows[flow].end < .max { schedule(flow) }
  }

  private mutating func schedule(_ flow: Int) {
    let state = network.flows[flow]
    network.schedule(flow, at: state.end)
    events.push(messages.count + flow, generation: state.generation, at: state.end)
  }
}

extension EventQueue {
  /// Sets what is numbered `index` down for `time`, in picoseconds.
  ///
  /// Of several of one instant and number those of a lower generation come first.
  mutating func push(_ index: Int, generation: UInt32 = 0, at time: Int64) {
    push(
      Event(
        time: SimTime(picoseconds: time), destination: UInt32(index), source: 0,
        sequence: generation, kind: 0, payload: 0))
  }
}
