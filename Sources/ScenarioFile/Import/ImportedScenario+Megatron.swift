extension ImportedScenario {
  /// Reads the arguments of Megatron-LM (`megatron/training/arguments.py` at d98e8a6).
  mutating func readMegatron(
    _ text: String, path: String, _ supplement: Supplement
  ) throws(ScenarioError) {
    var flags = MegatronFlags(text)
    guard !flags.values.isEmpty else { throw Self.missing("any --flag", in: path) }
    if supplement.model == nil { try readModel(&flags, path) }
    try readCluster(&flags, path, supplement)
    readLayout(&flags)
    try readTraining(&flags, path, supplement)
    readEvaluation(&flags)
    let unread = flags.unread
    if !unread.isEmpty {
      notes.append("Not read, and perhaps of effect: \(unread.joined(separator: " "))")
    }
  }

  /// Every `--eval-interval` steps `--eval-iters` batches as large as those of training pass.
  ///
  /// `evaluate` in `megatron/training/training.py`.
  private mutating func readEvaluation(_ flags: inout MegatronFlags) {
    guard let every = flags.integer("eval_interval"), every > 0,
      case .integer(let batch)? = tree["training"]?["global_batch"]
    else { return }
    // 100 unless given (`arguments.py`).
    let batches = flags.integer("eval_iters") ?? 100
    guard batches > 0 else { return }
    set("run.evaluation.every_steps", .integer(every))
    set("run.evaluation.sequences", .integer(Int64(batches) * batch))
  }

  private mutating func readModel(_ flags: inout MegatronFlags, _ path: String)
    throws(ScenarioError)
  {
    guard let layers = flags.integer("num_layers", "encoder_num_layers"),
      let hidden = flags.integer("hidden_size"), let heads = flags.integer("num_attention_heads")
    else {
      throw Self.missing("--num-layers, --hidden-size and --num-attention-heads", in: path)
    }
    let isGated = flags.has("swiglu")
    // Megatron's default: 4 h, of a gated block two thirds of it in multiples of 64.
    let usual = isGated ? hidden * 8 / 3 / 64 * 64 : 4 * hidden
    set("model.name", tree["name"])
    set("model.hidden_size", .integer(hidden))
    set("model.num_hidden_layers", .integer(layers))
    set("model.num_attention_heads", .integer(heads))
    if flags.has("group_query_attention") {
      set("model.num_key_value_heads", flags.integer("num_query_groups").map { .integer($0) })
    } else if !flags.has("multi_latent_attention") {
      set("model.num_key_value_heads", .integer(heads))
    }
    set("model.head_dim", flags.integer("kv_channels").map { .integer($0) })
    set("model.intermediate_size", .integer(flags.integer("ffn_hidden_size") ?? usual))
    set(
      "model.hidden_act",
      isGated ? "silu" : flags.has("squared_relu") ? "relu2" : "gelu")
    if let vocabulary = flags.integer("vocab_size", "padded_vocab_size") {
      set("model.vocab_size", .integer(vocabulary))
    } else {
      set("model.vocab_size", .integer(50_257))
      notes.append(
        "The vocabulary is the tokenizer's and not in the arguments: GPT-2's 50,257 taken.")
    }
    set(
      "model.tie_word_embeddings", .bool(!flags.has("untie_embeddings_and_output_weights")))
    set(
      "model.max_position_embeddings",
      (flags.integer("max_position_embeddings") ?? flags.integer("seq_length", "encoder_seq_length"))
        .map { .integer($0) })
    let isRotary =
      ["rope", "yarn"].contains(flags.text("position_embedding_type") ?? "")
      || flags.has("use_rotary_position_embeddings")
    let hasNone = flags.text("position_embedding_type") == "none"
    set("model.position_embedding", .string(isRotary ? "rotary" : hasNone ? "none" : "learned"))
    set(
      "model.norm", .string(flags.text("normalization") == "RMSNorm" ? "rmsnorm" : "layernorm"))
    set("model.use_bias", .bool(!flags.has("disable_bias_linear")))
    if flags.has("add_qkv_bias") { set("model.qkv_bias", true) }
    if flags.has("qk_layernorm") { set("model.qk_norm", true) }
    set("model.attention_dropout", .number(flags.number("attention_dropout") ?? 0.1))
    set("model.hidden_dropout", .number(flags.number("hidden_dropout") ?? 0.1))
    readLatentAttention(&flags)
    readExperts(&flags)
    set(
      "model.num_nextn_predict_layers", flags.integer("mtp_num_layers").map { .integer($0) })
  }

  private mutating func readLatentAttention(_ flags: inout MegatronFlags) {
    guard flags.has("multi_latent_attention") else { return }
    // Defaults of MLATransformerConfig.
    set("model.q_lora_rank", flags.integer("q_lora_rank").map { .integer($0) })
    set("model.kv_lora_rank", .integer(flags.integer("kv_lora_rank") ?? 512))
    set("model.qk_nope_head_dim", .integer(flags.integer("qk_head_dim") ?? 128))
    set("model.qk_rope_head_dim", .integer(flags.integer("qk_pos_emb_head_dim") ?? 64))
    set("model.v_head_dim", .integer(flags.integer("v_head_dim") ?? 128))
  }

  private mutating func readExperts(_ flags: inout MegatronFlags) {
    guard let experts = flags.integer("num_experts") else { return }
    set("model.num_experts", .integer(experts))
    set("model.num_experts_per_tok", .integer(flags.integer("moe_router_topk") ?? 2))
    set("model.moe_intermediate_size", flags.integer("moe_ffn_hidden_size").map { .integer($0) })
    set(
      "model.shared_expert_intermediate_size",
      flags.integer("moe_shared_expert_intermediate_size").map { .integer($0) })
    guard let pattern = flags.text("moe_layer_freq") else { return }
    if let every = Int(pattern) {
      set("model.moe_layer_freq", .integer(every))
    } else if pattern.hasPrefix("([0]*"),
      let dense = Int(pattern.dropFirst(5).prefix { $0.isNumber })
    {
      // "([0]*3+[1]*58)": dense layers first, then mixtures.
      set("model.first_k_dense_replace", .integer(dense))
    } else {
      notes.append("--moe-layer-freq '\(pattern)' was not understood: every layer is a mixture.")
    }
  }

  private mutating func readCluster(
    _ flags: inout MegatronFlags, _ path: String, _ supplement: Supplement
  ) throws(ScenarioError) {
    let variables = flags.variables
    func variable(_ names: [String]) -> Int? {
      names.lazy.compactMap { variables[$0].flatMap { Int($0) } }.first
    }
    let perNode =
      flags.integer("nproc_per_node")
      ?? variable(["GPUS_PER_NODE", "NPROC_PER_NODE", "GPU_PER_NODE"])
    let nodes = flags.integer("nnodes") ?? variable(["NNODES", "NUM_NODES", "SLURM_NNODES"])
    for name in [
      "node_rank", "master_addr", "master_port", "rdzv_id", "rdzv_backend", "rdzv_endpoint",
    ] {
      _ = flags.has(name)
    }
    if supplement.gpus == nil {
      let world = variable(["WORLD_SIZE"])
      guard let gpus = world ?? perNode.map({ $0 * (nodes ?? 1) }) else {
        throw Self.missing("how many GPUs; give --gpus", in: path)
      }
      set("cluster.gpus", .integer(gpus))
    }
    set("cluster.gpus_per_node", perNode.map { .integer($0) })
  }

  private mutating func readLayout(_ flags: inout MegatronFlags) {
    let tensor = flags.integer("tensor_model_parallel_size") ?? 1
    let pipeline = flags.integer("pipeline_model_parallel_size") ?? 1
    set("parallelism.tensor", .integer(tensor))
    set("parallelism.sequence", .bool(flags.has("sequence_parallel") && tensor > 1))
    set("parallelism.pipeline", .integer(pipeline))
    var chunks = flags.integer("num_virtual_stages_per_pipeline_rank")
    if let each = flags.integer("num_layers_per_virtual_pipeline_stage"), each > 0,
      let layers = flags.integer("num_layers")
    {
      chunks = layers / max(1, pipeline) / each
    }
    if let layout = flags.text("pipeline_model_parallel_layout") {
      let stages = Self.stageLayers(ofLayout: layout)
      if pipeline > 0, stages.count > pipeline { chunks = stages.count / pipeline }
      set("parallelism.stage_layers", .array(stages.map { .integer($0) }))
      if layout.contains("m") {
        notes.append("Next-token modules are taken to be on the last stage.")
      }
    }
    readEnds(&flags, stages: pipeline * max(1, chunks ?? 1))
    if let chunks, chunks > 1 {
      set("parallelism.virtual_stages", .integer(chunks))
      set("parallelism.schedule", "interleaved")
    }
    set("parallelism.context", .integer(flags.integer("context_parallel_size") ?? 1))
    let styles = [
      "p2p": "ring", "a2a": "ulysses", "allgather": "all-gather", "all_gather": "all-gather",
    ]
    if let kind = flags.text("cp_comm_type") {
      set("parallelism.context_style", styles[kind].map { .string($0) })
      if styles[kind] == nil { notes.append("--cp-comm-type \(kind) is taken as p2p.") }
    }
    let expert = flags.integer("expert_model_parallel_size") ?? 1
    set("parallelism.expert", .integer(expert))
    if let expertTensor = flags.integer("expert_tensor_parallel_size") {
      set("parallelism.expert_tensor", .integer(expertTensor))
    }
    let strategies = ["no_shard": 0, "optim": 1, "optim_grads": 2, "optim_grads_params": 3]
    let strategy = flags.text("data_parallel_sharding_strategy").flatMap { strategies[$0] }
    let isFSDP = flags.has("use_megatron_fsdp") || flags.has("use_custom_fsdp")
    let isSharded = flags.has("use_distributed_optimizer")
    set("parallelism.zero", .integer(isFSDP ? strategy ?? 3 : isSharded ? 1 : 0))
    set("parallelism.bucket_parameters", flags.integer("ddp_bucket_size").map { .integer($0) })
    if let instances = flags.integer("num_distributed_optimizer_instances"), instances > 1,
      let data = dataDegree
    {
      let ranks = data * (flags.integer("context_parallel_size") ?? 1)
      set("parallelism.shard_group", .integer(max(1, ranks / instances)))
    }
    readDispatch(&flags)
    let overlaps = flags.has("overlap_grad_reduce")
    let gathers = flags.has("overlap_param_gather")
    if !overlaps, !gathers, !isFSDP { set("parallelism.overlap", "none") }
    if flags.has("no_overlap_p2p_communication") { set("training.overlap_sends", false) }
    if flags.has("use_tp_pp_dp_mapping"), pipeline > 1 {
      if flags.integer("context_parallel_size") ?? 1 > 1 || expert > 1 {
        notes.append(
          "--use-tp-pp-dp-mapping beside context or expert ranks is left out: stages are taken to be "
            + "apart.")
      } else {
        set("parallelism.order", "tp-cp-pp-dp")
      }
    }
  }

  private mutating func readDispatch(_ flags: inout MegatronFlags) {
    let names = ["alltoall": "all-to-all", "allgather": "all-gather", "flex": "fused"]
    set(
      "training.moe.dispatcher",
      flags.text("moe_token_dispatcher_type").flatMap { names[$0] }.map { .string($0) })
    set(
      "training.moe.capacity_factor",
      flags.number("moe_expert_capacity_factor").map { .number($0) })
    if flags.has("moe_shared_expert_overlap") { set("training.moe.overlap_shared", true) }
    if flags.has("overlap_moe_expert_parallel_comm") { set("training.moe.overlap", true) }
  }

  /// Layers of the ends where they have fewer.
  ///
  /// As said, or with the embedding or the loss counted as a layer of its stage.
  private mutating func readEnds(_ flags: inout MegatronFlags, stages: Int) {
    set(
      "parallelism.first_stage_layers",
      flags.integer("decoder_first_pipeline_num_layers").map { .integer($0) })
    set(
      "parallelism.last_stage_layers",
      flags.integer("decoder_last_pipeline_num_layers").map { .integer($0) })
    let embedding = flags.has("account_for_embedding_in_pipeline_split") ? 1 : 0
    let loss = flags.has("account_for_loss_in_pipeline_split") ? 1 : 0
    guard embedding + loss > 0, stages > 1, let layers = flags.integer("num_layers"),
      (layers + embedding + loss).isMultiple(of: stages)
    else { return }
    var counts = Array(repeating: (layers + embedding + loss) / stages, count: stages)
    counts[0] -= embedding
    counts[stages - 1] -= loss
    set("parallelism.stage_layers", .array(counts.map { .integer($0) }))
  }

  /// Layers of each stage of a layout as `Et*2|(tt|)*22t|(tt|)*7mL`.
  ///
  /// `t` is a layer, `|` ends a stage, `*n` repeats the letter or the group before it.
  static func stageLayers(ofLayout layout: String) -> [Int] {
    var flat: [Character] = []
    var unit: [Character] = []
    var group: [Character]?
    var rest = layout[...]
    while let character = rest.popFirst() {
      switch character {
      case "(": group = []
      case ")":
        unit = group ?? []
        group = nil
        flat += unit
      case "*":
        let digits = rest.prefix { $0.isNumber }
        rest = rest.dropFirst(digits.count)
        // No model has more layers, and no layout more stages.
        let times = min(Int(digits) ?? 1, 10_000 / max(1, unit.count))
        let more = Array(repeatElement(unit, count: max(0, times - 1)).joined())
        if group == nil { flat += more } else { group? += more }
      case ",", " ": break
      default:
        unit = [character]
        if group == nil { flat.append(character) } else { group?.append(character) }
      }
    }
    return flat.split(separator: "|", omittingEmptySubsequences: false).map { stage in
      stage.count { $0 == "t" }
    }
  }

  private mutating func readTraining(
    _ flags: inout MegatronFlags, _ path: String, _ supplement: Supplement
  ) throws(ScenarioError) {
    let length = supplement.sequenceLength ?? flags.integer("seq_length", "encoder_seq_length")
    guard let length, let micro = flags.integer("micro_batch_size") else {
      throw Self.missing("--seq-length and --micro-batch-size", in: path)
    }
    set("training.sequence_length", .integer(length))
    let global = flags.integer("global_batch_size")
    if let global {
      set("training.global_batch", .integer(global))
    } else {
      // Megatron's default: one microbatch on each data rank.
      guard let data = dataDegree else { throw Self.missing("--global-batch-size", in: path) }
      set("training.global_batch", .integer(micro * data))
      notes.append("No --global-batch-size: one microbatch on each of \(data) data ranks.")
    }
    set("training.micro_batch", .integer(micro))
    if let samples = flags.integer("train_samples") {
      set("training.tokens", .number(Double(samples) * Double(length)))
    } else if let steps = flags.integer("train_iters"), let global {
      set("training.tokens", .number(Double(steps) * Double(global) * Double(length)))
    }
    if flags.has("rampup_batch_size") {
      notes.append("--rampup-batch-size is left out: every step has the full batch.")
    }
    let isBfloat = flags.has("bf16")
    let isHalf = flags.has("fp16")
    let precision: JSONValue =
      if let format = flags.text("fp8_format"), !format.isEmpty {
        flags.text("fp8_recipe") == "mxfp8" ? "mxfp8-mixed" : "fp8-mixed"
      } else {
        isBfloat ? "bf16-mixed" : isHalf ? "fp16-mixed" : "fp32"
      }
    set("training.precision", precision)
    set("training.optimizer", flags.text("optimizer") == "sgd" ? "sgd-momentum" : "adamw")
    readRecompute(&flags)
    let reducesWide =
      flags.has("accumulate_allreduce_grads_in_fp32") || isBfloat
    let narrow = flags.text("main_grads_dtype").map { $0 != "fp32" } ?? false
    set("training.gradients", .string(reducesWide && !narrow ? "fp32" : "parameters"))
    let isTransformerEngine = flags.text("transformer_impl") != "local"
    let flash = flags.has("use_flash_attn") || flags.text("attention_backend") == "flash"
    let isPlain = flags.text("attention_backend") == "unfused"
    set(
      "training.attention",
      isPlain ? "unfused" : flash || isTransformerEngine ? "flash-2" : "fused-softmax")
    if isTransformerEngine, let backend = flags.text("attention_backend"),
      ["flash", "fused"].contains(backend)
    {
      set("training.attention_backend", .string(backend))
    }
    set("training.framework", "megatron-core")
    readSwitches(&flags, isNarrow: flags.text("fp8_format") != nil)
    if flags.has("optimizer_cpu_offload") { set("parallelism.offload.optimizer", true) }
  }

  /// The data-parallel degree that GPUs and layout leave.
  private var dataDegree: Int? {
    func integer(_ section: String, _ key: String) -> Int? {
      if case .integer(let value)? = tree[section]?[key] { Int(value) } else { nil }
    }
    guard let gpus = integer("cluster", "gpus") else { return nil }
    let degrees = ["tensor", "pipeline", "context"].map { integer("parallelism", $0) ?? 1 }
    let model = degrees.reduce(1, *)
    return model > 0 && gpus.isMultiple(of: model) ? gpus / model : nil
  }

  private mutating func readRecompute(_ flags: inout MegatronFlags) {
    let layers = flags.integer("recompute_num_layers")
    let method = flags.text("recompute_method")
    if flags.has("recompute_activations") {
      set("training.recompute", "selective")
    } else if flags.text("recompute_granularity") == "full" {
      // `block`: that many layers of each stage; `uniform`: all, in units of so many.
      if method == "block", let layers {
        set("training.recompute", ["full_layers": .integer(layers)])
      } else {
        set("training.recompute", "full")
        if let layers, layers > 1 {
          notes.append("Units of \(layers) recomputed layers are taken as units of one.")
        }
      }
    } else if flags.text("recompute_granularity") == "selective" {
      if let modules = flags.values["recompute_modules"], !modules.isEmpty {
        _ = flags.has("recompute_modules")
        set("training.recompute", ["modules": .array(modules.map { .string($0) })])
      } else {
        set("training.recompute", "selective")
      }
    } else {
      set("training.recompute", "none")
    }
  }
}
