import Hardware
import Kernels
import Quantities
import Transformer

extension ScenarioReader {
  /// Reads the `cluster` mapping.
  ///
  /// What it does not say comes from the design it is `like`, or else from the GPU's usual node.
  ///
  /// - Parameters:
  ///   - block: the mapping.
  ///   - needsCount: whether the number of GPUs must be given; a node's without it.
  /// - Returns: the cluster, or `nil` when too little of it could be read; the log says why.
  func cluster(_ block: Block, needsCount: Bool = true) -> Cluster? {
    let design = design(block)
    let like = block.has("like")
    let gpu = block.has("gpu") || !like ? gpu(block) : design?.gpu
    let countNode =
      needsCount ? block.required("gpus", "how many GPUs train") : block.node("gpus")
    let count = countNode.flatMap { block.integer($0, "gpus", in: Limit.gpus) }
    let perNode = block.integer("gpus_per_node", in: Limit.gpus)
    let intra = block.block("intra_node")
    let intraNode = link(intra, default: design?.intraNode ?? gpu?.scaleUp)
    let usualNode =
      design?.node
      ?? gpu.map { .usual(of: $0, gpusPerNode: perNode ?? design?.gpusPerNode ?? $0.scaleUpDomain) }
    let fabric = node(intra, default: usualNode)
    intra.finish()
    let inter = block.block("inter_node")
    let interNode = link(inter, default: design?.interNode ?? gpu?.scaleOut)
    let topology = inter.choice("topology", of: Topology.self)
    let oversubscription = inter.number("oversubscription", from: 1, to: 1_000)
    let network = network(inter, default: design?.network ?? Network(), gpus: count)
    inter.finish()
    block.finish()
    guard let gpu, let intraNode, let interNode, count != nil || !needsCount else { return nil }
    let node = perNode ?? design?.gpusPerNode ?? gpu.scaleUpDomain
    let cluster = Cluster(
      gpu: gpu, gpuCount: count ?? design?.gpuCount ?? node, gpusPerNode: node,
      intraNode: intraNode, interNode: interNode,
      topology: topology ?? design?.topology ?? .railFatTree,
      oversubscription: oversubscription ?? design?.oversubscription ?? 1, network: network,
      node: fabric)
    check(cluster, inter)
    let isPlain = cluster.network == Network() && !cluster.sharesNetworkLinks
    if needsCount, cluster.nodeCount == 1, !isPlain {
      block.warn("inter_node", "has no effect: \(cluster.gpuCount) GPUs are one node")
    }
    checkNode(cluster, intra)
    return cluster
  }

  /// The cluster that `like` names: a catalogue name, or a file with the keys of `cluster`.
  private func design(_ block: Block) -> Cluster? {
    guard let name = block.text("like") else { return nil }
    if let design = ClusterDesign.named(name) { return design.node }
    guard Self.isFileName(name) else {
      let names = ClusterDesign.catalogue.map(\.name)
      let hint =
        nearest(to: name, among: names).map { "did you mean '\($0)'?" }
        ?? "the catalogue has \(names.joined(separator: ", "))"
      block.report("like", "'\(name)' is not in the catalogue; \(hint)")
      return nil
    }
    guard let text = clusterFile?.text else {
      block.report("like", "there is no file '\(name)' beside the scenario")
      return nil
    }
    do throws(ScenarioError) {
      let root = try SourceNode.reading(yaml: text, file: name)
      let start = SourcePosition(file: name, line: 1, column: 1)
      let inner = Block(root?["cluster"] ?? root, path: "cluster", at: start, log: log)
      if inner.has("like"), inner.text("like").map(Self.isFileName) == true {
        inner.report("like", "a cluster file can only be like a design of the catalogue")
        return nil
      }
      return cluster(inner, needsCount: false)
    } catch {
      if case .wrong(let diagnostics) = error {
        for found in diagnostics { log.add(found.position, found.keyPath, found.message) }
      }
      return nil
    }
  }

  /// A link with `bandwidth` and `latency`, each the GPU's usual one where it is not given.
  private func link(_ block: Block, default usual: Link?) -> Link? {
    let rate = block.quantity("bandwidth", of: ByteRate.self, in: Limit.linkRate)
    let latency = block.quantity("latency", of: Seconds.self, in: 0...1)
    guard let usual else { return nil }
    return Link(
      rate: rate ?? usual.rate,
      latency: latency.map { SimDuration(seconds: $0.value) } ?? usual.latency)
  }

  /// The GPU: a catalogue name, or figures on top of a catalogue GPU's.
  private func gpu(_ block: Block) -> GPU? {
    guard let node = block.required("gpu", "which GPU, for example h100-sxm-80gb") else {
      return nil
    }
    guard case .mapping = node.content else { return named(node, "gpu", in: block) }
    let figures = block.block("gpu")
    guard let like = figures.required("like", "the catalogue's GPU it is closest to"),
      let base = named(like, "like", in: figures)
    else {
      return nil
    }
    var gpu = base
    gpu.name = figures.text("name") ?? "\(gpu.name), changed"
    if gpu.name.allSatisfy(\.isWhitespace) {
      figures.report("name", "is empty; leave it out or say what the GPU is called")
    }
    if let memory = figures.quantity("memory", of: Bytes.self, in: 1...1e15) {
      gpu.memory = memory
    }
    if let rate = figures.quantity("memory_bandwidth", of: ByteRate.self, in: 1...1e18) {
      gpu.memoryRate = rate
    }
    if let count = figures.integer("multiprocessors", in: Limit.counts) {
      gpu.multiprocessors = count
    }
    if let power = figures.quantity("power", of: Watts.self, in: 1...1e6) {
      gpu.power = power
    }
    let peaks = figures.block("peak")
    for format in NumberFormat.allCases {
      if let rate = peaks.quantity(format.rawValue, of: FlopRate.self, in: 1...1e24) {
        gpu.peaks[format] = rate
      }
    }
    peaks.finish()
    figures.finish()
    gpu.kernels = gpu.kernels(limitedAsPartOf: base)
    return gpu
  }

  private func named(_ node: SourceNode, _ key: String, in block: Block) -> GPU? {
    guard case .scalar(let name, _) = node.content else {
      block.report(key, "\(node.described) is not the name of a GPU")
      return nil
    }
    if let gpu = GPU.named(name) { return gpu }
    let names = GPU.catalogue.map(\.name)
    let hint =
      nearest(to: name, among: names).map { "did you mean '\($0)'?" }
      ?? "the catalogue has \(names.joined(separator: ", "))"
    block.report(key, "'\(name)' is not in the catalogue; \(hint)")
    return nil
  }
}
