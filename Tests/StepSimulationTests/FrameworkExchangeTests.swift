import Collectives
import Layout
import Quantities
import Testing
import Transformer

@testable import StepProgram
@testable import StepSimulation

/// What frameworks and their networks add to messages and collectives.
@Suite("Framework exchanges")
struct FrameworkExchangeTests {
  @Test("data collectives between nodes pay what the network's software adds to each hop")
  func networkSoftware() throws {
    func gather(_ latency: Double) throws -> Double {
      var job = try SmallJobs.job(Parallelism(data: 2, zero: 1), perNode: 1, framework: .nanotron)
      job.training.profile.tensorStepBetweenNodes = SimDuration(seconds: latency)
      let calls = StepCompiler.compile(job).calls
      return try #require(calls.first { $0.operation == .allGather }).duration.seconds
    }
    // Two ranks on two nodes: one hop, at 1.75 times its time.
    #expect(abs(try gather(50e-6) - gather(0) - 1.75 * 50e-6) < 1e-11)
  }

  @Test("DeepSpeed's stages send each tensor rank's part and put the whole together again")
  func scatteredStages() throws {
    func sends(rebuilds: Bool) throws -> [(bytes: Int64, seconds: Double)] {
      var job = try SmallJobs.job(
        Parallelism(tensor: 4, pipeline: 2), microbatches: 1, framework: .megatronDeepSpeed)
      job.training.profile.rebuildsScattered = rebuilds
      // One activation down, one gradient up.
      return StepCompiler.compile(job).stages.flatMap(\.instructions).compactMap {
        if case .send(_, _, let bytes, let duration, _) = $0 {
          (bytes, duration.seconds)
        } else {
          nil
        }
      }
    }
    let plain = try sends(rebuilds: false)
    let rebuilt = try sends(rebuilds: true)
    #expect(plain.count == 2 && rebuilt.count == 2)
    // 2,048 tokens in bf16, a quarter for each tensor rank.
    let whole = Int64(2_048 * SmallJobs.model().hiddenSize * 2)
    #expect(rebuilt.map(\.bytes) == [whole / 4, whole / 4])
    // An activation is gathered once either way and then copied; with a gradient its output is, too: one
    // gather and twice the copies.
    let copies = rebuilt[0].seconds - plain[0].seconds
    let cluster = try SmallJobs.cluster(gpus: 8, perNode: 8)
    let gather = CollectiveModel(cluster: cluster).plan(
      .allGather, bytes: whole,
      placement: GroupPlacement(ranks: 4, ranksPerNode: 4, groupsPerNode: 2))
    #expect(copies > 0)
    #expect(
      abs(rebuilt[1].seconds - plain[1].seconds - 2 * copies - gather.duration.seconds) < 1e-9)
  }
}
