import Hardware
import Kernels
import Layout
import Quantities
import Transformer

/// Which states a rank of each stage holds, to the byte.
///
/// It never changes, and is too large to be copied wherever it is asked.
final class StatePlan {
  let job: TrainingJob
  let profile: FrameworkProfile
  /// Parts of the tensors.
  let parameters: ShardedParameters
  /// Local elements of each stage's units: embedding, layers, head, chunk after chunk.
  private let chunkCounts: [[ChunkCount]]
  /// Ranks that share one copy of the sharded expert states.
  let expertShardDegree: Int
  /// All of each stage's.
  private let stageCounts: [ParameterCount]
  /// Moments of each stage that differ from parameter to parameter.
  private let moments: [OptimizerStates?]

  init(job: TrainingJob, profile: FrameworkProfile) {
    self.job = job
    self.profile = profile
    let byCost =
      profile.balancesStagesByCost && job.parallelism.pipeline > 1
      && job.parallelism.virtualStages == 1 && !job.parallelism.isVShaped
    let stages = StageAssignment(
      job.architecture, job.parallelism,
      layersPerStage: job.parallelism.stageLayers
        ?? (byCost
          ? job.layersPerStageByCost
          : profile.dealsEndsAsLayers
            ? job.layersPerStageWithEnds : job.layersPerStageWhereUneven))
    parameters = ShardedParameters(
      job.architecture, job.parallelism, stages: stages,
      vocabularyPadding: profile.vocabularyMultiple > 1 ? profile.vocabularyMultiple : nil)
    let parts = parameters
    moments = (0..<job.parallelism.pipeline).map {
      OptimizerStates(
        job.training.optimizer, parts, pipelineRank: $0,
        valueBytes: Int64(Self.momentValueBytes(job, profile)))
    }
    expertShardDegree =
      job.parallelism.zero > 0 ? RankGrid(job.parallelism).expertShardGroup : 1
    chunkCounts = parts.counts
    stageCounts = chunkCounts.map { chunks in
      var result = ParameterCount()
      for chunk in chunks {
        result.add(chunk.embedding)
        for layer in chunk.layers { result.add(layer) }
        result.add(chunk.head)
      }
      return result
    }
  }

  /// The chunks of a stage with their local elements.
  func chunks(ofStage stage: Int) -> [ChunkCount] { chunkCounts[stage] }

  /// Local elements of a stage.
  func parameters(ofStage stage: Int) -> ParameterCount { stageCounts[stage] }

  /// Layers a stage holds.
  func layerCount(ofStage stage: Int) -> Int {
    chunkCounts[stage].reduce(0) { $0 + $1.chunk.layers.count }
  }

  /// Bytes of the stage's embedding and head, whole.
  ///
  /// Megatron FSDP gathers by layers, and what is in none stays gathered from its first use on, from one step
  /// to the next (`_pre_forward_param_unshard`; `preserve_non_fsdp_units` of its all-gather pipeline since
  /// 2026, earlier until the step's end).
  private func gatheredEndBytes(ofStage stage: Int) -> Int64 {
    chunkCounts[stage].reduce(0) {
      $0 + Int64($1.embedding.total + $1.head.total) * workingBytes
    }
  }

  /// Elements of a rank's part of the token table.
  var tableCount: Int { parameters.tableCount }

  /// Whether parameters are gathered layer by layer.
  ///
  /// By one rank alone where they wait in the host's memory.
  var gathersParameters: Bool {
    job.parallelism.zero >= 3 && (shardDegree > 1 || job.parallelism.offloadsParameters)
  }

  /// Ranks that share one copy of the dense sharded states.
  var shardDegree: Int {
    guard job.parallelism.zero > 0 else { return 1 }
    return job.parallelism.shardGroup ?? job.parallelism.data * job.parallelism.context
  }

  /// Ranks that share the dense optimizer states: those of the shards, of both copies of a stage.
  var ownerDegree: Int {
    job.parallelism.zero > 0 ? shardDegree * job.parallelism.stageCopies : 1
  }

  /// Ranks that share the experts' optimizer states.
  var expertOwnerDegree: Int {
    job.parallelism.zero > 0 ? expertShardDegree * job.parallelism.stageCopies : 1
  }

  /// Whether gradients are summed over data ranks after every microbatch.
  ///
  /// Where their owners keep nothing but their share, or parameters are gathered anew.
  var reducesEachMicrobatch: Bool {
    if let stated = job.parallelism.sharding.reducesEachMicrobatch { return stated }
    return gathersParameters ? !keepsGathered : job.parallelism.zero == 2
  }

  /// Whether gradients or parameters of replicated layers travel while other layers compute.
  var bucketsOverlap: Bool {
    job.parallelism.overlaps && profile.dataOverlap != .none
      && job.parallelism.data * job.parallelism.context > 1
  }

  /// Whether gradients are whole until the last microbatch though their owners keep only their share then.
  ///
  /// Where they are not reduced in buckets within each backward pass.
  var keepsWholeGradients: Bool {
    job.parallelism.zero == 2 && !streamsAlone
      && !(reducesEachMicrobatch && bucketsOverlap && !job.parallelism.schedule.splitsBackward)
  }

  /// Whether gathered parameters stay for the whole step.
  ///
  /// With a pipeline each chunk is used many times, so PyTorch's FSDP is told not to reshard between
  /// microbatches (`reshard_after_forward_policy` of torchtitan), and adds up whole gradients meanwhile: a
  /// rank then holds more than under ZeRO-2. Megatron FSDP reshards behind every pass (`_post_forward` of
  /// its `megatron_fsdp.py`).
  var keepsGathered: Bool {
    guard job.parallelism.sharding.reshardsAfterForward == nil else { return false }
    return job.parallelism.pipeline > 1 && !profile.shardsAsMegatronFSDP
      || !profile.reshardsAfterForward
  }

  /// Whether parameters gathered for a forward pass stay until its backward pass.
  var keepsToBackward: Bool {
    keepsGathered || job.parallelism.sharding.reshardsAfterForward == false
  }

  /// Bytes of a parameter's working copy.
  var parameterBytes: Int64 {
    if profile.isFSDP, job.training.precision.hasMasters { return 4 }
    return Int64(job.training.precision.activationFormat.bytesPerValue)
  }

  /// Bytes of a parameter as it is multiplied with.
  var workingBytes: Int64 { Int64(job.training.precision.activationFormat.bytesPerValue) }

  /// Format gradients are accumulated in.
  var gradientFormat: NumberFormat {
    if let given = job.training.gradientFormat { return given }
    return switch job.training.precision {
    case .bf16: .bf16
    case .fp16Mixed where profile.copiesGradientsForUpdate: .fp16
    default: profile.gradientFormat
    }
  }

  /// Bytes of an accumulated gradient value.
  var gradientBytes: Int64 { Int64(gradientFormat.bytesPerValue) }

  /// Bytes of a gradient value on the wire.
  var reduceBytes: Int64 { Int64((profile.reduceFormat ?? gradientFormat).bytesPerValue) }

  /// Bytes of optimizer state per parameter.
  ///
  /// Masters, where they are not the parameters themselves, and moments.
  var optimizerBytes: Int64 {
    masterBytes + momentBytes
  }

  /// Bytes of a value of the moments.
  private static func momentValueBytes(_ job: TrainingJob, _ profile: FrameworkProfile) -> Int {
    if let format = job.training.momentFormat { return Int(format.bytesPerValue.rounded(.up)) }
    let isLikeParameters = profile.isFSDP && job.training.precision == .bf16
    return isLikeParameters ? Int(job.training.precision.activationFormat.bytesPerValue) : 4
  }

  /// Bytes of the moments of a parameter.
  var momentBytes: Int64 {
    Int64(
      job.training.optimizer.stateBytes(momentBytes: Self.momentValueBytes(job, profile)))
  }

  /// Bytes of a master copy of a parameter; 0 where the parameter is its own.
  private var masterBytes: Int64 {
    job.training.precision.hasMasters && !profile.isFSDP ? 4 : 0
  }

  /// Bytes of optimizer state a rank of the stage owns.
  ///
  /// Masters, where they are not the parameters themselves, and moments.
  func ownedOptimizerBytes(ofStage stage: Int) -> Int64 {
    let owned = ownedCount(ofStage: stage)
    guard let moments = moments[stage] else { return owned * optimizerBytes }
    let share = { (bytes: Int64, degree: Int) in (bytes + Int64(degree) - 1) / Int64(degree) }
    return owned * masterBytes + share(moments.dense, ownerDegree)
      + share(moments.expert, expertOwnerDegree)
  }

  /// Bytes of the gradients of `count` parameters that a rank holds once they are reduced.
  func gradientShare(of count: ParameterCount) -> Int64 {
    guard !offloadsGradients else { return 0 }
    let owned =
      owned(count.dense, over: shardDegree) + owned(count.expert, over: expertShardDegree)
    return Int64(owned) * gradientBytes
  }

  /// Bytes of moments a rank of the stage owns.
  func ownedMomentBytes(ofStage stage: Int) -> Int64 {
    ownedOptimizerBytes(ofStage: stage) - ownedCount(ofStage: stage) * masterBytes
  }

  /// Whether the shards that are gathered wait in the host's memory.
  var offloadsParameters: Bool { job.parallelism.offloadsParameters && gathersParameters }

  /// Whether gradients go to the host as they are reduced, beside the rest of the backward pass.
  ///
  /// arXiv:2101.06840, section 4.2; `async_inplace_copy_grad_to_fp32_buffer_from_gpu` of DeepSpeed's
  /// `stage_1_and_2.py`.
  var streamsGradients: Bool {
    job.parallelism.offloadsOptimizer
      && (gathersParameters || bucketsOverlap && !job.parallelism.schedule.splitsBackward)
  }

  /// Whether they leave the device then: where their owners keep only their share.
  var offloadsGradients: Bool {
    streamsAlone || streamsGradients && job.parallelism.zero >= 2 && !keepsWholeGradients
  }

  /// Bytes of the stage's states that the host holds.
  func hostBytes(ofStage stage: Int) -> Int64 {
    let owned = ownedCount(ofStage: stage)
    return (job.parallelism.offloadsOptimizer ? ownedOptimizerBytes(ofStage: stage) : 0)
      + (offloadsParameters ? owned * parameterBytes : 0)
      + (offloadsGradients ? owned * gradientBytes : 0)
  }

  /// Parameters of the stage that a rank owns.
  func ownedCount(ofStage stage: Int) -> Int64 {
    let local = parameters(ofStage: stage)
    return Int64(
      owned(local.dense, over: ownerDegree) + owned(local.expert, over: expertOwnerDegree))
  }

  /// Seconds of an update on the host of `owned` parameters with `state` bytes of states.
  ///
  /// Gradients come over the host link when all are there, if they did not come as they were reduced; then
  /// states are read and written and the working copy written, piece by piece, and finished pieces go
  /// back meanwhile, but where they wait there for their next use (arXiv:2101.06840, section 5).
  func hostUpdate(owned: Int64, state: Int64) -> Double {
    let gpu = job.cluster.gpu
    let copy = owned * Int64(job.training.precision.activationFormat.bytesPerValue)
    let gradients = owned * gradientBytes
    let update = gpu.hostUpdateSeconds(bytes: 2 * state + gradients + copy)
    return (streamsGradients ? 0 : gpu.hostCopySeconds(bytes: gradients))
      + (offloadsParameters ? update : max(update, gpu.hostCopySeconds(bytes: copy)))
  }

  /// Bytes of moments of what a rank of the stage trains, shared with nobody.
  ///
  /// `nil` where every parameter has the same.
  func momentBytes(ofStage stage: Int) -> (dense: Int64, expert: Int64)? {
    moments[stage].map { ($0.dense, $0.expert) }
  }

  /// Whether every parameter has the same moments.
  var hasLikeMoments: Bool { moments.allSatisfy { $0 == nil } }

  /// Multiplies of the stage's optimizer step.
  func optimizerMultiplies(ofStage stage: Int) -> [Kernel] {
    moments[stage]?.newtonSchulz(over: ownerDegree, expertDegree: expertOwnerDegree) ?? []
  }

  /// Elements of states a rank owns when `count` are shared over `degree` ranks, the largest share.
  func owned(_ count: Int, over degree: Int) -> Int { (count + degree - 1) / degree }

  /// What the workspaces of the libraries are called.
  static let workspaceName = "library workspaces"

  /// What a rank of the stage holds all step long.
  func resident(ofStage stage: Int) -> [MemoryItem] {
    let local = parameters(ofStage: stage)
    let zero = job.parallelism.zero
    let owned =
      owned(local.dense, over: shardDegree) + owned(local.expert, over: expertShardDegree)
    let weights = zero >= 3 ? owned : local.total
    let gradients = zero >= 2 && !keepsWholeGradients ? owned : local.total
    var items = [
      MemoryItem(
        name: "weights", category: .parameters,
        bytes: offloadsParameters
          ? 0 : narrowWeightBytes(ofStage: stage) ?? Int64(weights) * parameterBytes),
      MemoryItem(
        name: "gradients", category: .gradients,
        bytes: offloadsGradients || profile.plansBuffers && gathersParameters
          ? 0 : Int64(gradients) * gradientBytes),
      MemoryItem(
        name: "optimizer states", category: .optimizer,
        bytes: job.parallelism.offloadsOptimizer ? 0 : ownedOptimizerBytes(ofStage: stage)),
    ]
    let hasBuckets =
      profile.accumulatesBehindBackward && zero == 0
      && job.parallelism.data * job.parallelism.context > 1
    if profile.keepsWorkingGradients || hasBuckets, gradientFormat == .fp32 {
      items.append(
        MemoryItem(
          name: "gradients in the parameters' format", category: .gradients,
          bytes: Int64(local.total) * parameterBytes))
    }
    let workspaces = LibraryWorkspaces(gpu: job.cluster.gpu)
    items.append(
      MemoryItem(
        name: Self.workspaceName, category: .buffers,
        bytes: workspaces.total(of: profile).count))
    if let bucket = gradientBucket { items.append(bucket) }
    if profile.groupsExpertMultiplies, job.architecture.experts != nil {
      items.append(
        MemoryItem(
          name: "workspaces of grouped multiplies", category: .buffers,
          bytes: workspaces.grouped.count))
    }
    if keepsQuantizedBeside, let bytes = quantizedBytes(ofStage: stage) {
      items.append(MemoryItem(name: "quantised weights", category: .parameters, bytes: bytes))
    }
    if gathersParameters, profile.shardsAsMegatronFSDP {
      items.append(
        MemoryItem(
          name: "gathered ends", category: .parameters, bytes: gatheredEndBytes(ofStage: stage)))
    }
    if zero >= 3, let group = job.parallelism.sharding.secondaryGroup {
      let value = Int64(job.training.precision.activationFormat.bytesPerValue)
      items.append(
        MemoryItem(
          name: "second copy of the parameters", category: .parameters,
          bytes: Int64(self.owned(local.dense, over: group)) * value))
    }
    items.removeAll { $0.bytes == 0 }
    return items
  }
}
