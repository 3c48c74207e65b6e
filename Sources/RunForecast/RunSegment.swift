import Foundation
public import Quantities

/// Phases that one job runs without starting anew, and what interrupts it.
///
/// Work is counted in cycles: the training time between two checkpoints of the nearer level, and the
/// write after it. A write into storage, which is longer, follows every ``cyclesPerRemote`` cycles; its
/// time beyond the nearer one's is spread over them.
///
/// State is whole only between two steps, so a cycle is a whole number of steps, at least one: an
/// interval that is asked for is rounded up. Where the steps of a segment differ (a growing batch,
/// phases) their mean counts, evaluations included.
struct RunSegment: Sendable {
  /// Steps and evaluations, seconds.
  var useful = 0.0
  /// Of these the time in steps.
  var training = 0.0
  /// Mean time of a step with its share of the evaluations.
  var step = 1e-9
  /// Work between two checkpoints of the nearer level.
  var interval = 1e-9
  /// Cycles between two checkpoints in storage.
  var cyclesPerRemote = 1.0
  /// Time training stops in each cycle for checkpoints.
  var stall = 0.0
  /// Time from the start of a write beside training until it counts.
  var commit = 0.0
  /// Part of the failures the nearer level is of use after; 0 when there is one level.
  var covered = 0.0
  /// Part of the failures that take several nodes.
  var correlated = 0.0
  /// Failures a second by raw value of ``FailureKind``.
  var rates = [Double](repeating: 0, count: FailureKind.allCases.count)
  /// Time down after a failure, from the nearer level and from storage.
  var localRestart = 0.0
  var remoteRestart = 0.0
  /// Ranks that become slow, a second.
  var slowRate = 0.0
  /// Time of a step with a slow rank over that of one without.
  var stretch = 1.0
  /// How long one stays unnoticed.
  var foundAfter = 0.0
  /// What replacing it takes: a checkpoint and a start.
  var replacement = 0.0
  var gpuCount = 0
  /// From the start of the job to its first step.
  var startUp = 0.0
  /// Writing the checkpoint the next segment starts from.
  var handover = 0.0

  /// Work between two checkpoints in storage.
  var remoteInterval: Double { interval * cyclesPerRemote }

  /// The fewest whole steps that take `time`, at least one; a billionth beyond a boundary is rounding.
  static func steps(in time: Double, of step: Double) -> Double {
    max(1, (time / step * (1 - 1e-9)).rounded(.up))
  }

  /// Failures a second.
  var rate: Double { rates.reduce(0, +) }

  /// The part of the time in which at least one rank is slow.
  ///
  /// Slow ranks come at a constant rate and stay for a constant time, so their number is Poisson's (the M/G/∞
  /// queue).
  var slowShare: Double { -expm1(-slowRate * foundAfter) }

  /// The time work takes with slow ranks among the others, over that without.
  ///
  /// In ``slowShare`` of the time only 1/``stretch`` of the work is done.
  var dilation: Double { 1 / (1 - slowShare * (1 - 1 / stretch)) }

  /// Segments of a plan: phases that start the job anew begin one.
  static func segments(of plan: RunPlan, settings: RunSettings) -> [RunSegment] {
    var result: [RunSegment] = []
    var group: [RunPhase] = []
    var before = 0.0
    func close() {
      guard !group.isEmpty else { return }
      result.append(RunSegment(group, firstStep: before, settings: settings))
      before += group.reduce(0) { $0 + $1.steps }
      group = []
    }
    for phase in plan.phases {
      if phase.startsJob { close() }
      group.append(phase)
    }
    close()
    for index in result.indices.dropLast() { result[index].handover = result[index].writing }
    return result
  }

  /// Time to write one checkpoint into storage, training waiting.
  private var writing = 0.0

  private init(_ phases: [RunPhase], firstStep: Double, settings: RunSettings) {
    let largest = phases[0]
    var first = firstStep
    for phase in phases {
      training += phase.trainingTime.value
      useful += phase.trainingTime.value
      if let evaluation = settings.evaluation {
        let count = RunSegment.evaluations(from: first, steps: phase.steps, every: evaluation.steps)
        let each =
          if case .duration(let time) = evaluation.length { time } else { phase.evaluation }
        useful += each.value * count
      }
      first += phase.steps
    }
    let weighted = phases.reduce(0) { $0 + $1.stragglerStretch * $1.stepTime.value }
    let time = phases.reduce(0) { $0 + $1.stepTime.value }
    stretch = time > 0 ? weighted / time : 1
    gpuCount = largest.gpuCount
    startUp = settings.startUp.value
    interval = max(useful, 1e-9)
    let count = max(1, phases.reduce(0) { $0 + $1.steps })
    step = interval / count
    var reading = 0.0
    if let checkpoint = settings.checkpoint {
      let cost = CheckpointCost(largest, checkpoint)
      writing = cost.write.value
      let far = min(Self.steps(in: checkpoint.interval.value, of: step), count)
      commit = cost.commit.value
      reading = cost.read.value
      if let local = checkpoint.local {
        let near = Self.steps(in: local.interval.value, of: step)
        cyclesPerRemote = max(1, (far / near).rounded())
        interval = (far / cyclesPerRemote).rounded(.up) * step
        stall = cost.localWrite.value + cost.stall.value / cyclesPerRemote
        covered = local.covers
      } else {
        interval = far * step
        stall = cost.stall.value
      }
    }
    if let failing = settings.failures {
      rates = failing.rates(gpuCount: largest.gpuCount, gpusPerNode: largest.gpusPerNode)
      let down =
        failing.detection.value + failing.restart.value
        + failing.restartPerNode.value * largest.nodeCount
      localRestart = down
      remoteRestart = down + reading
      let parts = rates[FailureKind.gpu.rawValue] + rates[FailureKind.node.rawValue]
      correlated = failing.correlatedShare * parts / rate
    }
    if let slow = settings.stragglers {
      slowRate = Double(largest.gpuCount) / slow.gpuMeanTimeBetween.value
      foundAfter = slow.foundAfter.value
      replacement =
        (settings.failures.map {
          $0.restart.value + $0.restartPerNode.value * largest.nodeCount
        } ?? startUp) + writing + reading
    }
  }

  /// Evaluations in `steps` steps after the first `from` of a run.
  static func evaluations(from: Double, steps: Double, every: Int) -> Double {
    ((from + steps) / Double(every)).rounded(.down) - (from / Double(every)).rounded(.down)
  }
}

/// What one checkpoint costs a phase.
public struct CheckpointCost: Hashable, Sendable {
  /// From the first byte to the last in storage.
  public var write: Seconds
  /// Training stops for so long at each.
  public var stall: Seconds
  /// Written beside training, it counts so long after it was taken.
  public var commit: Seconds
  /// Reading it again.
  public var read: Seconds
  /// Training stops for so long at each of the nearer level.
  public var localWrite: Seconds
  /// Host memory of a node that a copy takes while it is written; zero when training waits.
  public var hostBytes: Bytes

  /// The cost of a checkpoint of `phase`.
  ///
  /// Beside training, each GPU first copies its part to its host at the rate of the host link, and
  /// what the write takes from the network makes the steps beside it longer
  /// (``RunPhase/checkpointDrag``).
  public init(_ phase: RunPhase, _ settings: CheckpointSettings) {
    let bytes = phase.checkpoint
    write = bytes.total / settings.writeRate
    let node = bytes.largestPart * max(phase.gpusPerNode, 1)
    if settings.isAsynchronous {
      stall = bytes.largestPart / phase.hostRate + phase.checkpointDrag
      commit = write
      hostBytes = node
    } else {
      stall = write
      commit = .zero
      hostBytes = .zero
    }
    read = settings.readRate.map { bytes.total / $0 } ?? .zero
    localWrite = settings.local.map { node / $0.writeRate } ?? .zero
  }
}
