import StepProgram

/// What a stage's ranks hold in the course of a step.
///
/// It follows from their program alone; when the peak comes is for the simulation to tell.
struct StageMemory {
  /// The ledger at the end of the step, all times 0.
  private(set) var ledger: MemoryLedger
  /// The instruction from which on they hold most; negative at rest.
  private(set) var peakInstruction = -1
  /// Instructions that change nothing they hold.
  private(set) var otherInstructions = 0

  init(_ stage: StageProgram) {
    ledger = MemoryLedger(resident: stage.resident)
    var peak = ledger.peak
    for (index, instruction) in stage.instructions.enumerated() {
      switch instruction {
      case .memory(let category, let bytes): ledger.change(category, by: bytes, at: 0)
      case .scratch(let category, let bytes): ledger.scratch(category, bytes, at: 0)
      case .phase(let phase): ledger.phase = phase
      default:
        otherInstructions += 1
        continue
      }
      if ledger.peak > peak {
        peak = ledger.peak
        peakInstruction = index
      }
    }
  }
}
