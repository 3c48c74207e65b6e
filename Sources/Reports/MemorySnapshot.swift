public import StepProgram
public import StepSimulation

/// A rank's memory over the step as PyTorch's allocator would record it, for the page pytorch.org/memory_viz.
///
/// The format is that of `torch.cuda.memory._snapshot` (PyTorch, `torch/cuda/memory.py`): segments
/// with the blocks they hold at the end, and each allocation and release in order. What the simulation
/// counts at once is one block here, named after what runs; blocks lie at the lowest address with room.
public struct MemorySnapshot {
  /// A block that is in use.
  private struct Block {
    var address: Int64
    var size: Int64
    var category: Int
    var name: String
  }

  /// Blocks in use, by address.
  private var live: [Block] = []
  /// Blocks in use of each category, the newest last, as addresses.
  private var order = [[Int64]](repeating: [], count: MemoryCategory.allCases.count)
  private var events: [PickleValue] = []
  /// One past the highest address used.
  private var top: Int64
  /// Where the segment begins; any address but 0.
  private static let base: Int64 = 1 << 40

  /// The snapshot of a stage's rank.
  ///
  /// - Parameters:
  ///   - timeline: from `FoldedSimulation.memoryTimeline`.
  ///   - program: what was simulated.
  ///   - stage: whose ranks.
  public init(_ timeline: [MemoryMoment], of program: StepProgram, stage: Int) {
    top = Self.base
    for item in program.stages[stage].items {
      allocate(item.bytes, item.category.rawValue, item.name, at: 0)
    }
    var held = program.stages[stage].resident
    for moment in timeline {
      let name = moment.phase.map { program.name(of: $0) } ?? "start"
      for category in held.indices {
        let change = moment.held[category] - held[category]
        if change < 0 { release(-change, category, at: moment.picoseconds) }
        if change > 0 { allocate(change, category, name, at: moment.picoseconds) }
      }
      held = moment.held
    }
  }

  /// Takes `size` bytes at the lowest address with room.
  private mutating func allocate(_ size: Int64, _ category: Int, _ name: String, at time: Int64) {
    var address = Self.base
    var index = 0
    while index < live.count, live[index].address - address < size {
      address = live[index].address + live[index].size
      index += 1
    }
    live.insert(
      Block(address: address, size: size, category: category, name: name), at: index)
    order[category].append(address)
    top = max(top, address + size)
    record("alloc", live[index], at: time)
  }

  /// Gives `size` bytes of a category back, the newest first; a block of which some stays is cut.
  private mutating func release(_ size: Int64, _ category: Int, at time: Int64) {
    var left = size
    while left > 0, let address = order[category].popLast(),
      let index = live.firstIndex(where: { $0.address == address })
    {
      let block = live.remove(at: index)
      record("free_requested", block, at: time)
      record("free_completed", block, at: time)
      if block.size > left {
        var rest = block
        rest.size -= left
        live.insert(rest, at: index)
        order[category].append(rest.address)
        record("alloc", rest, at: time)
      }
      left -= block.size
    }
  }

  private static let categories = [
    "parameters", "gradients", "optimizer", "activations", "buffers", "runtime",
  ]

  private func frames(_ block: Block) -> PickleValue {
    .list([
      .dictionary([
        ("filename", .text(Self.categories[block.category])), ("line", .integer(0)),
        ("name", .text(block.name)),
      ])
    ])
  }

  private mutating func record(_ action: String, _ block: Block, at time: Int64) {
    events.append(
      .dictionary([
        ("action", .text(action)), ("addr", .integer(block.address)),
        ("size", .integer(block.size)), ("stream", .integer(0)),
        ("time_us", .integer(time / 1_000_000)),
        ("category", .text(Self.categories[block.category])),
        ("frames", frames(block)),
      ]))
  }

  /// The snapshot as a pickle.
  public var pickle: [UInt8] {
    let total = top - Self.base
    var blocks: [PickleValue] = []
    var end = Self.base
    func add(_ address: Int64, _ size: Int64, _ state: String, _ frames: PickleValue) {
      blocks.append(
        .dictionary([
          ("address", .integer(address)), ("size", .integer(size)),
          ("requested_size", .integer(size)), ("state", .text(state)), ("frames", frames),
        ]))
    }
    for block in live {
      if block.address > end { add(end, block.address - end, "inactive", .list([])) }
      add(block.address, block.size, "active_allocated", frames(block))
      end = block.address + block.size
    }
    if top > end { add(end, top - end, "inactive", .list([])) }
    let used = live.reduce(0) { $0 + $1.size }
    let segment = PickleValue.dictionary([
      ("device", .integer(0)), ("address", .integer(Self.base)), ("total_size", .integer(total)),
      ("allocated_size", .integer(used)), ("active_size", .integer(used)),
      ("requested_size", .integer(used)), ("stream", .integer(0)), ("segment_type", .text("large")),
      ("segment_pool_id", .list([.integer(0), .integer(0)])), ("is_expandable", .flag(false)),
      ("frames", .list([])), ("blocks", .list(blocks)),
    ])
    let opening = PickleValue.dictionary([
      ("action", .text("segment_alloc")), ("addr", .integer(Self.base)), ("size", .integer(total)),
      ("stream", .integer(0)), ("time_us", .integer(0)), ("frames", .list([])),
      // The page stumbles over traces with categories but without this one (`annotate_snapshot` of
      // PyTorch's `torch/utils/viz/MemoryViz.js`).
      ("category", .text("unknown")),
    ])
    return Pickle.bytes(
      .dictionary([
        ("segments", .list([segment])), ("device_traces", .list([.list([opening] + events)])),
        ("allocator_settings", .dictionary([])), ("external_annotations", .list([])),
      ]))
  }
}
