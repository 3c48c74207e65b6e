// Hybrids of the model catalogue: the row of a transformer, and what mixes tokens in its layers.

extension CatalogueRow {
  /// The row with one part a layer, by Nemotron-H's letters.
  ///
  /// `M` a recurrence, `*` attention, `-` a feed-forward block, `E` experts.
  private func parts(_ pattern: String, _ recurrence: Recurrence) -> Row {
    var row = self
    row.architecture.recurrence = recurrence
    row.architecture.mixers = pattern.map {
      $0 == "M" ? .recurrence : $0 == "*" ? .attention : .none
    }
    row.architecture.feedForwardLayers = pattern.map { $0 == "-" || $0 == "E" }
    row.architecture.experts?.expertLayers = pattern.map { $0 == "E" }
    return row
  }

  /// The row with a recurrence in every layer but those that attend.
  ///
  /// `experts` tells which layers have them, where not all.
  private func mixing(
    _ recurrence: Recurrence, attention: (Int) -> Bool, experts: ((Int) -> Bool)? = nil
  ) -> Row {
    var row = self
    let layers = 0..<architecture.layerCount
    row.architecture.recurrence = recurrence
    row.architecture.mixers = layers.map { attention($0) ? .attention : .recurrence }
    if let experts { row.architecture.experts?.expertLayers = layers.map(experts) }
    return row
  }

  /// The row with its recurrence alone in every layer.
  private func recurring(_ recurrence: Recurrence) -> Row {
    var row = mixing(recurrence, attention: { _ in false })
    row.architecture.attention = SelfAttention(heads: 0, keyValueHeads: 0, headDimension: 0)
    row.architecture.feedForwardLayers = Array(
      repeating: false, count: row.architecture.layerCount)
    return row
  }

  /// A Mamba of twice the model's width (arXiv:2312.00752, section 3.4).
  private static func mamba(_ name: String, _ layers: Int, _ hidden: Int) -> Row {
    Row(
      name, .mamba, layers, hidden, 1, 1, 2 * hidden, 50_280, 2048,
      .huggingFace("state-spaces/\(name)-hf")
    ).recurring(scan(2 * hidden, rank: hidden / 16))
  }

  /// A Mamba-2 of twice the model's width, heads of 64 (arXiv:2405.21060, section 9.2).
  private static func mamba2(_ name: String, _ layers: Int, _ hidden: Int) -> Row {
    Row(
      name, .mamba, layers, hidden, 1, 1, 2 * hidden, 50_288, 2048,
      .huggingFace("state-spaces/\(name)")
    ).recurring(duality(2 * hidden / 64, of: 64, groups: 1, states: 128))
  }

  private static func scan(_ width: Int, rank: Int) -> Recurrence {
    Recurrence(
      .selectiveScan, heads: width, headDimension: 1, stateDimension: 16, rank: rank,
      normalizesOutput: false)
  }

  private static func duality(
    _ heads: Int, of dimension: Int, groups: Int, states: Int, chunk: Int = 256
  ) -> Recurrence {
    Recurrence(
      .stateSpaceDuality, heads: heads, groups: groups, headDimension: dimension,
      stateDimension: states, chunkSize: chunk)
  }

  private static func jamba(_ row: Row, rank: Int) -> Row {
    var mixer = scan(2 * row.architecture.hiddenSize, rank: rank)
    mixer.normalizesInputs = true
    return row.mixing(mixer, attention: { $0 % 8 == 4 }, experts: { $0 % 2 == 1 })
  }

  /// Qwen's linear layers: keys and values of 128, 16 heads of keys; every fourth layer attends.
  private func gatedDelta(heads: Int) -> Row {
    var row = mixing(
      Recurrence(
        .gatedDelta, heads: heads, groups: 16, headDimension: 128, stateDimension: 128,
        chunkSize: 64, convolutionBias: false), attention: { $0 % 4 == 3 })
    row.architecture.attention.gatesOutput = true
    return row
  }

  private static func lightning(_ heads: Int) -> Recurrence {
    Recurrence(
      .lightning, heads: heads, groups: heads, headDimension: 128, stateDimension: 128,
      convolutionWidth: 0, chunkSize: 256)
  }

  private static func griffin(_ row: Row) -> Row {
    let width = row.architecture.hiddenSize
    let heads = row.architecture.attention.heads
    return row.mixing(
      Recurrence(
        .gatedLinearUnit, heads: heads, groups: heads, headDimension: width / heads,
        stateDimension: 1, projectionBias: true, normalizesOutput: false),
      attention: { $0 % 3 == 2 })
  }

  /// State-space models without attention.
  static let stateSpaces: [Row] = [
    mamba("mamba-130m", 24, 768), mamba("mamba-370m", 48, 1024), mamba("mamba-790m", 48, 1536),
    mamba("mamba-1.4b", 48, 2048), mamba("mamba-2.8b", 64, 2560),
    mamba2("mamba2-130m", 24, 768), mamba2("mamba2-370m", 48, 1024),
    mamba2("mamba2-780m", 48, 1536), mamba2("mamba2-1.3b", 48, 2048),
    mamba2("mamba2-2.7b", 64, 2560),
    Row(
      "falcon-mamba-7b", .mamba, 64, 4096, 1, 1, 8192, 65_024, 8192,
      .huggingFace("tiiuae/falcon-mamba-7b"), tied: false
    ).recurring(scan(8192, rank: 256)),
  ]

  /// Attention and state spaces in turn or beside each other.
  static let stateSpaceHybrids: [Row] = [
    jamba(
      Row(
        "jamba-v0.1", .jamba, 32, 4096, 32, 8, 14_336, 65_536, 262_144,
        .huggingFace("ai21labs/Jamba-v0.1"), experts: Experts(16, 2, width: 14_336)), rank: 256),
    jamba(
      Row(
        "jamba-1.5-large", .jamba, 72, 8192, 64, 8, 24_576, 65_536, 262_144, .paper("2408.12570"),
        experts: Experts(16, 2, width: 24_576)), rank: 512),
    Row(
      "nemotron-h-8b", .nemotronH, 52, 4096, 32, 8, 21_504, 131_072, 8192, .paper("2504.03624"),
      head: 128
    ).parts(
      "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-",
      duality(128, of: 64, groups: 8, states: 128, chunk: 128)),
    Row(
      "nemotron-h-56b", .nemotronH, 118, 8192, 64, 8, 32_768, 131_072, 8192, .aiconfigurator,
      head: 128
    ).parts(
      "M-M-M-M*-" + String(repeating: "M-M-M-M-M*-", count: 9) + "M-M-M-M-M-",
      duality(256, of: 64, groups: 8, states: 256, chunk: 128)),
    Row(
      "nemotron-3-nano-30b-a3b", .nemotronH, 52, 2688, 32, 2, 1856, 131_072, 262_144,
      .aiconfigurator, head: 128, experts: Experts(128, 6, width: 1856, shared: 3712)
    ).parts(
      "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
      duality(64, of: 64, groups: 8, states: 128, chunk: 128)),
    Row(
      "bamba-9b", .llama, 32, 4096, 32, 8, 14_336, 128_256, 4096,
      .huggingFace("ibm-ai-platform/Bamba-9B")
    ).mixing(
      duality(128, of: 64, groups: 1, states: 128), attention: { [9, 18, 27].contains($0) }),
    Row(
      "granite-4.0-h-small", .granite4, 40, 4096, 32, 8, 768, 100_352, 131_072,
      .huggingFace("ibm-granite/granite-4.0-h-small"),
      experts: Experts(72, 10, width: 768, shared: 1536)
    ).mixing(duality(128, of: 64, groups: 1, states: 128), attention: { $0 % 10 == 5 }),
    {
      var row = Row(
        "falcon-h1-34b", .llama, 72, 5120, 20, 4, 21_504, 261_120, 262_144, .paper("2507.22448"),
        head: 128
      ).mixing(duality(32, of: 128, groups: 2, states: 256), attention: { _ in false })
      row.architecture.mixers = Array(repeating: .both, count: 72)
      return row
    }(),
  ]

  /// Attention and linear attention in turn.
  static let linearHybrids: [Row] = [
    Row(
      "qwen3-next-80b-a3b", .qwen3Next, 48, 2048, 16, 2, 5120, 151_936, 262_144,
      .huggingFace("Qwen/Qwen3-Next-80B-A3B-Instruct"), head: 256, nextToken: 1,
      experts: Experts(512, 10, width: 512, shared: 512)
    ).gatedDelta(heads: 32),
    Row(
      "qwen3.5-27b", .qwen3Next, 64, 5120, 24, 4, 17_408, 248_320, 262_144, .aiconfigurator,
      head: 256, nextToken: 1
    ).gatedDelta(heads: 48),
    Row(
      "qwen3.5-35b-a3b", .qwen3Next, 40, 2048, 16, 2, 512, 248_320, 262_144, .aiconfigurator,
      head: 256, nextToken: 1, experts: Experts(256, 8, width: 512, shared: 512)
    ).gatedDelta(heads: 32),
    Row(
      "qwen3.5-122b-a10b", .qwen3Next, 48, 3072, 32, 2, 1024, 248_320, 262_144, .aiconfigurator,
      head: 256, nextToken: 1, experts: Experts(256, 8, width: 1024, shared: 1024)
    ).gatedDelta(heads: 64),
    Row(
      "qwen3.5-397b-a17b", .qwen3Next, 60, 4096, 32, 2, 1024, 248_320, 262_144, .aiconfigurator,
      head: 256, nextToken: 1, experts: Experts(512, 10, width: 1024, shared: 1024)
    ).gatedDelta(heads: 64),
    Row(
      "kimi-linear-48b-a3b", .kimiLinear, 27, 2304, 32, 32, 9216, 163_840, 1_048_576,
      .paper("2510.26692"), experts: Experts(256, 8, width: 1024, shared: 1024, dense: 1),
      latent: .deepseekLite
    ).mixing(
      Recurrence(
        .kimiDelta, heads: 32, groups: 32, headDimension: 128, stateDimension: 128, chunkSize: 64,
        rank: 128, convolutionBias: false), attention: { $0 % 4 == 3 || $0 == 26 }),
    Row(
      "minimax-text-01", .llama, 80, 6144, 64, 8, 9216, 200_064, 1_048_576, .paper("2501.08313"),
      head: 128, experts: Experts(32, 2, width: 9216)
    ).mixing(lightning(64), attention: { $0 % 8 == 7 }),
    griffin(
      Row(
        "recurrentgemma-2b", .recurrentGemma, 26, 2560, 10, 1, 7680, 256_000, 8192,
        .paper("2404.07839"), window: 2048)),
    griffin(
      Row(
        "recurrentgemma-9b", .recurrentGemma, 38, 4096, 16, 1, 12_288, 256_000, 8192,
        .paper("2404.07839"), window: 2048)),
  ]
}
