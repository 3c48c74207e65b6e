import Hardware
import Quantities

extension ScenarioReader {
  /// Reads what of `inter_node` is neither its link nor its topology: levels, routing, faults.
  ///
  /// - Parameters:
  ///   - block: the mapping `inter_node`.
  ///   - usual: what holds where nothing is said.
  ///   - gpus: GPUs of the cluster, or `nil` where they are not known.
  /// - Returns: the network as far as it could be read; the log says what could not.
  func network(_ block: Block, default usual: Network, gpus: Int?) -> Network {
    var network = usual
    if let levels = block.integer("levels", in: 2...3) { network.levels = levels }
    if let nodes = block.integer("nodes_per_leaf", in: Limit.counts) {
      network.nodesPerLeaf = nodes
    }
    if let leaves = block.integer("leaves_per_pod", in: Limit.counts) {
      network.leavesPerPod = leaves
    }
    if let factor = block.number("core_oversubscription", from: 1, to: 1_000) {
      network.coreOversubscription = factor
    }
    if let nodes = block.integer("nodes_per_group", in: Limit.counts) {
      network.nodesPerGroup = nodes
    }
    if let sizes = list(block, "dimensions", in: 1...1_000_000) { network.dimensions = sizes }
    if let rate = block.quantity("link_bandwidth", of: ByteRate.self, in: Limit.linkRate) {
      network.linkRate = rate
    }
    if let latency = block.quantity("hop_latency", of: Seconds.self, in: 0...1) {
      network.hopLatency = SimDuration(seconds: latency.value)
    }
    if let adds = block.flag("sharp") { network.sharp = adds }
    if let allows = block.flag("ll128") { network.allowsLL128 = allows }
    if let routing = block.choice("routing", of: Routing.self) { network.routing = routing }
    if let sharing = block.choice("sharing", of: LinkSharing.self) { network.sharing = sharing }
    let ranks = 0...(gpus ?? Limit.gpus.upperBound) - 1
    if let failed = list(block, "failed_nics", in: ranks) { network.failedCards = failed }
    if let slow = pairs(block, "slow_nics", in: ranks) {
      network.slowCards = slow.compactMap { gpu, text in
        guard let fraction = Double(text), fraction >= 1e-4, fraction <= 1 else {
          block.report(
            "slow_nics",
            "\(text) is not the part, from 0.0001 to 1, the card of GPU \(gpu) has left")
          return nil
        }
        return Network.SlowCard(gpu: gpu, fraction: fraction)
      }
    }
    if let failed = pairs(block, "failed_uplinks", in: 0...1_000_000) {
      network.failedUplinks = failed.compactMap { leaf, text in
        guard let count = Int(text), (1...1_000_000).contains(count) else {
          block.report(
            "failed_uplinks", "\(text) is not how many links of leaf switch \(leaf) are dead")
          return nil
        }
        return Network.FailedUplinks(leaf: leaf, count: count)
      }
    }
    return network
  }

  /// Reports keys that do not go with the topology, and sizes that do not multiply to the nodes.
  func check(_ cluster: Cluster, _ block: Block) {
    let network = cluster.network
    func wants(_ key: String, _ topologies: Topology...) {
      guard block.has(key), !topologies.contains(cluster.topology) else { return }
      block.report(
        key,
        "means nothing on a \(cluster.topology.rawValue); it goes with "
          + topologies.map(\.rawValue).joined(separator: ", "))
    }
    wants("levels", .railFatTree, .fatTree)
    wants("nodes_per_leaf", .railFatTree, .fatTree)
    wants("leaves_per_pod", .railFatTree, .fatTree)
    wants("core_oversubscription", .railFatTree, .fatTree)
    wants("nodes_per_group", .dragonfly)
    wants("dimensions", .torus)
    wants("link_bandwidth", .torus, .dragonfly)
    wants("failed_uplinks", .railFatTree, .fatTree, .dragonfly)
    wants("sharp", .railFatTree, .fatTree, .singleSwitch)
    if cluster.oversubscription > 1 {
      wants("oversubscription", .railFatTree, .fatTree, .dragonfly)
    }
    doubts(cluster, block)
    if cluster.leafCount > 0 {
      for failed in network.failedUplinks {
        let leaves = "leaf switches 0 to \(cluster.leafCount - 1)"
        if failed.leaf >= cluster.leafCount {
          block.report("failed_uplinks", "\(failed.leaf) is not one of \(leaves)")
        } else if Double(failed.count) >= cluster.uplinksPerLeaf {
          let links = Int(cluster.uplinksPerLeaf.rounded(.up))
          block.report(
            "failed_uplinks",
            "\(failed.count) of leaf switch \(failed.leaf) leave none of its \(links) links upwards"
          )
        }
      }
    }
    if cluster.topology == .torus, !network.dimensions.isEmpty {
      let nodes = network.dimensions.reduce(1) { product, size in
        let (value, overflows) = product.multipliedReportingOverflow(by: size)
        return overflows ? Int.max : value
      }
      if nodes != cluster.nodeCount {
        block.report(
          "dimensions",
          "\(network.dimensions.map(String.init).joined(separator: " × ")) = \(nodes), but there "
            + "are \(cluster.nodeCount) nodes")
      }
    }
  }

  /// Doubts keys that say something about a part the cluster has not.
  private func doubts(_ cluster: Cluster, _ block: Block) {
    if cluster.network.levels < 3 {
      for key in ["leaves_per_pod", "core_oversubscription"] where block.has(key) {
        block.warn(key, "has no effect: it goes with levels: 3")
      }
    }
    if cluster.topology == .singleSwitch, cluster.network.routing != .adaptive {
      block.warn("routing", "has no effect: there is one way through a single switch")
    }
    if cluster.network.isFaulty, cluster.network.sharing == .separate {
      block.warn("sharing", "separate leaves out what slow and failed links cost")
    }
  }

  /// A list of whole numbers.
  private func list(_ block: Block, _ key: String, in range: ClosedRange<Int>) -> [Int]? {
    guard let node = block.node(key) else { return nil }
    guard case .sequence(let items) = node.content else {
      block.report(key, "\(node.described) is not a list of whole numbers")
      return nil
    }
    return items.compactMap { block.integer($0, key, in: range) }
  }

  /// A mapping of whole numbers to values, in the order of the numbers.
  private func pairs(_ block: Block, _ key: String, in range: ClosedRange<Int>) -> [(Int, String)]?
  {
    guard let node = block.node(key) else { return nil }
    guard case .mapping(let entries) = node.content else {
      block.report(key, "\(node.described) is not a mapping, {number: value}")
      return nil
    }
    let read = entries.compactMap { entry -> (Int, String)? in
      guard let number = Int(entry.key), range.contains(number) else {
        block.report(
          key, "\(entry.key) is not a whole number from \(range.lowerBound) to \(range.upperBound)")
        return nil
      }
      guard case .scalar(let text, _) = entry.value.content else {
        block.report(key, "\(entry.value.described) is not a number")
        return nil
      }
      return (number, text)
    }
    let sorted = read.sorted { $0.0 < $1.0 }
    for (one, next) in zip(sorted, sorted.dropFirst()) where one.0 == next.0 {
      block.report(key, "\(one.0) is there twice")
    }
    return sorted
  }
}

extension Network {
  /// What is out of the ordinary, in the vocabulary of a scenario file.
  var members: [JSONValue.Member] {
    let usual = Network()
    var members: [JSONValue.Member] = []
    if routing != usual.routing { members.append(.init("routing", .string(routing.rawValue))) }
    func add(_ key: String, _ value: Int?, unless plain: Int?) {
      if let value, value != plain { members.append(.init(key, .integer(Int64(value)))) }
    }
    add("levels", levels, unless: usual.levels)
    add("nodes_per_leaf", nodesPerLeaf, unless: nil)
    add("leaves_per_pod", leavesPerPod, unless: usual.leavesPerPod)
    if coreOversubscription != 1 {
      members.append(.init("core_oversubscription", .number(coreOversubscription)))
    }
    add("nodes_per_group", nodesPerGroup, unless: nil)
    func numbers(_ values: [Int]) -> JSONValue { .array(values.map { .integer(Int64($0)) }) }
    if !dimensions.isEmpty { members.append(.init("dimensions", numbers(dimensions))) }
    if let linkRate { members.append(.init("link_bandwidth", .string(linkRate.unitText))) }
    if hopLatency != usual.hopLatency {
      members.append(.init("hop_latency", .string(hopLatency.text)))
    }
    if sharp { members.append(.init("sharp", true)) }
    if !allowsLL128 { members.append(.init("ll128", false)) }
    if let sharing { members.append(.init("sharing", .string(sharing.rawValue))) }
    if !slowCards.isEmpty {
      members.append(
        .init(
          "slow_nics", .object(slowCards.map { .init("\($0.gpu)", .number($0.fraction)) })))
    }
    if !failedCards.isEmpty { members.append(.init("failed_nics", numbers(failedCards))) }
    if !failedUplinks.isEmpty {
      members.append(
        .init(
          "failed_uplinks",
          .object(failedUplinks.map { .init("\($0.leaf)", .integer(Int64($0.count))) })))
    }
    return members
  }
}
