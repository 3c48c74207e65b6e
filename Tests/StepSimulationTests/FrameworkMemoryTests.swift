import Hardware
import Kernels
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram

/// What frameworks hold beside weights, gradients and optimizer states.
@Suite("Memory of frameworks")
struct FrameworkMemoryTests {
  @Test("each fed chunk leaves its last input and that input's gradient behind")
  func leftBehind() throws {
    let layout = Parallelism(pipeline: 2, virtualStages: 2, schedule: .interleaved, data: 1)
    let program = StepCompiler.compile(try SmallJobs.job(layout, framework: .megatronCore))
    // 2,048 tokens of 1,024 values of 2 bytes, twice. The first rank's first chunk reads tokens, its
    // second is fed, as are both of the last rank.
    let unit: Int64 = 2 * 2_048 * 1_024 * 2
    #expect(program.stages.map(\.leftBehind.count) == [unit, 2 * unit])
    let other = StepCompiler.compile(try SmallJobs.job(layout, framework: .nanotron))
    #expect(other.stages.allSatisfy { $0.leftBehind == .zero })
  }

  @Test("DeepSpeed's BF16_Optimizer holds fp32 gradients whole beside the parameters' own")
  func bf16Optimizer() throws {
    func items(zero: Int) throws -> [String: Int64] {
      let job = try SmallJobs.job(Parallelism(data: 4, zero: zero), framework: .megatronDeepSpeed)
      let items = StepCompiler.compile(job).stages[0].items
      return Dictionary(uniqueKeysWithValues: items.map { ($0.name, $0.bytes) })
    }
    // The vocabulary of 32,000 is a multiple of 128: nothing is padded.
    let parameters = Int64(SmallJobs.model().parameterCount)
    let sharded = try items(zero: 1)
    #expect(sharded["gradients"] == 4 * parameters)
    #expect(sharded["gradients in the parameters' format"] == 2 * parameters)
    #expect(sharded["optimizer states"] == 12 * parameters / 4)
    #expect(try items(zero: 0)["gradients"] == 2 * parameters)
  }

  @Test("ZeRO-2's gradients are whole where they are reduced only once")
  func wholeGradients() throws {
    func gradients(_ change: (inout Parallelism) -> Void) throws -> [Int64] {
      var layout = Parallelism(pipeline: 2, data: 2, zero: 2)
      change(&layout)
      let program = StepCompiler.compile(try SmallJobs.job(layout))
      return program.stages.map { stage in
        stage.items.filter { $0.name == "gradients" }.reduce(0) { $0 + $1.bytes }
      }
    }
    // Two data ranks share: half of what a stage has.
    let shares = try gradients { _ in }
    #expect(shares.allSatisfy { $0 > 0 })
    let whole = shares.map { 2 * $0 }
    #expect(try gradients { $0.schedule = .zeroBubble } == whole)
    #expect(try gradients { $0.overlaps = false } == whole)
    #expect(try gradients { $0.sharding.reducesEachMicrobatch = false } == whole)
  }

  @Test("Transformer Engine keeps inputs of fp8 multiplies in fp8, and both layouts of the weights")
  func narrowFormats() throws {
    func saved(_ format: NumberFormat, keeps: Bool = true) throws -> [String: Int64] {
      let shard = LayerShard(
        microBatch: 1, sequenceLength: 2_048, matmulFormat: format, vocabulary: 32_000)
      var fusion = Fusion()
      fusion.keepsQuantizedInputs = keeps
      let model = SmallJobs.model()
      let operations =
        model.mixerOperations(layer: 0, shard: shard, algorithm: .flash2, fusion: fusion)
        + model.feedForwardOperations(layer: 0, shard: shard, fusion: fusion)
      return Dictionary(uniqueKeysWithValues: operations.map { ($0.name, $0.saved) })
    }
    let values: Int64 = 2_048 * 1_024
    let plain = try saved(.bf16)
    #expect(plain["qkv_proj"] == 2 * values && plain["down_proj"] == 4 * 2 * values)
    // Attention keeps its output itself; the projection behind it needs its own in fp8.
    #expect(plain["out_proj"] == 0)
    let narrow = try saved(.fp8)
    #expect(narrow["qkv_proj"] == values && narrow["down_proj"] == 4 * values)
    #expect(narrow["out_proj"] == values)
    // A scale for every 32 values.
    #expect(try saved(.mxfp8)["up_proj"] == values + values / 32)
    #expect(try saved(.fp8, keeps: false) == plain)

    func weights(_ framework: Framework, _ precision: Precision) throws -> Int64? {
      var job = try SmallJobs.job(Parallelism(tensor: 2), framework: framework)
      job.training.precision = precision
      return StepCompiler.compile(job).stages[0].items.first { $0.name == "quantised weights" }?
        .bytes
    }
    // 8 layers of 4 × 1,024² for attention and 2 × 4 × 1,024² for the feed-forward, halved by tensor
    // parallelism, one byte in each layout.
    #expect(try weights(.megatronCore, .fp8Mixed) == 2 * 8 * 12 * 1_024 * 1_024 / 2)
    #expect(try weights(.megatronCore, .bf16Mixed) == nil)
    // NeMo's working copy is in fp8 itself.
    #expect(try weights(.nemo, .fp8Mixed) == nil)
  }

  @Test("activation inputs and attention outputs wait in fewer bits where told to")
  func keptFormats() throws {
    func operations(_ formats: KeptFormats, attention: AttentionAlgorithm = .flash2)
      -> [String: Transformer.Operation]
    {
      let shard = LayerShard(
        microBatch: 1, sequenceLength: 2_048, matmulFormat: .fp8, vocabulary: 32_000)
      var fusion = Fusion()
      fusion.keepsQuantizedInputs = true
      fusion.keptFormats = formats
      let model = SmallJobs.model()
      let operations =
        model.mixerOperations(layer: 0, shard: shard, algorithm: attention, fusion: fusion)
        + model.feedForwardOperations(layer: 0, shard: shard, fusion: fusion)
      return Dictionary(uniqueKeysWithValues: operations.map { ($0.name, $0) })
    }
    func saved(_ formats: KeptFormats, _ attention: AttentionAlgorithm = .flash2) -> [Int64] {
      let found = operations(formats, attention: attention)
      return ["activation", "attention_core", "out_proj"].map { found[$0]?.saved ?? -1 }
    }
    let values: Int64 = 2_048 * 1_024
    let plain = saved(KeptFormats())
    // The activation's input of 4 × 1,024 features in bf16; attention's output in bf16 for itself, in fp8
    // for the projection behind it.
    #expect(plain[0] == 2 * 4 * values && plain[2] == values)
    let activations = saved(KeptFormats(activationInputs: .fp8))
    #expect(activations == [4 * values, plain[1], plain[2]])
    // 12 bits for both.
    let outputs = saved(KeptFormats(attentionOutputs: .e5m6))
    #expect(outputs == [plain[0], plain[1] - values / 2, 0])
    // Without a flash kernel only the projection keeps it, and 8 bits are fewer than 12.
    #expect(saved(KeptFormats(attentionOutputs: .e5m6), .fusedSoftmax)[2] == values)
    // Narrowed in a pass over 2 + 1 bytes a value, widened in one over as many.
    let activation = operations(KeptFormats(activationInputs: .fp8))["activation"]
    let pass = StreamingKernel(.pointwise, read: 8 * values, written: 4 * values)
    let back = StreamingKernel(.pointwise, read: 4 * values, written: 8 * values)
    #expect(activation?.forward.last == .stream(pass))
    #expect(activation?.inputGradient.first == .stream(back))
    #expect(activation?.backwardScratch == 2 * 2 * 4 * values)
  }

  @Test("Aleph Alpha's library: gathered inputs stay, the last logits too")
  func alephAlpha() throws {
    var fusion = Fusion()
    let shard = LayerShard(
      microBatch: 1, sequenceLength: 2_048, tensor: 4, sequenceParallel: true, vocabulary: 32_000)
    func up() throws -> Transformer.Operation {
      try #require(
        SmallJobs.model().feedForwardOperations(layer: 0, shard: shard, fusion: fusion).first {
          $0.name == "up_proj"
        })
    }
    // A quarter of 2,048 tokens of 1,024 values of 2 bytes; whole, and not gathered a second time.
    let whole: Int64 = 2_048 * 1_024 * 2
    #expect(try up().saved == whole / 4)
    #expect(try up().regather != nil)
    fusion.keepsGatheredInputs = true
    #expect(try up().saved == whole)
    #expect(try up().regather == nil)

    func logits(microbatches: Int) throws -> [Int64] {
      let job = try SmallJobs.job(
        Parallelism(tensor: 2, pipeline: 2, data: 1), microbatches: microbatches,
        framework: .alephAlphaScaling)
      return StepCompiler.compile(job).stages.map { stage in
        stage.items.filter { $0.name.hasPrefix("logits") }.reduce(0) { $0 + $1.bytes }
      }
    }
    // Of the last stage, the whole vocabulary on each tensor rank; not before there is a second.
    #expect(try logits(microbatches: 4) == [0, 2_048 * 32_000 * 2])
    #expect(try logits(microbatches: 1) == [0, 0])
  }

  @Test("grouped multiplies of experts have four workspaces")
  func groupedWorkspaces() throws {
    func buffers(_ experts: Int, _ framework: Framework) throws -> Int64 {
      let program = StepCompiler.compile(
        try SmallJobs.job(
          Parallelism(), model: SmallJobs.model(layers: 2, experts: experts), framework: framework))
      return program.stages[0].resident[MemoryCategory.buffers.rawValue]
    }
    // 4 streams × 4 MiB on an A100.
    #expect(
      try buffers(8, .megatronCore) - buffers(0, .megatronCore) == Bytes.mebibytes(16).count)
    #expect(try buffers(8, .deepspeed) == buffers(0, .deepspeed))
  }

  @Test("Megatron accumulates fp16 gradients as they are, bf16 ones in fp32")
  func halfGradients() throws {
    func gradients(_ precision: Precision, _ given: NumberFormat? = nil) throws -> Int64 {
      var job = try SmallJobs.job(
        Parallelism(), model: SmallJobs.model(layers: 2), framework: .megatronCore)
      job.training.precision = precision
      job.training.gradientFormat = given
      return StepCompiler.compile(job).stages[0].resident[MemoryCategory.gradients.rawValue]
    }
    // The 90 706 944 parameters of `MemoryTests.residentOfOneGPU`.
    #expect(try gradients(.fp16Mixed) == 2 * 90_706_944)
    #expect(try gradients(.bf16Mixed) == 4 * 90_706_944)
    #expect(try gradients(.fp16Mixed, .fp32) == 4 * 90_706_944)
  }

  @Test("experts weighed inside keep no outputs; gelu keeps its own besides")
  func weighedInside() throws {
    let shard = LayerShard(microBatch: 1, sequenceLength: 2_048, vocabulary: 32_000)
    func saved(_ name: String, gated: Bool, inside: Bool) throws -> Int64 {
      var model = SmallJobs.model(experts: 8)
      if gated { model.feedForward.activation = .swiglu }
      var fusion = Fusion()
      fusion.weighsExpertsInside = inside
      return try #require(
        model.feedForwardOperations(layer: 0, shard: shard, fusion: fusion).first {
          $0.name == name
        }
      ).saved
    }
    // 2,048 tokens × 2 experts = 4,096 rows; of 1,024 values out, of 2,048 in between.
    #expect(try saved("expert_combine", gated: false, inside: false) == 4_096 * 1_024 * 2)
    #expect(try saved("expert_combine", gated: false, inside: true) == 4_096 * 4)
    let probabilities: Int64 = 4_096 * 4
    let gelu = try saved("expert_activation", gated: false, inside: true)
    #expect(gelu == 2 * 4_096 * 2_048 * 2 + probabilities)
    let gate = try saved("expert_activation", gated: true, inside: true)
    #expect(gate == 2 * 4_096 * 2_048 * 2 + probabilities)
  }

  @Test("hybrid shards reach the experts: as many copies as of the rest")
  func expertShards() throws {
    // 2 × 4 ranks, experts over 2: 4 hold the same experts. Shards over 2 of 4 data ranks: 2 copies,
    // so experts' states are shared over 2.
    let grid = RankGrid(
      Parallelism(tensor: 2, expert: 2, expertTensor: 1, data: 4, shardGroup: 2, zero: 1))
    #expect(grid.expertData == 4)
    #expect(grid.expertShardGroup == 2)
    // Experts over 8 ranks: each alone, nothing to share.
    let alone = RankGrid(
      Parallelism(tensor: 2, expert: 8, expertTensor: 1, data: 4, shardGroup: 2, zero: 1))
    #expect(alone.expertShardGroup == 1)
  }
}

/// What a fused accumulation of gradients leaves allocated.
@Suite("Stand-ins of gradients")
struct GradientStandInTests {
  @Test("one tensor a shape from the first backward on, whatever the number of layers")
  func standIns() throws {
    func changes(_ framework: Framework, layers: Int) throws -> [Int64] {
      let program = StepCompiler.compile(
        try SmallJobs.job(
          Parallelism(), model: SmallJobs.model(layers: layers), framework: framework))
      return program.stages[0].instructions.compactMap {
        if case .memory(.buffers, let bytes) = $0 { bytes } else { nil }
      }
    }
    // Weights of a layer of 1,024: 3 + 1 + 4 + 4 times 1,024² values of 2 bytes.
    let bytes: Int64 = 12 * 1_024 * 1_024 * 2
    #expect(try changes(.megatronCore, layers: 2) == [bytes, -bytes])
    #expect(try changes(.megatronCore, layers: 8) == [bytes, -bytes])
    #expect(try changes(.nanotron, layers: 2).allSatisfy { $0 == 0 })
  }
}
