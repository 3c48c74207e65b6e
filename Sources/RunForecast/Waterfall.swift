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
  /// From the start of the job to its first step.
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
  ///   - breakdown: where the critical rank's time went in one step of the run.
  ///   - peak: operations a second of all GPUs together, by the data sheet.
  public init(_ run: RunForecast, breakdown: StepBreakdown, peak: FlopRate) {
    let steps = Double(run.steps)
    ideal = Seconds(run.flops.count / peak.flopsPerSecond)
    kernels = Seconds(breakdown.compute.value * steps - ideal.value)
    let exposed = [
      breakdown.tensorExposed, breakdown.contextExposed, breakdown.expertExposed,
      breakdown.pipelineExposed, breakdown.dataExposed,
    ]
    exposedCommunication = Seconds(exposed.reduce(0) { $0 + $1.value } * steps)
    bubble = Seconds(breakdown.bubble.value * steps)
    optimizer = Seconds(breakdown.optimizer.value * steps)
    other = Seconds(breakdown.other.value * steps)
    startUp = run.startUpTime
    evaluation = run.evaluationTime
    checkpoints = run.checkpointTime
    failures = run.lostTime
  }

  /// Every part with its key in results, from the ideal to the calendar.
  public var parts: [(key: String, seconds: Seconds)] {
    [
      ("ideal", ideal), ("kernels", kernels), ("exposed_communication", exposedCommunication),
      ("bubble", bubble), ("optimizer", optimizer), ("other", other), ("start_up", startUp),
      ("evaluation", evaluation), ("checkpoints", checkpoints), ("failures", failures),
    ]
  }
}
