import Hardware
import Kernels
import Layout
import MessagePassing
import Quantities
import StepProgram
import Testing

@testable import StepSimulation

@Suite("Steps that cannot be")
struct AuditTests {
  private func failure(_ body: () throws -> StepResult) -> StepSimulationError? {
    do {
      _ = try body()
      return nil
    } catch {
      return error as? StepSimulationError
    }
  }

  /// A pipeline of two whose first rank forgets to send microbatch 2.
  private func forgetful() throws -> StepProgram {
    var program = try SyntheticPrograms.pipeline(
      .oneForwardOneBackward, ranks: 2, microbatches: 4, forward: 1_000, backward: 2_000, send: 10)
    program.stages[0].instructions.removeAll {
      if case .send(_, 2, _, _, _) = $0 { return true }
      return false
    }
    return program
  }

  @Test("ranks that wait for ever are named, with what they wait for", arguments: [1, 2])
  func deadlockIsNamed(processes: Int) throws {
    let program = try forgetful()
    let error = failure { try SmallJobs.full(program, processes: processes) }
    guard case .deadlock(let ranks) = error else {
      Issue.record("not a deadlock: \(String(describing: error))")
      return
    }
    // Rank 1 waits for microbatch 2, so rank 0 waits for its gradient.
    #expect(ranks.count == 2)
    #expect(ranks.last?.hasPrefix("rank 1 (pipeline stage 1) waits at instruction ") == true)
    #expect(ranks.last?.hasSuffix("for microbatch 2 from rank 0") == true)
    #expect(ranks.first?.hasSuffix("for microbatch 2 from rank 1") == true)
  }

  @Test(
    "boards that run faster than their data sheet train",
    arguments: ["rtx-3090", "rtx-4090", "rtx-5090", "l20", "l4", "h20-sxm-96gb"])
  func fastBoards(name: String) throws {
    let gpu = try #require(GPU.named(name))
    var job = try SmallJobs.job(Parallelism(data: 1), model: SmallJobs.model(hidden: 16_384))
    job.cluster = Cluster(
      gpu: gpu, gpuCount: 1, gpusPerNode: 1, intraNode: gpu.scaleUp, interNode: gpu.scaleOut)
    let step = try FoldedSimulation.run(StepCompiler.compile(job))
    let rate = step.hardwareFlops.count / step.duration.seconds
    let share = rate / gpu.peak(of: .bf16).flopsPerSecond
    // 239 of 209.5 TFLOP/s is the most that a board's best multiply reaches.
    #expect(share > 0.3 && share < 239 / 209.5, "\(share)")
  }

  @Test("a member that never comes to a collective leaves the others waiting")
  func absentMemberIsMissed() throws {
    var program = try StepCompiler.compile(
      SmallJobs.job(Parallelism(tensor: 2, pipeline: 2), framework: .megatronLM))
    program.stages[1].instructions.removeAll {
      if case .meet = $0 { return true }
      return false
    }
    let error = failure { try SmallJobs.full(program) }
    guard case .deadlock(let ranks) = error else {
      Issue.record("not a deadlock: \(String(describing: error))")
      return
    }
    #expect(ranks.count == 2)
    #expect(
      ranks.first?.hasSuffix("all_reduce on the model axis: 0, 1, 2, 3") == true, "\(ranks)")
  }

  @Test("memory that is not given back is an error of the simulator")
  func lostBytes() throws {
    var program = try SyntheticPrograms.pipeline(
      .gpipe, ranks: 2, microbatches: 2, forward: 1_000, backward: 2_000, send: 10, kept: 64)
    let index = try #require(
      program.stages[1].instructions.lastIndex {
        if case .memory = $0 { return true }
        return false
      })
    program.stages[1].instructions.remove(at: index)
    guard case .impossible(let text) = failure({ try FoldedSimulation.run(program) }) else {
      Issue.record("lost bytes went unnoticed")
      return
    }
    #expect(text == "stage 1: 64 bytes of activations in the end, 0 at rest")
    #expect(failure { try SmallJobs.full(program) } == .impossible(text))
  }

  @Test("a step faster than its FLOPs at peak is an error of the simulator")
  func belowFloor() throws {
    var program = try SyntheticPrograms.pipeline(
      .gpipe, ranks: 2, microbatches: 2, forward: 1_000, backward: 2_000, send: 10)
    // A100: 312 TFLOP/s in bf16. 9 ns + 20 ps are worth 2.814 MFLOP, a quarter of it for each of a rank's
    // two forward and two backward passes. What published counts have beyond that is no matter.
    func attempt(_ computed: Double) -> StepSimulationError? {
      for block in program.blocks.indices {
        program.blocks[block].computedFlops = computed
        program.blocks[block].flops = 6e6
      }
      program.modelFlops = Flops(6e6)
      return failure { try FoldedSimulation.run(program) }
    }
    guard case .impossible = attempt(0.71e6) else {
      Issue.record("a step below the floor went unnoticed")
      return
    }
    #expect(attempt(0.70e6) == nil)
  }

  @Test("messages of one all-reduce are counted, and those between processes")
  func messageCounts() throws {
    // Gradients of all parameters in one ring all-reduce in a node of 8: 2·7 steps of 8 ranks; one
    // event to start each rank, for within a node all go on when the last one comes.
    let program = try StepCompiler.compile(
      SmallJobs.job(Parallelism(data: 8, overlaps: false)))
    let alone = try SmallJobs.full(program).statistics
    #expect(alone.messages == 112)
    #expect(alone.events == 8)
    #expect(alone.mpiMessages == 0)
    // Two processes of four ranks: each rank tells the group's host that it has come and is told the
    // end; for the four of the process without the host both words cross.
    let divided = try SmallJobs.full(program, processes: 2).statistics
    #expect(divided.messages == 112)
    #expect(divided.events == 24)
    #expect(divided.mpiMessages == 8)
  }

  @Test("members that come to different collectives are found out")
  func mismatch() throws {
    // Ranks of a pipeline in one node meet in all-reduces; the second stage calls another one.
    var program = try StepCompiler.compile(
      SmallJobs.job(Parallelism(tensor: 2, pipeline: 2), framework: .megatronLM))
    program.calls.append(program.calls[0])
    let extra = program.calls.count - 1
    for index in program.stages[1].instructions.indices {
      if case .meet(let call, let first, let last) = program.stages[1].instructions[index] {
        program.calls[extra] = program.calls[call]
        program.stages[1].instructions[index] = .meet(call: extra, first: first, last: last)
      }
    }
    guard case .impossible(let text) = failure({ try SmallJobs.full(program) }) else {
      Issue.record("different collectives went unnoticed")
      return
    }
    #expect(text == "the members of a group of rank 0 come to different collectives")
  }
}
