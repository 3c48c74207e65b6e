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

  /// An 8 B Llama's attention over 4,096 tokens: 32 query heads of 128, 8 of keys and values.
  private func mixer(_ fusion: Fusion) throws -> [Operation] {
    let model = try #require(Architecture.named("llama-3.1-8b"))
    let shard = LayerShard(
      microBatch: 1, sequenceLength: 4_096, vocabulary: model.vocabularySize)
    return model.mixerOperations(layer: 0, shard: shard, algorithm: .flash2, fusion: fusion)
  }

  @Test("keys and values are copied for each query head, their gradients summed")
  func repeatedHeads() throws {
    var fusion = Fusion()
    fusion.repeatsKeyValueHeads = true
    let copy = try #require(try mixer(fusion).first { $0.name == "repeat_heads" })
    // Keys and values of 8 heads, 16 MiB, and of 32.
    #expect(bytes(copy.forward) == (16 + 64) << 20)
    #expect(bytes(copy.inputGradient) == (16 + 64) << 20)
    #expect(copy.saved == 48 << 20)
    #expect(try !mixer(Fusion()).contains { $0.name == "repeat_heads" })
    #expect(Framework.torchtitan.profile.fusion.repeatsKeyValueHeads)
  }

  @Test("nanotron copies query, key and value around their rotation")
  func copiesAroundRotation() throws {
    func rotary(_ fusion: Fusion) throws -> Operation {
      try #require(try mixer(fusion).first { $0.name == "rotary" })
    }
    let profile = Framework.nanotron.profile.fusion
    var plain = profile
    plain.copiesAroundRotation = false
    // Queries 32 MiB, keys and values 16. Forward: all apart, keys and values joined, put by token: 48 + 16 +
    // 16 read and written; backward 16 + 48.
    let more = bytes(try rotary(profile).forward) - bytes(try rotary(plain).forward)
    #expect(more == 160 << 20)
    let back = bytes(try rotary(profile).inputGradient) - bytes(try rotary(plain).inputGradient)
    #expect(back == 128 << 20)
  }

  @Test("torchtitan's RMSNorm is operation by operation unless compiled, and but in mixtures")
  func separateNorms() throws {
    func fusesNorm(_ model: Architecture, compiled: CompiledParts? = nil) throws -> Bool {
      var job = try SmallJobs.job(Parallelism(data: 8, zero: 3), framework: .torchtitan)
      job.architecture = model
      job.training.compiled = compiled
      return StepCompiler(job: job).profile.fusion.norm
    }
    let llama = try #require(Architecture.named("llama-3.1-8b"))
    #expect(try !fusesNorm(llama))
    #expect(try fusesNorm(llama, compiled: .layers))
    #expect(try fusesNorm(#require(Architecture.named("mixtral-8x7b"))))
    // A layer norm is one kernel in PyTorch.
    #expect(try fusesNorm(#require(Architecture.named("gpt2"))))
  }

  @Test("compiled, scales of whole tensors still take a pass, scales of blocks none")
  func casts() throws {
    func casts(_ precision: Precision) throws -> Bool {
      var job = try SmallJobs.job(Parallelism(data: 8, zero: 3), framework: .torchtitan)
      job.training.precision = precision
      job.training.compiled = .layers
      return StepCompiler(job: job).profile.fusion.quantizePasses
    }
    #expect(try casts(.fp8Mixed))
    #expect(try !casts(.mxfp8Mixed))
  }
}
