import Layout
import Transformer

/// What each turn of a stage asks of its job, profile and states.
///
/// It is the same at every turn, and those are large values that a look at each turn would copy.
struct TurnRules {
  /// Microbatches of each chunk: of those that enter at both ends, half.
  let microbatches: Int
  /// Whether parameters are gathered layer by layer.
  let gathersParameters: Bool
  /// Whether updated parameters are gathered beside the first forward pass.
  let gathersAhead: Bool
  /// Whether gradients are reduced in buckets within the last microbatch's backward pass.
  let reducesLastInBuckets: Bool
  /// Whether they are within each.
  let reducesEachInBuckets: Bool
  /// Whether weight gradients are a pass of their own.
  let splitsBackward: Bool
  /// Microbatches whose weight gradient of the output projection waits for the end of the step.
  let deferredGradients: Int
  /// Whether the host waits for the device behind every pass.
  let synchronizesPasses: Bool
  /// Whether it waits at every launch.
  let blocksLaunches: Bool
  /// Whether it waits behind what is sent to another stage.
  let sendsHoldHost: Bool
  /// Whether computation waits for what is sent.
  let sendsBlock: Bool
  /// Whether of two messages that meet one waits for the other.
  let exchangesStagesInTurn: Bool

  /// Instructions of a turn in one piece at most.
  ///
  /// Its part of the step, what it waits for, its memory before and behind it, its block, what it sends, and
  /// where the host waits for the device.
  var instructionsPerTurn: Int { 6 + (synchronizesPasses ? 2 : 0) + (sendsHoldHost ? 1 : 0) }

  init(_ compiler: StepCompiler) {
    let (job, profile, states) = (compiler.job, compiler.profile, compiler.states)
    microbatches = job.microbatchCount / job.parallelism.stageCopies
    gathersParameters = states.gathersParameters
    gathersAhead =
      states.bucketsOverlap && profile.dataOverlap == .gradientsAndParameters
      && job.parallelism.zero == 1
    splitsBackward = job.parallelism.schedule.splitsBackward
    reducesLastInBuckets = states.bucketsOverlap && !splitsBackward
    reducesEachInBuckets = reducesLastInBuckets && states.reducesEachMicrobatch
    deferredGradients = compiler.deferredGradients
    synchronizesPasses = profile.synchronizesPasses
    blocksLaunches = job.training.blocksLaunches
    sendsHoldHost = profile.pipelineSynchronizesHost || blocksLaunches
    let interleaved = job.parallelism.schedule == .interleaved ? profile.interleavedSendsBlock : nil
    sendsBlock = interleaved ?? profile.sendsBlock
    exchangesStagesInTurn = profile.exchangesStagesInTurn
  }
}
