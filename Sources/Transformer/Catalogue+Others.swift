// The tables of the model catalogue: layers, hidden size, heads, key and value heads,
// feed-forward width, vocabulary, positions.

extension CatalogueRow {
  /// StarCoder (arXiv:2305.06161, multi-query attention) and StarCoder 2 (arXiv:2402.19173).
  static let starcoder: [Row] = [
    Row(
      "starcoder", .gpt, 40, 6144, 48, 1, 24_576, 49_152, 8192,
      .huggingFace("bigcode/starcoder")),
    Row(
      "starcoder2-3b", .starcoder2, 30, 3072, 24, 2, 12_288, 49_152, 16_384,
      .huggingFace("bigcode/starcoder2-3b"), window: 4096),
    Row(
      "starcoder2-7b", .starcoder2, 32, 4608, 36, 4, 18_432, 49_152, 16_384,
      .huggingFace("bigcode/starcoder2-7b"), window: 4096),
    Row(
      "starcoder2-15b", .starcoder2, 40, 6144, 48, 4, 24_576, 49_152, 16_384,
      .huggingFace("bigcode/starcoder2-15b"), tied: false, window: 4096),
  ]

  /// Other models of Llama's and Mistral's make.
  static let likeLlama: [Row] = [
    Row(
      "code-llama-7b", .llama, 32, 4096, 32, 32, 11_008, 32_016, 16_384, .paper("2308.12950")),
    Row(
      "code-llama-34b", .llama, 48, 8192, 64, 8, 22_016, 32_000, 16_384, .paper("2308.12950")),
    Row("yi-6b", .llama, 32, 4096, 32, 4, 11_008, 64_000, 4096, .paper("2403.04652")),
    Row("yi-34b", .llama, 60, 7168, 56, 8, 20_480, 64_000, 4096, .paper("2403.04652")),
    Row(
      "mistral-7b-v0.3", .llama, 32, 4096, 32, 8, 14_336, 32_768, 32_768,
      .huggingFace("mistralai/Mistral-7B-v0.3")),
    Row(
      "mistral-nemo-12b", .llama, 40, 5120, 32, 8, 14_336, 131_072, 131_072,
      .huggingFace("mistralai/Mistral-Nemo-Base-2407"), head: 128),
    Row(
      "mistral-small-24b", .llama, 40, 5120, 32, 8, 32_768, 131_072, 32_768,
      .huggingFace("mistralai/Mistral-Small-24B-Base-2501"), head: 128),
    Row(
      "mistral-large-123b", .llama, 88, 12_288, 96, 8, 28_672, 32_768, 131_072,
      .huggingFace("mistralai/Mistral-Large-Instruct-2407")),
    Row(
      "smollm2-135m", .llama, 30, 576, 9, 3, 1536, 49_152, 8192, .paper("2502.02737"), tied: true),
    Row(
      "smollm2-360m", .llama, 32, 960, 15, 5, 2560, 49_152, 8192, .paper("2502.02737"), tied: true
    ),
    Row(
      "smollm2-1.7b", .llama, 24, 2048, 32, 32, 8192, 49_152, 8192, .paper("2502.02737"),
      tied: true),
    Row(
      "smollm3-3b", .llama, 36, 2048, 16, 4, 11_008, 128_256, 65_536,
      .huggingFace("HuggingFaceTB/SmolLM3-3B"), tied: true),
    Row("olmo-2-32b", .olmo2, 64, 5120, 40, 8, 27_648, 100_352, 4096, .paper("2501.00656")),
    Row(
      "phi-4-mini", .llama, 32, 3072, 24, 8, 8192, 200_064, 131_072, .paper("2503.01743"),
      tied: true),
  ]

  /// Qwen 1.5 and 2.
  static let olderQwen: [Row] = [
    Row(
      "qwen1.5-7b", .qwen2, 32, 4096, 32, 32, 11_008, 151_936, 32_768,
      .huggingFace("Qwen/Qwen1.5-7B")),
    Row(
      "qwen1.5-moe-a2.7b", .qwen2Mixture, 24, 2048, 16, 16, 5632, 151_936, 8192,
      .huggingFace("Qwen/Qwen1.5-MoE-A2.7B"), experts: Experts(60, 4, width: 1408, shared: 5632)),
    Row(
      "qwen2-0.5b", .qwen2, 24, 896, 14, 2, 4864, 151_936, 131_072, .paper("2407.10671"), tied: true
    ),
    Row(
      "qwen2-1.5b", .qwen2, 28, 1536, 12, 2, 8960, 151_936, 131_072, .paper("2407.10671"),
      tied: true),
    Row("qwen2-7b", .qwen2, 28, 3584, 28, 4, 18_944, 152_064, 131_072, .paper("2407.10671")),
    Row("qwen2-72b", .qwen2, 80, 8192, 64, 8, 29_568, 152_064, 131_072, .paper("2407.10671")),
    Row(
      "qwen2-57b-a14b", .qwen2Mixture, 28, 3584, 28, 4, 18_944, 151_936, 131_072,
      .paper("2407.10671"), experts: Experts(64, 8, width: 2560, shared: 20_480)),
  ]

  /// Other mixtures of experts.
  static let otherExperts: [Row] = [
    Row(
      "grok-1", .gemma2, 64, 6144, 48, 8, 32_768, 131_072, 8192, .huggingFace("xai-org/grok-1"),
      experts: Experts(8, 2, width: 32_768)),
    Row(
      "dbrx", .dbrx, 40, 6144, 48, 8, 10_752, 100_352, 32_768,
      .huggingFace("databricks/dbrx-base"), experts: Experts(16, 4, width: 10_752)),
    Row(
      "phi-3.5-moe", .phiMixture, 32, 4096, 32, 8, 6400, 32_064, 131_072, .paper("2404.14219"),
      experts: Experts(16, 2, width: 6400)),
    Row(
      "olmoe-1b-7b", .olmo2, 16, 2048, 16, 16, 1024, 50_304, 4096, .paper("2409.02060"),
      experts: Experts(64, 8, width: 1024)),
    Row(
      "deepseek-moe-16b", .llama, 28, 2048, 16, 16, 10_944, 102_400, 4096, .paper("2401.06066"),
      experts: Experts(64, 6, width: 1408, shared: 2816, dense: 1)),
    Row(
      "moonlight-16b-a3b", .deepseekV3, 27, 2048, 16, 16, 11_264, 163_840, 8192,
      .paper("2502.16982"),
      experts: Experts(64, 6, width: 1408, shared: 2816, dense: 1), latent: .deepseekLite),
    Row(
      "glm-4.5", .glm, 92, 5120, 96, 8, 12_288, 151_552, 131_072, .paper("2508.06471"), head: 128,
      nextToken: 1, experts: Experts(160, 8, width: 1536, shared: 1536, dense: 3)),
    Row(
      "glm-4.5-air", .glmAir, 46, 4096, 96, 8, 10_944, 151_552, 131_072, .paper("2508.06471"),
      head: 128, nextToken: 1, experts: Experts(128, 8, width: 1408, shared: 1408, dense: 1)),
  ]

  /// Sizes of NVIDIA's NeMo recipes for GPT-3, and Megatron's first large model.
  static let nemo: [Row] = [
    Row("gpt-3-5b", .gpt, 24, 4096, 32, 32, 16_384, 50_257, 2048, .nemo),
    Row("gpt-3-20b", .gpt, 44, 6144, 48, 48, 24_576, 50_257, 2048, .nemo),
    Row("gpt-3-40b", .gpt, 48, 8192, 64, 64, 32_768, 50_257, 2048, .nemo),
    Row("gpt-8.3b", .gpt, 72, 3072, 32, 32, 12_288, 51_200, 1024, .paper("1909.08053")),
  ]
}
