import Kernels
import Layout
import Testing
import Transformer

@testable import StepProgram

/// What torchtitan holds for pipelines, losses and optimizers.
@Suite("Memory of torchtitan")
struct PipelineBufferTests {
  @Test("stages have a receive buffer a microbatch, the last the outputs of all")
  func stageBuffers() throws {
    func items(keeps: Bool? = nil) throws -> [[String: Int64]] {
      var layout = Parallelism(pipeline: 2, data: 2, zero: 3)
      layout.sharding.keepsOutputs = keeps
      let job = try SmallJobs.job(layout, microbatches: 8, framework: .torchtitan)
      return StepCompiler.compile(job).stages.map { stage in
        Dictionary(uniqueKeysWithValues: stage.items.map { ($0.name, $0.bytes) })
      }
    }
    let stages = try items()
    // 2,048 tokens of 1,024 values of 2 bytes: eight gradients come back to the first stage; of eight
    // inputs of the last one is in flight and counted with the activations, and all their gradients stay.
    let sent: Int64 = 2_048 * 1_024 * 2
    #expect(stages[0]["receive buffers"] == 8 * sent)
    #expect(stages[1]["receive buffers"] == 15 * sent)
    #expect(stages[0]["outputs of all microbatches"] == nil)
    let logits: Int64 = 8 * 2_048 * 32_000 * 2
    #expect(stages[1]["outputs of all microbatches"] == logits)
    #expect(try items(keeps: false)[1]["outputs of all microbatches"] == nil)
  }

  @Test("inputs in flight are the schedule's")
  func inputsInFlight() throws {
    func buffers(_ layout: Parallelism) throws -> [Int64] {
      let job = try SmallJobs.job(layout, microbatches: 8, framework: .torchtitan)
      return StepCompiler.compile(job).stages.map { stage in
        (stage.items.first { $0.name == "receive buffers" }?.bytes ?? 0) / (2_048 * 1_024 * 2)
      }
    }
    // All eight inputs are in flight at once: what stays are the gradients' buffers, and the inputs'
    // gradients.
    #expect(try buffers(Parallelism(pipeline: 4, schedule: .gpipe)) == [8, 16, 16, 8])
    // 8 inputs less 3, 2, 1 of stages 1 to 3, 8 gradients of inputs.
    #expect(try buffers(Parallelism(pipeline: 4)) == [8, 21, 22, 15])
    let two = try buffers(
      Parallelism(pipeline: 2, virtualStages: 2, schedule: .interleaved))
    // Rank 0: 8 inputs of its second chunk, of which 2 are in flight at most, and their gradients; 16
    // gradients. Rank 1: 16 inputs, 3 in flight, and their gradients; 8 gradients.
    #expect(two == [30, 37])
  }

  @Test(
    "a compiled loss keeps the logits, a parallel one takes three tensors more")
  func losses() throws {
    let values: Int64 = 2_048 * 32_000
    func loss(tensor: Int = 1, compiled: Bool = false) throws -> Transformer.Operation {
      var fusion = Fusion()
      fusion.crossEntropy = false
      fusion.crossEntropyCompiled = compiled
      let shard = LayerShard(
        microBatch: 1, sequenceLength: 2_048, tensor: tensor, vocabulary: 32_000 * tensor)
      return try #require(
        SmallJobs.model().headOperations(shard: shard, fusion: fusion).last)
    }
    // Log-softmax of four bytes; behind it two more such tensors and the logits.
    let eager = try loss()
    #expect(eager.saved == 4 * values)
    #expect(eager.backwardScratch == 10 * values)
    let compiled = try loss(compiled: true)
    #expect(compiled.saved == 2 * values)
    #expect(compiled.backwardScratch == 2 * values)
    // `loss_parallel`: three such tensors.
    #expect(try loss(tensor: 2).backwardScratch == 14 * values)
    #expect(try loss(tensor: 2, compiled: true).backwardScratch == 14 * values)
  }

  @Test("of a loss in pieces one piece is there at a time")
  func chunks() throws {
    func head(_ pieces: Int) throws -> StepCompiler.LayerBlocks {
      var job = try SmallJobs.job(Parallelism(), framework: .torchtitan)
      job.training.lossChunks = pieces
      var compiler = StepCompiler(job: job)
      return compiler.headBlocks()
    }
    let whole = try head(1)
    let pieces = try head(8)
    // The fp32 log-softmax of 2,048 × 32,000 values stays no longer.
    #expect(whole.saved - pieces.saved == 4 * 2_048 * 32_000)
    #expect(pieces.backwardPeak < whole.backwardPeak)
    #expect(pieces.backward.deviceTime == whole.backward.deviceTime)
  }

  @Test("moments are like the parameters where these are their own masters, or as a scenario says")
  func moments() throws {
    func bytes(
      _ framework: Framework, _ precision: Precision, _ optimizer: Optimizer = .adamw,
      _ format: NumberFormat? = nil
    ) throws -> Int64 {
      var job = try SmallJobs.job(Parallelism(), framework: framework)
      job.training.precision = precision
      job.training.optimizer = optimizer
      job.training.momentFormat = format
      return StepCompiler(job: job).states.optimizerBytes
    }
    #expect(try bytes(.torchtitan, .bf16) == 4)
    #expect(try bytes(.torchtitan, .bf16Mixed) == 8)
    #expect(try bytes(.megatronCore, .bf16) == 8)
    #expect(try bytes(.megatronCore, .bf16Mixed) == 12)
    // DeepSeek-V3: masters in fp32, moments in bf16 (arXiv:2412.19437, section 3.3.3).
    #expect(try bytes(.megatronCore, .bf16Mixed, .adamw, .bf16) == 8)
    #expect(try bytes(.megatronCore, .bf16Mixed, .lion, .bf16) == 6)
    #expect(try bytes(.megatronCore, .bf16Mixed, .adamw8bit, .bf16) == 6)
  }
}
