import ArgumentParser
import Hardware
import Kernels
import Layout
import Quantities
import Reports
import RunForecast
import ScenarioFile

/// `dryrun estimate`.
struct Estimation: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "estimate",
    abstract: "The back of an envelope: compute, time, memory and cost from P, D and GPUs.",
    discussion: """
      C = τT = 6PD. From a scenario, from flags alone, or from a scenario with flags on top. \
      Without --mfu, --hfu or --achieved, 40 % of the data sheet's peak is taken as achieved.
      """)

  @Argument(help: "A scenario file; everything may come from flags instead.")
  var scenario: String?

  @Option(help: "Parameters, P.") var parameters: Double?
  @Option(help: "Parameters a token meets, of a mixture of experts.") var activeParameters: Double?
  @Option(help: "Training tokens, D (default: 20 per parameter).") var tokens: Double?
  @Option(help: "GPUs (default: 1).") var gpus: Int?
  @Option(help: "GPU of the catalogue (default: h100-sxm-80gb).") var gpu: String?
  @Option(help: "Model FLOPs utilization achieved, 0 to 1.") var mfu: Double?
  @Option(help: "Hardware FLOPs utilization achieved, recomputation counted.") var hfu: Double?
  @Option(help: "Operations per GPU and second achieved, as in '140 TFLOP/s'.")
  var achieved: String?
  @Option(help: "Number formats.") var precision: Precision?
  @Option(help: "Update rule.") var optimizer: Optimizer?
  @Option(help: "Gradient format (default: the parameters').") var gradients: NumberFormat?
  @Flag(help: "The forward pass is computed twice (full recompute).") var recompute = false
  @Option(help: "Price of a GPU-hour, as in '2.5 USD'.") var price: String?
  @Option(help: "Size the model first by the memory it is served from, as in '80 GB'.")
  var inferenceMemory: String?
  @Option(help: "Format it is served in.") var inferenceFormat: NumberFormat = .bf16
  @Option(help: "Size the model first by the FLOP each served token may take.")
  var inferenceFlops: Double?
  @Option(help: "Compute to spend, in PFLOP-days; gives D, and P when that is not given.")
  var budget: Double?
  @Option(name: .customLong("set"), help: "Set a key of the scenario; may be repeated.")
  var settings: [String] = []
  @Flag(help: "Print the result as JSON.") var json = false

  func run(in session: Session) throws -> Int32 {
    var notes: [String] = []
    let input = try scenario.map { try session.scenario(at: $0, settings: settings).estimateInput }
    let report = EstimateReport(
      Estimate(try adjusted(input, notes: &notes)), notes: notes)
    session.output(json ? report.json.text : report.text)
    return ExitStatus.done
  }

  /// The scenario's input, or none, with every flag applied.
  private func adjusted(_ base: EstimateInput?, notes: inout [String]) throws -> EstimateInput {
    let gpu = try chosenGPU() ?? base?.gpu
    guard let gpu else { throw ValidationError("the catalogue has no h100-sxm-80gb") }
    let size = try sized(notes: &notes) ?? base?.parameters
    guard let size else {
      throw ValidationError(
        "give a scenario, --parameters, --inference-memory, --inference-flops or --budget")
    }
    var input =
      base ?? EstimateInput(parameters: size, gpuCount: 1, gpu: gpu)
    input.gpu = gpu
    if size != input.parameters {
      input.parameters = size
      input.activeParameters = size
      input.shape = nil
    }
    if let activeParameters {
      input.activeParameters = try positive(activeParameters, "--active-parameters")
    }
    if let gpus { input.gpuCount = Int(try positive(Double(gpus), "--gpus")) }
    if let precision { input.precision = precision }
    if let optimizer { input.optimizer = optimizer }
    if let gradients { input.gradientFormat = gradients }
    if recompute { input.recomputesAll = true }
    if let tokens {
      input.tokens = try positive(tokens, "--tokens")
    } else if let budget {
      let compute = Flops(try positive(budget, "--budget") * 1e15 * 86_400)
      input.tokens = InferenceBudget.tokens(for: compute, parameters: input.activeParameters)
      notes.append("D is what the budget of \(budget) PFLOP-days trains a model of that size on.")
    }
    if let price { input.gpuHourPrice = try quantity(price, "--price") }
    if let speed = try speed() { input.speed = speed }
    return input
  }

  /// The size the flags give: inference budget first, then compute budget.
  private func sized(notes: inout [String]) throws -> Double? {
    if let parameters { return try positive(parameters, "--parameters") }
    var sizes: [Double] = []
    if let inferenceMemory {
      let memory: ByteRate = try quantity(inferenceMemory + "/s", "--inference-memory")
      let bytes = Bytes(baseValue: min(memory.bytesPerSecond, 1e18))
      sizes.append(InferenceBudget.parameters(in: bytes, format: inferenceFormat))
    }
    if let inferenceFlops {
      let flops = Flops(try positive(inferenceFlops, "--inference-flops"))
      sizes.append(InferenceBudget.parameters(flopsPerToken: flops))
    }
    if let size = sizes.min() {
      notes.append(
        "P is the largest model within the inference budget; it decides before training.")
      return size
    }
    guard let budget, scenario == nil else { return nil }
    notes.append("P spends the budget best: C = 6PD with D = 20P.")
    return InferenceBudget.optimal(
      for: Flops(try positive(budget, "--budget") * 1e15 * 86_400)
    ).parameters
  }

  private func speed() throws -> EstimateInput.Speed? {
    guard [mfu != nil, hfu != nil, achieved != nil].count(where: { $0 }) <= 1 else {
      throw ValidationError("give one of --mfu, --hfu and --achieved")
    }
    if let mfu { return .modelUtilization(try share(mfu, "--mfu")) }
    if let hfu { return .hardwareUtilization(try share(hfu, "--hfu")) }
    return try achieved.map { .achieved(try quantity($0, "--achieved")) }
  }

  private func chosenGPU() throws -> GPU? {
    guard let name = gpu ?? (scenario == nil ? "h100-sxm-80gb" : nil) else { return nil }
    guard let known = GPU.named(name) else {
      throw ValidationError("--gpu: '\(name)' is not in the catalogue; see 'dryrun catalog gpus'")
    }
    return known
  }

  private func positive(_ value: Double, _ flag: String) throws -> Double {
    guard value > 0, value <= 1e30 else {
      throw ValidationError("\(flag): \(value) is not above 0")
    }
    return value
  }

  private func share(_ value: Double, _ flag: String) throws -> Double {
    guard value > 0, value <= 1 else {
      throw ValidationError("\(flag): \(value) is not between 0 and 1")
    }
    return value
  }

  private func quantity<Quantity: UnitTextConvertible>(_ text: String, _ flag: String) throws
    -> Quantity
  {
    guard let value = try? Quantity(unitText: text), value.baseValue > 0 else {
      throw ValidationError(
        "\(flag): '\(text)' is not a number with its unit "
          + "(\(Quantity.units.map(\.name).joined(separator: ", ")))")
    }
    return value
  }
}
