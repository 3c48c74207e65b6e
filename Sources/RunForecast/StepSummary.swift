public import EventKernel
public import Quantities

/// What one simulated training step came to, for every consumer of it: forecast, reports, studies.
public struct StepSummary: Hashable, Sendable {
  /// From the first kernel to the last rank's end.
  public var seconds: Seconds
  /// Where the critical rank's time went; adds up to ``seconds``.
  public var breakdown: StepBreakdown
  /// Operations of the model in one step, over all GPUs; recomputation not counted.
  public var modelFlops: Flops
  /// Operations done in one step, over all GPUs; recomputation counted.
  public var hardwareFlops: Flops
  /// Memory of one rank of each kind, in the order of the ranks.
  public var memory: [RankMemory]
  /// What the simulation itself took.
  public var statistics: SimulationRecord
  /// Sentences about the result.
  public var warnings: [String]

  /// A summary from its parts.
  public init(
    seconds: Seconds, breakdown: StepBreakdown, modelFlops: Flops, hardwareFlops: Flops,
    memory: [RankMemory], statistics: SimulationRecord, warnings: [String] = []
  ) {
    self.seconds = seconds
    self.breakdown = breakdown
    self.modelFlops = modelFlops
    self.hardwareFlops = hardwareFlops
    self.memory = memory
    self.statistics = statistics
    self.warnings = warnings
  }

  /// The rank that holds most at its peak; the first of equals.
  public var fullestRank: RankMemory? {
    memory.max { ($0.peak, $1.rank) < ($1.peak, $0.rank) }
  }
}

/// Where the time of a step's critical rank went.
public struct StepBreakdown: Hashable, Sendable {
  /// Kernels of the forward and backward passes.
  public var compute: Seconds
  /// Waiting for tensor-parallel communication.
  public var tensorExposed: Seconds
  /// Waiting for context-parallel communication.
  public var contextExposed: Seconds
  /// Waiting for expert-parallel communication.
  public var expertExposed: Seconds
  /// Waiting for activations and gradients from neighbouring stages beyond the bubble.
  public var pipelineExposed: Seconds
  /// Waiting for gradients and parameters of the data-parallel group.
  public var dataExposed: Seconds
  /// Idle because the pipeline fills and drains.
  public var bubble: Seconds
  /// The optimizer's update.
  public var optimizer: Seconds
  /// Everything else: host, loss, skew.
  public var other: Seconds

  /// A breakdown; parts not named are zero.
  public init(
    compute: Seconds = .zero, tensorExposed: Seconds = .zero, contextExposed: Seconds = .zero,
    expertExposed: Seconds = .zero, pipelineExposed: Seconds = .zero, dataExposed: Seconds = .zero,
    bubble: Seconds = .zero, optimizer: Seconds = .zero, other: Seconds = .zero
  ) {
    self.compute = compute
    self.tensorExposed = tensorExposed
    self.contextExposed = contextExposed
    self.expertExposed = expertExposed
    self.pipelineExposed = pipelineExposed
    self.dataExposed = dataExposed
    self.bubble = bubble
    self.optimizer = optimizer
    self.other = other
  }

  /// Every part with its key in results, in the order of the contract.
  public var parts: [(key: String, seconds: Seconds)] {
    [
      ("compute", compute), ("tensor_exposed", tensorExposed),
      ("context_exposed", contextExposed), ("expert_exposed", expertExposed),
      ("pipeline_exposed", pipelineExposed), ("data_exposed", dataExposed), ("bubble", bubble),
      ("optimizer", optimizer), ("other", other),
    ]
  }
}

/// What the ranks of one kind hold at the moment they hold most.
public struct RankMemory: Hashable, Sendable {
  /// A representative rank.
  public var rank: Int
  /// How many ranks are like it.
  public var count: Int
  /// Its pipeline stage, from 0.
  public var pipelineStage: Int
  /// Parameters in their working format.
  public var parameters: Bytes
  /// Gradients.
  public var gradients: Bytes
  /// Optimizer states with the masters.
  public var optimizer: Bytes
  /// Activations.
  public var activations: Bytes
  /// Communication and kernel work buffers.
  public var buffers: Bytes
  /// Context, libraries and what the allocator cannot use.
  public var runtime: Bytes
  /// Most held at any one moment, as the device counts (nvidia-smi).
  public var peak: Bytes
  /// What the allocator has taken from the device then; zero where it is not known.
  public var reserved: Bytes
  /// States in the host's memory.
  public var host: Bytes
  /// What runs at that moment, `backward of microbatch 3, layer 31`.
  ///
  /// Empty when all of it is held from the start.
  public var peakMoment: String

  /// The memory of one kind of rank; parts not named are zero.
  public init(
    rank: Int, count: Int, pipelineStage: Int = 0, parameters: Bytes = .zero,
    gradients: Bytes = .zero, optimizer: Bytes = .zero, activations: Bytes = .zero,
    buffers: Bytes = .zero, runtime: Bytes = .zero, peak: Bytes, reserved: Bytes = .zero,
    host: Bytes = .zero, peakMoment: String = ""
  ) {
    self.rank = rank
    self.count = count
    self.pipelineStage = pipelineStage
    self.parameters = parameters
    self.gradients = gradients
    self.optimizer = optimizer
    self.activations = activations
    self.buffers = buffers
    self.runtime = runtime
    self.peak = peak
    self.reserved = reserved
    self.host = host
    self.peakMoment = peakMoment
  }

  /// Bytes of tensors at the peak, as an allocator counts them.
  public var tensors: Bytes { parameters + gradients + optimizer + activations + buffers }

  /// Every category with its name, in the order of the contract.
  public var parts: [(key: String, bytes: Bytes)] {
    [
      ("parameters", parameters), ("gradients", gradients), ("optimizer", optimizer),
      ("activations", activations), ("buffers", buffers), ("runtime", runtime),
    ]
  }
}

/// What a simulation took to run; the one part of a result that may differ between equal runs.
public struct SimulationRecord: Hashable, Sendable {
  /// Which ranks were simulated.
  public var fidelity: Fidelity
  /// MPI processes.
  public var processes: Int
  /// Ranks that ran a program.
  public var simulatedRanks: Int
  /// Events executed.
  public var events: Int
  /// Messages between simulated ranks.
  public var messages: Int
  /// MPI messages between processes.
  public var mpiMessages: Int
  /// Wall time.
  public var wallSeconds: Double
  /// Windows in which all processes advanced together; zero for one process.
  public var windows = 0
  /// What each process did; empty where no events were handled.
  public var shares: [ProcessShare] = []

  /// Events of the busiest process over the mean; 1 for perfect balance.
  public var imbalance: Double {
    let busiest = shares.map(\.events).max() ?? 0
    let all = shares.reduce(0) { $0 + $1.events }
    return all == 0 ? 1 : Double(busiest * shares.count) / Double(all)
  }

  /// Seconds of all processes spent exchanging events or waiting for others.
  public var blockedSeconds: Double { shares.reduce(0) { $0 + $1.blockedSeconds } }

  /// How many times as fast as one process, estimated.
  ///
  /// The time all processes were busy over the time it took.
  public var speedUp: Double {
    let wall = shares.map(\.wallSeconds).max() ?? 0
    return wall <= 0 ? 1 : shares.reduce(0) { $0 + $1.busySeconds } / wall
  }

  /// Statistics of one simulation.
  public init(
    fidelity: Fidelity, processes: Int = 1, simulatedRanks: Int = 0, events: Int = 0,
    messages: Int = 0, mpiMessages: Int = 0, wallSeconds: Double = 0
  ) {
    self.fidelity = fidelity
    self.processes = processes
    self.simulatedRanks = simulatedRanks
    self.events = events
    self.messages = messages
    self.mpiMessages = mpiMessages
    self.wallSeconds = wallSeconds
  }
}
