import Foundation
public import Quantities

/// What can break.
public enum FailureKind: Int, Hashable, Sendable, CaseIterable {
  /// One GPU with its share of everything else.
  case gpu
  /// A whole node.
  case node
  /// Something all nodes share.
  case fabric
  /// The link of a GPU out of its node.
  case link
}

/// One training run with its failures, drawn at random.
public struct RunOutcome: Hashable, Sendable {
  /// Wall time.
  public var wallTime = Seconds.zero
  /// GPUs times the wall time each was held, in seconds.
  public var gpuTime = Seconds.zero
  /// Work done and lost again.
  public var lostTime = Seconds.zero
  /// Detection, restarts, and waiting for repaired nodes.
  public var downTime = Seconds.zero
  /// What slow ranks add, with that of their replacement.
  public var stragglerTime = Seconds.zero
  /// Ranks that became slow.
  public var stragglers = 0
  /// Failures by raw value of ``FailureKind``.
  public var failures = [Int](repeating: 0, count: FailureKind.allCases.count)
  /// Wall time at which each tenth of the work but the last was done for good.
  public var tenths = [Seconds](repeating: .zero, count: 9)
}

/// Draws training runs: useful work, checkpoints, failures, restarts, spares, slow ranks.
///
/// Every random number comes from a stream of its own for (seed, run): run `i` is the same whichever
/// process draws it and however many are drawn.
public struct RunSimulation: Sendable {
  let segments: [RunSegment]
  let failing: FailureSettings?

  /// Prepares to draw runs; `nil` when nothing ever fails or becomes slow.
  ///
  /// - Parameters:
  ///   - plan: the phases with their steps.
  ///   - settings: checkpoints, failures, evaluations.
  public init?(_ plan: RunPlan, settings: RunSettings) {
    guard settings.failures != nil || settings.stragglers != nil else { return nil }
    failing = settings.failures
    segments = RunSegment.segments(of: plan, settings: settings)
  }

  /// Failures after which a run counts as one that never ends.
  static let limit = 1_000_000

  /// Draws run `index` of `seed`.
  ///
  /// Failures strike at any time, restarts included. Work since the last checkpoint that can be used is
  /// lost. A broken GPU or node, and one that was found to be slow, is replaced by a spare, or, when
  /// none is left, by the first that comes back from repair.
  /// - Returns: the run; its wall time is infinite when it never ends.
  public func run(_ index: Int, seed: UInt64) -> RunOutcome {
    var drawing = RunDrawing(
      random: RandomStream(seed: seed, stream: UInt64(index)), failing: failing)
    let total = segments.reduce(0) { $0 + $1.useful }
    var before = 0.0
    for segment in segments {
      let start = drawing.time
      drawing.begin(segment, tenthOf: total, from: before)
      while drawing.advance(segment) {}
      guard drawing.time.isFinite else { break }
      drawing.outcome.gpuTime =
        drawing.outcome.gpuTime + Seconds(Double(segment.gpuCount) * (drawing.time - start))
      before += segment.useful
    }
    drawing.outcome.wallTime = Seconds(drawing.time)
    if !drawing.time.isFinite { drawing.outcome.gpuTime = Seconds(.infinity) }
    return drawing.outcome
  }
}

/// A run as it is drawn, one event after the other.
struct RunDrawing {
  var random: RandomStream
  let failing: FailureSettings?
  var outcome = RunOutcome()
  var time = 0.0
  private var pool: SparePool
  private var failureCount = 0
  private var nextFailure = Double.infinity
  private var nextSlow = Double.infinity
  /// When each rank that is slow will be found, earliest first.
  private var found: [Double] = []
  private var firstFound = 0
  /// Progress in the segment, in cycles; what the checkpoints of the two levels hold.
  private var progress = 0.0
  private var near = 0.0
  private var far = 0.0
  /// Progress at which a tenth of the run is done; the next one.
  private var marks: [(tenth: Int, progress: Double)] = []
  private var nextMark = 0

  init(random: RandomStream, failing: FailureSettings?) {
    self.random = random
    self.failing = failing
    pool = SparePool(failing)
  }

  /// Starts a segment's job.
  mutating func begin(_ segment: RunSegment, tenthOf total: Double, from before: Double) {
    time += segment.startUp
    progress = 0
    near = 0
    far = 0
    found = []
    firstFound = 0
    nextFailure = time + interval(segment)
    nextSlow =
      segment.slowRate > 0 ? time - log(random.uniform()) / segment.slowRate : .infinity
    marks = []
    nextMark = 0
    for tenth in 1...9 {
      let work = total * Double(tenth) / 10 - before
      if work > 0, work <= segment.useful { marks.append((tenth, work / segment.interval)) }
    }
  }

  private var isSlow: Bool { firstFound < found.count }

  /// Goes on to the next event; `false` at the end of the segment, or of all time.
  mutating func advance(_ segment: RunSegment) -> Bool {
    let pace = segment.interval * (isSlow ? segment.stretch : 1)
    let cycle = pace + segment.stall
    let end = segment.useful / segment.interval
    let whole = end.rounded(.down)
    let need =
      progress < whole
      ? (whole - progress) * cycle + (end - whole) * pace : max(0, (end - progress) * pace)
    let slowEvent = isSlow ? min(nextSlow, found[firstFound]) : nextSlow
    let event = min(nextFailure, slowEvent)
    if time + need <= event {
      if isSlow { countSlow(from: progress, to: end, segment) }
      move(to: time + need, progress: end, cycle: cycle)
      time += segment.handover
      return false
    }
    if event > time {
      let elapsed = event - time
      let toWhole = max(0, (whole - progress) * cycle)
      let reached =
        elapsed <= toWhole
        ? progress + elapsed / cycle : max(progress, whole) + (elapsed - toWhole) / pace
      if isSlow { countSlow(from: progress, to: reached, segment) }
      move(to: event, progress: reached, cycle: cycle)
    }
    if nextFailure <= slowEvent {
      return fail(segment, cycle: cycle)
    }
    if isSlow, found[firstFound] <= nextSlow {
      firstFound += 1
      replaceSlow(segment)
    } else {
      outcome.stragglers += 1
      found.append(nextSlow + segment.foundAfter)
      nextSlow -= log(random.uniform()) / segment.slowRate
    }
    return true
  }

  private mutating func countSlow(from first: Double, to last: Double, _ segment: RunSegment) {
    outcome.stragglerTime =
      outcome.stragglerTime
      + Seconds((last - first) * segment.interval * (segment.stretch - 1))
  }

  /// Work goes on undisturbed; marks passed on the way get their time.
  private mutating func move(to end: Double, progress reached: Double, cycle: Double) {
    while nextMark < marks.count, marks[nextMark].progress <= reached {
      let at = min(end, time + (marks[nextMark].progress - progress) * cycle)
      outcome.tenths[marks[nextMark].tenth - 1] = Seconds(max(time, at))
      nextMark += 1
    }
    time = end
    progress = reached
  }

  /// A slow rank was found: everything is saved, its node replaced.
  private mutating func replaceSlow(_ segment: RunSegment) {
    near = progress
    far = progress
    let start = pool.replace(1, at: time)
    let spent = start - time + segment.replacement
    outcome.stragglerTime = outcome.stragglerTime + Seconds(spent)
    time += spent
    // Nothing runs, and so nothing breaks, meanwhile.
    nextFailure += spent
    nextSlow += spent
    for index in firstFound..<found.count { found[index] += spent }
  }

  /// Something breaks.
  ///
  /// Work is lost, and the job is down until a whole restart passes without another failure.
  private mutating func fail(_ segment: RunSegment, cycle: Double) -> Bool {
    let written = (progress - segment.commit / cycle).rounded(.down)
    far = max(far, (written / segment.cyclesPerRemote).rounded(.down) * segment.cyclesPerRemote)
    near = max(near, far, segment.covered > 0 ? progress.rounded(.down) : 0)
    var losesNear = segment.covered == 0
    let before = time
    while true {
      failureCount += 1
      guard failureCount <= RunSimulation.limit else {
        time = .infinity
        return false
      }
      let kind = kind(segment)
      outcome.failures[kind.rawValue] += 1
      let isCorrelated =
        segment.correlated > 0 && (kind == .gpu || kind == .node)
        && random.uniform() <= failing?.correlatedShare ?? 0
      let isCovered =
        segment.covered == 1 || segment.covered > 0 && random.uniform() <= segment.covered
      losesNear = losesNear || isCorrelated || !isCovered
      // Nothing runs, and so nothing breaks, while a node is missing.
      if kind == .gpu || kind == .node {
        time = pool.replace(isCorrelated ? failing?.correlatedNodes ?? 1 : 1, at: time)
      }
      let ready = time + (losesNear ? segment.remoteRestart : segment.localRestart)
      nextFailure = time + interval(segment)
      time = min(nextFailure, ready)
      if ready <= nextFailure { break }
    }
    outcome.downTime = outcome.downTime + Seconds(time - before)
    let kept = losesNear ? far : near
    outcome.lostTime = outcome.lostTime + Seconds((progress - kept) * cycle)
    progress = kept
    near = kept
    far = min(far, kept)
    while nextMark > 0, marks[nextMark - 1].progress > progress { nextMark -= 1 }
    // Slow ranks come and are found while the job runs.
    if segment.slowRate > 0 {
      nextSlow += time - before
      for index in firstFound..<found.count { found[index] += time - before }
    }
    return true
  }

  /// Time to the next failure of the job: Weibull with the mean of all rates together.
  ///
  /// Shape 1 is the exponential distribution.
  private mutating func interval(_ segment: RunSegment) -> Double {
    guard segment.rate > 0 else { return .infinity }
    let mean = 1 / segment.rate
    let shape = failing?.shape ?? 1
    let draw = -log(random.uniform())
    guard shape != 1 else { return mean * draw }
    return mean / tgamma(1 + 1 / shape) * pow(draw, 1 / shape)
  }

  private mutating func kind(_ segment: RunSegment) -> FailureKind {
    var place = random.uniform() * segment.rate
    for kind in FailureKind.allCases {
      place -= segment.rates[kind.rawValue]
      if place < 0 { return kind }
    }
    return .gpu
  }
}

/// Nodes that stand by, and nodes under repair.
private struct SparePool {
  private var available: Int?
  private let repair: Double
  /// When nodes come back, earliest first: repairs all take the same time.
  private var returns: [Double] = []
  private var firstReturn = 0

  init(_ settings: FailureSettings?) {
    available = settings?.spares
    repair = settings?.repair.value ?? 0
  }

  /// When the replacement of so many broken nodes can start.
  mutating func replace(_ nodes: Int, at time: Double) -> Double {
    guard var ready = available else { return time }
    for _ in 0..<nodes { returns.append(time + repair) }
    while firstReturn < returns.count, returns[firstReturn] <= time {
      firstReturn += 1
      ready += 1
    }
    if ready >= nodes {
      available = ready - nodes
      return time
    }
    available = 0
    firstReturn += nodes - ready
    return returns[firstReturn - 1]
  }
}
