import Collectives
import Layout
import Quantities
import StepProgram

/// The programs of all stages laid out flat, with what each instruction needs to be run out of
/// order: the data stream is interpreted beside the compute stream, ahead of it or behind it.
struct FullSimulationCode {
  /// A block's pieces in ``leaves``.
  struct BlockRange {
    var first: Int32
    var end: Int32
    /// Sum of ``busyByCategory``, picoseconds.
    var busy: Int64
    /// Where the time of its kernels counts.
    var kernelCategory: Int32
    /// Results the host reads in it.
    var reads: Int32
    /// Host time to issue its pieces, picoseconds.
    var issued: Int64
  }

  /// Something the data stream does, in program order.
  struct DataOperation {
    /// The collective; negative when the stream only waits for a slot.
    var call: Int32
    var slot: Int32
    /// Instructions the program must have passed before the operation can begin.
    var required: Int32
    /// Host time issued by the program before it, picoseconds.
    var issued: Int64
    /// Results the host reads before it (``WorkSummary/readback``): they set its clock.
    var reads: Int32
  }

  /// A pipeline stage's part of the arrays.
  struct Stage {
    var instructions: Range<Int>
    var operations: Range<Int>
    /// Global index of the instruction at which the rank holds most; negative when it holds most
    /// at rest.
    var peakInstruction: Int
    var ledger: MemoryLedger
    var flops: Double
  }

  /// All instructions, stage after stage.
  private(set) var instructions: [Instruction] = []
  /// For each instruction: of a wait, the data operations that must be done (global ordinal past
  /// the last one); of a data operation, its global ordinal.
  private(set) var related: [Int32] = []
  private(set) var operations: [DataOperation] = []
  private(set) var stages: [Stage] = []
  private(set) var leaves: [Leaf] = []
  private(set) var blocks: [BlockRange] = []
  /// Busy time of block b in category c at b × categories + c.
  private(set) var busy: [Int64] = []
  /// Stage that sends into each lane and stage that receives from it; negative for none.
  private(set) var sender: [Int]
  private(set) var receiver: [Int]
  /// Position of a lane among those its receiver receives from.
  private(set) var position: [Int]
  /// Most lanes that one stage receives from.
  private(set) var receivedLanes = 0

  init(_ program: StepProgram) {
    sender = Array(repeating: -1, count: program.laneCount)
    receiver = sender
    position = sender
    for block in program.blocks {
      blocks.append(
        BlockRange(
          first: Int32(leaves.count), end: Int32(leaves.count + block.leaves.count),
          busy: block.busyByCategory.reduce(0, +),
          kernelCategory: Int32(block.kernelCategory.rawValue),
          reads: Int32(block.leaves.count { $0.waits }),
          issued: block.leaves.reduce(0) { $0 + $1.issue }))
      leaves += block.leaves
      busy += block.busyByCategory
    }
    for index in program.stages.indices { append(index, of: program) }
  }

  private mutating func append(_ index: Int, of program: StepProgram) {
    let stage = program.stages[index]
    let start = instructions.count
    let firstOperation = operations.count
    var ledger = MemoryLedger(resident: stage.resident)
    var peak = ledger.peak
    var peakInstruction = -1
    var issued: Int64 = 0
    var reads: Int32 = 0
    var flops = 0.0
    var lastMeeting = start
    var lastMark = Array(repeating: start, count: program.slotCount)
    var lastLaunch = Array(repeating: firstOperation, count: program.slotCount)
    var lanes = 0
    for (offset, instruction) in stage.instructions.enumerated() {
      let position = start + offset
      var relation = 0
      switch instruction {
      case .run(let block):
        issued += blocks[block].issued
        reads += blocks[block].reads
        flops += program.blocks[block].flops
      case .launch(let call, let afterCompute, let slot):
        relation = operations.count
        operations.append(
          DataOperation(
            call: Int32(call), slot: Int32(slot),
            required: Int32(afterCompute ? position + 1 : lastMeeting), issued: issued,
            reads: reads))
        lastLaunch[slot] = operations.count
      case .wait(let slot, _): relation = lastLaunch[slot]
      case .mark(let slot): lastMark[slot] = position + 1
      case .holdData(let slot):
        relation = operations.count
        operations.append(
          DataOperation(
            call: -1, slot: Int32(slot), required: Int32(lastMark[slot]), issued: issued,
            reads: 0))
      case .send(let lane, _, _, _, _): sender[lane] = index
      case .receive(let lane, _):
        if receiver[lane] < 0 {
          receiver[lane] = index
          self.position[lane] = lanes
          lanes += 1
        }
      case .synchronizeHost, .meet: lastMeeting = position + 1
      case .memory(let category, let bytes): ledger.change(category, by: bytes, at: 0)
      case .scratch(let category, let bytes): ledger.scratch(category, bytes, at: 0)
      case .phase(let phase): ledger.phase = phase
      }
      if ledger.peak > peak {
        peak = ledger.peak
        peakInstruction = position
      }
      related.append(Int32(relation))
    }
    instructions += stage.instructions
    receivedLanes = max(receivedLanes, lanes)
    stages.append(
      Stage(
        instructions: start..<instructions.count, operations: firstOperation..<operations.count,
        peakInstruction: peakInstruction, ledger: ledger, flops: flops))
  }
}

/// Where the groups of one axis lie, and who stands where in them.
struct FullSimulationGroups {
  /// Steps of the pattern, fastest first: (count, stride).
  private var levels: [StridedGroup.Level]
  /// Of the pairs of first and last stage, how the stages lie; `nil` for any other group.
  private var stages: StridedGroup.Level?
  /// Members of a group.
  let size: Int

  /// The pipelines: one rank of each stage.
  init(pipelineOf grid: RankGrid) {
    levels = grid.group(.pipeline, containing: 0).levels
    size = grid.parallelism.pipeline
  }

  init(_ axis: CommunicationAxis, grid: RankGrid) {
    let parallelism = grid.parallelism
    let stage = StridedGroup.Level(count: parallelism.pipeline, stride: grid.stride(.pipeline))
    if let kind = axis.groupKind {
      levels = grid.group(kind, containing: 0).levels
    } else if axis == .embedding {
      let last = (parallelism.pipeline - 1) * grid.stride(.pipeline)
      stages = stage
      levels = [StridedGroup.Level(count: min(2, parallelism.pipeline), stride: max(last, 1))]
    } else {
      levels = [
        StridedGroup.Level(count: parallelism.tensor, stride: grid.stride(.tensor)), stage,
      ]
    }
    size = levels.reduce(1) { $0 * $1.count }
  }

  /// The number of `rank` in its group and the rank of its first member.
  func membership(of rank: Int) -> (member: Int, first: Int) {
    if let stages {
      let place = rank / stages.stride % stages.count
      return (min(place, size - 1), rank - place * stages.stride)
    }
    var first = rank
    var member = 0
    var weight = 1
    for level in levels {
      let step = rank / level.stride % level.count
      first -= step * level.stride
      member += step * weight
      weight *= level.count
    }
    return (member, first)
  }

  /// The rank of `member` in the group that begins at `first`.
  func rank(of member: Int, first: Int) -> Int {
    var rank = first
    var rest = member
    for index in levels.indices {
      let level = levels[index]
      if index == levels.count - 1 { return rank + rest * level.stride }
      rank += rest % level.count * level.stride
      rest /= level.count
    }
    return rank
  }
}
