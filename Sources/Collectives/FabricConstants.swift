import Hardware
import Quantities

/// One line of the model of a transfer protocol: time = base + steps × step + bytes / rate.
///
/// Rates are fractions of the data-sheet rate of the link, so that the same constants serve a part
/// with more or fewer lanes.
struct ProtocolLine: Hashable, Sendable {
  /// Seconds from the call to the first message.
  var base: Double
  /// Seconds of each dependent step beyond its bytes.
  var step: Double
  /// Fraction of the link's rate with additions on the way (all-reduce, reduce).
  var reduceFraction: Double
  /// Fraction of the link's rate when bytes are only moved or reduced once.
  ///
  /// All-gather, reduce-scatter, broadcast, all-to-all.
  var moveFraction: Double

  /// A line from microseconds and fractions.
  init(_ base: Double, _ step: Double, _ reduceFraction: Double, _ moveFraction: Double) {
    self.base = base * 1e-6
    self.step = step * 1e-6
    self.reduceFraction = reduceFraction
    self.moveFraction = moveFraction
  }
}

/// The lines of the three protocols; the library takes the fastest.
///
/// A protocol that is never the fastest on a kind has none.
struct ProtocolLines: Hashable, Sendable {
  var lowLatency: ProtocolLine
  var lowLatency128: ProtocolLine?
  var simple: ProtocolLine
  /// Steps that the local copy of the own part costs, in all-reduce.
  var reduceCopy: Double
  /// The same in the operations that only move.
  var moveCopy: Double
  /// Fraction of the rate left when 3–4 ranks share the host's bridges.
  var sharing4 = 1.0
  /// The same for 5 or more.
  var sharing8 = 1.0

  subscript(_ transfer: TransferProtocol) -> ProtocolLine? {
    switch transfer {
    case .lowLatency: lowLatency
    case .lowLatency128: lowLatency128
    case .simple: simple
    }
  }

  func sharing(_ ranks: Int) -> Double { ranks <= 2 ? 1 : ranks <= 4 ? sharing4 : sharing8 }
}

/// What a scale-up switch that adds reaches; time = base + bytes × (1 + 1/ranks) / rate.
///
/// Each rank sends its whole buffer to the switch and multicasts its share of the sum: bytes ×
/// (1 + 1/n) leave each rank. With one rate for 6, 7 and 8 GPUs that gives bus bandwidths of 434,
/// 456 and 473 GB/s; measured 436, 460 and 473 (H200, 8 GiB, NVLS on; stas00/ml-engineering,
/// network/README.md).
struct SwitchLines: Hashable, Sendable {
  var smallBase: Double
  var smallFraction: Double
  var largeBase: Double
  var largeFraction: Double
}

/// Constants of one kind of scale-up fabric.
///
/// Fitted by `scripts/fit-collectives/fit.py` on nccl-tests tables of 2, 4 and 8 GPUs, 512 B to
/// 512 MiB (ai-dynamo/aiconfigurator 095f58a, NCCL 2.27.3 and 2.29.2), with the steps of LL128 and
/// Simple taken from NCCL's tuner (`src/graph/tuning.cc` at 5067397: 1.9 and 3.4 µs on NVLink) and
/// asymptotic rates not above the bus bandwidths NVIDIA states (GTC24 S62129, GTC25 S72583: 235,
/// 370, 700 GB/s for A100, H100, B200). The ring lines of the PCIe kinds come from the same fit with
/// the steps left free, only bounded below; a line below the others on stray sizes only is left out.
struct FabricConstants: Hashable, Sendable {
  var ring: ProtocolLines
  var direct: ProtocolLines
  var inNetwork: SwitchLines?
  /// Fraction of the link's rate one point-to-point copy reaches.
  var pointToPointFraction: Double
  /// Latency of the link the fit was made on; other latencies move the steps by the difference.
  var linkLatency: Double

  /// NVLink 3 and NVSwitch: A100-SXM, 300 GB/s per direction.
  ///
  /// Point to point: the fraction of NVLink 4 and 5 (0.83), no NVSwitch measurement at hand; a pair
  /// joined by 4 direct links reaches 0.93 (Perlmutter, DebarghaG/estimate-train-time, send_recv).
  static let ampere = FabricConstants(
    ring: ProtocolLines(
      lowLatency: ProtocolLine(8.96, 0.90, 0.347, 0.249),
      lowLatency128: ProtocolLine(22.94, 1.90, 0.602, 0.588),
      simple: ProtocolLine(41.92, 3.40, 0.773, 0.750), reduceCopy: 0.4, moveCopy: 0.4),
    direct: ProtocolLines(
      lowLatency: ProtocolLine(11.71, 0.25, 0.256, 0.256),
      lowLatency128: ProtocolLine(19.33, 1.35, 0.658, 0.658),
      simple: ProtocolLine(12.15, 23.36, 0.860, 0.860), reduceCopy: 0.6, moveCopy: 0.6),
    inNetwork: nil, pointToPointFraction: 0.83, linkLatency: 1e-6)

  /// NVLink 4 and NVSwitch: H100-SXM, 450 GB/s per direction.
  ///
  /// Point to point: 376 GB/s of 450 (stas00/ml-engineering, network/README.md).
  static let hopper = FabricConstants(
    ring: ProtocolLines(
      lowLatency: ProtocolLine(5.07, 0.79, 0.385, 0.361),
      lowLatency128: ProtocolLine(14.17, 1.90, 0.822, 0.765),
      simple: ProtocolLine(22.53, 3.40, 0.822, 0.822), reduceCopy: 0.5, moveCopy: 0.5),
    direct: ProtocolLines(
      lowLatency: ProtocolLine(6.42, 0.11, 0.040, 0.040),
      lowLatency128: ProtocolLine(12.22, 0.00, 0.585, 0.585),
      simple: ProtocolLine(18.11, 3.73, 0.752, 0.752), reduceCopy: 0.2, moveCopy: 0.2),
    inNetwork: SwitchLines(
      smallBase: 18.01e-6, smallFraction: 0.335, largeBase: 59.18e-6, largeFraction: 0.647),
    pointToPointFraction: 0.836, linkLatency: 1e-6)

  /// NVLink 5 and NVSwitch: B200, 900 GB/s per direction.
  ///
  /// Point to point: 746 GB/s of 900 (GB200, stas00/ml-engineering, network/README.md).
  static let blackwell = FabricConstants(
    ring: ProtocolLines(
      lowLatency: ProtocolLine(8.39, 1.24, 0.380, 0.312), lowLatency128: nil,
      simple: ProtocolLine(17.08, 3.40, 0.778, 0.735), reduceCopy: 0.6, moveCopy: 0.4),
    direct: ProtocolLines(
      lowLatency: ProtocolLine(9.30, 0.21, 0.026, 0.026),
      lowLatency128: ProtocolLine(15.11, 0.37, 0.565, 0.565),
      simple: ProtocolLine(11.99, 3.42, 0.736, 0.736), reduceCopy: 1, moveCopy: 1),
    inNetwork: SwitchLines(
      smallBase: 25.58e-6, smallFraction: 0.288, largeBase: 126.01e-6, largeFraction: 0.565),
    pointToPointFraction: 0.829, linkLatency: 1e-6)

  /// PCIe 4 ×16 through the host's bridges: L40S, 32 GB/s per direction.
  static let pcie4 = FabricConstants(
    ring: ProtocolLines(
      lowLatency: ProtocolLine(4.88, 1.07, 0.506, 0.409), lowLatency128: nil,
      simple: ProtocolLine(11.05, 5.69, 0.665, 0.653), reduceCopy: 0.1, moveCopy: 0.1,
      sharing4: 0.25, sharing8: 0.07),
    direct: ProtocolLines(
      lowLatency: ProtocolLine(8.84, 0, 0.392, 0.392), lowLatency128: nil,
      simple: ProtocolLine(18.30, 2.07, 0.716, 0.716), reduceCopy: 0, moveCopy: 0,
      sharing4: 0.2, sharing8: 0.05),
    inNetwork: nil, pointToPointFraction: 0.653, linkLatency: 2e-6)

  /// PCIe 5 ×16: RTX PRO 6000 Blackwell Server, 64 GB/s per direction.
  static let pcie5 = FabricConstants(
    ring: ProtocolLines(
      lowLatency: ProtocolLine(4.31, 1.48, 0.701, 0.635), lowLatency128: nil,
      simple: ProtocolLine(16.34, 2.31, 1.257, 1.403), reduceCopy: 1.5, moveCopy: 1.5,
      sharing4: 0.4, sharing8: 0.3),
    direct: ProtocolLines(
      lowLatency: ProtocolLine(5.91, 0.50, 0.218, 0.218),
      lowLatency128: ProtocolLine(6.52, 1.89, 0.976, 0.976),
      simple: ProtocolLine(30.57, 8.13, 1.126, 1.126), reduceCopy: 1.5, moveCopy: 1.5,
      sharing4: 0.5, sharing8: 0.3),
    inNetwork: nil, pointToPointFraction: 0.6, linkLatency: 2e-6)

  /// Constants of the measured kind nearest to a GPU of that catalogue name.
  ///
  /// V100 (NVLink 2) and MI250X follow the A100; H200, H800, H20 and GH200 the H100; B300, GB200 and GB300
  /// the B200; boards on PCIe (L20, L4, A40, A10G, GeForce and RTX, among them the RTX A6000, and those of A100,
  /// H100 and H200) the RTX PRO's fractions of their link, since the L40S were measured in a host whose bridges
  /// let an unusual little through; Instinct, TPU and Gaudi the H100 without additions in the switch, Instinct at
  /// the 313 of 448 GB/s that an all-reduce of 8 MI300X reaches (stas00/ml-engineering, network/README.md).
  static func nearest(to name: String) -> FabricConstants {
    func isOne(of prefixes: String...) -> Bool { prefixes.contains { name.hasPrefix($0) } }
    if isOne(of: "b200", "b300", "gb") { return blackwell }
    if isOne(of: "l40") { return pcie4 }
    let isBoard = isOne(
      of: "rtx", "l4", "l20", "a10g", "a40", "a100-pcie", "h100-pcie", "h100-nvl", "h200-nvl")
    if isBoard { return pcie5 }
    if isOne(of: "a100", "a800", "v100", "mi250") { return ampere }
    var constants = hopper
    if isOne(of: "h100", "h200", "h800", "h20") { return constants }
    // Also GH200, whose four on a board have no switch between them.
    constants.inNetwork = nil
    if isOne(of: "mi3") {
      constants.ring.lowLatency128?.reduceFraction = 0.698
      constants.ring.lowLatency128?.moveFraction = 0.698
      constants.ring.simple.reduceFraction = 0.698
      constants.ring.simple.moveFraction = 0.698
    }
    return constants
  }
}

extension FabricConstants {
  /// The constants in a node whose PCIe bridges let another rate through than where they were measured.
  ///
  /// What is left when ranks share them goes with it.
  func bridged(in cluster: Cluster) -> Self {
    let usual = NodeFabric.usual(of: cluster.gpu, gpusPerNode: cluster.gpusPerNode)
    guard cluster.node.kind == .pcie, usual.kind == .pcie else { return self }
    func share(_ rate: ByteRate?, _ usual: ByteRate?) -> Double {
      let link = cluster.intraNode.rate
      return (rate ?? link).bytesPerSecond / (usual ?? link).bytesPerSecond
    }
    let (above, across) = (
      share(cluster.node.switchRate, usual.switchRate),
      share(cluster.node.socketRate, usual.socketRate)
    )
    guard above != 1 || across != 1 else { return self }
    var changed = self
    for lines in [\FabricConstants.ring, \FabricConstants.direct] {
      let four = min(1, self[keyPath: lines].sharing4 * above)
      changed[keyPath: lines].sharing4 = four
      changed[keyPath: lines].sharing8 = min(four, self[keyPath: lines].sharing8 * across)
    }
    return changed
  }
}

/// Constants of the network between nodes, by protocol.
struct NetworkConstants: Hashable, Sendable {
  /// Seconds a step between nodes costs beyond the link's latency.
  ///
  /// NCCL's tuner has 2.7, 4.0 and 14 µs for LL, LL128 and Simple (`hwLat`, net ring); its LL step is
  /// taken for the bare link.
  /// Under Simple, NVLSTree has 20.9, additions in the network 18 (with NVLS inside), 31 (direct) and 30
  /// (chain), there and back.
  static func step(_ transfer: TransferProtocol, of algorithm: CollectiveAlgorithm) -> Double {
    switch algorithm {
    case .nvlsTree: return 18.2e-6
    case .inNetwork: return 15.3e-6
    case .collNetDirect: return 28.3e-6
    case .collNetChain: return 27.3e-6
    default: break
    }
    return switch transfer {
    case .lowLatency: 0
    case .lowLatency128: 1.3e-6
    case .simple: 11.3e-6
    }
  }

  /// Seconds a step inside nodes costs before and after additions in the network.
  ///
  /// Of a chain each link, of sends from all at once one, and something for each further sender (NCCL's tuner:
  /// `hwLat` 2.8, 3.7 and `0.4` µs).
  static let chainStep = 2.8e-6
  static let directStep = 3.7e-6
  static let directArity = 0.4e-6

  /// Most bytes a second LL carries between nodes, all of a node's cards together.
  ///
  /// LL's buffers lie in host memory, so that the processor's bridges bound it: NCCL's tuner has 39 and
  /// 20.4 GB/s on two and on more nodes with Intel's, 22.5 and 19 with AMD's (`llMaxBws`). DGX A100
  /// has AMD's (its data sheet), nodes of H100 and B200 and of V100 Intel's (DGX H100, B200, DGX-1
  /// data sheets).
  static func lowLatencyRate(_ gpu: String, nodes: Int) -> Double {
    if gpu.hasPrefix("a100") || gpu.hasPrefix("mi") { return nodes <= 2 ? 22.5e9 : 19e9 }
    return nodes <= 2 ? 39e9 : 20.4e9
  }

  /// Fraction of the NIC's rate that payload reaches.
  ///
  /// Simple: 24 of 25 GB/s and 48 of 50 (single NIC), 192 of 200 and 370–380 of 400 (DGX A100, DGX
  /// H100), NVIDIA GTC24 S62129; 94 of 100 (4 nodes, stas00/ml-engineering). LL carries 4 bytes of
  /// payload in 8, LL128 120 in 128.
  static func fraction(_ transfer: TransferProtocol) -> Double {
    switch transfer {
    case .lowLatency: 0.95 / 2
    case .lowLatency128: 0.95 * 120 / 128
    case .simple: 0.95
    }
  }

  /// How many times longer the steps of a ring all-reduce over several nodes take under Simple.
  ///
  /// From 64 bytes a channel and rank on (NCCL's tuner, "plateau effect": 1.4, before Ampere 1.9).
  static func ringPlateau(_ gpu: String) -> Double { gpu.hasPrefix("v100") ? 1.9 : 1.4 }

  /// Fraction of a ring's rate between nodes that a tree reaches.
  ///
  /// NCCL's tuner takes 0.92 for a tree all-reduce (`tuning.cc`); its further 0.85 is for the plain
  /// tree pattern, where one GPU of a node does all of a channel's traffic with other nodes.
  static let treeFraction = 0.92
}
