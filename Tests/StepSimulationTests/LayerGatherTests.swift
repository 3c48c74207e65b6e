import Collectives
import Hardware
import Kernels
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

  @Test("one layer is whole at a time", arguments: [Framework.torchtitan, .megatronCore])
  func oneAtATime(framework: Framework) throws {
    var held: [Bool: (most: Int64, largest: Int64)] = [:]
    for overlaps in [false, true] {
      var job = try SmallJobs.job(Parallelism(data: 8, zero: 3), framework: framework)
      job.parallelism.overlaps = overlaps
      var (sum, most, largest): (Int64, Int64, Int64) = (0, 0, 0)
      for case .memory(.parameters, let bytes) in StepCompiler.compile(job).stages[0].instructions {
        sum += bytes
        most = max(most, sum)
        largest = max(largest, bytes)
      }
      #expect(sum == 0)
      held[overlaps] = (most, largest)
    }
    // Without overlap each unit is gathered when it is needed and given back behind it.
    #expect(held[false]?.most == held[false]?.largest)
    #expect(held[true]?.most ?? 0 > held[true]?.largest ?? 0)
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

  private func maxText(
    _ name: String, change: (inout GPU) -> Void = { _ in }
  ) throws -> TrainingJob {
    var gpu = try #require(GPU.named(name))
    change(&gpu)
    var job = try SmallJobs.job(
      Parallelism(data: 16, zero: 3), microbatches: 1, framework: .maxtext)
    job.cluster = Cluster(
      gpu: gpu, gpuCount: 16, gpusPerNode: gpu.scaleUpDomain >= 16 ? 16 : 8,
      intraNode: gpu.scaleUp, interNode: gpu.scaleOut)
    return job
  }

  @Test("MaxText on a TPU gathers a layer before it begins, on a GPU ahead")
  func maxText() throws {
    func awaited(_ name: String) throws -> [Bool] {
      launches(StepCompiler.compile(try maxText(name)), .allGather).map(\.isAwaited)
    }
    #expect(try awaited("tpu-v5p").allSatisfy { $0 })
    #expect(try awaited("h100-sxm-80gb").contains(false))
  }

  @Test("a TPU is one whatever it is called and whatever its peaks")
  func changedTPU() throws {
    let own = try maxText("tpu-v5p")
    let named = try maxText("tpu-v5p") { $0.name = "mine" }
    let widened = try maxText("tpu-v5p") { $0.peaks[.fp16] = .teraflops(459) }
    for job in [own, named, widened] {
      let gathers = launches(StepCompiler.compile(job), .allGather)
      #expect(!gathers.isEmpty && gathers.allSatisfy { $0.isAwaited })
      #expect(job.runtime == .zero)
    }
    let duration = try FoldedSimulation.run(StepCompiler.compile(own)).duration
    #expect(try FoldedSimulation.run(StepCompiler.compile(named)).duration == duration)
  }

  /// Gathers (g) and passes (r) in the order they are issued, and the most bytes of gathered parameters.
  private func trace(_ program: StepProgram) -> (order: String, peak: Int64) {
    var order = ""
    var held: Int64 = 0
    var peak: Int64 = 0
    for instruction in program.stages[0].instructions {
      switch instruction {
      case .launch(let call, _, _) where program.calls[call].operation == .allGather: order += "g"
      case .run: order += "r"
      case .memory(.parameters, let bytes):
        held += bytes
        peak = max(peak, held)
      default: break
      }
    }
    return (order, peak)
  }

  @Test("before and beside a layer nothing of the next one is there")
  func oneLayerAtOnce() throws {
    // Ten units forward, and backward all but the head, which is still there.
    let before = trace(StepCompiler.compile(try maxText("tpu-v5p")))
    #expect(before.order.hasPrefix(String(repeating: "gr", count: 10) + "r"))
    #expect(!before.order.contains("gg"))
    // The largest tensor of a unit is a table of 32,000 × 1,024, two bytes each.
    let table: Int64 = 2 * 32_000 * 1_024
    #expect(before.peak == table)
    // Layers in two parts, the ends in one.
    let beside = trace(try program(within: true))
    let layers = String(repeating: "ggr", count: 8)
    #expect(beside.order.hasPrefix("gr" + layers + "grr" + layers + "gr"))
    // The head with its norm.
    #expect(beside.peak == table + 2 * 1_024)
    // One ahead: the last layer is there with the head.
    let ahead = trace(try program())
    #expect(ahead.order.hasPrefix("ggrgr"))
    #expect(ahead.peak == table + 2 * 1_024 + 2 * (12 * 1_024 * 1_024 + 2 * 1_024))
  }
}
