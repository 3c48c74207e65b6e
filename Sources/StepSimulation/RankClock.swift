import Quantities
import StepProgram

/// The clocks, memory and accounts of one simulated rank.
///
/// One struct per rank, touched by every instruction.
struct RankClock {
  /// When the host thread is free.
  var host: Int64 = 0
  /// When the compute stream is free.
  var compute: Int64 = 0
  /// When the data stream is free.
  var data: Int64 = 0
  /// When the pipeline stream is free.
  var pipeline: Int64 = 0
  /// Compute-stream time by category, picoseconds; adds up to `compute`.
  var spent = [Int64](repeating: 0, count: TimeCategory.allCases.count)
  /// End of what each slot stands for, and how long it kept the data stream busy.
  var slots: [Slot]

  /// Work on another stream that the compute stream may wait for.
  struct Slot {
    /// When it ends.
    var end: Int64 = 0
    /// How long it ran since it was last waited for.
    var active: Int64 = 0
    /// What that costs kernels beside all of it.
    var cost: Int64 = 0
    /// Collectives launched into it that are not over.
    var pending: Int32 = 0
  }

  /// Whether one of its times is as late as a step may end; later ones are not to be added to.
  var isPastEnd: Bool {
    max(max(host, compute), max(data, pipeline)) >= SimDuration.longest.picoseconds
  }

  init(slotCount: Int) { slots = Array(repeating: Slot(), count: slotCount) }

  /// Runs a block in one piece.
  ///
  /// All its time counts as `other` until the step ends (``count(_:)``).
  mutating func run(_ work: WorkSummary) {
    let end = max(compute + work.busy, host + work.lag)
    spent[TimeCategory.other.rawValue] += end - compute
    host = max(host + work.issue, compute + work.wait)
    compute = end
  }

  /// Counts what kernels of blocks run in one piece took, by category.
  mutating func count(_ busy: [Int64]) {
    for (index, time) in busy.enumerated() {
      spent[index] += time
      spent[TimeCategory.other.rawValue] -= time
    }
  }

  /// Moves the compute stream on to `time`, counting the wait.
  mutating func wait(until time: Int64, as category: TimeCategory) {
    guard time > compute else { return }
    spent[category.rawValue] += time - compute
    compute = time
  }

  /// The data stream's collective is over, `duration` after its last member came.
  ///
  /// That is what kernels beside it pay for. While it waits for a late member its channels take
  /// multiprocessors, too, but only of ranks that are ahead, and slow these no further than the late one:
  /// then nothing waits any more. The step is not longer for it.
  mutating func endData(at end: Int64, duration: Int64, slot: Int, interference: Double) {
    data = end
    slots[slot].end = end
    slots[slot].active += duration
    slots[slot].cost += Int64(Double(duration) * interference)
    slots[slot].pending -= 1
  }

  /// Whether a rank with this clock stands for its stage less well than `other`.
  ///
  /// It spends less time in kernels, or as much and ends earlier.
  ///
  /// Ranks of a stage run the same program, so the one that is longest in kernels waits least. Which
  /// of them ends last tells nothing: after a collective that all need they end together, and one that
  /// waited for it paid for the channels that ran beside its kernels meanwhile.
  func isLessBusy(than other: RankClock) -> Bool {
    let kernels = TimeCategory.compute.rawValue
    return (spent[kernels], compute) < (other.spent[kernels], other.compute)
  }

  /// The compute stream waits for a slot, after paying for what ran beside it.
  ///
  /// All of the slot's work but what is still to come was overlapped, and slowed the kernels it ran beside.
  mutating func wait(slot: Int, as category: TimeCategory) {
    let extra = Self.slowdown(
      active: slots[slot].active, cost: slots[slot].cost, end: slots[slot].end, at: compute)
    slots[slot].active = 0
    slots[slot].cost = 0
    spent[TimeCategory.compute.rawValue] += extra
    compute += extra
    wait(until: slots[slot].end, as: category)
  }

  /// What the part of a slot's work that ran before `compute` has cost the kernels beside it.
  ///
  /// `active` of it in all, up to `end`, which would cost `cost` were all of it hidden.
  static func slowdown(active: Int64, cost: Int64, end: Int64, at compute: Int64) -> Int64 {
    let exposed = max(0, end - compute)
    guard active > exposed else { return 0 }
    return Int64(Double(cost) * Double(active - exposed) / Double(active))
  }
}

/// Memory of one rank over the step.
struct MemoryLedger {
  var held: [Int64]
  var total: Int64
  var peak: Int64
  var peakHeld: [Int64]
  var peakPhase: Phase?
  var peakTime: Int64 = 0
  var phase: Phase?
  /// The fewest bytes any category ever held.
  var lowest: Int64 = 0
  /// Every change, where they are recorded.
  var timeline: [MemoryMoment]?

  init(resident: [Int64]) {
    held = resident
    total = resident.reduce(0, +)
    peak = total
    peakHeld = resident
  }

  mutating func change(_ category: MemoryCategory, by bytes: Int64, at time: Int64) {
    held[category.rawValue] += bytes
    total += bytes
    lowest = min(lowest, held[category.rawValue])
    if total > peak { keep(scratch: 0, category, at: time) }
    record(scratch: 0, category, at: time)
  }

  mutating func scratch(_ category: MemoryCategory, _ bytes: Int64, at time: Int64) {
    if total + bytes > peak { keep(scratch: bytes, category, at: time) }
    record(scratch: bytes, category, at: time)
  }

  private mutating func record(scratch: Int64, _ category: MemoryCategory, at time: Int64) {
    guard timeline != nil else { return }
    var held = held
    held[category.rawValue] += scratch
    timeline?.append(MemoryMoment(picoseconds: time, held: held, phase: phase))
  }

  private mutating func keep(scratch: Int64, _ category: MemoryCategory, at time: Int64) {
    peak = total + scratch
    peakHeld = held
    peakHeld[category.rawValue] += scratch
    peakPhase = phase
    peakTime = time
  }
}
