import ScenarioFile
import Testing

/// What is allowed and has no effect is said, with its line; mistakes in lists name theirs.
@Suite struct DoubtTests {
  private static func scenario(
    model: String = "llama-3.1-8b", cluster: String = "gpus: 64", layout: String = "tensor: 4",
    training: String = "", more: String = ""
  ) -> String {
    """
    model: \(model)
    cluster:
      gpu: h100-sxm-80gb
      \(cluster)
    parallelism:
      \(layout)
    training:
      sequence_length: 8192
      global_batch: 128
      micro_batch: 1
      \(training)
    \(more)
    """
  }

  private static func warnings(_ text: String) throws -> [String] {
    try Scenario(ScenarioSource(path: "a.yaml", text: text)).warnings
  }

  @Test("a sound scenario has none") func none() throws {
    #expect(try Self.warnings(Self.scenario()) == [])
    #expect(
      try Self.warnings(Self.scenario(layout: "{tensor: 1, pipeline: 1, context: 1, zero: 0}"))
        == [])
  }

  @Test(
    "layout keys that change nothing",
    arguments: [
      ("first_stage_layers: 3", "first_stage_layers (line 6): has no effect: pipeline is 1"),
      ("last_stage_layers: 3", "last_stage_layers (line 6): has no effect: pipeline is 1"),
      ("context_style: ulysses", "context_style (line 6): has no effect: context is 1"),
      ("sequence: true", "sequence (line 6): has no effect: tensor is 1"),
      ("shard_group: 8", "shard_group (line 6): has no effect: zero is 0: nothing is sharded"),
      (
        "{zero: 1, quantized_weights: true}",
        "quantized_weights (line 6): has no effect: it goes with zero: 3"
      ),
      (
        "reshard_after_forward: true",
        "reshard_after_forward (line 6): has no effect: it goes with zero: 3"
      ),
      (
        "quantized_gradients: true",
        "quantized_gradients (line 6): has no effect: zero is 0: gradients are all-reduced"
      ),
      (
        "{zero: 3, bucket_parameters: 1000000}",
        "bucket_parameters (line 6): has no effect: under zero: 3 each layer is a bucket"
      ),
      (
        "{zero: 3, pipeline: 2, reshard_after_forward: false, secondary_group: 8}",
        "secondary_group (line 6): has no effect: parameters gathered for a forward pass stay for "
          + "its backward pass"
      ),
      ("expert_tensor: 2", "expert_tensor (line 6): has no effect: the model has no experts"),
    ])
  func layout(keys: String, expected: String) throws {
    #expect(
      try Self.warnings(Self.scenario(layout: keys)) == ["parallelism." + expected + "."])
  }

  @Test("a key of the command line says so") func option() throws {
    let source = ScenarioSource(
      path: "a.yaml", text: Self.scenario(),
      overrides: [ScenarioOverride(key: "parallelism.context_style", value: "ring")])
    #expect(
      try Scenario(source).warnings
        == ["parallelism.context_style (--set): has no effect: context is 1."])
  }

  @Test("experts' keys on a dense model, and on one whose experts are at hand") func experts()
    throws
  {
    #expect(
      try Self.warnings(Self.scenario(training: "moe: {dispatcher: fused}"))
        == ["training.moe (line 11): has no effect: the model has no experts."])
    let local = Self.scenario(
      model: "mixtral-8x7b", training: "moe: {dispatcher: fused, imbalance: 1.2}")
    #expect(
      try Self.warnings(local.replacing("tensor: 4", with: "tensor: 1"))
        == ["training.moe.dispatcher (line 11): has no effect: expert is 1."])
  }

  @Test("keys of the optimizer and the software, also where the model has no experts")
  func software() throws {
    let text = Self.scenario(
      layout: "{tensor: 4, keep_outputs: true}",
      training: "optimizer: adafactor\n  moments: bf16\n  moe: {grouped: true}")
    #expect(
      try Self.warnings(text) == [
        "training.moments (line 12): has no effect: the states of adafactor have a format of their own.",
        "parallelism.keep_outputs (line 6): has no effect: pipeline is 1.",
        "training.moe (line 13): has no effect: the model has no experts.",
      ])
  }

  @Test(
    "a format or a kernel that the GPU has not is taken for another, and said so",
    arguments: [
      (
        "h100-sxm-80gb", "precision: nvfp4-mixed",
        ["no units for nvfp4: multiplies are taken to run at its rate of fp8"]
      ),
      (
        "h100-sxm-80gb", "precision: mxfp8-mixed",
        ["no units for mxfp8: multiplies are taken to run at its rate of fp8"]
      ),
      (
        "a100-sxm-80gb", "precision: fp8-mixed",
        ["no units for fp8: multiplies are taken to run at its rate of bf16"]
      ),
      (
        "v100-sxm2-32gb", "precision: bf16\n  attention: unfused",
        ["no units for bf16: multiplies are taken to run at its rate of fp32"]
      ),
      ("v100-sxm2-32gb", "precision: fp32\n  attention: unfused", []),
      ("v100-sxm2-32gb", "precision: fp16-mixed\n  attention: unfused", []),
      (
        "v100-sxm2-32gb", "precision: fp16-mixed",
        ["older than what flash-2 is made for: taken to run there all the same"]
      ),
      (
        "a100-sxm-80gb", "attention: flash-3",
        ["is older than Hopper, which FlashAttention-3 is for"]
      ),
      ("h100-sxm-80gb", "attention: flash-3", []), ("h100-sxm-80gb", "precision: fp8-mixed", []),
      ("b200-sxm", "precision: nvfp4-mixed", []), ("b200-sxm", "precision: mxfp8-mixed", []),
    ])
  func units(gpu: String, key: String, expected: [String]) throws {
    let text = Self.scenario(training: key).replacing("h100-sxm-80gb", with: gpu)
    let found = try Self.warnings(text)
    #expect(found.count == expected.count, "\(found)")
    for (warning, part) in zip(found, expected) { #expect(warning.contains(part), "\(warning)") }
  }

  @Test("fused experts are Blackwell's") func fusedExperts() throws {
    let text = Self.scenario(
      model: "mixtral-8x7b",
      training: "framework: megatron-core\n  precision: mxfp8-mixed\n  moe: {fused_experts: true}")
    #expect(try Self.warnings(text).contains { $0.contains("older than Blackwell") })
    let newer = text.replacing("h100-sxm-80gb", with: "b200-sxm")
    #expect(try !newer.isEmpty && !Self.warnings(newer).contains { $0.contains("Blackwell") })
  }

  @Test(
    "switches of the software and of sharding that change nothing",
    arguments: [
      ("{zero: 1, overlap: within-layers}", "", "parallelism.overlap (line 6): has no effect"),
      ("{zero: 2, overlap: none}", "", "parallelism.zero (line 6): has no effect"),
      (
        "{zero: 3, reduce_each_microbatch: false}", "framework: megatron-core",
        "Megatron FSDP reduces after each"
      ),
      ("tensor: 4", "loss_chunks: 100000", "more than the 8192 tokens of a microbatch"),
      (
        "tensor: 4", "recompute: full\n  kept_formats: {activation_inputs: fp8}",
        "training.kept_formats (line 12): has no effect"
      ),
      ("tensor: 4", "overlap_sends: false", "training.overlap_sends (line 11): has no effect"),
      ("tensor: 4", "recompute: selective", "training.recompute (line 11): has no effect"),
      (
        "tensor: 4", "framework: nemo\n  precision: mxfp8-mixed\n  moe: {fused_experts: true}",
        "training.moe (line 13): has no effect: the model has no experts"
      ),
    ])
  func switches(layout: String, training: String, expected: String) throws {
    let found = try Self.warnings(Self.scenario(layout: layout, training: training))
    #expect(found.contains { $0.contains(expected) }, "\(found)")
  }

  @Test("experts one by one cannot be in the graph of a step") func graphOfExperts() {
    let text = Self.scenario(
      model: "mixtral-8x7b",
      training: "framework: megatron-core\n  cuda_graph: step\n  moe: {grouped: false}")
    #expect(throws: ScenarioError.self) { try Self.warnings(text) }
    #expect(throws: Never.self) {
      try Self.warnings(text.replacing("grouped: false", with: "grouped: true"))
    }
  }

  @Test("keys of the run and the network that go with others") func others() throws {
    #expect(
      try Self.warnings(Self.scenario(more: "run: {draws: 10, price: {storage_gb_month: 1 USD}}"))
        == [
          "run.draws (line 12): has no effect: it goes with failures or stragglers.",
          "run.price.storage_gb_month (line 12): has no effect: no checkpoint is kept.",
        ])
    #expect(
      try Self.warnings(
        Self.scenario(cluster: "{gpus: 64, inter_node: {leaves_per_pod: 2, topology: fat-tree}}")
          .replacing("  gpu: h100-sxm-80gb\n  {", with: "  {gpu: h100-sxm-80gb, "))
        == ["cluster.inter_node.leaves_per_pod (line 3): has no effect: it goes with levels: 3."])
  }

  @Test("a phase is doubted for what it says itself, not for what it has from the scenario")
  func phases() throws {
    let text = Self.scenario(
      layout: "{tensor: 4, context_style: ring}",
      more: """
        phases:
          - name: first
          - name: long
            tokens: 1e9
            parallelism: {bucket_parameters: 1000, zero: 3}
        """)
    #expect(
      try Self.warnings(text) == [
        "parallelism.context_style (line 6): has no effect: context is 1.",
        "phases[2].parallelism.bucket_parameters (line 16): has no effect: under zero: 3 each layer "
          + "is a bucket.",
      ])
  }

  @Test(
    "mistakes of uneven stages name the key that was written",
    arguments: [
      (
        "{pipeline: 4, first_stage_layers: 40}",
        "first_stage_layers: 40 are more than the 32 layers"
      ),
      (
        "{pipeline: 4, first_stage_layers: 4, last_stage_layers: 40}",
        "last_stage_layers: 4 and 40 are more than the 32 layers"
      ),
      (
        "{pipeline: 4, last_stage_layers: 3}",
        "last_stage_layers: 3 leave 29 layers, which 3 ranks cannot share evenly"
      ),
      (
        "{pipeline: 2, first_stage_layers: 3, last_stage_layers: 4}",
        "first_stage_layers: 3 and 4 are not the 32 layers, and there is no rank between"
      ),
      (
        "{pipeline: 4, last_stage_layers: 32}",
        "last_stage_layers: 0 needs a layer on every stage between the ends"
      ),
      (
        "{pipeline: 2, stage_layers: [16, 16], first_stage_layers: 3}",
        "first_stage_layers: stage_layers says the layers of every stage already"
      ),
      (
        "{pipeline: 2, stage_layers: [16, 17]}",
        "stage_layers: [16, 17] needs 2 counts that add up to the 32 layers"
      ),
    ])
  func stages(keys: String, expected: String) {
    let lines = Sample.mistakes(Self.scenario(layout: keys))
    #expect(lines.count == 1)
    #expect(lines.first?.hasPrefix("a.yaml:6:") == true)
    #expect(lines.first?.hasSuffix("error: parallelism." + expected) == true, "\(lines)")
  }

  @Test("huge numbers, empty lists and things that are no mapping get one complaint each")
  func single() {
    #expect(
      Sample.mistakes(Sample.replacing("gpus: 64", with: "gpus: 99999999999999999999")) == [
        "a.yaml:5:9: error: cluster.gpus: 99999999999999999999 is more than 16777216"
      ])
    #expect(
      Sample.mistakes(Sample.text + "\nphases: []") == [
        "a.yaml:16:9: error: phases: the list is empty; leave the key out for a run of one phase"
      ])
    #expect(
      Sample.mistakes(Sample.text + "\nrun: {failures: 5}") == [
        "a.yaml:16:17: error: run.failures: 5 is not a mapping of keys to values"
      ])
    #expect(
      Sample.mistakes(Sample.text + "\n  recompute: {modules: [mlp, attn]}") == [
        "a.yaml:16:30: error: training.recompute.modules: 'attn' is not one of core_attn, moe_act, "
          + "layernorm, mla_up_proj, mlp, moe, shared_experts"
      ])
  }

  @Test("a step of more instructions than can be simulated is refused, with its size")
  func size() throws {
    // 10⁹ sequences over 64 / 4 replicas are 62.5 million microbatches of 16 instructions: a forward and
    // a backward pass of 8.
    let lines = Sample.mistakes(
      Self.scenario().replacing("global_batch: 128", with: "global_batch: 1e9"))
    #expect(lines.count == 1)
    #expect(
      lines.first?.hasPrefix(
        "a.yaml:9:17: error: training.global_batch: 1000000000 sequences are 62500000 microbatches of a "
          + "step with about 1000 million instructions; at most 50 million are simulated") == true)
    let ranks = Sample.mistakes(
      Self.scenario(cluster: "gpus: 2097152", more: "simulation: {jitter: {gpu: 1 %}}")
        .replacing("global_batch: 128", with: "global_batch: 524288"))
    #expect(
      ranks == [
        "a.yaml:12:22: error: simulation.jitter: with ranks of different speeds at most 1048576 GPUs "
          + "are simulated, not 2097152"
      ])
  }
}

extension String {
  fileprivate func replacing(_ old: String, with new: String) -> String {
    guard let range = firstRange(of: old) else { return self }
    return String(self[..<range.lowerBound]) + new + String(self[range.upperBound...])
  }
}
