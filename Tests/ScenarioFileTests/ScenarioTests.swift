import Hardware
import Kernels
import Layout
import Quantities
import RunForecast
import ScenarioFile
import StepProgram
import Testing
import Transformer

@Suite struct ScenarioTests {
  @Test("a framework without a model's recurrence is refused, with those that have it")
  func recurrences() throws {
    func mistakes(_ framework: String) -> [String] {
      Sample.mistakes(
        Sample.replacing("llama-3.1-8b", with: "nemotron-h-8b") + "\n  framework: \(framework)\n")
    }
    #expect(mistakes("megatron-core") == [])
    let text = mistakes("nanotron").joined()
    #expect(text.contains("nanotron has no layers of mamba-2; use megatron-core, nemo"))
  }

  @Test("values and defaults reach the job") func values() throws {
    let scenario = try Sample.read(Sample.text)
    let job = scenario.job
    #expect(scenario.name == "sample")
    #expect(scenario.tokens == 2e12)
    // 64 GPUs / (tensor 4 × pipeline 2).
    #expect(job.parallelism.data == 8)
    #expect(job.parallelism.schedule == .interleaved)
    // Tensor parallelism under the generic framework splits the sequence.
    #expect(job.parallelism.sequence)
    #expect(job.parallelism.zero == 0)
    #expect(job.training.attention == .flash2)
    #expect(job.training.precision == .bf16Mixed)
    // 400 Gb/s = 50 GB/s.
    #expect(job.cluster.interNode.rate == .gigabytesPerSecond(50))
    #expect(job.cluster.interNode.latency == SimDuration(picoseconds: 4_000_000))
    // 128 sequences / (1 × 8).
    #expect(job.microbatchCount == 16)
  }

  @Test("experts stay whole where ranks are too few to cut them or recipes leave them so")
  func expertTensor() throws {
    func text(expert: Int, framework: String, rest: String = "") -> String {
      """
      {"model": "mixtral-8x7b", "cluster": {"gpu": "h100-sxm-80gb", "gpus": 16},
       "parallelism": {"tensor": 4, "expert": \(expert)\(rest)},
       "training": {"sequence_length": 4096, "global_batch": 16, "micro_batch": 1,
                    "framework": "\(framework)"}}
      """
    }
    func read(_ text: String) throws -> Parallelism {
      try Scenario(ScenarioSource(path: "a.json", text: text)).job.parallelism
    }
    // 16 ranks a stage: 4 × 4 cut as the rest is; 8 × 4 does not go, 8 × 1 does.
    #expect(try read(text(expert: 4, framework: "megatron-core")).expertTensor == 4)
    #expect(try read(text(expert: 8, framework: "megatron-core")).expertTensor == 1)
    #expect(try read(text(expert: 4, framework: "nemo")).expertTensor == 1)
    let given = text(expert: 4, framework: "nemo", rest: #", "expert_tensor": 2"#)
    #expect(try read(given).expertTensor == 2)
  }

  @Test("without tokens a run trains 20 per parameter") func tokens() throws {
    let text = Sample.text.replacing("  tokens: 2e12\n", with: "")
    // Llama 3.1 8B has 8,030,261,248 parameters.
    #expect(try Sample.read(text).tokens == 20 * 8_030_261_248)
  }

  @Test("the resolved scenario reads back to an equal one") func resolved() throws {
    let first = try Sample.read(Sample.text)
    let second = try Scenario(
      ScenarioSource(path: "resolved.json", text: first.resolved.text))
    #expect(second.job == first.job)
    #expect(second.resolved == first.resolved)
    #expect(second.hash == first.hash)
    let other = try Sample.read(Sample.replacing("tensor: 4", with: "tensor: 8"))
    #expect(other.hash != first.hash)
  }

  @Test("JSON and YAML read alike") func json() throws {
    let json = """
      {"name": "sample", "model": "llama-3.1-8b",
       "cluster": {"gpu": "h100-sxm-80gb", "gpus": 64,
                   "inter_node": {"bandwidth": "400 Gb/s", "latency": "4 us"}},
       "parallelism": {"tensor": 4, "pipeline": 2, "virtual_stages": 2},
       "training": {"tokens": 2e12, "sequence_length": 8192, "global_batch": 128,
                    "micro_batch": 1}}
      """
    let fromJSON = try Scenario(ScenarioSource(path: "a.json", text: json))
    #expect(try Sample.read(Sample.text) == fromJSON)
  }

  @Test("keys set on the command line win, and null takes a key away") func overrides() throws {
    let overrides = ["parallelism.tensor=8", "parallelism.zero=1", "training.tokens=null"]
      .compactMap { ScenarioOverride($0) }
    #expect(overrides.count == 3)
    let scenario = try Sample.read(Sample.text, overrides)
    #expect(scenario.job.parallelism.tensor == 8)
    #expect(scenario.job.parallelism.data == 4)
    #expect(scenario.job.parallelism.zero == 1)
    #expect(scenario.tokens == 20 * 8_030_261_248)
    #expect(ScenarioOverride("tensor") == nil)
    #expect(ScenarioOverride("a..b=1") == nil)
    let wrong = ScenarioOverride(key: "parallelism.tensor", value: "x")
    #expect(
      throws: ScenarioError.wrong([
        Diagnostic(
          position: SourcePosition(file: "--set parallelism.tensor", line: 1, column: 1),
          keyPath: "parallelism.tensor", message: "x is not a whole number")
      ])
    ) { try Sample.read(Sample.text, [wrong]) }
  }

  @Test("optimizer states can be left to the host") func offload() throws {
    let text = Sample.replacing("tensor: 4", with: "tensor: 4\n  offload: {optimizer: true}")
    let scenario = try Sample.read(text)
    #expect(scenario.job.parallelism.offloadsOptimizer)
    let again = try Scenario(ScenarioSource(path: "b.json", text: scenario.resolved.text))
    #expect(again.job == scenario.job)
    #expect(!(try Sample.read(Sample.text).job.parallelism.offloadsOptimizer))
  }

  @Test("shards of parameters can wait in the host's memory; FSDP's states and gradients then, too")
  func offloadOfParameters() throws {
    func layout(_ framework: String, zero: Int) throws -> Parallelism {
      let text =
        Sample.replacing(
          "tensor: 4", with: "tensor: 4\n  zero: \(zero)\n  offload: {parameters: true}")
        + "\n  framework: \(framework)\n"
      let scenario = try Sample.read(text)
      let again = try Scenario(ScenarioSource(path: "b.json", text: scenario.resolved.text))
      #expect(again.job == scenario.job)
      return scenario.job.parallelism
    }
    let deepspeed = try layout("deepspeed", zero: 3)
    #expect(deepspeed.offloadsParameters && !deepspeed.offloadsOptimizer)
    let fsdp = try layout("torchtitan", zero: 3)
    #expect(fsdp.offloadsParameters && fsdp.offloadsOptimizer)
    #expect(throws: ScenarioError.self) { try layout("deepspeed", zero: 1) }
  }

  @Test("recompute takes modules, which the model must have") func modules() throws {
    let text = Sample.text + "\n  recompute: {modules: [layernorm, core_attn, mlp]}"
    let scenario = try Sample.read(text)
    let modules: RecomputeModules = [.coreAttention, .norms, .feedForward]
    #expect(scenario.job.training.recompute == .modules(modules))
    let again = try Scenario(ScenarioSource(path: "b.json", text: scenario.resolved.text))
    #expect(again.job == scenario.job)
    #expect(
      Sample.mistakes(Sample.text + "\n  recompute: {modules: [moe_act]}").first?.contains(
        "moe, moe_act and shared_experts need experts") == true)
    #expect(
      Sample.mistakes(Sample.text + "\n  recompute: {modules: [mlps]}").first?.contains(
        "'mlps' is not one of core_attn, moe_act, layernorm") == true)
  }

  @Test("what is saved, compiled, cut and kept is read and printed") func memoryKeys() throws {
    let text =
      Sample.text + """

          recompute: {saved: [qkv_proj], offloaded: [decoder_layer_input]}
          framework: torchtitan
          compile: all
          loss_chunks: 4
          moments: bf16
        """
    let override = try #require(ScenarioOverride("parallelism.keep_outputs=false"))
    let scenario = try Sample.read(text, [override])
    let training = scenario.job.training
    #expect(
      training.recompute == .saved([.queryKeyValue, .layerInput], offloaded: .layerInput))
    #expect(training.compiled == .all)
    #expect(training.lossChunks == 4)
    #expect(training.momentFormat == .bf16)
    #expect(scenario.job.parallelism.sharding.keepsOutputs == false)
    let again = try Scenario(ScenarioSource(path: "b.json", text: scenario.resolved.text))
    #expect(again.job == scenario.job)
    for (line, complaint) in [
      ("recompute: {saved: [all]}", "'all' is not one of qkv_proj"),
      ("recompute: {offloaded: []}", "an empty list is not a list of some of qkv_proj"),
      ("loss_chunks: 0", "loss_chunks"), ("compile: loss", "'loss' is not one of"),
      ("moments: fp4", "'fp4' is not one of fp32, bf16"),
    ] {
      #expect(
        Sample.mistakes(Sample.text + "\n  \(line)").first?.contains(complaint) == true, "\(line)")
    }
  }

  @Test("launches that block are read and printed") func blockingLaunches() throws {
    let plain = try Sample.read(Sample.text)
    #expect(!plain.job.training.blocksLaunches)
    let scenario = try Sample.read(Sample.text + "\n  blocking_launches: true")
    #expect(scenario.job.training.blocksLaunches)
    #expect(scenario.resolved["training"]?["blocking_launches"] == .bool(true))
  }

  @Test("switches of Megatron-Core are read, printed, and refused where they have no use")
  func switches() throws {
    let keys =
      Sample.text
        + """

          framework: megatron-core
          precision: fp8-mixed
          layers: transformer-engine
          loss: compiled
          gradient_accumulation: fused
          deferred_gradients: 2
          quantized_parameters: true
          deterministic: false
          rotary: separate
          cublas_workspace: 8320 KiB
          kept_formats: {activation_inputs: fp8, attention_outputs: e5m6}
          cuda_graph: step
          moe: {fused_experts: false}
        """
    let scenario = try Sample.read(keys)
    let switches = scenario.job.training.switches
    #expect(switches.layers == .transformerEngine && switches.loss == .compiled)
    #expect(switches.fusesGradientAccumulation == true && switches.deferredGradients == 2)
    #expect(switches.graph == .step && switches.fusesExperts == false)
    #expect(switches.quantizesParameters == true && switches.fusesRotary == false)
    #expect(switches.cublasWorkspace == Bytes(8_320 * 1_024))
    #expect(
      switches.keptFormats == KeptFormats(activationInputs: .fp8, attentionOutputs: .e5m6))
    let again = try Scenario(
      ScenarioSource(path: "a.json", text: scenario.resolved.text))
    #expect(again.job == scenario.job)

    func mistake(_ more: String, _ text: String = Sample.text) -> String {
      Sample.mistakes(text + more).first ?? ""
    }
    let ordered = try Sample.read(Sample.text + "\n  deterministic: true")
    #expect(ordered.job.training.switches.isDeterministic)
    #expect(ordered.resolved["training"]?["deterministic"] == .bool(true))
    #expect(
      mistake("\n  deterministic: true\n  loss: fused").contains("needs loss: plain"))
    for old in ["flash-1", "flash-triton"] {
      #expect(
        mistake("\n  deterministic: true\n  attention: \(old)").contains("use flash-2 or flash-3"))
    }
    // What llm-foundry runs is written out, and read back without a warning.
    for (asked, warnings) in [("", 0), ("\n  attention: flash-2", 1)] {
      let foundry = try Sample.read(Sample.text + "\n  framework: llm-foundry" + asked)
      #expect(foundry.job.training.attention == .flashTriton)
      #expect(foundry.warnings.count { $0.contains("flash-triton") } == warnings)
      #expect(foundry.resolved["training"]?["attention"] == .string("flash-triton"))
    }
    let later = try Sample.read(
      Sample.text + "\n  framework: llm-foundry\n  attention_backend: flash")
    #expect(later.job.training.attention == .flash2)
    #expect(!later.warnings.contains { $0.contains("flash-triton") })
    #expect(later.resolved["training"]?["attention_backend"] == .string("flash"))
    #expect(
      mistake("\n  attention: flash-3\n  attention_backend: flash").contains(
        "goes with attention: flash-2"))
    #expect(
      mistake("\n  framework: nanotron\n  loss: fused").contains(
        "a switch of megatron-core, nemo, generic, not of nanotron"))
    let flat = Sample.replacing("pipeline: 2\n  virtual_stages: 2", with: "pipeline: 1")
    #expect(mistake("\n  deferred_gradients: 2", flat).contains("no other stages to wait for"))
    #expect(
      mistake("\n  deferred_gradients: 2\n  gradient_accumulation: separate").contains(
        "needs gradient_accumulation: fused"))
    #expect(mistake("\n  quantized_parameters: true").contains("bf16-mixed multiplies in"))
    #expect(
      mistake("\n  kept_formats: {activation_inputs: e5m6}").contains("activation_inputs"))
    #expect(
      mistake("\n  framework: nanotron\n  kept_formats: {activation_inputs: fp8}").contains(
        "a switch of megatron-core"))
    #expect(
      mistake("\n  framework: nanotron\n  cuda_graph: step").contains("records no whole steps"))
    #expect(
      mistake("\n  blocking_launches: true\n  cuda_graph: step").contains("waits for each kernel"))
    #expect(mistake("\n  moe: {fused_experts: true}").contains("needs precision: mxfp8-mixed"))
    #expect(
      mistake("\n  layers: local\n  precision: fp8-mixed").contains("do not multiply in fp8"))
  }

  @Test("Megatron-LM drops a tenth where a model that is not gated states no dropout")
  func megatronDropout() throws {
    func read(_ model: String, _ framework: String) throws -> Scenario {
      try Sample.read(
        Sample.replacing("model: llama-3.1-8b", with: "model: \(model)")
          + "\n  framework: \(framework)")
    }
    let gpt =
      "{hidden_size: 1024, num_hidden_layers: 4, num_attention_heads: 16, intermediate_size: 4096, "
      + "vocab_size: 51200, hidden_act: gelu}"
    // megatron/arguments.py: --attention-dropout and --hidden-dropout default to 0.1.
    let megatron = try read(gpt, "megatron-lm")
    #expect(megatron.job.architecture.attentionDropout == 0.1)
    #expect(megatron.job.architecture.hiddenDropout == 0.1)
    #expect(megatron.resolved["model"]?["hidden_dropout"] == .number(0.1))
    #expect(try read("gpt-3-175b", "megatron-deepspeed").job.architecture.hiddenDropout == 0.1)
    #expect(try read(gpt, "nemo").job.architecture.attentionDropout == 0)
    let stated = gpt.dropLast() + ", attention_dropout: 0.0}"
    #expect(try read(String(stated), "megatron-lm").job.architecture.hiddenDropout == 0)
    let gated = gpt.replacing("gelu", with: "silu")
    #expect(try read(gated, "megatron-lm").job.architecture.attentionDropout == 0)
  }

  @Test("recompute takes a number of layers") func recompute() throws {
    let text = Sample.text + "\n  recompute: {full_layers: 3}"
    #expect(try Sample.read(text).job.training.recompute == .fullLayers(3))
  }

  @Test("layers whose activations go to the host are counted, and have no pipeline")
  func offloadedLayers() throws {
    func read(_ count: Int, pipeline: Int) throws -> Recompute {
      let text = """
        model: llama-3.1-8b
        cluster: {gpu: gb200, gpus: 8}
        parallelism: {pipeline: \(pipeline), zero: \(pipeline > 1 ? 1 : 3)}
        training:
          sequence_length: 2048
          global_batch: 8
          micro_batch: 1
          recompute: {offload_layers: \(count)}
        """
      return try Sample.read(text).job.training.recompute
    }
    #expect(try read(20, pipeline: 1) == .offloadLayers(20))
    // 32 layers.
    #expect(throws: (any Error).self) { try read(33, pipeline: 1) }
    #expect(throws: (any Error).self) { try read(20, pipeline: 2) }
  }

  @Test("run settings are read with their units") func run() throws {
    let text =
      Sample.text + """

        run:
          checkpoint: {every: 30 min, write_rate: 200 GB/s}
          failures: {gpu_mtbf: 50000 h, restart: 10 min}
          evaluation: {every_steps: 1000, duration: 12 min}
          price: {gpu_hour: 2.5 USD}
          power: {gpu: 700 W, pue: 1.1, carbon_kg_per_kwh: 0.4}
        simulation: {fidelity: full, seed: 7}
        """
    let scenario = try Sample.read(text)
    #expect(scenario.run.checkpoint?.interval == Seconds(1_800))
    #expect(scenario.run.failures?.gpuMeanTimeBetweenFailures == Seconds(1.8e8))
    #expect(scenario.run.evaluation?.length == .duration(Seconds(720)))
    #expect(scenario.run.price.gpuHour == Dollars(2.5))
    #expect(scenario.run.power.usageEffectiveness == 1.1)
    #expect(scenario.simulation.fidelity == .full)
    #expect(scenario.simulation.seed == 7)
  }

  @Test("a GPU may be changed in place") func gpu() throws {
    let text = Sample.replacing(
      "gpu: h100-sxm-80gb", with: "gpu: {like: h100-sxm-80gb, name: mine, power: 500 W}")
    let scenario = try Sample.read(text)
    #expect(scenario.job.cluster.gpu.name == "mine")
    #expect(scenario.job.cluster.gpu.power == Watts(500))
    // The clock falls with the root of 500 / 700: 0.845.
    let whole = try #require(GPU.named("h100-sxm-80gb")).kernels.sustainedClock
    #expect(abs(scenario.job.cluster.gpu.kernels.sustainedClock / whole - 0.84515) < 1e-5)
    let again = try Scenario(
      ScenarioSource(path: "resolved.json", text: scenario.resolved.text))
    #expect(again.job == scenario.job)
  }

  @Test("a changed GPU with fewer units and a lower peak keeps more of its clock")
  func board() throws {
    let text = Sample.replacing(
      "gpu: h100-sxm-80gb",
      with: "gpu: {like: h100-sxm-80gb, name: board, power: 350 W, multiprocessors: 114, "
        + "peak: {bf16: 756 TFLOP/s, fp16: 756 TFLOP/s}}")
    let scenario = try Sample.read(text)
    // √((350/700) / (114/132)) over (756/989) / (114/132): 0.8597, as the catalogue's PCIe board; 0.707 by
    // power alone.
    let whole = try #require(GPU.named("h100-sxm-80gb")).kernels.sustainedClock
    let clock = scenario.job.cluster.gpu.kernels.sustainedClock
    #expect(abs(clock / whole - 0.8597) < 1e-4)
    #expect(clock == GPU.named("h100-pcie-80gb")?.kernels.sustainedClock)
    let again = try Scenario(
      ScenarioSource(path: "resolved.json", text: scenario.resolved.text))
    #expect(again.job == scenario.job)
  }

  @Test(
    "a changed GPU's clock falls with its power without a jump, and never rises",
    arguments: [
      ("multiprocessors: 132", 1.0), ("multiprocessors: 66", 1), ("peak: {bf16: 494.5 TFLOP/s}", 2),
    ])
  func falling(_ change: String, _ reserve: Double) throws {
    func clock(_ power: Double) throws -> Double {
      let scenario = try Sample.read(
        Sample.replacing(
          "gpu: h100-sxm-80gb", with: "gpu: {like: h100-sxm-80gb, power: \(power) W, \(change)}"))
      return scenario.job.cluster.gpu.kernels.sustainedClock
    }
    let whole = try #require(GPU.named("h100-sxm-80gb")).kernels.sustainedClock
    // √(power/700), times the clock that half the peak on as many units leaves to spare: 2.
    for power in [800, 700, 699, 500, 300, 200, 100] as [Double] {
      let expected = whole * min(1, (power / 700).squareRoot() * reserve)
      #expect(abs(try clock(power) - expected) < 1e-9, "\(power) W, \(change)")
    }
  }

  @Test("a source survives its way to another process") func bytes() throws {
    var source = ScenarioSource(
      path: "ä.yaml", text: "model: x/y.json\n",
      overrides: [ScenarioOverride(key: "parallelism.tensor", value: "8")])
    #expect(ScenarioSource(bytes: source.bytes) == source)
    source.modelFile = ScenarioSource.NamedFile(path: "x/y.json", text: nil)
    #expect(ScenarioSource(bytes: source.bytes) == source)
    source.modelFile = ScenarioSource.NamedFile(path: "x/y.json", text: "{}")
    #expect(ScenarioSource(bytes: source.bytes) == source)
    #expect(ScenarioSource(bytes: [1, 2, 3]) == nil)
  }
}
