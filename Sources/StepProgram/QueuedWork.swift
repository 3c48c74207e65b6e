import Collectives
import Kernels
import Layout
import Quantities
import Transformer

/// What the passes of a part of the model put into the device's queue.
struct QueuedWork: Hashable {
  /// Kernels, events and waits.
  var entries = 0
  /// Bytes reduced and scattered over tensor-parallel ranks.
  var scattered: Int64 = 0

  /// Entries of a collective: an event on the compute stream and the wait for it, the kernel, an event
  /// behind it and the wait for that (`ProcessGroupNCCL.cpp`).
  static let entriesPerCollective = 5

  /// Entries the driver takes before a launch waits for the device; all streams together where they
  /// share one hardware queue (`CUDA_DEVICE_MAX_CONNECTIONS=1`, which tensor parallelism asks for).
  static let queueDepth = 1_024

  /// Adds kernels and the exchanges around them.
  mutating func add(_ kernels: [Kernel], _ exchanges: [Exchange]) {
    for kernel in kernels {
      if case .stream(let pass) = kernel { entries += max(1, pass.launches) } else { entries += 1 }
    }
    entries += Self.entriesPerCollective * exchanges.count
    for exchange in exchanges where exchange.operation == .reduceScatter && exchange.axis == .tensor
    {
      scattered += exchange.bytes
    }
  }

  /// Bytes scattered by the last ``queueDepth`` entries of `parts`, which ran in that order.
  static func pending(in parts: [QueuedWork]) -> Int64 {
    var room = queueDepth
    var bytes: Int64 = 0
    for part in parts.reversed() where part.entries > 0 && room > 0 {
      let share = min(part.entries, room)
      bytes += part.scattered * Int64(share) / Int64(part.entries)
      room -= share
    }
    return bytes
  }
}

extension StepCompiler {
  /// The buffers gathered inputs and gradients land in, where the framework keeps them.
  var gatherBuffers: MemoryItem? {
    guard profile.fusion.keepsGatherBuffers, shard.sequenceParallel else { return nil }
    return MemoryItem(
      name: "gather buffers", category: .buffers,
      bytes: 2 * shard.bytes(shard.tokens, job.architecture.hiddenSize))
  }

  /// What the stage's chunks have given back to the allocator while a collective's stream may still
  /// read it, where the framework leaves that to `Tensor.record_stream` (PyTorch's process groups do
  /// by default): such a block is free only when the device has come past its last use.
  ///
  /// They are the inputs of reduce-scatters. Without a pipeline nothing but the depth of the device's
  /// queue keeps the host from running ahead: at the end of a forward pass the queue holds it and, when
  /// another microbatch came before, the end of that one's backward.
  /// With one, in number of microbatches as nanotron's sweep shows them:
  /// a pipeline's first stage runs ahead by all microbatches it warms up with but the last two. Where
  /// a send is too large for NCCL's buffers (seen from 32 MiB on, not with 16; not where tensor
  /// groups span nodes) it waits for its receiver and, with one hardware queue, everything behind
  /// it: then two on two stages, one more on longer pipelines. Where messages between stages stall, the
  /// device runs dry meanwhile and nothing is pending.
  func pending(in chunks: [ChunkBlocks], stage: Int) -> Bytes {
    guard profile.recordsStreams else { return .zero }
    let forward = chunks.flatMap(\.forwardQueue)
    let stages = job.parallelism.pipeline
    let follow = job.microbatchCount > stages
    guard stages > 1 else {
      let before = follow ? chunks.flatMap(\.backwardQueue).reversed() : []
      return Bytes(QueuedWork.pending(in: before + forward))
    }
    let nodes = pricing.placements.placement(of: .tensor).nodes
    guard nodes < profile.stallingTensorNodes || profile.stageMessageStall == .zero else {
      return .zero
    }
    var microbatches = max(0, min(stages - stage, job.microbatchCount) - 2)
    let sent = shard.bytes(shard.tokensOutside, job.architecture.hiddenSize)
    if nodes == 1, sent >= Bytes.mebibytes(32).count {
      microbatches += stages == 2 ? (follow ? 2 : 1) : (follow ? 1 : 0)
    }
    return Bytes(Int64(microbatches) * forward.reduce(0) { $0 + $1.scattered })
  }
}
