import Hardware
import Kernels
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram
@testable import StepSimulation

/// What Megatron's buffers hold and its switches change.
@Suite("Switches of Megatron-Core")
struct SoftwareSwitchTests {
  /// Tokens of a microbatch of `SmallJobs.job` times its hidden size, in bf16.
  private let tokens: Int64 = 2_048 * 1_024 * 2

  private func job(
    _ parallelism: Parallelism = Parallelism(), experts: Int = 0, microbatches: Int = 4,
    _ change: (inout TrainingJob) -> Void = { _ in }
  ) throws -> TrainingJob {
    var job = try SmallJobs.job(
      parallelism, model: SmallJobs.model(experts: experts), microbatches: microbatches,
      framework: .megatronCore)
    change(&job)
    return job
  }

  private func items(_ job: TrainingJob, stage: Int = 0) -> [String: Int64] {
    Dictionary(
      uniqueKeysWithValues: StepCompiler.compile(job).stages[stage].items.map {
        ($0.name, $0.bytes)
      })
  }

  @Test("a step in one CUDA graph leaves the host nothing to do but the update")
  func wholeStep() throws {
    var layout = Parallelism(data: 4)
    layout.expert = 4
    func blocks(_ graph: SoftwareSwitches.Graph?) throws -> [Block] {
      StepCompiler.compile(try job(layout, experts: 8) { $0.training.switches.graph = graph })
        .blocks.filter { $0.name != "optimizer" }
    }
    let apart = try blocks(nil)
    #expect(apart.contains { $0.summary.issue > 0 } && apart.contains { $0.summary.waits })
    for block in try blocks(.step) {
      #expect(block.summary.issue == 0 && !block.summary.waits, "\(block.name)")
    }
  }

  @Test("one buffer holds what the head gathers, an all-gather dispatcher, scores: the largest")
  func sharedBuffer() throws {
    let name = "shared gather buffer"
    var split = Parallelism(tensor: 2, pipeline: 2)
    #expect(items(try job(split), stage: 1)[name] == nil)
    split.sequence = true
    #expect(items(try job(split), stage: 0)[name] == nil)
    #expect(items(try job(split), stage: 1)[name] == tokens)

    var experts = Parallelism(data: 4)
    experts.expert = 4
    let gathering = try job(experts, experts: 8) { $0.training.dispatch.dispatcher = .allGather }
    // The tokens of all four ranks.
    #expect(items(gathering)[name] == 4 * tokens)
    #expect(items(try job(experts, experts: 8))[name] == nil)

    let local = try job(split) {
      $0.training.switches.layers = .local
      $0.training.attention = .fusedSoftmax
    }
    // 8 of 16 heads, 2,048² scores each; on every stage.
    let scores: Int64 = 8 * 2_048 * 2_048 * 2
    #expect(items(local, stage: 0)[name] == scores)
    #expect(items(local, stage: 1)[name] == scores)
    // Transformer Engine's own workspace is not there: 4 MiB on an A100.
    let workspaces = "library workspaces"
    let usual = try #require(items(try job(split))[workspaces])
    let own = try #require(items(local)[workspaces])
    #expect(usual - own == Bytes.mebibytes(4).count)
  }

  @Test("what Megatron's own column-parallel layers gather is in the shared buffer, not beside it")
  func sharedGather() throws {
    func scratch(_ gather: SharedGather) -> [(name: String, forward: Int64, backward: Int64)] {
      var fusion = Fusion()
      fusion.gathersIntoShared = gather
      let shard = LayerShard(
        microBatch: 1, sequenceLength: 2_048, tensor: 2, sequenceParallel: true,
        vocabulary: 32_000)
      let model = SmallJobs.model()
      return
        (model.layerOperations(layer: 0, shard: shard, algorithm: .flash2, fusion: fusion)
        + model.headOperations(shard: shard, fusion: fusion)).map {
          ($0.name, $0.forwardScratch, $0.backwardScratch)
        }
    }
    let anew = scratch(.none)
    for (gather, names) in [
      (SharedGather.head, ["output_proj"]), (.columns, ["qkv_proj", "up_proj", "output_proj"]),
    ] {
      var found: [String] = []
      for (own, shared) in zip(anew, scratch(gather)) where own != shared {
        // Both directions gather the tokens' hidden values.
        #expect(own.forward - shared.forward == tokens)
        #expect(own.backward - shared.backward == tokens)
        found.append(own.name)
      }
      #expect(found == names)
    }
    #expect(Framework.megatronLM.profile.fusion.gathersIntoShared == .columns)
    #expect(Framework.megatronCore.profile.fusion.gathersIntoShared == .head)
    var profile = Framework.megatronCore.profile
    var switches = SoftwareSwitches()
    switches.layers = .local
    switches.apply(to: &profile, hasExperts: false)
    #expect(profile.fusion.gathersIntoShared == .columns)
  }

  @Test("CUBLAS_WORKSPACE_CONFIG sets both threads' workspaces, which are 32 MiB each otherwise")
  func workspace() throws {
    let large = try job { $0.training.switches.cublasWorkspace = .mebibytes(64) }
    let name = "library workspaces"
    let usual = try #require(items(try job())[name])
    let more = try #require(items(large)[name])
    #expect(more - usual == 2 * (64 - 32) * 1_024 * 1_024)
  }

  @Test("said to be fused, accumulation leaves a stand-in of the head too, and all between steps")
  func standIns() throws {
    let layers: Int64 = 12 * 1_024 * 1_024 * 2
    func left(_ fused: Bool?) throws -> (bytes: Int64, taken: Int64) {
      let job = try job { $0.training.switches.fusesGradientAccumulation = fused }
      let stage = StepCompiler.compile(job).stages[0]
      let taken = stage.instructions.compactMap {
        if case .memory(.buffers, let bytes) = $0 { bytes } else { nil }
      }
      return (stage.leftBehind.count, taken.first ?? 0)
    }
    let head: Int64 = 32_000 * 1_024 * 2
    #expect(try left(nil) == (0, layers))
    #expect(try left(true) == (layers + head, layers + head))
    #expect(try left(false) == (0, 0))
  }

  @Test("fp16 gradients are copied to fp32 for the update; moments come with the first one")
  func half() throws {
    func program(_ change: (inout TrainingJob) -> Void) throws -> StageProgram {
      StepCompiler.compile(try job(Parallelism(data: 2, zero: 1), change)).stages[0]
    }
    // Two ranks share masters, moments and copies.
    let owned = Int64(SmallJobs.model().parameterCount) / 2
    let half = try program { $0.training.precision = .fp16Mixed }
    #expect(half.leftBehind.count == 4 * owned)
    #expect(half.madeByFirstUpdate.count == 8 * owned)
    #expect(half.instructions.contains(.scratch(.gradients, 4 * owned)))
    let wide = try program {
      $0.training.precision = .fp16Mixed
      $0.training.gradientFormat = .fp32
    }
    #expect(wide.leftBehind == .zero)
    let brain = try program { _ in }
    #expect(brain.leftBehind == .zero && brain.madeByFirstUpdate == .zero)
  }

  @Test("weight gradients of the head that wait keep the logits' gradients, and hide in the bubble")
  func deferral() throws {
    let layout = Parallelism(pipeline: 2)
    func program(_ deferred: Int) throws -> StepProgram {
      StepCompiler.compile(try job(layout) { $0.training.switches.deferredGradients = deferred })
    }
    let plain = try program(0)
    let late = try program(2)
    let held = 2_048 * 32_000 * 2 + tokens
    let given = late.stages[1].instructions.count { $0 == .memory(.activations, -held) }
    #expect(given == 2)
    // The first stage has none.
    #expect(!late.stages[0].instructions.contains(.memory(.activations, -held)))
    let results = try [plain, late].map { try FoldedSimulation.run($0) }
    #expect(results[1].duration < results[0].duration)
    #expect(results[1].ranks[1].peak.count == results[0].ranks[1].peak.count + 2 * held)
    #expect(results[1].ranks[0].peak == results[0].ranks[0].peak)
    // All but the last, which has nothing to wait for.
    let all = try program(100).stages[1].instructions.count { $0 == .memory(.activations, -held) }
    #expect(all == 3)
    // Where every microbatch's gradients are reduced at once, none waits.
    let reducing = try job(Parallelism(pipeline: 2, data: 2, zero: 2)) {
      $0.training.switches.deferredGradients = 2
    }
    let program = StepCompiler.compile(reducing)
    #expect(!program.stages[1].instructions.contains(.memory(.activations, -held)))
    #expect(try FoldedSimulation.run(program).duration > .zero)
  }

  @Test("experts one after the other: a launch each, no workspaces of groups, one fresh gradient")
  func sequentialExperts() throws {
    let grouped = try job(experts: 8)
    let apart = try job(experts: 8) { $0.training.switches.groupsExperts = false }
    let name = "workspaces of grouped multiplies"
    #expect(items(grouped)[name] == Bytes.mebibytes(16).count && items(apart)[name] == nil)
    let model = SmallJobs.model(experts: 8)
    let shard = LayerShard(microBatch: 1, sequenceLength: 2_048, vocabulary: 32_000)
    func up(_ change: (inout Fusion) -> Void) throws -> Transformer.Operation {
      var fusion = Fusion()
      change(&fusion)
      return try #require(
        model.feedForwardOperations(layer: 0, shard: shard, fusion: fusion).first {
          $0.name == "expert_up_proj"
        })
    }
    let together = try up { $0.makesFreshGradients = true }
    let each = try up {
      $0.makesFreshGradients = true
      $0.multipliesExpertsApart = true
    }
    #expect(together.forward.count == 1 && each.forward.count == 8)
    #expect(each.hostOperations == 8)
    // A gradient of 1,024 × 2,048 values in bf16, of all experts or of one.
    #expect(together.backwardScratch == 8 * 1_024 * 2_048 * 2)
    #expect(each.backwardScratch == 1_024 * 2_048 * 2)
  }

  @Test("a compiled loss has one more fp32 tensor of logits for a while, a fused one none at all")
  func loss() throws {
    func loss(
      _ kind: SoftwareSwitches.Loss?, _ start: (inout Fusion) -> Void = { _ in }
    ) throws -> Transformer.Operation {
      var profile = Framework.megatronCore.profile
      start(&profile.fusion)
      var switches = SoftwareSwitches()
      switches.loss = kind
      switches.apply(to: &profile, hasExperts: false)
      return try #require(
        SmallJobs.model().headOperations(
          shard: LayerShard(microBatch: 1, sequenceLength: 2_048, vocabulary: 32_000),
          fusion: profile.fusion
        ).last)
    }
    let values: Int64 = 2_048 * 32_000
    let plain = try loss(nil)
    #expect(plain.saved == 4 * values && plain.forwardScratch == 2 * values)
    // Whatever a framework starts with.
    #expect(try loss(.plain) { $0.crossEntropyPartlyCompiled = true } == plain)
    #expect(try loss(.plain) { $0.crossEntropyFused = true } == plain)
    let compiled = try loss(.compiled)
    #expect(compiled.saved == 4 * values && compiled.forwardScratch == 6 * values)
    #expect(compiled.backwardScratch == 6 * values)
    let fused = try loss(.fused)
    #expect(fused.saved == 2 * values && fused.forwardScratch == 0)
  }

  @Test("weights held as quantised travel so; Blackwell needs one layout with a scale a tensor")
  func quantizedParameters() throws {
    func weights(_ gpu: String, _ precision: Precision) throws -> Int64? {
      let job = try job {
        $0.training.precision = precision
        $0.training.switches.quantizesParameters = true
        guard let gpu = GPU.named(gpu) else { return }
        $0.cluster.gpu = gpu
      }
      let items = items(job)
      #expect(items["quantised weights"] == nil)
      return items["weights"]
    }
    let all = Int64(SmallJobs.model().parameterCount)
    let multiplied: Int64 = 8 * 12 * 1_024 * 1_024
    #expect(try weights("h100-sxm-80gb", .fp8Mixed) == 2 * (all - multiplied) + 2 * multiplied)
    #expect(try weights("b200-sxm", .fp8Mixed) == 2 * (all - multiplied) + multiplied)
    // A scale for every 32 values, in both layouts.
    #expect(
      try weights("b200-sxm", .mxfp8Mixed)
        == 2 * (all - multiplied) + 2 * (multiplied + multiplied / 32))
    let half = try job(Parallelism(data: 2, zero: 1)) {
      $0.training.precision = .fp8Mixed
      $0.training.switches.quantizesParameters = true
    }
    // One byte a multiplied parameter, two of any other.
    let bytes = StepCompiler(job: half).states.gatheredBytesPerParameter(ofStage: 0)
    #expect(abs(bytes * Double(all) - Double(2 * all - multiplied)) < 1)
  }

  @Test(
    "an unfused softmax that drops keeps its fp32 output, mask and what is left: 7 bytes a score")
  func unfusedSoftmax() throws {
    func saved(dropout: Double) throws -> Int64 {
      var model = SmallJobs.model()
      model.attentionDropout = dropout
      let shard = LayerShard(microBatch: 1, sequenceLength: 2_048, vocabulary: 32_000)
      return try #require(
        model.mixerOperations(
          layer: 0, shard: shard, algorithm: .unfused, fusion: Fusion()
        ).first { $0.isAttentionCore }
      ).saved
    }
    let scores: Int64 = 16 * 2_048 * 2_048
    let inputs = 3 * tokens
    #expect(try saved(dropout: 0.1) == inputs + 7 * scores)
    // Undropped the product reads what is cast back: 4 + 2.
    #expect(try saved(dropout: 0) == inputs + 6 * scores)
  }
}
