/// GPUs in nodes on a fabric.
public struct Cluster: Hashable, Sendable {
  /// The accelerator.
  public var gpu: GPU
  /// How many.
  public var gpuCount: Int
  /// GPUs that share one scale-up domain (a node, or an NVL72 rack).
  public var gpusPerNode: Int
  /// The link of each GPU inside its scale-up domain.
  public var intraNode: Link
  /// The link of each GPU out of its node (its NIC share).
  public var interNode: Link
  /// How nodes are joined.
  public var topology: Topology
  /// How many times more bandwidth enters a leaf switch from below than leaves it above.
  public var oversubscription: Double
  /// Levels, routing, faults: the rest of the network between nodes.
  public var network: Network
  /// How the links inside a node are laid.
  public var node: NodeFabric

  /// A cluster from its parts; without `node` its nodes are laid as is usual for the GPU.
  public init(
    gpu: GPU, gpuCount: Int, gpusPerNode: Int, intraNode: Link, interNode: Link,
    topology: Topology = .railFatTree, oversubscription: Double = 1, network: Network = Network(),
    node: NodeFabric? = nil
  ) {
    self.gpu = gpu
    self.gpuCount = gpuCount
    self.gpusPerNode = gpusPerNode
    self.intraNode = intraNode
    self.interNode = interNode
    self.topology = topology
    self.oversubscription = oversubscription
    self.network = network
    self.node = node ?? .usual(of: gpu, gpusPerNode: gpusPerNode)
  }

  /// Nodes, the last one perhaps partly filled.
  public var nodeCount: Int { (gpuCount + gpusPerNode - 1) / gpusPerNode }

  /// The node a GPU sits in: GPUs fill one node after the other.
  public func node(of rank: Int) -> Int { rank / gpusPerNode }
}

/// How nodes are joined.
public enum Topology: String, Hashable, Sendable, CaseIterable {
  /// GPU i of every node on the leaf switches of rail i, rails joined by spines.
  case railFatTree = "rail-fat-tree"
  /// All NICs of a node on one leaf switch, leaves joined by spines.
  case fatTree = "fat-tree"
  /// One switch that never blocks.
  case singleSwitch = "single-switch"
  /// Groups of nodes, every two groups joined by a link.
  case dragonfly
  /// Nodes in a grid of two or three dimensions, each joined to its neighbours, ends to ends.
  case torus
}
