import Kernels
import Layout
import Quantities
import StepProgram
import Testing
import Transformer

@testable import StepSimulation

@Suite("Memory of a step")
struct MemoryTests {
  @Test("the ledger keeps the moment of the peak")
  func ledger() {
    // At rest 100 + 40. Forward keeps 50 and needs 30 beside it; the next keeps 20.
    var ledger = MemoryLedger(resident: [100, 0, 40, 0, 0, 0])
    ledger.phase = Phase(.forward, microbatch: 1)
    ledger.change(.activations, by: 50, at: 10)
    ledger.scratch(.activations, 30, at: 20)
    #expect(ledger.peak == 220)
    ledger.phase = Phase(.forward, microbatch: 2)
    ledger.change(.activations, by: 20, at: 30)
    // 210 now: less than 220, so the peak stays where it was.
    #expect(ledger.total == 210)
    #expect(ledger.peak == 220)
    #expect(ledger.peakTime == 20)
    #expect(ledger.peakPhase == Phase(.forward, microbatch: 1))
    #expect(ledger.peakHeld == [100, 0, 40, 80, 0, 0])
    ledger.change(.activations, by: -70, at: 40)
    #expect(ledger.held == [100, 0, 40, 0, 0, 0])
    #expect(ledger.lowest == 0)
    ledger.change(.activations, by: -1, at: 50)
    #expect(ledger.lowest == -1)
  }

  @Test("a model on one GPU holds 2 + 4 + 12 bytes a parameter")
  func residentOfOneGPU() throws {
    // Hidden 1024, 2 layers: attention 4·1024² = 4 194 304, feed-forward 8·1024² = 8 388 608, two
    // norms 2048: 12 584 960 a layer; tables 2·32 000·1024 = 65 536 000; last norm 1024:
    // 90 706 944 parameters. Weights bf16, gradients fp32, masters and two moments fp32.
    let program = try StepCompiler.compile(
      SmallJobs.job(Parallelism(), model: SmallJobs.model(layers: 2)))
    let resident = try #require(program.stages.first?.resident)
    #expect(resident[MemoryCategory.parameters.rawValue] == 2 * 90_706_944)
    #expect(resident[MemoryCategory.gradients.rawValue] == 4 * 90_706_944)
    #expect(resident[MemoryCategory.optimizer.rawValue] == 12 * 90_706_944)
  }

  @Test("recomputing passes drops one copy of each norm's and activation's output")
  func recomputedPasses() throws {
    func activations(_ mode: Recompute, gated: Bool) throws -> Int64 {
      var model = SmallJobs.model(layers: 4)
      if gated { model.feedForward.activation = .swiglu }
      let program = try StepCompiler.compile(
        SmallJobs.job(Parallelism(), model: model, microbatches: 1, recompute: mode))
      let rank = try #require(FoldedSimulation.run(program).ranks.first)
      return rank.atPeak[MemoryCategory.activations.rawValue].count
    }
    // The peak is at the loss, when every layer's are held. A layer: 2 norms of 2048 × 1024 and an
    // activation of 2048 × 4096 in bf16, 4 + 4 + 16 MiB.
    for gated in [false, true] {
      let dropped = try activations(.none, gated: gated) - activations(.passes, gated: gated)
      #expect(dropped == 4 * 24 << 20)
    }
  }

  @Test("ZeRO's table for 7.5 billion parameters on 64 GPUs", arguments: 0...3)
  func zeroTable(stage: Int) throws {
    // Hidden 4096: 36·(12·4096² + 2·4096) + 2·30 754·4096 + 4096 = 7 499 993 088 parameters.
    let model = Architecture(
      name: "7.5 B", layerCount: 36, hiddenSize: 4096,
      attention: SelfAttention(heads: 32, keyValueHeads: 32, headDimension: 128),
      feedForward: FeedForward(intermediateSize: 16_384, activation: .gelu),
      vocabularySize: 30_754, tiesEmbeddings: false, positions: .rotary, maximumPositions: 1024,
      norm: Norm(.rmsNorm, hasBias: false))
    let program = try StepCompiler.compile(
      SmallJobs.job(
        Parallelism(data: 64, zero: stage), model: model, microbatches: 1, framework: .deepspeed))
    let resident = try #require(program.stages.first?.resident)
    let states =
      resident[MemoryCategory.parameters.rawValue] + resident[MemoryCategory.gradients.rawValue]
      + resident[MemoryCategory.optimizer.rawValue]
    // arXiv:1910.02054, figure 1: 16 Ψ; 4 Ψ + 12 Ψ / 64; 2 Ψ + 14 Ψ / 64; 16 Ψ / 64.
    let published = [120, 31.4, 16.6, 1.9]
    #expect(abs(Double(states) * 1e-9 - published[stage]) < 0.05)
  }
}
