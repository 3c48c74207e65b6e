import Collectives
import EventKernel
import Hardware
import Layout
import Quantities
import StepProgram

/// The network between the nodes where its links are shared: one logical process behind the ranks.
///
/// A rank asks it to carry a message; the word reaches the network ``FullSimulationFabric/requestDelay``
/// later, and the network lives that much behind the ranks, so that nothing is late: a message that
/// meets no other arrives when it would have without a network. Its clock is the events' time less
/// that delay. What lies between asking and hearing, and between leaving and arriving, is the
/// lookahead of a run on several processes.
struct FullSimulationNetwork {
  /// A message, or all that is left of a lane, that waits for the lane's last one to leave.
  struct Request {
    var sender: UInt32
    /// The collective; negative for a send between stages.
    var call: Int32
    /// Step of the lane; of a send, its instruction.
    var step: Int32
    var lane: UInt8
    var ordinal: UInt8
    /// Whether the lane's later messages wait for nothing else.
    var isRest: Bool
    /// Whether the sender must hear when the last of it has left.
    var wantsWord: Bool
    /// When the last member the sender knows of came.
    var latest: Int64
    var next: Int32
  }

  /// What a flow carries.
  struct Cargo {
    var request: Int32 = -1
    var queue: Int32 = 0
    var target: UInt32 = 0
    var kind: UInt32 = 0
    var payload: UInt64 = 0
    var latency: Int64 = 0
  }

  /// Messages of one lane of one rank leave one after the other.
  struct Queue {
    var head: Int32 = -1
    var tail: Int32 = -1
    var isBusy = false
  }

  let graph: LinkGraph
  var flows: FlowNetwork
  var queues: [Queue]
  var requests: [Request] = []
  var freeRequest: Int32 = -1
  var cargo: [Cargo] = []
  var isSettling = false
  var hops: [LinkGraph.Hop] = []
  var sooner: [Int32] = []
  /// Queues of a rank: the lanes of its two streams, and its sends.
  let queuesPerRank: Int

  init(_ program: StepProgram, _ fabric: FullSimulationFabric) {
    graph = LinkGraph(program.job.cluster)
    flows = FlowNetwork(capacities: graph.capacities)
    queuesPerRank = 2 * fabric.laneWidth + 1
    queues = Array(
      repeating: Queue(), count: queuesPerRank * program.job.parallelism.gpuCount)
  }

  mutating func append(_ request: Request, to queue: Int) {
    let index: Int32
    if freeRequest >= 0 {
      index = freeRequest
      freeRequest = requests[Int(index)].next
      requests[Int(index)] = request
    } else {
      index = Int32(requests.count)
      requests.append(request)
    }
    requests[Int(index)].next = -1
    if queues[queue].tail >= 0 {
      requests[Int(queues[queue].tail)].next = index
    } else {
      queues[queue].head = index
    }
    queues[queue].tail = index
  }

  /// Forgets the first request of a queue.
  mutating func removeFirst(of queue: Int) {
    let index = queues[queue].head
    queues[queue].head = requests[Int(index)].next
    if queues[queue].head < 0 { queues[queue].tail = -1 }
    requests[Int(index)].next = freeRequest
    freeRequest = index
  }
}

/// The network in memory of its own, opened once an event.
///
/// As a field of the model it would be moved out and in, half a kilobyte each time.
final class FullSimulationNetworkStorage {
  var links: FullSimulationNetwork

  init(_ links: FullSimulationNetwork) { self.links = links }
}

extension FullSimulationModel {
  static let networkKind: UInt32 = 3
  /// What an event of ``networkKind`` is, in the next two bits: a rank asks.
  ///
  /// Else a flow ends, rates are worked out, a lane is free again. Those for ranks bring word that a
  /// lane's last message has left.
  private static let asks: UInt32 = 3
  private static let flowEnds: UInt32 = 3 | 1 << 2
  private static let settles: UInt32 = 3 | 2 << 2
  private static let laneFree: UInt32 = 3 | 3 << 2
  /// In place of a collective in a request: a send between stages.
  private static let sendMark: UInt32 = 0x1FFFF
  private static let restBit: UInt64 = 1 << 20
  private static let wordBit: UInt64 = 1 << 21
  private static let ageShift: UInt64 = 22
  /// Set in the code of an age that does not fit exactly.
  private static let coarseBit: UInt64 = 1 << 41

  /// An age in 42 bits.
  ///
  /// Exact up to 2.2 s, in steps of 4.2 µs beyond, where a network is so slow that nothing is decided by less.
  static func code(ofAge age: Int64) -> UInt64 {
    age < 1 << 41 ? UInt64(age) : coarseBit | UInt64(min(age >> 22, 1 << 41 - 1))
  }

  /// The age that ``code(ofAge:)`` put into a code.
  static func age(ofCode code: UInt64) -> Int64 {
    code & coarseBit == 0 ? Int64(code) : Int64(code & ~coarseBit) << 22
  }

  /// The logical process of the network.
  var networkProcess: LogicalProcess { LogicalProcess(grid.rankCount) }

  // MARK: Ranks ask

  /// Asks the network to carry a lane's next message, and finds the one after it.
  mutating func request(
    _ next: FullSimulationFabric.Lane, _ index: Int, lane: Int, _ local: Int, earliest: Int64,
    latest: Int64, _ box: Int, _ context: inout EventContext
  ) {
    let call = Int(actives[index].call)
    let plan = fabric.calls[call].plan
    let position = index * fabric.laneWidth + lane
    let step = Int(next.step)
    let isRest = plan.operation == .allToAll
    let stepCount = plan.stepCount(lane: lane)
    actives[index].sent += isRest ? UInt32(stepCount - step) : 1
    lanes[position].step = Int32(isRest ? stepCount : step + 1)
    findMessage(index, lane: lane, call: call, inboxes[box])
    let wantsWord = lanes[position].step < 0 || !lanes[position].isShared
    if wantsWord {
      lanes[position].awaitsWord = true
      actives[index].wordsLeft += 1
    }
    let asked = max(earliest, next.free)
    let age = asked - latest
    if age < 0 || step >= 1 << 20 || call >= Int(Self.sendMark) {
      note("a request of rank \(rank(of: local)) to the network does not fit an event")
    }
    context.schedule(
      Self.asks | UInt32(lane) << 4 | (inboxes[box].ended & 255) << 7 | UInt32(call) << 15,
      payload: UInt64(step) | (isRest ? Self.restBit : 0) | (wantsWord ? Self.wordBit : 0)
        | Self.code(ofAge: max(0, age)) << Self.ageShift,
      to: networkProcess, at: SimTime(picoseconds: asked + fabric.requestDelay))
  }

  /// Asks the network to carry activations; the rank waits for word when the send blocks.
  mutating func request(send instruction: Int, from local: Int, _ context: inout EventContext) {
    guard case .send(let lane, _, _, _, let isBlocking) = code.instructions[instruction] else {
      return
    }
    if code.receiver[lane] >= 0 {
      sent += 1
      messages += 1
    }
    if isBlocking { states[local].waiting = .sending }
    context.schedule(
      Self.asks | Self.sendMark << 15,
      payload: UInt64(instruction) << Self.ageShift | (isBlocking ? Self.wordBit : 0),
      to: networkProcess,
      at: SimTime(picoseconds: states[local].compute + fabric.requestDelay))
  }

  /// A rank hears that its message has left.
  private mutating func hear(_ event: Event, _ local: Int, _ context: inout EventContext) {
    if event.kind >> 15 == Self.sendMark {
      wait(local, until: context.now.picoseconds, as: .pipeline)
      states[local].counter += 1
      run(local, &context)
      return
    }
    let call = Int(event.kind >> 15)
    let communicator = fabric.calls[call].communicator
    let index = 2 * local + fabric.communicators[communicator].stream.rawValue
    let position = index * fabric.laneWidth + Int(event.kind >> 4 & 7)
    lanes[position].awaitsWord = false
    lanes[position].free = max(lanes[position].free, Int64(event.payload))
    actives[index].wordsLeft -= 1
    goOn(
      index, local, call: call, local * fabric.communicators.count + communicator, &context)
  }

  // MARK: The network

  /// Handles an event of the network, or word from it.
  mutating func handleNetwork(_ event: Event, _ local: Int, _ context: inout EventContext) {
    guard event.destination == networkProcess else { return hear(event, local, &context) }
    guard let network else { return }
    handle(event, &network.links, &context)
  }

  private mutating func handle(
    _ event: Event, _ net: inout FullSimulationNetwork, _ context: inout EventContext
  ) {
    switch event.kind & 15 {
    case Self.asks: accept(event, &net, &context)
    case Self.flowEnds: flowEnded(event, &net, &context)
    case Self.settles: settle(&net, &context)
    default:
      net.queues[Int(event.payload)].isBusy = false
      beginNext(of: Int(event.payload), &net, &context)
    }
    if net.flows.needsSettling, !net.isSettling {
      // After all that happens at this instant: the network's own events come behind those of the
      // ranks, this one behind those it has scheduled before.
      net.isSettling = true
      context.schedule(Self.settles, to: networkProcess, at: context.now)
    }
  }

  private mutating func accept(
    _ event: Event, _ net: inout FullSimulationNetwork, _ context: inout EventContext
  ) {
    let isSend = event.kind >> 15 == Self.sendMark
    let call = isSend ? -1 : Int32(event.kind >> 15)
    let lane = Int(event.kind >> 4 & 7)
    let age = Self.age(ofCode: event.payload >> Self.ageShift)
    var queue = Int(event.source) * net.queuesPerRank
    if isSend {
      queue += net.queuesPerRank - 1
    } else {
      let stream = fabric.communicators[fabric.calls[Int(call)].communicator].stream.rawValue
      queue += stream * fabric.laneWidth + lane
    }
    net.append(
      FullSimulationNetwork.Request(
        sender: event.source, call: call,
        step: Int32(isSend ? age : Int64(event.payload & (Self.restBit - 1))), lane: UInt8(lane),
        ordinal: UInt8(event.kind >> 7 & 255), isRest: event.payload & Self.restBit != 0,
        wantsWord: event.payload & Self.wordBit != 0,
        latest: context.now.picoseconds - fabric.requestDelay - age, next: -1), to: queue)
    if !net.queues[queue].isBusy { beginNext(of: queue, &net, &context) }
  }

  /// Begins the first message of a queue, if there is one.
  private mutating func beginNext(
    of queue: Int, _ net: inout FullSimulationNetwork, _ context: inout EventContext
  ) {
    let index = net.queues[queue].head
    guard index >= 0 else { return }
    let request = net.requests[Int(index)]
    net.hops.removeAll(keepingCapacity: true)
    var cargo = FullSimulationNetwork.Cargo(request: index, queue: Int32(queue))
    let occupancy: Int64
    let demand: Double
    if request.call < 0 {
      (occupancy, demand) = load(send: request, &cargo, &net)
    } else {
      (occupancy, demand) = load(message: request, &cargo, &net)
    }
    net.queues[queue].isBusy = true
    let now = context.now.picoseconds - fabric.requestDelay
    let flow = net.flows.begin(work: occupancy, demand: demand, hops: net.hops, at: now)
    if flow == net.cargo.count { net.cargo.append(cargo) } else { net.cargo[flow] = cargo }
    let end = net.flows.flows[flow].end
    if end < .max { schedule(end: end, of: flow, &net, &context) }
  }

  private func schedule(
    end: Int64, of flow: Int, _ net: inout FullSimulationNetwork, _ context: inout EventContext
  ) {
    net.flows.schedule(flow, at: end)
    context.schedule(
      Self.flowEnds,
      payload: UInt64(flow) | UInt64(net.flows.flows[flow].generation) << 32, to: networkProcess,
      at: SimTime(picoseconds: end + fabric.requestDelay))
  }

  /// A flow's event has come: it ends, or was slowed and goes on.
  private mutating func flowEnded(
    _ event: Event, _ net: inout FullSimulationNetwork, _ context: inout EventContext
  ) {
    let flow = Int(event.payload & 0xFFFF_FFFF)
    let state = net.flows.flows[flow]
    guard state.generation == UInt32(event.payload >> 32) else { return }
    let now = context.now.picoseconds - fabric.requestDelay
    guard state.end <= now else { return schedule(end: state.end, of: flow, &net, &context) }
    net.flows.finish(flow)
    let cargo = net.cargo[flow]
    let queue = Int(cargo.queue)
    let arrival = max(now + cargo.latency, context.now.picoseconds + 1)
    if cargo.target != .max {
      context.schedule(
        cargo.kind, payload: cargo.payload, to: cargo.target, at: SimTime(picoseconds: arrival))
    }
    let request = net.requests[Int(cargo.request)]
    var isOver = true
    if request.isRest {
      let plan = fabric.calls[Int(request.call)].plan
      if Int(request.step) + 1 < plan.stepCount(lane: Int(request.lane)) {
        net.requests[Int(cargo.request)].step += 1
        isOver = false
      }
    }
    if isOver {
      net.removeFirst(of: queue)
      if request.wantsWord {
        let mark = request.call < 0 ? Self.sendMark : UInt32(request.call)
        context.schedule(
          Self.networkKind | UInt32(request.lane) << 4 | mark << 15, payload: UInt64(now),
          to: request.sender, at: SimTime(picoseconds: arrival))
      }
    }
    if request.call < 0 {
      // Sends of a rank follow one another, latency and all.
      context.schedule(
        Self.laneFree, payload: UInt64(queue), to: networkProcess,
        at: SimTime(
          picoseconds: max(now + cargo.latency + fabric.requestDelay, context.now.picoseconds)))
    } else {
      net.queues[queue].isBusy = false
      beginNext(of: queue, &net, &context)
    }
  }

  private mutating func settle(
    _ net: inout FullSimulationNetwork, _ context: inout EventContext
  ) {
    net.isSettling = false
    net.sooner.removeAll(keepingCapacity: true)
    net.flows.settle(at: context.now.picoseconds - fabric.requestDelay, sooner: &net.sooner)
    for flow in net.sooner {
      schedule(end: net.flows.flows[Int(flow)].end, of: Int(flow), &net, &context)
    }
  }
}
