import Quantities

/// The links between the nodes of a cluster and inside them, and the ways over them.
///
/// A directed graph whose links are numbered: cards out of the nodes, cards into them, what the
/// topology has above, then what nodes have inside, where that is shared. Capacities are in units of one
/// card's rate, so that a message that fills one card has a demand of 1. Switches do not block.
public struct LinkGraph: Sendable {
  /// A link that a message crosses.
  public struct Hop: Hashable, Sendable {
    /// Which one.
    public var link: Int32
    /// Cards whose traffic crosses it together.
    public var weight: Double

    /// A crossing of `link` by the traffic of `weight` cards.
    public init(link: Int32, weight: Double = 1) {
      self.link = link
      self.weight = weight
    }
  }

  /// What each link carries, in cards.
  public private(set) var capacities: [Double]

  let topology: Topology
  let routing: Routing
  let cards: Int
  let cardsPerNode: Int
  private let nodesPerLeaf: Int
  private let leavesPerPod: Int
  /// Card that serves each GPU; empty when each has its own.
  private var serving: [Int32] = []
  /// Parallel links of a leaf (or pod) upwards that are told apart.
  private var width = 1
  private var podWidth = 1
  private var leafCount = 0
  private var podCount = 0
  /// Dead links of each leaf; empty when there are none.
  private var deadUplinks: [Int32] = []
  let dimensions: [Int]
  /// What is inside nodes; `nil` where nothing there is shared.
  private(set) var node: NodeLinks?
  /// A card's rate in GPU links.
  private let cardPerLink: Double

  /// The links of a cluster.
  public init(_ cluster: Cluster) {
    let network = cluster.network
    topology = cluster.topology
    routing = network.routing
    cardsPerNode = cluster.gpusPerNode
    cards = cluster.nodeCount * cluster.gpusPerNode
    nodesPerLeaf = min(cluster.nodesPerLeaf, cluster.nodeCount)
    leavesPerPod = network.levels > 2 ? network.leavesPerPod : .max
    dimensions =
      topology == .torus ? Self.dimensions(network.dimensions, nodes: cluster.nodeCount) : []
    cardPerLink =
      cluster.interNode.rate.bytesPerSecond / cluster.intraNode.rate.bytesPerSecond
    capacities = Array(repeating: 1, count: 2 * cards)
    for slow in network.slowCards where slow.gpu < cards {
      capacities[slow.gpu] *= slow.fraction
      capacities[cards + slow.gpu] *= slow.fraction
    }
    replace(network.failedCards)
    let linkCards = network.linkRate.map {
      $0.bytesPerSecond / cluster.interNode.rate.bytesPerSecond
    }
    switch topology {
    case .singleSwitch: break
    case .railFatTree, .fatTree: addTree(cluster)
    case .dragonfly: addDragonfly(cluster, linkCards)
    case .torus:
      capacities += Array(
        repeating: linkCards ?? Double(cardsPerNode),
        count: cluster.nodeCount * dimensions.count * 2)
    }
    if cluster.sharesNodeLinks || cluster.node.cardLinkRate != nil {
      node = NodeLinks(cluster, &capacities)
    }
  }

  /// Lets the next working card of the node serve the GPUs of dead ones.
  private mutating func replace(_ failed: [Int]) {
    guard !failed.isEmpty else { return }
    var isDead = Array(repeating: false, count: cards)
    for card in failed where card < cards { isDead[card] = true }
    let perNode = cardsPerNode
    serving = (0..<cards).map { card in
      let node = card / perNode * perNode
      let working = (0..<perNode).map { node + (card - node + $0) % perNode }
        .first { !isDead[$0] }
      return Int32(working ?? card)
    }
    for card in 0..<cards where isDead[card] {
      // Where a whole node is cut off its cards are left, barely alive: nothing else ends the run.
      let isAlone = Int(serving[card]) == card
      capacities[card] = isAlone ? 1e-3 : 0
      capacities[cards + card] = capacities[card]
    }
  }

  // MARK: Trees

  private mutating func addTree(_ cluster: Cluster) {
    let network = cluster.network
    let rails = topology == .railFatTree ? cardsPerNode : 1
    leafCount = cluster.leafCount
    let nodeGroups = leafCount / rails
    let uplinks = cluster.uplinksPerLeaf
    width = routing == .adaptive ? 1 : max(1, Int(uplinks.rounded(.up)))
    deadUplinks = Self.counts(network.failedUplinks, among: leafCount)
    for _ in 0..<2 {
      for leaf in 0..<leafCount {
        let dead = deadUplinks.isEmpty ? 0 : Double(deadUplinks[leaf])
        // Adaptive routing sees one thick link; a leaf never loses its last one.
        let capacity =
          routing == .adaptive ? max(uplinks - dead, min(1, uplinks)) : uplinks / Double(width)
        capacities += Array(repeating: capacity, count: width)
      }
    }
    guard leavesPerPod < nodeGroups else { return }
    podCount = (nodeGroups + leavesPerPod - 1) / leavesPerPod
    let podUplinks =
      uplinks * Double(leavesPerPod * rails) / max(network.coreOversubscription, 1)
    podWidth = routing == .adaptive ? 1 : max(1, Int(podUplinks.rounded(.up)))
    capacities += Array(
      repeating: podUplinks / Double(podWidth), count: 2 * podCount * podWidth)
  }

  private static func counts(_ failed: [Network.FailedUplinks], among switches: Int) -> [Int32] {
    guard !failed.isEmpty else { return [] }
    var counts = Array(repeating: Int32(0), count: switches)
    for entry in failed where entry.leaf < switches { counts[entry.leaf] += Int32(entry.count) }
    return counts
  }

  /// The leaf switch of a card.
  func leaf(of card: Int) -> Int {
    let group = card / cardsPerNode / nodesPerLeaf
    return topology == .railFatTree ? group * cardsPerNode + card % cardsPerNode : group
  }

  private func appendTree(
    from source: Int, to destination: Int, flow: UInt64, _ weight: Double, _ hops: inout [Hop]
  ) {
    let below = leaf(of: source)
    let above = leaf(of: destination)
    guard below != above else { return }
    let base = 2 * cards
    let dead =
      deadUplinks.isEmpty ? 0 : Int(max(deadUplinks[below], deadUplinks[above]))
    let way = choice(source, destination, flow, among: width, without: dead)
    append(base + below * width + way, weight, &hops)
    append(base + (leafCount + above) * width + way, weight, &hops)
    guard podCount > 0 else { return }
    let rails = topology == .railFatTree ? cardsPerNode : 1
    let pod = below / rails / leavesPerPod
    let otherPod = above / rails / leavesPerPod
    guard pod != otherPod else { return }
    let podBase = base + 2 * leafCount * width
    let podWay = choice(source, destination, flow &+ 1, among: podWidth, without: 0)
    append(podBase + pod * podWidth + podWay, weight, &hops)
    append(podBase + (podCount + otherPod) * podWidth + podWay, weight, &hops)
  }

  /// One of several parallel links, the first few of which may be dead.
  private func choice(
    _ source: Int, _ destination: Int, _ flow: UInt64, among width: Int, without dead: Int
  ) -> Int {
    let alive = max(1, width - dead)
    let first = width - alive
    switch routing {
    case .adaptive: return 0
    case .deterministic:
      let place = topology == .railFatTree ? destination / cardsPerNode : destination
      return first + place % alive
    case .ecmp: return first + Int(Self.hash(source, destination, flow) % UInt64(alive))
    }
  }

  /// A hash of what tells flows apart (SplitMix64's finaliser, doi 10.1145/2660193.2660195).
  static func hash(_ source: Int, _ destination: Int, _ flow: UInt64) -> UInt64 {
    var mixed = UInt64(source) &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(destination)
    mixed = mixed &* 0xD1B5_4A32_D192_ED03 &+ flow
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  // MARK: Dragonfly

  private mutating func addDragonfly(_ cluster: Cluster, _ linkCards: Double?) {
    leafCount = cluster.leafCount
    let out = cluster.uplinksPerLeaf
    let each = linkCards ?? out / Double(max(1, leafCount - 1))
    let dead = Self.counts(cluster.network.failedUplinks, among: leafCount)
    for from in 0..<leafCount {
      for to in 0..<leafCount {
        // A group's dead links are spread over its neighbours.
        let lost = dead.isEmpty ? 0 : Double(max(dead[from], dead[to]))
        capacities.append(each * max(1 - lost / out, 1e-3))
      }
    }
  }

  private func appendDragonfly(
    from source: Int, to destination: Int, flow: UInt64, _ weight: Double, loads: [Double],
    _ hops: inout [Hop]
  ) {
    let group = source / cardsPerNode / nodesPerLeaf
    let other = destination / cardsPerNode / nodesPerLeaf
    guard group != other else { return }
    func link(_ from: Int, _ to: Int) -> Int { 2 * cards + from * leafCount + to }
    func use(_ link: Int) -> Double { (loads[link] + weight) / capacities[link] }
    let direct = link(group, other)
    if routing == .adaptive, leafCount > 2, use(direct) > 1 {
      // As UGAL (Kim et al., ISCA 2008): the minimal path unless a detour over one of a few groups
      // is less loaded even at twice the links.
      let detours = (0..<2).map { attempt -> Int in
        var middle =
          Int(Self.hash(source, destination, flow &+ UInt64(attempt)) % UInt64(leafCount - 2))
        if middle >= min(group, other) { middle += 1 }
        if middle >= max(group, other) { middle += 1 }
        return middle
      }
      var best = direct
      var least = use(direct)
      for middle in detours {
        let load = max(use(link(group, middle)), use(link(middle, other)))
        if 2 * load < least {
          least = 2 * load
          best = middle
        }
      }
      if best != direct {
        append(link(group, best), weight, &hops)
        append(link(best, other), weight, &hops)
        return
      }
    }
    append(direct, weight, &hops)
  }

  // MARK: Torus

  /// Nodes along each axis: as given, or three factors as equal as possible, the largest first.
  static func dimensions(_ given: [Int], nodes: Int) -> [Int] {
    guard given.isEmpty else { return given }
    var best = [nodes, 1, 1]
    for small in 1...max(1, nodes) where small * small * small <= nodes {
      guard nodes.isMultiple(of: small) else { continue }
      let rest = nodes / small
      for middle in small...max(small, rest) where middle * middle <= rest {
        if rest.isMultiple(of: middle), rest / middle < best[0] || best[0] == rest / middle {
          best = [rest / middle, middle, small]
        }
      }
    }
    return best.filter { $0 > 1 }
  }

  private func appendTorus(
    from source: Int, to destination: Int, flow: UInt64, _ weight: Double, loads: [Double],
    _ hops: inout [Hop]
  ) {
    let isHashed = routing == .ecmp && Self.hash(source, destination, flow) & 1 == 1
    var way: [Int] = []
    walk(from: source, to: destination, descending: isHashed, &way)
    if routing == .adaptive {
      // The less loaded of two orders of the axes.
      var other: [Int] = []
      walk(from: source, to: destination, descending: true, &other)
      func worst(_ way: [Int]) -> Double { way.reduce(0) { max($0, loads[$1]) } }
      if worst(other) < worst(way) { way = other }
    }
    for link in way { append(link, weight, &hops) }
  }

  /// Axis after axis, the shorter way round each.
  private func walk(
    from source: Int, to destination: Int, descending: Bool, _ way: inout [Int]
  ) {
    var node = source / cardsPerNode
    let goal = destination / cardsPerNode
    for turn in dimensions.indices {
      let axis = descending ? dimensions.count - 1 - turn : turn
      let length = dimensions[axis]
      let stride = dimensions[..<axis].reduce(1, *)
      let away = (goal / stride % length - node / stride % length + length) % length
      let isForward = 2 * away <= length
      for _ in 0..<(isForward ? away : length - away) {
        let place = node / stride % length
        way.append(2 * cards + (node * dimensions.count + axis) * 2 + (isForward ? 0 : 1))
        let next = isForward ? (place + 1) % length : (place + length - 1) % length
        node += (next - place) * stride
      }
    }
  }

  // MARK: Routes

  /// Appends the links from one GPU's card to another's.
  ///
  /// - Parameters:
  ///   - source: GPU it leaves from.
  ///   - destination: GPU it goes to, in another node.
  ///   - flow: what tells flows of the same pair apart, for hashing.
  ///   - loads: present load of each link, in cards, for adaptive routing.
  ///   - hops: where links are appended; a link that is there already above the cards grows heavier.
  ///   - staysBelow: whether a switch takes the message up into a sum, so that nothing of it is met above.
  /// - Complexity: O(links of the route).
  public func appendRoute(
    from source: Int, to destination: Int, flow: UInt64, loads: [Double], to hops: inout [Hop],
    staysBelow: Bool = false
  ) {
    let out = serving.isEmpty ? source : Int(serving[source])
    let into = serving.isEmpty ? destination : Int(serving[destination])
    if serving.isEmpty {
      hops.append(Hop(link: Int32(out), weight: 1))
      hops.append(Hop(link: Int32(cards + into), weight: 1))
    } else {
      append(out, 1, &hops)
      append(cards + into, 1, &hops)
    }
    node?.appendCardLinks(
      from: source, to: destination, cards: (out, into), perCard: cardPerLink
    ) { append($0, $1, &hops) }
    guard !staysBelow else { return }
    switch topology {
    case .singleSwitch: break
    case .railFatTree, .fatTree:
      appendTree(from: out, to: into, flow: flow, 1, &hops)
    case .dragonfly:
      appendDragonfly(from: out, to: into, flow: flow, 1, loads: loads, &hops)
    case .torus: appendTorus(from: out, to: into, flow: flow, 1, loads: loads, &hops)
    }
  }

  private func append(_ link: Int, _ weight: Double, _ hops: inout [Hop]) {
    let link = Int32(link)
    for index in hops.indices.reversed() where hops[index].link == link {
      hops[index].weight += weight
      return
    }
    hops.append(Hop(link: link, weight: weight))
  }
}
