public import Quantities

/// What a run is forecast from: its phases, one after the other.
public struct RunPlan: Hashable, Sendable {
  /// The phases in order; at least one.
  public var phases: [RunPhase]
  /// Parameters a token meets (the active ones of a mixture of experts).
  public var activeParameters: Double
  /// Price of one GPU for one hour.
  public var gpuHourPrice: Dollars

  /// A plan from its phases.
  /// - Precondition: there is at least one phase.
  public init(phases: [RunPhase], activeParameters: Double, gpuHourPrice: Dollars) {
    precondition(!phases.isEmpty, "a run has at least one phase")
    self.phases = phases
    self.activeParameters = activeParameters
    self.gpuHourPrice = gpuHourPrice
  }

  /// The longest of the phases' mean steps.
  public var longestStep: Seconds {
    Seconds(phases.map { $0.trainingTime.value / max(1, $0.steps) }.max() ?? 0)
  }

  /// A plan that repeats one step until the tokens are spent.
  ///
  /// - Parameters:
  ///   - step: time of one step.
  ///   - tokensPerStep: tokens in one step.
  ///   - tokens: tokens of the whole run.
  ///   - gpuCount: GPUs held for the whole run.
  ///   - activeParameters: parameters a token meets.
  ///   - modelFlopsPerStep: operations of the model in one step, over all GPUs.
  ///   - checkpoint: what one checkpoint holds.
  ///   - gpuPower: mean draw of one GPU.
  ///   - gpuHourPrice: price of one GPU for one hour.
  ///   - gpusPerNode: GPUs of one node.
  public init(
    step: Seconds, tokensPerStep: Double, tokens: Double, gpuCount: Int, activeParameters: Double,
    modelFlopsPerStep: Flops, checkpoint: Bytes, gpuPower: Watts, gpuHourPrice: Dollars,
    gpusPerNode: Int = 8
  ) {
    let steps = max(1, (tokens / tokensPerStep).rounded(.up))
    self.init(
      phases: [
        RunPhase(
          name: "", steps: steps, tokens: steps * tokensPerStep, stepTime: step * steps,
          modelFlops: modelFlopsPerStep * steps, gpuCount: gpuCount, gpusPerNode: gpusPerNode,
          checkpoint: CheckpointBytes(total: checkpoint), gpuPower: gpuPower)
      ], activeParameters: activeParameters, gpuHourPrice: gpuHourPrice)
  }
}

/// A stretch of a run: as many steps as spend its tokens, on one layout.
///
/// Times and operations are those of all its steps together; where the batch grows they differ from
/// step to step.
public struct RunPhase: Hashable, Sendable {
  /// What the scenario calls it.
  public var name: String
  /// Optimizer steps.
  public var steps: Double
  /// Tokens, those of whole steps.
  public var tokens: Double
  /// Time of the steps as simulated.
  public var stepTime: Seconds
  /// Where the critical rank's time in them goes.
  public var breakdown = StepBreakdown()
  /// Operations of the model over all GPUs.
  public var modelFlops: Flops
  /// GPUs.
  public var gpuCount: Int
  /// GPUs of one node.
  public var gpusPerNode: Int
  /// Bytes of a checkpoint.
  public var checkpoint: CheckpointBytes
  /// What a checkpoint written beside training costs the steps it is written beside.
  public var checkpointDrag = Seconds.zero
  /// Rate of the link from a GPU to its host.
  public var hostRate = ByteRate(bytesPerSecond: .infinity)
  /// Time of one evaluation.
  public var evaluation = Seconds.zero
  /// Time the steps wait for data.
  public var dataWait = Seconds.zero
  /// Time the steps wait for the slowest of ranks that are equal but for chance.
  public var jitter = Seconds.zero
  /// Time of a step in which one rank is slow, over that of a step.
  public var stragglerStretch = 1.0
  /// Mean draw of one GPU in a step.
  public var gpuPower: Watts
  /// Draw of one GPU that does nothing.
  public var idlePower = Watts(0)
  /// Draw of a node beside its GPUs.
  public var nodePower = Watts(0)
  /// Operations a second of one GPU by the data sheet.
  public var peak = FlopRate(flopsPerSecond: 0)
  /// Whether the job starts anew for it: another layout than before, from a checkpoint.
  public var startsJob = true

  /// A phase of `steps` steps.
  public init(
    name: String, steps: Double, tokens: Double, stepTime: Seconds, modelFlops: Flops,
    gpuCount: Int, gpusPerNode: Int, checkpoint: CheckpointBytes, gpuPower: Watts
  ) {
    self.name = name
    self.steps = steps
    self.tokens = tokens
    self.stepTime = stepTime
    self.modelFlops = modelFlops
    self.gpuCount = gpuCount
    self.gpusPerNode = gpusPerNode
    self.checkpoint = checkpoint
    self.gpuPower = gpuPower
  }

  /// Nodes.
  public var nodeCount: Double {
    (Double(gpuCount) / Double(max(gpusPerNode, 1))).rounded(.up)
  }

  /// Time in steps, waits in every step included.
  public var trainingTime: Seconds { stepTime + dataWait + jitter }

  /// Operations by the rule of thumb over the peak of its GPUs.
  func ideal(activeParameters: Double) -> Seconds {
    Flops(6 * activeParameters * tokens)
      / FlopRate(flopsPerSecond: peak.flopsPerSecond * Double(gpuCount))
  }
}

/// Bytes of a checkpoint, as the ranks hold them.
public struct CheckpointBytes: Hashable, Sendable {
  /// All of it: each state once, however many ranks hold it.
  public var total: Bytes
  /// The largest part that one GPU writes.
  public var largestPart: Bytes

  /// A checkpoint of `total` bytes.
  public init(total: Bytes, largestPart: Bytes = .zero) {
    self.total = total
    self.largestPart = largestPart
  }
}
