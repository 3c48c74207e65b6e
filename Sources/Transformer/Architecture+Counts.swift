extension Architecture {
  /// Learned parameters of the model proper, without next-token prediction modules.
  ///
  /// The count its authors publish.
  public var parameterCount: Int {
    count(embeddingTensors) + count(finalTensors)
      + sumOverLayers(0..<layerCount) { count(tensors(ofLayer: $0)) }
  }

  /// Parameters of the next-token prediction modules.
  ///
  /// Embedding and head are shared with the model proper and not counted again.
  public var nextTokenParameterCount: Int {
    sumOverLayers(layerCount..<(layerCount + nextTokenLayers)) { count(tensors(ofLayer: $0)) }
  }

  /// All parameters a training run updates: model proper and next-token prediction modules.
  public var trainedParameterCount: Int { parameterCount + nextTokenParameterCount }

  /// Parameters a token meets: of the routed experts only as many as it visits.
  ///
  /// Embedding and head count in full, as in the papers' own figures.
  public var activeParameterCount: Int {
    count(embeddingTensors) + count(finalTensors)
      + sumOverLayers(0..<layerCount) { activeCount(tensors(ofLayer: $0)) }
  }

  /// ``parameterCount`` without token table, position table and output projection (the N of arXiv:2001.08361).
  public var nonEmbeddingParameterCount: Int {
    sumOverLayers(0..<layerCount) { count(tensors(ofLayer: $0)) }
      + count((embeddingTensors + finalTensors).filter { $0.kind == .norm })
  }

  /// Elements of `tensors`, routed experts counted as often as a token visits them.
  func activeCount(_ tensors: [ParameterTensor]) -> Int {
    tensors.reduce(0) { sum, tensor in
      guard tensor.isExpert, let experts else { return sum + tensor.count }
      return sum + tensor.count / experts.expertCount * experts.expertsPerToken
    }
  }

  /// Elements of `tensors`.
  private func count(_ tensors: [ParameterTensor]) -> Int {
    tensors.reduce(0) { $0 + $1.count }
  }

  /// The sum of `value` over `layers`, asked once for each kind of layer.
  func sumOverLayers(_ layers: Range<Int>, _ value: (Int) -> Int) -> Int {
    kinds(of: layers).reduce(0) { $0 + $1.count * value($1.first) }
  }
}
