public import Kernels

/// How tokens get to their experts and back, and how many each expert gets.
public struct ExpertDispatch: Hashable, Sendable {
  /// What carries the tokens.
  public enum Dispatcher: String, Hashable, Sendable, CaseIterable {
    /// A copy for each expert, permuted and sent by NCCL's all-to-all.
    case allToAll = "all-to-all"
    /// All tokens to all ranks, which pick theirs; results summed (Megatron-Core's `allgather`).
    case allGather = "all-gather"
    /// One copy for each node (on one node, for each rank) that holds some of a token's experts, passed on inside.
    ///
    /// DeepEP, Hybrid-EP; Megatron-Core's `flex`.
    case fused
  }

  /// Which experts the tokens of a balanced router visit; decides how many places hold some of them.
  public enum Routing: String, Hashable, Sendable, CaseIterable {
    /// Any, as a trained router chooses.
    ///
    /// Random logits of Megatron-Core's `--moe-router-force-load-balancing` (`apply_random_logits` in
    /// `moe_utils.py`) do so too.
    case random
    /// By turns: token t visits the k experts from t·k on, modulo their number.
    ///
    /// So torchtitan balances with `debug.moe_force_load_balance` (`_debug_force_load_balance_routing` in
    /// `models/moe.py`) and NeMo Automodel's benchmarks with `fake_balanced_gate`. Experts with neighbouring
    /// numbers share a rank: a token visits few ranks, mostly of one node.
    case roundRobin = "round-robin"
  }

  /// What carries the tokens.
  ///
  /// `nil` for what fits the model: fused where a token visits more than four experts, but between nodes only
  /// for models of DeepSeek's kind, with shared experts or groups.
  ///
  /// So the recipes of Megatron-Bridge: DeepEP or Hybrid-EP for DeepSeek-V3, and for Qwen3 on NVL72,
  /// all-to-all for Qwen3-235B over nodes of H100, for gpt-oss (four experts) and Mixtral (two)
  /// (`scripts/performance/configs`).
  public var dispatcher: Dispatcher?
  /// Which experts they visit; `nil` for the way the framework balances, random without balance.
  public var routing: Routing?
  /// Tokens of the fullest rank over the mean.
  public var imbalance: Double
  /// Rows of every expert over the mean, whatever arrives.
  ///
  /// Fewer are padded, more are dropped (arXiv:2101.03961, section 2.2); `nil` to drop none.
  public var capacityFactor: Double?
  /// Format tokens travel to the experts in.
  ///
  /// `nil` for that of activations, or of the multiplies where routing is limited to groups of experts
  /// (arXiv:2412.19437, section 3.3.3).
  public var format: NumberFormat?
  /// Whether shared experts run beside the dispatch and the combination (`--moe-shared-expert-overlap`).
  public var overlapsShared: Bool
  /// Whether the traffic hides behind the kernels of another microbatch.
  ///
  /// `--overlap-moe-expert-parallel-comm`, DualPipe. `nil` where the schedule decides.
  public var overlapsMicrobatches: Bool?

  /// A dispatch by what fits the model, balanced and dropless.
  public init(
    dispatcher: Dispatcher? = nil, routing: Routing? = nil, imbalance: Double = 1,
    capacityFactor: Double? = nil, format: NumberFormat? = nil, overlapsShared: Bool = false,
    overlapsMicrobatches: Bool? = nil
  ) {
    self.dispatcher = dispatcher
    self.routing = routing
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
  /// What carries the tokens, of the model's own kind where a scenario does not say.
  ///
  /// `nodes` are those of the ranks that share the experts.
  public func dispatcher(_ dispatch: ExpertDispatch, nodes: Int) -> ExpertDispatch.Dispatcher {
    let suits = nodes == 1 || groupsPerToken < groupCount || sharedIntermediateSize > 0
    return dispatch.dispatcher ?? (expertsPerToken > 4 && suits ? .fused : .allToAll)
  }

  /// Places of `places`, each with as many of the experts, that hold some expert of a token, on average.
  ///
  /// k of E experts chosen at random, n places: n × (1 − C(E − E/n, k) / C(E, k)). Under routing limited
  /// to groups each group of a token gives it as many experts; where there are places enough for one
  /// group each, the same holds among the places of a group: of 64 ranks with four of DeepSeek-V3's 256
  /// experts each, a token's four groups of 32 have eight each, of which it visits 1.9, in all 7.6; of
  /// eight nodes, a group each, four.
  func visitedPlaces(of places: Int, routing: ExpertDispatch.Routing? = nil) -> Double {
    guard places > 1 else { return 1 }
    if routing == .roundRobin { return placesInTurn(of: places) }
    let isLimited = groupsPerToken < groupCount && places >= groupCount
    let groups = isLimited ? groupCount : 1
    let chosen = isLimited ? groupsPerToken : 1
    let visited = Self.visited(
      of: places / groups, experts: expertCount / groups,
      chosen: max(1, expertsPerToken / chosen))
    return Double(chosen) * visited
  }

  /// Places a token's experts are on where tokens visit them by turns, on average over a round.
  ///
  /// A token's experts have consecutive numbers, those of a place too; its first is any multiple of
  /// the greatest common divisor of experts and choices.
  private func placesInTurn(of places: Int) -> Double {
    let held = max(1, expertCount / places)
    var (divisor, rest) = (expertCount, expertsPerToken)
    while rest > 0 { (divisor, rest) = (rest, divisor % rest) }
    var visited = 0
    for first in stride(from: 0, to: expertCount, by: divisor) {
      let last = first + expertsPerToken - 1
      visited += min(places, last / held - first / held + 1)
    }
    return Double(visited) / Double(expertCount / divisor)
  }

  /// Places of `places` with as many of `experts` that hold one of `chosen` at random.
  private static func visited(of places: Int, experts: Int, chosen: Int) -> Double {
    let elsewhere = experts - experts / places
    var missed = 1.0
    for taken in 0..<chosen {
      missed *= Double(max(0, elsewhere - taken)) / Double(max(1, experts - taken))
    }
    return Double(places) * (1 - missed)
  }
}
