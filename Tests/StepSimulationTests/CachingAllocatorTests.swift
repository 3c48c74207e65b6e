import Kernels
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram

private let mebibyte: Int64 = 1_048_576

@Suite("Caching allocator")
struct CachingAllocatorTests {
  private func take(
    _ bytes: Int64, from memory: inout CachingAllocator
  ) throws -> CachingAllocator.Handle {
    let block = memory.take(bytes)
    return try #require(block)
  }

  private func allocator(capacity: Int64 = 1_000 * mebibyte) -> CachingAllocator {
    CachingAllocator(capacity: capacity)
  }

  @Test("requests are rounded, segments come in three sizes")
  func sizes() throws {
    var memory = allocator()
    _ = try take(1, from: &memory)
    #expect(memory.allocated == 512)
    #expect(memory.reserved == 2 * mebibyte)
    // One byte more than small: 1 MiB + 512 of a segment of 20 MiB.
    _ = try take(mebibyte + 1, from: &memory)
    #expect(memory.allocated == 512 + mebibyte + 512)
    #expect(memory.reserved == 22 * mebibyte)
    // 10 MiB of the 19 MiB − 512 that are left of it; then 9 MiB − 512 are, too few.
    _ = try take(10 * mebibyte, from: &memory)
    #expect(memory.reserved == 22 * mebibyte)
    _ = try take(10 * mebibyte, from: &memory)
    #expect(memory.reserved == 32 * mebibyte)
    // Beyond 10 MiB in steps of 2 MiB; 1 MiB − 512 would be left, too little to cut off.
    let before = memory.allocated
    _ = try take(11 * mebibyte + 1, from: &memory)
    #expect(memory.reserved == 44 * mebibyte)
    #expect(memory.allocated - before == 12 * mebibyte)
  }

  @Test("the smallest block that fits is taken")
  func bestFit() throws {
    var memory = allocator()
    let large = try take(30 * mebibyte, from: &memory)
    let small = try take(20 * mebibyte, from: &memory)
    memory.give(large)
    memory.give(small)
    // From the 20, so that 30 still fit.
    _ = try take(15 * mebibyte, from: &memory)
    _ = try take(30 * mebibyte, from: &memory)
    #expect(memory.reserved == 50 * mebibyte)
  }

  @Test("free neighbours of a segment join, others do not")
  func joining() throws {
    var memory = allocator()
    memory.give(try take(30 * mebibyte, from: &memory))
    let first = try take(10 * mebibyte, from: &memory)
    let middle = try take(10 * mebibyte, from: &memory)
    let last = try take(10 * mebibyte, from: &memory)
    memory.give(first)
    memory.give(last)
    // Twice 10 MiB with a tensor between.
    let other = try take(20 * mebibyte, from: &memory)
    #expect(memory.reserved == 50 * mebibyte)
    memory.give(middle)
    memory.give(other)
    _ = try take(30 * mebibyte, from: &memory)
    #expect(memory.reserved == 50 * mebibyte)
    #expect(memory.allocated == 30 * mebibyte)
    #expect(memory.peakAllocated == 30 * mebibyte)
  }

  @Test("a lent block is free when the device has come past it")
  func lending() throws {
    var memory = allocator()
    func giveLent(_ memory: inout CachingAllocator) throws {
      let block = try take(16 * mebibyte, from: &memory)
      memory.lend(block)
      memory.give(block)
    }
    // A device that keeps up: at once.
    try giveLent(&memory)
    try giveLent(&memory)
    #expect(memory.reserved == 16 * mebibyte)
    // One that is 10 entries behind.
    memory.lag = 10
    memory.issue(9)
    try giveLent(&memory)
    #expect(memory.reserved == 32 * mebibyte)
    memory.issue(1)
    // The first was given back before 10 entries.
    try giveLent(&memory)
    #expect(memory.reserved == 32 * mebibyte)
    try giveLent(&memory)
    #expect(memory.reserved == 48 * mebibyte)
    // The host waits for it.
    memory.synchronize()
    for _ in 0..<3 { _ = try take(16 * mebibyte, from: &memory) }
    #expect(memory.reserved == 48 * mebibyte)
  }

  @Test("for want of memory whole free segments go back, lent ones included")
  func emptying() throws {
    var memory = allocator(capacity: 64 * mebibyte)
    memory.lag = 1_000
    let lent = try take(20 * mebibyte, from: &memory)
    memory.lend(lent)
    memory.give(lent)
    let held = try take(12 * mebibyte, from: &memory)
    // 20 + 12 + 40 are too many; 12 + 40 are not.
    _ = try take(40 * mebibyte, from: &memory)
    #expect(memory.flushes == 1)
    #expect(memory.reserved == 52 * mebibyte)
    let none = memory.take(14 * mebibyte)
    #expect(none == nil)
    memory.give(held)
    _ = try take(12 * mebibyte, from: &memory)
    #expect(memory.reserved == 52 * mebibyte)
  }
}

@Suite("Steps played to the allocator")
struct CacheReplayTests {
  private func compiler(
    _ parallelism: Parallelism, microbatches: Int = 4, tied: Bool = false
  ) throws -> StepCompiler {
    StepCompiler(
      job: try SmallJobs.job(
        parallelism, model: SmallJobs.model(tied: tied), microbatches: microbatches,
        framework: .nanotron))
  }

  @Test("steps in which nothing runs again are played alike; thousands of passes in flight are not")
  func played() throws {
    func outcome(_ recompute: Recompute) throws -> CacheReplay.Outcome? {
      var job = try SmallJobs.job(Parallelism(tensor: 2, data: 1), framework: .nanotron)
      job.training.recompute = recompute
      job.training.attention = .flash2
      return StepCompiler.compile(job).stages[0].cache
    }
    let plain = try #require(try outcome(.none))
    #expect(try outcome(.selective) == plain)
    #expect(try outcome(.full) == nil)
    func piped(_ microbatches: Int) throws -> CacheReplay.Outcome? {
      let layout = Parallelism(pipeline: 2, schedule: .gpipe, data: 1)
      return StepCompiler.compile(
        try SmallJobs.job(layout, microbatches: microbatches, framework: .nanotron)
      ).stages[0].cache
    }
    #expect(try piped(8) != nil)
    #expect(try piped(1_000) == nil)
  }

  /// Bytes of the slots that are held after `moves`; each is taken once and given back once at most.
  private func held(
    after moves: [TensorMove], from start: [Int: Int64] = [:]
  ) -> [Int: Int64] {
    var held = start
    for move in moves {
      switch move {
      case .take(let slot, let bytes):
        #expect(held[slot] == nil && bytes > 0)
        held[slot] = bytes
      case .give(let slot):
        #expect(held[slot] != nil)
        held[slot] = nil
      case .lend(let slot): #expect(held[slot] != nil)
      // Two pieces of 4 MiB and eight of 16 KiB: the jobs are of A100s.
      case .keep(let bytes): #expect(bytes == 8_320 * 1_024)
      case .issue: break
      }
    }
    return held
  }

  @Test(
    "a forward pass leaves what is kept, a backward pass nothing",
    arguments: [(1, 1), (2, 1), (1, 2), (4, 4)])
  func kept(tensor: Int, stages: Int) throws {
    var compiler = try compiler(
      Parallelism(tensor: tensor, sequence: tensor > 1, pipeline: stages, data: 1))
    for stage in 0..<stages {
      for counts in compiler.states.chunks(ofStage: stage) {
        let chunk = compiler.chunkBlocks(counts)
        let moves = try #require(chunk.moves)
        let kept = held(after: moves.forward)
        #expect(kept.values.reduce(0, +) == chunk.saved)
        #expect(held(after: moves.backward, from: kept).isEmpty)
        // Weights once: 12 × 1,024² a layer, the table and the projection 32,000 × 1,024.
        let layers: Int64 = Int64(counts.chunk.layers.count) * 12 * 1_024 * 1_024
        let ends: Int64 = (counts.chunk.hasEmbedding ? 1 : 0) + (counts.chunk.hasHead ? 1 : 0)
        let weights = (layers + ends * 32_000 * 1_024) / Int64(tensor)
        #expect(moves.weights.reduce(0, +) == weights)
      }
    }
  }

  @Test("a table that is the output projection's weight too has its moments once")
  func tiedTable() throws {
    var compiler = try compiler(Parallelism(data: 1), tied: true)
    let counts = try #require(compiler.states.chunks(ofStage: 0).first)
    let moves = try #require(compiler.chunkBlocks(counts).moves)
    let weights: Int64 = 8 * 12 * 1_024 * 1_024 + 32_000 * 1_024
    #expect(moves.weights.reduce(0, +) == weights)
  }

  @Test("two steps of one tensor kept and one scattered")
  func steps() throws {
    var moves = ChunkMoves()
    moves.slotCount = 2
    moves.forward = [
      .take(slot: 0, bytes: 40 * mebibyte), .take(slot: 1, bytes: 20 * mebibyte),
      .lend(slot: 1), .issue(10), .give(slot: 1),
    ]
    moves.backward = [.give(slot: 0)]
    moves.weights = [mebibyte]
    var replay = CacheReplay()
    replay.resident = [100 * mebibyte]
    replay.chunks = [moves]
    let turns = PipelineSchedule.oneForwardOneBackward.turns(
      rank: 0, ranks: 1, chunks: 1, microbatches: 3)
    // A device that keeps up: 100 + 40 + 20.
    let close = try #require(replay.play(turns, capacity: 1_000 * mebibyte))
    #expect(close.reserved == 160 * mebibyte)
    #expect(close.peakAllocated == 160 * mebibyte)
    // A device that has done nothing yet, up to 25 entries behind: what the microbatches before
    // scattered is not free yet, 3 × 20 in a step.
    replay.lead.depth = 25
    replay.lead.share = 1
    let far = try #require(replay.play(turns, capacity: 1_000 * mebibyte))
    #expect(far.reserved == 200 * mebibyte)
    #expect(far.peakAllocated == 160 * mebibyte)
    // Half of the entries behind: the second microbatch finds 5 of 10 done; the third 10 of 20, so that
    // the first one's block serves again.
    replay.lead.share = 0.5
    let half = try #require(replay.play(turns, capacity: 1_000 * mebibyte))
    #expect(half.reserved == 180 * mebibyte)
    // Two moments of 4 bytes for each of 2^20 elements take 2 × 4 MiB of the smaller of the blocks the
    // first step has left, of 20 MiB: the second needs another.
    replay.lead.depth = 0
    replay.momentBytes = 8
    let states = try #require(replay.play(turns, capacity: 1_000 * mebibyte))
    #expect(states.reserved == 180 * mebibyte)
    // Two of 30 MiB: one splits the block of 40, one needs a segment, and the second step another 40.
    replay.momentBytes = 60
    #expect(try #require(replay.play(turns, capacity: 1_000 * mebibyte)).reserved == 230 * mebibyte)
    // One of 60 leaves both blocks alone.
    replay.moments = 1
    #expect(try #require(replay.play(turns, capacity: 1_000 * mebibyte)).reserved == 220 * mebibyte)
    // Too little for both.
    #expect(replay.play(turns, capacity: 150 * mebibyte) == nil)
  }

  @Test("the workspace of the backward pass is cut once out of what is free, and stays")
  func workspace() throws {
    var moves = ChunkMoves()
    moves.slotCount = 2
    moves.forward = [
      .take(slot: 0, bytes: 40 * mebibyte), .take(slot: 1, bytes: 30 * mebibyte), .give(slot: 1),
    ]
    moves.backward = [.keep(bytes: 10 * mebibyte), .give(slot: 0)]
    var replay = CacheReplay()
    replay.chunks = [moves]
    func reserved(_ microbatches: Int) throws -> Int64 {
      let turns = PipelineSchedule.oneForwardOneBackward.turns(
        rank: 0, ranks: 1, chunks: 1, microbatches: microbatches)
      return try #require(replay.play(turns, capacity: 1_000 * mebibyte)).reserved
    }
    // 10 of the 30 that are free, so that the next pass finds 20 and takes another 30: in the second
    // microbatch, or with one only in the second step. Ten of them more would go on taking.
    #expect(try reserved(1) == 100 * mebibyte)
    #expect(try reserved(3) == 100 * mebibyte)
  }

  @Test("a message between stages is 14 entries of the queue: three transfers, two copies")
  func messages() throws {
    func entries(_ stages: Int) throws -> [Int] {
      var compiler = try compiler(Parallelism(pipeline: stages, data: 1))
      return try (0..<stages).map { stage in
        let counts = try #require(compiler.states.chunks(ofStage: stage).first)
        return try #require(compiler.chunkBlocks(counts).moves).entries
      }
    }
    // The first stage sends an activation and receives a gradient, so does the last the other way
    // round; together they compute what one stage does.
    #expect(try entries(2).reduce(0, +) == entries(1).reduce(0, +) + 2 * 2 * 14)
  }

  @Test("moments are played in their own format and number; not where they differ by tensor")
  func moments() throws {
    func played(
      _ optimizer: Optimizer, _ format: NumberFormat? = nil
    ) throws -> CacheReplay.Outcome? {
      var job = try SmallJobs.job(Parallelism(), framework: .nanotron)
      job.training.optimizer = optimizer
      job.training.momentFormat = format
      return StepCompiler.compile(job).stages[0].cache
    }
    let wide = try #require(try played(.adamw))
    let narrow = try #require(try played(.adamw, .bf16))
    let single = try #require(try played(.lion))
    // Two bytes instead of four of two moments, or one moment of two: 4 bytes a parameter less of 166 M,
    // but for what rounding to segments of 20 MiB and more leaves over.
    let less = 4 * Int64(SmallJobs.model().parameterCount)
    for outcome in [narrow, single] {
      #expect(abs(wide.reserved - outcome.reserved - less) < less / 5)
    }
    let others = [try played(.muon), try played(.adafactor)]
    #expect(others == [nil, nil])
  }

  @Test("how far a host gets ahead")
  func lead() {
    // Host-bound: 2 % of 16 × 1,400 entries; of 64 × 1,400 more than the queue holds.
    let hostBound = HostLead(depth: 1_024, share: HostLead.share(issue: 100, busy: 50))
    #expect(hostBound.entries(behind: 16 * 1_400) == 448)
    #expect(hostBound.entries(behind: 64 * 1_400) == 1_024)
    // A device that takes four times as long: three quarters.
    let deviceBound = HostLead(depth: 1_024, share: HostLead.share(issue: 25, busy: 100))
    #expect(deviceBound.entries(behind: 1_000) == 750)
    var lead = HostLead(depth: 1_024, waitsForMessages: true, stagesBehind: 3)
    // In step until the second message; from the first gradient on again.
    #expect(lead.entries(sent: 1, hasReceived: false) == 0)
    #expect(lead.entries(sent: 2, hasReceived: false) == 1_024)
    #expect(lead.entries(sent: 4, hasReceived: true) == 0)
    // The last stage but one sends no second message before it receives.
    lead.stagesBehind = 1
    #expect(lead.entries(sent: 2, hasReceived: false) == 0)
    lead.isDeviceBound = true
    #expect(lead.entries(sent: 0, hasReceived: true) == 1_024)
    lead.stalls = true
    #expect(lead.entries(sent: 0, hasReceived: true) == 0)
    // An entry for each of the ranks whose hosts a collective waits for.
    lead.tensorRanks = 32
    #expect(lead.entries(sent: 0, hasReceived: true) == 32)
    lead.stalls = false
    lead.isDeviceBound = false
    #expect(lead.entries(sent: 2, hasReceived: false) == 32)
  }

  @Test("buckets stay where data-parallel ranks hold the same, fresh gradients while a pass lasts")
  func gradients() throws {
    func resident(_ parallelism: Parallelism) throws -> Int64 {
      let program = StepCompiler.compile(
        try SmallJobs.job(parallelism, framework: .nanotron))
      return program.stages[0].resident[MemoryCategory.gradients.rawValue]
    }
    // 8 layers of 12 × 1,024² and two norms, two tables of 32,000 × 1,024, a last norm.
    let layer: Int64 = 12 * 1_024 * 1_024 + 2 * 1_024
    let count: Int64 = 8 * layer + 2 * 32_000 * 1_024 + 1_024
    #expect(try resident(Parallelism(data: 1)) == 4 * count)
    #expect(try resident(Parallelism(data: 2)) == 6 * count)
    #expect(try resident(Parallelism(data: 2, zero: 1)) == 4 * count)
  }
}
