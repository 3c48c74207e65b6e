import Quantities

/// The links inside nodes: from GPU to GPU, and from GPUs to their cards.
///
/// Inside nodes capacities are in units of one GPU's link, as are the demands of messages there.
struct NodeLinks: Sendable {
  let kind: NodeFabric.Kind
  let gpus: Int
  /// The first link inside the first node, and links of a node.
  let first: Int
  let perNode: Int
  /// Link of the first PCIe link to cards, when those may block; from GPUs out, then in.
  let cardLinks: Int?
  let gpusPerCardLink: Int
  let cardLinksPerNode: Int
  let cardLinkCount: Int

  /// GPUs below one PCIe switch, and below one processor's switches: boards of eight with four switches.
  static let gpusPerSwitch = 2
  static let gpusPerSocket = 4

  /// Appends the links' capacities.
  init(_ cluster: Cluster, _ capacities: inout [Double]) {
    let node = cluster.node
    kind = node.kind
    gpus = cluster.gpusPerNode
    gpusPerCardLink = max(1, node.gpusPerCardLink)
    cardLinksPerNode = (gpus + gpusPerCardLink - 1) / gpusPerCardLink
    cardLinkCount = cluster.nodeCount * cardLinksPerNode
    let cards = node.cardLinkRate.map {
      $0.bytesPerSecond / cluster.interNode.rate.bytesPerSecond
    }
    // A link that all its cards cannot fill is never met.
    if let cards, cards < Double(gpusPerCardLink) {
      cardLinks = capacities.count
      capacities += Array(repeating: cards, count: 2 * cardLinkCount)
    } else {
      cardLinks = nil
    }
    first = capacities.count
    guard cluster.sharesNodeLinks else {
      perNode = 0
      return
    }
    var one: [Double]
    switch kind {
    // Of a torus only what a chip sends and is sent in all.
    case .switched, .torus: one = Array(repeating: 1, count: 2 * gpus)
    case .mesh:
      one = Array(repeating: 1 / Double(max(1, gpus - 1)), count: gpus * gpus)
    case .hybridCube:
      let count = gpus
      one = (0..<count * count).map {
        Double(Self.links($0 / count, $0 % count)) / Double(NodeFabric.cubeLinks)
      }
    case .pcie:
      // Out and in of every GPU, then of every switch, then of every processor.
      one = Array(repeating: 1, count: 2 * gpus)
      for (rate, size) in [
        (node.switchRate, Self.gpusPerSwitch), (node.socketRate, Self.gpusPerSocket),
      ] {
        let share = rate.map { $0.bytesPerSecond / cluster.intraNode.rate.bytesPerSecond }
        one += Array(repeating: share ?? 1, count: 2 * Self.parts(gpus, size))
      }
    }
    perNode = one.count
    capacities.reserveCapacity(capacities.count + perNode * cluster.nodeCount)
    for _ in 0..<cluster.nodeCount { capacities += one }
  }

  private static func parts(_ gpus: Int, _ size: Int) -> Int { (gpus + size - 1) / size }

  /// NVLinks between two GPUs of a DGX-1.
  private static func links(_ one: Int, _ other: Int) -> Int {
    one < 8 && other < 8 ? NodeFabric.cube[one][other] : 0
  }

  /// Appends the PCIe links from a GPU to the card it sends with, and from the other's card.
  ///
  /// After a fault the cards, numbered by their own GPUs, are others.
  func appendCardLinks(
    from source: Int, to destination: Int, cards: (out: Int, into: Int), perCard: Double,
    _ append: (_ link: Int, _ weight: Double) -> Void
  ) {
    func place(_ gpu: Int) -> Int { gpu / gpus * cardLinksPerNode + gpu % gpus / gpusPerCardLink }
    if let cardLinks {
      append(cardLinks + place(cards.out), 1)
      append(cardLinks + cardLinkCount + place(cards.into), 1)
    }
    if kind == .pcie, perNode > 0 {
      append(first + source / gpus * perNode + source % gpus, perCard)
      append(first + destination / gpus * perNode + gpus + destination % gpus, perCard)
    }
  }

  /// Appends the links from one GPU to another of its node.
  ///
  /// Where a group's traffic uses the links to all its other members alike, `peers` are the members in the
  /// node, the sender among them; otherwise it is empty.
  func append(
    from source: Int, to destination: Int, among peers: [Int],
    _ append: (_ link: Int, _ weight: Double) -> Void
  ) {
    let base = first + source / gpus * perNode
    let (from, to) = (source % gpus, destination % gpus)
    switch kind {
    case .switched, .torus:
      append(base + from, 1)
      append(base + gpus + to, 1)
    case .mesh:
      guard peers.count > 1 else { return append(base + from * gpus + to, 1) }
      for peer in peers where peer != source {
        append(base + from * gpus + peer % gpus, 1 / Double(peers.count - 1))
      }
    case .hybridCube:
      let all = peers.reduce(0) { $0 + Self.links(from, $1 % gpus) }
      guard all > 0 else { return appendCube(base, from, to, append) }
      for peer in peers where Self.links(from, peer % gpus) > 0 {
        append(
          base + from * gpus + peer % gpus, Double(Self.links(from, peer % gpus)) / Double(all))
      }
    case .pcie: appendTree(base, from, to, among: peers.map { $0 % gpus }, append)
    }
  }

  /// The link between two GPUs of a DGX-1, or over the first GPU that has links to both.
  private func appendCube(
    _ base: Int, _ from: Int, _ to: Int, _ append: (_ link: Int, _ weight: Double) -> Void
  ) {
    if Self.links(from, to) > 0 { return append(base + from * gpus + to, 1) }
    let middle = (0..<gpus).first { Self.links(from, $0) > 0 && Self.links($0, to) > 0 }
    guard let middle else { return }
    append(base + from * gpus + middle, 1)
    append(base + middle * gpus + to, 1)
  }

  private func appendTree(
    _ base: Int, _ from: Int, _ to: Int, among peers: [Int],
    _ append: (_ link: Int, _ weight: Double) -> Void
  ) {
    append(base + from, 1)
    append(base + gpus + to, 1)
    var start = base + 2 * gpus
    for size in [Self.gpusPerSwitch, Self.gpusPerSocket] {
      let count = Self.parts(gpus, size)
      /// The part of what a GPU sends, or is sent, that passes its switch or processor.
      func leaving(_ gpu: Int, _ other: Int) -> Double {
        guard peers.count > 1 else { return gpu / size == other / size ? 0 : 1 }
        return Double(peers.count { $0 / size != gpu / size }) / Double(peers.count - 1)
      }
      let (out, into) = (leaving(from, to), leaving(to, from))
      if out > 0 { append(start + from / size, out) }
      if into > 0 { append(start + count + to / size, into) }
      start += 2 * count
    }
  }
}

extension LinkGraph {
  /// Appends the links from one GPU to another of its node, where they are shared.
  ///
  /// - Parameters:
  ///   - source: GPU it leaves from.
  ///   - destination: GPU it goes to.
  ///   - peers: where a group's traffic uses the links to all its other members alike, the members in the
  ///     node, the sender among them; otherwise empty.
  ///   - hops: where links are appended; demands on them are in parts of one GPU's rate.
  public func appendNodeRoute(
    from source: Int, to destination: Int, among peers: [Int] = [], to hops: inout [Hop]
  ) {
    guard let node, node.perNode > 0 else { return }
    node.append(from: source, to: destination, among: peers) { link, weight in
      hops.append(Hop(link: Int32(link), weight: weight))
    }
  }
}
