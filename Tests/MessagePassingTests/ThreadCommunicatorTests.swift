import MessagePassing
import Testing

@Suite struct ThreadCommunicatorTests {
  @Test("reductions combine the values of all processes", arguments: [1, 2, 3, 7])
  func reductions(processes: Int) throws {
    let results = try ThreadCommunicator.run(processes: processes) { communicator in
      let value = Int64(communicator.rank * 10 + 5)
      return [
        try communicator.minimum(of: value), try communicator.maximum(of: value),
        try communicator.sum(of: value),
      ]
    }
    // 5, 15, 25, …: the sum of n of them is 5 n + 10 n (n - 1) / 2 = 5 n².
    let n = Int64(processes)
    #expect(results.allSatisfy { $0 == [5, 10 * n - 5, 5 * n * n] })
  }

  @Test("bytes are gathered in the order of ranks and broadcast from any root")
  func collectives() throws {
    let results = try ThreadCommunicator.run(processes: 4) { communicator in
      let part = [UInt8](repeating: UInt8(communicator.rank), count: communicator.rank)
      let gathered = try communicator.gather(part, at: 2)
      let all = try communicator.gatherToAll(part)
      let root = try communicator.broadcast(values: [Int32(communicator.rank) * 7], from: 3)
      try communicator.barrier()
      return (gathered, all, root)
    }
    let parts: [[UInt8]] = [[], [1], [2, 2], [3, 3, 3]]
    #expect(results[2].0 == parts)
    #expect(results[0].0 == [])
    #expect(results.allSatisfy { $0.1 == parts && $0.2 == [21] })
  }

  @Test("messages between a pair keep their order, and tags are apart")
  func order() throws {
    let results = try ThreadCommunicator.run(processes: 2) { communicator -> [[Int64]] in
      if communicator.rank == 0 {
        try communicator.send(values: [Int64(1)], to: 1, tag: 5)
        try communicator.send(values: [Int64(2)], to: 1, tag: 6)
        try communicator.send(values: [Int64(3)], to: 1, tag: 5)
        return []
      }
      return try [6, 5, 5].map {
        try communicator.receiveValues(of: Int64.self, from: 0, tag: $0)
      }
    }
    #expect(results[1] == [[2], [1], [3]])
  }

  @Test("waiting for a process that has ended is an error, not a hang")
  func ended() {
    let error = #expect(throws: CommunicationError.self) {
      _ = try ThreadCommunicator.run(processes: 2) { communicator in
        if communicator.rank == 1 { _ = try communicator.receive(from: 0, tag: 1) }
      }
    }
    #expect(error?.text == "process 0 has ended without sending")
  }

  @Test("an abort reaches every process that communicates afterwards")
  func abort() {
    let error = #expect(throws: CommunicationError.self) {
      _ = try ThreadCommunicator.run(processes: 3) { communicator in
        if communicator.rank == 2 {
          communicator.abort(exitCode: 1, reason: "out of memory")
        } else {
          _ = try communicator.receive(from: 2, tag: 0)
        }
      }
    }
    #expect(error?.description == "receive: out of memory")
  }
}

@Suite struct SoloCommunicatorTests {
  @Test("a group of one is its own root and keeps its messages")
  func alone() throws {
    let solo = SoloCommunicator()
    #expect(solo.isRoot && solo.size == 1)
    try solo.send([1, 2], to: 0, tag: 3)
    #expect(try solo.receive(from: 0, tag: 3) == [1, 2])
    #expect(try solo.gather([9], at: 0) == [[9]])
    #expect(try solo.minimum(of: -4) == -4)
    #expect(throws: CommunicationError.self) { try solo.receive(from: 0, tag: 3) }
    #expect(throws: CommunicationError.self) { try solo.send([], to: 1, tag: 3) }
  }
}
