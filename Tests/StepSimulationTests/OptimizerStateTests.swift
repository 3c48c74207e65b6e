import Kernels
import Layout
import StepProgram
import Quantities
import Testing
import Transformer

@testable import StepSimulation

@Suite struct OptimizerStateTests {
  private func result(_ optimizer: Optimizer) throws -> (bytes: Int64, step: StepResult) {
    var job = try SmallJobs.job(Parallelism(), microbatches: 1)
    job.training.optimizer = optimizer
    let program = StepCompiler.compile(job)
    let bytes = program.stages[0].resident[MemoryCategory.optimizer.rawValue]
    return (bytes, try FoldedSimulation.run(program))
  }

  @Test("Muon keeps one moment of the layers' matrices and two of all else") func muon() throws {
    let adam = try result(.adamw)
    let muon = try result(.muon)
    let model = SmallJobs.model()
    // A layer of width h: QKV 3h², output h², up 4h², down 4h²: 12h² parameters, 4 bytes less each.
    let matrices = Int64(model.layerCount * 12 * 1024 * 1024)
    #expect(adam.bytes - muon.bytes == 4 * matrices)
    #expect(adam.bytes == 12 * Int64(model.parameterCount))
    // Newton–Schulz: 5 · (4r²c + 2r³); h³ times 6 for query, key, value, output projection each,
    // 18 each for up and down (c = 4h): 300h³ a layer. At least that much over the A100's 312 TFLOP/s.
    let floor = 300 * 1024.0 * 1024 * 1024 * Double(model.layerCount) / 312e12
    let optimizer = TimeCategory.optimizer.rawValue
    let extra = muon.step.ranks[0].spent[optimizer].seconds
    #expect(extra > floor)
    #expect(extra < adam.step.ranks[0].spent[optimizer].seconds + 10 * floor)
  }

  @Test("Adafactor keeps masters and sums of rows and columns") func adafactor() throws {
    let bytes = try result(.adafactor).bytes
    let model = SmallJobs.model()
    // Masters 4 bytes each. Sums: query, key, value, output h + h, up and down h + 4h: 18h a layer;
    // table and head 32,000 + h each, 32,000 being a multiple of 128; norms h, two a layer and
    // one at the end, whole.
    let sums = model.layerCount * (18 + 2) * 1024 + 2 * (32_000 + 1024) + 1024
    #expect(bytes == 4 * Int64(model.parameterCount) + 4 * Int64(sums))
  }
}
