import Collectives
import Hardware
import Kernels
import Layout
import Quantities
import Transformer

/// What a stage's allocator is asked for.
extension StepCompiler {
  /// The buffers gathered inputs and gradients land in, where the framework keeps them.
  var gatherBuffers: MemoryItem? {
    guard profile.fusion.keepsGatherBuffers, shard.sequenceParallel else { return nil }
    return MemoryItem(
      name: "gather buffers", category: .buffers,
      bytes: 2 * shard.bytes(shard.tokens, job.architecture.hiddenSize))
  }

  /// Whether the job's steps are played to a caching allocator, tensor by tensor.
  ///
  /// Not what is made anew in the backward pass, gathered for it, or put off behind it; nor moments that
  /// differ from tensor to tensor.
  var replaysCache: Bool {
    profile.replaysCache && keepsEverything && !states.gathersParameters
      && !job.parallelism.schedule.splitsBackward && !job.parallelism.isBidirectional
      && states.hasLikeMoments
  }

  /// Whether no operation runs again.
  ///
  /// Selective recomputation drops scores, which fused attention has not.
  private var keepsEverything: Bool {
    switch job.training.recompute {
    case .none: true
    case .selective:
      attention.isFlash && !profile.selectiveRecomputesOperations
        && !profile.selectiveRecomputesAllButMultiplies
        && !profile.selectiveRecomputesFusedAttention
    default: false
    }
  }

  /// Most passes of a warm-up that are played.
  ///
  /// The allocator's lists grow with what is in flight, and GPipe may have thousands.
  private static let longestWarmUp = 384

  /// The tensors of a chunk's passes.
  func moves(of parts: [ChunkPart], _ plan: ModelChunk) -> ChunkMoves {
    var writer = MoveWriter(
      flowing: shard.bytes(shard.tokensOutside, job.architecture.hiddenSize), shard: shard,
      fusion: profile.fusion, attentionLaunches: profile.launchesAroundAttention)
    writer.sharesTable = job.architecture.tiesEmbeddings && plan.hasEmbedding
    writer.workspace = threadWorkspace
    if !plan.hasEmbedding { writer.receive() }
    for part in parts {
      writer.add(
        part.blocks.operations, table: part.layer < 0 ? Int64(part.parameters.total) : 0)
    }
    writer.finish(sends: !plan.hasHead)
    return writer.moves
  }

  /// Bytes of the workspace of one thread's multiplies, of which ``LibraryWorkspaces`` count two.
  private var threadWorkspace: Int64 {
    guard job.hasTorchWorkspace else { return 0 }
    return (profile.cublasWorkspace ?? LibraryWorkspaces(gpu: job.cluster.gpu).torch).count
  }

  /// What the allocator of a rank of `stage` takes.
  func cache(
    ofStage stage: Int, items: [MemoryItem], chunks: [ChunkBlocks], turns: [Turn]
  ) -> CacheReplay.Outcome? {
    let warmUp = turns.firstIndex { $0.kind == .backward } ?? turns.count
    guard replaysCache, warmUp <= Self.longestWarmUp else { return nil }
    let moments = states.ownedMomentBytes(ofStage: stage)
    var replay = CacheReplay()
    replay.resident = items.map {
      if $0.category == .optimizer { return max(0, $0.bytes - moments) }
      return $0.name == StatePlan.workspaceName ? max(0, $0.bytes - threadWorkspace) : $0.bytes
    }
    replay.momentBytes = states.momentBytes
    replay.moments = job.training.optimizer.momentCount
    replay.owners = Int64(states.ownerDegree)
    replay.updateTensors = gatherTensors(ofStage: stage)
    replay.chunks = chunks.compactMap(\.moves)
    replay.lead = lead(ofStage: stage, chunks: chunks)
    let capacity = job.cluster.gpu.memory.count - job.runtime.count
    for limit in [capacity - profile.furtherCommunicators.count, capacity] {
      if let outcome = replay.play(turns, capacity: limit) { return outcome }
    }
    // Too little even for a host that waits: what it would take.
    replay.lead.depth = 0
    return replay.play(turns, capacity: .max / 2)
  }

  /// Tensors in which updated parameters are gathered where that is not done in place.
  ///
  /// The rank's own part, every rank's, and one for all of them, from which those are copied
  /// (`all_gather_coalesced` in nanotron's `distributed.py`; `allgather` in PyTorch's `ProcessGroupNCCL.cpp`).
  func gatherTensors(ofStage stage: Int) -> [Int64] {
    guard profile.gatheredTensorsPerLayer > 0, job.parallelism.zero == 1, states.shardDegree > 1
    else { return [] }
    let local = Int64(states.parameters(ofStage: stage).total) * shard.valueBytes
    let ranks = Int64(states.shardDegree)
    let part = (local + ranks - 1) / ranks
    return [part] + [Int64](repeating: part, count: states.shardDegree) + [local]
  }

  /// How far the host of a rank of `stage` runs ahead.
  private func lead(ofStage stage: Int, chunks: [ChunkBlocks]) -> HostLead {
    guard profile.recordsStreams else { return HostLead() }
    let nodes = pricing.placements.placement(of: .tensor).nodes
    var issue = SimDuration.zero
    var busy = SimDuration.zero
    for chunk in chunks {
      for pass in [chunk.forward, chunk.backward] {
        issue += SimDuration(picoseconds: builder.blocks[pass].summary.issue)
        busy += SimDuration(picoseconds: builder.blocks[pass].summary.busy)
      }
    }
    let isPiped = job.parallelism.pipeline > 1
    return HostLead(
      depth: QueuedWork.queueDepth,
      share: HostLead.share(issue: issue.picoseconds, busy: busy.picoseconds),
      waitsForMessages: isPiped,
      // A host alone is faster than with the waits for the others of its group that its time includes:
      // nanotron's sweep has the device behind from three quarters of that time on.
      isDeviceBound: busy.seconds > 0.75 * issue.seconds,
      stalls: nodes >= profile.stallingTensorNodes && profile.stageMessageStall > .zero,
      stagesBehind: job.parallelism.pipeline - 1 - stage,
      tensorRanks: job.parallelism.tensor)
  }
}
