public import Kernels

/// How tokens get to their experts and back, and how many each expert gets.
public struct ExpertDispatch: Hashable, Sendable {
  /// What carries the tokens.
  public enum Dispatcher: String, Hashable, Sendable, CaseIterable {
    /// A copy for each expert, permuted and sent by NCCL's all-to-all.
    case allToAll = "all-to-all"
    /// All tokens to all ranks, which pick theirs; results summed (Megatron-Core's `allgather`).
    case allGather = "all-gather"
    /// One copy for each node (on one node, for each rank) that holds some of a token's experts,
    /// passed on inside (DeepEP, Hybrid-EP; Megatron-Core's `flex`).
    case fused
  }

  /// What carries the tokens; `nil` for what fits the model: fused where a token visits four experts
  /// or more, as in the recipes of Megatron-Bridge.
  public var dispatcher: Dispatcher?
  /// Tokens of the fullest rank over the mean.
  public var imbalance: Double
  /// Rows of every expert over the mean, whatever arrives: fewer are padded, more are dropped
  /// (arXiv:2101.03961, section 2.2); `nil` to drop none.
  public var capacityFactor: Double?
  /// Format tokens travel to the experts in; `nil` for that of activations, or of the multiplies where
  /// routing is limited to groups of experts (arXiv:2412.19437, section 3.3.3).
  public var format: NumberFormat?
  /// Whether shared experts run beside the dispatch and the combination
  /// (`--moe-shared-expert-overlap`).
  public var overlapsShared: Bool
  /// Whether the traffic hides behind the kernels of another microbatch
  /// (`--overlap-moe-expert-parallel-comm`, DualPipe); `nil` where the schedule decides.
  public var overlapsMicrobatches: Bool?

  /// A dispatch by what fits the model, balanced and dropless.
  public init(
    dispatcher: Dispatcher? = nil, imbalance: Double = 1, capacityFactor: Double? = nil,
    format: NumberFormat? = nil, overlapsShared: Bool = false, overlapsMicrobatches: Bool? = nil
  ) {
    self.dispatcher = dispatcher
    self.imbalance = imbalance
    self.capacityFactor = capacityFactor
    self.format = format
    self.overlapsShared = overlapsShared
    self.overlapsMicrobatches = overlapsMicrobatches
  }

  /// Rows of the fullest rank's experts over the mean.
  public var load: Double { capacityFactor ?? imbalance }
}

extension MixtureOfExperts {
  /// What carries the tokens where a scenario does not say.
  func dispatcher(_ dispatch: ExpertDispatch) -> ExpertDispatch.Dispatcher {
    dispatch.dispatcher ?? (expertsPerToken >= 4 ? .fused : .allToAll)
  }

  /// Places of `places`, each with as many of the experts, that hold some expert of a token, on
  /// average.
  ///
  /// Chosen at random: places × (1 − C(E − E/places, k) / C(E, k)); under routing limited to groups
  /// no more than the groups, where there are places enough for one each.
  func visitedPlaces(of places: Int) -> Double {
    guard places > 1 else { return 1 }
    let elsewhere = expertCount - expertCount / places
    var missed = 1.0
    for chosen in 0..<expertsPerToken {
      missed *= Double(max(0, elsewhere - chosen)) / Double(expertCount - chosen)
    }
    let visited = Double(places) * (1 - missed)
    let isLimited = groupsPerToken < groupCount && places >= groupCount
    return isLimited ? min(visited, Double(groupsPerToken)) : visited
  }
}
