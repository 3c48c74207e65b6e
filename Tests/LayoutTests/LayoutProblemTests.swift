import Layout
import Testing
import Transformer

@Suite struct LayoutProblemTests {
  func request(_ name: String, batch: Int = 1_024, micro: Int = 1) throws -> LayoutRequest {
    LayoutRequest(
      architecture: try #require(Architecture.named(name)), sequenceLength: 8_192,
      globalBatch: batch, microBatch: micro)
  }

  func texts(_ layout: Parallelism, _ name: String, batch: Int = 1_024) throws -> [String] {
    layout.problems(try request(name, batch: batch)).map(\.description)
  }

  @Test("a usual layout has none") func valid() throws {
    let layout = Parallelism(
      tensor: 8, sequence: true, pipeline: 4, virtualStages: 5, schedule: .interleaved, data: 16,
      shardGroup: 16, zero: 1)
    #expect(try layout.problems(request("llama-3.1-70b")).isEmpty)
    #expect(
      try Parallelism(pipeline: 16, schedule: .dualPipe, expert: 64, data: 64)
        .canTrain(request("deepseek-v3", batch: 4_096)))
  }

  @Test("heads, with the degrees that divide them") func heads() throws {
    #expect(
      try texts(Parallelism(tensor: 6), "llama-3.1-8b") == [
        "parallelism.tensor: 6 does not divide the 32 attention heads; use 1, 2, 4, 8, 16 or 32"
      ])
  }

  @Test("pipeline") func pipeline() throws {
    #expect(
      try texts(Parallelism(pipeline: 64), "llama-3.1-8b") == [
        "parallelism.pipeline: 64 is more than the 32 layers; use 1, 2, 4, 8, 16 or 32"
      ])
    #expect(
      try texts(Parallelism(pipeline: 2, virtualStages: 2), "llama-3.1-8b") == [
        "parallelism.virtual_stages: 2 needs schedule: interleaved; use 1"
      ])
    let uneven = try Parallelism(pipeline: 16).problems(request("llama-3.1-405b"))
    #expect(uneven.map(\.severity) == [.warning])
    #expect(uneven.map(\.keyPath) == ["parallelism.pipeline"])
  }

  @Test("orders whose groups lie at no regular distance") func orders() throws {
    let middle: [Axis] = [.data, .pipeline, .tensor, .context]
    // 3 data ranks, then the stages, then 2 tensor ranks: no 2 neighbours of a stage share experts' matrices.
    let mixture = Parallelism(tensor: 2, pipeline: 2, data: 3, order: middle)
    #expect(
      try texts(mixture, "mixtral-8x7b", batch: 1_023) == [
        "parallelism.order: with experts, pipeline must be the first or the last"
      ])
    #expect(try texts(mixture, "llama-3.1-8b", batch: 1_023) == [])
    #expect(
      try texts(
        Parallelism(context: 2, data: 2, order: [.data, .tensor, .context, .pipeline]),
        "llama-3.1-8b") == ["parallelism.order: context and data must stand side by side"])
  }

  @Test("context, experts, data") func others() throws {
    // 8192 / (2·3) is not whole.
    #expect(
      try Parallelism(context: 3).problems(request("llama-3.1-8b")).map(\.reason)
        == [.doesNotDivide(6, 8_192, "tokens of a sequence")])
    // Under Ulysses the heads of a rank are shared out: 32 / 8 = 4.
    #expect(
      try texts(Parallelism(tensor: 8, context: 8, contextStyle: .ulysses), "llama-3.1-8b") == [
        "parallelism.context: 8 does not divide the 4 attention heads of a rank; use 1, 2 or 4"
      ])
    #expect(
      try texts(Parallelism(tensor: 8, context: 4, contextStyle: .ulysses), "llama-3.1-8b") == [])
    #expect(
      try texts(Parallelism(expert: 2, data: 2), "llama-3.1-8b") == [
        "parallelism.expert: 2 needs a mixture of experts; use 1"
      ])
    // Without experts the degree does nothing, but groups of it must still exist.
    #expect(
      try texts(Parallelism(tensor: 2, expertTensor: 4), "llama-3.1-8b") == [
        "parallelism.expert_tensor: 4 does not divide the 2 tensor × context × data ranks; use 1 or 2"
      ])
    #expect(
      try texts(Parallelism(tensor: 4, expertTensor: 2), "llama-3.1-8b") == [])
    #expect(
      try texts(Parallelism(expert: 3, data: 4), "mixtral-8x7b") == [
        "parallelism.expert: 3 does not divide the 8 experts; use 1, 2 or 4"
      ])
    #expect(
      try texts(Parallelism(data: 8, shardGroup: 3), "llama-3.1-8b") == [
        "parallelism.shard_group: 3 does not divide the 8 data × context ranks; use 1, 2, 4 or 8"
      ])
    #expect(
      try texts(Parallelism(data: 3), "llama-3.1-8b") == [
        "training.global_batch: 1024 is not a multiple of 3 (micro_batch × data); use 1023 or 1026"
      ])
    #expect(try texts(Parallelism(tensor: 0), "gpt2") == ["parallelism.tensor: 0 is below 1"])
  }

  @Test("offered degrees are valid", arguments: 0..<100)
  func choicesHold(_ seed: UInt64) throws {
    var random = Sequence64(seed: seed)
    let request = try request(["llama-3.1-8b", "gpt2", "falcon-7b"][random.pick([0, 1, 2])])
    let layout = Parallelism(tensor: random.pick([3, 5, 6, 7, 9, 24]), sequence: true)
    for problem in layout.problems(request) where problem.keyPath == "parallelism.tensor" {
      #expect(!problem.choices.isEmpty)
      for choice in problem.choices {
        let mended = Parallelism(tensor: choice, sequence: true)
        #expect(mended.canTrain(request), "\(problem) offers \(choice)")
      }
    }
  }
}
