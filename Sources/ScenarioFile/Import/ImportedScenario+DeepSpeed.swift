extension ImportedScenario {
  /// Reads `ds_config.json` (`docs/_pages/config-json.md` of DeepSpeed at edaa722).
  mutating func readDeepSpeed(
    _ text: String, path: String, _ supplement: Supplement
  ) throws(ScenarioError) {
    let root = try SourceNode.reading(json: text.utf8, file: path)
    guard supplement.model != nil else { throw Self.missing("the model; give --model", in: path) }
    guard supplement.sequenceLength != nil else {
      throw Self.missing("the sequence length; give --sequence-length", in: path)
    }
    try readBatch(root, path, supplement)
    readStates(root)
    let known: Set<String> = [
      "train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "bf16",
      "bfloat16", "fp16", "zero_optimization", "optimizer", "activation_checkpointing",
      "gradient_clipping", "steps_per_print", "wall_clock_breakdown", "scheduler",
      "communication_data_type", "data_types",
    ]
    if case .mapping(let entries) = root.content {
      let unread = entries.map(\.key).filter { !known.contains($0) }
      if !unread.isEmpty { notes.append("Not read: \(unread.joined(separator: ", "))") }
    }
  }

  /// train_batch_size = train_micro_batch_size_per_gpu × gradient_accumulation_steps × GPUs.
  private mutating func readBatch(
    _ root: SourceNode, _ path: String, _ supplement: Supplement
  ) throws(ScenarioError) {
    let total = root["train_batch_size"]?.wholeNumber
    let micro = root["train_micro_batch_size_per_gpu"]?.wholeNumber
    let accumulation = root["gradient_accumulation_steps"]?.wholeNumber
    var gpus = supplement.gpus
    if gpus == nil, let total, let micro, let accumulation, micro > 0, accumulation > 0,
      total.isMultiple(of: micro), (total / micro).isMultiple(of: accumulation)
    {
      gpus = total / micro / accumulation
      notes.append("The GPUs follow from the three batch sizes.")
    }
    guard let gpus, gpus > 0 else { throw Self.missing("how many GPUs; give --gpus", in: path) }
    set("cluster.gpus", .integer(gpus))
    let each: Int
    if let micro {
      each = micro
    } else if let total, (total / gpus / max(1, accumulation ?? 1)) > 0 {
      each = total / gpus / max(1, accumulation ?? 1)
    } else {
      throw Self.missing(
        "train_micro_batch_size_per_gpu as a number ('auto' is set by another program)", in: path)
    }
    set("training.global_batch", .integer(total ?? each * (accumulation ?? 1) * gpus))
    set("training.micro_batch", .integer(each))
  }

  private mutating func readStates(_ root: SourceNode) {
    let zero = root["zero_optimization"]
    set("parallelism.zero", .integer(zero?["stage"]?.wholeNumber ?? 0))
    if zero?["overlap_comm"]?.flag == false { set("parallelism.overlap", "none") }
    if let device = zero?["offload_optimizer"]?["device"]?.scalarText, device != "none" {
      set("parallelism.offload.optimizer", true)
      if device != "cpu" { notes.append("offload_optimizer to \(device) is taken as to the host.") }
    }
    if let device = zero?["offload_param"]?["device"]?.scalarText, device != "none" {
      if zero?["stage"]?.wholeNumber == 3 {
        set("parallelism.offload.parameters", true)
      } else {
        notes.append("offload_param goes with stage 3; it is left out.")
      }
      if device != "cpu" { notes.append("offload_param to \(device) is taken as to the host.") }
    }
    if let group = zero?["zero_hpz_partition_size"]?.wholeNumber, group > 1 {
      set("parallelism.secondary_group", .integer(group))
    }
    if let group = zero?["mics_shard_size"]?.wholeNumber, group > 0 {
      set("parallelism.shard_group", .integer(group))
    }
    for key in ["quantized_weights", "quantized_gradients"]
    where zero?["zero_" + key]?.flag == true { set("parallelism.\(key)", true) }
    // DeepSpeed counts elements.
    if let bucket = zero?["reduce_bucket_size"]?.wholeNumber, bucket > 0 {
      set("parallelism.bucket_parameters", .integer(bucket))
    }
    let isBfloat = (root["bf16"] ?? root["bfloat16"])?["enabled"]?.flag == true
    let isHalf = root["fp16"]?["enabled"]?.flag == true
    set("training.precision", isBfloat ? "bf16-mixed" : isHalf ? "fp16-mixed" : "fp32")
    let optimizer = root["optimizer"]?["type"]?.scalarText?.lowercased() ?? "adamw"
    if optimizer.contains("sgd") {
      set("training.optimizer", "sgd-momentum")
    } else if optimizer.contains("lion") {
      set("training.optimizer", "lion")
    } else {
      set("training.optimizer", "adamw")
      if !optimizer.contains("adam") {
        notes.append("Optimizer '\(optimizer)' is taken as AdamW.")
      }
    }
    set("training.recompute", root["activation_checkpointing"] == nil ? "none" : "full")
    notes.append(
      root["activation_checkpointing"] == nil
        ? "Recomputation is set in the training program, not here: none taken."
        : "activation_checkpointing: full recomputation taken.")
    set("training.framework", "deepspeed")
  }
}

extension SourceNode {
  /// The text of a single value.
  var scalarText: String? { if case .scalar(let text, _) = content { text } else { nil } }

  /// A whole number, also one written `5e7`.
  var wholeNumber: Int? {
    scalarText.flatMap { Double($0.filter { $0 != "_" }) }.flatMap { Int(exactly: $0) }
  }

  /// `true` or `false`.
  var flag: Bool? {
    switch scalarText?.lowercased() {
    case "true": true
    case "false": false
    default: nil
    }
  }
}
