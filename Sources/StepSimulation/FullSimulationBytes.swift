import Collectives
import EventKernel
import Hardware
import Quantities
import StepProgram

extension FullSimulationModel {
  /// Bytes of all that ranks and network hold on this process, and of the programs they share.
  ///
  /// The room of every array, whether or not it is full.
  var stateBytes: Int {
    let streams =
      states.allocatedBytes + spent.allocatedBytes + slots.allocatedBytes + backlogs.bytes
      + arrived.allocatedBytes + identityBytes
    let collectives =
      actives.allocatedBytes + meetings.allocatedBytes + lanes.allocatedBytes
      + inboxes.allocatedBytes + counts.allocatedBytes + continuations.allocatedBytes
      + messageCounts.allocatedBytes + meetingBlocks.allocatedBytes
      + blockMessages.allocatedBytes + blockCalls.allocatedBytes
    let shared = network?.links.bytes ?? 0
    return streams + collectives + code.bytes + fabric.bytes + order.bytes + shared
  }

  /// Bytes of state that a rank has in this model and in the kernel.
  static func bytesPerRank(
    _ program: StepProgram, _ code: FullSimulationCode, _ fabric: FullSimulationFabric
  ) -> Int {
    let words = (code.receivedLanes * program.job.microbatchCount + 63) / 64
    var collectives =
      2 * MemoryLayout<FullSimulationFabric.Active>.stride
      + fabric.communicators.count * MemoryLayout<Meeting>.stride
    if fabric.requestDelay > 0 {
      collectives +=
        2 * fabric.laneWidth * MemoryLayout<FullSimulationFabric.Lane>.stride
        + fabric.communicators.count * MemoryLayout<FullSimulationFabric.Inbox>.stride
        + fabric.countersPerRank * MemoryLayout<UInt32>.stride
        + (2 * fabric.laneWidth + 1) * MemoryLayout<FullSimulationNetwork.Queue>.stride
    }
    // Each of the data stream's operations of a stage may wait for its turn at once.
    let operations = code.stages.map(\.operations.count).max() ?? 0
    let streams =
      MemoryLayout<RankState>.stride + categories * MemoryLayout<Int64>.stride
      + code.slotCount * MemoryLayout<Slot>.stride + words * MemoryLayout<UInt64>.stride
      + MemoryLayout<FullSimulationBacklogs.Queue>.stride
      + operations * MemoryLayout<Int64>.stride
    // Numbers, stage, speed, and the kernel's sequence.
    return collectives + streams + 4 + 4 + 8 + 4
  }
}

extension FullSimulationCode {
  /// Bytes of the programs.
  var bytes: Int {
    instructions.allocatedBytes + origins.allocatedBytes + related.allocatedBytes
      + operations.allocatedBytes + leaves.allocatedBytes + blocks.allocatedBytes
      + sender.allocatedBytes + receiver.allocatedBytes + position.allocatedBytes
  }
}

extension FullSimulationFabric {
  /// Bytes of the collectives and their groups.
  var bytes: Int {
    calls.allocatedBytes
      + communicators.reduce(communicators.allocatedBytes) { $0 + $1.offsets.allocatedBytes }
  }
}

extension FullSimulationNetwork {
  /// Bytes of messages, their queues and the links.
  var bytes: Int {
    queues.allocatedBytes + requests.allocatedBytes + cargo.allocatedBytes + flows.bytes
      + graph.capacities.allocatedBytes
  }
}
