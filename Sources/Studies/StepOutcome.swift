import Layout
public import Quantities
public import StepProgram
public import StepSimulation

/// Step time and fullest rank of a job: a folded simulation of its step, or of two shorter ones.
///
/// Once a pipeline has filled, every microbatch takes as long as the one before, and no memory is
/// taken that was not taken before: of a step of very many the time follows from two of few, but
/// where buffers grow with their number.
public struct StepOutcome: Hashable, Sendable {
  /// Wall time of the step in seconds.
  public var seconds: Double
  /// Device memory of the fullest rank.
  public var peak: Bytes

  /// Simulates the job; `nil` when it has no program or its step does not end.
  ///
  /// - Parameters:
  ///   - job: what to simulate.
  ///   - speeds: how fast each rank is.
  ///   - shortens: whether very many microbatches may be told from few.
  public init?(_ job: TrainingJob, speeds: RankSpeeds = .uniform, shortens: Bool = true) {
    let microbatches = job.microbatchCount
    let few = 16 * job.parallelism.pipeline * job.parallelism.virtualStages
    guard shortens, microbatches > 4 * few, !Self.growsWithMicrobatches(job, beyond: few) else {
      guard let program = try? StepProgram.compile(deciding: job),
        let result = try? FoldedSimulation.run(program, speeds: speeds)
      else { return nil }
      seconds = result.duration.seconds
      peak = result.ranks.map(\.device).max() ?? .zero
      return
    }
    var short = job
    short.training.globalBatch = few * job.training.microBatch * job.parallelism.data
    var longer = short
    longer.training.globalBatch *= 2
    guard let first = Self(short, speeds: speeds), let second = Self(longer, speeds: speeds) else {
      return nil
    }
    let rest = Double(microbatches - 2 * few) / Double(few)
    seconds = second.seconds + rest * (second.seconds - first.seconds)
    peak = max(first.peak, second.peak)
  }

  /// Whether a step of more than `few` microbatches holds more than one of as many.
  ///
  /// Receive buffers of their own, weight gradients put off to its end, or, where a host that never waits gets
  /// ever further ahead, what collectives have used.
  private static func growsWithMicrobatches(_ job: TrainingJob, beyond few: Int) -> Bool {
    let profile = job.training.profile
    guard job.parallelism.pipeline > 1 else { return profile.replaysCache }
    return profile.receivesIntoOwnBuffers || job.training.switches.deferredGradients >= few
  }
}
