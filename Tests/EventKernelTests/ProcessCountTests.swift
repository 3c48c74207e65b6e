import EventKernel
import MessagePassing
import Quantities
import Testing

/// Logical processes that send each other events at random, with many ties in time.
private struct Chatter: EventModel {
  let count: LogicalProcess
  let lookahead = SimDuration(picoseconds: 8)
  /// One random stream for each local logical process.
  var streams: [EventQueueTests.Random]
  let first: LogicalProcess
  let end = SimTime(picoseconds: 600)

  init(count: Int, seed: Int, block: Range<LogicalProcess>) {
    self.count = LogicalProcess(count)
    first = block.lowerBound
    streams = block.map { EventQueueTests.Random(state: UInt64(seed) << 32 | UInt64($0)) }
  }

  mutating func start(_ context: inout EventContext) {
    for process in context.localProcesses {
      context.schedule(0, payload: 1, to: process, at: .zero)
    }
  }

  mutating func handle(_ event: Event, _ context: inout EventContext) {
    guard context.now < end else { return }
    let index = Int(event.destination - first)
    // What the state becomes depends on the order in which events of one time are handled.
    streams[index].state ^= event.payload &* UInt64(event.source + 3)
    let draw = streams[index].next()
    let destination = LogicalProcess(draw % UInt64(count))
    let delay = SimDuration(picoseconds: 8 + Int64(draw >> 40 & 15))
    context.schedule(0, payload: draw, to: destination, after: delay)
    // One in sixteen times also an event for itself without delay, so that the number grows.
    if draw >> 60 == 0 { context.schedule(1, payload: draw, to: event.destination, after: .zero) }
  }

  func stuckProcesses() -> [StuckProcess] { [] }
}

@Suite struct ProcessCountTests {
  private func run(_ processes: Int, seed: Int) throws -> SimulationOutcome {
    let partition = Partition(evenly: 23, over: processes, inUnitsOf: 4)
    let outcomes = try ThreadCommunicator.run(processes: processes) { communicator in
      var model = Chatter(count: 23, seed: seed, block: partition.block(of: communicator.rank))
      return try simulate(&model, partition: partition, over: communicator, recordsHistory: true)
    }
    return outcomes[0]
  }

  @Test(
    "every logical process sees the same events in the same order on any number of processes",
    arguments: 0..<4)
  func independence(seed: Int) throws {
    let alone = try run(1, seed: seed)
    #expect(alone.events > 1_000)
    for processes in [2, 3, 4, 7, 9] {
      let shared = try run(processes, seed: seed)
      #expect(shared.historyHash == alone.historyHash, "\(processes) processes")
      #expect(shared.events == alone.events)
      #expect(shared.messages == alone.messages)
      #expect(shared.endTime == alone.endTime)
      #expect(shared.mpiMessages > 0)
      #expect(shared.mpiBatches <= shared.mpiMessages)
    }
    #expect(try run(1, seed: seed + 100).historyHash != alone.historyHash)
  }

  @Test("batches larger than one short message arrive whole", arguments: [2, 9])
  func largeBatches(processes: Int) throws {
    let outcomes = try ThreadCommunicator.run(processes: processes) { communicator in
      let partition = Partition(evenly: processes, over: processes)
      var burst = Burst(count: LogicalProcess(processes))
      let outcome = try simulate(&burst, partition: partition, over: communicator)
      return (outcome, burst.sum)
    }
    // Each sends 0 + 1 + … + 999 = 499500 to its neighbour, in one batch.
    #expect(outcomes.allSatisfy { $0.1 == 499_500 })
    #expect(outcomes[0].0.mpiMessages == 1_000 * processes)
    #expect(outcomes[0].0.mpiBatches == processes)
  }

  @Test("a process that throws takes the others with it")
  func failure() {
    #expect(throws: Dead.self) {
      _ = try ThreadCommunicator.run(processes: 3) { communicator in
        if communicator.rank == 1 { throw Dead() }
        let partition = Partition(evenly: 23, over: 3)
        var model = Chatter(count: 23, seed: 0, block: partition.block(of: communicator.rank))
        return try simulate(&model, partition: partition, over: communicator)
      }
    }
  }

  private struct Dead: Error {}
}

/// Every logical process sends a thousand events to its neighbour at once.
private struct Burst: EventModel {
  let count: LogicalProcess
  let lookahead = SimDuration(picoseconds: 1)
  var sum: UInt64 = 0

  func start(_ context: inout EventContext) {
    for process in context.localProcesses { context.schedule(0, to: process, at: .zero) }
  }

  mutating func handle(_ event: Event, _ context: inout EventContext) {
    guard event.kind == 0 else {
      sum += event.payload
      return
    }
    for value in 0..<1_000 {
      context.schedule(
        1, payload: UInt64(value), to: (event.destination + 1) % count, after: lookahead)
    }
  }

  func stuckProcesses() -> [StuckProcess] { [] }
}

@Suite struct PartitionTests {
  @Test("nodes stay whole while there are at least as many nodes as processes")
  func units() {
    // 5 nodes of 8 over 2 processes: 2 and 3 nodes.
    #expect(Partition(evenly: 40, over: 2, inUnitsOf: 8).bounds == [0, 16, 40])
    // 1 node of 8 over 2 processes is split: 4 and 4.
    #expect(Partition(evenly: 8, over: 2, inUnitsOf: 8).bounds == [0, 4, 8])
    // More processes than logical processes: the surplus has nothing to do.
    #expect(Partition(evenly: 2, over: 3).bounds == [0, 0, 1, 2])
  }

  @Test("every logical process is found in its block", arguments: [1, 2, 3, 7, 50])
  func lookup(processes: Int) {
    let partition = Partition(evenly: 41, over: processes, inUnitsOf: 4)
    for process in 0..<processes {
      for logicalProcess in partition.block(of: process) {
        #expect(partition.process(of: logicalProcess) == process)
      }
    }
  }
}
