import Foundation
public import Quantities

/// A whole training run: how long, how much work, how much of it lost, at what price.
///
/// The expected values of a closed form: failures at a constant rate (exponential intervals),
/// independent of each other, spares without end. ``RunSimulation`` draws runs with what a closed form
/// cannot say.
public struct RunForecast: Hashable, Sendable {
  /// Tokens trained on: whole steps, at least what was asked for.
  public var tokens: Double
  /// Optimizer steps.
  public var steps: Int
  /// Operations by the rule of thumb: 6 × parameters × tokens.
  public var flops: Flops
  /// Operations of the model counted kernel by kernel, attention included.
  public var modelFlops: Flops
  /// Time in steps alone, nothing lost.
  public var trainingTime: Seconds
  /// Expected wall time.
  public var wallTime: Seconds
  /// Expected time in evaluations.
  public var evaluationTime: Seconds
  /// Time training stops for checkpoints, those repeated after failures not counted.
  public var checkpointTime: Seconds
  /// Time from the start of each job to its first step.
  public var startUpTime: Seconds
  /// Of the time in steps, waiting for data.
  public var dataWaitTime: Seconds
  /// Of the time in steps, waiting for the slowest of equal ranks.
  public var jitterTime: Seconds
  /// Expected time that slow ranks add, with that of their replacement.
  public var stragglerTime: Seconds
  /// Expected time in work that is lost, in detection and in restarts.
  public var lostTime: Seconds
  /// Expected number of failures.
  public var failures: Double
  /// Expected number of ranks that become slow.
  public var stragglers: Double
  /// What one checkpoint costs, in the last phase; `nil` without checkpoints.
  public var checkpoint: CheckpointCost?
  /// Work between two checkpoints in storage as they are written, in the last phase.
  ///
  /// What was asked for, rounded up to whole steps; `nil` without checkpoints.
  public var checkpointInterval: Seconds?
  /// The checkpoint interval of whole steps that loses least; `nil` without checkpoints or failures.
  public var bestCheckpointInterval: Seconds?
  /// GPUs × wall time, in hours.
  public var gpuHours: Double
  /// Everything that is paid for.
  public var bill: Bill
  /// Energy in kWh, what the building adds included.
  public var energyKilowattHours: Double
  /// Kilograms of CO2 equivalent; `nil` when no intensity is given.
  public var carbonKilograms: Double?

  /// Work that counts over wall time: 1 when nothing but steps happens.
  public var goodput: Double { wallTime.value > 0 ? trainingTime.value / wallTime.value : 1 }

  /// How long one checkpoint takes to write; `nil` without checkpoints.
  public var checkpointWrite: Seconds? { checkpoint?.write }

  /// All money.
  public var cost: Dollars { bill.total }

  /// Forecasts the run.
  ///
  /// - Parameters:
  ///   - plan: the phases with their steps.
  ///   - settings: checkpoints, failures, evaluations, prices.
  public init(_ plan: RunPlan, settings: RunSettings) {
    let sum = { (value: (RunPhase) -> Double) in plan.phases.reduce(0) { $0 + value($1) } }
    steps = Int(min(sum { $0.steps }, 9e15))
    tokens = sum { $0.tokens }
    flops = Flops(6 * plan.activeParameters * tokens)
    modelFlops = Flops(sum { $0.modelFlops.count })
    trainingTime = Seconds(sum { $0.trainingTime.value })
    dataWaitTime = Seconds(sum { $0.dataWait.value })
    jitterTime = Seconds(sum { $0.jitter.value })
    let segments = RunSegment.segments(of: plan, settings: settings)
    startUpTime = Seconds(segments.reduce(0) { $0 + $1.startUp })
    evaluationTime = Seconds(segments.reduce(0) { $0 + $1.useful - $1.training })
    let expected = segments.map(ExpectedSegment.init)
    checkpointTime = Seconds(expected.reduce(0) { $0 + $1.checkpointTime })
    stragglerTime = Seconds(expected.reduce(0) { $0 + $1.stragglerTime })
    wallTime = Seconds(expected.reduce(0) { $0 + $1.wallTime })
    failures = expected.reduce(0) { $0 + $1.failures }
    stragglers = expected.reduce(0) { $0 + $1.stragglers }
    // A remainder below the rounding of the sum is none.
    let counted = [trainingTime, evaluationTime, checkpointTime, startUpTime, stragglerTime]
    let remainder = wallTime.value - counted.reduce(0) { $0 + $1.value }
    lostTime = Seconds(remainder > 1e-12 * wallTime.value ? remainder : 0)
    if let last = plan.phases.last, let settings = settings.checkpoint {
      checkpoint = CheckpointCost(last, settings)
      checkpointInterval = segments.last.map { Seconds($0.remoteInterval) }
      if let segment = segments.last, segment.rate > 0, settings.local == nil, segment.commit == 0 {
        bestCheckpointInterval = Seconds(
          ExpectedSegment.bestInterval(
            write: segment.stall, between: 1 / segment.rate, step: segment.step))
      }
    }
    gpuHours = zip(segments, expected).reduce(0) {
      $0 + Double($1.0.gpuCount) * $1.1.wallTime / 3_600
    }
    let energy = RunEnergy(
      plan, settings.power, wallTime: wallTime, gpuHours: gpuHours)
    energyKilowattHours = energy.kilowattHours
    carbonKilograms = settings.power.carbonPerKilowattHour.map { $0 * energy.kilowattHours }
    let stored = Double(plan.phases.map(\.checkpoint.total).max()?.count ?? 0)
    bill = Bill(
      settings.price, catalogue: plan.gpuHourPrice, gpuHours: gpuHours,
      kilowattHours: energy.kilowattHours,
      storedBytes: settings.checkpoint.map { stored * Double($0.kept) } ?? 0, wallTime: wallTime)
  }
}

/// The expected time of a segment.
struct ExpectedSegment {
  var wallTime: Double
  var checkpointTime: Double
  var stragglerTime = 0.0
  var failures = 0.0
  var stragglers = 0.0

  /// The expected time of `segment`.
  ///
  /// Without failures it is the work and the writes. With a mean time M between failures of the
  /// job, an interval τ of work, a write δ and a restart R it is Daly's complete model
  /// (J. T. Daly, Future Generation Computer Systems 22 (2006) 303–312, eq. 20),
  /// `T = M · e^(R/M) · (e^((τ+δ)/M) − 1) · work/τ`, which for rare failures is the half
  /// interval and the restart lost at each: `work · (1 + δ/τ) · (1 + ((τ+δ)/2 + R)/M)`.
  /// Without checkpoints one failure loses everything: τ is the whole run. A checkpoint written beside
  /// training has a short δ; the work since it was taken is lost until it is written, so each failure
  /// costs the write as if it were restart. Two levels: ``between(_:cycle:)``. Slow ranks make work
  /// longer by ``RunSegment/dilation``, and each is replaced once.
  init(_ segment: RunSegment) {
    let cycles = segment.useful / segment.interval
    let work = segment.useful * segment.dilation
    checkpointTime = segment.stall * cycles
    wallTime = work + checkpointTime
    if segment.rate > 0, segment.useful > 0 {
      wallTime =
        Self.between(segment, cycle: segment.interval * segment.dilation + segment.stall)
        * cycles / segment.cyclesPerRemote
    }
    if segment.slowRate > 0 {
      let interrupted = work + checkpointTime
      stragglers = segment.slowRate * wallTime
      let replacing = stragglers * segment.replacement
      wallTime += replacing
      stragglerTime = interrupted - segment.useful - checkpointTime + replacing
    }
    failures = segment.rate * wallTime
    checkpointTime += segment.handover
    wallTime += segment.startUp + segment.handover
  }

  /// The expected time from one checkpoint in storage to the next, failures included.
  ///
  /// In a cycle of length a, with failures at rate λ of which a part p leaves the nearer checkpoint of
  /// use, let q = e^(−λa) be the chance to pass it, u = (1 − q)/λ the mean time in it, and
  /// r(R) = (e^(λR) − 1)/λ the mean time of a restart R repeated until no failure strikes it. The time
  /// E_j left after j of k cycles obeys
  ///
  ///     E_j = u + q·E_(j+1) + (1 − q)·(p·(r₁ + E_j) + (1 − p)·(r₂ + E_0)),  E_k = 0,
  ///
  /// a geometric sum. With k = 1 and p = 0 it is Daly's (e^(λa) − 1) · e^(λR)/λ.
  static func between(_ segment: RunSegment, cycle: Double) -> Double {
    let rate = segment.rate
    let passed = exp(-rate * cycle)
    let failed = -expm1(-rate * cycle)
    let near = failed * segment.covered * (1 - segment.correlated)
    let far = failed - near
    // 1 − near; without a way out the run never ends.
    let rest = passed + far
    guard rest > 0 else { return .infinity }
    let restart = { (part: Double, down: Double) in
      part > 0 ? part * expm1(rate * down) / rate : 0
    }
    let step =
      (failed / rate + restart(near, segment.localRestart)
        + restart(far, segment.remoteRestart + segment.commit)) / rest
    // Chance to go on to the next cycle, and to begin again from storage.
    let onward = passed / rest
    let again = far / rest
    let count = segment.cyclesPerRemote
    let sum = count == 1 ? 1 : (again > 0 ? (1 - pow(onward, count)) / again : count)
    // 1 − again·sum, which is onward^count, without cancellation.
    return step * sum / pow(onward, count)
  }

  /// The interval that loses least.
  ///
  /// Daly 2006, eq. 37: `√(2δM) · (1 + ⅓√(δ/2M) + δ/18M) − δ` for δ < 2M, else M; its first term
  /// is Young's (Communications of the ACM 17 (1974) 530).
  static func bestInterval(write: Double, between: Double) -> Double {
    guard write < 2 * between else { return between }
    let ratio = write / (2 * between)
    return (2 * write * between).squareRoot() * (1 + ratio.squareRoot() / 3 + ratio / 9) - write
  }

  /// The interval of whole steps that loses least.
  ///
  /// Of the two about ``bestInterval(write:between:)`` the one under which an amount of work takes less,
  /// (e^((τ+δ)/M) − 1)/τ.
  static func bestInterval(write: Double, between: Double, step: Double) -> Double {
    let upper = RunSegment.steps(in: bestInterval(write: write, between: between), of: step)
    let lower = max(1, upper - 1)
    let loss = { (steps: Double) in expm1((steps * step + write) / between) / steps }
    return (loss(lower) < loss(upper) ? lower : upper) * step
  }
}
