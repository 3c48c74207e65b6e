import Hardware
import Layout
import RunForecast
import StepProgram
import StepSimulation
import Transformer

/// Checks that involve several keys of a scenario that were each read without a mistake.
struct ScenarioChecks {
  let job: TrainingJob
  let layout: Block
  let training: Block
  let simulation: Block
  let speeds: RankSpeeds
  let ramp: BatchRamp?

  /// Reports every combination that cannot run, and those that are allowed and probably not meant.
  func run() {
    let request = LayoutRequest(
      architecture: job.architecture, sequenceLength: job.training.sequenceLength,
      globalBatch: job.training.globalBatch, microBatch: job.training.microBatch)
    for problem in job.parallelism.problems(request) { note(problem) }
    schedule()
    recurrence()
    software()
    batchRamp()
    lossPieces()
    placement()
    if layout.isSound, training.isSound { size() }
  }

  /// Refuses steps of more instructions than can be simulated.
  private func size() {
    let count = job.instructionEstimate
    if count > TrainingJob.instructionLimit {
      training.report(
        "global_batch",
        "\(job.training.globalBatch) sequences are \(job.microbatchCount) microbatches of a step with "
          + "about \(millions(count)) million instructions; at most "
          + "\(millions(TrainingJob.instructionLimit)) million are simulated: take fewer sequences, a "
          + "larger micro_batch or more replicas")
      return
    }
    guard !speeds.isUniform else { return }
    let ranks = job.parallelism.gpuCount
    if ranks > TrainingJob.unevenRankLimit {
      simulation.report(
        unevenKey,
        "with ranks of different speeds at most \(TrainingJob.unevenRankLimit) GPUs are simulated, not "
          + "\(ranks)")
    } else if speeds.jitter != RankSpeeds.Jitter() {
      // Every rank runs its stage's program at its own speed.
      let each = count / Double(job.parallelism.pipeline) * Double(ranks)
      guard each > TrainingJob.unevenInstructionLimit else { return }
      simulation.report(
        "jitter",
        "each of \(ranks) GPUs at its own speed is about \(millions(each)) million instructions; at "
          + "most \(millions(TrainingJob.unevenInstructionLimit)) million are simulated: take fewer "
          + "GPUs or microbatches")
    }
  }

  /// The key that says most of the differences.
  private var unevenKey: String {
    speeds.jitter == RankSpeeds.Jitter() ? "stragglers" : "jitter"
  }

  private func millions(_ count: Double) -> Int { Int((count / 1e6).rounded(.up)) }

  private func note(_ problem: LayoutProblem) {
    let keys = problem.keyPath.split(separator: ".").map(String.init)
    guard var key = keys.last else { return }
    let block = keys.first == "training" ? training : layout
    // The list may follow from what is said of the ends.
    if key == "stage_layers", !layout.has(key) {
      key = layout.has("first_stage_layers") ? "first_stage_layers" : "last_stage_layers"
    }
    if problem.severity == .warning {
      block.warn(key, problem.text)
    } else {
      block.report(key, problem.text)
    }
  }

  /// Every batch of a ramp is one that the ranks can share, as the whole one is.
  private func batchRamp() {
    guard let ramp else { return }
    for batch in [ramp.first, ramp.first + ramp.increment] where batch < job.training.globalBatch {
      let request = LayoutRequest(
        architecture: job.architecture, sequenceLength: job.training.sequenceLength,
        globalBatch: batch, microBatch: job.training.microBatch)
      // Interleaving in groups of the pipeline's ranks needs whole groups.
      let problem = job.parallelism.problems(request).first {
        $0.severity == .error
          || job.parallelism.schedule == .interleaved && $0.text.contains("microbatches")
      }
      guard let problem else { continue }
      training.report("batch_ramp", "a batch of \(batch): \(problem.text)")
      return
    }
  }

  private func schedule() {
    let value = job.parallelism
    if value.schedule == .interleaved, value.pipeline > 1, value.virtualStages == 1 {
      layout.report("schedule", "interleaved needs virtual_stages of at least 2")
    }
    if value.offloadsParameters, value.zero < 3 {
      layout.report("offload", "parameters needs zero: 3, not \(value.zero)")
    }
    if case .modules(let modules) = job.training.recompute {
      if modules.contains(.latentUpProjection), job.architecture.attention.latent == nil {
        training.report("recompute", "mla_up_proj needs latent attention, which the model has not")
      }
      if !modules.isDisjoint(with: [.expertActivation, .mixture, .sharedExperts]),
        job.architecture.experts == nil
      {
        training.report(
          "recompute", "moe, moe_act and shared_experts need experts, which the model has not")
      }
    }
    if case .offloadLayers(let count) = job.training.recompute {
      if count > job.architecture.layerCount {
        training.report(
          "recompute",
          "\(count) offload_layers are more than the \(job.architecture.layerCount) layers")
      }
      if job.parallelism.pipeline > 1 {
        training.report(
          "recompute", "offload_layers and pipeline stages exclude each other, as in Megatron-Core")
      }
    }
    if case .fullLayers(let count) = job.training.recompute, count > job.architecture.layerCount {
      training.report(
        "recompute", "\(count) full_layers are more than the \(job.architecture.layerCount) layers")
    }
  }

  /// Refuses layers that the framework does not have.
  private func recurrence() {
    let framework = job.training.framework
    guard let kind = job.architecture.recurrence?.kind, !framework.has(kind) else { return }
    let others = Framework.allCases.filter { $0.has(kind) }.map(\.rawValue)
    training.report(
      "framework",
      "\(framework.rawValue) has no layers of \(kind.rawValue); use "
        + others.dropLast().joined(separator: ", ") + " or \(others.last ?? "")")
  }

  /// Says of more pieces of the loss than there are tokens that some are empty.
  private func lossPieces() {
    let tokens = job.training.microBatch * job.training.sequenceLength
    guard job.training.lossChunks > tokens else { return }
    training.warn(
      "loss_chunks", "more than the \(tokens) tokens of a microbatch: a piece has one at least")
  }

  private func placement() {
    let cluster = job.cluster
    if job.parallelism.tensor > cluster.gpusPerNode {
      layout.warn(
        "tensor",
        "\(job.parallelism.tensor) ranks reach across nodes of \(cluster.gpusPerNode) GPUs")
    }
    let length = job.training.sequenceLength
    let positions = job.architecture.maximumPositions
    if job.architecture.positions == .learned, positions > 0, length > positions {
      training.warn(
        "sequence_length",
        "\(length) tokens are more than the \(positions) learned positions")
    }
  }
}
