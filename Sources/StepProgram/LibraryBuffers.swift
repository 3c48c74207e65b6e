import Kernels
import Layout
import Quantities
import Transformer

/// What lands in the one buffer of Megatron that grows to its largest use and stays.
///
/// `GlobalMemoryBuffer` in Megatron-Core's `core/utils.py`; every user here asks for it by the same name and
/// format.
public enum SharedBufferUse: Hashable, Sendable {
  /// No such buffer.
  case none
  /// Tokens gathered before the output projection, and those an all-gather dispatcher gathers.
  ///
  /// The former under sequence parallelism. Everything else is Transformer Engine's, which allocates anew
  /// (`tensor_parallel/layers.py`, `moe/token_dispatcher.py`).
  case ends
  /// Those, tokens gathered before any column-parallel layer, and scores of an attention that has them.
  ///
  /// `DotProductAttention` asks for a buffer of their size as the operand a product is added to.
  case all
}

extension StepCompiler {
  /// The shared buffer of a stage at its largest; `nil` where nothing uses it.
  func sharedBuffer(in chunks: [ChunkBlocks]) -> MemoryItem? {
    guard profile.sharedBuffer != .none else { return nil }
    let architecture = job.architecture
    let hidden = architecture.hiddenSize
    let isWhole = profile.sharedBuffer == .all
    var bytes: Int64 = 0
    if shard.sequenceParallel, isWhole || chunks.contains(where: \.plan.hasHead) {
      bytes = shard.bytes(shard.tokens, hidden)
    }
    let layers = chunks.flatMap(\.plan.layers)
    if let experts = architecture.experts, layers.contains(where: architecture.isExpertLayer),
      experts.dispatcher(shard.dispatch, nodes: shard.expertNodes) == .allGather,
      shard.expert > 1 || shard.sequenceParallel
    {
      bytes = max(bytes, shard.bytes(shard.tokens * shard.expert, experts.latentSize ?? hidden))
    }
    if isWhole, !attention.isFlash, !layers.isEmpty {
      let heads = max(1, architecture.attention.heads / shard.tensor)
      bytes = max(
        bytes,
        shard.bytes(shard.microBatch * heads * shard.localSequence, shard.sequenceLength))
    }
    guard bytes > 0 else { return nil }
    return MemoryItem(name: "shared gather buffer", category: .buffers, bytes: bytes)
  }
}

/// The shape of a weight's gradient, of one expert for all.
struct GradientShape: Hashable {
  var rows: Int
  var columns: Int

  /// Shapes of the gradients that operations' multiplies accumulate; a router's are not fused.
  static func shapes(of operations: [Operation]) -> Set<Self> {
    var shapes: Set<Self> = []
    for operation in operations where operation.name != "router" {
      for case .matmul(let gradient) in operation.weightGradient {
        shapes.insert(Self(rows: gradient.m, columns: gradient.n))
      }
    }
    return shapes
  }
}

extension StepCompiler {
  /// Bytes of the stand-ins a stage keeps: a tensor for each shape of weight in any of its chunks.
  func standIns(in chunks: [ChunkBlocks]) -> Int64 {
    guard profile.keepsGradientStandIns else { return 0 }
    var shapes: Set<GradientShape> = []
    for chunk in chunks {
      shapes.formUnion(chunk.gradientShapes)
      if profile.keepsStandInsBetweenSteps { shapes.formUnion(chunk.headShapes) }
    }
    return shapes.reduce(0) { $0 + Int64($1.rows) * Int64($1.columns) * shard.valueBytes }
  }

  /// Bytes of stand-ins between steps.
  func standInsLeft(by chunks: [ChunkBlocks]) -> Int64 {
    profile.keepsStandInsBetweenSteps ? standIns(in: chunks) : 0
  }

  /// Microbatches whose weight gradient of the output projection waits for the end of the step.
  ///
  /// The last one's has nothing to wait for; none waits where each microbatch's are reduced.
  var deferredGradients: Int {
    guard job.parallelism.pipeline > 1, !states.reducesEachMicrobatch,
      !job.parallelism.schedule.splitsBackward, !job.parallelism.isBidirectional,
      !states.gathersParameters
    else { return 0 }
    return min(job.training.switches.deferredGradients, job.microbatchCount - 1)
  }

  /// Bytes a microbatch holds for a weight gradient of the output projection that waits.
  ///
  /// The gradient of its logits and the projection's input (`embedding_activation_buffer` and
  /// `grad_output_buffer` in Megatron-Core's `tensor_parallel/layers.py`).
  var bytesOfDeferredGradient: Int64 {
    shard.bytes(shard.tokens, shard.vocabularyShare)
      + shard.bytes(shard.tokensOutside, job.architecture.hiddenSize)
  }
}
