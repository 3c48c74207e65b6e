/// A learned tensor: its name, its shape, and how it is shared out.
public struct ParameterTensor: Hashable, Sendable {
  /// What a tensor is, as far as arithmetic and optimizers care.
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    /// A weight that tokens are multiplied by.
    case matmulWeight
    /// Added to the output of a projection.
    case bias
    /// Weight or bias of a normalisation.
    case norm
    /// A table looked up by token or position.
    case embedding
    /// Anything else learned: attention sinks.
    case other
  }

  /// How tensor parallelism cuts a tensor (arXiv:1909.08053, section 3).
  public enum Split: Hashable, Sendable {
    /// Every tensor-parallel rank holds all of it.
    case replicated
    /// The output features (dimension 0 of `[out, in]`) are cut in whole blocks, a head or a feature each.
    ///
    /// Ranks beyond the blocks share one (key and value heads under grouped-query attention).
    case column(blocks: Int)
    /// The input features (dimension 1 of `[out, in]`) are cut in whole blocks.
    case row(blocks: Int)
    /// The vocabulary dimension (dimension 0) is padded and cut.
    case vocabulary
  }

  /// Dotted name within its layer or the model, for example `attention.query.weight`.
  public var name: String
  /// Extents, output features first; routed experts have the expert as dimension 0.
  public var shape: [Int]
  /// What it is.
  public var kind: Kind
  /// How tensor parallelism cuts it.
  ///
  /// For an expert, how the expert's own tensor degree does (the dimensions then count from the one after the
  /// expert's).
  public var split: Split
  /// Whether dimension 0 runs over routed experts, which expert parallelism cuts.
  public var isExpert: Bool

  /// A tensor from its parts.
  public init(
    _ name: String, _ shape: [Int], _ kind: Kind, _ split: Split = .replicated,
    isExpert: Bool = false
  ) {
    self.name = name
    self.shape = shape
    self.kind = kind
    self.split = split
    self.isExpert = isExpert
  }

  /// Elements in the whole tensor.
  public var count: Int { shape.reduce(1, *) }
}

extension Architecture {
  /// Learned tensors of `layer`, in the order they are used.
  ///
  /// Layers from ``layerCount`` on are next-token prediction modules (DeepSeek-V3, section 2.2):
  /// a layer with, before it, a norm of the token embedding, a norm of the hidden state and a
  /// projection of both, and behind it a norm; embedding and head are the main model's.
  public func tensors(ofLayer layer: Int) -> [ParameterTensor] {
    let kind = kind(ofLayer: layer)
    let isNextToken = kind.isNextToken
    var tensors: [ParameterTensor] = []
    if isNextToken {
      tensors += normTensors("embedding_norm", hiddenSize)
      tensors += normTensors("hidden_norm", hiddenSize)
      tensors.append(
        ParameterTensor(
          "projection.weight", [hiddenSize, 2 * hiddenSize], .matmulWeight,
          .column(blocks: hiddenSize)))
    }
    if kind.mixer != .none {
      tensors += normTensors("input_norm", hiddenSize)
      if kind.mixer.hasAttention { tensors += attending(asLayer: layer).attentionTensors }
      if kind.hasIndex, let index = attention.index { tensors += indexTensors(index) }
      if kind.mixer.hasRecurrence { tensors += recurrence?.tensors(hidden: hiddenSize) ?? [] }
      if normsPerLayer >= 4 { tensors += normTensors("attention_output_norm", hiddenSize) }
    }
    if kind.hasFeedForward {
      if normsPerLayer >= 2 { tensors += normTensors("feed_forward_norm", hiddenSize) }
      if let experts, kind.isExpert {
        tensors += expertTensors(experts)
      } else {
        tensors += feedForwardTensors("feed_forward", width: kind.feedForwardWidth)
      }
      if normsPerLayer >= 4 { tensors += normTensors("feed_forward_output_norm", hiddenSize) }
    }
    if isNextToken { tensors += normTensors("output_norm", hiddenSize) }
    return tensors
  }

  /// Tensors before the first layer: token table, position table, embedding norm.
  public var embeddingTensors: [ParameterTensor] {
    var tensors = [
      ParameterTensor("embedding.weight", [vocabularySize, hiddenSize], .embedding, .vocabulary)
    ]
    if positions == .learned {
      tensors.append(
        ParameterTensor("positions.weight", [maximumPositions, hiddenSize], .embedding))
    }
    if normalizesEmbedding { tensors += normTensors("embedding_norm", hiddenSize) }
    return tensors
  }

  /// Tensors behind the last layer.
  ///
  /// Final norm, and the output projection where it is not the token table.
  public var finalTensors: [ParameterTensor] {
    var tensors = normTensors("final_norm", hiddenSize)
    if !tiesEmbeddings {
      tensors.append(
        ParameterTensor("head.weight", [vocabularySize, hiddenSize], .matmulWeight, .vocabulary))
    }
    if outputBias {
      tensors.append(ParameterTensor("head.bias", [vocabularySize], .bias, .vocabulary))
    }
    return tensors
  }

  /// A norm's weight and, if it has one, its bias.
  private func normTensors(
    _ name: String, _ length: Int, _ split: ParameterTensor.Split = .replicated
  ) -> [ParameterTensor] {
    var tensors = [ParameterTensor(name + ".weight", [length], .norm, split)]
    if norm.hasBias { tensors.append(ParameterTensor(name + ".bias", [length], .norm, split)) }
    return tensors
  }

  /// A projection whose outputs are cut in `blocks`.
  private func columnTensors(
    _ name: String, _ outputs: Int, _ inputs: Int, blocks: Int, bias: Bool
  ) -> [ParameterTensor] {
    var tensors = [
      ParameterTensor(name + ".weight", [outputs, inputs], .matmulWeight, .column(blocks: blocks))
    ]
    if bias {
      tensors.append(ParameterTensor(name + ".bias", [outputs], .bias, .column(blocks: blocks)))
    }
    return tensors
  }

  /// A projection whose inputs are cut in `blocks`; its bias is added once, after the reduction.
  private func rowTensors(
    _ name: String, _ outputs: Int, _ inputs: Int, blocks: Int, bias: Bool
  ) -> [ParameterTensor] {
    var tensors = [
      ParameterTensor(name + ".weight", [outputs, inputs], .matmulWeight, .row(blocks: blocks))
    ]
    if bias { tensors.append(ParameterTensor(name + ".bias", [outputs], .bias)) }
    return tensors
  }

  /// Projections, norms and sinks of a layer's attention.
  private var attentionTensors: [ParameterTensor] {
    let heads = attention.heads
    let valueWidth = heads * attention.valueDimension
    var tensors: [ParameterTensor] = []
    if let latent = attention.latent {
      tensors += latentTensors(latent)
    } else {
      let keyValueHeads = attention.keyValueHeads
      tensors += columnTensors(
        "attention.query", heads * attention.headDimension, hiddenSize, blocks: heads,
        bias: attention.inputBias)
      if attention.gatesOutput {
        tensors += columnTensors(
          "attention.gate", valueWidth, hiddenSize, blocks: heads, bias: attention.inputBias)
      }
      tensors += columnTensors(
        "attention.key", keyValueHeads * attention.headDimension, hiddenSize,
        blocks: keyValueHeads, bias: attention.inputBias)
      tensors += columnTensors(
        "attention.value", keyValueHeads * attention.valueDimension, hiddenSize,
        blocks: keyValueHeads, bias: attention.inputBias)
      if attention.normalizesQueryAndKey {
        let spans = attention.queryKeyNormSpansHeads
        let length = attention.headDimension
        tensors += normTensors(
          "attention.query_norm", spans ? heads * length : length,
          spans ? .column(blocks: heads) : .replicated)
        tensors += normTensors(
          "attention.key_norm", spans ? keyValueHeads * length : length,
          spans ? .column(blocks: keyValueHeads) : .replicated)
      }
    }
    if attention.hasSinks {
      tensors.append(ParameterTensor("attention.sinks", [heads], .other, .column(blocks: heads)))
    }
    return tensors
      + rowTensors(
        "attention.output", hiddenSize, valueWidth, blocks: heads, bias: attention.outputBias)
  }

  /// Down and up projections of latent attention; the down projections are small and replicated.
  private func latentTensors(_ latent: LatentAttention) -> [ParameterTensor] {
    let heads = attention.heads
    let queryWidth = heads * (latent.plainDimension + latent.rotaryDimension)
    let keyValueWidth = heads * (latent.plainDimension + attention.valueDimension)
    let compressed = latent.keyValueRank + latent.rotaryDimension
    var tensors: [ParameterTensor] = []
    func down(_ name: String, _ outputs: Int) {
      tensors.append(
        ParameterTensor(name + ".weight", [outputs, hiddenSize], .matmulWeight))
      if attention.inputBias { tensors.append(ParameterTensor(name + ".bias", [outputs], .bias)) }
    }
    if let queryRank = latent.queryRank {
      down("attention.query_down", queryRank)
      tensors += normTensors("attention.query_norm", queryRank)
      tensors += columnTensors(
        "attention.query_up", queryWidth, queryRank, blocks: heads, bias: false)
    } else {
      tensors += columnTensors(
        "attention.query", queryWidth, hiddenSize, blocks: heads, bias: false)
    }
    down("attention.key_value_down", compressed)
    tensors += normTensors("attention.key_value_norm", latent.keyValueRank)
    return tensors
      + columnTensors(
        "attention.key_value_up", keyValueWidth, latent.keyValueRank, blocks: heads, bias: false)
  }

  /// A dense feed-forward block of `width`.
  private func feedForwardTensors(_ name: String, width: Int) -> [ParameterTensor] {
    var tensors: [ParameterTensor] = []
    if feedForward.activation.isGated {
      tensors += columnTensors(
        name + ".gate", width, hiddenSize, blocks: width, bias: feedForward.hasBias)
    }
    tensors += columnTensors(
      name + ".up", width, hiddenSize, blocks: width, bias: feedForward.hasBias)
    return tensors
      + rowTensors(name + ".down", hiddenSize, width, blocks: width, bias: feedForward.hasBias)
  }

  /// Router, routed experts and shared expert of a mixture.
  private func expertTensors(_ experts: MixtureOfExperts) -> [ParameterTensor] {
    let count = experts.expertCount
    let width = experts.intermediateSize
    var tensors = [ParameterTensor("router.weight", [count, hiddenSize], .matmulWeight)]
    if experts.routerBias { tensors.append(ParameterTensor("router.bias", [count], .bias)) }
    func expert(
      _ name: String, _ shape: [Int], _ kind: ParameterTensor.Kind, _ split: ParameterTensor.Split
    ) {
      tensors.append(
        ParameterTensor("experts." + name, [count] + shape, kind, split, isExpert: true))
    }
    let inner = experts.latentSize ?? hiddenSize
    if let latent = experts.latentSize {
      // Replicated projections into the experts' narrower space and out of it.
      tensors.append(
        ParameterTensor("router.latent_down.weight", [latent, hiddenSize], .matmulWeight))
      tensors.append(
        ParameterTensor("router.latent_up.weight", [hiddenSize, latent], .matmulWeight))
    }
    for input in feedForward.activation.isGated ? ["gate", "up"] : ["up"] {
      expert("\(input).weight", [width, inner], .matmulWeight, .column(blocks: width))
      if feedForward.hasBias { expert("\(input).bias", [width], .bias, .column(blocks: width)) }
    }
    expert("down.weight", [inner, width], .matmulWeight, .row(blocks: width))
    if feedForward.hasBias { expert("down.bias", [hiddenSize], .bias, .replicated) }
    if experts.sharedIntermediateSize > 0 {
      tensors += feedForwardTensors("shared_expert", width: experts.sharedIntermediateSize)
      if experts.gatesSharedExpert {
        tensors.append(
          ParameterTensor("shared_expert.router.weight", [1, hiddenSize], .matmulWeight))
      }
    }
    return tensors
  }
}
