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
