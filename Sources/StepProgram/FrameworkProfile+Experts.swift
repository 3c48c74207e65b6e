import Transformer

extension FrameworkProfile {
  /// How tokens get to experts, with what a scenario leaves open filled in by the framework.
  ///
  /// A mixture without imbalance and capacity is taken to be balanced by the framework's own switch, as
  /// published runs of mixtures are; a router that balances nothing chooses at random.
  func resolved(_ dispatch: ExpertDispatch) -> ExpertDispatch {
    var resolved = dispatch
    resolved.dispatcher = dispatch.dispatcher ?? expertDispatcher
    let isBalanced = dispatch.imbalance == 1 && dispatch.capacityFactor == nil
    resolved.routing = dispatch.routing ?? (isBalanced ? balancedRouting : .random)
    return resolved
  }
}
