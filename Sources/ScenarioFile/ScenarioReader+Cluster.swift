import Hardware
import Kernels
import Quantities
import Transformer

extension ScenarioReader {
  /// Reads the `cluster` mapping.
  func cluster(_ block: Block) -> Cluster? {
    let gpu = gpu(block)
    let count = block.required("gpus", "how many GPUs train").flatMap {
      block.integer($0, "gpus", in: Limit.gpus)
    }
    let perNode = block.integer("gpus_per_node", in: Limit.gpus)
    let intra = block.block("intra_node")
    let intraNode = link(intra, default: gpu?.scaleUp)
    intra.finish()
    let inter = block.block("inter_node")
    let interNode = link(inter, default: gpu?.scaleOut)
    let topology = inter.choice("topology", of: Topology.self)
    let oversubscription = inter.number("oversubscription", from: 1, to: 1_000)
    inter.finish()
    block.finish()
    guard let gpu, let count, let intraNode, let interNode else { return nil }
    return Cluster(
      gpu: gpu, gpuCount: count, gpusPerNode: perNode ?? gpu.scaleUpDomain, intraNode: intraNode,
      interNode: interNode, topology: topology ?? .railFatTree,
      oversubscription: oversubscription ?? 1)
  }

  /// A link with `bandwidth` and `latency`, each the GPU's usual one where it is not given.
  private func link(_ block: Block, default usual: Link?) -> Link? {
    let rate = block.quantity("bandwidth", of: ByteRate.self, in: 1...1e18)
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
      var gpu = named(like, "like", in: figures)
    else {
      return nil
    }
    gpu.name = figures.text("name") ?? "\(gpu.name), changed"
    if let memory = figures.quantity("memory", of: Bytes.self, in: 1...1e15) {
      gpu.memory = memory
    }
    if let rate = figures.quantity("memory_bandwidth", of: ByteRate.self, in: 1...1e18) {
      gpu.memoryRate = rate
    }
    if let count = figures.integer("multiprocessors", in: Limit.counts) {
      gpu.multiprocessors = count
    }
    if let power = figures.quantity("power", of: Watts.self, in: 1...1e6) { gpu.power = power }
    let peaks = figures.block("peak")
    for format in NumberFormat.allCases {
      if let rate = peaks.quantity(format.rawValue, of: FlopRate.self, in: 1...1e24) {
        gpu.peaks[format] = rate
      }
    }
    peaks.finish()
    figures.finish()
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
