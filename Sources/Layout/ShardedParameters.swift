public import Transformer

/// The part of a tensor that one rank holds before any partition over data ranks.
public struct LocalTensor: Hashable, Sendable {
  /// The whole tensor.
  public var tensor: ParameterTensor
  /// The layer it belongs to; `nil` for embedding, final norm and head.
  public var layer: Int?
  /// Extents of the part, padding included.
  public var shape: [Int]
  /// Whether another pipeline rank holds the same values.
  ///
  /// The token table again where the output projection is tied to it, or where next-token prediction reads it.
  public var isCopy: Bool

  /// Elements of the part.
  public var count: Int { shape.reduce(1, *) }
}

/// What one rank holds of a model chunk.
public struct ChunkParameters: Hashable, Sendable {
  /// The chunk.
  public var chunk: ModelChunk
  /// Parts of the tensors before the first layer; empty without embedding.
  public var embedding: [LocalTensor]
  /// Parts of each layer's tensors, layer by layer.
  public var layers: [[LocalTensor]]
  /// Parts of the tensors behind the last layer; empty without head.
  public var final: [LocalTensor]

  /// All parts, in model order.
  public var tensors: [LocalTensor] { embedding + layers.flatMap { $0 } + final }
  /// Elements outside routed experts.
  public var denseCount: Int { Self.count(tensors, experts: false) }
  /// Elements of routed experts.
  public var expertCount: Int { Self.count(tensors, experts: true) }

  /// Elements of `tensors` that are, or are not, routed experts.
  public static func count(_ tensors: [LocalTensor], experts: Bool) -> Int {
    tensors.reduce(0) { $0 + ($1.tensor.isExpert == experts ? $1.count : 0) }
  }
}

/// Parameters held on one rank, counted apart where they are shared out differently.
public struct ParameterCount: Hashable, Sendable {
  /// Elements outside routed experts.
  public var dense = 0
  /// Elements of routed experts.
  public var expert = 0
  /// Elements of the largest tensor.
  public var largest = 0

  /// None.
  public init() {}

  /// The elements of `tensors`.
  public init(_ tensors: [LocalTensor]) {
    dense = ChunkParameters.count(tensors, experts: false)
    expert = ChunkParameters.count(tensors, experts: true)
    largest = tensors.map(\.count).max() ?? 0
  }

  /// All elements.
  public var total: Int { dense + expert }

  /// Counts those of `other` as well.
  public mutating func add(_ other: Self) {
    dense += other.dense
    expert += other.expert
    largest = max(largest, other.largest)
  }
}

/// Elements one rank holds of a model chunk.
public struct ChunkCount: Hashable, Sendable {
  /// The chunk.
  public var chunk: ModelChunk
  /// Of the tensors before the first layer.
  public var embedding: ParameterCount
  /// Of each layer.
  public var layers: [ParameterCount]
  /// Of the tensors behind the last layer.
  public var head: ParameterCount
}

/// Which part of every parameter tensor each rank holds, to the element.
///
/// Column- and row-split tensors are cut in whole blocks (heads, features); when the blocks do not
/// divide, the first ranks hold one more. With fewer blocks than ranks each rank holds one block
/// whole: key and value heads are replicated. The token table and the head are padded to a
/// multiple of the vocabulary padding times the tensor degree and cut evenly (Megatron-LM's
/// `make-vocab-size-divisible-by`, 128 there); without padding their rows are cut as blocks are.
/// Routed experts are dealt evenly over the expert degree, the first ranks holding one more.
public struct ShardedParameters: Hashable, Sendable {
  /// The model.
  public let architecture: Architecture
  /// The degrees.
  public let parallelism: Parallelism
  /// Which layers each pipeline rank holds.
  public let stages: StageAssignment
  /// The vocabulary is padded to a multiple of this times the tensor degree; `nil` for no padding.
  public let vocabularyPadding: Int?

  /// The parts of `architecture` under `parallelism`.
  public init(
    _ architecture: Architecture, _ parallelism: Parallelism, stages: StageAssignment? = nil,
    vocabularyPadding: Int? = nil
  ) {
    self.architecture = architecture
    self.parallelism = parallelism
    self.stages = stages ?? StageAssignment(architecture, parallelism)
    self.vocabularyPadding = vocabularyPadding
  }

  /// Rows of the token table, padding included.
  public var paddedVocabularySize: Int {
    guard let vocabularyPadding else { return architecture.vocabularySize }
    let unit = vocabularyPadding * parallelism.tensor
    return (architecture.vocabularySize + unit - 1) / unit * unit
  }

  /// Elements of the token table on the first rank of each tensor group.
  public var tableCount: Int {
    Self.share(paddedVocabularySize, of: parallelism.tensor, at: 0) * architecture.hiddenSize
  }

  /// What the rank at these positions in its groups holds of each of its chunks, in model order.
  public func chunks(
    pipelineRank: Int, tensorRank: Int = 0, expertRank: Int = 0, expertTensorRank: Int = 0
  ) -> [ChunkParameters] {
    let place = Place(tensor: tensorRank, expert: expertRank, expertTensor: expertTensorRank)
    return stages.chunks(of: pipelineRank).map { chunk in
      ChunkParameters(
        chunk: chunk, embedding: embedding(of: chunk, place),
        layers: chunk.layers.map { layer($0, place) }, final: final(of: chunk, place))
    }
  }

  /// The elements that the first rank of each group holds: of each pipeline rank, chunk by chunk.
  ///
  /// As ``chunks(pipelineRank:tensorRank:expertRank:expertTensorRank:)`` counted, at the cost of one
  /// layer of each kind.
  public var counts: [[ChunkCount]] {
    let place = Place(tensor: 0, expert: 0, expertTensor: 0)
    var known: [(kind: Architecture.LayerKind, count: ParameterCount)] = []
    var counts = [[ChunkCount]](repeating: [], count: parallelism.pipeline)
    let none = ParameterCount()
    for chunk in stages.chunks {
      let count = ChunkCount(
        chunk: chunk,
        embedding: chunk.hasEmbedding ? ParameterCount(embedding(of: chunk, place)) : none,
        layers: chunk.layers.map { layer in
          let kind = architecture.kind(ofLayer: layer)
          if let same = known.first(where: { $0.kind == kind }) { return same.count }
          let count = ParameterCount(self.layer(layer, place))
          known.append((kind, count))
          return count
        },
        head: chunk.hasHead ? ParameterCount(final(of: chunk, place)) : none)
      counts[chunk.pipelineRank].append(count)
    }
    return counts
  }

  /// Elements of the layers' weights that narrow formats are used for, on the first rank of each group.
  ///
  /// All that tokens are multiplied by but the routers'.
  public func multipliedCount(pipelineRank: Int) -> Int {
    let place = Place(tensor: 0, expert: 0, expertTensor: 0)
    var known: [(kind: Architecture.LayerKind, count: Int)] = []
    return stages.chunks(of: pipelineRank).flatMap(\.layers).reduce(0) { total, layer in
      let kind = architecture.kind(ofLayer: layer)
      if let same = known.first(where: { $0.kind == kind }) { return total + same.count }
      let count = self.layer(layer, place).reduce(0) {
        $0
          + ($1.tensor.kind == .matmulWeight && !$1.tensor.name.hasPrefix("router.") ? $1.count : 0)
      }
      known.append((kind, count))
      return total + count
    }
  }

  /// Parts of the tensors before the first layer.
  private func embedding(of chunk: ModelChunk, _ place: Place) -> [LocalTensor] {
    chunk.hasEmbedding
      ? architecture.embeddingTensors.map { part($0, layer: nil, place) } : []
  }

  /// Parts of a layer's tensors.
  private func layer(_ layer: Int, _ place: Place) -> [LocalTensor] {
    architecture.tensors(ofLayer: layer).map { part($0, layer: layer, place) }
  }

  /// Parts of the tensors behind the last layer.
  private func final(of chunk: ModelChunk, _ place: Place) -> [LocalTensor] {
    guard chunk.hasHead else { return [] }
    var final: [LocalTensor] = []
    let needsTable = architecture.tiesEmbeddings || architecture.nextTokenLayers > 0
    let holdsTable = stages.chunks.contains {
      $0.hasEmbedding && $0.pipelineRank == chunk.pipelineRank
    }
    if needsTable, !holdsTable, let table = architecture.embeddingTensors.first {
      final.append(part(table, layer: nil, place, isCopy: true))
    }
    return final + architecture.finalTensors.map { part($0, layer: nil, place) }
  }

  /// What `rank` of `grid` holds of each of its chunks.
  public func chunks(of rank: Int, in grid: RankGrid) -> [ChunkParameters] {
    let coordinate = grid.coordinate(of: rank)
    let expert = grid.expertCoordinate(of: rank)
    return chunks(
      pipelineRank: coordinate.pipeline, tensorRank: coordinate.tensor, expertRank: expert.expert,
      expertTensorRank: expert.tensor)
  }

  /// A rank's position in the groups that split tensors.
  private struct Place {
    var tensor: Int
    var expert: Int
    var expertTensor: Int
  }

  /// The part of `tensor` at `place`.
  private func part(
    _ tensor: ParameterTensor, layer: Int?, _ place: Place, isCopy: Bool = false
  ) -> LocalTensor {
    var shape = tensor.shape
    var dimension = 0
    var ranks = parallelism.tensor
    var rank = place.tensor
    if tensor.isExpert {
      shape[0] = Self.share(shape[0], of: parallelism.expert, at: place.expert)
      dimension = 1
      ranks = parallelism.expertTensor
      rank = place.expertTensor
    }
    switch tensor.split {
    case .replicated: break
    case .column(let blocks):
      shape[dimension] = Self.cut(shape[dimension], blocks: blocks, ranks: ranks, rank: rank)
    case .row(let blocks):
      shape[dimension + 1] = Self.cut(
        shape[dimension + 1], blocks: blocks, ranks: ranks, rank: rank)
    case .vocabulary: shape[0] = Self.share(paddedVocabularySize, of: ranks, at: rank)
    }
    return LocalTensor(tensor: tensor, layer: layer, shape: shape, isCopy: isCopy)
  }

  /// `extent` cut in whole blocks; one each when ranks outnumber them.
  private static func cut(_ extent: Int, blocks: Int, ranks: Int, rank: Int) -> Int {
    extent / blocks * max(share(blocks, of: ranks, at: rank), 1)
  }

  /// The share of `count` that falls to `rank`; the first ranks take one more.
  static func share(_ count: Int, of ranks: Int, at rank: Int) -> Int {
    count / ranks + (rank < count % ranks ? 1 : 0)
  }
}
