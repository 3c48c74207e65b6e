import Layout
import Quantities
import StepProgram
import Testing
import Transformer

@testable import StepSimulation

@Suite("FLOPs of sparse attention") struct SparseFlopsTests {
  @Test("GPUs do no less than the model of DeepSeek-V3.2 asks for", arguments: [4_096, 32_768])
  func hardware(length: Int) throws {
    let model = try #require(Architecture.named("deepseek-v3.2"))
    var job = try SmallJobs.job(Parallelism(expert: 8, data: 8), model: model, microbatches: 1)
    job.training.sequenceLength = length
    let result = try FoldedSimulation.run(StepCompiler.compile(job))
    #expect(result.hardwareFlops.count >= job.modelFlops.count)
  }
}
