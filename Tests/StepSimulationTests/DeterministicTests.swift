import Collectives
import Hardware
import Kernels
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram
@testable import StepSimulation

/// What `deterministic` changes, and which attention runs.
@Suite("Deterministic mode")
struct DeterministicTests {
  private func job(
    gpu: String = "a100-sxm-80gb", dropout: Double = 0, microBatch: Int = 1,
    framework: Framework = .megatronCore, deterministic: Bool = false
  ) throws -> TrainingJob {
    var model = SmallJobs.model()
    model.attentionDropout = dropout
    var job = try SmallJobs.job(Parallelism(), model: model, framework: framework)
    job.cluster.gpu = try #require(GPU.named(gpu))
    job.training.microBatch = microBatch
    job.training.switches.isDeterministic = deterministic
    return job
  }

  @Test(
    "Transformer Engine runs cuDNN's attention from Hopper on, but not every one repeats itself")
  func choice() throws {
    #expect(try StepCompiler(job: job()).attention == .flash2)
    #expect(try StepCompiler(job: job(gpu: "h100-sxm-80gb")).attention == .flash3)
    #expect(
      try StepCompiler(job: job(gpu: "h100-sxm-80gb", dropout: 0.1, deterministic: true)).attention
        == .flash3)
    // On Blackwell only without dropout.
    #expect(try StepCompiler(job: job(gpu: "gb200", dropout: 0.1)).attention == .flash3)
    #expect(try StepCompiler(job: job(gpu: "gb200", deterministic: true)).attention == .flash3)
    let own = StepCompiler(job: try job(gpu: "gb200", dropout: 0.1, deterministic: true))
    #expect(own.attention == .flash2 && own.profile.fusion.flashUnits == 152)
    // MPT's default is Triton's, where Triton of that time runs.
    #expect(try StepCompiler(job: job(framework: .llmFoundry)).attention == .flashTriton)
    #expect(
      try StepCompiler(job: job(gpu: "b200-sxm", framework: .llmFoundry)).attention == .flash2)
    #expect(try StepCompiler(job: job(framework: .nanotron)).attention == .flash2)
  }

  @Test("whose attention runs can be said")
  func backend() throws {
    func attention(
      _ backend: AttentionBackend, _ framework: Framework, _ gpu: String
    ) throws -> AttentionAlgorithm {
      var job = try job(gpu: gpu, framework: framework)
      job.training.attentionBackend = backend
      let compiler = StepCompiler(job: job)
      // Only Transformer Engine copies for the package's kernels.
      #expect(
        compiler.profile.fusion.transposesForAttention
          == (backend == .flash && framework == .megatronCore))
      return compiler.attention
    }
    for gpu in ["a100-sxm-80gb", "h100-sxm-80gb"] {
      #expect(try attention(.flash, .llmFoundry, gpu) == .flash2)
      #expect(try attention(.flash, .megatronCore, gpu) == .flash2)
    }
    // cuDNN's are of FlashAttention-3's class from Hopper on.
    #expect(try attention(.fused, .torchtitan, "h100-sxm-80gb") == .flash3)
    #expect(try attention(.fused, .megatronCore, "a100-sxm-80gb") == .flash2)
    // On Blackwell the package's are a fraction as fast as the library's, which run unasked.
    func core(_ backend: AttentionBackend?) throws -> Double {
      var job = try job(gpu: "b200-sxm", framework: .llmFoundry)
      job.training.attentionBackend = backend
      job.training.sequenceLength = 16_384
      return try #require(
        StepProgram.operationCosts(of: job).first { $0.name == "attention_core" }
      ).forward.value
    }
    #expect(try core(.flash) > 1.5 * core(nil))
  }

  @Test("several sequences are copied for FlashAttention, whose output is kept in either order")
  func copies() throws {
    func core(_ gpu: String, _ sequences: Int) throws -> OperationCost {
      let job = try job(gpu: gpu, microBatch: sequences)
      return try #require(
        StepProgram.operationCosts(of: job).first { $0.name == "attention_core" })
    }
    // Query, key, value and output of 2,048 × 1,024 values of two bytes, and 16 heads' fp32 sums.
    let tensor: Int64 = 2_048 * 1_024 * 2
    let kept = 4 * tensor + 4 * 16 * 2_048
    #expect(try core("a100-sxm-80gb", 1).saved.count == kept)
    #expect(try core("a100-sxm-80gb", 2).saved.count == 2 * (kept + tensor))
    #expect(try core("h100-sxm-80gb", 2).saved.count == 2 * kept)
  }

  @Test("what multiplies, attention and norms put out is filled first, but not what is added to")
  func filling() {
    var fusion = Fusion()
    fusion.fillsOutputs = true
    fusion.gradientAccumulation = true
    let shard = LayerShard(microBatch: 1, sequenceLength: 2_048, vocabulary: 32_000)
    let operations = SmallJobs.model().layerOperations(
      layer: 0, shard: shard, algorithm: .flash2, fusion: fusion)
    func fills(_ name: String, _ kernels: (Transformer.Operation) -> [Kernel]) -> [Int64] {
      operations.filter { $0.name == name }.flatMap(kernels).compactMap {
        if case .stream(let pass) = $0, pass.bytesRead == 0 { pass.bytesWritten } else { nil }
      }
    }
    let tokens: Int64 = 2_048 * 1_024 * 2
    #expect(fills("qkv_proj", \.forward) == [3 * tokens])
    #expect(fills("qkv_proj", \.inputGradient) == [tokens])
    #expect(fills("qkv_proj", \.weightGradient) == [])
    #expect(fills("attention_core", \.forward) == [tokens])
    #expect(fills("attention_core", \.inputGradient) == [3 * tokens])
    #expect(fills("input_norm", \.forward) == [tokens])
    fusion.fillsOutputs = false
    let usual = SmallJobs.model().layerOperations(
      layer: 0, shard: shard, algorithm: .flash2, fusion: fusion)
    #expect(operations.map(\.saved) == usual.map(\.saved))
  }

  @Test("the head's norm and multiply are filled too, once, its loss is not") func fillingHead() {
    var fusion = Fusion()
    let model = SmallJobs.model()
    let shard = LayerShard(microBatch: 1, sequenceLength: 2_048, vocabulary: 32_000)
    func fills(_ operations: [Transformer.Operation]) -> [[Int64]] {
      operations.map { operation in
        (operation.forward + operation.inputGradient).compactMap {
          if case .stream(let pass) = $0, pass.bytesRead == 0 { pass.bytesWritten } else { nil }
        }
      }
    }
    #expect(fills(model.headOperations(shard: shard, fusion: fusion)) == [[], [], []])
    fusion.fillsOutputs = true
    // 2,048 tokens of 1,024 or 32,000 values of two bytes: the norm's output and gradient; the logits
    // and the gradient of their input.
    let tokens: Int64 = 2_048 * 1_024 * 2
    let logits: Int64 = 2_048 * 32_000 * 2
    let head = [[tokens, tokens], [logits, tokens], []]
    #expect(fills(model.headOperations(shard: shard, fusion: fusion)) == head)
    // Two norms, and a multiply whose input is twice as wide.
    let own = [[tokens, tokens], [tokens, tokens], [tokens, 2 * tokens]]
    #expect(
      fills(model.nextTokenOperations(shard: shard, fusion: fusion, vocabularySplit: true))
        == own + head)
  }

  @Test("rows of logits are read again where those in flight do not fit the GPU's cache")
  func cachedRows() throws {
    // 40 MiB over 4 bytes of 2 · 108 rows; 6 MiB and 80; 126 MiB and 148.
    for (gpu, values) in [
      ("a100-sxm-80gb", 48_545), ("v100-sxm2-32gb", 9_830), ("b200-sxm", 111_588),
    ] {
      #expect(try StepCompiler(job: job(gpu: gpu)).profile.fusion.cachedRowValues == values)
    }
    var fusion = Fusion()
    fusion.crossEntropy = false
    func read(_ cached: Int) throws -> Int64 {
      fusion.cachedRowValues = cached
      let shard = LayerShard(microBatch: 1, sequenceLength: 2_048, vocabulary: 32_000)
      let loss = SmallJobs.model().headOperations(shard: shard, fusion: fusion).last
      guard case .stream(let pass)? = loss?.forward.first else { return 0 }
      return pass.bytesRead
    }
    // Twice more in fp32.
    #expect(try read(9_830) - read(48_545) == 2 * 4 * 2_048 * 32_000)
  }

  @Test("rotation in passes of its own moves four times the bytes in ten launches")
  func rotary() throws {
    func launches(_ fused: Bool?) throws -> [Int] {
      var job = try job()
      job.training.switches.fusesRotary = fused
      let compiler = StepCompiler(job: job)
      return job.architecture.layerOperations(
        layer: 0, shard: compiler.shard, algorithm: .flash2, fusion: compiler.profile.fusion
      ).filter { $0.name == "rotary" }.flatMap(\.forward).compactMap {
        if case .stream(let pass) = $0 { pass.launches } else { nil }
      }
    }
    #expect(try launches(nil) == [1] && launches(true) == [1] && launches(false) == [10])
  }

  @Test("all-reduces inside a node are not added up by the switch")
  func switchAdditions() throws {
    var job = try job(gpu: "h100-sxm-80gb")
    job.parallelism = Parallelism(tensor: 8)
    job.cluster = Cluster(
      gpu: job.cluster.gpu, gpuCount: 8, gpusPerNode: 8, intraNode: job.cluster.gpu.scaleUp,
      interNode: job.cluster.gpu.scaleOut)
    func sum(_ job: TrainingJob) throws -> (SimDuration, StepResult, StepResult) {
      let program = StepCompiler.compile(job)
      let call = try #require(program.calls.first { $0.operation == .allReduce })
      return (call.duration, try FoldedSimulation.run(program), try SmallJobs.full(program))
    }
    let usual = try sum(job)
    job.cluster.node.adds = false
    let ring = try sum(job)
    #expect(ring.0 > usual.0)
    job.cluster.node.adds = true
    job.training.switches.isDeterministic = true
    let ordered = try sum(job)
    #expect(ordered.0 == ring.0)
    // On every rank too.
    #expect(ordered.1.duration == ordered.2.duration)
  }
}
