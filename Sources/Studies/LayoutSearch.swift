import Dispatch
import Foundation
import Hardware
public import MessagePassing
import Quantities
public import StepProgram
import StepSimulation
import Synchronization

/// What became of one layout of a search.
public struct LayoutOutcome: Sendable {
  /// How far a layout came.
  public enum Verdict: Int64, Sendable {
    /// Simulated, and every rank stays within its GPU's memory.
    case fits = 1
    /// Simulated, and a rank holds more than its GPU's memory.
    case doesNotFit
    /// Not simulated: what a rank holds before the first kernel exceeds its GPU's memory.
    case statesDoNotFit
    /// The step has no program or does not end.
    case failed
  }

  /// The layout.
  public var job: TrainingJob
  /// How far it came.
  public var verdict: Verdict
  /// Wall time of a step in seconds; 0 when not simulated.
  public var stepSeconds: Double
  /// Bytes the fullest GPU holds at its peak, or before the step when not simulated.
  public var peakBytes: Int64
}

/// Evaluates layouts with the program and the folded simulation that `simulate` runs.
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
    /// Layouts evaluated in this process.
    public var done: Int
    /// Layouts this process has to evaluate.
    public var total: Int
    /// Shortest step of those that fit, in seconds.
    public var best: Double?
  }

  /// Layouts between two reports of progress.
  private static let batch = 256

  /// Evaluates `jobs` on all cores of all processes.
  ///
  /// - Parameters:
  ///   - jobs: the layouts, the same in every process.
  ///   - communicator: the processes; each evaluates its share.
  ///   - progress: told now and then how far this process is.
  /// - Returns: an outcome for each job, in the same order in every process.
  /// - Throws: `CommunicationError` when a process is lost.
  public static func evaluate(
    _ jobs: [TrainingJob], communicator: any Communicator, progress: (Progress) -> Void
  ) throws -> [LayoutOutcome] {
    let mine = Array(stride(from: communicator.rank, to: jobs.count, by: communicator.size))
    let threads = max(1, ProcessInfo.processInfo.activeProcessorCount / communicator.size)
    // Three numbers a layout, zero where another process evaluates it: adding joins them.
    let table = Mutex([Int64](repeating: 0, count: jobs.count * 3))
    var best: Double?
    var start = 0
    while start < mine.count {
      let part = mine[start..<min(start + batch, mine.count)]
      let next = Atomic<Int>(part.startIndex)
      DispatchQueue.concurrentPerform(iterations: threads) { _ in
        while true {
          let place = next.add(1, ordering: .relaxed).oldValue
          guard place < part.endIndex else { return }
          let outcome = outcome(of: jobs[part[place]])
          table.withLock {
            $0[part[place] * 3] = outcome.verdict.rawValue
            $0[part[place] * 3 + 1] = Int64(bitPattern: outcome.stepSeconds.bitPattern)
            $0[part[place] * 3 + 2] = outcome.peakBytes
          }
        }
      }
      start = part.endIndex
      let rows = table.withLock { $0 }
      for index in part where rows[index * 3] == LayoutOutcome.Verdict.fits.rawValue {
        let seconds = Double(bitPattern: UInt64(bitPattern: rows[index * 3 + 1]))
        best = min(best ?? seconds, seconds)
      }
      progress(Progress(done: start, total: mine.count, best: best))
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

  /// Those that fit, best first; equals stay in their order.
  public static func ranked(
    _ outcomes: [LayoutOutcome], by objective: Objective
  ) -> [LayoutOutcome] {
    let fitting = outcomes.enumerated().filter { $0.element.verdict == .fits }
    return fitting.sorted { left, right in
      let (one, other) = (left.element, right.element)
      switch objective {
      case .time, .cost, .energy:
        if one.stepSeconds != other.stepSeconds { return one.stepSeconds < other.stepSeconds }
        if one.peakBytes != other.peakBytes { return one.peakBytes < other.peakBytes }
      case .memory:
        if one.peakBytes != other.peakBytes { return one.peakBytes < other.peakBytes }
        if one.stepSeconds != other.stepSeconds { return one.stepSeconds < other.stepSeconds }
      }
      return left.offset < right.offset
    }.map(\.element)
  }

  /// A ranking without layouts that differ from the one before in a recomputation without effect.
  public static func distinct(_ ranking: [LayoutOutcome]) -> [LayoutOutcome] {
    var result: [LayoutOutcome] = []
    for outcome in ranking {
      if let last = result.last, last.stepSeconds == outcome.stepSeconds,
        last.peakBytes == outcome.peakBytes, last.job.parallelism == outcome.job.parallelism,
        last.job.training.microBatch == outcome.job.training.microBatch
      {
        continue
      }
      result.append(outcome)
    }
    return result
  }

  /// Compiles a job, looks at its memory before the step, and simulates the step if that fits.
  private static func outcome(of job: TrainingJob) -> LayoutOutcome {
    var outcome = LayoutOutcome(job: job, verdict: .failed, stepSeconds: 0, peakBytes: 0)
    guard let program = try? StepProgram.compile(deciding: job) else { return outcome }
    let capacity = job.cluster.gpu.memory
    let resident = program.stages.map { $0.resident.reduce(0, +) }.max() ?? 0
    guard resident <= capacity.count else {
      outcome.verdict = .statesDoNotFit
      outcome.peakBytes = resident
      return outcome
    }
    guard let result = try? FoldedSimulation.run(program) else { return outcome }
    let peak = result.ranks.map(\.device).max() ?? .zero
    outcome.verdict = peak <= capacity ? .fits : .doesNotFit
    outcome.stepSeconds = result.duration.seconds
    outcome.peakBytes = peak.count
    return outcome
  }
}
