public import Collectives
public import Quantities

/// Where exposed time is counted; the parts add up to the step.
public enum TimeCategory: Int, Hashable, Sendable, CaseIterable {
  /// Kernels of the forward and backward pass.
  case compute
  /// Tensor-parallel communication the compute stream waits for.
  case tensor
  /// Context-parallel communication.
  case context
  /// Expert-parallel communication.
  case expert
  /// Activations and their gradients on their way between stages.
  case pipeline
  /// Gradient reduction and parameter gathering.
  case data
  /// Waiting for other pipeline stages.
  case bubble
  /// Optimizer step, gradient norm.
  case optimizer
  /// Launch-bound time, host synchronisation.
  case other
}

/// Among which ranks a collective runs.
public enum CommunicationAxis: Int, Hashable, Sendable, CaseIterable {
  /// Tensor-parallel ranks.
  case tensor
  /// Context-parallel ranks.
  case context
  /// Expert-parallel ranks.
  case expert
  /// Tensor ranks inside the experts.
  case expertTensor
  /// Ranks that hold the same dense parameters: data × context.
  case data
  /// Ranks that shard one copy of the dense states.
  case shard
  /// Ranks that hold the same shard of different copies.
  case replica
  /// Ranks that hold the same experts.
  case expertData
  /// First and last pipeline stage, which share a tied embedding.
  case embedding
  /// All ranks of one model copy: tensor × pipeline.
  case model
  /// Ranks that shard one copy of the experts' states.
  case expertShard
  /// Ranks that hold the same shard of different copies of them.
  case expertReplica
  /// Ranks that share a second copy of the parameters (ZeRO++).
  case secondary
}

/// A collective a program calls; one entry serves every call alike.
public struct CollectiveCall: Hashable, Sendable {
  /// Among whom.
  public var axis: CommunicationAxis
  /// What.
  public var operation: CollectiveOperation
  /// Size in the sense of nccl-tests.
  public var bytes: Int64
  /// Where the ranks sit.
  public var placement: GroupPlacement
  /// Duration on an idle fabric.
  public var duration: SimDuration
  /// Where the time counts when the compute stream waits for it.
  public var category: TimeCategory
  /// The algorithm to use; `nil` for the one that ends first.
  public var algorithm: CollectiveAlgorithm?
  /// Part of their speed kernels lose while it runs beside them on the data stream.
  public var interference = 0.0

  /// Adds a copy over the host link, which takes no multiprocessors, to what the call does.
  mutating func append(hostCopy copy: SimDuration) {
    let alone = duration
    duration += copy
    if duration > .zero { interference *= alone.seconds / duration.seconds }
  }
}

/// A piece of a block, in order.
public enum Leaf: Hashable, Sendable {
  /// Kernels on the compute stream.
  case work(WorkSummary)
  /// A collective the compute stream waits for; index into the program's calls.
  case exchange(Int, host: SimDuration)
  /// A collective beside kernels; the stream goes on when both are done.
  case fork(Int, host: SimDuration, WorkSummary)

  /// Whether the host waits for the device in it.
  public var waits: Bool {
    if case .work(let work) = self { work.waits } else { false }
  }

  /// Host time to issue it, picoseconds.
  public var issue: Int64 {
    switch self {
    case .work(let work): work.issue
    case .exchange(_, let host): host.picoseconds
    case .fork(_, let host, let work): host.picoseconds + work.issue
    }
  }
}

/// Work that always runs from end to end on one rank: a layer's forward pass, say.
public struct Block: Hashable, Sendable {
  /// What a trace calls it.
  public var name: String
  /// Its pieces.
  public var leaves: [Leaf]
  /// Its effect on an idle fabric, all collectives at their closed form.
  public var summary: WorkSummary
  /// How ``summary``'s busy time divides among categories, indexed by raw value; picoseconds.
  public var busyByCategory: [Int64]
  /// Floating-point operations on the matrix units, as published figures count them.
  public var flops: Double
  /// The operations its kernels do: without the scores a causal kernel skips.
  public var computedFlops = 0.0
}

/// What memory is held for.
public enum MemoryCategory: Int, Hashable, Sendable, CaseIterable {
  /// Weights, the working copy and what ZeRO has gathered of it.
  case parameters
  /// Gradients.
  case gradients
  /// Optimizer states and master weights.
  case optimizer
  /// What the forward pass keeps for the backward.
  case activations
  /// Communication buffers and temporaries.
  case buffers
  /// CUDA context, NCCL, libraries: outside the allocator.
  case runtime
}

/// Streams of a GPU that work side by side.
public enum Stream: Int, Hashable, Sendable, CaseIterable {
  /// Kernels, and collectives they wait for.
  case compute
  /// Gradient reduction and parameter gathering.
  case data
  /// Sends and receives between stages.
  case pipeline
}

/// One instruction of a rank's program.
public enum Instruction: Hashable, Sendable {
  /// Runs a block on the compute stream.
  case run(Int)
  /// Starts a collective on the data stream.
  ///
  /// It waits for the compute stream's work so far when `afterCompute`, and its end is kept in `slot`.
  case launch(call: Int, afterCompute: Bool, slot: Int)
  /// The compute stream waits for a slot; `category` names the wait.
  case wait(slot: Int, TimeCategory)
  /// Keeps the compute stream's present end in a slot.
  case mark(slot: Int)
  /// The data stream waits for a slot.
  case holdData(slot: Int)
  /// Sends to the next or previous virtual stage; `lane` names the link's queue.
  case send(lane: Int, microbatch: Int, bytes: Int64, duration: SimDuration, blocking: Bool)
  /// Waits for what was sent into `lane` for `microbatch`.
  case receive(lane: Int, microbatch: Int)
  /// The host waits for the compute stream.
  case synchronizeHost
  /// All stages meet in a collective.
  case meet(call: Int, first: Int, last: Int)
  /// Memory is taken (positive) or given back (negative).
  case memory(MemoryCategory, Int64)
  /// Memory is taken and given back while the present block runs: counts for the peak only.
  case scratch(MemoryCategory, Int64)
  /// What follows belongs to this part of the step.
  case phase(Phase)
}

/// A part of the step, for traces and for naming the moment of a peak.
public struct Phase: Hashable, Sendable {
  /// What runs.
  public enum Kind: UInt8, Hashable, Sendable {
    /// Forward of a microbatch through a chunk.
    case forward
    /// Backward of a microbatch through a chunk.
    case backward
    /// Weight gradients of a microbatch (zero-bubble).
    case weightGradient
    /// Optimizer step.
    case optimizer
  }
  /// What runs.
  public var kind: Kind
  /// Which microbatch.
  public var microbatch: Int
  /// Which model chunk of the rank.
  public var chunk: Int
  /// The unit of the chunk that holds most activations meanwhile.
  ///
  /// A layer of the model, −1 the embedding, the number of layers (next-token ones included) the head.
  public var layer: Int

  /// A part of the step.
  public init(_ kind: Kind, microbatch: Int = 0, chunk: Int = 0, layer: Int = -1) {
    self.kind = kind
    self.microbatch = microbatch
    self.chunk = chunk
    self.layer = layer
  }
}
