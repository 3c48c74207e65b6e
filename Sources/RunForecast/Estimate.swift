public import Hardware
public import Kernels
public import Layout
public import Quantities

/// What the seed arithmetic starts from.
public struct EstimateInput: Hashable, Sendable {
  /// How fast the GPUs work.
  public enum Speed: Hashable, Sendable {
    /// Model operations over the data sheet's peak: recomputation takes time and does not count.
    case modelUtilization(Double)
    /// All operations over the data sheet's peak: recomputation counts.
    case hardwareUtilization(Double)
    /// All operations per GPU and second.
    case achieved(FlopRate)

    /// 40 % of the data sheet's bf16 peak: what large runs report.
    ///
    /// Llama 3.1 405B: 38 to 43 % on up to 16,384 H100 (arXiv:2407.21783, table 4); Megatron-LM:
    /// 44 to 52 % on up to 3,072 A100, recomputation counted (arXiv:2104.04473, table 1).
    public static let usual = Speed.hardwareUtilization(0.40)
  }

  /// All parameters, P.
  public var parameters: Double
  /// Parameters a token meets; fewer than all in a mixture of experts.
  public var activeParameters: Double
  /// Training tokens, D; `nil` for 20 per parameter.
  public var tokens: Double?
  /// GPUs.
  public var gpuCount: Int
  /// The GPU.
  public var gpu: GPU
  /// How fast it works.
  public var speed: Speed
  /// Number formats.
  public var precision: Precision
  /// Update rule.
  public var optimizer: Optimizer
  /// Gradients' format; `nil` for the parameters'.
  public var gradientFormat: NumberFormat?
  /// Whether the forward pass is computed a second time.
  public var recomputesAll: Bool
  /// The shape activations follow from; `nil` when it is not known.
  public var shape: ActivationShape?
  /// Price of one GPU for one hour; `nil` for the catalogue's.
  public var gpuHourPrice: Dollars?

  /// An estimate's input; what is not named takes the usual value.
  public init(
    parameters: Double, activeParameters: Double? = nil, tokens: Double? = nil, gpuCount: Int,
    gpu: GPU, speed: Speed = .usual, precision: Precision = .bf16Mixed,
    optimizer: Optimizer = .adamw, gradientFormat: NumberFormat? = nil,
    recomputesAll: Bool = false, shape: ActivationShape? = nil, gpuHourPrice: Dollars? = nil
  ) {
    self.parameters = parameters
    self.activeParameters = activeParameters ?? parameters
    self.tokens = tokens
    self.gpuCount = gpuCount
    self.gpu = gpu
    self.speed = speed
    self.precision = precision
    self.optimizer = optimizer
    self.gradientFormat = gradientFormat
    self.recomputesAll = recomputesAll
    self.shape = shape
    self.gpuHourPrice = gpuHourPrice
  }
}

/// The back of an envelope: what a run needs, from the size of the model and of its data alone.
///
/// `C = τT = 6PD`: a forward pass is 2PD operations, a backward pass 4PD, recomputation of all
/// activations 2PD more (arXiv:2001.08361, section 2.1). Attention's own products, pipeline bubbles
/// and communication are not counted; they are inside the speed that is assumed.
public struct Estimate: Hashable, Sendable {
  /// What it was made from.
  public var input: EstimateInput
  /// Training tokens, D.
  public var tokens: Double
  /// Whether D is the default of 20 per parameter.
  public var hasDefaultTokens: Bool

  /// The estimate for `input`.
  public init(_ input: EstimateInput) {
    self.input = input
    hasDefaultTokens = input.tokens == nil
    tokens = input.tokens ?? Self.optimalTokens(parameters: input.parameters)
  }

  /// Operations of all forward passes: 2PD.
  public var forward: Flops { Flops(2 * input.activeParameters * tokens) }
  /// Operations of all backward passes: 4PD.
  public var backward: Flops { Flops(4 * input.activeParameters * tokens) }
  /// Operations of recomputing every forward pass: 2PD, or none.
  public var recomputation: Flops { input.recomputesAll ? forward : .zero }
  /// Operations of the model: 6PD.
  public var model: Flops { forward + backward }
  /// All operations: 6PD, or 8PD when everything is recomputed.
  public var compute: Flops { model + recomputation }

  /// The data sheet's dense peak of one GPU in the precision's matrix format.
  public var peak: FlopRate { input.gpu.peak(of: input.precision.matmulFormat) }

  /// Operations each GPU does a second, recomputation counted.
  public var achieved: FlopRate {
    switch input.speed {
    case .achieved(let rate): rate
    case .hardwareUtilization(let part): FlopRate(flopsPerSecond: peak.flopsPerSecond * part)
    case .modelUtilization(let part):
      FlopRate(flopsPerSecond: peak.flopsPerSecond * part * compute.count / model.count)
    }
  }

  /// Operations a second of all GPUs: τ.
  public var throughput: FlopRate {
    FlopRate(flopsPerSecond: achieved.flopsPerSecond * Double(input.gpuCount))
  }

  /// How long: T = C/τ.
  public var time: Seconds { compute / throughput }
  /// GPUs × time, in hours.
  public var gpuHours: Double { Double(input.gpuCount) * time.hours }
  /// GPU-hours at their price.
  public var cost: Dollars {
    Dollars(gpuHours * (input.gpuHourPrice ?? input.gpu.hourlyPrice).value)
  }
  /// Model operations over the peak.
  public var modelUtilization: Double {
    achieved.flopsPerSecond * model.count / compute.count / peak.flopsPerSecond
  }

  /// Bytes each parameter takes in training.
  public var bytesPerParameter: ParameterBytes {
    ParameterBytes(
      precision: input.precision, optimizer: input.optimizer, gradientFormat: input.gradientFormat)
  }
  /// Parameters, gradients and optimizer states of one copy of the model, in bytes.
  public var statesBytes: Double { bytesPerParameter.total * input.parameters }
  /// Kept activations of one microbatch through all layers, in bytes; `nil` without a shape.
  public var activationBytes: Double? { input.shape?.bytes }
  /// States and, where known, activations.
  public var totalBytes: Double { statesBytes + (activationBytes ?? 0) }
  /// GPUs whose memory together holds one copy of the states.
  public var leastGPUs: Int {
    Int((statesBytes / Double(max(1, input.gpu.memory.count))).rounded(.up))
  }

  /// Tokens a compute-optimal model of that size is trained on: D = 20P (arXiv:2203.15556).
  public static func optimalTokens(parameters: Double) -> Double { 20 * parameters }

  /// Fewer training tokens than this are warned about.
  ///
  /// Models since Llama 1 see 10^12 or more whatever their size (arXiv:2302.13971, table 2), and small data
  /// sets make weak models.
  public static let fewTokens = 200e9

  /// Sentences about what is unusual.
  public var warnings: [String] { Self.warnings(tokens: tokens, parameters: input.parameters) }

  /// The rules of thumb, applied to a run.
  ///
  /// - Parameters:
  ///   - tokens: D.
  ///   - parameters: P.
  /// - Returns: a sentence for each rule that is broken.
  public static func warnings(tokens: Double, parameters: Double) -> [String] {
    var result: [String] = []
    if tokens < fewTokens {
      result.append(
        "\(Self.billions(tokens)) tokens is under 200 billion: too few for a model of general use.")
    }
    let ratio = tokens / parameters
    if ratio < 20 * 0.95 {
      result.append(
        "\(Self.rounded(ratio)) tokens a parameter is under the 20 of Chinchilla: a smaller model "
          + "trained longer does better for the same compute.")
    }
    return result
  }

  private static func billions(_ value: Double) -> String { rounded(value / 1e9) + " billion" }

  private static func rounded(_ value: Double) -> String {
    if value > 0, value < 0.1 { return "less than 0.1" }
    let tenths = (value * 10).rounded() / 10
    return tenths == tenths.rounded() && abs(tenths) < 1e15 ? "\(Int64(tenths))" : "\(tenths)"
  }
}

/// The shape that kept activations follow from, for models of the GPT family.
public struct ActivationShape: Hashable, Sendable {
  /// What is kept of each layer.
  public enum Kept: String, Hashable, Sendable, CaseIterable {
    /// Everything.
    case all = "none"
    /// Everything but the attention core.
    case withoutAttention = "selective"
    /// The layer's input.
    case inputs = "full"
  }

  /// Tokens in a sequence, s.
  public var sequenceLength: Int
  /// Sequences in a microbatch, b.
  public var microBatch: Int
  /// Hidden size, h.
  public var hiddenSize: Int
  /// Layers, L.
  public var layers: Int
  /// Attention heads, a.
  public var heads: Int
  /// Tensor-parallel degree, t.
  public var tensor: Int
  /// Whether what tensor parallelism leaves whole is split along the sequence.
  public var splitsSequence: Bool
  /// What is kept.
  public var kept: Kept

  /// A shape from its sizes.
  public init(
    sequenceLength: Int, microBatch: Int, hiddenSize: Int, layers: Int, heads: Int,
    tensor: Int = 1, splitsSequence: Bool = false, kept: Kept = .all
  ) {
    self.sequenceLength = sequenceLength
    self.microBatch = microBatch
    self.hiddenSize = hiddenSize
    self.layers = layers
    self.heads = heads
    self.tensor = tensor
    self.splitsSequence = splitsSequence
    self.kept = kept
  }

  /// Bytes one GPU keeps of one microbatch through all layers, 16-bit values and 1-byte dropout masks.
  ///
  /// By arXiv:2205.05198, table 2: sbhL(34 + 5as/h) on one GPU, sbhL(10 + 24/t + 5as/(ht)) under tensor
  /// parallelism, sbhL/t · (34 + 5as/h) with the sequence split too; without the 5as/h term when the attention
  /// core is computed again, 2sbhL when only inputs are kept.
  public var bytes: Double {
    let size = Double(sequenceLength) * Double(microBatch) * Double(hiddenSize) * Double(layers)
    let degree = Double(tensor)
    let attention =
      kept == .all ? 5 * Double(heads) * Double(sequenceLength) / Double(hiddenSize) : 0
    switch kept {
    case .inputs: return 2 * size / (splitsSequence ? degree : 1)
    case .all, .withoutAttention:
      return splitsSequence
        ? size * (34 + attention) / degree : size * (10 + 24 / degree + attention / degree)
    }
  }
}

/// The largest model that can be served within a budget: what a training run is sized by first.
public enum InferenceBudget {
  /// Parameters whose weights fill five sixths of `memory`.
  ///
  /// The rest is left for the key and value cache and buffers (total ≈ 1.2 × weights, EleutherAI "Transformer
  /// Math 101").
  public static func parameters(in memory: Bytes, format: NumberFormat) -> Double {
    Double(memory.count) / (1.2 * format.bytesPerValue)
  }

  /// Parameters of the model that takes `flops` for each token it writes: 2P.
  public static func parameters(flopsPerToken flops: Flops) -> Double { flops.count / 2 }

  /// Parameters and tokens that spend `compute` best: C = 6PD with D = 20P (arXiv:2203.15556).
  public static func optimal(for compute: Flops) -> (parameters: Double, tokens: Double) {
    let parameters = (compute.count / 120).squareRoot()
    return (parameters, 20 * parameters)
  }

  /// Tokens a model of `parameters` can be trained on with `compute`.
  public static func tokens(for compute: Flops, parameters: Double) -> Double {
    compute.count / (6 * parameters)
  }
}
