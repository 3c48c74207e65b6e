public import Quantities

/// What every rank does in one training step.
///
/// One program per pipeline stage, shared by all its ranks.
///
/// Both fidelities interpret this value: `folded` runs one rank of each stage with collectives at
/// their closed form, `full` runs every rank with collectives as messages.
public struct StepProgram: Sendable {
  /// The job it was compiled from, `auto` settings decided.
  public var job: TrainingJob
  /// One program per pipeline rank.
  public var stages: [StageProgram]
  /// Collectives called by any program.
  public var calls: [CollectiveCall]
  /// Blocks run by any program.
  public var blocks: [Block]
  /// Queues between stages: one per virtual stage and direction.
  public var laneCount: Int
  /// Slots a rank needs.
  public var slotCount: Int
  /// Model FLOPs of one step over all ranks: no recomputation, attention counted in full.
  public var modelFlops: Flops
}

/// The program of all ranks of a pipeline stage.
public struct StageProgram: Sendable {
  /// Pipeline rank.
  public var stage: Int
  /// Ranks that run it.
  public var rankCount: Int
  /// A representative: the first of them.
  public var rank: Int
  /// What they do, in order.
  public var instructions: [Instruction]
  /// Bytes held all step long, by category.
  public var resident: [Int64]
  /// What is held in each category, named; sums to ``resident`` and documents it.
  public var items: [MemoryItem]
  /// Bytes a step leaves behind that the next one replaces, or makes again, before its peak.
  ///
  /// The inputs its chunks got last, and their gradients; fp32 copies of gradients; stand-ins.
  public var leftBehind: Bytes
  /// Bytes of states that the first update makes, where the first steps come without one.
  ///
  /// fp16 starts with a loss scale of 2³², halved in each step that overflows and does not update
  /// (Megatron-LM's `--initial-loss-scale`).
  public var madeByFirstUpdate: Bytes
  /// Bytes of states in the host's memory, of one rank.
  public var hostBytes: Bytes
  /// What a caching allocator has taken, where its steps are played to one.
  public var cache: CacheReplay.Outcome?
}

/// A named part of resident memory.
public struct MemoryItem: Hashable, Sendable {
  /// What it is.
  public var name: String
  /// Where it counts.
  public var category: MemoryCategory
  /// How much.
  public var bytes: Int64
}
