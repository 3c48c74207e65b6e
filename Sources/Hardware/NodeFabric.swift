import Glibc
public import Quantities

/// What joins the GPUs of a node, and them to their network cards.
public struct NodeFabric: Hashable, Sendable {
  /// How the links of a node are laid.
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    /// Every GPU's whole link to switches that join all (NVSwitch; an NVL72 rack is one node).
    case switched = "switch"
    /// Links from every GPU to every other (four A100 on one board, MI300X platform).
    case mesh
    /// DGX-1: eight GPUs of six links each, one or two to four of the others.
    case hybridCube = "hybrid-cube"
    /// GPUs in pairs below PCIe switches, two of these at each of two processors.
    case pcie
    /// Links to both neighbours along each axis of a torus (a TPU's slice).
    case torus
  }

  /// How the links are laid.
  public var kind = Kind.switched
  /// Whether the switch between the GPUs adds (NVLS), where the GPU's generation can.
  public var adds = true
  /// Whether messages inside a node slow one another; `nil` for where it matters.
  public var sharing: LinkSharing?
  /// GPUs whose traffic with the network goes through one PCIe link to their cards.
  public var gpusPerCardLink = 1
  /// Rate of that link, per direction; `nil` where it never blocks.
  public var cardLinkRate: ByteRate?

  /// Axes of a torus.
  public var axes = 3

  /// Of PCIe trees, what passes out of a PCIe switch, per direction; `nil` for as much as one GPU's link.
  public var switchRate: ByteRate?
  /// What passes out of a processor to the other, likewise.
  public var socketRate: ByteRate?

  /// A node whose links are laid that way.
  public init(_ kind: Kind = .switched) { self.kind = kind }

  /// How the usual node of a GPU is laid.
  ///
  /// V100: DGX-1 (its data sheet). MI300X and later Instinct, Gaudi, four GH200 or A100 40 GB on a board: links from
  /// each to each (data sheets of the platforms). Boards on PCIe (L40S, L20, L4, A40, A10G, GeForce and RTX, among
  /// them the RTX A6000, and those of A100, H100 and H200), as the L40S and RTX PRO there is a measurement of:
  /// PCIe, with what the larger of two measured collectives takes of a bridge (nccl-tests tables, see
  /// `FabricConstants`): of four GPUs a ring one GPU's rate there, an all-to-all that of two GPUs to the two of
  /// the other pair, 2 × 2/3; of eight, 4 × 4/7 between processors. TPUs: a torus, of two axes v5e and v6e, of
  /// three the others (Google Cloud documentation of each). All others: switches.
  public static func usual(of gpu: GPU, gpusPerNode: Int) -> NodeFabric {
    func isOne(of prefixes: String...) -> Bool {
      prefixes.contains { gpu.catalogueName.hasPrefix($0) }
    }
    if isOne(of: "v100"), gpusPerNode == 8 { return NodeFabric(.hybridCube) }
    if isOne(of: "mi3", "gaudi") || isOne(of: "gh200", "a100-sxm-40gb") && gpusPerNode == 4 {
      return NodeFabric(.mesh)
    }
    if isOne(of: "tpu") {
      var node = NodeFabric(.torus)
      if isOne(of: "tpu-v5e", "tpu-v6e") { node.axes = 2 }
      return node
    }
    if isOne(
      of: "l40", "rtx", "l4", "l20", "a10g", "a40", "a100-pcie", "h100-pcie", "h100-nvl", "h200-nvl"
    ) {
      var node = NodeFabric(.pcie)
      // L40S: 4/3 × 0.2 and 16/7 × 0.05 of 32 GB/s (rings: 0.25 and 0.07); RTX PRO: 4/3 × 0.5 and
      // 16/7 × 0.3 of 64 GB/s (rings: 0.4 and 0.3); other boards as the RTX PRO, of their link.
      let isSlow = gpu.catalogueName.hasPrefix("l40")
      let share = gpu.scaleUp.rate.bytesPerSecond / 64e9
      node.switchRate = isSlow ? .gigabytesPerSecond(8.6) : .gigabytesPerSecond(43 * share)
      node.socketRate = isSlow ? .gigabytesPerSecond(3.7) : .gigabytesPerSecond(44 * share)
      return node
    }
    return NodeFabric()
  }

  /// NVLinks between the GPUs of a DGX-1 with V100, as `nvidia-smi topo -m` shows them there.
  static let cube: [[Int]] = [
    [0, 1, 1, 2, 2, 0, 0, 0], [1, 0, 2, 1, 0, 2, 0, 0], [1, 2, 0, 2, 0, 0, 1, 0],
    [2, 1, 2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 1, 1, 2], [0, 2, 0, 0, 1, 0, 2, 1],
    [0, 0, 1, 0, 1, 2, 0, 2], [0, 0, 0, 1, 2, 1, 2, 0],
  ]
  /// NVLinks of a V100.
  static let cubeLinks = 6

  /// The part of a GPU's rate that reaches the others of a group inside a node when it sends to all of them.
  ///
  /// The group are the first `members` of the node's `gpus`.
  ///
  /// Of a torus, groups lie along whole axes, as `jax.experimental.mesh_utils.create_device_mesh` places the axes
  /// of a device mesh: as many as a group's part of the logarithm of the slice is nearest to. Links along the
  /// other axes lie idle meanwhile.
  public func share(of members: Int, gpus: Int) -> Double {
    guard members > 1, members < gpus else { return 1 }
    switch kind {
    case .switched, .pcie: return 1
    case .mesh: return Double(members - 1) / Double(gpus - 1)
    case .hybridCube:
      let within = (0..<min(members, 8)).map { Self.cube[$0].prefix(members).reduce(0, +) }
      return Double(max(1, within.min() ?? 1)) / Double(Self.cubeLinks)
    case .torus:
      let along = Double(axes) * log(Double(members)) / log(Double(gpus))
      return max(1, along.rounded()) / Double(axes)
    }
  }

  /// The part of a GPU's rate that reaches one other GPU.
  public func pairShare(gpus: Int) -> Double {
    switch kind {
    case .switched, .pcie: 1
    case .mesh: 1 / Double(max(1, gpus - 1))
    case .hybridCube: 1 / Double(Self.cubeLinks)
    case .torus: 1 / Double(2 * axes)
    }
  }
}

extension Cluster {
  /// GPUs that the links inside a node join: of a torus those of the job's slice.
  public var linkedGPUs: Int { node.kind == .torus ? min(gpusPerNode, gpuCount) : gpusPerNode }

  /// Whether messages inside nodes slow one another.
  ///
  /// As the node says, else where those between nodes do and GPUs share more than their own link.
  public var sharesNodeLinks: Bool {
    if let sharing = node.sharing { return sharing == .shared }
    return node.kind != .switched && node.kind != .torus && sharesNetworkLinks
  }

  /// Whether messages slow one another anywhere.
  public var sharesLinks: Bool { sharesNetworkLinks || sharesNodeLinks }

  /// The rate a card is left with when `busy` of a node's GPUs send: that of its PCIe link at most.
  public func cardRate(busy: Double) -> Double {
    let rate = interNode.rate.bytesPerSecond
    guard let link = node.cardLinkRate?.bytesPerSecond else { return rate }
    let sharers = max(1, Double(node.gpusPerCardLink) * min(1, busy / Double(gpusPerNode)))
    return min(rate, link / sharers)
  }

  /// From the last byte's leaving a card to its arriving at one `nodes` nodes further.
  ///
  /// The latency of a link between nodes is that over a spine: two cables and two switches less below one
  /// leaf switch (or in one group of a dragonfly), two more of each over the core of a tree of three levels.
  public func latency(nodesApart nodes: Int) -> SimDuration {
    let usual = interNode.latency
    let hop = network.hopLatency.picoseconds
    let leaf = nodesPerLeaf
    guard leaf < .max else { return usual }
    if nodes < leaf {
      return SimDuration(
        picoseconds: max(usual.picoseconds - 2 * hop, usual.picoseconds / 2))
    }
    let isTree = topology == .railFatTree || topology == .fatTree
    return isTree && network.levels > 2 && nodes >= leaf * network.leavesPerPod
      ? SimDuration(picoseconds: usual.picoseconds + 2 * hop) : usual
  }
}
