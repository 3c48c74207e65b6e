/// What the code of a model family decides and its `config.json` does not say.
///
/// Each family follows the modelling code of Hugging Face Transformers for that `model_type`; the
/// generic ones stand in when no `model_type` is given and go by the activation.
struct ModelFamily: Hashable, Sendable {
  /// How a family normalises queries and keys.
  enum QueryKeyNorm: Hashable, Sendable {
    /// Not at all.
    case none
    /// Each head on its own.
    case heads
    /// The whole projection.
    case projection
  }

  /// Which layers slide when `layer_types` does not say.
  enum Sliding: Hashable, Sendable {
    /// None, whatever `sliding_window` says, unless `use_sliding_window` is true.
    case off
    /// All.
    case all
    /// Every second, beginning with the first (gpt-oss, Gemma 2).
    case alternating
    /// All but every `period`-th (Gemma 3, Llama 4).
    case allBut(period: Int)
  }

  var norm = Norm(.rmsNorm, hasBias: false)
  var normsPerLayer = 2
  var normalizesEmbedding = false
  var isParallelBlock = false
  var positions = PositionEmbedding.rotary
  /// Rows of the position table beyond `max_position_embeddings`.
  var positionOffset = 0
  /// The activation when `hidden_act` is absent.
  var activation = Activation.swiglu
  /// Whether `silu` and `gelu` name the gate of a gated block.
  var isGated = true
  var inputBias = false
  var outputBias = false
  var feedForwardBias = false
  var clampsGate = false
  var headBias = false
  var tiesEmbeddings = false
  var queryKeyNorm = QueryKeyNorm.none
  var hasSinks = false
  var scalesRotation = false
  var sliding = Sliding.off
  var gatesSharedExpert = false
  /// Whether attention gates its output (Qwen3-Next).
  var gatesAttention = false
  var routerBias = false
  /// Whether `attention_bias` is about query, key and value only.
  var biasSkipsOutput = false
  /// Whether a norm loses its bias with `use_bias: false` (MPT's `no_bias`).
  var normBiasFollows = false

  /// A copy with some traits changed.
  func with(_ change: (inout ModelFamily) -> Void) -> ModelFamily {
    var copy = self
    change(&copy)
    return copy
  }

  /// Llama and its likes; also the generic gated family.
  static let llama = ModelFamily()
  /// GPT-2 and GPT-3; also the generic family without gate.
  static let gpt = ModelFamily(
    norm: Norm(.layerNorm, hasBias: true), positions: .learned, activation: .gelu, isGated: false,
    inputBias: true, outputBias: true, feedForwardBias: true, tiesEmbeddings: true)
  /// Mistral 7B: every layer slides when a window is given.
  static let mistral = llama.with { $0.sliding = .all }
  static let qwen2 = llama.with {
    $0.inputBias = true
    $0.biasSkipsOutput = true
  }
  static let qwen2Mixture = qwen2.with { $0.gatesSharedExpert = true }
  static let qwen3 = llama.with { $0.queryKeyNorm = .heads }
  static let gemma = llama.with {
    $0.activation = .geglu
    $0.tiesEmbeddings = true
  }
  static let gemma2 = gemma.with {
    $0.normsPerLayer = 4
    $0.sliding = .alternating
  }
  static let gemma3 = gemma.with {
    $0.normsPerLayer = 4
    $0.queryKeyNorm = .heads
    $0.sliding = .allBut(period: 6)
  }
  static let llama4 = llama.with { $0.sliding = .allBut(period: 4) }
  static let deepseekV3 = llama.with { $0.routerBias = true }
  static let gptOss = llama.with {
    $0.inputBias = true
    $0.outputBias = true
    $0.feedForwardBias = true
    $0.clampsGate = true
    $0.routerBias = true
    $0.hasSinks = true
    $0.scalesRotation = true
    $0.sliding = .alternating
  }
  static let olmo2 = llama.with { $0.queryKeyNorm = .projection }
  static let miniMax = llama.with {
    $0.queryKeyNorm = .projection
    $0.routerBias = true
  }
  static let opt = gpt.with {
    $0.activation = .relu
    $0.positionOffset = 2
  }
  static let bloom = gpt.with {
    $0.positions = .alibi
    $0.normalizesEmbedding = true
  }
  static let neoX = gpt.with {
    $0.positions = .rotary
    $0.isParallelBlock = true
    $0.tiesEmbeddings = false
  }
  static let gptJ = gpt.with {
    $0.positions = .rotary
    $0.isParallelBlock = true
    $0.normsPerLayer = 1
    $0.inputBias = false
    $0.outputBias = false
    $0.headBias = true
    $0.tiesEmbeddings = false
  }
  static let phi = gpt.with {
    $0.positions = .rotary
    $0.isParallelBlock = true
    $0.normsPerLayer = 1
    $0.headBias = true
    $0.tiesEmbeddings = false
  }
  static let falcon = gpt.with {
    $0.positions = .rotary
    $0.inputBias = false
    $0.outputBias = false
    $0.feedForwardBias = false
    $0.isParallelBlock = true
  }
  static let mpt = gpt.with { $0.normBiasFollows = true }
  static let starcoder2 = gpt.with {
    $0.positions = .rotary
    $0.sliding = .all
  }
  /// Nemotron-4: squared ReLU, layer norm with bias, no other bias (arXiv:2402.16819).
  static let nemotron = gpt.with {
    $0.positions = .rotary
    $0.activation = .squaredReLU
    $0.inputBias = false
    $0.outputBias = false
    $0.feedForwardBias = false
    $0.tiesEmbeddings = false
  }

  /// DBRX: layer norm without bias.
  static let dbrx = llama.with { $0.norm = Norm(.layerNorm, hasBias: false) }
  /// Phi-3.5-MoE: layer norm, biases on attention and the output projection.
  static let phiMixture = llama.with {
    $0.norm = Norm(.layerNorm, hasBias: true)
    $0.inputBias = true
    $0.outputBias = true
    $0.headBias = true
  }
  /// GLM-4.5: biases on queries, keys and values; the large one normalises queries and keys.
  static let glmAir = deepseekV3.with {
    $0.inputBias = true
    $0.biasSkipsOutput = true
  }
  static let glm = glmAir.with { $0.queryKeyNorm = .heads }

  /// Nemotron-H: RMS norm, squared ReLU, no positions (arXiv:2504.03624, section 2.1).
  static let nemotronH = llama.with {
    $0.positions = .none
    $0.activation = .squaredReLU
    $0.isGated = false
    $0.routerBias = true
  }
  /// Mamba: the recurrence alone.
  static let mamba = llama.with {
    $0.positions = .none
    $0.tiesEmbeddings = true
  }
  static let jamba = llama.with { $0.positions = .none }
  static let granite4 = llama.with {
    $0.positions = .none
    $0.tiesEmbeddings = true
  }
  static let qwen3Next = qwen3.with {
    $0.gatesSharedExpert = true
    $0.gatesAttention = true
  }
  static let kimiLinear = deepseekV3.with { $0.positions = .none }
  static let recurrentGemma = gemma.with {
    $0.outputBias = true
    $0.feedForwardBias = true
    $0.sliding = .all
    $0.biasSkipsOutput = true
  }

  /// Which of `layers` layers slide, by the family's pattern.
  ///
  /// All but every `period`-th where the family has such a period.
  func slidingLayers(_ layers: Int, period: Int?) -> [Bool] {
    switch sliding {
    case .off, .all: Array(repeating: true, count: layers)
    case .alternating: (0..<layers).map { $0.isMultiple(of: 2) }
    case .allBut(let usual): (1...layers).map { !$0.isMultiple(of: period ?? usual) }
    }
  }

  /// Families by `model_type`.
  private static let byModelType: [String: ModelFamily] = [
    "llama": llama, "llama4": llama4, "llama4_text": llama4, "mistral": mistral,
    "mixtral": mistral, "phi3": mistral, "qwen2": qwen2, "mimo": qwen2, "qwen2_moe": qwen2Mixture,
    "qwen3": qwen3, "qwen3_moe": qwen3, "qwen3_vl_text": qwen3, "qwen3_vl_moe_text": qwen3,
    "qwen3_vl": qwen3, "qwen3_vl_moe": qwen3,
    "gemma": gemma, "gemma2": gemma2, "gemma3": gemma3, "gemma3_text": gemma3,
    "deepseek": llama, "deepseek_v2": llama, "deepseek_v3": deepseekV3, "deepseek_v32": deepseekV3,
    "glm_moe_dsa": deepseekV3, "kimi_k2": deepseekV3,
    "kimi_k25": deepseekV3, "gpt_oss": gptOss, "olmo2": olmo2, "minimax_m2": miniMax,
    "gpt2": gpt, "gpt_neox": neoX, "gptj": gptJ, "opt": opt, "bloom": bloom, "mpt": mpt,
    "falcon": falcon, "phi": phi, "starcoder2": starcoder2, "nemotron": nemotron,
    "mimo_v2_flash": deepseekV3, "gpt_bigcode": gpt, "olmoe": olmo2, "phimoe": phiMixture,
    "glm4_moe": glmAir,
    "smollm3": llama, "nemotron-nas": llama, "yi": llama, "nemotron_h": nemotronH, "mamba": mamba,
    "mamba2": mamba,
    "falcon_mamba": mamba.with { $0.tiesEmbeddings = false }, "jamba": jamba, "bamba": llama,
    "falcon_h1": llama, "granitemoehybrid": granite4, "qwen3_next": qwen3Next,
    "qwen3_5": qwen3Next, "qwen3_5_text": qwen3Next, "qwen3_5_moe": qwen3Next,
    "qwen3_5_moe_text": qwen3Next, "kimi_linear": kimiLinear, "minimax": llama,
    "minimax_text_01": llama, "recurrent_gemma": recurrentGemma,
  ]

  /// The family of `modelType`, if it is one of those known.
  static func named(_ modelType: String) -> ModelFamily? { byModelType[modelType] }

  /// Model types known, in alphabetical order.
  static var modelTypes: [String] { byModelType.keys.sorted() }

  /// The family that goes with an activation when no model type is given.
  static func typical(of activation: String?) -> ModelFamily {
    switch activation {
    case "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "relu": gpt
    case "relu2": nemotron
    default: llama
    }
  }
}
