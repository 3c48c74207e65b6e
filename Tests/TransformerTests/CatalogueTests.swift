import Testing
import Transformer

@Suite struct CatalogueTests {
  /// What the catalogue calls the models that the reference table calls otherwise.
  static let renamed = [
    "llama-4-scout-17b-16e": "llama-4-scout", "llama-4-maverick-17b-128e": "llama-4-maverick",
    "megatron-22b": "gpt-22b", "megatron-1t": "gpt-1t",
  ]

  @Test("names are unique and in kebab case") func namesAreUnique() {
    let names = Architecture.catalogueNames
    #expect(Set(names).count == names.count)
    for name in names {
      #expect(name.allSatisfy { $0.isLowercase || $0.isNumber || $0 == "-" || $0 == "." })
      #expect(Architecture.named(name)?.name == name)
    }
  }

  @Test("every entry has a source") func everyEntryHasASource() {
    for entry in Architecture.catalogue { #expect(!entry.source.isEmpty) }
  }

  @Test("an entry is what its configuration describes", arguments: ReferenceModel.all)
  func agreesWithConfiguration(_ model: ReferenceModel) throws {
    guard var known = Architecture.named(model.name) else {
      // Families that are read but not worth a name of their own.
      let unnamed = ["qwen3-vl", "mimo", "kimi-k2.5", "minimax-m2.7"]
      #expect(unnamed.contains { model.name.hasPrefix($0) })
      return
    }
    var configuration = model.configuration
    if model.name == "mistral-7b" {
      // litgpt calls it a llama without a window; arXiv:2310.06825, table 1, has 4096.
      configuration.entries.insert(ConfigurationTree.Entry("model_type", "mistral"), at: 0)
      configuration.entries.append(ConfigurationTree.Entry("sliding_window", 4_096))
    }
    var read = try Architecture(configuration: configuration, name: known.name)
    // The tables write positions 0 where the configuration has no learned table.
    if read.positions != .learned {
      read.maximumPositions = 0
      known.maximumPositions = 0
    }
    #expect(known == read)
  }

  @Test(
    "models outside the reference table have their published size",
    arguments: [
      // arXiv:2302.13971 rounds these to 6.7, 13.0, 32.5 and 65.2 billion; the exact counts are
      // those of the converted checkpoints.
      ("llama-1-7b", 6_738_415_616), ("llama-1-13b", 13_015_864_320),
      ("llama-1-33b", 32_528_943_616), ("llama-1-65b", 65_285_660_672),
      // huggingface.co safetensors totals.
      ("gemma-2b", 2_506_172_416), ("gemma-7b", 8_537_680_896), ("gemma-2-2b", 2_614_341_888),
      ("gemma-2-9b", 9_241_705_984), ("gemma-2-27b", 27_227_128_320),
      ("gemma-3-1b", 999_885_952),
      ("phi-2", 2_779_683_840), ("phi-3-mini", 3_821_079_552),
      ("phi-3-medium", 13_960_238_080), ("gpt-j-6b", 6_050_882_784),
      ("starcoder", 15_517_456_384), ("starcoder2-3b", 3_030_371_328),
      ("starcoder2-7b", 7_173_923_840), ("starcoder2-15b", 15_957_889_024),
      ("code-llama-7b", 6_738_546_688), ("code-llama-34b", 33_743_970_304),
      ("yi-6b", 6_061_035_520), ("yi-34b", 34_388_917_248), ("mistral-7b-v0.3", 7_248_023_552),
      ("mistral-nemo-12b", 12_247_782_400), ("mistral-small-24b", 23_572_403_200),
      ("mistral-large-123b", 122_610_069_504), ("smollm2-135m", 134_515_008),
      ("smollm2-360m", 361_821_120), ("smollm2-1.7b", 1_711_376_384),
      ("smollm3-3b", 3_075_098_624), ("olmo-2-32b", 32_234_279_936),
      ("phi-4-mini", 3_836_021_760), ("qwen1.5-7b", 7_721_324_544),
      ("qwen1.5-moe-a2.7b", 14_315_784_192), ("qwen2-72b", 72_706_203_648),
      ("dbrx", 131_596_523_520), ("phi-3.5-moe", 41_873_153_344), ("olmoe-1b-7b", 6_919_161_856),
      ("deepseek-moe-16b", 16_375_728_128),
      ("deepseek-v2", 235_741_434_880), ("deepseek-v2-lite", 15_706_484_224),
    ])
  func publishedSize(_ name: String, _ parameters: Int) {
    #expect(Architecture.named(name)?.parameterCount == parameters)
  }

  @Test(
    "sizes known to a few digits only",
    arguments: [
      // arXiv:2402.16819: 3.2 B embedding + 12.5 B other; arXiv:2406.11704: 9.4 B + 331.6 B.
      ("nemotron-4-15b", 15.6e9, 0.01), ("nemotron-4-340b", 341e9, 0.002),
      // arXiv:2104.04473, table 1.
      ("gpt-1.7b", 1.7e9, 0.03), ("gpt-3.6b", 3.6e9, 0.02), ("gpt-7.5b", 7.5e9, 0.02),
      ("gpt-18b", 18.4e9, 0.005), ("gpt-39b", 39.1e9, 0.005), ("gpt-76b", 76.1e9, 0.005),
      ("gpt-145b", 145.6e9, 0.005), ("gpt-310b", 310.1e9, 0.005), ("gpt-530b", 529.6e9, 0.005),
      ("gpt-1t", 1_008e9, 0.001),
      // Model cards: 314 B; 355 B and 106 B with 32 B and 12 B active; 57 B with 14 B active.
      ("grok-1", 314e9, 0.01), ("glm-4.5", 355e9, 0.01), ("glm-4.5-air", 106e9, 0.02),
      ("qwen2-57b-a14b", 57.4e9, 0.01), ("moonlight-16b-a3b", 16e9, 0.01),
      // Model card: 109 B and 400 B with the vision tower of about 0.9 B.
      ("llama-4-scout", 108e9, 0.01), ("llama-4-maverick", 400e9, 0.005),
    ])
  func roughSize(_ name: String, _ parameters: Double, _ tolerance: Double) throws {
    let architecture = try #require(Architecture.named(name))
    #expect(abs(Double(architecture.parameterCount) / parameters - 1) < tolerance)
  }

  @Test(
    "usual other names are understood",
    arguments: [
      ("GPT3-175B", "gpt-3-175b"), ("meta-llama/Llama-2-7b-hf", "llama-2-7b"),
      ("megatron_1t", "gpt-1t"), ("meta-llama/Meta-Llama-3.1-8B", "llama-3.1-8b"),
      ("mistralai/Mixtral-8x7B-v0.1", "mixtral-8x7b"), ("bloom", "bloom-176b"),
      ("llama3-8b", "llama-3-8b"), ("Llama-2-7b-chat-hf", "llama-2-7b"),
      ("llama3.1_405b", "llama-3.1-405b"), ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.3-70b"),
      ("llama4-scout", "llama-4-scout"),
      ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama-4-scout"),
      ("qwen-2.5-7b", "qwen2.5-7b"), ("Qwen/Qwen3-30B-A3B-Base", "qwen3-30b-a3b"),
      ("gemma2-9b", "gemma-2-9b"), ("google/gemma-3-27b-it", "gemma-3-27b"),
      ("mistralai/Mistral-7B-v0.1", "mistral-7b"), ("deepseek-ai/DeepSeek-V3-Base", "deepseek-v3"),
      ("deepseekv2-lite-chat", "deepseek-v2-lite"), ("gptoss-120b", "gpt-oss-120b"),
      ("Nemotron4-340B", "nemotron-4-340b"), ("bigscience/bloom-7b1", "bloom-7b1"),
      ("microsoft/Phi-3-mini-4k-instruct", "phi-3-mini"), ("gpt2-1.5b", "gpt2-xl"),
      ("EleutherAI/pythia-6.9b-deduped", "pythia-6.9b"), ("gpt3_20b", "gpt-3-20b"),
      ("bigcode/starcoderbase", "starcoder"), ("xai-org/grok-1", "grok-1"),
      ("tiiuae/falcon-40b-instruct", "falcon-40b"), ("databricks/dbrx-base", "dbrx"),
    ])
  func otherNames(_ written: String, _ name: String) {
    #expect(Architecture.named(written)?.name == name)
  }

  @Test("an unknown name gets the nearest one") func suggestion() {
    #expect(Architecture.named("llama-3.1-80b") == nil)
    #expect(Architecture.nearestName(to: "lama-3.1-70b") == "llama-3.1-70b")
    #expect(Architecture.nearestName(to: "mixtrl-8x7b") == "mixtral-8x7b")
    #expect(Architecture.nearestName(to: "claude") == nil)
    // A swap of neighbours is one step, so `pipleine` is one from `pipeline`.
    #expect(nearest(to: "pipleine", among: ["tensor", "pipeline"], limit: 1) == "pipeline")
    #expect(nearest(to: "x", among: ["abc"]) == nil)
  }
}
