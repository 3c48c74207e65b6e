import EventKernel
import Layout
import MessagePassing
import Quantities
import StepProgram
import Testing

@testable import StepSimulation

@Suite("What a full simulation takes, before and after")
struct ForecastTests {
  @Test("events are foreseen", arguments: FidelityCase.all)
  func events(_ example: FidelityCase) throws {
    let program = try example.program()
    let forecast = try FullSimulationForecast(program)
    let result = try SmallJobs.full(program)
    // Exact but for trees, whose members send unequal numbers.
    let error = Double(forecast.events) / Double(result.statistics.events) - 1
    #expect(abs(error) < 0.05, "\(forecast.events), \(result.statistics.events)")
  }

  @Test("memory grows with the ranks, a few KB each")
  func memory() throws {
    let small = try FidelityCase("", Parallelism(tensor: 4, data: 4)).program()
    let large = try FidelityCase("", Parallelism(tensor: 4, data: 64)).program()
    let few = try FullSimulationForecast(small).memory.count
    let many = try FullSimulationForecast(large).memory.count
    // Sixteen times the ranks; the small job's all-reduce is a tree of eight lanes, the large one's a
    // ring of one, so a rank of it holds less.
    #expect(many > 4 * few)
    #expect(few / 16 < 4_096)
    #expect(many / 256 < 4_096)
  }

  @Test("state of ranks, network and kernel: at most 2 KB a GPU, no more than foreseen")
  func state() throws {
    let parallelism = Parallelism(
      tensor: 8, sequence: true, pipeline: 4, virtualStages: 2, schedule: .interleaved, data: 32,
      zero: 1)
    let program = try FidelityCase(
      "", parallelism, microbatches: 8, framework: .megatronCore
    ).program()
    let forecast = try FullSimulationForecast(program)
    let share = try #require(try SmallJobs.full(program).statistics.shares.first)
    // 1,024 ranks, the programs they share included. Less than the clocks, accounts and collectives of
    // a rank alone (112, 72 and 64 bytes) it cannot be.
    #expect(share.stateBytes <= 2_048 * 1_024)
    #expect(share.stateBytes >= 248 * 1_024)
    #expect(share.pendingBytes > 0)
    #expect(forecast.memory.count >= Int64(share.stateBytes))
    #expect(forecast.memory.count <= 3 * Int64(share.stateBytes + share.pendingBytes))
    #expect(share.residentBytes > share.stateBytes + share.pendingBytes)
  }

  @Test("slots that are never in use together share a place")
  func slots() {
    // Gathers of three layers, each launched while the one before runs: two are in use at once.
    let instructions: [Instruction] = [
      .launch(call: 0, afterCompute: false, slot: 0),
      .launch(call: 0, afterCompute: false, slot: 2), .wait(slot: 0, .data), .mark(slot: 1),
      .holdData(slot: 1), .launch(call: 0, afterCompute: false, slot: 4), .wait(slot: 2, .data),
      .wait(slot: 4, .data), .wait(slot: 6, .data),
    ]
    let slots = FullSimulationSlots(instructions)
    // The mark takes the place the first wait has left, the third gather the one its hold has left;
    // nothing was ever put into slot 6.
    #expect(slots.places == [1, 2, 1, 1, 1, 1, 2, 1, 0])
    #expect(slots.count == 3)
    // What is never waited for keeps its place.
    let open = FullSimulationSlots([
      .launch(call: 0, afterCompute: true, slot: 3), .mark(slot: 5), .holdData(slot: 5),
      .launch(call: 0, afterCompute: true, slot: 7), .wait(slot: 7, .data),
    ])
    #expect(open.places == [1, 2, 2, 2, 2])
  }

  @Test("every process's share is told, and progress on the way")
  func shares() throws {
    let program = try FidelityCase("", Parallelism(tensor: 4, data: 4)).program()
    let alone = try SmallJobs.full(program).statistics
    #expect(alone.windows == 0)
    #expect(alone.shares.map(\.logicalProcesses) == [16])
    #expect(alone.shares.map(\.events) == [alone.events])
    for result in try SmallJobs.fullEverywhere(program, processes: 2) {
      let shares = result.statistics.shares
      // Two replicas on each process.
      #expect(shares.map(\.logicalProcesses) == [8, 8])
      #expect(shares.reduce(0) { $0 + $1.events } == alone.events)
      #expect(shares.reduce(0) { $0 + $1.mpiMessages } == result.statistics.mpiMessages)
      #expect(result.statistics.windows > 0)
      #expect(shares.allSatisfy { $0.blockedSeconds <= $0.wallSeconds })
    }
  }

  @Test("an observer hears of every event in the order of time")
  func observer() throws {
    let program = try FidelityCase("", Parallelism(pipeline: 2, data: 2)).program()
    var times: [Int64] = []
    var scheduled: Int64 = 0
    let result = try FullSimulation.run(
      program, communicator: SoloCommunicator(),
      observer: {
        times.append($0.time.picoseconds)
        scheduled = $1
      })
    #expect(times.count == result.statistics.events)
    #expect(Int(scheduled) == times.count)
    #expect(times == times.sorted())
  }
}
