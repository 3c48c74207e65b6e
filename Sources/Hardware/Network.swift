public import Quantities

/// How a message finds its way where several lead to its destination.
public enum Routing: String, Hashable, Sendable, CaseIterable {
  /// Spread packet by packet over all equal paths (InfiniBand's adaptive routing, packet spraying).
  ///
  /// On a dragonfly and a torus, the less loaded of a few paths when the message begins.
  case adaptive
  /// One path for each pair of cards and each communicator, by a hash (Ethernet's equal-cost multipath).
  ///
  /// Two may meet on one link while another is idle.
  case ecmp
  /// One path for each destination (destination modulo width, InfiniBand's static tables).
  case deterministic
}

/// Whether messages of different groups slow one another.
public enum LinkSharing: String, Hashable, Sendable, CaseIterable {
  /// Every message shares each link it crosses with all others there.
  case shared
  /// Every group has its even share of the cards to itself.
  case separate
}

/// What joins the nodes, beyond ``Cluster/topology`` and ``Cluster/oversubscription``, and what is wrong with it.
public struct Network: Hashable, Sendable {
  /// Levels of switches of a fat tree, 2 or 3.
  public var levels = 2
  /// Nodes whose cards of a rail (rail fat tree), or whose cards altogether (fat tree), share a leaf switch.
  ///
  /// `nil` for what half of a 64-port switch holds.
  public var nodesPerLeaf: Int?
  /// Of three levels, groups of ``nodesPerLeaf`` nodes below one pod's switches.
  public var leavesPerPod = 32
  /// Of three levels, how many times more bandwidth enters a pod from below than leaves it above.
  public var coreOversubscription = 1.0
  /// Nodes of a dragonfly's group.
  public var nodesPerGroup: Int?
  /// Nodes along each axis of a torus, which node numbers follow fastest first.
  ///
  /// Empty for three as equal as possible.
  public var dimensions: [Int] = []
  /// Rate of one link between groups of a dragonfly, or between neighbours of a torus, per direction.
  ///
  /// `nil` for the rate of all cards behind it, evenly divided.
  public var linkRate: ByteRate?
  /// What a cable and a switch add to the latency of a message.
  ///
  /// 0.13 µs from port to port (NVIDIA QM8700 data sheet) and 30 m of fibre at 5 ns a metre.
  public var hopLatency = SimDuration(picoseconds: 280_000)
  /// Whether the switches add what nodes send (SHARP).
  public var sharp = false
  /// Whether 128 bytes arrive as they were stored, whole and in order, as NCCL's LL128 wants.
  public var allowsLL128 = true
  /// How paths are chosen.
  public var routing = Routing.adaptive
  /// Whether links are shared; `nil` for where it matters.
  public var sharing: LinkSharing?
  /// Cards slower than the others.
  public var slowCards: [SlowCard] = []
  /// GPUs whose card is dead: the next working card of their node serves them too.
  public var failedCards: [Int] = []
  /// Dead links from leaf switches (groups of a dragonfly) upwards; the others take their traffic.
  public var failedUplinks: [FailedUplinks] = []

  /// Nothing out of the ordinary.
  public init() {}

  /// A network card below its rate.
  public struct SlowCard: Hashable, Sendable {
    /// The GPU it belongs to.
    public var gpu: Int
    /// The part of the rate that is left.
    public var fraction: Double

    /// The card of `gpu` at a fraction of its rate.
    public init(gpu: Int, fraction: Double) {
      self.gpu = gpu
      self.fraction = fraction
    }
  }

  /// Dead links of one switch.
  public struct FailedUplinks: Hashable, Sendable {
    /// The leaf switch, counted from 0: rails of the first nodes, then of the next.
    public var leaf: Int
    /// How many of its links upwards are dead.
    public var count: Int

    /// `count` dead links of a leaf switch.
    public init(leaf: Int, count: Int) {
      self.leaf = leaf
      self.count = count
    }
  }

  /// Whether some part is slower or missing.
  public var isFaulty: Bool {
    !slowCards.isEmpty || !failedCards.isEmpty || !failedUplinks.isEmpty
  }
}

extension Cluster {
  /// Ports of a leaf switch towards nodes.
  ///
  /// Half of a 64-port switch (NVIDIA Quantum-2 QM9700 data sheet: 64 ports of 400 Gb/s).
  static let leafRadix = 32

  /// Nodes that share a leaf switch, or that form a dragonfly's group.
  ///
  /// With their cards of one rail (rail fat tree), or with all; `Int.max` where nothing above could block.
  public var nodesPerLeaf: Int {
    switch topology {
    case .singleSwitch, .torus: .max
    case .railFatTree: network.nodesPerLeaf ?? Self.leafRadix
    case .fatTree: network.nodesPerLeaf ?? max(1, Self.leafRadix / gpusPerNode)
    case .dragonfly: network.nodesPerGroup ?? max(1, Self.leafRadix / gpusPerNode)
    }
  }

  /// Leaf switches, of each rail its own in a rail fat tree, or dragonfly groups; none elsewhere.
  public var leafCount: Int {
    guard topology != .singleSwitch, topology != .torus else { return 0 }
    let below = min(nodesPerLeaf, nodeCount)
    return (nodeCount + below - 1) / below * (topology == .railFatTree ? gpusPerNode : 1)
  }

  /// Links of one of them upwards, or out of the group, each as fast as a card.
  public var uplinksPerLeaf: Double {
    let ports = min(nodesPerLeaf, nodeCount) * gpusPerNode
    return Double(topology == .railFatTree ? ports / gpusPerNode : ports) / max(oversubscription, 1)
  }

  /// Whether messages between nodes slow one another.
  ///
  /// As the network says, else where paths may meet or something is out of order.
  public var sharesNetworkLinks: Bool {
    if let sharing = network.sharing { return sharing == .shared }
    return network.isFaulty || network.routing != .adaptive || oversubscription > 1
      || network.coreOversubscription > 1 || topology == .torus || topology == .dragonfly
  }

  /// The same cluster where no link above the cards ever blocks.
  ///
  /// What a collective's own cost is before it meets other traffic.
  public var unblocked: Cluster {
    var cluster = self
    cluster.oversubscription = 1
    return cluster
  }
}
