import Hardware
import Kernels
import Layout
import Quantities
import StepProgram
import Testing
import Transformer

@testable import StepSimulation

/// What is said to have no effect has none, and what is not said to has some.
@Suite("Settings without effect") struct IdleSettingTests {
  /// A key and a way to set it.
  struct Setting: Sendable {
    var key: String
    var set: @Sendable (inout TrainingJob) -> Void

    init(_ key: String, _ set: @escaping @Sendable (inout TrainingJob) -> Void) {
      self.key = key
      self.set = set
    }
  }

  static let settings = [
    Setting("parallelism.sequence") { $0.parallelism.sequence.toggle() },
    Setting("parallelism.schedule") {
      $0.parallelism.schedule = $0.parallelism.pipeline > 1 ? .gpipe : .interleaved
    },
    Setting("parallelism.context_style") { $0.parallelism.contextStyle = .allGather },
    Setting("parallelism.expert_tensor") { $0.parallelism.expertTensor = 1 },
    Setting("parallelism.shard_group") { $0.parallelism.shardGroup = 2 },
    Setting("parallelism.reshard_after_forward") {
      $0.parallelism.sharding.reshardsAfterForward = false
    },
    Setting("parallelism.quantized_weights") { $0.parallelism.sharding.quantizesWeights = true },
    Setting("parallelism.quantized_gradients") {
      $0.parallelism.sharding.quantizesGradients = true
    },
    Setting("parallelism.reduce_each_microbatch") {
      $0.parallelism.sharding.reducesEachMicrobatch =
        $0.parallelism.zero < 2 || $0.parallelism.zero == 3 && $0.parallelism.pipeline > 1
    },
    Setting("parallelism.bucket_parameters") {
      $0.parallelism.sharding.bucketParameters = 1_000_000
    },
    Setting("training.moe") { $0.training.dispatch.imbalance = 1.5 },
    Setting("training.moe.dispatcher") { $0.training.dispatch.dispatcher = .allGather },
    Setting("training.moe.routing") { $0.training.dispatch.routing = .roundRobin },
    Setting("training.moe.dispatch_format") { $0.training.dispatch.format = .fp8 },
    Setting("training.moe.overlap") { $0.training.dispatch.overlapsMicrobatches = true },
    Setting("training.moe.overlap_shared") { $0.training.dispatch.overlapsShared = true },
  ]

  static let layouts = [
    Parallelism(data: 1), Parallelism(tensor: 2, data: 1), Parallelism(data: 4),
    Parallelism(tensor: 2, sequence: true, pipeline: 2, data: 2, zero: 1),
    Parallelism(data: 4, zero: 2), Parallelism(data: 4, zero: 3),
    Parallelism(pipeline: 2, data: 2, zero: 3), Parallelism(context: 2, data: 2, zero: 1),
    Parallelism(data: 4, zero: 1, overlaps: false),
    Parallelism(expert: 4, expertTensor: 1, data: 4, zero: 1),
  ]

  @Test(
    "with it a job comes to the same time and memory where it is idle, to another program elsewhere",
    arguments: layouts)
  func idle(layout: Parallelism) throws {
    for experts in layout.expert > 1 ? [4] : [0, 4] {
      let plain = try job(layout, experts: experts)
      let before = try outcome(plain)
      for setting in Self.settings {
        var changed = plain
        setting.set(&changed)
        // Ranks do not divide otherwise, or the key is another's.
        if setting.key == "parallelism.expert_tensor", layout.tensor == 1 || experts > 0 {
          continue
        }
        if setting.key == "parallelism.sequence", layout.sequence { continue }
        if setting.key == "parallelism.shard_group", layout.data < 4 { continue }
        if setting.key == "training.moe", experts > 0 { continue }
        if setting.key.hasPrefix("training.moe."), experts == 0 { continue }
        // Two experts a token: as much as two tensor ranks' whole tokens.
        if setting.key == "training.moe.dispatcher", layout.tensor == 2, !layout.sequence {
          continue
        }
        if changed.idleSettings.contains(where: { $0.keyPath == setting.key }) {
          #expect(try outcome(changed) == before, "\(setting.key), \(experts) experts, \(layout)")
        } else {
          // The host may be what such small layers wait for: the program tells.
          #expect(
            text(changed) != text(plain), "\(setting.key), \(experts) experts, \(layout)")
        }
      }
    }
  }

  /// A setting beside what it meets.
  struct Case: Sendable, CustomTestStringConvertible {
    var key: String
    var framework = Framework.generic
    var gpu = "a100-sxm-80gb"
    var pipeline = 2
    var experts = 0
    var optimizer = Optimizer.adamw
    var isIdle: Bool
    var set: @Sendable (inout TrainingJob) -> Void
    var testDescription: String {
      "\(key), \(framework.rawValue), \(gpu), \(optimizer.rawValue), pipeline \(pipeline)"
    }
  }

  private static let moments: @Sendable (inout TrainingJob) -> Void = {
    $0.training.momentFormat = .bf16
  }
  private static let outputs: @Sendable (inout TrainingJob) -> Void = {
    $0.parallelism.sharding.keepsOutputs = false
  }
  private static let workspace: @Sendable (inout TrainingJob) -> Void = {
    $0.training.switches.cublasWorkspace = .mebibytes(8)
  }
  private static let apart: @Sendable (inout TrainingJob) -> Void = {
    $0.training.switches.groupsExperts = false
  }

  static let cases = [
    Case(key: "training.moments", isIdle: false, set: moments),
    Case(key: "training.moments", optimizer: .muon, isIdle: false, set: moments),
    Case(key: "training.moments", optimizer: .adafactor, isIdle: true, set: moments),
    Case(key: "training.moments", optimizer: .adamw8bit, isIdle: true, set: moments),
    Case(key: "parallelism.keep_outputs", framework: .torchtitan, isIdle: false, set: outputs),
    Case(
      key: "parallelism.keep_outputs", framework: .torchtitan, pipeline: 1, isIdle: true,
      set: outputs),
    Case(key: "parallelism.keep_outputs", framework: .megatronCore, isIdle: true, set: outputs),
    Case(key: "training.cublas_workspace", framework: .megatronCore, isIdle: false, set: workspace),
    Case(
      key: "training.cublas_workspace", framework: .maxtext, pipeline: 1, isIdle: true,
      set: workspace),
    Case(
      key: "training.cublas_workspace", gpu: "tpu-v5p", pipeline: 1, isIdle: true, set: workspace),
    Case(key: "training.moe", isIdle: true, set: apart),
    Case(key: "training.moe", experts: 4, isIdle: false, set: apart),
  ]

  @Test(
    "keys of the optimizer and the software where these have no place for them", arguments: cases
  )
  func software(of this: Case) throws {
    var plain = try SmallJobs.job(
      Parallelism(pipeline: this.pipeline, data: 2), model: SmallJobs.model(experts: this.experts),
      framework: this.framework)
    plain.cluster.gpu = try #require(GPU.named(this.gpu))
    plain.training.optimizer = this.optimizer
    var changed = plain
    this.set(&changed)
    let before = plain.idleSettings
    let added = changed.idleSettings.filter { !before.contains($0) }
    #expect(added.map(\.keyPath) == (this.isIdle ? [this.key] : []))
    // Memory tells: all four keys are about what is held.
    #expect((try outcome(changed) == outcome(plain)) == this.isIdle)
  }

  private func job(_ layout: Parallelism, experts: Int) throws -> TrainingJob {
    var model = SmallJobs.model(experts: experts)
    // A shared expert beside them.
    model.experts?.sharedIntermediateSize = 1_024
    return try SmallJobs.job(layout, model: model, microbatches: 4)
  }

  /// All instructions, blocks and collectives.
  private func text(_ job: TrainingJob) -> String {
    let program = StepCompiler.compile(job)
    return "\(program.stages)\n\(program.blocks)\n\(program.calls)"
  }

  /// Time, and the memory of every stage.
  private func outcome(_ job: TrainingJob) throws -> [Int64] {
    let result = try FoldedSimulation.run(StepCompiler.compile(job))
    return [result.duration.picoseconds]
      + result.ranks.flatMap { [$0.device.count, $0.peak.count] }
  }

  @Test("the sizes of programs are foreseen within a factor of two", arguments: layouts)
  func size(layout: Parallelism) throws {
    let job = try SmallJobs.job(layout, microbatches: 64)
    let count = Double(StepCompiler.compile(job).stages.reduce(0) { $0 + $1.instructions.count })
    #expect(job.instructionEstimate > count / 2)
    #expect(job.instructionEstimate < count * 2)
  }
}
