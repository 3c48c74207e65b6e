import Quantities
import Transformer

extension FrameworkProfile {
  /// Leaves the host nothing to do inside a step: one CUDA graph has all its kernels.
  ///
  /// What a kernel costs the device to start is in its own time.
  mutating func launchesWholeStep() {
    hostPerLaunch = .zero
    hostPerOperation = .zero
    hostPerOperationBackward = .zero
    hostPerExpert = .zero
    hostPerCollective = .zero
    hostPerTensorRankBesidePipeline = .zero
    hostPerSpreadTensorRankBesidePipeline = .zero
    hostJitter = .zero
    hostPerMicrobatch = .zero
    readsTokenCounts = false
    pipelineSynchronizesHost = false
    fusion.stashesExperts = holdsMegatronTensors
  }

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
