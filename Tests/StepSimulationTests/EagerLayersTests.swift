import Kernels
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram
@testable import StepSimulation

/// What layers cost that a framework writes out one by one.
@Suite("Eager layers")
struct EagerLayersTests {
  private func bytes(_ kernels: [Kernel]) -> Int64 {
    kernels.reduce(0) { sum, kernel in
      if case .stream(let pass) = kernel { sum + pass.bytesRead + pass.bytesWritten } else { sum }
    }
  }

  private func loss(
    _ model: Architecture, tensor: Int = 1, vocabularySplit: Bool = true
  ) throws -> Operation {
    var fusion = Fusion()
    fusion.crossEntropy = false
    // 40 MiB over the 216 rows in flight on an A100.
    fusion.cachedRowValues = 48_545
    let shard = LayerShard(
      microBatch: 1, sequenceLength: 4_096, tensor: tensor, vocabulary: model.vocabularySize)
    return try #require(
      model.headOperations(shard: shard, fusion: fusion, vocabularySplit: vocabularySplit)
        .first { $0.name == "cross_entropy" })
  }

  @Test("softmax of rows beyond the cache reads them three times, its gradient twice")
  func longRows() throws {
    let long = try #require(Architecture.named("llama-3.1-8b"))
    let values = Int64(4_096 * 128_256)
    // Cast 2 + 4, log-softmax 3 · 4 + 4.
    #expect(bytes(try loss(long).forward) == 22 * values)
    // Targets' gradient cleared 4, log-softmax 2 · 4 + 4 + 4, cast back 4 + 2.
    #expect(bytes(try loss(long).inputGradient) == 26 * values)
    let short = try #require(Architecture.named("llama-2-7b"))
    let few = Int64(4_096 * 32_000)
    // Read once: 2 · 4 and 4 less.
    #expect(bytes(try loss(short).forward) == 14 * few)
    #expect(bytes(try loss(short).inputGradient) == 22 * few)
  }

  @Test("logits gathered into a list are copied twice, a rank's part of their gradient once")
  func gatheredLogits() throws {
    let model = try #require(Architecture.named("llama-3.1-8b"))
    let whole = try loss(model)
    let gathered = try loss(model, tensor: 4, vocabularySplit: false)
    let values = Int64(4_096 * 128_256)
    // Out of the flat buffer and joined, each 2 read and 2 written.
    #expect(bytes(gathered.forward) - bytes(whole.forward) == 8 * values)
    #expect(bytes(gathered.inputGradient) - bytes(whole.inputGradient) == values)
  }

  @Test("gate and up projection apart: two input gradients, all-reduced each, scattered once")
  func gateApart() throws {
    let model = try #require(Architecture.named("llama-2-7b"))
    func operations(apart: Bool, sequence: Bool) -> [Transformer.Operation] {
      var fusion = Fusion()
      fusion.projectsGateApart = apart
      fusion.keepsGatheredInputs = true
      let shard = LayerShard(
        microBatch: 1, sequenceLength: 4_096, tensor: 2, sequenceParallel: sequence,
        vocabulary: 32_000)
      return model.feedForwardOperations(layer: 0, shard: shard, fusion: fusion)
        .filter { $0.name == "gate_proj" || $0.name == "up_proj" }
    }
    for sequence in [false, true] {
      let together = operations(apart: false, sequence: sequence)
      let apart = operations(apart: true, sequence: sequence)
      #expect(together.count == 1 && apart.count == 2)
      #expect(apart.map(\.saved).reduce(0, +) == together[0].saved)
      // Halves of the columns; the sum of two gradients reads two and writes one, 2 bytes a value.
      let sum = Int64(3 * 4_096 * 4_096 * 2)
      #expect(bytes(apart.flatMap(\.inputGradient)) - bytes(together[0].inputGradient) == sum)
      #expect(apart.compactMap(\.afterInputGradient).count == (sequence ? 1 : 2))
      #expect(apart.compactMap(\.beforeForward).count == (sequence ? 1 : 0))
    }
  }

  @Test("stages that exchange in turn wait for both messages, where two meet")
  func exchangesInTurn() throws {
    func sends(inTurn: Bool) throws -> [Int64] {
      var job = try SmallJobs.job(Parallelism(pipeline: 2), framework: .alephAlphaScaling)
      job.training.profile.exchangesStagesInTurn = inTurn
      return StepCompiler.compile(job).stages.flatMap(\.instructions).compactMap {
        if case .send(_, _, _, let duration, _) = $0 { duration.picoseconds } else { nil }
      }
    }
    let together = try sends(inTurn: false)
    let inTurn = try sends(inTurn: true)
    // The first stage's first activation leaves when nothing comes back yet, and the last stage's last
    // gradient when nothing comes any more.
    let count = together.count / 2
    #expect(count >= 2 && together.count == 2 * count)
    for (place, (found, one)) in zip(inTurn, together).enumerated() {
      let isAlone = place == 0 || place == 2 * count - 1
      #expect(abs(found - (isAlone ? 1 : 2) * one) <= 1)
    }
  }
}
