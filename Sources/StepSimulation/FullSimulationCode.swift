import Collectives
import Layout
import Quantities
import StepProgram

/// The programs of all stages laid out flat, with what each instruction needs to be run out of order.
///
/// The data stream is interpreted beside the compute stream, ahead of it or behind it.
struct FullSimulationCode {
  /// A block's pieces in ``leaves``.
  struct BlockRange {
    var first: Int32
    var end: Int32
    /// Its effect on a rank that meets nobody who is later.
    var summary: WorkSummary
    /// Sum of its busy time in all categories, picoseconds.
    var busy: Int64
    /// Where the time of its kernels counts.
    var kernelCategory: Int32
    /// Results the host reads in it.
    var reads: Int32
    /// Host time to issue its pieces, picoseconds.
    var issued: Int64

    var range: Range<Int> { Int(first)..<Int(end) }
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
    /// Index of the instruction at which the rank holds most; negative when it holds most at rest.
    var peakInstruction: Int
    /// Time of all its blocks by category as the program says, picoseconds.
    var busy: [Int64]
    var ledger: MemoryLedger
    var flops: Double
  }

  /// What the ranks do, stage after stage, without what only the memory ledger asks for.
  private(set) var instructions: [Instruction] = []
  /// Place of each in its stage's program.
  private(set) var origins: [Int32] = []
  /// For each instruction: of a wait, the data operations that must be done (global ordinal past
  /// the last one); of a data operation, its global ordinal.
  private(set) var related: [Int32] = []
  private(set) var operations: [DataOperation] = []
  private(set) var stages: [Stage] = []
  private(set) var leaves: [Leaf] = []
  private(set) var blocks: [BlockRange] = []
  /// Stage that sends into each lane and stage that receives from it; negative for none.
  private(set) var sender: [Int]
  private(set) var receiver: [Int]
  /// Position of a lane among those its receiver receives from.
  private(set) var position: [Int]
  /// Places for slots a rank needs.
  private(set) var slotCount = 1
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
          summary: block.summary, busy: block.busyByCategory.reduce(0, +),
          kernelCategory: Int32(block.kernelCategory.rawValue),
          reads: Int32(block.leaves.count { $0.waits }),
          issued: block.leaves.reduce(0) { $0 + $1.issue }))
      leaves += block.leaves
    }
    for index in program.stages.indices { append(index, of: program) }
  }

  private mutating func append(_ index: Int, of program: StepProgram) {
    let stage = program.stages[index]
    let start = instructions.count
    let firstOperation = operations.count
    let memory = StageMemory(stage)
    let slots = FullSimulationSlots(stage.instructions)
    slotCount = max(slotCount, slots.count)
    var peakInstruction = -1
    var issued: Int64 = 0
    var reads: Int32 = 0
    var flops = 0.0
    var busy = [Int64](repeating: 0, count: TimeCategory.allCases.count)
    var lastMeeting = start
    var lastMark = Array(repeating: start, count: slots.count)
    var lastLaunch = Array(repeating: firstOperation, count: slots.count)
    var lanes = 0
    for (origin, original) in stage.instructions.enumerated() {
      let position = instructions.count
      let instruction = original.withSlot(at: slots.places[origin])
      var relation = 0
      switch instruction {
      case .run(let block):
        issued += blocks[block].issued
        reads += blocks[block].reads
        flops += program.blocks[block].flops
        for (category, time) in program.blocks[block].busyByCategory.enumerated() {
          busy[category] += time
        }
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
      case .memory, .scratch, .phase:
        guard origin == memory.peakInstruction else { continue }
        peakInstruction = position
      }
      instructions.append(instruction)
      origins.append(Int32(origin))
      related.append(Int32(relation))
    }
    receivedLanes = max(receivedLanes, lanes)
    stages.append(
      Stage(
        instructions: start..<instructions.count, operations: firstOperation..<operations.count,
        peakInstruction: peakInstruction, busy: busy, ledger: memory.ledger,
        flops: flops))
  }
}
