/// Parts of a layer that are computed again in the backward pass.
///
/// By the names of Megatron-Core's `--recompute-modules` (`transformer_config.py`).
public struct RecomputeModules: OptionSet, Hashable, Sendable {
  /// One bit a module.
  public var rawValue: Int

  /// A set from its bits.
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// The attention core: scores, softmax, dropout, product with the values.
  public static let coreAttention = Self(rawValue: 1)
  /// The activation between the experts' projections; its output is thrown away.
  public static let expertActivation = Self(rawValue: 2)
  /// The norms before attention and before the feed-forward; their outputs are thrown away.
  public static let norms = Self(rawValue: 4)
  /// The up-projections and rotation of latent attention; queries, keys and values are thrown away.
  public static let latentUpProjection = Self(rawValue: 8)
  /// A dense feed-forward as a whole.
  public static let feedForward = Self(rawValue: 16)
  /// A mixture as a whole, its exchanges of tokens and its shared experts included.
  public static let mixture = Self(rawValue: 32)
  /// The shared experts.
  public static let sharedExperts = Self(rawValue: 64)

  /// Each module with its name, in the order of `RecomputeModules.names`.
  private static let named: [(name: String, module: Self)] = [
    ("core_attn", .coreAttention), ("moe_act", .expertActivation), ("layernorm", .norms),
    ("mla_up_proj", .latentUpProjection), ("mlp", .feedForward), ("moe", .mixture),
    ("shared_experts", .sharedExperts),
  ]

  /// The names of all modules.
  public static var names: [String] { named.map(\.name) }

  /// The names of the modules in the set.
  public var names: [String] { Self.named.filter { contains($0.module) }.map(\.name) }

  /// The module of that name.
  public init?(name: String) {
    guard let found = Self.named.first(where: { $0.name == name }) else { return nil }
    self = found.module
  }

  /// The module that throws away what `operation` keeps, and runs what makes it again.
  ///
  /// Operations keep their inputs: the output of a norm is kept by the projection behind it, that of
  /// an activation by the down projection, queries, keys and values by the attention core.
  fileprivate func drops(_ operation: Operation, isExpertLayer: Bool) -> Bool {
    let name = operation.name
    if contains(.norms), ["qkv_proj", "latent_down_proj", "mixer_in_proj", "router"].contains(name)
    {
      return true
    }
    if contains(.norms), name == "up_proj" || name == "shared_up_proj" { return true }
    if contains(.expertActivation),
      name == "expert_down_proj" || name == "expert_clamped_activation"
    {
      return true
    }
    if contains(.latentUpProjection), operation.isAttentionCore { return true }
    return contains(.coreAttention) && operation.isAttentionCore
      || block(of: operation, isExpertLayer: isExpertLayer) != nil
  }

  /// Whether the forward pass of `operation` is run again.
  fileprivate func runsAgain(_ operation: Operation, isExpertLayer: Bool) -> Bool {
    let name = operation.name
    let isShared = name.hasPrefix("shared_")
    let isDense = ["up_proj", "activation", "down_proj"].contains(name)
    let isRouted = name == "router" || name.hasPrefix("expert_")
    return contains(.coreAttention) && operation.isAttentionCore
      || contains(.expertActivation)
        && ["expert_clamp", "expert_activation", "expert_clamped_activation"].contains(name)
      || contains(.norms) && (name == "input_norm" || name == "feed_forward_norm")
      || contains(.latentUpProjection)
        && ["query_up_proj", "query_proj", "key_value_up_proj", "rotary"].contains(name)
      || contains(.feedForward) && isDense && !isExpertLayer
      || contains(.mixture) && (isRouted || isShared)
      || contains(.sharedExperts) && isShared
  }
}

extension RecomputeModules {
  /// What becomes of a layer whose modules are recomputed.
  public struct Plan {
    /// Operations run again at the start of the layer's backward pass, in forward order.
    public var repeated: [Operation] = []
    /// The layer's operations, keeping less and needing more for a moment.
    public var kept: [Operation] = []
  }

  /// Applies the set to the operations of a layer.
  ///
  /// What a module throws away is back, whole, from the end of the module on until the operation
  /// that needs it has run backward. A recomputed block keeps its input once (`input`), the attention
  /// core its queries, keys and values (`coreInputs`) unless those are made again, too.
  /// - Parameters:
  ///   - operations: a layer's, in forward order.
  ///   - input: bytes of the hidden states a block starts from.
  ///   - coreInputs: bytes of queries, keys and values.
  ///   - keepsCoreOutput: whether the core's output stays where the projection behind it reads it.
  /// - Returns: what runs again and what is kept.
  public func plan(
    _ operations: [Operation], input: Int64, coreInputs: Int64, keepsCoreOutput: Bool = false
  )
    -> Plan
  {
    let isExpertLayer = operations.contains { $0.name == "router" }
    var plan = Plan()
    var back: [String: Int64] = [:]
    var hasInput: Set<String> = []
    for operation in operations {
      if runsAgain(operation, isExpertLayer: isExpertLayer) { plan.repeated.append(operation) }
      var left = operation
      if drops(operation, isExpertLayer: isExpertLayer) {
        var stays: Int64 = 0
        if operation.isAttentionCore {
          // Without the core its output and statistics stay; with it alone its inputs do.
          stays =
            contains(.coreAttention)
            ? (keepsCoreOutput ? operation.sharedOutput : 0)
              + (contains(.latentUpProjection) ? 0 : coreInputs)
            : operation.saved - coreInputs
        } else if let block = block(of: operation, isExpertLayer: isExpertLayer),
          !hasInput.contains(block), !contains(.norms)
        {
          hasInput.insert(block)
          stays = input
        }
        stays = Swift.min(operation.saved, Swift.max(0, stays))
        let dropped = operation.saved - stays
        left.saved = stays
        let block = block(of: operation, isExpertLayer: isExpertLayer) ?? operation.name
        back[block, default: 0] += dropped
        left.backwardScratch += back[block, default: 0]
      }
      plan.kept.append(left)
    }
    return plan
  }

  /// The recomputed block `operation` belongs to; `nil` outside of any.
  private func block(of operation: Operation, isExpertLayer: Bool) -> String? {
    let name = operation.name
    let isShared = name.hasPrefix("shared_")
    if contains(.mixture), isShared || name == "router" || name.hasPrefix("expert_") {
      return "moe"
    }
    if contains(.sharedExperts), isShared { return "shared_experts" }
    if contains(.feedForward), !isExpertLayer,
      ["up_proj", "activation", "down_proj"].contains(name)
    {
      return "mlp"
    }
    return nil
  }
}
