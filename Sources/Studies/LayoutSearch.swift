import Dispatch
import Foundation
import Hardware
import Layout
public import MessagePassing
import Quantities
public import StepProgram
public import StepSimulation
import Synchronization

/// What became of one layout of a search.
public struct LayoutOutcome: Sendable {
  /// How far a layout came.
  public enum Verdict: Int64, Sendable {
    /// Simulated, and every rank stays within its GPU's memory.
    case fits = 1
    /// Simulated, and a rank holds more than its GPU's memory.
    case doesNotFit
    /// Not simulated: what a rank holds at least exceeds its GPU's memory (``StepBound/bytes``).
    case boundDoesNotFit
    /// Not simulated: as many layouts as are wanted fit and are better than this one can be.
    case worse
    /// The step has no program or does not end.
    case failed
  }

  /// The layout.
  public var job: TrainingJob
  /// How far it came.
  public var verdict: Verdict
  /// Wall time of a step in seconds; at least that where not simulated.
  public var stepSeconds: Double
  /// Bytes the fullest GPU holds at its peak; at least those where not simulated.
  public var peakBytes: Int64

  /// Whether the step was simulated.
  public var isSimulated: Bool { verdict == .fits || verdict == .doesNotFit }
}

/// Evaluates layouts with the program and the folded simulation that `simulate` runs.
///
/// First every layout is bounded from below in time and memory (``StepBounds``). Those whose memory bound
/// exceeds the GPU are out. The others are simulated from the most promising on, in batches, until the
/// bound of the next is worse than the worst of the wanted number of layouts that fit: what is left
/// cannot be among them. The batches do not depend on the number of processes, so neither does anything
/// that comes of them.
public enum LayoutSearch {
  /// What layouts are ranked by.
  public enum Objective: String, Sendable, CaseIterable {
    /// The shortest step.
    case time
    /// The least money: on a given number of GPUs at one price, the shortest step.
    case cost
    /// The least energy: on a given number of GPUs at one power, the shortest step.
    case energy
    /// The most memory left.
    case memory
  }

  /// How far a search is.
  public struct Progress: Sendable {
    /// Layouts of which it is known what becomes of them, or that are bounded while all are.
    public var done: Int
    /// Layouts in the space.
    public var total: Int
    /// Whether layouts are being bounded, not yet simulated.
    public var isBounding: Bool
    /// Shortest step of those that fit, in seconds.
    public var best: Double?
    /// What is known of each layout simulated since the last report: its place among the jobs.
    public var news: [Int: LayoutOutcome]
  }

  /// Layouts simulated between two looks at what is known.
  private static let batch = 128

  /// Finds the best of `jobs` on all cores of all processes.
  ///
  /// - Parameters:
  ///   - jobs: the layouts, the same in every process.
  ///   - wanted: how many of the best are asked for; at least one.
  ///   - objective: what is best.
  ///   - speeds: slow ranks, wherever the layouts put them; jitter, which blurs all layouts alike, is
  ///     left to whoever looks at the best.
  ///   - known: outcomes of earlier simulations of the same jobs, by place, the same in every process.
  ///   - communicator: the processes; each evaluates its share.
  ///   - progress: told after each batch.
  /// - Returns: an outcome for each job, in the same order in every process. The best `wanted` that fit
  ///   are among those simulated.
  /// - Throws: `CommunicationError` when a process is lost.
  public static func evaluate(
    _ jobs: [TrainingJob], wanted: Int, by objective: Objective = .time,
    speeds: RankSpeeds = .uniform, known: [Int: LayoutOutcome] = [:],
    communicator: any Communicator,
    progress: (Progress) -> Void
  ) throws -> [LayoutOutcome] {
    let slow = RankSpeeds(slowdowns: speeds.slowdowns)
    // A rank alone in its stage may be faster than its bound.
    let fastest = slow.slowdowns.reduce(1.0) { $0 * min(1, $1.factor) }
    var outcomes = try bounded(
      jobs, fastest: fastest, communicator: communicator, progress: progress)
    let order = outcomes.indices.filter { outcomes[$0].verdict == .worse }
      .sorted { precedes(outcomes[$0], outcomes[$1], objective, $0 < $1) }
    var done = jobs.count - order.count
    var leaders: [LayoutOutcome] = []
    var next = 0
    while next < order.count {
      // What can at best be as good as the last of the leaders is looked at: equals are ranked by more.
      if leaders.count >= max(wanted, 1), let last = leaders.last,
        isWorse(outcomes[order[next]], than: last, objective)
      {
        break
      }
      let places = Array(order[next..<min(next + batch, order.count)])
      next += places.count
      let fresh = places.filter { known[$0] == nil }
      let found = try share(
        fresh.map { outcomes[$0].job }, communicator: communicator, run: 1, { () }
      ) { job, _ in outcome(of: job, slow) }
      var news: [Int: LayoutOutcome] = [:]
      for (place, outcome) in zip(fresh, found) { news[place] = outcome }
      for place in places { outcomes[place] = news[place] ?? known[place] ?? outcomes[place] }
      leaders = Array(
        distinct(ranked(leaders + places.map { outcomes[$0] }, by: objective))
          .prefix(max(wanted, 1)))
      done += places.count
      progress(
        Progress(
          done: done, total: jobs.count, isBounding: false,
          best: leaders.map(\.stepSeconds).min(), news: news))
    }
    return outcomes
  }

  /// Every job with its bounds: those that cannot fit, and those still to be simulated as if worse.
  private static func bounded(
    _ jobs: [TrainingJob], fastest: Double, communicator: any Communicator,
    progress: (Progress) -> Void
  ) throws -> [LayoutOutcome] {
    let slice = 4_096
    var outcomes: [LayoutOutcome] = []
    outcomes.reserveCapacity(jobs.count)
    for start in stride(from: 0, to: jobs.count, by: slice) {
      let part = Array(jobs[start..<min(start + slice, jobs.count)])
      // Neighbours share what they are priced by, so each thread takes a run of them.
      outcomes += try share(part, communicator: communicator, run: 64, StepBounds.init) {
        job, bounds in
        let bound = bounds.bound(job)
        return LayoutOutcome(
          job: job,
          verdict: bound.bytes > job.cluster.gpu.memory.count ? .boundDoesNotFit : .worse,
          stepSeconds: bound.duration.seconds * fastest, peakBytes: bound.bytes)
      }
      progress(
        Progress(
          done: outcomes.count, total: jobs.count, isBounding: true, best: nil, news: [:]))
    }
    return outcomes
  }

  /// Applies `body` to each job, on all cores of all processes.
  ///
  /// - Parameters:
  ///   - jobs: the same in every process.
  ///   - communicator: the processes.
  ///   - run: how many neighbouring jobs go to one thread.
  ///   - state: what each thread keeps from one job to the next.
  ///   - body: evaluates a job.
  /// - Returns: the outcomes of all jobs, in order, in every process.
  /// - Throws: `CommunicationError` when a process is lost.
  private static func share<State>(
    _ jobs: [TrainingJob], communicator: any Communicator, run: Int,
    _ state: @Sendable () -> State,
    _ body: @Sendable (TrainingJob, inout State) -> LayoutOutcome
  ) throws -> [LayoutOutcome] {
    let threads = max(1, ProcessInfo.processInfo.activeProcessorCount / communicator.size)
    let runs = (jobs.count + run - 1) / run
    let mine = Array(stride(from: communicator.rank, to: runs, by: communicator.size))
    // Three numbers a layout, zero where another process evaluates it: adding joins them.
    let table = Mutex([Int64](repeating: 0, count: jobs.count * 3))
    let next = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: min(threads, max(mine.count, 1))) { _ in
      var kept = state()
      while true {
        let place = next.add(1, ordering: .relaxed).oldValue
        guard place < mine.count else { return }
        let first = mine[place] * run
        for index in first..<min(first + run, jobs.count) {
          let outcome = body(jobs[index], &kept)
          table.withLock {
            $0[index * 3] = outcome.verdict.rawValue
            $0[index * 3 + 1] = Int64(bitPattern: outcome.stepSeconds.bitPattern)
            $0[index * 3 + 2] = outcome.peakBytes
          }
        }
      }
    }
    var rows = table.withLock { $0 }
    try communicator.reduce(&rows, with: .sum)
    return jobs.indices.map { index in
      LayoutOutcome(
        job: jobs[index], verdict: LayoutOutcome.Verdict(rawValue: rows[index * 3]) ?? .failed,
        stepSeconds: Double(bitPattern: UInt64(bitPattern: rows[index * 3 + 1])),
        peakBytes: rows[index * 3 + 2])
    }
  }

  /// Whether one outcome is before another under an objective; equals by `tie`.
  private static func precedes(
    _ one: LayoutOutcome, _ other: LayoutOutcome, _ objective: Objective, _ tie: Bool
  ) -> Bool {
    switch objective {
    case .time, .cost, .energy:
      if one.stepSeconds != other.stepSeconds { return one.stepSeconds < other.stepSeconds }
      if one.peakBytes != other.peakBytes { return one.peakBytes < other.peakBytes }
    case .memory:
      if one.peakBytes != other.peakBytes { return one.peakBytes < other.peakBytes }
      if one.stepSeconds != other.stepSeconds { return one.stepSeconds < other.stepSeconds }
    }
    return tie
  }

  /// Whether a layout with these bounds cannot be as good as `leader`.
  private static func isWorse(
    _ bound: LayoutOutcome, than leader: LayoutOutcome, _ objective: Objective
  ) -> Bool {
    switch objective {
    case .time, .cost, .energy: bound.stepSeconds > leader.stepSeconds
    case .memory: bound.peakBytes > leader.peakBytes
    }
  }

  /// Those that fit, best first; equals stay in their order.
  public static func ranked(
    _ outcomes: [LayoutOutcome], by objective: Objective
  ) -> [LayoutOutcome] {
    let fitting = outcomes.enumerated().filter { $0.element.verdict == .fits }
    return fitting.sorted {
      precedes($0.element, $1.element, objective, $0.offset < $1.offset)
    }.map(\.element)
  }

  /// A ranking without layouts that differ from the one before in nothing that has an effect.
  ///
  /// Neither step time nor peak changes with the recomputation, the order of the axes or both.
  public static func distinct(_ ranking: [LayoutOutcome]) -> [LayoutOutcome] {
    var result: [LayoutOutcome] = []
    for outcome in ranking {
      if let last = result.last, last.stepSeconds == outcome.stepSeconds,
        last.peakBytes == outcome.peakBytes,
        last.job.training.microBatch == outcome.job.training.microBatch
      {
        var layout = outcome.job.parallelism
        layout.order = last.job.parallelism.order
        if layout == last.job.parallelism { continue }
      }
      result.append(outcome)
    }
    return result
  }

  /// Simulates a job's step.
  ///
  /// Steps of very many microbatches, some tenths of a second each, by two shorter ones.
  private static func outcome(of job: TrainingJob, _ speeds: RankSpeeds) -> LayoutOutcome {
    var outcome = LayoutOutcome(job: job, verdict: .failed, stepSeconds: 0, peakBytes: 0)
    let isLong = job.instructionEstimate > TrainingJob.instructionLimit / 50
    guard let step = StepOutcome(job, speeds: speeds, shortens: isLong) else { return outcome }
    outcome.verdict = step.peak <= job.cluster.gpu.memory ? .fits : .doesNotFit
    outcome.stepSeconds = step.seconds
    outcome.peakBytes = step.peak.count
    return outcome
  }
}
