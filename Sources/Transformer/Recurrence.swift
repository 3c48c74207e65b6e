/// A recurrence over the sequence that mixes tokens in place of attention, or beside it.
///
/// All kinds carry a state of ``stateDimension`` × ``headDimension`` values a head along the sequence.
public struct Recurrence: Hashable, Sendable {
  /// Which recurrence.
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    /// Mamba's selective scan (arXiv:2312.00752): every channel decays its states apart.
    case selectiveScan = "mamba"
    /// Mamba-2 (arXiv:2405.21060): one decay a head, computed as multiplies by chunk (SSD).
    case stateSpaceDuality = "mamba-2"
    /// Gated DeltaNet (arXiv:2412.06464; Qwen3-Next): a delta rule with one decay a head.
    case gatedDelta = "gated-delta-net"
    /// Kimi Delta Attention (arXiv:2510.26692): a delta rule with a decay for every channel of the key.
    case kimiDelta = "kimi-delta-attention"
    /// Lightning attention (arXiv:2401.04658; MiniMax-01): linear attention with fixed decays.
    case lightning = "lightning-attention"
    /// The real-gated linear recurrent unit (Griffin, arXiv:2402.19427; RecurrentGemma).
    case gatedLinearUnit = "rg-lru"
  }

  /// Which recurrence.
  public var kind: Kind
  /// Heads: of values where keys have fewer; channels of a selective scan; blocks of an RG-LRU's gates.
  public var heads: Int
  /// Heads of keys and queries, groups that share B and C in Mamba-2.
  public var groups: Int
  /// Channels of a head.
  public var headDimension: Int
  /// Length of keys, N of a state space.
  public var stateDimension: Int
  /// Taps of the causal convolution before it; 0 for none.
  public var convolutionWidth: Int
  /// Tokens of a chunk.
  public var chunkSize: Int
  /// Rank of the low-rank projections of the step size (Mamba) or the gates (Kimi).
  public var rank: Int
  /// Whether the convolution has a bias.
  public var convolutionBias: Bool
  /// Whether the input and output projections have biases.
  public var projectionBias: Bool
  /// Whether the output is normalised before its projection (Mamba-2's gated norm).
  public var normalizesOutput: Bool
  /// Whether step size, B and C are normalised (Jamba).
  public var normalizesInputs: Bool

  /// A recurrence from its parts.
  public init(
    _ kind: Kind, heads: Int, groups: Int = 1, headDimension: Int, stateDimension: Int,
    convolutionWidth: Int = 4, chunkSize: Int = 1, rank: Int = 0, convolutionBias: Bool = true,
    projectionBias: Bool = false, normalizesOutput: Bool = true, normalizesInputs: Bool = false
  ) {
    self.kind = kind
    self.heads = heads
    self.groups = groups
    self.headDimension = headDimension
    self.stateDimension = stateDimension
    self.convolutionWidth = convolutionWidth
    self.chunkSize = chunkSize
    self.rank = rank
    self.convolutionBias = convolutionBias
    self.projectionBias = projectionBias
    self.normalizesOutput = normalizesOutput
    self.normalizesInputs = normalizesInputs
  }

  /// Channels of its output.
  public var width: Int { heads * headDimension }

  /// Channels of its keys: of B or C in a state space.
  public var keyWidth: Int { groups * stateDimension }

  /// Model FLOPs of a token's forward pass between the projections.
  ///
  /// State spaces: 7 a channel and state, the convention of Megatron-LM's `mamba_layer_flops`
  /// (`training.py`), which its TFLOP/s go by. Delta rules: 8·K·V a head and the convolution, that of
  /// its `gdn_layer_flops`. Lightning attention: the outer product into the state and the product out of
  /// it, 4·d² a head. RG-LRU: 7 a channel; its gates are multiplies counted with the projections.
  public var flopsPerToken: Double {
    let states = Double(width) * Double(stateDimension)
    switch kind {
    case .selectiveScan, .stateSpaceDuality, .gatedLinearUnit: return 7 * states
    case .gatedDelta, .kimiDelta:
      return 8 * states + 2 * Double(convolutionWidth) * Double(2 * keyWidth + width)
    case .lightning: return 4 * states
    }
  }
}

extension Recurrence {
  /// Its learned tensors in a model of width `hidden`.
  ///
  /// Names follow the Hugging Face models; what one projection joins is listed apart, as tensor
  /// parallelism cuts each part by its own heads (Megatron-Core's `MambaMixer`, `partition_sizes`).
  func tensors(hidden: Int) -> [ParameterTensor] {
    var list = TensorList()
    switch kind {
    case .selectiveScan: selectiveScan(&list, hidden)
    case .stateSpaceDuality: stateSpaceDuality(&list, hidden)
    case .gatedDelta, .kimiDelta: deltaRule(&list, hidden)
    case .lightning:
      for name in ["q_proj", "k_proj", "v_proj", "output_gate"] {
        list.column(name, width, hidden, blocks: heads)
      }
      list.vector("norm.weight", width, .norm, blocks: heads)
      list.row("out_proj", hidden, width, blocks: heads)
    case .gatedLinearUnit: gatedLinearUnit(&list, hidden)
    }
    return list.tensors
  }

  private func selectiveScan(_ list: inout TensorList, _ hidden: Int) {
    for name in ["in_proj.x", "in_proj.z"] {
      list.column(name, width, hidden, blocks: width, bias: projectionBias)
    }
    list.convolution("conv1d", width, convolutionWidth, blocks: width, bias: convolutionBias)
    // Step size, B and C of a token come from all channels.
    list.row("x_proj", rank + 2 * stateDimension, width, blocks: width)
    if normalizesInputs {
      list.vector("dt_layernorm.weight", rank, .norm)
      list.vector("b_layernorm.weight", stateDimension, .norm)
      list.vector("c_layernorm.weight", stateDimension, .norm)
    }
    list.column("dt_proj", width, rank, blocks: width, bias: true)
    list.add("A_log", [width, stateDimension], .other, .column(blocks: width))
    list.vector("D", width, .other, blocks: width)
    list.row("out_proj", hidden, width, blocks: width, bias: projectionBias)
  }

  private func stateSpaceDuality(_ list: inout TensorList, _ hidden: Int) {
    let bias = projectionBias
    list.column("in_proj.z", width, hidden, blocks: heads, bias: bias)
    list.column("in_proj.x", width, hidden, blocks: heads, bias: bias)
    list.column("in_proj.b", keyWidth, hidden, blocks: groups, bias: bias)
    list.column("in_proj.c", keyWidth, hidden, blocks: groups, bias: bias)
    list.column("in_proj.dt", heads, hidden, blocks: heads, bias: bias)
    for (part, channels, blocks) in [
      ("x", width, heads), ("b", keyWidth, groups), ("c", keyWidth, groups),
    ] {
      list.convolution(
        "conv1d." + part, channels, convolutionWidth, blocks: blocks, bias: convolutionBias)
    }
    for name in ["dt_bias", "A_log", "D"] { list.vector(name, heads, .other, blocks: heads) }
    if normalizesOutput { list.vector("norm.weight", width, .norm, blocks: heads) }
    list.row("out_proj", hidden, width, blocks: heads, bias: bias)
  }

  private func deltaRule(_ list: inout TensorList, _ hidden: Int) {
    list.column("q_proj", keyWidth, hidden, blocks: groups)
    list.column("k_proj", keyWidth, hidden, blocks: groups)
    list.column("v_proj", width, hidden, blocks: heads)
    list.column("b_proj", heads, hidden, blocks: heads)
    for (part, channels, blocks) in [
      ("q", keyWidth, groups), ("k", keyWidth, groups), ("v", width, heads),
    ] {
      list.convolution(
        "conv1d." + part, channels, convolutionWidth, blocks: blocks, bias: convolutionBias)
    }
    list.vector("A_log", heads, .other, blocks: heads)
    if kind == .gatedDelta {
      list.column("a_proj", heads, hidden, blocks: heads)
      list.column("z_proj", width, hidden, blocks: heads)
      list.vector("dt_bias", heads, .other, blocks: heads)
    } else {
      // Decay and output gate through a bottleneck of one head's width.
      list.add("f_a_proj.weight", [rank, hidden], .matmulWeight, .replicated)
      list.column("f_b_proj", keyWidth, rank, blocks: groups)
      list.add("g_a_proj.weight", [rank, hidden], .matmulWeight, .replicated)
      list.column("g_b_proj", width, rank, blocks: heads)
      list.vector("dt_bias", keyWidth, .other, blocks: groups)
    }
    list.vector("norm.weight", headDimension, .norm)
    list.row("out_proj", hidden, width, blocks: heads)
  }

  private func gatedLinearUnit(_ list: inout TensorList, _ hidden: Int) {
    for name in ["linear_x", "linear_y"] {
      list.column(name, width, hidden, blocks: heads, bias: projectionBias)
    }
    list.convolution("conv1d", width, convolutionWidth, blocks: heads, bias: convolutionBias)
    for name in ["input_gate", "recurrent_gate"] {
      // Block-diagonal: each block of channels gates itself.
      list.add(
        name + ".weight", [heads, headDimension, headDimension], .matmulWeight,
        .column(blocks: heads))
      list.add(name + ".bias", [heads, headDimension], .bias, .column(blocks: heads))
    }
    list.vector("recurrent_param", width, .other, blocks: heads)
    list.row("linear_out", hidden, width, blocks: heads, bias: projectionBias)
  }
}

/// Collects the tensors of a mixer.
private struct TensorList {
  private(set) var tensors: [ParameterTensor] = []

  mutating func add(
    _ name: String, _ shape: [Int], _ kind: ParameterTensor.Kind, _ split: ParameterTensor.Split
  ) {
    tensors.append(ParameterTensor("mixer." + name, shape, kind, split))
  }

  mutating func column(
    _ name: String, _ outputs: Int, _ inputs: Int, blocks: Int, bias: Bool = false
  ) {
    add(name + ".weight", [outputs, inputs], .matmulWeight, .column(blocks: blocks))
    if bias { add(name + ".bias", [outputs], .bias, .column(blocks: blocks)) }
  }

  mutating func row(
    _ name: String, _ outputs: Int, _ inputs: Int, blocks: Int, bias: Bool = false
  ) {
    add(name + ".weight", [outputs, inputs], .matmulWeight, .row(blocks: blocks))
    if bias { add(name + ".bias", [outputs], .bias, .replicated) }
  }

  /// A depthwise convolution: a filter for every channel.
  mutating func convolution(
    _ name: String, _ channels: Int, _ taps: Int, blocks: Int, bias: Bool
  ) {
    guard taps > 0 else { return }
    add(name + ".weight", [channels, taps], .other, .column(blocks: blocks))
    if bias { add(name + ".bias", [channels], .bias, .column(blocks: blocks)) }
  }

  mutating func vector(
    _ name: String, _ length: Int, _ kind: ParameterTensor.Kind, blocks: Int? = nil
  ) {
    add(name, [length], kind, blocks.map { .column(blocks: $0) } ?? .replicated)
  }
}
