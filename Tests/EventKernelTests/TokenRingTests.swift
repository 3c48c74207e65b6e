import EventKernel
import MessagePassing
import Quantities
import Testing

@Suite struct TokenRingTests {
  /// Runs the ring on `processes` processes played by threads.
  private func run(processes: Int, thief: LogicalProcess? = nil) throws -> SimulationOutcome {
    let partition = Partition(evenly: 5, over: processes)
    let outcomes = try ThreadCommunicator.run(processes: processes) { communicator in
      var ring = TokenRing(
        size: 5, laps: 3, block: partition.block(of: communicator.rank), thief: thief)
      return try simulate(
        &ring, partition: partition, over: communicator, recordsHistory: true)
    }
    // Every process learns the same, but for the order of nothing: blocked time is a sum as well.
    #expect(Set(outcomes).count == 1)
    return outcomes[0]
  }

  @Test("a token that goes round a ring ends when its path adds up", arguments: [1, 2, 3, 4, 7, 9])
  func endTime(processes: Int) throws {
    let outcome = try run(processes: processes)
    // A lap holds the token for 10 + 20 + 30 + 40 + 50 = 150 ps; three laps cross 3 × 5 - 1 links
    // of 100 ps: 3 × 150 + 14 × 100 = 1850 ps.
    #expect(outcome.endTime == SimTime(picoseconds: 1_850))
    // An arrival and a release for each of 15 holds.
    #expect(outcome.events == 30)
    #expect(outcome.messages == 14)
    #expect(outcome.isComplete)
    let alone = try run(processes: 1)
    #expect(outcome.historyHash == alone.historyHash)
  }

  @Test("messages that cross processes are counted", arguments: [(1, 0), (5, 14)])
  func mpiMessages(processes: Int, expected: Int) throws {
    let outcome = try run(processes: processes)
    #expect(outcome.mpiMessages == expected)
    // The token is alone: each crossing is a batch of its own.
    #expect(outcome.mpiBatches == expected)
    #expect((outcome.windows == 0) == (processes == 1))
  }

  @Test("logical processes that wait for ever are named", arguments: [1, 2, 4])
  func stuck(processes: Int) throws {
    let outcome = try run(processes: processes, thief: 2)
    // Members 0 and 1 passed the token once, then 2 kept it.
    #expect(
      outcome.stuck == [
        StuckProcess(0, reason: "passed the token 1 of 3 times"),
        StuckProcess(1, reason: "passed the token 1 of 3 times"),
        StuckProcess(2, reason: "passed the token 0 of 3 times"),
        StuckProcess(3, reason: "passed the token 0 of 3 times"),
        StuckProcess(4, reason: "passed the token 0 of 3 times"),
      ])
  }

  @Test("an event for another process closer than the lookahead traps with its numbers")
  func lookahead() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let partition = Partition(evenly: 2, over: 2)
      _ = try ThreadCommunicator.run(processes: 2) { communicator in
        var ring = TokenRing(size: 2, laps: 1, block: partition.block(of: communicator.rank))
        ring.linkDelay = SimDuration(picoseconds: 99)
        return try simulate(&ring, partition: partition, over: communicator)
      }
    }
    let bytes = result?.standardErrorContent ?? []
    let text = String(decoding: bytes, as: UTF8.self)
    #expect(text.contains("on another process 99 ps ahead; the lookahead is 100 ps"))
  }
}
