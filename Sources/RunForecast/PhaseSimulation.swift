public import StepProgram
public import StepSimulation
import Hardware
import Layout
import Quantities
import Transformer

/// What a phase of a run trains, and for how long.
public struct PhaseSettings: Hashable, Sendable {
  /// What the scenario calls it.
  public var name: String
  /// The training step.
  public var job: TrainingJob
  /// Tokens.
  public var tokens: Double
  /// How the batch grows to that of ``job`` in it; `nil` when it does not.
  public var ramp: BatchRamp?

  /// A phase of `tokens` tokens.
  public init(name: String, job: TrainingJob, tokens: Double, ramp: BatchRamp? = nil) {
    self.name = name
    self.job = job
    self.tokens = tokens
    self.ramp = ramp
  }
}

/// A batch that grows by equal amounts after equal numbers of tokens.
///
/// Megatron-LM's `--rampup-batch-size`, there in samples.
public struct BatchRamp: Hashable, Sendable {
  /// Sequences of the first batch.
  public var first: Int
  /// Sequences added each time.
  public var increment: Int
  /// Tokens until the whole batch.
  public var tokens: Double

  /// A ramp from `first` sequences.
  public init(first: Int, increment: Int, tokens: Double) {
    self.first = first
    self.increment = increment
    self.tokens = tokens
  }

  /// Batches smaller than `whole`, each for an equal part of the tokens.
  func batches(below whole: Int) -> [Int] {
    Array(stride(from: first, to: whole, by: max(increment, 1)))
  }
}

extension RunPlan {
  /// Simulates what a run is made of.
  ///
  /// A step of each phase, of several batches where the batch grows, the forward passes of an evaluation, a
  /// step beside a checkpoint.
  ///
  /// - Parameters:
  ///   - phases: the phases in order.
  ///   - main: the phase whose step was simulated already; its place.
  ///   - step: that step.
  ///   - program: what was simulated then, where it is at hand.
  ///   - settings: what happens around the steps.
  ///   - speeds: how the speeds of the ranks differ, in the step that was simulated as well.
  /// - Throws: `StepSimulationError` when a phase's job has no program or its step does not end.
  public init(
    simulating phases: [PhaseSettings], main: Int, step: StepSummary, program: StepProgram? = nil,
    settings: RunSettings, speeds: RankSpeeds = .uniform
  ) throws(StepSimulationError) {
    var simulated: [RunPhase] = []
    var previous: TrainingJob?
    for (index, phase) in phases.enumerated() {
      let isMain = index == main
      var made = try PhaseSimulation(
        phase, known: isMain ? step : nil, program: isMain ? program : nil, settings: settings,
        speeds: speeds
      ).phase
      made.startsJob = previous.map { !$0.sharesLayout(with: phase.job) } ?? true
      previous = phase.job
      simulated.append(made)
    }
    let job = phases[main].job
    self.init(
      phases: simulated, activeParameters: Double(job.architecture.activeParameterCount),
      gpuHourPrice: job.cluster.gpu.hourlyPrice)
  }
}

extension TrainingJob {
  /// Whether the ranks of one go on with the other as they are: all but the batch is the same.
  fileprivate func sharesLayout(with other: TrainingJob) -> Bool {
    var other = other
    other.training.globalBatch = training.globalBatch
    return self == other
  }
}

/// Simulates one phase.
private struct PhaseSimulation {
  let settings: RunSettings
  let job: TrainingJob
  var phase: RunPhase

  /// A step in what a phase needs of it.
  struct Step {
    var seconds: Double
    var breakdown: StepBreakdown
    var hardwareFlops: Double

    /// The step `part` of the way from this one to `other`.
    func blended(with other: Self, _ part: Double) -> Self {
      Self(
        seconds: seconds + (other.seconds - seconds) * part,
        breakdown: breakdown.scaled(by: 1 - part).adding(other.breakdown.scaled(by: part)),
        hardwareFlops: hardwareFlops + (other.hardwareFlops - hardwareFlops) * part)
    }
  }

  init(
    _ asked: PhaseSettings, known: StepSummary?, program compiled: StepProgram?,
    settings: RunSettings, speeds: RankSpeeds
  ) throws(StepSimulationError) {
    self.settings = settings
    let program =
      if let compiled { compiled } else { try StepProgram.compile(deciding: asked.job) }
    job = program.job
    let cluster = job.cluster
    let whole =
      if let known, speeds.isUniform {
        Step(
          seconds: known.seconds.value, breakdown: known.breakdown,
          hardwareFlops: known.hardwareFlops.count)
      } else { try Self.step(program) }
    phase = RunPhase(
      name: asked.name, steps: 0, tokens: 0, stepTime: .zero, modelFlops: .zero,
      gpuCount: cluster.gpuCount, gpusPerNode: cluster.gpusPerNode,
      checkpoint: program.checkpoint, gpuPower: cluster.gpu.power)
    phase.hostRate = cluster.gpu.hostRate
    phase.idlePower = cluster.gpu.idlePower
    phase.nodePower = Watts(
      StepPower.nodeShare * cluster.gpu.power.value * Double(cluster.gpusPerNode))
    phase.peak = cluster.gpu.peak(of: job.training.precision.matmulFormat)
    var flops = 0.0
    var left = asked.tokens
    if let ramp = asked.ramp {
      let batches = ramp.batches(below: job.training.globalBatch)
      let each = min(ramp.tokens, left) / Double(max(batches.count, 1))
      for (batch, step) in try growing(batches, to: whole) {
        let tokens = Double(batch * job.training.sequenceLength)
        flops += add((each / tokens).rounded(), of: step, batch: batch)
      }
      left -= phase.tokens
    }
    let steps = max(1, (left / Double(job.tokensPerStep)).rounded(.up))
    flops += add(steps, of: whole, batch: job.training.globalBatch)
    phase.gpuPower = StepPower.mean(
      phase.breakdown, hardwareFlops: Flops(flops / Double(cluster.gpuCount)), gpu: cluster.gpu,
      format: job.training.precision.matmulFormat)
    try evaluate()
    try drag(whole)
    try slow(program, whole)
    guard !speeds.isUniform else { return }
    let uneven =
      if let known { known.seconds.value } else {
        try UnevenRanks.step(job, uniform: whole.seconds, speeds: speeds)
      }
    // Draws may come out below the usual speed on every rank that counts; that is no waiting.
    phase.jitter = phase.stepTime * max(0, uneven / whole.seconds - 1)
  }

  /// How much longer a step takes in which one rank is slow.
  ///
  /// By simulation of a program in which the first rank is.
  private mutating func slow(_ program: StepProgram, _ step: Step) throws(StepSimulationError) {
    guard let slow = settings.stragglers else { return }
    let speeds = RankSpeeds(
      slowdowns: [RankSpeeds.Slowdown(ranks: 0..<1, factor: 1 + slow.slowdown)])
    let result = try FoldedSimulation.run(program, speeds: speeds)
    phase.stragglerStretch = max(1, result.duration.seconds / step.seconds)
  }

  /// Adds steps to the phase; returns their operations.
  private mutating func add(_ steps: Double, of step: Step, batch: Int) -> Double {
    guard steps > 0 else { return 0 }
    let tokens = Double(batch * job.training.sequenceLength)
    phase.steps += steps
    phase.tokens += steps * tokens
    phase.stepTime = phase.stepTime + Seconds(step.seconds * steps)
    phase.breakdown = phase.breakdown.adding(step.breakdown.scaled(by: steps))
    let model = job.modelFlops.count * Double(batch) / Double(job.training.globalBatch)
    phase.modelFlops += Flops(model * steps)
    if let loading = settings.dataLoading {
      let time = loading.time(tokens: tokens, nodes: phase.nodeCount)
      phase.dataWait = phase.dataWait + Seconds(max(0, time.value - step.seconds) * steps)
    }
    return step.hardwareFlops * steps
  }

  /// Batches of a ramp that are simulated.
  ///
  /// The steps of those between lie on the line between them, as they nearly do once a pipeline is full.
  private static let simulatedBatches = 8

  /// Steps of the batches on the way to the whole one.
  private func growing(
    _ batches: [Int], to whole: Step
  ) throws(StepSimulationError) -> [(Int, Step)] {
    guard !batches.isEmpty else { return [] }
    let stride = max(1, (batches.count + Self.simulatedBatches - 1) / Self.simulatedBatches)
    var known: [(batch: Int, step: Step)] = []
    for index in Swift.stride(from: 0, to: batches.count, by: stride) {
      var smaller = job
      smaller.training.globalBatch = batches[index]
      known.append((batches[index], try Self.step(try StepProgram.compile(deciding: smaller))))
    }
    known.append((job.training.globalBatch, whole))
    return batches.map { batch in
      let next = known.firstIndex { $0.batch >= batch } ?? known.count - 1
      let (end, after) = known[next]
      guard end > batch, next > 0 else { return (batch, after) }
      let (start, before) = known[next - 1]
      return (batch, before.blended(with: after, Double(batch - start) / Double(end - start)))
    }
  }

  private static func step(_ program: StepProgram) throws(StepSimulationError) -> Step {
    let summary = StepSummary(
      try FoldedSimulation.run(program), program: program,
      record: SimulationRecord(fidelity: .folded))
    return Step(
      seconds: summary.seconds.value, breakdown: summary.breakdown,
      hardwareFlops: summary.hardwareFlops.count)
  }

  /// The time of one evaluation: as given, or that of its forward passes.
  private mutating func evaluate() throws(StepSimulationError) {
    switch settings.evaluation?.length {
    case nil: return
    case .duration(let time): phase.evaluation = time
    case .sequences(let count, let microBatch):
      var forward = job
      forward.training.recompute = .none
      // Where stages are held for either direction, all of an evaluation enters at one end.
      if forward.parallelism.isBidirectional {
        forward.parallelism.schedule = .oneForwardOneBackward
      }
      forward.training.microBatch = microBatch ?? job.training.microBatch
      let each = forward.training.microBatch * forward.parallelism.data
      // What does not fill the ranks is padded.
      let passes = (count + each - 1) / each
      func seconds(_ passes: Int) throws(StepSimulationError) -> Double {
        forward.training.globalBatch = passes * each
        let program = StepCompiler.compile(forward).forwardPasses
        return try FoldedSimulation.run(program).duration.seconds
      }
      guard passes > Self.simulatedPasses else {
        phase.evaluation = Seconds(try seconds(passes))
        return
      }
      // Once the pipeline is full every group of microbatches takes as long as the one before.
      let group = forward.parallelism.pipeline
      let many = max(2, Self.simulatedPasses / group) * group
      let few = max(1, many / group / 2) * group
      let end = try seconds(many)
      let slope = (end - (try seconds(few))) / Double(many - few)
      phase.evaluation = Seconds(end + slope * Double(passes - many))
    }
  }

  /// Microbatches of an evaluation that are simulated.
  private static let simulatedPasses = 2_048

  /// What a checkpoint costs that is written beside training through its network.
  ///
  /// The steps meanwhile have what is left of each GPU's rate out of its node, at least a twentieth.
  private mutating func drag(_ step: Step) throws(StepSimulationError) {
    guard let checkpoint = settings.checkpoint, checkpoint.isAsynchronous, checkpoint.sharesNetwork
    else { return }
    var beside = job
    let taken = checkpoint.writeRate.bytesPerSecond / Double(job.cluster.gpuCount)
    let rate = job.cluster.interNode.rate.bytesPerSecond
    beside.cluster.interNode.rate = ByteRate(bytesPerSecond: max(rate - taken, rate / 20))
    let slower = try Self.step(StepCompiler.compile(beside))
    let write = phase.checkpoint.total / checkpoint.writeRate
    phase.checkpointDrag = Seconds(
      max(0, 1 - step.seconds / slower.seconds) * write.value)
  }
}

extension StepBreakdown {
  /// Every part `factor` times as long.
  func scaled(by factor: Double) -> Self {
    Self(
      compute: compute * factor, tensorExposed: tensorExposed * factor,
      contextExposed: contextExposed * factor, expertExposed: expertExposed * factor,
      pipelineExposed: pipelineExposed * factor, dataExposed: dataExposed * factor,
      bubble: bubble * factor, optimizer: optimizer * factor, other: other * factor)
  }

  /// The parts of both.
  func adding(_ more: Self) -> Self {
    Self(
      compute: compute + more.compute, tensorExposed: tensorExposed + more.tensorExposed,
      contextExposed: contextExposed + more.contextExposed,
      expertExposed: expertExposed + more.expertExposed,
      pipelineExposed: pipelineExposed + more.pipelineExposed,
      dataExposed: dataExposed + more.dataExposed, bubble: bubble + more.bubble,
      optimizer: optimizer + more.optimizer, other: other + more.other)
  }
}

extension StepProgram {
  /// The states a checkpoint of this program's job holds.
  fileprivate var checkpoint: CheckpointBytes {
    let bytes = checkpointBytes
    return CheckpointBytes(total: Bytes(bytes.total), largestPart: Bytes(bytes.largestPart))
  }
}
