public import Quantities

/// Model FLOPs of one token's forward pass, by what they are spent on.
///
/// A multiply and an add are two operations. Recomputation, padding and normalisations count
/// nothing: these are the operations the model asks for, not those a GPU executes.
public struct ModelFlops: Hashable, Sendable {
  /// Query, key, value and output projections, and those of a recurrence.
  public var attentionProjections: Double
  /// Scores and their product with the values.
  public var attentionScores: Double
  /// Projections of an index (``SparseIndex``), whose input gets no gradient.
  public var indexProjections = 0.0
  /// Scores of an index, of all keys before a query.
  public var indexScores = 0.0
  /// Gradients of an index's queries and keys, from the scores of picked keys alone; not in ``total``.
  public var indexScoresBackward = 0.0
  /// Recurrences between their projections (``Recurrence/flopsPerToken``).
  public var recurrence = 0.0
  /// Dense feed-forward blocks.
  public var feedForward: Double
  /// Routed experts a token visits.
  public var routedExperts: Double
  /// Shared experts.
  public var sharedExperts: Double
  /// Routers.
  public var router: Double
  /// Input projections of next-token prediction modules.
  public var nextTokenProjections: Double
  /// Projection to the vocabulary, once more for each next-token prediction module.
  public var head: Double

  /// The sum of all kinds.
  public var total: Flops {
    Flops(
      attentionProjections + attentionScores + indexProjections + indexScores + recurrence
        + feedForward + routedExperts + sharedExperts + router + nextTokenProjections + head)
  }

  /// Forward and backward pass of a token.
  ///
  /// Three times the forward pass, as the backward pass takes the gradient of both factors of every product,
  /// but for an index.
  public var trained: Flops {
    let others = total.count - indexProjections - indexScores
    return Flops(3 * others + 2 * indexProjections + indexScores + indexScoresBackward)
  }
}

extension Architecture {
  /// Keys a query meets in `layer`, averaged over a sequence of `sequenceLength`.
  ///
  /// Full attention meets s keys, causal attention s/2 (the convention of arXiv:2104.04473 and
  /// the MFU figures that halve it; the exact mean is (s + 1)/2). A sliding window of W < s keys
  /// leaves W − W²/(2s) of them (W without the causal mask), a chunk of W half of it, W/2. An index that picks
  /// W < s keys leaves as many as a window.
  public func meanAttendedKeys(layer: Int, sequenceLength: Int, causal: Bool) -> Double {
    let length = Double(sequenceLength)
    if let index = attention.index, index.selectedKeys < sequenceLength {
      let width = Double(index.selectedKeys)
      return causal ? width - width * width / (2 * length) : width
    }
    guard isSlidingLayer(layer), let window = attention.slidingWindow, window < sequenceLength
    else {
      return causal ? length / 2 : length
    }
    let width = Double(window)
    guard causal else { return width }
    return attention.windowIsChunk ? width / 2 : width - width * width / (2 * length)
  }

  /// Whether queries of `layer` meet the keys of a window that moves with them, in sequences of `keys` tokens.
  ///
  /// Those of a chunk or an index do not.
  func hasMovingWindow(layer: Int, keys: Int) -> Bool {
    guard isSlidingLayer(layer), let window = attention.slidingWindow, window < keys else {
      return false
    }
    return !attention.windowIsChunk && attention.index == nil
  }

  /// Model FLOPs of a token's forward pass in sequences of `sequenceLength`, by kind.
  ///
  /// Twice the weights of every multiply a token takes part in, output head included (tied or
  /// not), and 2·(d + dᵥ) per head and attended key. With full attention, multi-head and d = dᵥ
  /// that is the 4·s·h per layer of arXiv:2204.02311, appendix B. Next-token prediction modules
  /// are included.
  /// Without `causal` the masked half of the scores counts too: the 12·L·h·s per token and step
  /// that Megatron-LM, nanotron and llm-foundry report. Those of an index never do.
  public func forwardFlops(sequenceLength: Int, causal: Bool) -> ModelFlops {
    var flops = ModelFlops(
      attentionProjections: 0, attentionScores: 0, feedForward: 0, routedExperts: 0,
      sharedExperts: 0, router: 0, nextTokenProjections: 0, head: 0)
    let layers = layerCount + nextTokenLayers
    for (kind, count, first) in kinds(of: 0..<layers) {
      if kind.mixer.hasAttention {
        let attention = attention(ofLayer: first)
        let perKey =
          2 * Double(attention.heads * (attention.headDimension + attention.valueDimension))
        flops.attentionScores +=
          Double(count) * perKey
          * meanAttendedKeys(layer: first, sequenceLength: sequenceLength, causal: causal)
        if kind.hasIndex, let index = attention.index, index.selectedKeys < sequenceLength {
          let perKey = Double(count) * 2 * Double(index.heads * index.dimension)
          flops.indexScores += perKey * Double(sequenceLength) / 2
          flops.indexScoresBackward +=
            2 * perKey
            * meanAttendedKeys(layer: first, sequenceLength: sequenceLength, causal: true)
        }
      }
      if kind.mixer.hasRecurrence, let recurrence {
        flops.recurrence += Double(count) * recurrence.flopsPerToken
      }
      for tensor in tensors(ofLayer: first) where tensor.kind == .matmulWeight {
        guard tensor.name != "projection.weight" else { continue }
        let work = 2 * Double(count) * Double(activeCount([tensor]))
        if tensor.isExpert {
          flops.routedExperts += work
        } else if tensor.name.hasPrefix("attention.index_") {
          flops.indexProjections += work
        } else if tensor.name.hasPrefix("attention.") || tensor.name.hasPrefix("mixer.") {
          flops.attentionProjections += work
        } else if tensor.name.hasPrefix("shared_expert.") {
          flops.sharedExperts += work
        } else if tensor.name.hasPrefix("router.") {
          flops.router += work
        } else {
          flops.feedForward += work
        }
      }
    }
    let hidden = Double(hiddenSize)
    flops.nextTokenProjections = 4 * hidden * hidden * Double(nextTokenLayers)
    flops.head = 2 * hidden * Double(vocabularySize) * Double(1 + nextTokenLayers)
    return flops
  }

  /// Model FLOPs of a token's forward pass in sequences of `sequenceLength`.
  public func flopsPerToken(sequenceLength: Int, causal: Bool) -> Flops {
    forwardFlops(sequenceLength: sequenceLength, causal: causal).total
  }

  /// Model FLOPs of a training step over `tokens` tokens (``ModelFlops/trained``).
  public func modelFlopsPerStep(tokens: Int, sequenceLength: Int, causal: Bool) -> Flops {
    forwardFlops(sequenceLength: sequenceLength, causal: causal).trained * Double(tokens)
  }
}
