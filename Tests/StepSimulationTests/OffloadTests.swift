import Hardware
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram
@testable import StepSimulation

/// Optimizer states held and updated by the host.
@Suite("Offload of optimizer states")
struct OffloadTests {
  private func job(offloads: Bool) throws -> TrainingJob {
    var layout = Parallelism(data: 2, zero: 1)
    layout.offloadsOptimizer = offloads
    return try SmallJobs.job(layout, model: SmallJobs.model(layers: 2))
  }

  @Test("12 bytes a parameter move from the device to the host")
  func memory() throws {
    let program = StepCompiler.compile(try job(offloads: true))
    // 90 706 944 parameters (`MemoryTests.residentOfOneGPU`), halves of two ranks.
    #expect(program.stages[0].hostBytes.count == 12 * 45_353_472)
    #expect(program.stages[0].resident[MemoryCategory.optimizer.rawValue] == 0)
    let plain = StepCompiler.compile(try job(offloads: false))
    #expect(plain.stages[0].hostBytes == .zero)
    #expect(plain.stages[0].resident[MemoryCategory.optimizer.rawValue] == 12 * 45_353_472)
    let result = try FoldedSimulation.run(program)
    #expect(result.ranks[0].host == program.stages[0].hostBytes)
  }

  @Test("the step takes as much longer as gradients travel and the host updates")
  func time() throws {
    func optimizer(_ offloads: Bool) throws -> Double {
      let result = try FoldedSimulation.run(StepCompiler.compile(try job(offloads: offloads)))
      return result.ranks[0].spent[TimeCategory.optimizer.rawValue].seconds
    }
    // fp32 gradients over PCIe 4: 4 × 45 353 472 / (0.8 × 32 GB/s) = 7.09 ms. The host reads and
    // writes 24 bytes of states, reads 4 of gradient, writes 2: 30 × 45 353 472 / (0.5 × 51.2 GB/s)
    // = 53.15 ms, during which 2 × 45 353 472 / 25.6 GB/s = 3.5 ms go back. In all 60.2 ms.
    let more = try optimizer(true) - optimizer(false)
    // The device's own update falls away: 24 bytes of states, 4 + 2 + 12 others, 42 × 45 353 472 at
    // no more than 2.04 TB/s: 0.93 ms or somewhat more.
    #expect(more > 0.0580 && more < 0.0594)
  }
}
