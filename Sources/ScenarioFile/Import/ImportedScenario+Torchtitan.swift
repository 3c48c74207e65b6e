import Transformer

extension ImportedScenario {
  /// Reads a job file of torchtitan up to v0.2.2, the last with TOML.
  mutating func readTorchtitan(
    _ text: String, path: String, _ supplement: Supplement
  ) throws(ScenarioError) {
    var job = TorchtitanJob(text)
    if supplement.model == nil {
      let name = job["model.name"] ?? ""
      let flavor = job["model.flavor"] ?? ""
      guard let model = Self.catalogueName(model: name, flavor: flavor) else {
        throw Self.missing(
          "a model of the catalogue ('\(name)' '\(flavor)'); give --model", in: path)
      }
      set("model", .string(model))
    }
    try readLayout(&job, path, supplement)
    try readTraining(&job, path, supplement)
    let unread = job.unread
    if !unread.isEmpty {
      notes.append("Not read, and perhaps of effect: \(unread.joined(separator: " "))")
    }
  }

  /// The catalogue's name of a torchtitan model.
  static func catalogueName(model: String, flavor: String) -> String? {
    let size = flavor.lowercased()
    let candidates: [String] =
      switch model.lowercased() {
      case "llama3": ["llama-3.1-\(size)", "llama-3-\(size)", "llama-3.2-\(size)"]
      case "llama2": ["llama-2-\(size)"]
      case "llama4": ["llama-4-\(size)"]
      case "deepseek_v3": size == "671b" ? ["deepseek-v3"] : []
      case "qwen3": ["qwen3-\(size)"]
      default: [model.lowercased() + "-" + size, size, model.lowercased()]
      }
    return candidates.first { Architecture.named($0) != nil }
  }

  private mutating func readLayout(
    _ job: inout TorchtitanJob, _ path: String, _ supplement: Supplement
  ) throws(ScenarioError) {
    // Older files have the degrees in [training] and [experimental].
    func degree(_ name: String, _ job: inout TorchtitanJob) -> Int? {
      for section in ["parallelism", "training", "experimental"] {
        if let value = job["\(section).\(name)"].flatMap({ Int($0) }) { return value }
      }
      return nil
    }
    let tensor = degree("tensor_parallel_degree", &job) ?? 1
    let pipeline = degree("pipeline_parallel_degree", &job) ?? 1
    let context = degree("context_parallel_degree", &job) ?? 1
    let replicas = degree("data_parallel_replicate_degree", &job) ?? 1
    let shard =
      degree("data_parallel_shard_degree", &job) ?? degree("data_parallel_degree", &job) ?? -1
    let model = tensor * pipeline * context
    if supplement.gpus == nil {
      guard shard > 0 else {
        throw Self.missing(
          "how many GPUs (data_parallel_shard_degree is -1); give --gpus", in: path)
      }
      set("cluster.gpus", .integer(model * replicas * shard))
    }
    set("parallelism.tensor", .integer(tensor))
    set("parallelism.sequence", .bool(tensor > 1))
    set("parallelism.pipeline", .integer(pipeline))
    set("parallelism.context", .integer(context))
    set(
      "parallelism.expert", degree("expert_parallel_degree", &job).map { .integer($0) })
    if replicas > 1 {
      let gpus = supplement.gpus ?? model * replicas * max(shard, 1)
      set("parallelism.shard_group", .integer(max(1, gpus / (tensor * pipeline * replicas))))
    }
    let isReplicated = shard == 1 && replicas > 1
    let reshards = job["parallelism.fsdp_reshard_after_forward"] ?? "default"
    let keeps = reshards == "never" || (reshards == "default" && pipeline > 1)
    set("parallelism.zero", .integer(isReplicated ? 0 : keeps ? 2 : 3))
    guard pipeline > 1 else { return }
    let schedule = (job["parallelism.pipeline_parallel_schedule"] ?? "1F1B").lowercased()
    switch schedule {
    case "1f1b": set("parallelism.schedule", "1f1b")
    case "gpipe": set("parallelism.schedule", "gpipe")
    case "interleaved1f1b":
      set("parallelism.schedule", "interleaved")
      set("parallelism.virtual_stages", .integer(2))
    case "interleavedzerobubble", "zbvzerobubble":
      set("parallelism.schedule", "zero-bubble")
    default:
      set("parallelism.schedule", "1f1b")
      notes.append("Schedule '\(schedule)' is not known: 1F1B taken.")
    }
  }

  private mutating func readTraining(
    _ job: inout TorchtitanJob, _ path: String, _ supplement: Supplement
  ) throws(ScenarioError) {
    let length = supplement.sequenceLength ?? job["training.seq_len"].flatMap { Int($0) }
    let local = (job["training.local_batch_size"] ?? job["training.batch_size"]).flatMap { Int($0) }
    guard let length, let local else {
      throw Self.missing("training.seq_len and training.local_batch_size", in: path)
    }
    set("training.sequence_length", .integer(length))
    func degree(_ key: String) -> Int {
      if case .integer(let value)? = tree["parallelism"]?[key] { Int(value) } else { 1 }
    }
    var gpus = 1
    if case .integer(let value)? = tree["cluster"]?["gpus"] { gpus = Int(value) }
    let data = max(1, gpus / (degree("tensor") * degree("pipeline") * degree("context")))
    let global = job["training.global_batch_size"].flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
    set("training.global_batch", .integer(global ?? local * data))
    // Under a pipeline the local batch is cut into microbatches.
    let cut = job["parallelism.pipeline_parallel_microbatch_size"].flatMap { Int($0) } ?? 1
    set("training.micro_batch", .integer(degree("pipeline") > 1 ? cut : local))
    if job["training.enable_cpu_offload"] == "true" {
      if tree["parallelism"]?["zero"] == .integer(3) {
        set("parallelism.offload.parameters", true)
      } else {
        notes.append("enable_cpu_offload is read where parameters are sharded; it is left out.")
      }
    }
    if let steps = job["training.steps"].flatMap({ Int($0) }) {
      set(
        "training.tokens",
        .number(Double(steps) * Double(global ?? local * data) * Double(length)))
    }
    let converters = (job["model.converters"] ?? "").lowercased()
    let old = job["float8.enable_float8_linear"] == "true"
    set(
      "training.precision",
      converters.contains("mx")
        ? "mxfp8-mixed" : converters.contains("float8") || old ? "fp8-mixed" : "bf16-mixed")
    set("training.optimizer", "adamw")
    let mode = job["activation_checkpoint.mode"] ?? "selective"
    set("training.recompute", .string(["none", "full"].contains(mode) ? mode : "selective"))
    if let option = job["activation_checkpoint.selective_ac_option"], mode == "selective",
      option != "op"
    {
      notes.append("selective_ac_option '\(option)' is taken as 'op'.")
    }
    set("training.framework", "torchtitan")
  }
}

/// The keys of a TOML job file: plain values only, which is all such files hold.
struct TorchtitanJob {
  private var values: [String: String] = [:]
  private var read: Set<String> = []

  /// Reads sections and `key = value` lines; anything else is passed over.
  init(_ text: String) {
    var section = ""
    for line in text.split(whereSeparator: \.isNewline) {
      var trimmed = Self.trimmed(Self.withoutComment(line))
      if trimmed.hasPrefix("[") {
        trimmed = trimmed.filter { $0 != "[" && $0 != "]" }
        section = Self.trimmed(trimmed[...])
        continue
      }
      guard let equals = trimmed.firstIndex(of: "=") else { continue }
      let key = Self.trimmed(trimmed[..<equals])
      let value = Self.trimmed(trimmed[trimmed.index(after: equals)...])
      let isNumber = Double(value.filter { $0 != "_" }) != nil
      values[section.isEmpty ? key : "\(section).\(key)"] =
        isNumber ? value.filter { $0 != "_" } : value.filter { $0 != "\"" && $0 != "'" }
    }
  }

  private static func withoutComment(_ line: Substring) -> Substring {
    var isQuoted = false
    for index in line.indices {
      if line[index] == "\"" { isQuoted.toggle() }
      if line[index] == "#", !isQuoted { return line[..<index] }
    }
    return line
  }

  private static func trimmed(_ text: Substring) -> String {
    var text = text
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }

  /// The value of a key with its section.
  subscript(_ key: String) -> String? {
    mutating get {
      read.insert(key)
      return values[key]
    }
  }

  /// Keys nobody asked for that bear on speed or memory, in alphabetical order.
  var unread: [String] {
    let sections = ["training", "parallelism", "activation_checkpoint", "float8", "experimental"]
    let idle = [
      "training.dataset", "training.dataset_path", "training.max_norm", "training.seed",
      "training.deterministic",
    ]
    return values.keys.filter { key in
      !read.contains(key) && !idle.contains(key) && sections.contains { key.hasPrefix($0 + ".") }
    }.sorted()
  }
}
