public import Transformer

/// A run of consecutive layers that a pipeline rank computes as one unit.
public struct ModelChunk: Hashable, Sendable {
  /// Position in model order: a microbatch visits the stages in ascending order.
  public var stage: Int
  /// Pipeline rank that holds it.
  public var pipelineRank: Int
  /// Which of the rank's chunks it is, in model order.
  public var index: Int
  /// The layers, numbered through the model.
  ///
  /// Those from the layer count on are next-token prediction modules.
  public var layers: Range<Int>
  /// Whether it begins with the token embedding.
  public var hasEmbedding: Bool
  /// Whether it ends with the final norm, the output projection and the loss.
  public var hasHead: Bool
}

/// Which layers each pipeline rank holds.
public struct StageAssignment: Hashable, Sendable {
  /// How the stages are dealt out to the pipeline ranks.
  public enum Placement: String, Hashable, Sendable {
    /// One stage a rank, or several in rounds.
    ///
    /// Chunk c of rank p is stage c·P + p (interleaved schedule, arXiv:2104.04473).
    case rounds
    /// Two stages a rank, down and back up.
    ///
    /// Stage s and stage 2P − 1 − s share a rank (zero-bubble V, arXiv:2405.15362; DualPipeV, the form of
    /// DualPipe without a second copy of the weights).
    case vShape
    /// Each stage twice, for microbatches that go down the ranks and for those that go up.
    ///
    /// Rank p has stage p of the one and stage P − 1 − p of the other (DualPipe, arXiv:2412.19437). Stages of
    /// the way up are numbered on from P.
    case mirrored
  }

  /// Pipeline ranks.
  public let pipeline: Int
  /// Chunks on each pipeline rank.
  public let chunksPerRank: Int
  /// How stages are dealt out.
  public let placement: Placement
  /// All chunks in model order.
  public let chunks: [ModelChunk]

  /// The layers of `architecture` dealt out to the ranks of `parallelism`.
  ///
  /// Layers are split evenly when they divide. When they do with the embedding, the head, or both
  /// counted as a layer, that is done (Megatron-Core's `account_for_embedding_in_pipeline_split`
  /// and `account_for_loss_in_pipeline_split`; Llama 3.1 405B trains its 126 layers on 16 × 8
  /// stages so, arXiv:2407.21783, section 3.3.2). Otherwise the remainder goes to the first
  /// stages, one layer each. Next-token prediction modules come behind the last layer. The counts
  /// in `layersPerStage`, else the layout's own, one per stage in model order, override the rule.
  public init(
    _ architecture: Architecture, _ parallelism: Parallelism, layersPerStage: [Int]? = nil
  ) {
    let pipeline = parallelism.pipeline
    let placement = Self.placement(parallelism)
    let perRank = placement == .rounds ? parallelism.virtualStages : 2
    let directions = placement == .mirrored ? 2 : 1
    let stages = pipeline * perRank / directions
    let counts =
      layersPerStage ?? parallelism.stageLayers
      ?? Self.layerCounts(layers: architecture.layerCount, stages: stages)
    precondition(counts.count == stages, "\(counts.count) layer counts for \(stages) stages")
    var chunks: [ModelChunk] = []
    for direction in 0..<directions {
      var next = 0
      for stage in 0..<stages {
        var end = next + counts[stage]
        if stage == stages - 1 { end += architecture.nextTokenLayers }
        let round = direction + stage / pipeline
        let isReturn = placement != .rounds && round == 1
        chunks.append(
          ModelChunk(
            stage: direction * stages + stage,
            pipelineRank: isReturn ? pipeline - 1 - stage % pipeline : stage % pipeline,
            index: round, layers: next..<end, hasEmbedding: stage == 0,
            hasHead: stage == stages - 1))
        next = end
      }
    }
    self.pipeline = pipeline
    self.chunksPerRank = perRank
    self.placement = placement
    self.chunks = chunks
  }

  /// Stages, counted twice where each is held for two directions.
  public var stageCount: Int { chunks.count }

  /// Chunks of `pipelineRank`, in model order.
  public func chunks(of pipelineRank: Int) -> [ModelChunk] {
    chunks.filter { $0.pipelineRank == pipelineRank }
  }

  /// Layers that `pipelineRank` holds.
  public func layerCount(of pipelineRank: Int) -> Int {
    chunks.reduce(0) { $0 + ($1.pipelineRank == pipelineRank ? $1.layers.count : 0) }
  }

  /// Layers of each stage in model order where those of each pipeline rank are given.
  ///
  /// Split evenly over its chunks, earlier ones first.
  public static func layersPerStage(_ perRank: [Int], _ parallelism: Parallelism) -> [Int] {
    let ranks = parallelism.pipeline
    let placement = placement(parallelism)
    guard placement != .mirrored else { return perRank }
    guard placement == .rounds else {
      return perRank.map { ($0 + 1) / 2 } + perRank.reversed().map { $0 / 2 }
    }
    let chunks = parallelism.virtualStages
    return (0..<chunks).flatMap { chunk in
      perRank.prefix(ranks).map { $0 / chunks + (chunk < $0 % chunks ? 1 : 0) }
    }
  }

  private static func placement(_ parallelism: Parallelism) -> Placement {
    parallelism.isVShaped ? .vShape : parallelism.isBidirectional ? .mirrored : .rounds
  }

  /// Layers of each stage, in model order.
  static func layerCounts(layers: Int, stages: Int) -> [Int] {
    var counts = Array(repeating: layers / stages, count: stages)
    let remainder = layers % stages
    guard remainder > 0 else { return counts }
    if stages > 2, remainder == stages - 2 {
      for stage in 1..<(stages - 1) { counts[stage] += 1 }
    } else {
      for stage in 0..<remainder { counts[stage] += 1 }
    }
    return counts
  }
}
