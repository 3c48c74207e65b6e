import EventKernel
import Quantities
import StepProgram

/// The data stream of a rank, interpreted beside its program.
///
/// A launch that waits for nothing the compute stream does begins when the host has issued it, which may be
/// long before the program's own clock comes to it.
extension FullSimulationModel {
  /// Data operations that are over.
  func operationsDone(_ local: Int) -> Int32 {
    states[local].nextOperation - (actives[2 * local + 1].isBusy ? 1 : 0)
  }

  /// The program comes to a data operation: it may begin at `ready`, or is over already.
  mutating func reach(operation: Int, _ local: Int, ready: Int64) {
    let isDone = operation < Int(operationsDone(local))
    states[local].reached = Int32(operation + 1)
    let description = code.operations[operation]
    if operation >= Int(states[local].nextOperation) {
      backlogs.append(ready, to: local)
    } else if isDone, description.call >= 0 {
      let end = backlogs.removeFirst(of: local)
      let active = backlogs.removeFirst(of: local)
      settle(local, operation, end: end, active: active)
    }
  }

  /// A data operation of the program is over.
  private mutating func settle(_ local: Int, _ operation: Int, end: Int64, active: Int64) {
    let description = code.operations[operation]
    let position = local * slotCount + Int(description.slot)
    let interference = program.calls[Int(description.call)].interference
    slots[position].end = end
    slots[position].active += active
    slots[position].cost += Int64(Double(active) * interference)
  }

  /// Begins what the data stream can begin.
  mutating func advanceData(_ local: Int, _ context: inout EventContext) {
    let end = code.stages[stage(of: local)].operations.upperBound
    while Int(states[local].nextOperation) < end, !actives[2 * local + 1].isBusy {
      let index = Int(states[local].nextOperation)
      let operation = code.operations[index]
      guard states[local].counter >= operation.required, states[local].reads >= operation.reads
      else { return }
      let ready: Int64
      if index < Int(states[local].reached) {
        ready = backlogs.removeFirst(of: local)
      } else if operation.call >= 0 {
        ready = states[local].hostShift + operation.issued
      } else {
        ready = slots[local * slotCount + Int(operation.slot)].end
      }
      states[local].nextOperation += 1
      states[local].data = max(states[local].data, ready)
      guard operation.call >= 0 else { continue }
      let finished = begin(
        Int(operation.call), .data, at: states[local].data, local, &context)
      guard finished >= 0 else { return }
      concludeData(local, end: finished)
    }
  }

  /// Ends the data stream's collective.
  private mutating func concludeData(_ local: Int, end: Int64) {
    let index = Int(states[local].nextOperation) - 1
    states[local].data = end
    let call = Int(code.operations[index].call)
    let isByMessages =
      fabric.communicators[fabric.calls[call].communicator].reach == .network
    let active =
      isByMessages ? end - actives[2 * local + 1].complete : fabric.calls[call].duration
    if index < Int(states[local].reached) {
      settle(local, index, end: end, active: active)
    } else {
      backlogs.append(end, to: local)
      backlogs.append(active, to: local)
    }
  }

  /// The rank's collective on the data stream is over.
  ///
  /// The stream goes on, and the program when it waited for that.
  mutating func resumeData(_ local: Int, end: Int64, _ context: inout EventContext) {
    concludeData(local, end: end)
    advanceData(local, &context)
    if states[local].waiting == .slot { run(local, &context) }
  }

  /// Whether nothing of a rank's data stream is left.
  func isDataDone(_ local: Int) -> Bool {
    Int(operationsDone(local)) == code.stages[stage(of: local)].operations.upperBound
  }
}
