import Collectives
import Hardware
import Kernels
public import Quantities
import Transformer

/// Prices operations and turns lists of them into blocks.
struct BlockBuilder {
  let cost: KernelCost
  let profile: FrameworkProfile
  /// Whether expert-parallel traffic hides behind the kernels of another microbatch.
  let hidesExpertTraffic: Bool
  /// Part of the multiprocessors that traffic of experts keeps for itself while it hides.
  ///
  /// `nil` where it takes some only while it runs.
  let reservedShare: Double?
  /// Part of a multiply's speed lost while a collective runs beside it, where ``collectives`` is `nil`.
  let interference: Double
  /// What tensor-parallel collectives of the library take from multiplies beside them.
  ///
  /// `nil` where they are cut up with their multiplies (Transformer Engine's userbuffers), by kernels of their
  /// own.
  let collectives: CollectiveModel?
  /// Whether the host waits for each kernel it launches.
  let blocksLaunches: Bool
  /// Registers a collective, returning its index.
  private(set) var calls: [CollectiveCall] = []
  private var callIndex: [CollectiveCall: Int] = [:]
  private(set) var blocks: [Block] = []

  init(
    cost: KernelCost, profile: FrameworkProfile, interference: Double,
    collectives: CollectiveModel? = nil, hidesExpertTraffic: Bool = false,
    reservedShare: Double? = nil, blocksLaunches: Bool = false
  ) {
    self.reservedShare = reservedShare
    self.blocksLaunches = blocksLaunches
    self.hidesExpertTraffic = hidesExpertTraffic
    self.cost = cost
    self.profile = profile
    self.interference = interference
    self.collectives = collectives
  }

  /// An empty assembly under the same rules.
  var assembly: BlockAssembly {
    BlockAssembly(
      interference: interference, reservedShare: reservedShare, blocksLaunches: blocksLaunches)
  }

  /// Drops calls and blocks.
  mutating func forget() { (calls, callIndex, blocks) = ([], [:], []) }

  /// The index of a call, new or known.
  mutating func index(of call: CollectiveCall) -> Int {
    if let known = callIndex[call] { return known }
    calls.append(call)
    callIndex[call] = calls.count - 1
    return calls.count - 1
  }

  /// Adds a block, returning its index.
  mutating func add(_ block: Block) -> Int {
    blocks.append(block)
    return blocks.count - 1
  }

  /// The host and device time of kernels.
  ///
  /// Multiplies of `experts` are launched one by one where the framework does so.
  func work(_ kernels: [Kernel], experts: Int = 0) -> WorkSummary {
    var summary = WorkSummary.empty
    for kernel in kernels {
      let device = SimDuration(seconds: cost.seconds(for: kernel))
      var launches = 1
      var host = profile.hostPerLaunch
      switch kernel {
      case .stream(let pass): launches = max(1, pass.launches)
      case .matmul where experts > 0 && profile.hostPerExpert > .zero:
        launches = experts
        host = profile.hostPerExpert
      case .matmul, .attention, .scan: break
      }
      let kernels = WorkSummary.kernels(launches, host: host, device: device)
      summary = summary.then(blocksLaunches ? kernels.blocking : kernels)
    }
    return summary
  }
}

/// Collects leaves in order and their summary as a block.
struct BlockAssembly {
  /// Whether the host waits for each kernel it launches, collectives too.
  let blocksLaunches: Bool
  private(set) var leaves: [Leaf] = []
  /// Work behind the last collective, not yet a leaf.
  private var pending = WorkSummary.empty
  /// Summary of the leaves.
  private var flushed = WorkSummary.empty
  private var busy = [Int64](repeating: 0, count: TimeCategory.allCases.count)
  private(set) var flops = 0.0
  private var computedFlops = 0.0
  let interference: Double
  private let reservedShare: Double?

  init(interference: Double, reservedShare: Double? = nil, blocksLaunches: Bool = false) {
    self.interference = interference
    self.reservedShare = reservedShare
    self.blocksLaunches = blocksLaunches
  }

  /// Whether nothing was appended yet.
  private var isEmpty: Bool { leaves.isEmpty && pending == .empty && flops == 0 }

  /// Device time of everything so far, picoseconds.
  var deviceTime: Int64 { flushed.busy + pending.busy }

  mutating func append(_ work: WorkSummary, as category: TimeCategory = .compute) {
    pending = pending.then(work)
    count(work.busy, as: category)
  }

  /// Counts device time of a category, cut to ``SimDuration/longest``.
  private mutating func count(_ time: Int64, as category: TimeCategory) {
    let index = category.rawValue
    busy[index] = SimDuration(picoseconds: busy[index] + time).cut.picoseconds
  }

  /// Counts matrix-unit work by the convention of published HFU figures.
  ///
  /// Attention in full whatever blocks a causal kernel skips, its backward as two forwards, so that HFU less
  /// MFU is what recomputation repeats.
  mutating func count(_ kernels: [Kernel]) {
    for kernel in kernels {
      computedFlops += kernel.flops.count
      switch kernel {
      case .matmul(let matmul): flops += matmul.flops.count
      case .stream: break
      case .scan(let scan): flops += scan.countedFlops
      case .attention(var attention):
        let passes = attention.pass == .forward ? 1.0 : 2.0
        attention.pass = .forward
        flops +=
          passes * attention.flops.count / attention.computedFraction * attention.countedFraction
      }
    }
  }

  /// Lasts as long on the device as a copy beside it.
  mutating func wait(until copy: SimDuration) {
    let rest = copy.picoseconds - deviceTime
    if rest > 0 { append(.kernel(host: .zero, device: SimDuration(picoseconds: rest))) }
  }

  /// The host waits for all before it.
  mutating func readBack() {
    flush()
    leaves.append(.work(.readback))
    flushed = flushed.then(.readback)
  }

  mutating func exchange(_ index: Int, call: CollectiveCall, host: SimDuration) {
    flush()
    leaves.append(.exchange(index, host: host))
    flushed = flushed.then(.kernel(host: host, device: call.duration))
    count(call.duration.picoseconds, as: call.category)
    // A host that waits for every launch never runs ahead: it goes on when the collective ends.
    if blocksLaunches { append(.hostOnly(call.duration)) }
  }

  /// A collective beside the work since the last one, which stands for as much of another microbatch.
  ///
  /// DualPipe runs a forward and a backward together so that the kernels of one hide the expert traffic of the
  /// other (arXiv:2412.19437, figure 4).
  mutating func exchangeBesidePending(_ index: Int, call: CollectiveCall, host: SimDuration) {
    let work = pending
    pending = .empty
    count(-work.busy, as: .compute)
    fork(index, call: call, host: host, work: work, reserving: reservedShare)
  }

  /// A collective beside `work`.
  ///
  /// Done when both are, the work slowed while the collective runs, or all along where it reserves a share of
  /// the multiprocessors.
  mutating func fork(
    _ index: Int, call: CollectiveCall, host: SimDuration, work: WorkSummary,
    reserving share: Double? = nil, interference: Double? = nil
  ) {
    if blocksLaunches {
      exchange(index, call: call, host: host)
      append(work)
      return
    }
    flush()
    let slowed =
      share.map { work.slowed(beside: SimDuration(picoseconds: work.busy), by: $0) }
      ?? work.slowed(beside: call.duration, by: interference ?? self.interference)
    leaves.append(.fork(index, host: host, slowed))
    let both = slowed.beside(call.duration, host: host)
    flushed = flushed.then(both)
    count(slowed.busy, as: .compute)
    count(both.busy - slowed.busy, as: call.category)
  }

  /// Appends everything of `other`, `count` times.
  mutating func append(_ other: BlockAssembly, times count: Int = 1) {
    if isEmpty, other.isEmpty { return }
    var whole = other
    whole.flush()
    flush()
    for _ in 0..<count { leaves += whole.leaves }
    flushed = flushed.then(whole.flushed.repeated(count))
    for category in TimeCategory.allCases {
      let time = SimDuration(picoseconds: whole.busy[category.rawValue]) * count
      self.count(time.picoseconds, as: category)
    }
    flops += whole.flops * Double(count)
    computedFlops += whole.computedFlops * Double(count)
  }

  private mutating func flush() {
    guard pending != .empty else { return }
    leaves.append(.work(pending))
    flushed = flushed.then(pending)
    pending = .empty
  }

  /// The block.
  func block(named name: String) -> Block {
    var finished = self
    finished.flush()
    return Block(
      name: name, leaves: finished.leaves, summary: finished.flushed, busyByCategory: busy,
      flops: flops, computedFlops: computedFlops)
  }
}

extension WorkSummary {
  /// The work while a collective of `duration` takes part of the GPU for as long as both run.
  func slowed(beside duration: SimDuration, by interference: Double) -> Self {
    let overlap = min(busy, duration.picoseconds)
    let extra = Int64(Double(overlap) * interference)
    return Self(issue: issue, busy: busy + extra, lag: lag + extra)
  }

  /// The work and a collective issued just before it, side by side.
  ///
  /// - Parameters:
  ///   - duration: the collective's.
  ///   - host: host time to issue it.
  /// - Returns: both; done when the later one is.
  public func beside(_ duration: SimDuration, host: SimDuration) -> Self {
    let length = duration.picoseconds
    return Self(
      issue: host.picoseconds + issue, busy: max(busy, length),
      lag: max(host.picoseconds + lag, host.picoseconds + length))
  }
}

extension BlockBuilder {
  /// Adds a collective the compute stream waits for, or that hides behind what ran before it.
  private mutating func place(
    _ call: CollectiveCall, in assembly: inout BlockAssembly
  ) {
    if hidesExpertTraffic, call.category == .expert {
      assembly.exchangeBesidePending(index(of: call), call: call, host: host(of: call))
    } else {
      assembly.exchange(index(of: call), call: call, host: host(of: call))
    }
  }

  /// Host time of a collective.
  ///
  /// What it takes to start one, and the wait for the slowest of its ranks' hosts.
  ///
  /// Of n hosts whose delays are exponential with the same mean the slowest is H(n) − 1 means behind
  /// the average one, H(n) = 1 + 1/2 + … + 1/n. Only a step bound by its hosts feels it.
  private func host(of call: CollectiveCall) -> SimDuration {
    var excess = 0.0
    for rank in 2...max(2, call.placement.ranks) { excess += 1 / Double(rank) }
    return profile.hostPerCollective
      + SimDuration(seconds: profile.hostJitter.seconds * excess)
  }

  /// The forward pass of operations.
  mutating func forward(
    _ operations: [Operation], call: (Exchange) -> CollectiveCall?
  ) -> BlockAssembly {
    var assembly = self.assembly
    for operation in operations {
      // The device is idle until the operation after it is launched.
      if operation.isAttentionCore, profile.readsSequenceLengths { assembly.readBack() }
      assembly.append(.hostOnly(profile.hostPerOperation * operation.hostOperations))
      // Beside another microbatch's kernels the device does not run dry meanwhile.
      if operation.readsCounts, profile.readsTokenCounts, !hidesExpertTraffic {
        assembly.readBack()
      }
      let kernels = work(operation.forward, experts: operation.experts)
      assembly.count(operation.forward)
      if let before = operation.beforeForward.flatMap(call) {
        if profile.overlapsTensorWithMultiply, before.axis == .tensor {
          assembly.fork(
            index(of: before), call: before, host: host(of: before), work: kernels)
          continue
        }
        place(before, in: &assembly)
      }
      let after = operation.afterForward.flatMap(call)
      if let beside = operation.besideForward.flatMap(call) {
        assembly.fork(
          index(of: beside), call: beside, host: host(of: beside), work: kernels)
      } else if let after, profile.overlapsTensorWithMultiply, after.axis == .tensor,
        operation.beforeForward == nil, !operation.weightGradient.isEmpty
      {
        assembly.fork(
          index(of: after), call: after, host: host(of: after), work: kernels)
        continue
      } else {
        assembly.append(kernels)
      }
      if let after {
        place(after, in: &assembly)
      }
    }
    return assembly
  }

  /// Part of their speed `kernels` lose beside a collective of their layer; `nil` for the usual.
  private func interference(of call: CollectiveCall, on kernels: [Kernel]) -> Double? {
    guard call.category == .tensor, let collectives else { return nil }
    return Contention.interference(of: call, collectives, cost: cost, kernels: kernels)
  }

  /// Which gradients a backward pass computes.
  enum Gradients { case both, input, weight }

  /// The backward pass of operations, last first.
  mutating func backward(
    _ operations: [Operation], gradients: Gradients = .both, call: (Exchange) -> CollectiveCall?
  ) -> BlockAssembly {
    var assembly = self.assembly
    for operation in operations.reversed() {
      assembly.append(
        .hostOnly(profile.hostPerOperationBackward * operation.hostOperations))
      let weights = gradients == .input ? [] : operation.weightGradient
      if gradients == .weight {
        assembly.count(weights)
        assembly.append(work(weights, experts: operation.experts))
        continue
      }
      if let before = operation.beforeBackward.flatMap(call) {
        place(before, in: &assembly)
      }
      let inputWork = work(operation.inputGradient, experts: operation.experts)
      let weightWork = work(weights, experts: operation.experts)
      assembly.count(operation.inputGradient)
      assembly.count(weights)
      let regather = operation.regather.flatMap(call)
      let after = operation.afterInputGradient.flatMap(call)
      if let beside = operation.besideBackward.flatMap(call) {
        assembly.fork(index(of: beside), call: beside, host: host(of: beside), work: inputWork)
      } else if let regather, profile.overlapsTensorBackward {
        assembly.fork(
          index(of: regather), call: regather, host: host(of: regather), work: inputWork,
          interference: interference(of: regather, on: operation.inputGradient))
      } else {
        if let regather { place(regather, in: &assembly) }
        assembly.append(inputWork)
      }
      if let after, profile.overlapsTensorBackward, !weights.isEmpty {
        assembly.fork(
          index(of: after), call: after, host: host(of: after), work: weightWork,
          interference: interference(of: after, on: weights))
      } else {
        if let after { place(after, in: &assembly) }
        assembly.append(weightWork)
      }
    }
    return assembly
  }
}

/// Bytes a list of operations holds and takes.
struct MemoryShape {
  /// Kept from forward to backward.
  var saved: Int64 = 0
  /// Most held at once while running forward, kept bytes included.
  var forwardPeak: Int64 = 0
  /// Most held at once while running backward, above what was held before it, kept bytes counted as held before.
  var backwardPeak: Int64 = 0

  init(_ operations: [Operation], flowing: Int64) {
    for operation in operations {
      forwardPeak = max(forwardPeak, saved + operation.saved + operation.forwardScratch + flowing)
      saved += operation.saved
    }
    var held: Int64 = 0
    for operation in operations.reversed() {
      backwardPeak = max(backwardPeak, held + operation.backwardScratch + flowing)
      held -= operation.saved
    }
  }
}
