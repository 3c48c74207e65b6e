/// A model known by name.
public struct CatalogueEntry: Hashable, Sendable {
  /// The model.
  public let architecture: Architecture
  /// Where its sizes come from.
  public let source: String

  /// Its name, for example `llama-3.1-8b`.
  public var name: String { architecture.name }
}

extension Architecture {
  /// Every model known by name, families together, small to large.
  public static let catalogue: [CatalogueEntry] = CatalogueRow.all.map { row in
    CatalogueEntry(architecture: row.architecture, source: row.source.text)
  }

  /// Names of the catalogue, in its order.
  public static var catalogueNames: [String] { catalogue.map(\.name) }

  /// The model called `name`.
  ///
  /// Case does not count, `_` and blanks are read as `-`, an organisation before a slash and
  /// endings such as `-hf`, `-Instruct` and `-v0.1` are left out, and other usual names are understood
  /// (`llama3.1-8b`, `gpt3-175b`, `megatron-1t`, `llama-65b`).
  public static func named(_ name: String) -> Architecture? {
    let wanted = CatalogueNames.canonical(name)
    return catalogue.first { $0.name == wanted }?.architecture
  }

  /// The name of the catalogue nearest to `name`, if one is near.
  public static func nearestName(to name: String) -> String? {
    nearest(to: CatalogueNames.canonical(name), among: catalogueNames)
  }
}

/// Where the sizes of a catalogue entry come from.
enum CatalogueSource: Hashable, Sendable {
  /// A paper on arXiv.
  case paper(String)
  /// The configuration file of a Hugging Face repository.
  case huggingFace(String)
  case litgpt, aiconfigurator, llmAnalysis, llmFoundry, calculon, neoX, bigScience, nemo

  /// The source in words.
  var text: String {
    switch self {
    case .paper(let number): "arXiv:\(number)"
    case .huggingFace(let repository): "huggingface.co/\(repository), config.json"
    case .litgpt: "Lightning-AI/litgpt@2685705 litgpt/config.py"
    case .aiconfigurator:
      "ai-dynamo/aiconfigurator@095f58a src/aiconfigurator_core/model_configs"
    case .llmAnalysis: "cli99/llm-analysis@d841e40 llm_analysis/model_configs"
    case .llmFoundry: "mosaicml/llm-foundry@8c8dd48 scripts/train/yamls/pretrain"
    case .calculon: "calculon-ai/calculon@caa4b11 models"
    case .neoX: "EleutherAI/gpt-neox@ea7aefd configs"
    case .nemo: "NVIDIA/NeMo-Framework-Launcher launcher_scripts/conf/training/gpt3"
    case .bigScience: "bigscience-workshop/bigscience@9e64ede train/tr11-176B-ml"
    }
  }
}

/// A line of the catalogue: a family and the sizes that make a model of it.
struct CatalogueRow {
  typealias Row = CatalogueRow

  /// Experts of a model.
  struct Experts {
    var count: Int
    var visited: Int
    var width: Int
    var shared: Int
    var dense: Int
    var step: Int
    var groups: Int
    var groupsVisited: Int

    /// `count` experts of `width`, of which a token visits `perToken`.
    ///
    /// The first `dense` layers have none, and then one layer in `step` has.
    init(
      _ count: Int, _ perToken: Int, width: Int, shared: Int = 0, dense: Int = 0,
      every step: Int = 1, groups: Int = 1, visited groupsVisited: Int = 1
    ) {
      self.count = count
      self.visited = perToken
      self.width = width
      self.shared = shared
      self.dense = dense
      self.step = step
      self.groups = groups
      self.groupsVisited = groupsVisited
    }
  }

  /// The forms of latent attention in use.
  enum Latent {
    case deepseek
    case deepseekLite

    var latent: LatentAttention {
      LatentAttention(
        queryRank: self == .deepseek ? 1_536 : nil, keyValueRank: 512, plainDimension: 128,
        rotaryDimension: 64)
    }
  }

  var architecture: Architecture
  var source: CatalogueSource

  /// A model of `family`.
  init(
    _ name: String, _ family: ModelFamily, _ layers: Int, _ hidden: Int, _ heads: Int,
    _ keyValueHeads: Int, _ width: Int, _ vocabulary: Int, _ positions: Int,
    _ source: CatalogueSource, head: Int? = nil, tied: Bool? = nil, nextToken: Int = 0,
    experts: Experts? = nil, latent: Latent? = nil, index: SparseIndex? = nil, window: Int? = nil,
    norms: Int? = nil
  ) {
    let latentAttention = latent?.latent
    let dimension =
      latentAttention.map { $0.plainDimension + $0.rotaryDimension } ?? head ?? hidden / heads
    var attention = SelfAttention(
      heads: heads, keyValueHeads: keyValueHeads, headDimension: dimension,
      valueDimension: latentAttention?.plainDimension ?? dimension, latent: latentAttention,
      inputBias: family.inputBias, outputBias: family.outputBias,
      normalizesQueryAndKey: family.queryKeyNorm != .none && latent == nil,
      queryKeyNormSpansHeads: family.queryKeyNorm == .projection, hasSinks: family.hasSinks,
      slidingWindow: window, windowIsChunk: family == .llama4,
      slidingLayers: window == nil ? [] : family.slidingLayers(layers, period: nil))
    attention.scalesRotation = family.scalesRotation
    attention.index = index
    self.architecture = Architecture(
      name: name, layerCount: layers, hiddenSize: hidden, attention: attention,
      feedForward: FeedForward(
        intermediateSize: width, activation: family.activation, hasBias: family.feedForwardBias,
        clampsGate: family.clampsGate),
      experts: experts.map { experts in
        MixtureOfExperts(
          expertCount: experts.count, expertsPerToken: experts.visited,
          intermediateSize: experts.width, sharedIntermediateSize: experts.shared,
          gatesSharedExpert: family.gatesSharedExpert, routerBias: family.routerBias,
          expertLayers: (0..<layers).map {
            $0 >= experts.dense && ($0 + 1).isMultiple(of: experts.step)
          },
          groupCount: experts.groups, groupsPerToken: experts.groupsVisited)
      },
      vocabularySize: vocabulary, tiesEmbeddings: tied ?? family.tiesEmbeddings,
      positions: family.positions,
      maximumPositions: positions + (family.positions == .learned ? family.positionOffset : 0),
      norm: family.norm, normsPerLayer: norms ?? family.normsPerLayer,
      normalizesEmbedding: family.normalizesEmbedding, isParallelBlock: family.isParallelBlock,
      outputBias: family.headBias, nextTokenLayers: nextToken)
    self.source = source
  }

  /// All rows, families together.
  static var all: [Row] {
    gpt + megatron + opt + bloom + neoX + falcon + mpt + llama + mistral + qwen + gemma + phi
      + nemotron + experts + starcoder + likeLlama + olderQwen + otherExperts + nemo
      + stateSpaces + stateSpaceHybrids + linearHybrids
  }
}
