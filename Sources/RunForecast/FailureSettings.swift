public import Quantities

/// How often the state is saved, and how fast.
public struct CheckpointSettings: Hashable, Sendable {
  /// Training time between two checkpoints.
  public var interval: Seconds
  /// Rate at which the whole job writes to storage, in bytes a second.
  public var writeRate: ByteRate
  /// Rate at which the whole job reads a checkpoint when it starts again; `nil` for at once.
  public var readRate: ByteRate?
  /// Whether training goes on while one is written: it stops for the copy into the host's memory.
  public var isAsynchronous: Bool
  /// Whether what is written beside training passes through the network cards that training uses.
  public var sharesNetwork = false
  /// Checkpoints that are kept in storage.
  public var kept = 1
  /// Checkpoints kept on the nodes, between those in storage; `nil` for none.
  public var local: LocalCheckpointSettings?

  /// A checkpoint every `interval`, written at `writeRate`.
  public init(
    interval: Seconds, writeRate: ByteRate, isAsynchronous: Bool = false,
    readRate: ByteRate? = nil, local: LocalCheckpointSettings? = nil
  ) {
    self.interval = interval
    self.writeRate = writeRate
    self.isAsynchronous = isAsynchronous
    self.readRate = readRate
    self.local = local
  }
}

/// The nearer of two levels of checkpoints.
///
/// In the nodes' memory or disks, with copies on neighbours (Gemini, SOSP 2023; MegaScale, arXiv:2402.15627,
/// section 4.4).
public struct LocalCheckpointSettings: Hashable, Sendable {
  /// Training time between two of them.
  public var interval: Seconds
  /// Rate at which each node writes its part, training waiting.
  public var writeRate: ByteRate
  /// Part of the failures after which they can be used; after the others the last one in storage is.
  public var covers: Double

  /// A local checkpoint every `interval`.
  public init(interval: Seconds, writeRate: ByteRate, covers: Double = 1) {
    self.interval = interval
    self.writeRate = writeRate
    self.covers = covers
  }
}

/// How often something breaks, and how long it takes to go on.
public struct FailureSettings: Hashable, Sendable {
  /// Mean time between failures of one GPU with its share of everything else.
  ///
  /// A job of N GPUs fails N times as often.
  public var gpuMeanTimeBetweenFailures: Seconds
  /// Mean time between failures of one node as a whole; `nil` when counted with its GPUs.
  public var nodeMeanTimeBetweenFailures: Seconds?
  /// Mean time between failures of the link of one GPU out of its node; `nil` when counted with it.
  public var linkMeanTimeBetweenFailures: Seconds?
  /// Mean time between failures of what all nodes share; `nil` for never.
  public var fabricMeanTimeBetweenFailures: Seconds?
  /// From a failure until it is noticed.
  public var detection: Seconds
  /// From then until training goes on from the last checkpoint, but for reading it.
  public var restart: Seconds
  /// What each node adds to a restart: processes started and groups of ranks made one by one.
  public var restartPerNode = Seconds.zero
  /// Shape of the Weibull distribution of times between failures; 1 is a constant rate.
  public var shape: Double
  /// Nodes that stand by; `nil` for as many as it takes.
  public var spares: Int?
  /// How long a broken node is away.
  public var repair: Seconds
  /// Part of the failures of GPUs and nodes that take several nodes at once.
  ///
  /// A rack's power, a leaf switch. Local checkpoints are of no use after them.
  public var correlatedShare = 0.0
  /// Nodes that each of those takes.
  public var correlatedNodes = 1

  /// Failures at that mean time, mended in `restart`.
  public init(
    gpuMeanTimeBetweenFailures: Seconds, restart: Seconds,
    nodeMeanTimeBetweenFailures: Seconds? = nil, linkMeanTimeBetweenFailures: Seconds? = nil,
    fabricMeanTimeBetweenFailures: Seconds? = nil,
    detection: Seconds = .zero, shape: Double = 1, spares: Int? = nil, repair: Seconds = .zero
  ) {
    self.gpuMeanTimeBetweenFailures = gpuMeanTimeBetweenFailures
    self.nodeMeanTimeBetweenFailures = nodeMeanTimeBetweenFailures
    self.linkMeanTimeBetweenFailures = linkMeanTimeBetweenFailures
    self.fabricMeanTimeBetweenFailures = fabricMeanTimeBetweenFailures
    self.detection = detection
    self.restart = restart
    self.shape = shape
    self.spares = spares
    self.repair = repair
  }

  /// Failures a second by raw value of ``FailureKind``.
  func rates(gpuCount: Int, gpusPerNode: Int) -> [Double] {
    let nodes = (Double(gpuCount) / Double(max(gpusPerNode, 1))).rounded(.up)
    let gpus = Double(gpuCount)
    return [
      gpus / gpuMeanTimeBetweenFailures.value,
      nodeMeanTimeBetweenFailures.map { nodes / $0.value } ?? 0,
      fabricMeanTimeBetweenFailures.map { 1 / $0.value } ?? 0,
      linkMeanTimeBetweenFailures.map { gpus / $0.value } ?? 0,
    ]
  }
}

/// Ranks that become slow without failing, until somebody finds them.
public struct StragglerSettings: Hashable, Sendable {
  /// Mean time until one GPU becomes slow.
  public var gpuMeanTimeBetween: Seconds
  /// How much longer its kernels take: 0.1 for a tenth.
  public var slowdown: Double
  /// How long it stays unnoticed; then its node is replaced at a checkpoint.
  public var foundAfter: Seconds

  /// Stragglers at that mean time.
  public init(gpuMeanTimeBetween: Seconds, slowdown: Double, foundAfter: Seconds) {
    self.gpuMeanTimeBetween = gpuMeanTimeBetween
    self.slowdown = slowdown
    self.foundAfter = foundAfter
  }
}
