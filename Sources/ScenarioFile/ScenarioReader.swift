import Hardware
import Kernels
import Layout
import RunForecast
import StepProgram
import Transformer

/// Reads the keys of a scenario, one mapping after the other, into the shared types.
///
/// Whatever is wrong goes to the log and is replaced by a default, so one reading reports every
/// mistake; what depends on several keys is checked when those keys were read without one.
struct ScenarioReader {
  let log: DiagnosticLog
  let file: String
  let modelFile: ScenarioSource.NamedFile?
  let clusterFile: ScenarioSource.NamedFile?
  /// The release of NeMo where the scenario says none.
  var usualRelease: FrameworkRelease?
  /// Whether `deterministic` holds where the scenario does not say.
  var isUsuallyDeterministic = false

  /// Whether the name of a model or cluster is that of a file.
  static func isFileName(_ name: String) -> Bool {
    name.contains("/") || [".json", ".yaml", ".yml"].contains { name.hasSuffix($0) }
  }

  /// Counts no scenario exceeds; keeps every product of them within 64 bits.
  enum Limit {
    /// GPUs and degrees.
    static let gpus = 1...16_777_216
    /// Sequences in a batch, tokens in a sequence, layers, sizes.
    static let counts = 1...1_000_000_000
    /// Tokens in a sequence: beyond what any model was trained on (10 million, Llama 4 Scout).
    static let sequence = 1...16_777_216
    /// Bytes a second of a link: slower ones than 1 MB/s make steps of centuries.
    static let linkRate = 1e6...1e18
    /// Tokens of a run or phase: steps stay below 2^53, where they are counted exactly; 10^14 is beyond
    /// all text there is.
    static let tokens = 9e15
    /// Sequences per rank and microbatch.
    static let microBatch = 1...100_000
  }

  /// The scenario under `root`, or `nil` when too little of it could be read; the log says why.
  func read(_ root: SourceNode, defaultName: String, path: String = "") -> Scenario? {
    let top = Block(root, path: path, at: root.position, log: log)
    let name = top.text("name")
    let model = model(top, sequenceLength: root["training"]?["sequence_length"])
    let clusterBlock = top.block("cluster")
    let cluster = cluster(clusterBlock)
    // The framework decides defaults of the layout: its mapping is opened first.
    let layoutBlock = top.block("parallelism")
    let trainingBlock = top.block("training")
    let training = training(trainingBlock)
    let layout = parallelism(layoutBlock, framework: training?.settings.framework ?? .generic)
    let run = run(top.block("run"))
    let simulationBlock = top.block("simulation")
    let simulation = simulation(simulationBlock, cluster)
    let published = published(top)
    _ = top.node("phases")
    top.finish()
    guard let cluster else { return nil }
    let data = dataDegree(layout, cluster: cluster, in: layoutBlock, cluster: clusterBlock)
    guard let training, let model, let data, layoutBlock.isSound else { return nil }
    var parallelism = layout.settled(data: data, framework: training.settings.framework)
    parallelism.stageLayers = stageLayers(
      layout, layers: model.architecture.layerCount, in: layoutBlock)
    let settled = model.settled(for: training.settings.framework)
    var job = TrainingJob(
      architecture: settled.architecture, cluster: cluster, parallelism: parallelism,
      training: training.settings)
    let attention = job.training.attention
    job.followRelease()
    if job.training.attention != attention, trainingBlock.has("attention") {
      trainingBlock.warn(
        "attention",
        "runs \(job.training.attention.rawValue): the release has no kernels for it here")
    }
    if job.runsTritonAttention {
      if trainingBlock.has("attention") {
        trainingBlock.warn(
          "attention",
          "runs as flash-triton, the default of \(job.training.framework.rawValue) until 2024")
      }
      job.training.attention = .flashTriton
    }
    ScenarioChecks(
      job: job, layout: layoutBlock, training: trainingBlock, simulation: simulationBlock,
      speeds: simulation.speeds, ramp: training.ramp
    ).run()
    if log.diagnostics.isEmpty {
      for idle in job.idleSettings {
        let keys = idle.keyPath.split(separator: ".").map(String.init)
        guard let node = keys.reduce(root, { (node: SourceNode?, key) in node?[key] }), !node.isNull
        else { continue }
        log.warn(node.position, top.keyPath(idle.keyPath), "has no effect: \(idle.reason)")
      }
    }
    if log.diagnostics.isEmpty, let group = job.unevenDataGroup {
      clusterBlock.warn(
        "gpus",
        "data groups of \(group.ranks) ranks, \(group.perNode) to a node, do not divide over their nodes: "
          + "they are priced with fewer network cards a node than they have")
    }
    if cluster.sharesLinks, simulation.fidelity == .folded {
      simulationBlock.warn(
        "fidelity",
        "folded has every group its links to itself; faults, routing and what blocks in the network "
          + "show at full only")
    }
    let parameters = Double(job.architecture.parameterCount)
    let tokens = training.tokens ?? Self.tokensPerParameter * parameters
    var phases = PhasesDraft(
      phases: [PhaseSettings(name: "", job: job, tokens: tokens, ramp: training.ramp)], main: 0)
    // Phases are read as scenarios of their own: what is wrong with this one is told once.
    if log.diagnostics.isEmpty {
      guard let read = self.phases(top, of: root, own: phases.phases[0]) else { return nil }
      phases = read
    }
    var scenario = Scenario(
      name: name ?? defaultName, job: job, tokens: tokens, run: run, simulation: simulation,
      published: published, resolved: .null, warnings: settled.assumptions)
    scenario.phases = phases.phases
    scenario.mainPhaseIndex = phases.main
    scenario.resolved = scenario.resolvedTree(model: settled.resolved)
    scenario.warnings += log.doubts.map { $0.text(in: file) }
    return scenario
  }

  /// Tokens per parameter that spend a compute budget best (Chinchilla, arXiv:2203.15556).
  static let tokensPerParameter = 20.0

  /// The data-parallel degree: as given, or what is left of the GPUs.
  private func dataDegree(
    _ layout: LayoutDraft, cluster: Cluster, in block: Block, cluster clusterBlock: Block
  ) -> Int? {
    guard block.isSound, clusterBlock.isSound else { return nil }
    let value = layout.value
    // Degrees are at most 2^24 each, so two of them multiply within 64 bits; Double for more.
    let model = Double(value.tensor) * Double(value.context) * Double(value.pipeline)
    let axes = "tensor \(value.tensor) × context \(value.context) × pipeline \(value.pipeline)"
    let gpus = cluster.gpuCount
    guard model <= Double(gpus), gpus % Int(model) == 0 else {
      let product = Int64(exactly: model).map(String.init) ?? "\(model)"
      block.report(
        layout.data == nil ? "tensor" : "data",
        "\(axes) = \(product) does not divide the \(gpus) GPUs of cluster.gpus")
      return nil
    }
    let derived = gpus / Int(model)
    if let data = layout.data, data != derived {
      let product = data * Int(model)
      block.report(
        "data",
        "\(axes) × data \(data) = \(product), but cluster.gpus is \(gpus); data must be \(derived)")
      return nil
    }
    return derived
  }
}
