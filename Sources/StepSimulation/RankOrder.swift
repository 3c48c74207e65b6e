import EventKernel
import Layout

/// The order in which ranks are dealt to processes.
///
/// Node after node, the nodes of one model replica together.
///
/// Replicas do the same at the same time, so processes that hold replicas are busy at the same
/// time, where processes that hold stages would wait for each other as the stages do; and all
/// traffic of a replica stays on its process. The order does not depend on the number of processes.
/// Where links are shared everything between nodes goes through one process: ranks keep their order.
struct RankOrder {
  private let perNode: Int
  private let ranks: Int
  /// The node at each place and the place of each node.
  private var nodes: [UInt32]
  private var places: [UInt32]

  init(_ grid: RankGrid, gpusPerNode: Int, keepsReplicas: Bool = true) {
    perNode = gpusPerNode
    ranks = grid.rankCount
    // A last node with fewer ranks stays last.
    let whole = ranks / gpusPerNode
    let count = (ranks + gpusPerNode - 1) / gpusPerNode
    let replica = (0..<whole).map {
      keepsReplicas ? grid.coordinate(of: $0 * gpusPerNode).data : 0
    }
    let order = (0..<whole).sorted { (replica[$0], $0) < (replica[$1], $1) } + Array(whole..<count)
    nodes = order.map { UInt32($0) }
    places = Array(repeating: 0, count: count)
    for (place, node) in nodes.enumerated() { places[Int(node)] = UInt32(place) }
  }

  /// Bytes of both tables.
  var bytes: Int { nodes.allocatedBytes + places.allocatedBytes }

  /// The rank that a logical process is.
  func rank(of process: LogicalProcess) -> Int {
    Int(nodes[Int(process) / perNode]) * perNode + Int(process) % perNode
  }

  /// The logical process that a rank is.
  func logicalProcess(of rank: Int) -> LogicalProcess {
    places[rank / perNode] * UInt32(perNode) + UInt32(rank % perNode)
  }
}
