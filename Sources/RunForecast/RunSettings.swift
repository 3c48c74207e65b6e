public import Quantities
public import StepSimulation

/// What happens around the steps of a training run, and what it is charged at.
public struct RunSettings: Hashable, Sendable {
  /// Checkpoints; `nil` when none are written.
  public var checkpoint: CheckpointSettings?
  /// Failures; `nil` when none happen.
  public var failures: FailureSettings?
  /// Evaluations; `nil` when there are none.
  public var evaluation: EvaluationSettings?
  /// Price of one GPU for one hour; `nil` for the catalogue's.
  public var gpuHourPrice: Dollars?
  /// Power, cooling and carbon.
  public var power: PowerSettings
  /// From the start of the job to its first step.
  public var startUp = Seconds.zero
  /// Runs drawn at random where something can fail; `nil` for the usual number.
  public var draws: Int?

  /// A run with the given events and charges.
  public init(
    checkpoint: CheckpointSettings? = nil, failures: FailureSettings? = nil,
    evaluation: EvaluationSettings? = nil, gpuHourPrice: Dollars? = nil,
    power: PowerSettings = PowerSettings()
  ) {
    self.checkpoint = checkpoint
    self.failures = failures
    self.evaluation = evaluation
    self.gpuHourPrice = gpuHourPrice
    self.power = power
  }
}

/// How often the state is saved, and how fast.
public struct CheckpointSettings: Hashable, Sendable {
  /// Training time between two checkpoints.
  public var interval: Seconds
  /// Rate at which the whole job writes to storage, in bytes a second.
  public var writeRate: ByteRate
  /// Whether training goes on while one is written.
  public var isAsynchronous: Bool

  /// A checkpoint every `interval`, written at `writeRate`.
  public init(interval: Seconds, writeRate: ByteRate, isAsynchronous: Bool = false) {
    self.interval = interval
    self.writeRate = writeRate
    self.isAsynchronous = isAsynchronous
  }
}

/// How often something breaks, and how long it takes to go on.
public struct FailureSettings: Hashable, Sendable {
  /// Mean time between failures of one GPU with its share of everything else; a job of N GPUs
  /// fails N times as often.
  public var gpuMeanTimeBetweenFailures: Seconds
  /// Mean time between failures of one node as a whole; `nil` when counted with its GPUs.
  public var nodeMeanTimeBetweenFailures: Seconds?
  /// Mean time between failures of what all nodes share; `nil` for never.
  public var fabricMeanTimeBetweenFailures: Seconds?
  /// From a failure until it is noticed.
  public var detection: Seconds
  /// From then until training goes on from the last checkpoint.
  public var restart: Seconds
  /// Shape of the Weibull distribution of times between failures; 1 is a constant rate.
  public var shape: Double
  /// Nodes that stand by; `nil` for as many as it takes.
  public var spares: Int?
  /// How long a broken node is away.
  public var repair: Seconds

  /// Failures at that mean time, mended in `restart`.
  public init(
    gpuMeanTimeBetweenFailures: Seconds, restart: Seconds,
    nodeMeanTimeBetweenFailures: Seconds? = nil, fabricMeanTimeBetweenFailures: Seconds? = nil,
    detection: Seconds = .zero, shape: Double = 1, spares: Int? = nil, repair: Seconds = .zero
  ) {
    self.gpuMeanTimeBetweenFailures = gpuMeanTimeBetweenFailures
    self.nodeMeanTimeBetweenFailures = nodeMeanTimeBetweenFailures
    self.fabricMeanTimeBetweenFailures = fabricMeanTimeBetweenFailures
    self.detection = detection
    self.restart = restart
    self.shape = shape
    self.spares = spares
    self.repair = repair
  }
}

/// Evaluations between training steps.
public struct EvaluationSettings: Hashable, Sendable {
  /// Training steps between two evaluations.
  public var steps: Int
  /// How long one takes.
  public var duration: Seconds

  /// An evaluation of that duration every `steps`.
  public init(steps: Int, duration: Seconds) {
    self.steps = steps
    self.duration = duration
  }
}

/// What energy and carbon are computed from.
public struct PowerSettings: Hashable, Sendable {
  /// Mean draw of one GPU with its share of the node; `nil` for the GPU's board power limit.
  public var gpu: Watts?
  /// Power usage effectiveness: what the building draws over what the machines draw.
  public var usageEffectiveness: Double
  /// Kilograms of CO2 equivalent per kWh; `nil` when not asked for.
  public var carbonPerKilowattHour: Double?

  /// Power at `gpu` watts, times `usageEffectiveness`.
  public init(
    gpu: Watts? = nil, usageEffectiveness: Double = 1, carbonPerKilowattHour: Double? = nil
  ) {
    self.gpu = gpu
    self.usageEffectiveness = usageEffectiveness
    self.carbonPerKilowattHour = carbonPerKilowattHour
  }
}

/// How one step is simulated.
public struct SimulationSettings: Hashable, Sendable {
  /// Which ranks are simulated, and collectives how.
  public var fidelity: Fidelity
  /// Seed of every random stream.
  public var seed: UInt64
  /// Slow ranks and jitter; their seed is ``seed``.
  public var speeds: RankSpeeds

  /// Simulation at `fidelity`.
  public init(fidelity: Fidelity = .folded, seed: UInt64 = 0, speeds: RankSpeeds = .uniform) {
    self.fidelity = fidelity
    self.seed = seed
    self.speeds = speeds
  }
}

/// Which ranks are simulated, and collectives how; both interpret the same program.
public enum Fidelity: String, Hashable, Sendable, CaseIterable {
  /// One rank per class of ranks that behave alike; closed form of each collective.
  case folded
  /// Every GPU; every chunk of every collective a message over links that can congest.
  case full
}
