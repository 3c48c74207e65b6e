import StepProgram

/// The slots of a stage's program in as few places as are in use at once.
///
/// A program has a slot for every bucket of every layer; what one holds is needed from the collective's
/// launch to the wait for it, or from a mark to the last hold for it. Places of slots that are never
/// in use together are shared.
struct FullSimulationSlots {
  /// The place of the slot an instruction names.
  ///
  /// Zero for one without, and for one that nothing was put into, which nothing is ever put into either.
  private(set) var places: [Int32]
  /// Places in use at once at most, the empty one included.
  private(set) var count = 1

  /// Where a slot stands while it is passed over.
  private struct Use {
    var place: Int32
    /// The last instruction that reads a mark; nothing is known of a launch's before its wait.
    var last: Int
    var isMark: Bool
  }

  init(_ instructions: [Instruction]) {
    places = Array(repeating: 0, count: instructions.count)
    let ends = Self.ends(instructions)
    var open: [Int: Use] = [:]
    var free: [Int32] = []
    for (index, instruction) in instructions.enumerated() {
      switch instruction {
      case .launch(_, _, let slot):
        if open[slot] == nil { open[slot] = Use(place: take(&free), last: .max, isMark: false) }
        places[index] = open[slot]?.place ?? 0
      case .mark(let slot):
        // What nobody reads is kept nowhere in particular, but not where others look.
        let use = Use(place: open[slot]?.place ?? take(&free), last: ends[index], isMark: true)
        open[slot] = use
        places[index] = use.place
        if use.last < 0 { close(slot, &open, &free) }
      case .wait(let slot, _), .holdData(let slot):
        guard let use = open[slot] else { continue }
        places[index] = use.place
        if use.isMark ? index == use.last : Self.isWait(instruction) {
          close(slot, &open, &free)
        }
      default: break
      }
    }
  }

  private mutating func take(_ free: inout [Int32]) -> Int32 {
    if let place = free.popLast() { return place }
    count += 1
    return Int32(count - 1)
  }

  private func close(_ slot: Int, _ open: inout [Int: Use], _ free: inout [Int32]) {
    if let use = open.removeValue(forKey: slot) { free.append(use.place) }
  }

  private static func isWait(_ instruction: Instruction) -> Bool {
    if case .wait = instruction { true } else { false }
  }

  /// Of each mark the last instruction that reads it before the slot is written again.
  ///
  /// Negative when none does.
  private static func ends(_ instructions: [Instruction]) -> [Int] {
    var ends = Array(repeating: -1, count: instructions.count)
    var lastRead: [Int: Int] = [:]
    for index in instructions.indices.reversed() {
      switch instructions[index] {
      case .wait(let slot, _), .holdData(let slot):
        if lastRead[slot] == nil { lastRead[slot] = index }
      case .mark(let slot):
        ends[index] = lastRead.removeValue(forKey: slot) ?? -1
      case .launch(_, _, let slot): lastRead[slot] = nil
      default: break
      }
    }
    return ends
  }
}

extension Instruction {
  /// The instruction with its slot at `place`.
  func withSlot(at place: Int32) -> Instruction {
    switch self {
    case .launch(let call, let afterCompute, _):
      .launch(call: call, afterCompute: afterCompute, slot: Int(place))
    case .wait(_, let category): .wait(slot: Int(place), category)
    case .mark: .mark(slot: Int(place))
    case .holdData: .holdData(slot: Int(place))
    default: self
    }
  }
}
