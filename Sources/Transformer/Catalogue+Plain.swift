// The tables of the model catalogue: layers, hidden size, heads, key and value heads,
// feed-forward width, vocabulary, positions.

extension CatalogueRow {
  /// GPT-2 and GPT-3.
  static let gpt: [Row] = [
    Row("gpt2", .gpt, 12, 768, 12, 12, 3072, 50_257, 1024, .llmAnalysis),
    Row("gpt2-medium", .gpt, 24, 1024, 16, 16, 4096, 50_257, 1024, .llmAnalysis),
    Row("gpt2-large", .gpt, 36, 1280, 20, 20, 5120, 50_257, 1024, .llmAnalysis),
    Row("gpt2-xl", .gpt, 48, 1600, 25, 25, 6400, 50_257, 1024, .llmAnalysis),
    Row("gpt-3-125m", .gpt, 12, 768, 12, 12, 3072, 50_257, 2048, .neoX),
    Row("gpt-3-350m", .gpt, 24, 1024, 16, 16, 4096, 50_257, 2048, .neoX),
    Row("gpt-3-760m", .gpt, 24, 1536, 16, 16, 6144, 50_257, 2048, .neoX),
    Row("gpt-3-1.3b", .gpt, 24, 2048, 16, 16, 8192, 50_257, 2048, .neoX),
    Row("gpt-3-2.7b", .gpt, 32, 2560, 32, 32, 10_240, 50_257, 2048, .neoX),
    Row("gpt-3-6.7b", .gpt, 32, 4096, 32, 32, 16_384, 50_257, 2048, .neoX),
    Row("gpt-3-13b", .gpt, 40, 5120, 40, 40, 20_480, 50_257, 2048, .neoX),
    Row("gpt-3-175b", .gpt, 96, 12_288, 96, 96, 49_152, 51_200, 2048, .calculon),
  ]

  /// The GPT models of the Megatron-LM papers; vocabulary 50,257 padded to 51,200.
  static let megatron: [Row] = [
    Row("gpt-1.7b", .gpt, 24, 2304, 24, 24, 9216, 51_200, 2048, .paper("2104.04473")),
    Row("gpt-3.6b", .gpt, 30, 3072, 32, 32, 12_288, 51_200, 2048, .paper("2104.04473")),
    Row("gpt-7.5b", .gpt, 36, 4096, 32, 32, 16_384, 51_200, 2048, .paper("2104.04473")),
    Row("gpt-18b", .gpt, 40, 6144, 48, 48, 24_576, 51_200, 2048, .paper("2104.04473")),
    Row("gpt-22b", .gpt, 48, 6144, 64, 64, 24_576, 51_200, 2048, .calculon),
    Row("gpt-39b", .gpt, 48, 8192, 64, 64, 32_768, 51_200, 2048, .paper("2104.04473")),
    Row("gpt-76b", .gpt, 60, 10_240, 80, 80, 40_960, 51_200, 2048, .paper("2104.04473")),
    Row("gpt-145b", .gpt, 80, 12_288, 96, 96, 49_152, 51_200, 2048, .paper("2104.04473")),
    Row("gpt-310b", .gpt, 96, 16_384, 128, 128, 65_536, 51_200, 2048, .paper("2104.04473")),
    Row("gpt-530b", .gpt, 105, 20_480, 128, 128, 81_920, 51_200, 2048, .paper("2104.04473")),
    Row("gpt-1t", .gpt, 128, 25_600, 160, 160, 102_400, 51_200, 2048, .paper("2104.04473")),
    Row("mt-nlg-530b", .gpt, 105, 20_480, 128, 128, 81_920, 50_272, 2048, .llmAnalysis),
  ]

  /// OPT.
  static let opt: [Row] = [
    Row("opt-125m", .opt, 12, 768, 12, 12, 3072, 50_272, 2048, .llmAnalysis),
    Row("opt-1.3b", .opt, 24, 2048, 32, 32, 8192, 50_272, 2048, .llmAnalysis),
    Row("opt-2.7b", .opt, 32, 2560, 32, 32, 10_240, 50_272, 2048, .paper("2205.01068")),
    Row("opt-6.7b", .opt, 32, 4096, 32, 32, 16_384, 50_272, 2048, .llmAnalysis),
    Row("opt-13b", .opt, 40, 5120, 40, 40, 20_480, 50_272, 2048, .llmAnalysis),
    Row("opt-30b", .opt, 48, 7168, 56, 56, 28_672, 50_272, 2048, .paper("2205.01068")),
    Row("opt-66b", .opt, 64, 9216, 72, 72, 36_864, 50_272, 2048, .llmAnalysis),
    Row("opt-175b", .opt, 96, 12_288, 96, 96, 49_152, 50_272, 2048, .llmAnalysis),
  ]

  /// BLOOM.
  static let bloom: [Row] = [
    Row("bloom-560m", .bloom, 24, 1024, 16, 16, 4096, 250_880, 0, .llmAnalysis),
    Row("bloom-1b1", .bloom, 24, 1536, 16, 16, 6144, 250_880, 2048, .paper("2211.05100")),
    Row("bloom-1b7", .bloom, 24, 2048, 16, 16, 8192, 250_880, 2048, .paper("2211.05100")),
    Row("bloom-3b", .bloom, 30, 2560, 32, 32, 10_240, 250_880, 2048, .paper("2211.05100")),
    Row("bloom-7b1", .bloom, 30, 4096, 32, 32, 16_384, 250_880, 0, .llmAnalysis),
    Row("bloom-176b", .bloom, 70, 14_336, 112, 112, 57_344, 250_880, 0, .bigScience),
  ]

  /// GPT-J, GPT-NeoX and Pythia.
  static let neoX: [Row] = [
    Row(
      "gpt-j-6b", .gptJ, 28, 4096, 16, 16, 16_384, 50_400, 2048,
      .huggingFace("EleutherAI/gpt-j-6b")),
    Row("gpt-neox-20b", .neoX, 44, 6144, 64, 64, 24_576, 50_432, 2048, .neoX),
    Row("pythia-70m", .neoX, 6, 512, 8, 8, 2048, 50_304, 2048, .litgpt),
    Row("pythia-160m", .neoX, 12, 768, 12, 12, 3072, 50_304, 2048, .litgpt),
    Row("pythia-410m", .neoX, 24, 1024, 16, 16, 4096, 50_304, 2048, .litgpt),
    Row("pythia-1b", .neoX, 16, 2048, 8, 8, 8192, 50_304, 2048, .litgpt),
    Row("pythia-1.4b", .neoX, 24, 2048, 16, 16, 8192, 50_304, 2048, .litgpt),
    Row("pythia-2.8b", .neoX, 32, 2560, 32, 32, 10_240, 50_304, 2048, .litgpt),
    Row("pythia-6.9b", .neoX, 32, 4096, 32, 32, 16_384, 50_432, 2048, .litgpt),
    Row("pythia-12b", .neoX, 36, 5120, 40, 40, 20_480, 50_688, 2048, .litgpt),
  ]

  /// Falcon.
  static let falcon: [Row] = [
    Row("falcon-7b", .falcon, 32, 4544, 71, 1, 18_176, 65_024, 2048, .litgpt, norms: 1),
    Row("falcon-40b", .falcon, 60, 8192, 128, 8, 32_768, 65_024, 2048, .litgpt),
    Row("falcon-180b", .falcon, 80, 14_848, 232, 8, 59_392, 65_024, 2048, .litgpt),
  ]

  /// MPT as llm-foundry benchmarks it: learned positions and biases.
  ///
  /// The released 7B and 30B have ALiBi and no biases instead.
  static let mpt: [Row] = [
    Row("mpt-125m", .mpt, 12, 768, 12, 12, 3072, 50_368, 2048, .llmFoundry),
    Row("mpt-350m", .mpt, 24, 1024, 16, 16, 4096, 50_368, 2048, .llmFoundry),
    Row("mpt-760m", .mpt, 24, 1536, 12, 12, 6144, 50_368, 2048, .llmFoundry),
    Row("mpt-1b", .mpt, 24, 2048, 16, 16, 8192, 50_368, 2048, .llmFoundry),
    Row("mpt-3b", .mpt, 32, 2560, 20, 20, 10_240, 50_368, 2048, .llmFoundry),
    Row("mpt-7b", .mpt, 32, 4096, 32, 32, 16_384, 50_368, 2048, .llmFoundry),
    Row("mpt-13b", .mpt, 40, 5120, 40, 40, 20_480, 50_368, 2048, .llmFoundry),
    Row("mpt-30b", .mpt, 48, 7168, 56, 56, 28_672, 50_368, 2048, .llmFoundry),
    Row("mpt-70b", .mpt, 80, 8192, 64, 64, 32_768, 50_368, 2048, .llmFoundry),
  ]
}
