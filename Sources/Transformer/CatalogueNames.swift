/// How the names people write for a model become the catalogue's.
enum CatalogueNames {
  /// The catalogue's way to write `name`.
  ///
  /// Case does not count, `_` and blanks are read as `-`, an organisation before a slash and what a
  /// repository says of tuning, version or context behind the size are left out, and a family may
  /// be written with or without a dash before its version (`llama3.1-8b`, `qwen-2.5-7b`).
  static func canonical(_ name: String) -> String {
    var text = String(name.lowercased().map { $0 == "_" || $0 == " " ? "-" : $0 })
    if let slash = text.lastIndex(of: "/") { text = String(text[text.index(after: slash)...]) }
    for (prefix, replacement) in prefixes where text.hasPrefix(prefix) {
      text = replacement + text.dropFirst(prefix.count)
      break
    }
    if let known = others[text] { return known }
    var isShorter = true
    while isShorter {
      isShorter = false
      for ending in endings where text.hasSuffix(ending) && text.count > ending.count {
        text.removeLast(ending.count)
        isShorter = true
        if let known = others[text] { return known }
      }
    }
    return others[text] ?? text
  }

  /// Other ways to begin a family's names; of several that fit, the first.
  private static let prefixes = [
    ("meta-llama-", "llama-"), ("meta-llama", "llama"), ("gpt3-", "gpt-3-"), ("gpt-2-", "gpt2-"),
    ("gpt-neox-", "gpt-neox-"), ("gptneox-", "gpt-neox-"), ("neox-", "gpt-neox-"),
    ("gptoss-", "gpt-oss-"), ("gptj-", "gpt-j-"), ("codellama-", "code-llama-"),
    ("llama1-", "llama-1-"), ("llama2-", "llama-2-"), ("llama3-", "llama-3-"),
    ("llama3.1-", "llama-3.1-"), ("llama3.2-", "llama-3.2-"), ("llama3.3-", "llama-3.3-"),
    ("llama4-", "llama-4-"), ("llama-v2-", "llama-2-"), ("llama-v3-", "llama-3-"),
    ("qwen-1.5-", "qwen1.5-"), ("qwen-2.5-", "qwen2.5-"), ("qwen-2-", "qwen2-"),
    ("qwen-3-", "qwen3-"), ("gemma2-", "gemma-2-"), ("gemma3-", "gemma-3-"),
    ("phi1-", "phi-1-"), ("phi2", "phi-2"), ("phi3-", "phi-3-"), ("phi4", "phi-4"),
    ("olmo2-", "olmo-2-"), ("nemotron4-", "nemotron-4-"), ("nemotron-15b", "nemotron-4-15b"),
    ("nemotron-340b", "nemotron-4-340b"), ("deepseekv2", "deepseek-v2"),
    ("deepseekv3", "deepseek-v3"), ("deepseek-2", "deepseek-v2"), ("deepseek-3", "deepseek-v3"),
    ("megatron-gpt-", "gpt-"), ("starcoder-2-", "starcoder2-"), ("grok1", "grok-1"),
    ("smollm-2-", "smollm2-"), ("ministral-", "mistral-"),
    ("mamba-2-", "mamba2-"), ("nvidia-nemotron", "nemotron"), ("falconmamba-", "falcon-mamba-"),
    ("recurrent-gemma-", "recurrentgemma-"), ("qwen-3.5-", "qwen3.5-"),
    ("granite-4-h-", "granite-4.0-h-"), ("falcon-h-1-", "falcon-h1-"),
  ]

  /// What may follow the size of a model without changing its architecture.
  private static let endings = [
    "-hf", "-base", "-instruct", "-chat", "-it", "-pt", "-deduped", "-text", "-v0.1", "-v0.2",
    "-v1", "-v1.0", "-4k", "-8k", "-32k", "-128k", "-17b-16e", "-17b-128e", "-16e", "-128e",
    "-bf16", "-fp8", "-0324", "-0528", "-2501", "-2407", "-proxy", "-pretrain",
  ]

  /// Names that no rule leads to the catalogue's.
  private static let others = [
    "bloom": "bloom-176b", "bloom-7b": "bloom-7b1", "bloom-7.1b": "bloom-7b1",
    "bloom-1.1b": "bloom-1b1", "bloom-1.7b": "bloom-1b7",
    "megatron-22b": "gpt-22b", "megatron-530b": "gpt-530b", "megatron-8.3b": "gpt-8.3b",
    "megatron-1t": "gpt-1t", "gpt-175b": "gpt-3-175b", "gpt-3": "gpt-3-175b", "gpt3": "gpt-3-175b",
    "gpt-18.4b": "gpt-18b", "gpt-39.1b": "gpt-39b", "gpt-76.1b": "gpt-76b",
    "gpt-145.6b": "gpt-145b", "gpt-310.1b": "gpt-310b", "gpt-529.6b": "gpt-530b",
    "gpt-3-126m": "gpt-3-125m", "gpt-3-7b": "gpt-3-6.7b",
    "mt-nlg": "mt-nlg-530b", "opt": "opt-175b",
    "llama-7b": "llama-1-7b", "llama-13b": "llama-1-13b", "llama-30b": "llama-1-33b",
    "llama-33b": "llama-1-33b", "llama-65b": "llama-1-65b", "llama-1-30b": "llama-1-33b",
    "llama-3-405b": "llama-3.1-405b", "gpt-j": "gpt-j-6b", "gpt-neox": "gpt-neox-20b",
    "deepseek-v2-236b": "deepseek-v2", "deepseek-v2-16b": "deepseek-v2-lite",
    "deepseek-v3-671b": "deepseek-v3", "deepseek-671b": "deepseek-v3",
    "deepseek-v3.2-exp": "deepseek-v3.2",
    "llama-4-scout-17b": "llama-4-scout", "llama-4-maverick-17b": "llama-4-maverick",
    "llama-4-scout-109b": "llama-4-scout", "llama-4-maverick-400b": "llama-4-maverick",
    "gpt2-small": "gpt2", "gpt-2": "gpt2", "gpt2-124m": "gpt2", "gpt2-125m": "gpt2",
    "gpt2-345m": "gpt2-medium", "gpt2-355m": "gpt2-medium", "gpt2-774m": "gpt2-large",
    "gpt2-1.5b": "gpt2-xl", "gpt2-1558m": "gpt2-xl",
    "jamba": "jamba-v0.1", "jamba-large": "jamba-1.5-large", "qwen3-next": "qwen3-next-80b-a3b",
    "qwen3-next-80b": "qwen3-next-80b-a3b", "qwen3-coder-next": "qwen3-next-80b-a3b",
    "kimi-linear": "kimi-linear-48b-a3b", "kimi-linear-48b": "kimi-linear-48b-a3b",
    "minimax-01": "minimax-text-01", "minimax-m1": "minimax-text-01",
    "minimax-m1-80k": "minimax-text-01", "nemotron-3-nano": "nemotron-3-nano-30b-a3b",
    "nemotron-3-nano-30b": "nemotron-3-nano-30b-a3b", "falcon-mamba": "falcon-mamba-7b",
    "grok": "grok-1", "grok-1-314b": "grok-1", "dbrx-132b": "dbrx", "starcoderbase": "starcoder",
    "starcoder-15b": "starcoder", "starcoder-15.5b": "starcoder",
    "starcoderbase-15.5b": "starcoder", "phi-2-2.7b": "phi-2", "phi-1.5-1.3b": "phi-1.5",
    "phi-1-5": "phi-1.5", "phi-3-mini-3.8b": "phi-3-mini", "phi-3-medium-14b": "phi-3-medium",
    "phi-4-14b": "phi-4", "tinyllama": "tinyllama-1.1b", "mistral-nemo": "mistral-nemo-12b",
    "mistral-small": "mistral-small-24b", "mistral-large": "mistral-large-123b",
    "kimi-k2-1t": "kimi-k2", "mixtral": "mixtral-8x7b", "moonlight": "moonlight-16b-a3b",
  ]
}
