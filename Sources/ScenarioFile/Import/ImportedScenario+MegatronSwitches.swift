extension ImportedScenario {
  /// Reads the switches of Megatron-LM's arguments that change what is held or launched.
  mutating func readSwitches(_ flags: inout MegatronFlags, isNarrow: Bool) {
    let isLocal = flags.text("transformer_impl") == "local"
    if isLocal { set("training.layers", "local") }
    if flags.has("cross_entropy_loss_fusion") {
      set(
        "training.loss", flags.text("cross_entropy_fusion_impl") == "te" ? "fused" : "compiled")
    } else {
      _ = flags.text("cross_entropy_fusion_impl")
    }
    let isSeparate = flags.has("no_gradient_accumulation_fusion")
    set("training.gradient_accumulation", isSeparate ? "separate" : "fused")
    let limit = flags.integer("wgrad_deferral_limit") ?? 0
    if flags.has("defer_embedding_wgrad_compute") {
      // 0, the default, stands for all microbatches.
      set("training.deferred_gradients", .integer(limit > 0 ? limit : 1_000_000))
    }
    if flags.has("no_rope_fusion"), flags.text("position_embedding_type") == "rope" {
      set("training.rotary", "separate")
    }
    if flags.has("deterministic_mode") { set("training.deterministic", true) }
    if flags.has("fp8_param_gather"), isNarrow { set("training.quantized_parameters", true) }
    if flags.has("activation_func_fp8_input_store") {
      set("training.kept_formats.activation_inputs", "fp8")
    }
    if flags.text("cuda_graph_impl") == "full_iteration" { set("training.cuda_graph", "step") }
    if let configuration = flags.variables["CUBLAS_WORKSPACE_CONFIG"],
      let kibibytes = Self.workspace(of: configuration)
    {
      set("training.cublas_workspace", .string("\(kibibytes) KiB"))
    }
    if flags.values["num_experts"] != nil, !isLocal || flags.has("moe_grouped_gemm") {
      set("training.moe.grouped", .bool(flags.has("moe_grouped_gemm")))
    }
  }

  /// KiB of a workspace as `:4096:8`.
  ///
  /// That many buffers of so many KiB, several such one after the other.
  static func workspace(of configuration: String) -> Int? {
    let numbers = configuration.split(separator: ":").map { Int($0) }
    guard !numbers.isEmpty, numbers.count.isMultiple(of: 2) else { return nil }
    var total = 0
    for index in stride(from: 0, to: numbers.count, by: 2) {
      guard let size = numbers[index], let count = numbers[index + 1],
        (1...1_000_000).contains(size), (1...1_000).contains(count)
      else { return nil }
      total += size * count
    }
    return total
  }
}
