import Foundation
public import Quantities

/// What a run is forecast from.
public struct RunPlan: Hashable, Sendable {
  /// Time of one step.
  public var step: Seconds
  /// Tokens in one step.
  public var tokensPerStep: Double
  /// Tokens of the whole run.
  public var tokens: Double
  /// GPUs held for the whole run.
  public var gpuCount: Int
  /// GPUs of one node.
  public var gpusPerNode: Int
  /// Parameters a token meets (the active ones of a mixture of experts).
  public var activeParameters: Double
  /// Operations of the model in one step, over all GPUs.
  public var modelFlopsPerStep: Flops
  /// What one checkpoint holds.
  public var checkpoint: Bytes
  /// Mean draw of one GPU.
  public var gpuPower: Watts
  /// Price of one GPU for one hour.
  public var gpuHourPrice: Dollars

  /// A plan from its parts.
  public init(
    step: Seconds, tokensPerStep: Double, tokens: Double, gpuCount: Int, activeParameters: Double,
    modelFlopsPerStep: Flops, checkpoint: Bytes, gpuPower: Watts, gpuHourPrice: Dollars,
    gpusPerNode: Int = 8
  ) {
    self.step = step
    self.tokensPerStep = tokensPerStep
    self.tokens = tokens
    self.gpuCount = gpuCount
    self.gpusPerNode = gpusPerNode
    self.activeParameters = activeParameters
    self.modelFlopsPerStep = modelFlopsPerStep
    self.checkpoint = checkpoint
    self.gpuPower = gpuPower
    self.gpuHourPrice = gpuHourPrice
  }
}

/// A whole training run: how long, how much work, how much of it lost, at what price.
///
/// The expected values of a closed form: failures at a constant rate (exponential intervals),
/// independent of each other, spares without end. ``RunSimulation`` draws runs with what a closed form
/// cannot say. Correlated failures and stragglers are in neither.
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
  /// Time in checkpoint writes, those repeated after failures not counted.
  public var checkpointTime: Seconds
  /// Time from the start of the job to its first step.
  public var startUpTime: Seconds
  /// Expected time in work that is lost, in detection and in restarts.
  public var lostTime: Seconds
  /// Expected number of failures.
  public var failures: Double
  /// How long one checkpoint takes to write; `nil` without checkpoints.
  public var checkpointWrite: Seconds?
  /// The checkpoint interval that loses least; `nil` without checkpoints or failures.
  public var bestCheckpointInterval: Seconds?
  /// GPUs × wall time, in hours.
  public var gpuHours: Double
  /// GPU-hours at their price.
  public var cost: Dollars
  /// Energy in kWh, what the building adds included.
  public var energyKilowattHours: Double
  /// Kilograms of CO2 equivalent; `nil` when no intensity is given.
  public var carbonKilograms: Double?

  /// Work that counts over wall time: 1 when nothing but steps happens.
  public var goodput: Double { wallTime.value > 0 ? trainingTime.value / wallTime.value : 1 }

  /// Forecasts the run.
  ///
  /// - Parameters:
  ///   - plan: the step and what it is repeated for.
  ///   - settings: checkpoints, failures, evaluations, prices.
  public init(_ plan: RunPlan, settings: RunSettings) {
    let steps = max(1, (plan.tokens / plan.tokensPerStep).rounded(.up))
    self.steps = Int(min(steps, 9e15))
    tokens = steps * plan.tokensPerStep
    flops = Flops(6 * plan.activeParameters * tokens)
    modelFlops = plan.modelFlopsPerStep * steps
    trainingTime = plan.step * steps
    startUpTime = settings.startUp
    evaluationTime = .zero
    if let evaluation = settings.evaluation {
      evaluationTime = evaluation.duration * (steps / Double(evaluation.steps)).rounded(.down)
    }
    let useful = trainingTime + evaluationTime
    let interruptions = Interruptions(
      useful: useful, plan: plan, settings: settings)
    checkpointTime = interruptions.checkpointTime
    checkpointWrite = interruptions.checkpointWrite
    wallTime = interruptions.wallTime + settings.startUp
    // A remainder below the rounding of the sum is none.
    let remainder =
      wallTime.value - useful.value - checkpointTime.value - settings.startUp.value
    lostTime = Seconds(remainder > 1e-12 * wallTime.value ? remainder : 0)
    failures = interruptions.failures
    bestCheckpointInterval = interruptions.bestInterval
    gpuHours = Double(plan.gpuCount) * wallTime.hours
    cost = Dollars(gpuHours * (settings.gpuHourPrice ?? plan.gpuHourPrice).value)
    let power = (settings.power.gpu ?? plan.gpuPower).value
    energyKilowattHours = gpuHours * power / 1_000 * settings.power.usageEffectiveness
    carbonKilograms = settings.power.carbonPerKilowattHour.map {
      [energyKilowattHours] in $0 * energyKilowattHours
    }
  }
}

/// What checkpoints and failures add to a run.
struct Interruptions {
  var checkpointWrite: Seconds?
  var checkpointTime = Seconds.zero
  var wallTime: Seconds
  var failures = 0.0
  var bestInterval: Seconds?

  /// The expected wall time of `useful` seconds of work.
  ///
  /// Without failures it is the work and the writes. With a mean time M between failures of the
  /// job, an interval τ of work, a write δ and a restart R it is Daly's complete model
  /// (J. T. Daly, Future Generation Computer Systems 22 (2006) 303–312, eq. 20),
  /// `T = M · e^(R/M) · (e^((τ+δ)/M) − 1) · useful/τ`, which for rare failures is the half
  /// interval and the restart lost at each: `useful · (1 + δ/τ) · (1 + ((τ+δ)/2 + R)/M)`.
  /// Without checkpoints one failure loses everything: τ is the whole run. A checkpoint written beside
  /// training has no δ; the work since it was taken is lost until it is written, so each failure
  /// costs the write as if it were restart.
  init(useful: Seconds, plan: RunPlan, settings: RunSettings) {
    wallTime = useful
    var interval = useful.value
    var write = 0.0
    var commit = 0.0
    if let settings = settings.checkpoint {
      let duration = plan.checkpoint / settings.writeRate
      checkpointWrite = duration
      if settings.isAsynchronous { commit = duration.value } else { write = duration.value }
      interval = min(settings.interval.value, max(useful.value, 1e-9))
      checkpointTime = Seconds(write * useful.value / interval)
      wallTime = useful + checkpointTime
    }
    guard let failing = settings.failures, useful.value > 0 else { return }
    let rates = failing.rates(gpuCount: plan.gpuCount, gpusPerNode: plan.gpusPerNode)
    let between = 1 / rates.reduce(0, +)
    let restart = failing.detection.value + failing.restart.value + commit
    wallTime = Seconds(
      between * exp(restart / between) * expm1((interval + write) / between) * useful.value
        / interval)
    failures = wallTime.value / between
    if checkpointWrite != nil, commit == 0 {
      bestInterval = Seconds(Self.bestInterval(write: write, between: between))
    }
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
}
