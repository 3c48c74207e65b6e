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
///
/// States stay sharded over groups of as many ranks, or over all where these are fewer; replicas with
/// slow ranks are among those that are simulated, the slowest first.
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
    while replicas >= 2, samples.count < 3 {
      if let smaller = job.cut(toReplicas: replicas) {
        let fewer = speeds.cut(toReplicas: replicas, of: job.parallelism)
        samples.append((place(replicas), try growth(smaller, speeds: fewer)))
      }
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

  /// By which part of itself the step of a job grows, on average over steps.
  private static func growth(
    _ job: TrainingJob, speeds: RankSpeeds
  ) throws(StepSimulationError) -> Double {
    let program = StepCompiler.compile(job)
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

extension TrainingJob {
  /// The job with fewer replicas, each with as much to do.
  ///
  /// `nil` when experts or shards do not divide over them.
  func cut(toReplicas replicas: Int) -> TrainingJob? {
    var smaller = self
    smaller.parallelism.data = replicas
    smaller.cluster.gpuCount = cluster.gpuCount / parallelism.data * replicas
    smaller.training.globalBatch = training.globalBatch / parallelism.data * replicas
    // Experts are spread over replicas.
    let ranks = smaller.parallelism.gpuCount / parallelism.pipeline
    guard ranks.isMultiple(of: parallelism.expert * parallelism.expertTensor) else { return nil }
    let holders = replicas * parallelism.context
    if let group = parallelism.shardGroup {
      if group >= holders {
        smaller.parallelism.shardGroup = nil
      } else if !holders.isMultiple(of: group) {
        return nil
      }
    }
    if let second = parallelism.sharding.secondaryGroup {
      let shard = smaller.parallelism.shardGroup ?? holders
      guard shard.isMultiple(of: second) else { return nil }
    }
    return smaller
  }
}

extension RankSpeeds {
  /// The speeds of a job with fewer replicas.
  ///
  /// Those with slow ranks come along, the slowest first, with each slow rank at its place in its replica.
  func cut(toReplicas replicas: Int, of layout: Parallelism) -> RankSpeeds {
    guard !slowdowns.isEmpty else { return self }
    var plain = self
    plain.jitter = Jitter()
    let grid = RankGrid(layout)
    var slow: [Int: [(place: Coordinate, factor: Double)]] = [:]
    for rank in Set(slowdowns.flatMap { Array($0.ranks) }).sorted() where rank < grid.rankCount {
      let place = grid.coordinate(of: rank)
      slow[place.data, default: []].append((place, plain.factor(of: rank)))
    }
    let worst = slow.map { (data: $0.key, factor: $0.value.map(\.factor).max() ?? 1) }
      .sorted { ($1.factor, $0.data) < ($0.factor, $1.data) }
      .prefix(replicas).map(\.data).sorted()
    var smaller = layout
    smaller.data = replicas
    let target = RankGrid(smaller)
    var fewer = self
    fewer.slowdowns = worst.enumerated().flatMap { index, data in
      (slow[data] ?? []).map { place, factor in
        var place = place
        place.data = index
        let rank = target.rank(at: place)
        return Slowdown(ranks: rank..<rank + 1, factor: factor)
      }
    }
    return fewer
  }
}
