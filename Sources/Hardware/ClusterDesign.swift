import Quantities

/// A kind of node and how such nodes are usually joined, known by name.
public struct ClusterDesign: Hashable, Sendable {
  /// Catalogue name, for example `dgx-h100`.
  public var name: String
  /// One node (or NVL72 rack) of it.
  public var node: Cluster
  /// Where its figures come from; those of the GPU are in ``GPU/sources``.
  public var source: String

  /// A cluster of that design with `gpus` GPUs.
  public func cluster(gpus: Int) -> Cluster {
    var cluster = node
    cluster.gpuCount = gpus
    return cluster
  }
}

extension ClusterDesign {
  /// Latency of a message over AWS EFA, in microseconds.
  ///
  /// Read off the 95th percentile of all-gathers and reduce-scatters of 256 MB on 4 to 64 nodes of 8
  /// H100 (Ultra-Scale Playbook, vinjn/nanotron-ultrascale-playbook 924e4d0); all-reduces of 4 nodes of
  /// 8 B200 on EFA v4 (stas00/ml-engineering 744d01e), not used for it, agree to 6 % in the median.
  private static let efa = 65.0

  /// Every design the catalogue names.
  ///
  /// Rates out of the node are those of its network cards, shared evenly by its GPUs; latencies,
  /// which providers do not state, are InfiniBand's but where measured ones are at hand (``efa``). Slingshot's
  /// dragonfly, routed adaptively, is taken as a tree that does not block.
  public static let catalogue: [ClusterDesign] = [
    design("dgx-a100", "a100-sxm-80gb", gigabits: 200, "8 × 200 Gb/s a node, NVIDIA GTC24 S62129"),
    design("dgx-h100", "h100-sxm-80gb", gigabits: 400, "8 × 400 Gb/s a node, NVIDIA GTC24 S62129"),
    design(
      "hgx-h200", "h200-sxm-141gb", gigabits: 400,
      "8 × 400 Gb/s a node, as DGX H100 (NVIDIA GTC24 S62129)"),
    design(
      "dgx-b200", "b200-sxm", gigabits: 400, "8 × 400 Gb/s a node, NVIDIA DGX B200 data sheet"),
    design("dgx-b300", "b300-sxm", gigabits: 800, "8 × 800 Gb/s a node, \(interNodeTable)"),
    design(
      "gb200-nvl72", "gb200", gigabits: 400,
      "72 GPUs in one NVLink domain, 400 Gb/s a GPU, NVIDIA GB200 NVL72 data sheet"),
    design(
      "gb300-nvl72", "gb300", gigabits: 800,
      "72 GPUs in one NVLink domain, 800 Gb/s a GPU, NVIDIA GB300 NVL72 data sheet"),
    design(
      "mi300x-platform", "mi300x", gigabits: 400,
      "8 GPUs, one 400 Gb/s port each, AMD Instinct MI300X platform data sheet"),
    design(
      "aws-p4d", "a100-sxm-40gb", gigabits: 50, microseconds: efa,
      "EFA v1, 4 × 100 Gb/s a node, \(interNodeTable)"),
    design(
      "aws-p5", "h100-sxm-80gb", gigabits: 400, microseconds: efa,
      "EFA v2, 32 × 100 Gb/s a node, \(interNodeTable)"),
    design(
      "aws-p5en", "h200-sxm-141gb", gigabits: 400, microseconds: efa,
      "EFA v3, 16 × 200 Gb/s a node, \(interNodeTable)"
    ),
    design(
      "aws-p6-b200", "b200-sxm", gigabits: 400, microseconds: efa,
      "EFA v4, 8 × 400 Gb/s a node, \(interNodeTable)"),
    tcp(
      "gcp-a3-high", "h100-sxm-80gb", gigabits: 100, "TCPX, 4 × 200 Gb/s a node, \(interNodeTable)"),
    tcp(
      "gcp-a3-mega", "h100-sxm-80gb", gigabits: 200, microseconds: 55,
      "TCPXO, 8 × 200 Gb/s a node, \(interNodeTable); latency fitted on one nccl-tests log of 16 "
        + "GPUs (lessizzmore/create-a3mega-ztan-fork 02dd8f4)"),
    design(
      "frontier", "mi250x", gigabits: 100,
      "4 × 200 Gb/s Slingshot for 8 dies a node, OLCF, Frontier User Guide"),
    design(
      "lumi", "mi250x", gigabits: 100,
      "4 × 200 Gb/s Slingshot-11 for 8 dies a node, lumi-supercomputer.eu, scaling of models above 100B"
    ),
    design(
      "perlmutter", "a100-sxm-40gb", gigabits: 200, perNode: 4,
      "4 A100, 4 × 200 Gb/s Slingshot 11 a node, NERSC, Perlmutter Architecture"),
    design(
      "juwels-booster", "a100-sxm-40gb", gigabits: 200, perNode: 4,
      "4 A100, 4 × 200 Gb/s InfiniBand a node, JSC, JUWELS Booster Overview"),
    design(
      "alps", "gh200-96gb", gigabits: 200,
      "4 GH200, 4 × 200 Gb/s Slingshot 11 a node, CSCS, Alps Hardware"),
    design(
      "jupiter", "gh200-96gb", gigabits: 200,
      "4 GH200, 4 × 200 Gb/s InfiniBand a node, JSC, JUPITER configuration"),
  ].compactMap(\.self)

  /// The catalogue's design of that name, or a GPU's usual node under the GPU's name.
  public static func named(_ name: String) -> ClusterDesign? {
    catalogue.first { $0.name == name }
      ?? GPU.named(name).map { gpu in
        ClusterDesign(name: name, node: usualNode(of: gpu), source: "the GPU's usual node")
      }
  }

  private static let interNodeTable =
    "inter-node table of stas00/ml-engineering 744d01e, network/README.md"

  /// A design of `gpu`'s usual nodes with that rate out of the node per GPU.
  private static func design(
    _ name: String, _ gpu: String, gigabits: Double, microseconds: Double? = nil,
    perNode: Int? = nil, _ source: String
  ) -> ClusterDesign? {
    GPU.named(gpu).map { gpu in
      var node = usualNode(of: gpu, gpus: perNode)
      node.interNode.rate = .gigabitsPerSecond(gigabits)
      if let microseconds { node.interNode.latency = SimDuration(seconds: microseconds * 1e-6) }
      return ClusterDesign(name: name, node: node, source: source)
    }
  }

  /// The same over GPUDirect-TCPX or TCPXO.
  ///
  /// Their receive buffers are filled by copies: no LL128 by default, and NVLS is switched off (Google's
  /// environment for the plugin, as in allenai/OLMo-core's launcher: `NCCL_NVLS_ENABLE=0`, and LL128 only with
  /// a configuration of its own, `a3plus_tuner_config_ll128.textproto`).
  private static func tcp(
    _ name: String, _ gpu: String, gigabits: Double, microseconds: Double? = nil, _ source: String
  ) -> ClusterDesign? {
    var design = design(name, gpu, gigabits: gigabits, microseconds: microseconds, source)
    design?.node.network.allowsLL128 = false
    design?.node.node.adds = false
    return design
  }

  private static func usualNode(of gpu: GPU, gpus: Int? = nil) -> Cluster {
    Cluster(
      gpu: gpu, gpuCount: gpus ?? gpu.scaleUpDomain, gpusPerNode: gpus ?? gpu.scaleUpDomain,
      intraNode: gpu.scaleUp, interNode: gpu.scaleOut)
  }
}
