/// What mixes the tokens of a layer.
public enum LayerMixer: String, Hashable, Sendable, CaseIterable {
  /// Self-attention.
  case attention
  /// A recurrence over the sequence: state-space or linear attention.
  case recurrence
  /// Both beside each other, on the same normalised input; their outputs add (Falcon-H1).
  case both
  /// Nothing: the layer is a feed-forward block alone (Nemotron-H).
  case none

  /// Whether attention is part of it.
  public var hasAttention: Bool { self == .attention || self == .both }
  /// Whether a recurrence is part of it.
  public var hasRecurrence: Bool { self == .recurrence || self == .both }
}

extension Architecture {
  /// What decides a layer's tensors and work: layers of one kind are alike.
  public struct LayerKind: Hashable, Sendable {
    /// What mixes its tokens.
    public var mixer: LayerMixer
    /// Whether its attention sees a window only.
    public var isSliding: Bool
    /// Whether its attention picks keys by an index of its own.
    public var hasIndex: Bool
    /// Whether it has a feed-forward block.
    public var hasFeedForward: Bool
    /// Width of a dense feed-forward block.
    public var feedForwardWidth: Int
    /// Whether the feed-forward block is a mixture of experts.
    public var isExpert: Bool
    /// Whether it is a next-token prediction module.
    public var isNextToken: Bool
  }

  /// The kind of `layer`.
  ///
  /// Next-token prediction modules, numbered from ``layerCount``, attend and have a feed-forward block
  /// of the kind of the last layer that has one.
  public func kind(ofLayer layer: Int) -> LayerKind {
    let isNextToken = layer >= layerCount
    let mixer = isNextToken || mixers.isEmpty ? .attention : mixers[layer]
    let hasFeedForward = isNextToken || feedForwardLayers.isEmpty || feedForwardLayers[layer]
    return LayerKind(
      mixer: mixer, isSliding: mixer.hasAttention && isSlidingLayer(layer),
      hasIndex: mixer.hasAttention && attention.index?.isOwned(byLayer: layer) == true,
      hasFeedForward: hasFeedForward,
      feedForwardWidth: layer < feedForwardWidths.count
        ? feedForwardWidths[layer] : feedForward.intermediateSize,
      isExpert: hasFeedForward && isExpertLayer(layer),
      isNextToken: isNextToken)
  }

  /// Whether the feed-forward block of `layer`, if it has one, is a mixture of experts.
  public func isExpertLayer(_ layer: Int) -> Bool {
    guard let experts, !experts.expertLayers.isEmpty else { return false }
    let listed = experts.expertLayers
    guard layer >= listed.count else { return listed[layer] }
    guard !feedForwardLayers.isEmpty else { return listed[listed.count - 1] }
    return feedForwardLayers.lastIndex(of: true).map { listed[$0] } ?? false
  }

  /// Whether attention in `layer`, if it has any, sees a window only.
  public func isSlidingLayer(_ layer: Int) -> Bool {
    let sliding = attention.slidingLayers
    return !sliding.isEmpty && sliding[min(layer, sliding.count - 1)]
  }

  /// Self-attention of `layer`.
  public func attention(ofLayer layer: Int) -> SelfAttention {
    isSlidingLayer(layer) ? slidingAttention ?? attention : attention
  }

  /// The model if all its layers attended as `layer` does.
  func attending(asLayer layer: Int) -> Architecture {
    guard slidingAttention != nil else { return self }
    var model = self
    model.attention = attention(ofLayer: layer)
    model.slidingAttention = nil
    return model
  }

  /// Whether any layer attends.
  public var hasAttention: Bool {
    mixers.isEmpty || nextTokenLayers > 0 || mixers.contains { $0.hasAttention }
  }

  /// The kinds among `layers` with how many there are of each and the first, in order of appearance.
  func kinds(of layers: Range<Int>) -> [(kind: LayerKind, count: Int, first: Int)] {
    var found: [(kind: LayerKind, count: Int, first: Int)] = []
    for layer in layers {
      let kind = kind(ofLayer: layer)
      if let known = found.firstIndex(where: { $0.kind == kind }) {
        found[known].count += 1
      } else {
        found.append((kind, 1, layer))
      }
    }
    return found
  }
}
