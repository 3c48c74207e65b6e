import Quantities
import StepProgram

/// How fast each rank runs its kernels beside what its program says.
///
/// Slow GPUs and nodes, a spread of speeds over all GPUs, and jitter from kernel to kernel.
///
/// Only kernels are slowed; what that does to collectives, to other ranks and to the step follows
/// from simulation. Host times and the fabric stay as they are.
///
/// Random factors have the mean 1 and come from counter-based streams keyed (seed, rank, step,
/// operation): they depend neither on the fidelity nor on the number of processes.
public struct RankSpeeds: Hashable, Sendable {
  /// Ranks whose kernels all take `factor` times as long.
  public struct Slowdown: Hashable, Sendable {
    /// Which ranks.
    public var ranks: Range<Int>
    /// Kernel time over the program's; above zero.
    public var factor: Double

    /// Ranks that take `factor` times as long.
    public init(ranks: Range<Int>, factor: Double) {
      self.ranks = ranks
      self.factor = factor
    }
  }

  /// Relative standard deviations of kernel times; 0 for none, at most ``Jitter/limit``.
  public struct Jitter: Hashable, Sendable {
    /// Of each stretch of kernels between two collectives, drawn anew every time.
    public var kernel: Double
    /// Of one GPU's speed from another's, the same in every step.
    ///
    /// Measured on five clusters of equal
    /// GPUs: run times vary by 8 % on average, by 22 % at most, single GPUs 1.5 times slower (Sinha
    /// et al., SC 2022, arXiv:2208.11035).
    public var gpu: Double

    /// The largest deviation: a factor, at most √12 deviations from 1, stays above zero.
    public static let limit = 0.25

    /// Jitter of kernels and of GPUs.
    public init(kernel: Double = 0, gpu: Double = 0) {
      self.kernel = kernel
      self.gpu = gpu
    }
  }

  /// Slow ranks; those of a rank in several entries multiply.
  public var slowdowns: [Slowdown]
  /// Random factors.
  public var jitter: Jitter
  /// Seed of the random factors.
  public var seed: UInt64
  /// Which step of the run: another step, other kernel factors.
  public var step: UInt64

  /// Every rank as fast as its program says.
  public static let uniform = RankSpeeds()

  /// Speeds from their parts.
  public init(
    slowdowns: [Slowdown] = [], jitter: Jitter = Jitter(), seed: UInt64 = 0, step: UInt64 = 0
  ) {
    self.slowdowns = slowdowns
    self.jitter = jitter
    self.seed = seed
    self.step = step
  }

  /// Whether no rank differs from its program.
  public var isUniform: Bool {
    jitter.kernel == 0 && jitter.gpu == 0 && slowdowns.allSatisfy { $0.factor == 1 }
  }

  /// Kernel time of a rank over its program's, without jitter from kernel to kernel.
  public func factor(of rank: Int) -> Double {
    var factor = 1.0
    for slowdown in slowdowns where slowdown.ranks.contains(rank) { factor *= slowdown.factor }
    guard jitter.gpu > 0 else { return factor }
    let key = Self.mix(Self.mix(seed ^ 0x6770_7573) &+ UInt64(rank))
    return factor * (1 + jitter.gpu * Self.deviate(key))
  }

  /// The key of a rank's stream of kernel factors.
  func stream(of rank: Int) -> UInt64 {
    Self.mix(Self.mix(Self.mix(seed ^ 0x6b65_726e) &+ UInt64(rank)) &+ step)
  }

  /// Factor of the `operation`-th stretch of kernels of the stream.
  func kernelFactor(_ stream: UInt64, operation: UInt32) -> Double {
    1 + jitter.kernel * Self.deviate(Self.mix(stream &+ UInt64(operation)))
  }

  /// A number of mean 0 and deviation 1 from 64 random bits.
  ///
  /// The sum of four uniform ones (variance 1/12 each), nearly normal, within ±√12, and the same on every
  /// machine.
  static func deviate(_ bits: UInt64) -> Double {
    let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + bits >> 48
    // Means of the four are 65535 / 2; √3 makes 4/12 one.
    return (Double(sum) - 131_070) / 65_536 * 1.732_050_807_568_877_2
  }

  /// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, doi 10.1145/2660193.2660195).
  private static func mix(_ value: UInt64) -> UInt64 {
    var mixed = value &+ 0x9E37_79B9_7F4A_7C15
    mixed = (mixed ^ (mixed &>> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed &>> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed &>> 31)
  }
}

extension WorkSummary {
  /// The run with kernels that take `factor` times as long; the host issues as before.
  ///
  /// Exact for one kernel and for a device that is never behind the host. Of a launch-bound run only
  /// the kernels behind the last issue are known to lie on the path of `lag`: the least that it can
  /// grow.
  func stretched(by factor: Double) -> Self {
    let longest = Double(SimDuration.longest.picoseconds)
    let longer = Int64(min(Double(busy) * factor, longest).rounded())
    let behind = Double(max(0, lag - issue))
    let later = lag + Int64(min(behind * factor - behind, longest).rounded())
    return Self(issue: issue, busy: longer, lag: max(longer, later), wait: wait)
  }
}

extension Block {
  /// Where the time of its kernels counts.
  var kernelCategory: TimeCategory {
    busyByCategory[TimeCategory.optimizer.rawValue] > busyByCategory[TimeCategory.compute.rawValue]
      ? .optimizer : .compute
  }
}

/// A block in progress on a rank that runs it leaf by leaf.
struct BlockProgress {
  /// When the compute stream came to it.
  var start: Int64 = 0
  /// How long its collectives took beyond their closed form.
  var extra: Int64 = 0
  /// How much longer its kernels take than the program says.
  var stretch: Int64 = 0
  /// End of the work beside the collective in progress: as it is, and as the program says.
  private(set) var forkEnd: Int64 = 0
  private var forkPlain: Int64 = 0

  init(start: Int64 = 0) { self.start = start }

  /// Kernels on the compute stream; `work` as the program says, `actual` as they are.
  mutating func run(
    _ work: WorkSummary, as actual: WorkSummary, compute: inout Int64, host: inout Int64
  ) {
    let begun = compute
    compute = max(compute + actual.busy, host + actual.lag)
    host = max(host + actual.issue, begun + actual.wait)
    stretch += actual.busy - work.busy
  }

  /// A collective begins with nothing beside it.
  mutating func beginExchange() {
    forkEnd = 0
    forkPlain = 0
  }

  /// Kernels begin beside a collective that was issued just before them.
  ///
  /// - Returns: when the collective begins.
  mutating func fork(
    _ work: WorkSummary, as actual: WorkSummary, compute: Int64, host: inout Int64
  ) -> Int64 {
    forkEnd = max(compute + actual.busy, host + actual.lag)
    forkPlain = max(compute + work.busy, host + work.lag)
    let start = max(compute, host)
    host += actual.issue
    return start
  }

  /// The collective that began at `begun` and takes `duration` by its closed form is over at `end`.
  ///
  /// - Returns: the compute stream's time, and what of it counts for the collective's category: what
  ///   the collective took beyond its closed form. The rest is the block's.
  mutating func conclude(begun: Int64, duration: Int64, end: Int64) -> (compute: Int64, late: Int64)
  {
    let plain = max(forkPlain, begun + duration)
    let idle = max(forkEnd, begun + duration)
    let actual = max(forkEnd, end)
    stretch += idle - plain
    extra += actual - idle
    return (actual, actual - idle)
  }

  /// Time that no kernel and no collective accounts for, when the block ends at `compute`.
  ///
  /// `busy` is the block's device time by the program.
  func rest(at compute: Int64, busy: Int64) -> Int64 { compute - start - busy - extra - stretch }
}
