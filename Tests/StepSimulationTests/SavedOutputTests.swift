import Hardware
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram

/// Layers of which inputs and named outputs stay, as under MaxText's `remat_policy`.
@Suite("Saved outputs")
struct SavedOutputTests {
  private func layer(_ recompute: StepCompiler.LayerRecompute) throws -> StepCompiler.LayerBlocks {
    var compiler = StepCompiler(job: try SmallJobs.job(Parallelism(), framework: .maxtext))
    return compiler.blocks(ofLayer: 0, recompute: recompute)
  }

  /// 2,048 tokens × 1,024 values × 2 bytes.
  private let hidden: Int64 = 2_048 * 1_024 * 2

  @Test("each output stays beside the layer's input")
  func bytes() throws {
    let saved = { (outputs: SavedOutputs) in
      try layer(.saved(outputs, offloaded: [])).saved
    }
    #expect(try saved([]) == hidden)
    #expect(try saved([]) == layer(.full).saved)
    // 16 heads of 64 for queries, keys and values each.
    #expect(try saved(.queryKeyValue) == 4 * hidden)
    #expect(try saved([.queryKeyValue, .context]) == 5 * hidden)
    #expect(try saved([.queryKeyValue, .attentionOutput]) == 5 * hidden)
    // 4,096 features; no gradient needs the last projection's output.
    #expect(try saved(.feedForwardInput) == 5 * hidden)
    #expect(try saved(.feedForwardOutput) == hidden)
  }

  @Test("what stays is not computed again")
  func time() throws {
    let time = { (recompute: StepCompiler.LayerRecompute) in
      try layer(recompute).backward.deviceTime
    }
    let full = try time(.full)
    let some = try time(.saved(.queryKeyValue, offloaded: []))
    let more = try time(.saved([.queryKeyValue, .feedForwardInput], offloaded: []))
    #expect(try full == time(.saved([], offloaded: [])))
    #expect(full > some)
    #expect(some > more)
    #expect(try more > time(.none))
  }

  @Test("what the host keeps leaves the device and crosses its link")
  func offloaded() throws {
    let outputs: SavedOutputs = [.queryKeyValue, .layerInput]
    let here = try layer(.saved(.queryKeyValue, offloaded: []))
    let away = try layer(.saved(outputs, offloaded: outputs))
    #expect(away.saved == 0)
    #expect(away.offloaded == 4 * hidden)
    // 16 MiB over PCIe take longer than so small a layer forward, not with all done again backward.
    let gpu = try #require(GPU.named("a100-sxm-80gb"))
    let copy = SimDuration(seconds: gpu.hostCopySeconds(bytes: 4 * hidden)).picoseconds
    #expect(copy > here.forward.deviceTime)
    #expect(away.forward.deviceTime == copy)
    #expect(copy < here.backward.deviceTime)
    #expect(away.backward.deviceTime == here.backward.deviceTime)
  }

  @Test("XLA has gathered tensors one by one, and gradients from their reduction on")
  func plannedBuffers() throws {
    let layout = Parallelism(data: 4, zero: 3)
    func stage(_ framework: Framework) throws -> StageProgram {
      StepCompiler.compile(
        try SmallJobs.job(layout, microbatches: 1, recompute: .full, framework: framework)
      ).stages[0]
    }
    func gathered(_ stage: StageProgram) -> Int64 {
      stage.instructions.reduce(0) {
        guard case .memory(.parameters, let bytes) = $1, bytes > 0 else { return $0 }
        return max($0, bytes)
      }
    }
    let planned = try stage(.maxtext)
    #expect(!planned.items.contains { $0.category == .gradients })
    // The table and the head are the largest tensors: 32,000 × 1,024 of two bytes.
    #expect(gathered(planned) == 2 * 32_000 * 1_024)
    // Everything that comes goes again.
    var held = [Int64](repeating: 0, count: MemoryCategory.allCases.count)
    var most: Int64 = 0
    for case .memory(let category, let bytes) in planned.instructions {
      held[category.rawValue] += bytes
      most = max(most, held[MemoryCategory.gradients.rawValue])
    }
    #expect(held.allSatisfy { $0 == 0 })
    // A quarter of the gradients in fp32 at least is there at the end.
    #expect(most >= Int64(SmallJobs.model().parameterCount))
    let eager = try stage(.torchtitan)
    #expect(eager.items.contains { $0.category == .gradients })
  }
}
