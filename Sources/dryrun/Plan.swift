import Layout
import ArgumentParser
import Hardware
import Kernels
import Quantities
import Reports
import RunForecast
import ScenarioFile
import StepProgram
import Studies
import Transformer

/// `dryrun plan`.
struct Plan: SessionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Which hardware, how much of it, how long, for how much money.",
    discussion: """
      For each kind of cluster and number of GPUs the best layout is searched and its run forecast. \
      Unless --vary says otherwise micro-batches of 1, 2 and 4 are tried. The \
      scenario's cluster keeps its own links and price; another is the catalogue's usual node at \
      the catalogue's price unless --price says otherwise.
      """)

  @OptionGroup var arguments: ScenarioArguments

  @Option(help: "When the run must be done, as in 30d.")
  var within: String?

  @Option(help: "What it may cost, in USD, as in 5e6.")
  var budget: Double?

  @Option(
    help:
      "Clusters or GPUs of the catalogue to consider beside the scenario's own, as in h200-sxm-141gb,dgx-b200."
  )
  var candidates = "h100-sxm-80gb,h200-sxm-141gb,b200-sxm"

  @Option(
    help: "Numbers of GPUs to consider, as in 512,1024 (default: about what the deadline asks for)."
  )
  var gpus: String?

  @Option(help: "Price of a GPU-hour in USD, as in h100-sxm-80gb=2.1; may be repeated.")
  var price: [String] = []

  @Option(
    help: "Train the largest dense model of the catalogue served from this memory, as in '80 GB'.")
  var inferenceMemory: String?

  @Option(help: "Train the model and tokens that spend these PFLOP-days best (C = 6PD, D = 20P).")
  var compute: Double?

  @Option(
    help: "Values to try on an axis of the layout, as in parallelism.tensor=4,8; may be repeated.")
  var vary: [String] = []

  @Option(help: "Folder for plan.json and plan.csv (default: Results/<file name>).")
  var output: String?

  func run(in session: Session) throws -> Int32 {
    var notes: [String] = []
    let settings = arguments.settings + (try modelSettings(&notes))
    let scenario = try session.scenario(
      at: arguments.scenario, settings: settings, fidelity: Fidelity.folded.rawValue)
    let limits = PlanReport.Limits(
      deadline: try within.map { try Self.duration($0) }, budget: budget.map { Dollars($0) })
    var found: [PlanReport.Candidate] = []
    for kind in try kinds(of: scenario) {
      for size in try sizes(of: kind, for: scenario, limits) {
        let candidate = try candidate(kind, size, scenario, in: session)
        found.append(candidate)
        report(candidate, in: session)
      }
    }
    var larger: PlanReport.Candidate?
    if let choice = limits.recommendation(among: found) {
      larger = try next(after: found[choice], scenario, in: session)
    }
    let report = PlanReport(
      scenario: scenario, limits: limits, candidates: found, notes: notes, larger: larger)
    let json = report.json.text + "\n"
    let folder = output ?? "Results/" + arguments.folderName
    try session.write([("plan.json", json), ("plan.csv", report.csv)], to: folder)
    session.output(arguments.json ? json : report.text)
    if !arguments.quiet { session.log("wrote \(folder)/plan.json, plan.csv") }
    return ExitStatus.done
  }

  private func report(_ candidate: PlanReport.Candidate, in session: Session) {
    guard !arguments.quiet else { return }
    session.log(
      "\(candidate.gpus) \(candidate.kind): \(candidate.layouts.total) layouts, "
        + "\(candidate.layouts.fit) fit")
  }

  /// The best layout of one cluster.
  private func candidate(
    _ kind: HardwareChoices.Kind, _ gpus: Int, _ scenario: Scenario, in session: Session,
    restrictions: [LayoutSpace.Axis: [String]] = [:]
  ) throws -> PlanReport.Candidate {
    let moved = HardwareChoices.scenario(scenario, on: kind, gpus: gpus)
    let pinned = LayoutSpace.pinned(by: arguments.settings)
    var axes = restrictions
    if axes.isEmpty {
      axes = try LayoutSpace.restrictions(vary)
      if axes[.microBatch] == nil, !pinned.contains(.microBatch) {
        axes[.microBatch] = ["1", "2", "4"]
      }
    }
    let jobs = LayoutSpace(job: moved.job, pinned: pinned, restrictions: axes).jobs
    let outcomes = try LayoutSearch.evaluate(
      jobs, wanted: 1, communicator: session.communicator
    ) { _ in }
    let fitting = outcomes.count { $0.verdict == .fits }
    var best: SimulationReport?
    if let winner = LayoutSearch.ranked(outcomes, by: .time).first {
      var scenario = moved
      scenario.job = winner.job
      best = try Simulator.report(
        on: scenario, communicator: session.communicator, isJudged: true)
    }
    return PlanReport.Candidate(
      kind: kind.name, gpus: gpus, layouts: (jobs.count, fitting), report: best)
  }

  /// The recommended cluster with the fewest nodes more on which a layout like its own trains.
  private func next(
    after chosen: PlanReport.Candidate, _ scenario: Scenario, in session: Session
  ) throws -> PlanReport.Candidate? {
    guard let report = chosen.report,
      let kind = try kinds(of: scenario).first(where: { $0.name == chosen.kind })
    else { return nil }
    let layout = report.scenario.job.parallelism
    let axes: [LayoutSpace.Axis: [String]] = [
      .tensor: ["\(layout.tensor)"], .context: ["\(layout.context)"],
      .expert: ["\(layout.expert)"], .zero: ["\(layout.zero)"],
      .microBatch: ["1", "2", "4"],
      .recompute: ["none", "selective", "full"],
    ]
    let node = kind.node.gpusPerNode
    var gpus = chosen.gpus + node
    while gpus <= 2 * chosen.gpus {
      let larger = try candidate(kind, gpus, scenario, in: session, restrictions: axes)
      if larger.report != nil { return larger }
      gpus += node
    }
    return nil
  }

  /// The scenario's own cluster and the candidates, none twice.
  private func kinds(of scenario: Scenario) throws -> [HardwareChoices.Kind] {
    var prices: [String: Double] = [:]
    for text in price {
      let parts = text.split(separator: "=")
      guard parts.count == 2, let value = Double(parts[1]), value >= 0, value.isFinite else {
        throw Failure(
          code: ExitStatus.usage,
          lines: ["--price \(text): error: not of the form name=USD, as in b200-sxm=4.5"])
      }
      prices[String(parts[0])] = value
    }
    var node = scenario.job.cluster
    node.gpuCount = node.gpusPerNode
    let own = node.gpu.name
    var kinds = [
      HardwareChoices.Kind(
        name: own, node: node,
        gpuHourPrice: prices[own].map { Dollars($0) } ?? scenario.run.price.gpuHour)
    ]
    for name in candidates.split(separator: ",").map(String.init) where name != own {
      guard let design = ClusterDesign.named(name) else {
        throw Failure(
          code: ExitStatus.usage,
          lines: ["--candidates: error: '\(name)' is neither a cluster nor a GPU of the catalogue"])
      }
      let price = prices[name] ?? prices[design.node.gpu.name]
      kinds.append(
        HardwareChoices.Kind(
          name: name, node: design.node, gpuHourPrice: price.map { Dollars($0) }))
    }
    return kinds
  }

  private func sizes(
    of kind: HardwareChoices.Kind, for scenario: Scenario, _ limits: PlanReport.Limits
  ) throws -> [Int] {
    guard let gpus else {
      return HardwareChoices.sizes(of: kind, for: scenario, within: limits.deadline)
    }
    return try gpus.split(separator: ",").map { text in
      guard let count = Int(text), (1...16_777_216).contains(count) else {
        throw Failure(
          code: ExitStatus.usage, lines: ["--gpus: error: \(text) is not a number of GPUs"])
      }
      return count
    }
  }

  private static func duration(_ text: String) throws -> Seconds {
    guard let value = try? Seconds(unitText: text), value.value > 0 else {
      throw Failure(
        code: ExitStatus.usage,
        lines: ["--within \(text): error: not a time with its unit, as in 30d"])
    }
    return value
  }

  /// The keys that inference and compute budgets decide.
  private func modelSettings(_ notes: inout [String]) throws -> [String] {
    var limit: Double?
    if let inferenceMemory {
      guard let bytes = try? Bytes(unitText: inferenceMemory), bytes.count > 0 else {
        throw Failure(
          code: ExitStatus.usage,
          lines: ["--inference-memory \(inferenceMemory): error: not a size, as in '80 GB'"])
      }
      limit = InferenceBudget.parameters(in: bytes, format: .bf16)
    }
    let flops = compute.map { Flops($0 * 1e15 * 86_400) }
    if let flops {
      guard flops.count > 0 else {
        throw Failure(code: ExitStatus.usage, lines: ["--compute: error: not above 0"])
      }
      limit = min(limit ?? .infinity, InferenceBudget.optimal(for: flops).parameters)
    }
    guard let limit else { return [] }
    let dense = Architecture.catalogue.filter { $0.architecture.experts == nil }
    let fitting = dense.filter { Double($0.architecture.parameterCount) <= limit }
    guard
      let entry = fitting.max(by: {
        $0.architecture.parameterCount < $1.architecture.parameterCount
      })
    else {
      throw Failure(
        code: ExitStatus.usage,
        lines: ["the catalogue has no dense model of \(limit / 1e9) billion parameters or fewer"])
    }
    let parameters = Double(entry.architecture.parameterCount)
    let tokens = flops.map { InferenceBudget.tokens(for: $0, parameters: parameters) }
    notes.append(
      "\(entry.name) is the largest dense model of the catalogue within "
        + "\((limit / 1e7).rounded() / 100) billion parameters, which the budget allows"
        + (tokens == nil ? "; D = 20P." : "; D spends the rest of the compute."))
    return ["model=\(entry.name)", "training.tokens=\(tokens ?? 20 * parameters)"]
  }
}
