import Kernels
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram

/// Recomputation of named modules, as Megatron-Core's `--recompute-modules`.
@Suite("Recomputed modules")
struct RecomputeModulesTests {
  private let shard = LayerShard(microBatch: 1, sequenceLength: 2_048, vocabulary: 32_000)

  /// A layer under `modules`, in a job of one GPU.
  private func layer(
    _ modules: RecomputeModules, experts: Int = 0, attention: AttentionAlgorithm = .flash2
  ) throws -> (plain: StepCompiler.LayerBlocks, recomputed: StepCompiler.LayerBlocks) {
    var job = try SmallJobs.job(Parallelism(), model: SmallJobs.model(experts: experts))
    job.training.attention = attention
    var compiler = StepCompiler(job: job)
    return (
      compiler.blocks(ofLayer: 0, recompute: .none),
      compiler.blocks(ofLayer: 0, recompute: .modules(modules))
    )
  }

  /// What `modules` free of a layer's kept bytes.
  private func freed(
    _ modules: RecomputeModules, experts: Int = 0, attention: AttentionAlgorithm = .flash2
  ) throws -> Int64 {
    let blocks = try layer(modules, experts: experts, attention: attention)
    return blocks.plain.saved - blocks.recomputed.saved
  }

  /// Hidden states: 2,048 tokens × 1,024 values × 2 bytes.
  private let hidden: Int64 = 2_048 * 1_024 * 2

  @Test(
    "a backward in two parts repeats what a whole one does",
    arguments: [
      Recompute.none, .selective, .passes, .full, .modules([.norms, .feedForward]),
    ])
  func splitBackward(recompute: Recompute) throws {
    let program = StepCompiler.compile(
      try SmallJobs.job(
        Parallelism(pipeline: 2, schedule: .zeroBubble, data: 2), recompute: recompute))
    func busy(_ name: String) throws -> Int64 {
      try #require(program.blocks.first { $0.name == name }).busyByCategory.reduce(0, +)
    }
    // The kernels are the same, one after the other.
    #expect(
      try busy("stage 0 input gradient") + busy("stage 0 weight gradient")
        == busy("stage 0 backward"))
  }

  @Test("norms free their two outputs")
  func norms() throws {
    #expect(try freed(.norms) == 2 * hidden)
  }

  @Test("a dense feed-forward keeps its input only")
  func feedForward() throws {
    // Kept otherwise: input h, the activation's input 4h and output 4h.
    #expect(try freed(.feedForward) == 8 * hidden)
    // The output of the norm before it is made again as well.
    #expect(try freed([.feedForward, .norms]) == 10 * hidden)
    // Its blocks are back, whole, when its backward pass begins; plus 4h of gradient and h flowing.
    let blocks = try layer(.feedForward).recomputed
    #expect(blocks.backwardPeak >= 8 * hidden)
    #expect(try freed(.feedForward, experts: 8) == 0)
  }

  @Test("the core frees scores, or a flash kernel's statistics")
  func core() throws {
    // 16 heads × 2,048² scores of 2 bytes.
    #expect(try freed(.coreAttention, attention: .fusedSoftmax) == 16 * 2_048 * 2_048 * 2)
    // fp32 statistics of 16 × 2,048 rows; its output is the projection's input.
    #expect(try freed(.coreAttention) == 16 * 2_048 * 4)
  }

  @Test(
    "selective recomputation is that of the core in Megatron-Core, nothing beside flash elsewhere")
  func selective() throws {
    for framework in [Framework.megatronCore, .nemo, .megatronLM] {
      var job = try SmallJobs.job(Parallelism(), framework: framework)
      job.training.attention = .flash2
      var compiler = StepCompiler(job: job)
      let plain = compiler.blocks(ofLayer: 0, recompute: .none)
      let core = compiler.blocks(ofLayer: 0, recompute: .modules(.coreAttention))
      let selective = compiler.blocks(ofLayer: 0, recompute: .selective)
      let same = framework == .megatronLM ? plain : core
      #expect(selective.saved == same.saved)
      #expect(
        selective.backward.block(named: "").summary == same.backward.block(named: "").summary)
    }
  }

  @Test("what is made again is not narrowed first") func keptFormats() throws {
    var job = try SmallJobs.job(Parallelism(), framework: .megatronCore)
    job.training.attention = .flash2
    var narrow = job
    narrow.training.switches.keptFormats = KeptFormats(activationInputs: .fp8)
    var plainCompiler = StepCompiler(job: job)
    var narrowCompiler = StepCompiler(job: narrow)
    for mode in [StepCompiler.LayerRecompute.full, .modules(.feedForward), .none] {
      let plain = plainCompiler.blocks(ofLayer: 0, recompute: mode)
      let narrow = narrowCompiler.blocks(ofLayer: 0, recompute: mode)
      let isSame =
        plain.saved == narrow.saved && plain.backwardPeak == narrow.backwardPeak
        && plain.forward.block(named: "") == narrow.forward.block(named: "")
      #expect(isSame == (mode != .none))
    }
  }

  @Test(
    "attention's output kept narrow costs a cast each way, also where attention keeps none of it")
  func narrowOutputs() throws {
    for attention in [AttentionAlgorithm.fusedSoftmax, .flash2] {
      var job = try SmallJobs.job(Parallelism(), framework: .megatronCore)
      job.training.attention = attention
      var plainCompiler = StepCompiler(job: job)
      job.training.switches.keptFormats = KeptFormats(attentionOutputs: .fp8)
      var compiler = StepCompiler(job: job)
      let plain = plainCompiler.blocks(ofLayer: 0, recompute: .none)
      let narrow = compiler.blocks(ofLayer: 0, recompute: .none)
      #expect(plain.saved - narrow.saved == hidden / 2)
      // A recomputed core's output stays for the projection behind it, as narrow.
      let plainCore = plainCompiler.blocks(ofLayer: 0, recompute: .modules(.coreAttention))
      let narrowCore = compiler.blocks(ofLayer: 0, recompute: .modules(.coreAttention))
      #expect(plainCore.saved - narrowCore.saved == hidden / 2)
      #expect(
        narrow.forward.block(named: "").summary.busy > plain.forward.block(named: "").summary.busy)
      #expect(
        narrow.backward.block(named: "").summary.busy
          > plain.backward.block(named: "").summary.busy)
    }
  }

  @Test("experts free their activation's output, or all but the mixture's input")
  func experts() throws {
    // 4,096 routed rows of 2,048 values.
    #expect(try freed(.expertActivation, experts: 8) == 4_096 * 2_048 * 2)
    var job = try SmallJobs.job(Parallelism(), model: SmallJobs.model(experts: 8))
    job.training.attention = .flash2
    var compiler = StepCompiler(job: job)
    let all = compiler.blocks(ofLayer: 0, recompute: .none)
    let less = compiler.blocks(ofLayer: 0, recompute: .modules(.mixture))
    // Attention: norm h, projection h, queries, keys, values and output 4h and statistics, the
    // second norm h; and the mixture's input h.
    #expect(less.saved == 8 * hidden + 16 * 2_048 * 4)
    #expect(all.saved > less.saved)
  }

  @Test("latent attention's queries, keys and values are made again from what is compressed")
  func latent() throws {
    let model = try #require(Architecture.named("deepseek-v3"))
    let shard = LayerShard(microBatch: 1, sequenceLength: 4_096, vocabulary: model.vocabularySize)
    let operations = model.mixerOperations(
      layer: 3, shard: shard, algorithm: .flash3, fusion: Fusion())
    // 4,096 tokens × 128 heads × (192 + 192 + 128) values × 2 bytes.
    let inputs: Int64 = 4_096 * 128 * 512 * 2
    let plan = RecomputeModules.latentUpProjection.plan(
      operations, input: 0, coreInputs: inputs)
    let sum = { (list: [Transformer.Operation]) in list.reduce(Int64(0)) { $0 + $1.saved } }
    #expect(sum(operations) - sum(plan.kept) == inputs)
    #expect(
      plan.repeated.map(\.name) == ["query_up_proj", "key_value_up_proj", "rotary"])
  }

  @Test("a split backward holds inputs and output gradients of multiplies: 32 s·b·h bytes a layer")
  func splitBackward() throws {
    var job = try SmallJobs.job(Parallelism(pipeline: 2, schedule: .zeroBubble))
    var compiler = StepCompiler(job: job)
    // Inputs 1, 1, 1, 4 and outputs 3, 1, 4, 1 times the hidden states (arXiv:2401.10241, section 2).
    #expect(compiler.blocks(ofLayer: 0, recompute: .none).heldForWeights == 16 * hidden)
    job.parallelism.schedule = .oneForwardOneBackward
    compiler = StepCompiler(job: job)
    #expect(compiler.blocks(ofLayer: 0, recompute: .none).heldForWeights == 0)
  }

  @Test("a split backward holds both operands as quantised, where inputs are kept so")
  func splitBackwardNarrow() throws {
    func held(_ framework: Framework, _ precision: Precision) throws -> Int64 {
      var job = try SmallJobs.job(
        Parallelism(pipeline: 2, schedule: .zeroBubble), framework: framework)
      job.training.precision = precision
      var compiler = StepCompiler(job: job)
      return compiler.blocks(ofLayer: 0, recompute: .none).heldForWeights
    }
    // 16 times 2,048 × 1,024 values of two bytes; of one; of one and a scale for every 32.
    let values: Int64 = 16 * 2_048 * 1_024
    #expect(try held(.megatronCore, .bf16Mixed) == 2 * values)
    #expect(try held(.megatronCore, .fp8Mixed) == values)
    #expect(try held(.megatronCore, .mxfp8Mixed) == values + values / 32)
    // torchtitan quantises anew what it kept in bf16.
    #expect(try held(.torchtitan, .fp8Mixed) == 2 * values)
  }

  @Test(
    "a split backward computes the same again, before gradients of inputs",
    arguments: [StepCompiler.LayerRecompute.passes, .modules(.feedForward), .full])
  func splitTime(recompute: StepCompiler.LayerRecompute) throws {
    let job = try SmallJobs.job(Parallelism(pipeline: 2, schedule: .zeroBubble))
    var compiler = StepCompiler(job: job)
    let plain = compiler.blocks(ofLayer: 0, recompute: .none)
    let repeated = compiler.blocks(ofLayer: 0, recompute: recompute)
    let busy = { (assembly: BlockAssembly) in assembly.block(named: "").summary.busy }
    let more = busy(repeated.inputGradient) - busy(plain.inputGradient)
    #expect(more > 0 && more == busy(repeated.backward) - busy(plain.backward))
    #expect(busy(repeated.weightGradient) == busy(plain.weightGradient))
  }

  @Test("what is computed again takes the time of its forward pass")
  func time() throws {
    let blocks = try layer(.feedForward)
    let more =
      blocks.recomputed.backward.block(named: "").summary.busy
      - blocks.plain.backward.block(named: "").summary.busy
    // Two multiplies of 2 · 2,048 · 1,024 · 4,096 FLOPs on 312 TFLOP/s: more than 110 us.
    #expect(more > 110_000_000)
    #expect(blocks.recomputed.forward.block(named: "") == blocks.plain.forward.block(named: ""))
  }

  @Test("checkpoints that stop early leave out the last multiply, unless its output is read")
  func earlyStop() throws {
    func repeated(experts: Int = 0, dropout: Double = 0, early: Bool) throws -> Int64 {
      var model = SmallJobs.model(experts: experts)
      model.hiddenDropout = dropout
      var job = try SmallJobs.job(Parallelism(), model: model)
      job.training.profile.recomputesOnlyWhatIsRead = early
      var compiler = StepCompiler(job: job)
      let plain = compiler.blocks(ofLayer: 0, recompute: .none).backward
      let full = compiler.blocks(ofLayer: 0, recompute: .full).backward
      return full.block(named: "").summary.busy - plain.block(named: "").summary.busy
    }
    // 2 · 2,048 · 1,024 · 4,096 FLOPs on 312 TFLOP/s are 55 us, and 64 tiles of 256 by 128 occupy
    // 64 of 108 multiprocessors: 93 us at least; the residual's pass over 12 MiB takes 6 more.
    let less = try repeated(early: false) - repeated(early: true)
    #expect(less > 99_000_000 && less < 130_000_000, "\(less)")
    #expect(try repeated(dropout: 0.1, early: false) == repeated(dropout: 0.1, early: true))
    // Of a mixture the residual's pass and its launch alone, no multiply.
    let routed = try repeated(experts: 8, early: false) - repeated(experts: 8, early: true)
    #expect(routed < 80_000_000, "\(routed)")
  }
}
