import Kernels
import Layout
import StepProgram
import Testing
import Transformer

@testable import StepSimulation

@Suite struct ZeROTableTests {
  /// arXiv:1910.02054, table 1 and figure 1: 7.5 B parameters over 64 ranks, GB of 10^9 bytes.
  ///
  /// Each parameter takes 2 (weight) + 2 (gradient) + 12 (Adam in fp32), divided by 64 as the stage says:
  /// 16 · 7.5 = 120; (4 + 12/64) · 7.5 = 31.40625; (2 + 14/64) · 7.5 = 16.640625; 16/64 · 7.5 = 1.875.
  @Test(
    "states of a rank are those of ZeRO's table",
    arguments: [(0, 120.0), (1, 31.40625), (2, 16.640625), (3, 1.875)])
  func table(zero: Int, gigabytes: Double) throws {
    var parallelism = Parallelism(data: 64)
    parallelism.zero = zero
    var job = try SmallJobs.job(parallelism, microbatches: 1, framework: .deepspeed)
    job.training.gradientFormat = .bf16
    let program = StepCompiler.compile(job)
    let resident = program.stages[0].resident
    let states = [MemoryCategory.parameters, .gradients, .optimizer].map { resident[$0.rawValue] }
    // Every tensor of the small model is a multiple of 64 long: nothing is padded.
    let perParameter =
      Double(states.reduce(0, +)) / Double(job.architecture.parameterCount)
    #expect(perParameter * 7.5 == gigabytes)
  }
}
