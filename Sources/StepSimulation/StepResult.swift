public import EventKernel
public import Quantities
public import StepProgram

/// What one training step came to.
public struct StepResult: Sendable {
  /// Wall time of the step.
  public var duration: SimDuration
  /// One entry per pipeline stage (or, where ranks of a stage differ, per class of them).
  public var ranks: [RankResult]
  /// Index into ``ranks`` of the one that sets the pace: least time waiting for others.
  public var criticalRank: Int
  /// Matrix-unit FLOPs of all ranks together, recomputation included.
  ///
  /// Fewer than the model's only where experts drop tokens.
  public var hardwareFlops: Flops
  /// Counts of the simulation itself.
  public var statistics: SimulationStatistics
}

/// What one class of ranks came to.
public struct RankResult: Sendable {
  /// A representative.
  public var rank: Int
  /// Ranks like it.
  public var count: Int
  /// Its pipeline stage.
  public var stage: Int
  /// When its step ended.
  public var duration: SimDuration
  /// Where its time went, by raw value of ``TimeCategory``; adds up to ``duration``.
  public var spent: [SimDuration]
  /// Bytes held all step long, by raw value of ``MemoryCategory``.
  public var resident: [Bytes]
  /// Bytes at the moment of the peak, by category.
  public var atPeak: [Bytes]
  /// Most bytes held at once, as an allocator counts them.
  public var peak: Bytes
  /// What the allocator holds at the peak: tensors, rounding and its cache.
  public var reserved: Bytes
  /// Bytes of its states that the host holds.
  public var host: Bytes
  /// What the device holds: reserved, context and libraries.
  public var device: Bytes
  /// What ran at that moment.
  public var peakPhase: Phase?
  /// When that was.
  public var peakTime: SimTime
}

/// Counts of a simulation: how much was simulated, and how fast.
public struct SimulationStatistics: Hashable, Sendable {
  /// Ranks interpreted.
  public var simulatedRanks = 0
  /// Events (full) or instructions (folded).
  public var events = 0
  /// Messages between simulated ranks.
  public var messages = 0
  /// Those that crossed to another process over MPI.
  public var mpiMessages = 0
  /// Windows in which all processes advanced together; zero for one process.
  public var windows = 0
  /// What each process did; empty where events were not handled.
  public var shares: [ProcessShare] = []

  /// All counts zero.
  public init() {}
}

/// Why a step did not come to an end.
public enum StepSimulationError: Error, Hashable, Sendable {
  /// Ranks that wait for ever, with what each waits for.
  case deadlock([String])
  /// The step ended below a physical floor, or lost bytes: an error of the simulator itself.
  case impossible(String)
  /// The step is longer than the simulated clock goes (``SimDuration/longest``).
  case tooLong
  /// Processes could not pass messages to one another.
  case communication(String)
}

extension StepSimulationError: CustomStringConvertible {
  /// What went wrong, in words.
  public var description: String {
    switch self {
    case .deadlock(let ranks): "ranks wait for ever:\n  " + ranks.joined(separator: "\n  ")
    case .impossible(let fault): "the simulator contradicts itself: " + fault
    case .tooLong:
      "the step takes longer than the \(Int(SimDuration.longest.seconds / 86_400)) days that can be "
        + "simulated: take fewer sequences, more GPUs or faster ones, or faster links"
    case .communication(let text): text
    }
  }
}
