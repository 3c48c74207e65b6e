public import StepProgram
public import StepSimulation
import Foundation
import Hardware
import Layout
import Quantities

/// The step of a job whose ranks differ in speed, also where there are too many to simulate each.
///
/// With jitter from kernel to kernel no two ranks are alike, and every one is simulated. Beyond
/// ``rankLimit`` ranks, jobs with fewer replicas are, on the same layout, and the rest extrapolated: a
/// collective waits for the slowest of n, and the largest of n draws lies √(2 ln n) deviations above
/// their mean in the limit (extreme-value theory; H. A. David, Order Statistics), so the part by which
/// a step grows is taken as linear in √(2 ln n) over the replicas.
public enum UnevenRanks {
  /// Ranks that are simulated one by one.
  static let rankLimit = 512

  /// Seconds of a step of `job` with those speeds.
  ///
  /// - Parameters:
  ///   - job: what is trained, `recompute` decided.
  ///   - uniform: seconds of its step when all ranks are equal.
  ///   - speeds: how they differ.
  /// - Returns: the time of a step, on average over steps where it is extrapolated.
  /// - Throws: `StepSimulationError` when a step does not end.
  public static func step(
    _ job: TrainingJob, uniform: Double, speeds: RankSpeeds
  ) throws(StepSimulationError) -> Double {
    let ranks = job.parallelism.gpuCount
    let isWhole = speeds.jitter.kernel == 0 || ranks <= rankLimit
    if isWhole {
      let program = StepCompiler.compile(job)
      return try FoldedSimulation.run(program, speeds: speeds).duration.seconds
    }
    let each = ranks / job.parallelism.data
    var samples: [(place: Double, growth: Double)] = []
    var replicas = min(job.parallelism.data, max(2, rankLimit / each))
    // Experts are spread over replicas: fewer of these must still divide them.
    let experts = job.parallelism.expert * job.parallelism.expertTensor
    while replicas >= 2, samples.count < 3,
      (each * replicas / job.parallelism.pipeline) % experts == 0
    {
      samples.append((place(replicas), try growth(job, replicas: replicas, speeds: speeds)))
      replicas /= 2
    }
    if samples.isEmpty {
      let program = StepCompiler.compile(job)
      return try FoldedSimulation.run(program, speeds: speeds).duration.seconds
    }
    return uniform * (1 + extrapolated(samples, to: place(job.parallelism.data)))
  }

  /// √(2 ln n).
  static func place(_ count: Int) -> Double { (2 * log(Double(count))).squareRoot() }

  /// The least-squares line through the samples at `place`, never below their largest.
  static func extrapolated(_ samples: [(place: Double, growth: Double)], to place: Double)
    -> Double
  {
    let count = Double(samples.count)
    guard count > 1 else { return samples.first?.growth ?? 0 }
    let x = samples.reduce(0) { $0 + $1.place } / count
    let y = samples.reduce(0) { $0 + $1.growth } / count
    let across = samples.reduce(0) { $0 + ($1.place - x) * ($1.growth - y) }
    let along = samples.reduce(0) { $0 + ($1.place - x) * ($1.place - x) }
    let largest = samples.map(\.growth).max() ?? 0
    return max(largest, y + across / along * (place - x))
  }

  /// Steps over which a sample's growth is averaged.
  private static let steps: UInt64 = 3

  /// By which part of itself the step of the job with fewer replicas grows, on average over steps.
  private static func growth(
    _ job: TrainingJob, replicas: Int, speeds: RankSpeeds
  ) throws(StepSimulationError) -> Double {
    var smaller = job
    smaller.parallelism.data = replicas
    smaller.parallelism.shardGroup = nil
    smaller.cluster.gpuCount = job.cluster.gpuCount / job.parallelism.data * replicas
    smaller.training.globalBatch = job.training.globalBatch / job.parallelism.data * replicas
    let program = StepCompiler.compile(smaller)
    let equal = try FoldedSimulation.run(program).duration.seconds
    var sum = 0.0
    for step in 0..<steps {
      var drawn = speeds
      drawn.step = step
      sum += try FoldedSimulation.run(program, speeds: drawn).duration.seconds
    }
    return sum / Double(steps) / equal - 1
  }
}
