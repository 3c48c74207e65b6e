// The tables of the model catalogue: layers, hidden size, heads, key and value heads,
// feed-forward width, vocabulary, positions.

extension CatalogueRow {
  /// Llama 1 to 4, and models of the same make.
  static let llama: [Row] = [
    Row("llama-1-7b", .llama, 32, 4096, 32, 32, 11_008, 32_000, 2048, .paper("2302.13971")),
    Row("llama-1-13b", .llama, 40, 5120, 40, 40, 13_824, 32_000, 2048, .paper("2302.13971")),
    Row("llama-1-33b", .llama, 60, 6656, 52, 52, 17_920, 32_000, 2048, .paper("2302.13971")),
    Row("llama-1-65b", .llama, 80, 8192, 64, 64, 22_016, 32_000, 2048, .paper("2302.13971")),
    Row("llama-2-7b", .llama, 32, 4096, 32, 32, 11_008, 32_000, 4096, .litgpt),
    Row("llama-2-13b", .llama, 40, 5120, 40, 40, 13_824, 32_000, 4096, .litgpt),
    Row("llama-2-70b", .llama, 80, 8192, 64, 8, 28_672, 32_000, 4096, .litgpt),
    Row("llama-3-8b", .llama, 32, 4096, 32, 8, 14_336, 128_256, 8192, .litgpt),
    Row("llama-3-70b", .llama, 80, 8192, 64, 8, 28_672, 128_256, 8192, .litgpt),
    Row("llama-3.1-8b", .llama, 32, 4096, 32, 8, 14_336, 128_256, 131_072, .aiconfigurator),
    Row("llama-3.1-70b", .llama, 80, 8192, 64, 8, 28_672, 128_256, 131_072, .aiconfigurator),
    Row("llama-3.1-405b", .llama, 126, 16_384, 128, 8, 53_248, 128_256, 131_072, .aiconfigurator),
    Row("llama-3.2-1b", .llama, 16, 2048, 32, 8, 8192, 128_256, 131_072, .litgpt, tied: true),
    Row("llama-3.2-3b", .llama, 28, 3072, 24, 8, 8192, 128_256, 131_072, .litgpt, tied: true),
    Row("llama-3.3-70b", .llama, 80, 8192, 64, 8, 28_672, 128_256, 131_072, .aiconfigurator),
    Row(
      "llama-4-scout", .llama4, 48, 5120, 40, 8, 16_384, 202_048, 10_485_760, .aiconfigurator,
      experts: Experts(16, 1, width: 8192, shared: 8192), window: 8192),
    Row(
      "llama-4-maverick", .llama4, 48, 5120, 40, 8, 16_384, 202_048, 1_048_576, .aiconfigurator,
      experts: Experts(128, 1, width: 8192, shared: 8192, every: 2), window: 8192),
    Row("open-llama-3b", .llama, 26, 3200, 32, 32, 8640, 32_000, 2048, .litgpt),
    Row("tinyllama-1.1b", .llama, 22, 2048, 32, 4, 5632, 32_000, 2048, .litgpt),
    Row("olmo-2-7b", .olmo2, 32, 4096, 32, 32, 11_008, 100_352, 4096, .litgpt),
    Row("olmo-2-13b", .olmo2, 40, 5120, 40, 40, 13_824, 100_352, 4096, .litgpt),
  ]

  /// Mistral and Mixtral.
  static let mistral: [Row] = [
    Row("mistral-7b", .llama, 32, 4096, 32, 8, 14_336, 32_000, 4096, .litgpt, window: 4096),
    Row(
      "mixtral-8x7b", .mistral, 32, 4096, 32, 8, 14_336, 32_000, 32_768, .aiconfigurator,
      experts: Experts(8, 2, width: 14_336)),
    Row(
      "mixtral-8x22b", .mistral, 56, 6144, 48, 8, 16_384, 32_000, 65_536, .aiconfigurator,
      experts: Experts(8, 2, width: 16_384)),
  ]

  /// Qwen 2.5 and 3.
  static let qwen: [Row] = [
    Row("qwen2.5-0.5b", .qwen2, 24, 896, 14, 2, 4864, 151_936, 32_768, .litgpt, tied: true),
    Row("qwen2.5-1.5b", .qwen2, 28, 1536, 12, 2, 8960, 151_936, 131_072, .litgpt, tied: true),
    Row("qwen2.5-3b", .qwen2, 36, 2048, 16, 2, 11_008, 151_936, 32_768, .litgpt, tied: true),
    Row("qwen2.5-7b", .qwen2, 28, 3584, 28, 4, 18_944, 152_064, 131_072, .litgpt),
    Row("qwen2.5-14b", .qwen2, 48, 5120, 40, 8, 13_824, 152_064, 131_072, .litgpt),
    Row("qwen2.5-32b", .qwen2, 64, 5120, 40, 8, 27_648, 152_064, 131_072, .litgpt),
    Row("qwen2.5-72b", .qwen2, 80, 8192, 64, 8, 29_568, 152_064, 131_072, .litgpt),
    Row(
      "qwen3-0.6b", .qwen3, 28, 1024, 16, 8, 3072, 151_936, 40_960, .aiconfigurator, head: 128,
      tied: true),
    Row("qwen3-1.7b", .qwen3, 28, 2048, 16, 8, 6144, 151_936, 40_960, .aiconfigurator, tied: true),
    Row("qwen3-4b", .qwen3, 36, 2560, 32, 8, 9728, 151_936, 40_960, .litgpt, head: 128, tied: true),
    Row("qwen3-8b", .qwen3, 36, 4096, 32, 8, 12_288, 151_936, 40_960, .aiconfigurator),
    Row("qwen3-14b", .qwen3, 40, 5120, 40, 8, 17_408, 151_936, 40_960, .litgpt),
    Row("qwen3-32b", .qwen3, 64, 5120, 64, 8, 25_600, 151_936, 40_960, .aiconfigurator, head: 128),
    Row(
      "qwen3-30b-a3b", .qwen3, 48, 2048, 32, 4, 6144, 151_936, 40_960, .aiconfigurator, head: 128,
      experts: Experts(128, 8, width: 768)),
    Row(
      "qwen3-235b-a22b", .qwen3, 94, 4096, 64, 4, 12_288, 151_936, 40_960, .aiconfigurator,
      head: 128, experts: Experts(128, 8, width: 1536)),
    Row(
      "qwen3-coder-480b-a35b", .qwen3, 62, 6144, 96, 8, 8192, 151_936, 262_144, .aiconfigurator,
      head: 128, experts: Experts(160, 8, width: 2560)),
  ]

  /// DeepSeek, Kimi, gpt-oss, MiniMax.
  static let experts: [Row] = [
    Row(
      "deepseek-v2-lite", .llama, 27, 2048, 16, 16, 10_944, 102_400, 163_840, .paper("2405.04434"),
      experts: Experts(64, 6, width: 1408, shared: 2816, dense: 1), latent: .deepseekLite),
    Row(
      "deepseek-v2", .llama, 60, 5120, 128, 128, 12_288, 102_400, 163_840, .paper("2405.04434"),
      experts: Experts(160, 6, width: 1536, shared: 3072, dense: 1, groups: 8, visited: 3),
      latent: .deepseek),
    Row(
      "deepseek-v3", .deepseekV3, 61, 7168, 128, 128, 18_432, 129_280, 163_840, .aiconfigurator,
      nextToken: 1,
      experts: Experts(256, 8, width: 2048, shared: 2048, dense: 3, groups: 8, visited: 4),
      latent: .deepseek),
    Row(
      "deepseek-r1", .deepseekV3, 61, 7168, 128, 128, 18_432, 129_280, 163_840, .aiconfigurator,
      nextToken: 1,
      experts: Experts(256, 8, width: 2048, shared: 2048, dense: 3, groups: 8, visited: 4),
      latent: .deepseek),
    Row(
      "deepseek-v3.2", .deepseekV3, 61, 7168, 128, 128, 18_432, 129_280, 163_840, .aiconfigurator,
      nextToken: 1,
      experts: Experts(256, 8, width: 2048, shared: 2048, dense: 3, groups: 8, visited: 4),
      latent: .deepseek, index: SparseIndex(heads: 64, dimension: 128, selectedKeys: 2_048)),
    Row(
      "kimi-k2", .deepseekV3, 61, 7168, 64, 64, 18_432, 163_840, 131_072, .aiconfigurator,
      experts: Experts(384, 8, width: 2048, shared: 2048, dense: 1), latent: .deepseek),
    Row(
      "gpt-oss-20b", .gptOss, 24, 2880, 64, 8, 2880, 201_088, 131_072, .aiconfigurator, head: 64,
      experts: Experts(32, 4, width: 2880), window: 128),
    Row(
      "gpt-oss-120b", .gptOss, 36, 2880, 64, 8, 2880, 201_088, 131_072, .aiconfigurator, head: 64,
      experts: Experts(128, 4, width: 2880), window: 128),
    Row(
      "minimax-m2.5", .miniMax, 62, 3072, 48, 8, 1536, 200_064, 196_608, .aiconfigurator, head: 128,
      nextToken: 3, experts: Experts(256, 8, width: 1536)),
  ]

  /// Gemma 1 to 3; of Gemma 3 the language model alone.
  static let gemma: [Row] = [
    Row("gemma-2b", .gemma, 18, 2048, 8, 1, 16_384, 256_000, 8192, .paper("2403.08295")),
    Row(
      "gemma-7b", .gemma, 28, 3072, 16, 16, 24_576, 256_000, 8192, .paper("2403.08295"), head: 256),
    Row(
      "gemma-2-2b", .gemma2, 26, 2304, 8, 4, 9216, 256_000, 8192, .paper("2408.00118"), head: 256,
      window: 4096),
    Row(
      "gemma-2-9b", .gemma2, 42, 3584, 16, 8, 14_336, 256_000, 8192, .paper("2408.00118"),
      head: 256, window: 4096),
    Row(
      "gemma-2-27b", .gemma2, 46, 4608, 32, 16, 36_864, 256_000, 8192, .paper("2408.00118"),
      head: 128, window: 4096),
    Row(
      "gemma-3-1b", .gemma3, 26, 1152, 4, 1, 6912, 262_144, 32_768, .paper("2503.19786"), head: 256,
      window: 512),
    Row(
      "gemma-3-4b", .gemma3, 34, 2560, 8, 4, 10_240, 262_208, 131_072, .paper("2503.19786"),
      head: 256, window: 1024),
    Row(
      "gemma-3-12b", .gemma3, 48, 3840, 16, 8, 15_360, 262_208, 131_072, .paper("2503.19786"),
      head: 256, window: 1024),
    Row(
      "gemma-3-27b", .gemma3, 62, 5376, 32, 16, 21_504, 262_208, 131_072, .paper("2503.19786"),
      head: 128, window: 1024),
  ]

  /// Phi.
  static let phi: [Row] = [
    Row("phi-1", .phi, 24, 2048, 32, 32, 8192, 51_200, 2048, .paper("2306.11644")),
    Row("phi-1.5", .phi, 24, 2048, 32, 32, 8192, 51_200, 2048, .paper("2309.05463")),
    Row("phi-2", .phi, 32, 2560, 32, 32, 10_240, 51_200, 2048, .huggingFace("microsoft/phi-2")),
    Row(
      "phi-3-mini", .mistral, 32, 3072, 32, 32, 8192, 32_064, 4096, .paper("2404.14219"),
      window: 2047),
    Row(
      "phi-3-medium", .mistral, 40, 5120, 40, 10, 17_920, 32_064, 4096, .paper("2404.14219"),
      window: 2047),
    Row("phi-4", .llama, 40, 5120, 40, 10, 17_920, 100_352, 16_384, .litgpt),
  ]

  /// Nemotron-4: squared ReLU, not gated.
  static let nemotron: [Row] = [
    Row("nemotron-4-15b", .nemotron, 32, 6144, 48, 8, 24_576, 256_000, 4096, .paper("2402.16819")),
    Row(
      "nemotron-4-340b", .nemotron, 96, 18_432, 96, 8, 73_728, 256_000, 4096, .paper("2406.11704")),
  ]
}
