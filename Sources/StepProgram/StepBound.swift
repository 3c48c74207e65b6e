import Collectives
import Hardware
import Kernels
import Layout
public import Quantities
import Transformer

/// What a job's step takes, and its fullest rank holds, at least: told without its program.
///
/// Every kernel and every collective inside layers is in it, as the program has them; what waits for
/// other ranks beyond the filling of the pipeline, what exchanges gradients and parameters, what the host
/// is late with and the optimizer step are not. So no simulation of the job ends earlier or peaks lower.
public struct StepBound: Hashable, Sendable {
  /// Wall time no step is shorter than.
  public var duration: SimDuration
  /// Bytes the fullest rank holds before the first kernel.
  public var resident: Int64
  /// Bytes the fullest rank holds at its peak at least.
  public var bytes: Int64
}

/// Bounds jobs of one model on one cluster, pricing what is alike in many of them once.
///
/// Layouts of a search differ mostly in how layers are dealt out, not in what a layer is: GPT-3 on 1,024
/// GPUs has hundreds of layouts for each way to cut a layer.
public struct StepBounds: Sendable {
  /// What the passes of all parts of the model depend on, beside model, GPU and training settings.
  private struct Surroundings: Hashable {
    var shard: LayerShard
    var profile: FrameworkProfile
    var attention: AttentionAlgorithm
    var placements: [GroupPlacement]
    var stagesCrossNodes: Bool
    var schedule: PipelineSchedule

    init(_ compiler: StepCompiler) {
      let placements = compiler.pricing.placements
      shard = compiler.shard
      profile = compiler.profile
      attention = compiler.attention
      self.placements = [.tensor, .context, .expert, .expertTensor].map {
        placements.placement(of: $0)
      }
      stagesCrossNodes = placements.stagesCrossNodes
      schedule = compiler.job.parallelism.schedule
    }
  }

  /// A part in surroundings seen before.
  private struct PartKey: Hashable {
    var surroundings: Int
    var part: Part
  }

  /// A part of the model.
  private enum Part: Hashable {
    case embedding
    case layer(StepCompiler.LayerKey)
    case head
  }

  /// Device time and kept bytes of a part.
  private struct Floor {
    var forward: Int64
    var backward: Int64
    var saved: Int64
  }

  private var surroundings: [Surroundings: Int] = [:]
  private var floors: [PartKey: Floor] = [:]

  /// Bounds with nothing priced yet.
  public init() {}

  /// The bound of `job`; with `recompute: auto`, whatever is decided.
  public mutating func bound(_ job: TrainingJob) -> StepBound {
    var compiler = StepCompiler(job: job)
    let place = Surroundings(compiler)
    let known = surroundings[place] ?? surroundings.count
    surroundings[place] = known
    let ranks = job.parallelism.pipeline
    var result = StepBound(duration: .zero, resident: 0, bytes: 0)
    var fill = SimDuration.zero
    var drain = SimDuration.zero
    for stage in 0..<ranks {
      let chunks = compiler.states.chunks(ofStage: stage).map {
        floor(of: $0, &compiler, known)
      }
      let microbatches = job.microbatchCount / job.parallelism.stageCopies
      let each = chunks.reduce(SimDuration.zero) {
        $0 + SimDuration(picoseconds: $1.forward) + SimDuration(picoseconds: $1.backward)
      }
      result.duration = max(result.duration, fill + each * microbatches + drain)
      // A stage begins when the first microbatch has come through the chunks before it, and the last
      // pass of its first chunk is followed by those of the stages before it.
      if !job.parallelism.isBidirectional { fill += SimDuration(picoseconds: chunks[0].forward) }
      if !job.parallelism.schedule.splitsBackward {
        drain += SimDuration(picoseconds: chunks[0].backward)
      }
      let resident = compiler.states.resident(ofStage: stage).reduce(0) { $0 + $1.bytes }
      let kept = (chunks.map(\.saved).min() ?? 0) * Int64(passesHeld(job, stage: stage))
      result.resident = max(result.resident, resident)
      result.bytes = max(result.bytes, resident + kept)
    }
    return result
  }

  /// Forward passes of chunks a rank has done before its first backward ends, at least.
  private func passesHeld(_ job: TrainingJob, stage: Int) -> Int {
    let ranks = job.parallelism.pipeline
    // Recomputation yet to be decided may keep next to nothing.
    guard job.training.recompute != .auto else { return 0 }
    let behind = ranks - stage - 1
    switch job.parallelism.schedule {
    case .gpipe: return job.microbatchCount
    case .oneForwardOneBackward: return min(behind + 1, job.microbatchCount)
    case .interleaved:
      let chunks = job.parallelism.virtualStages
      guard chunks > 1 else { return min(behind + 1, job.microbatchCount) }
      return min(2 * behind + (chunks - 1) * ranks + 1, chunks * job.microbatchCount)
    case .zeroBubble, .dualPipe, .bidirectional: return 1
    }
  }

  /// Device time and kept bytes of one microbatch in a chunk.
  private mutating func floor(
    of chunk: ChunkCount, _ compiler: inout StepCompiler, _ surroundings: Int
  ) -> Floor {
    var sum = Floor(forward: 0, backward: 0, saved: 0)
    func add(_ floor: Floor) {
      sum.forward = SimDuration(picoseconds: sum.forward + floor.forward).cut.picoseconds
      sum.backward = SimDuration(picoseconds: sum.backward + floor.backward).cut.picoseconds
      sum.saved += floor.saved
    }
    if chunk.chunk.hasEmbedding {
      add(floor(of: .embedding, &compiler, surroundings) { $0.embeddingBlocks() })
    }
    // Most layers are like the one before.
    var last: (key: StepCompiler.LayerKey, floor: Floor)?
    for (index, layer) in chunk.chunk.layers.enumerated() {
      let recompute = compiler.recompute(index: index)
      let key = compiler.key(ofLayer: layer, recompute: recompute)
      if last?.key != key {
        let floor = floor(of: .layer(key), &compiler, surroundings) {
          $0.blocks(ofLayer: layer, recompute: recompute)
        }
        last = (key, floor)
      }
      if let last { add(last.floor) }
    }
    if chunk.chunk.hasHead {
      add(floor(of: .head, &compiler, surroundings) { $0.headBlocks() })
    }
    return sum
  }

  /// Device time and kept bytes of a part, priced once.
  private mutating func floor(
    of part: Part, _ compiler: inout StepCompiler, _ surroundings: Int,
    price: (inout StepCompiler) -> StepCompiler.LayerBlocks
  ) -> Floor {
    let key = PartKey(surroundings: surroundings, part: part)
    if let known = floors[key] { return known }
    let blocks = price(&compiler)
    let splits = compiler.job.parallelism.schedule.splitsBackward
    let split = blocks.inputGradient.deviceTime + blocks.weightGradient.deviceTime
    let made = Floor(
      forward: blocks.forward.deviceTime,
      backward: splits
        ? min(split, blocks.backward.deviceTime) : blocks.backward.deviceTime,
      saved: blocks.saved)
    floors[key] = made
    return made
  }
}
