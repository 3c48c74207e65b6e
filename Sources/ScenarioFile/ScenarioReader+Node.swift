import Hardware
import Quantities

extension ScenarioReader {
  /// Reads what of `intra_node` is not its link: how a node's links are laid and shared.
  ///
  /// - Parameters:
  ///   - block: the mapping `intra_node`.
  ///   - usual: what holds where nothing is said; `nil` where the GPU is not known.
  /// - Returns: the node's fabric as far as it could be read; the log says what could not.
  func node(_ block: Block, default usual: NodeFabric?) -> NodeFabric? {
    let kind = block.choice("fabric", of: NodeFabric.Kind.self)
    let adds = block.flag("nvls")
    let sharing = block.choice("sharing", of: LinkSharing.self)
    func rate(_ key: String) -> ByteRate? {
      block.quantity(key, of: ByteRate.self, in: Limit.linkRate)
    }
    let (above, across) = (rate("pcie_switch_bandwidth"), rate("socket_bandwidth"))
    let cards = rate("nic_link_bandwidth")
    let sharers = block.integer("gpus_per_nic_link", in: Limit.counts)
    guard var node = usual else { return nil }
    if let kind, kind != node.kind {
      node.kind = kind
      (node.switchRate, node.socketRate) = (nil, nil)
    }
    if let adds { node.adds = adds }
    if let sharing { node.sharing = sharing }
    if let above { node.switchRate = above }
    if let across { node.socketRate = across }
    if let cards { node.cardLinkRate = cards }
    if let sharers { node.gpusPerCardLink = sharers }
    return node
  }

  /// Reports keys that do not go with the node's fabric.
  func checkNode(_ cluster: Cluster, _ block: Block) {
    for key in ["pcie_switch_bandwidth", "socket_bandwidth"] where block.has(key) {
      guard cluster.node.kind != .pcie else { continue }
      block.report(key, "means nothing in a \(cluster.node.kind.rawValue); it goes with pcie")
    }
    if block.has("gpus_per_nic_link"), cluster.node.cardLinkRate == nil {
      block.report("gpus_per_nic_link", "goes with nic_link_bandwidth")
    }
    if block.has("gpus_per_nic_link"), cluster.node.gpusPerCardLink > cluster.gpusPerNode {
      block.report("gpus_per_nic_link", "a node has \(cluster.gpusPerNode) GPUs")
    }
    if block.has("nvls"), cluster.node.adds, cluster.node.kind != .switched {
      block.report(
        "nvls",
        "means nothing in a \(cluster.node.kind.rawValue); it goes with "
          + NodeFabric.Kind.switched.rawValue)
    }
    let usual = NodeFabric.usual(of: cluster.gpu, gpusPerNode: cluster.gpusPerNode)
    for key in ["pcie_switch_bandwidth", "socket_bandwidth"]
    where block.has(key) && cluster.node.kind == .pcie && usual.kind != .pcie
      && !cluster.sharesNodeLinks
    {
      block.warn(
        key, "has no effect: messages inside nodes do not slow one another; say sharing: shared.")
    }
    if cluster.node.kind == .hybridCube, cluster.gpusPerNode != 8 {
      block.report("fabric", "a hybrid-cube has 8 GPUs, not \(cluster.gpusPerNode)")
    }
  }
}

extension NodeFabric {
  /// What differs from the usual node, in the vocabulary of a scenario file.
  func members(unlike usual: NodeFabric) -> [JSONValue.Member] {
    var members: [JSONValue.Member] = []
    let plain = kind == usual.kind ? usual : NodeFabric(kind)
    if kind != usual.kind { members.append(.init("fabric", .string(kind.rawValue))) }
    if adds != usual.adds { members.append(.init("nvls", .bool(adds))) }
    if let sharing { members.append(.init("sharing", .string(sharing.rawValue))) }
    func add(_ key: String, _ rate: ByteRate?, unless plain: ByteRate?) {
      if let rate, rate != plain { members.append(.init(key, .string(rate.unitText))) }
    }
    add("pcie_switch_bandwidth", switchRate, unless: plain.switchRate)
    add("socket_bandwidth", socketRate, unless: plain.socketRate)
    add("nic_link_bandwidth", cardLinkRate, unless: nil)
    if gpusPerCardLink > 1 {
      members.append(.init("gpus_per_nic_link", .integer(gpusPerCardLink)))
    }
    return members
  }
}
