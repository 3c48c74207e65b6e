import Collectives
import Hardware
import Layout
import Quantities
import StepProgram
import Testing
import Transformer

@testable import StepSimulation

@Suite("Sharded parameters beside their layer, before it, and ahead") struct LayerGatherTests {
  private func program(
    within: Bool = false, overlaps: Bool = true, group: Int? = nil
  ) throws -> StepProgram {
    var layout = Parallelism(data: 16, zero: 3, overlaps: overlaps)
    layout.overlapsWithinLayers = within
    layout.shardGroup = group
    return StepCompiler.compile(
      try SmallJobs.job(layout, microbatches: 1, framework: .torchtitan))
  }

  private func launches(
    _ program: StepProgram, _ operation: CollectiveOperation
  ) -> [(bytes: Int64, isAwaited: Bool)] {
    let instructions = program.stages[0].instructions
    return instructions.indices.compactMap { place in
      guard case .launch(let call, _, let slot) = instructions[place],
        program.calls[call].operation == operation
      else { return nil }
      var isAwaited = false
      if place + 1 < instructions.count, case .wait(slot, _) = instructions[place + 1] {
        isAwaited = true
      }
      return (program.calls[call].bytes, isAwaited)
    }
  }

  @Test("a layer waits for its first weights only, and ends with their gradient")
  func beside() throws {
    // A layer of 12 · 1,024² and two norms of 1,024, two bytes each; of it the query, key and value
    // projections and the norm before them.
    let layer: Int64 = 2 * (12 * 1_024 * 1_024 + 2 * 1_024)
    let outer: Int64 = 2 * (3 * 1_024 * 1_024 + 1_024)
    let gathers = launches(try program(within: true), .allGather)
    // Eight layers, forward and backward.
    let first = gathers.filter { $0.bytes == outer }
    #expect(first.count == 16)
    #expect(first.allSatisfy { $0.isAwaited })
    let rest = gathers.filter { $0.bytes == layer - outer }
    #expect(rest.count == 16)
    #expect(rest.allSatisfy { !$0.isAwaited })
    // Gradients travel in fp32: most of a layer's beside it, the last behind it.
    let reductions = launches(try program(within: true), .reduceScatter).map(\.bytes)
    #expect(reductions.filter { $0 == 2 * (layer - outer) }.count == 8)
    #expect(reductions.filter { $0 == 2 * outer }.count == 8)
  }

  @Test("what is gathered and reduced is the same, and takes longest where nothing overlaps")
  func order() throws {
    let programs = [
      try program(), try program(within: true), try program(overlaps: false),
    ]
    for operation in [CollectiveOperation.allGather, .reduceScatter] {
      let sums = programs.map { launches($0, operation).reduce(0) { $0 + $1.bytes } }
      #expect(Set(sums).count == 1)
    }
    let seconds = try programs.map { try FoldedSimulation.run($0).duration.seconds }
    #expect(seconds[0] < seconds[1] && seconds[1] < seconds[2])
  }

  @Test("copies of the shards are summed once, behind the loop") func copies() throws {
    func sums(_ within: Bool) throws -> [Int64] {
      let program = try program(within: within, group: 8)
      return program.stages[0].instructions.compactMap {
        guard case .launch(let call, _, _) = $0, program.calls[call].axis == .replica else {
          return nil
        }
        return program.calls[call].bytes
      }
    }
    // Of ten units one each, against one for all.
    #expect(try sums(false).count == 10)
    #expect(try sums(true).count == 1)
    #expect(try abs(sums(false).reduce(0, +) - sums(true)[0]) <= 10 * 4)
  }

  @Test("every rank simulated takes as long as one of each kind", arguments: [false, true])
  func fidelity(hybrid: Bool) throws {
    var layout = Parallelism(data: 16, zero: 3)
    layout.overlapsWithinLayers = true
    layout.shardGroup = hybrid ? 8 : nil
    var owners = Parallelism(data: 16, zero: 1)
    owners.shardGroup = layout.shardGroup
    for job in [
      try SmallJobs.job(layout, microbatches: 2, framework: .maxtext),
      try SmallJobs.job(owners, microbatches: 2, framework: .internLM),
    ] {
      let program = StepCompiler.compile(job)
      let folded = try FoldedSimulation.run(program).duration.seconds
      let full = try SmallJobs.full(program).duration.seconds
      #expect(abs(full / folded - 1) < 0.001)
    }
  }

  @Test("MaxText on a TPU gathers a layer before it begins, on a GPU ahead")
  func maxText() throws {
    func awaited(_ name: String) throws -> [Bool] {
      let gpu = try #require(GPU.named(name))
      var job = try SmallJobs.job(
        Parallelism(data: 16, zero: 3), microbatches: 1, framework: .maxtext)
      job.cluster = Cluster(
        gpu: gpu, gpuCount: 16, gpusPerNode: gpu.scaleUpDomain >= 16 ? 16 : 8,
        intraNode: gpu.scaleUp, interNode: gpu.scaleOut)
      return launches(StepCompiler.compile(job), .allGather).map(\.isAwaited)
    }
    #expect(try awaited("tpu-v5p").allSatisfy { $0 })
    #expect(try awaited("h100-sxm-80gb").contains(false))
  }
}
