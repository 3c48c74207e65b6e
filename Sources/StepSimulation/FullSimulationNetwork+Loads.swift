import Collectives
import Hardware
import Layout
import Quantities
import StepProgram

extension FullSimulationFabric {
  /// Appends the links a message crosses.
  ///
  /// Its sender's card's way, the ways of all cards its group has in the node, or those inside the node.
  func appendRoute(
    of message: CollectiveMessage, from place: (member: Int, first: Int), rank: Int, _ call: Call,
    _ graph: LinkGraph, _ loads: [Double], _ hops: inout [LinkGraph.Hop]
  ) {
    let groups = communicators[call.communicator].groups
    let flow = UInt64(call.communicator)
    let perNode = call.plan.ranksPerNode
    guard message.crossesNodes else {
      let first = place.member / perNode * perNode
      graph.appendNodeRoute(
        from: rank, to: groups.rank(of: message.receiver, first: place.first),
        among: call.usesAllPeers
          ? (first..<first + perNode).map { groups.rank(of: $0, first: place.first) } : [],
        to: &hops)
      return
    }
    guard call.cards > 1 else {
      let target = groups.rank(of: message.receiver, first: place.first)
      graph.appendRoute(
        from: rank, to: target, flow: flow, loads: loads, to: &hops,
        staysBelow: call.plan.algorithm.addsInNetwork(nodes: call.plan.nodes))
      return
    }
    let from = place.member / perNode * perNode
    let to = message.receiver / perNode * perNode
    for card in 0..<call.cards {
      graph.appendRoute(
        from: groups.rank(of: from + card, first: place.first),
        to: groups.rank(of: to + card, first: place.first), flow: flow, loads: loads, to: &hops)
    }
  }
}

/// What the messages that ranks ask for take of the links, and which they cross.
extension FullSimulationModel {
  /// What activations cost and cross; occupancy in picoseconds, demand on each link.
  func load(
    send request: FullSimulationNetwork.Request, _ cargo: inout FullSimulationNetwork.Cargo,
    _ net: inout FullSimulationNetwork
  ) -> (occupancy: Int64, demand: Double) {
    guard
      case .send(let lane, let microbatch, let bytes, let duration, _) =
        code.instructions[Int(request.step)]
    else { return (0, 1) }
    let sender = order.rank(of: request.sender)
    let receiver = code.receiver[lane]
    let target =
      sender + (max(receiver, 0) - grid.stage(of: sender)) * grid.stride(.pipeline)
    let cluster = program.job.cluster
    let crosses = receiver >= 0 && cluster.node(of: sender) != cluster.node(of: target)
    let parts = fabric.split(bytes: bytes, duration: duration, crossesNodes: crosses)
    cargo.latency = parts.latency
    // Nobody hears of what nobody receives.
    cargo.target = receiver >= 0 ? order.logicalProcess(of: target) : .max
    cargo.kind = Self.activationsKind
    cargo.payload = UInt64(code.position[lane] * microbatches + microbatch)
    if crosses {
      net.graph.appendRoute(
        from: sender, to: target, flow: UInt64(lane) << 32, loads: net.flows.loads, to: &net.hops)
      // As fast as its price says: what the PCIe link to the card lets through, of the card.
      let rate = cluster.cardRate(busy: Double(cluster.gpusPerNode))
      return (parts.occupancy, rate / cluster.interNode.rate.bytesPerSecond)
    }
    if receiver >= 0 { net.graph.appendNodeRoute(from: sender, to: target, to: &net.hops) }
    return (parts.occupancy, cluster.node.pairShare(gpus: cluster.gpusPerNode))
  }

  /// What a collective's message costs and crosses; occupancy in picoseconds, demand on each link.
  func load(
    message request: FullSimulationNetwork.Request, _ cargo: inout FullSimulationNetwork.Cargo,
    _ net: inout FullSimulationNetwork
  ) -> (occupancy: Int64, demand: Double) {
    let call = fabric.calls[Int(request.call)]
    let groups = fabric.communicators[call.communicator].groups
    let sender = order.rank(of: request.sender)
    let place = groups.membership(of: sender)
    guard
      let message = call.plan.message(
        from: place.member, lane: Int(request.lane), step: Int(request.step))
    else { return (0, 1) }
    let target = groups.rank(of: message.receiver, first: place.first)
    cargo.target = order.logicalProcess(of: target)
    cargo.kind =
      Self.messageKind | UInt32(call.communicator) << 2 | UInt32(message.slot) << 8
      | UInt32(request.ordinal) << 14
    cargo.payload = UInt64(request.latest)
    cargo.latency = message.latency.picoseconds
    fabric.appendRoute(
      of: message, from: place, rank: sender, call, net.graph, net.flows.loads,
      &net.hops)
    return (
      message.occupancy.picoseconds, message.crossesNodes ? call.demand : call.demandInside
    )
  }
}
