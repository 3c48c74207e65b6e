public import Quantities

/// What happens around the steps of a training run, and what it is charged at.
public struct RunSettings: Hashable, Sendable {
  /// Checkpoints; `nil` when none are written.
  public var checkpoint: CheckpointSettings?
  /// Failures; `nil` when none happen.
  public var failures: FailureSettings?
  /// Evaluations; `nil` when there are none.
  public var evaluation: EvaluationSettings?
  /// Ranks that slow down silently; `nil` when none do.
  public var stragglers: StragglerSettings?
  /// Where training data come from; `nil` when they are always there in time.
  public var dataLoading: DataLoadingSettings?
  /// What GPUs, energy and storage cost.
  public var price = PriceSettings()
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
    price.gpuHour = gpuHourPrice
    self.power = power
  }
}

/// Evaluations between training steps.
public struct EvaluationSettings: Hashable, Sendable {
  /// How long an evaluation takes.
  public enum Length: Hashable, Sendable {
    /// A time that is given.
    case duration(Seconds)
    /// Forward passes over so many sequences, simulated.
    ///
    /// `nil` sequences a microbatch for as many as in training.
    case sequences(Int, microBatch: Int?)
  }

  /// Training steps between two evaluations.
  public var steps: Int
  /// How long one takes.
  public var length: Length

  /// An evaluation every `steps`.
  public init(steps: Int, length: Length) {
    self.steps = steps
    self.length = length
  }

  /// An evaluation of that duration every `steps`.
  public init(steps: Int, duration: Seconds) {
    self.init(steps: steps, length: .duration(duration))
  }
}

/// What energy and carbon are computed from.
public struct PowerSettings: Hashable, Sendable {
  /// Mean draw of one GPU with its share of the node, whatever it does.
  ///
  /// `nil` for what its activity in the simulated step comes to.
  public var gpu: Watts?
  /// Draw of a node beside its GPUs; `nil` for the usual share of their limit.
  public var node: Watts?
  /// Power usage effectiveness: what the building draws over what the machines draw.
  public var usageEffectiveness: Double
  /// Kilograms of CO2 equivalent per kWh; `nil` when not asked for.
  public var carbonPerKilowattHour: Double?

  /// Power by activity, or at `gpu` watts, times `usageEffectiveness`.
  public init(
    gpu: Watts? = nil, node: Watts? = nil, usageEffectiveness: Double = 1,
    carbonPerKilowattHour: Double? = nil
  ) {
    self.gpu = gpu
    self.node = node
    self.usageEffectiveness = usageEffectiveness
    self.carbonPerKilowattHour = carbonPerKilowattHour
  }
}

/// What a run is charged.
public struct PriceSettings: Hashable, Sendable {
  /// Rent of one GPU for one hour; `nil` for the catalogue's, or where GPUs are bought.
  public var gpuHour: Dollars?
  /// Price of one GPU with its share of node, network and building; `nil` where they are rented.
  public var purchase: Dollars?
  /// Time over which a purchase is written off, all of it in use.
  public var life: Seconds
  /// Price of one kWh; `nil` where the rent includes it.
  public var kilowattHour: Dollars?
  /// Price of one GB (10^9 bytes) of storage for a month of 30 days; `nil` for none.
  public var storage: Dollars?

  /// Write-off usual for servers: Meta, Microsoft and Alphabet state 4 to 6 years in their annual reports.
  ///
  /// The shortest is taken.
  public static let usualLife = Seconds(4 * 31_536_000)

  /// Rent at the catalogue's price, nothing else charged, unless given.
  public init(
    gpuHour: Dollars? = nil, purchase: Dollars? = nil, life: Seconds = usualLife,
    kilowattHour: Dollars? = nil, storage: Dollars? = nil
  ) {
    self.gpuHour = gpuHour
    self.purchase = purchase
    self.life = life
    self.kilowattHour = kilowattHour
    self.storage = storage
  }
}

/// Where training data come from.
public struct DataLoadingSettings: Hashable, Sendable {
  /// Tokens a second that one node's processors read, mix and pack; `nil` for as many as it takes.
  public var tokensPerSecondAndNode: Double?
  /// Rate at which the whole job reads training data; `nil` for as fast as it takes.
  public var readRate: ByteRate?
  /// Stored bytes of a token: 2 or 4 for token numbers of 16 or 32 bits, more for text or images.
  public var bytesPerToken: Double

  /// Data at those rates.
  public init(
    tokensPerSecondAndNode: Double? = nil, readRate: ByteRate? = nil, bytesPerToken: Double = 4
  ) {
    self.tokensPerSecondAndNode = tokensPerSecondAndNode
    self.readRate = readRate
    self.bytesPerToken = bytesPerToken
  }

  /// Time the next step's tokens take to arrive while this one computes.
  ///
  /// - Parameters:
  ///   - tokens: tokens of a step.
  ///   - nodes: nodes that load them.
  /// - Returns: the longer of preparing and reading.
  public func time(tokens: Double, nodes: Double) -> Seconds {
    let preparing = tokensPerSecondAndNode.map { tokens / ($0 * nodes) } ?? 0
    let reading = readRate.map { tokens * bytesPerToken / $0.bytesPerSecond } ?? 0
    return Seconds(max(preparing, reading))
  }
}
