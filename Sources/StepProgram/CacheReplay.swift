import Layout
import Quantities

/// Plays a rank's first steps to the caching allocator, tensor by tensor, and reads what it has taken from the device.
///
/// Two steps are enough: the optimizer makes its states at the end of the first, out of cached
/// blocks where they fit, and the second starts with what is left. Of a step's microbatches those that
/// warm a pipeline up, four more, and those that end it are played: between them one goes as one comes.
public struct CacheReplay {
  /// What a rank holds from the start, one tensor each.
  var resident: [Int64] = []
  /// Bytes of optimizer state per element that come to be with the first update, all moments together.
  var momentBytes: Int64 = 0
  /// Moments of an element, a tensor each.
  var moments = 2
  /// Ranks that share a weight's moments.
  var owners: Int64 = 1
  /// What an update takes and gives back, one tensor each.
  var updateTensors: [Int64] = []
  /// The passes of each chunk.
  var chunks: [ChunkMoves] = []
  /// How far the device falls behind.
  var lead = HostLead()

  /// Microbatches played beyond those in flight.
  ///
  /// Blocks are cut anew in the first few, and more change next to nothing.
  private static let extraMicrobatches = 4

  /// What the allocator has taken at the end.
  public struct Outcome: Hashable, Sendable {
    /// Bytes taken from the device; after an emptied cache, what has been taken since.
    public var reserved: Int64
    /// Most bytes handed out at once.
    public var peakAllocated: Int64
    /// Times the cache was emptied for want of memory.
    public var flushes: Int
  }

  /// Plays `turns` with at most `capacity` bytes; `nil` when that is not enough.
  func play(_ turns: [Turn], capacity: Int64) -> Outcome? {
    var allocator = CachingAllocator(capacity: capacity)
    for bytes in resident where allocator.take(bytes) == nil { return nil }
    let played = shortened(turns)
    let skipped = entries(of: turns) - entries(of: played)
    for step in 0..<2 {
      guard run(played, skipped: skipped, isFirst: step == 0, on: &allocator),
        update(first: step == 0, on: &allocator)
      else {
        return nil
      }
    }
    return Outcome(
      reserved: allocator.reserved, peakAllocated: allocator.peakAllocated,
      flushes: allocator.flushes)
  }

  /// The first turns, and of the rest the backward passes of what is in flight then.
  private func shortened(_ turns: [Turn]) -> [Turn] {
    let first = turns.firstIndex { $0.kind == .backward } ?? turns.count
    let end = min(turns.count, first + 1 + 2 * Self.extraMicrobatches * chunks.count)
    var played = Array(turns[..<end])
    var inFlight = [Int](repeating: 0, count: chunks.count)
    for turn in played { inFlight[turn.chunk] += turn.kind == .forward ? 1 : -1 }
    var rest: [Turn] = []
    for turn in turns[end...].reversed()
    where turn.kind == .backward && inFlight[turn.chunk] > 0 {
      inFlight[turn.chunk] -= 1
      rest.append(turn)
    }
    played += rest.reversed()
    return played
  }

  /// Entries `turns` put into the device's queue.
  private func entries(of turns: [Turn]) -> Int {
    let each = chunks.map(\.entries)
    return turns.reduce(0) { $0 + ($1.kind == .forward ? each[$1.chunk] : 0) }
  }

  /// The passes of a step, the first or another; whether there was room.
  ///
  /// `skipped` entries behind the first backward pass are not played.
  private func run(
    _ turns: [Turn], skipped: Int, isFirst: Bool, on allocator: inout CachingAllocator
  ) -> Bool {
    // A host that nothing holds back gets ahead from the step's start on.
    var start = allocator.issued
    var skips = false
    var inFlight = chunks.map { _ in [[CachingAllocator.Handle]]() }
    var oldest = [Int](repeating: 0, count: chunks.count)
    var sent = 0
    var hasReceived = false
    for turn in turns {
      let moves = chunks[turn.chunk]
      switch turn.kind {
      case .forward:
        if lead.waitsForMessages {
          allocator.lag = lead.entries(sent: sent, hasReceived: hasReceived)
        }
        var slots = [CachingAllocator.Handle](repeating: -1, count: moves.slotCount)
        guard play(moves.forward, slots: &slots, since: start, keeps: false, on: &allocator) else {
          return false
        }
        inFlight[turn.chunk].append(slots)
        sent += 1
        // The device has done with the first pass when its message has gone.
        if lead.waitsForMessages, sent == 1 { allocator.synchronize() }
      case .backward:
        if lead.waitsForMessages {
          // The host looks at what the message holds.
          hasReceived = true
          allocator.synchronize()
          allocator.lag = lead.entries(sent: sent, hasReceived: true)
        }
        var slots = inFlight[turn.chunk][oldest[turn.chunk]]
        inFlight[turn.chunk][oldest[turn.chunk]] = []
        oldest[turn.chunk] += 1
        guard
          play(
            moves.backward, slots: &slots, since: start, keeps: isFirst && !skips, on: &allocator)
        else {
          return false
        }
        if !skips { start -= skipped }
        skips = true
      case .weightGradient, .optimizer: break
      }
    }
    return true
  }

  private func play(
    _ moves: [TensorMove], slots: inout [CachingAllocator.Handle], since start: Int, keeps: Bool,
    on allocator: inout CachingAllocator
  ) -> Bool {
    for move in moves {
      switch move {
      case .take(let slot, let bytes):
        guard let block = allocator.take(bytes) else { return false }
        slots[slot] = block
      case .give(let slot): allocator.give(slots[slot])
      case .lend(let slot): allocator.lend(slots[slot])
      case .keep(let bytes):
        if keeps, allocator.take(bytes) == nil { return false }
      case .issue(let entries):
        allocator.issue(entries)
        if !lead.waitsForMessages {
          allocator.lag = lead.entries(behind: allocator.issued - start)
        }
      }
    }
    return true
  }

  /// The update, behind which the host waits for the device.
  private func update(first: Bool, on allocator: inout CachingAllocator) -> Bool {
    allocator.synchronize()
    if first, momentBytes > 0 {
      for weight in chunks.flatMap(\.weights) {
        let bytes = (weight + owners - 1) / owners * momentBytes / Int64(moments)
        for _ in 0..<moments where allocator.take(bytes) == nil { return false }
      }
    }
    var taken: [CachingAllocator.Handle] = []
    for bytes in updateTensors {
      guard let block = allocator.take(bytes) else { return false }
      taken.append(block)
    }
    for block in taken { allocator.give(block) }
    return true
  }
}

/// How far a host runs ahead of its device, which decides when tensors that collectives used are free.
///
/// With a pipeline, a host waits for the device at every gradient it receives, for it has to read the
/// message's shape (nanotron's `p2p.py`). Without one nothing holds it back but the depth of the
/// device's queue.
struct HostLead: Hashable {
  /// Entries of the device's queue it gets ahead at most; 0 where nothing is lent.
  var depth = 0
  /// Part of what it issues by which a host that never waits gets ahead.
  var share = 0.0
  /// Whether the host waits for each message it receives.
  var waitsForMessages = false
  /// Whether the device is slower than the host within a pass.
  var isDeviceBound = false
  /// Whether messages between stages stall: hosts and device wait together.
  var stalls = false
  /// Stages of the pipeline behind this one.
  var stagesBehind = 0
  /// Ranks of the tensor group.
  var tensorRanks = 1

  /// Entries a host is ahead of its device for each rank of the tensor group, where nothing else lets it.
  ///
  /// A collective waits for the slowest of its hosts, and the others go on.
  ///
  /// From nanotron's sweep: with 16 ranks 16, with 32 ranks 32 to 48. Smaller groups are taken to do the
  /// same: it moves the peaks of their rows by 0.6 % at the median, and the sweep's mean error is 5.9 %
  /// with it and without.
  static let entriesPerTensorRank = 1

  /// Part of its work by which a host is ahead of the slowest of its tensor group, at whose pace collectives run.
  ///
  /// From nanotron's sweep: where hosts decide the pace, 16 microbatches of 1,400 entries each bring it
  /// a third of the queue's depth, 64 all of it.
  static let drift = 0.02

  /// Part of what it issues by which a host that never waits gets ahead.
  ///
  /// - Parameters:
  ///   - issue: host time of a microbatch.
  ///   - busy: device time of it.
  /// - Returns: at least ``drift``.
  static func share(issue: Int64, busy: Int64) -> Double {
    max(drift, 1 - Double(issue) / Double(max(1, busy)))
  }

  /// Entries a host that never waits is ahead of its device, the queue's depth at most.
  ///
  /// When it has put `entries` into the queue since it last waited for the device.
  func entries(behind entries: Int) -> Int { min(depth, Int(share * Double(entries))) }

  /// Entries the device is behind in a pass when `sent` messages have gone to the next stage.
  ///
  /// The next stage takes the second message when it has done with the first, longest in the first
  /// step, in which it loads its kernels. The device waits at that message, and the host goes on with
  /// the rest of the warm-up.
  func entries(sent: Int, hasReceived: Bool) -> Int {
    let least = min(depth, tensorRanks > 1 ? Self.entriesPerTensorRank * tensorRanks : 0)
    guard !stalls else { return least }
    return isDeviceBound || !hasReceived && sent >= 2 && stagesBehind >= 2 ? depth : least
  }
}
