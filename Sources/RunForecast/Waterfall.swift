public import Quantities

/// From the time that ideal hardware would take to the calendar, one loss after another.
///
/// Each part is time of the whole run; they add up to the forecast's wall time.
public struct Waterfall: Hashable, Sendable {
  /// 6PD operations at the data sheet's peak on every GPU.
  public var ideal: Seconds
  /// What kernels take beyond that: below their peak, attention, recomputation.
  ///
  /// Negative where the critical rank computes less than its even share of 6PD.
  public var kernels: Seconds
  /// Waiting for communication that no kernel hides.
  public var exposedCommunication: Seconds
  /// Idle because the pipeline fills and drains.
  public var bubble: Seconds
  /// Updates of the parameters.
  public var optimizer: Seconds
  /// Everything else in a step: host, loss, skew.
  public var other: Seconds
  /// Waiting for training data.
  public var dataLoading: Seconds
  /// Waiting for the slowest of ranks that are equal but for chance.
  public var jitter: Seconds
  /// What ranks that became slow add, and their replacement.
  public var stragglers: Seconds
  /// From the start of each job to its first step.
  public var startUp: Seconds
  /// Evaluations between steps.
  public var evaluation: Seconds
  /// Writing checkpoints.
  public var checkpoints: Seconds
  /// Expected work lost and restarts.
  public var failures: Seconds

  /// Splits `run` by the time of its steps.
  ///
  /// - Parameters:
  ///   - run: the forecast to explain.
  ///   - plan: the plan it was made from.
  public init(_ run: RunForecast, of plan: RunPlan) {
    let phases = plan.phases
    let sum = { (part: (StepBreakdown) -> Seconds) in
      Seconds(phases.reduce(0) { $0 + part($1.breakdown).value })
    }
    ideal = Seconds(
      phases.reduce(0) { $0 + $1.ideal(activeParameters: plan.activeParameters).value })
    kernels = Seconds(sum { $0.compute }.value - ideal.value)
    exposedCommunication = sum {
      $0.tensorExposed + $0.contextExposed + $0.expertExposed + $0.pipelineExposed
        + $0.dataExposed
    }
    bubble = sum { $0.bubble }
    optimizer = sum { $0.optimizer }
    other = sum { $0.other }
    dataLoading = run.dataWaitTime
    jitter = run.jitterTime
    stragglers = run.stragglerTime
    startUp = run.startUpTime
    evaluation = run.evaluationTime
    checkpoints = run.checkpointTime
    failures = run.lostTime
  }

  /// Every part with its key in results, from the ideal to the calendar.
  public var parts: [(key: String, seconds: Seconds)] {
    [
      ("ideal", ideal), ("kernels", kernels), ("exposed_communication", exposedCommunication),
      ("bubble", bubble), ("optimizer", optimizer), ("other", other),
      ("data_loading", dataLoading), ("jitter", jitter), ("stragglers", stragglers),
      ("start_up", startUp), ("evaluation", evaluation), ("checkpoints", checkpoints),
      ("failures", failures),
    ]
  }
}
