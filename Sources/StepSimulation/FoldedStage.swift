import StepProgram

/// A stage's program as its ranks run it when nobody records them.
///
/// Without what only the memory ledger asks for, but for the instruction at which they hold most.
struct FoldedStage {
  /// What they do, in order.
  private(set) var instructions: [Instruction] = []
  /// What they hold.
  let memory: StageMemory
  /// How often they run each block of the program.
  private let runs: [Int64]
  /// Floating-point operations on the matrix units, added in the order of the step.
  private(set) var flops = 0.0

  init(_ stage: StageProgram, of program: StepProgram) {
    memory = StageMemory(stage)
    var runs = [Int64](repeating: 0, count: program.blocks.count)
    instructions.reserveCapacity(memory.otherInstructions + 1)
    for (origin, instruction) in stage.instructions.enumerated() {
      switch instruction {
      case .memory, .scratch, .phase:
        guard origin == memory.peakInstruction else { continue }
      case .run(let block): runs[block] += 1
      default: break
      }
      instructions.append(instruction)
    }
    self.runs = runs
    for case .run(let block) in instructions { flops += program.blocks[block].flops }
  }

  /// Device time of all their blocks, by category.
  ///
  /// - Precondition: the step has been run to its end: then no sum of its parts is too long.
  func busy(in program: StepProgram) -> [Int64] {
    var busy = [Int64](repeating: 0, count: TimeCategory.allCases.count)
    for (block, count) in zip(program.blocks, runs) where count > 0 {
      for (category, time) in block.busyByCategory.enumerated() { busy[category] += count * time }
    }
    return busy
  }

  /// Where the program of `stage` has this one's instruction `counter`.
  func origin(of counter: Int, in stage: StageProgram) -> Int {
    var left = counter
    for (origin, instruction) in stage.instructions.enumerated() {
      switch instruction {
      case .memory, .scratch, .phase:
        guard origin == memory.peakInstruction else { continue }
      default: break
      }
      if left == 0 { return origin }
      left -= 1
    }
    return stage.instructions.count
  }
}
