import Kernels
import Testing

@testable import StepProgram
@testable import Transformer

/// Which places a balanced router's tokens visit, and what the experts' rows cost on the way.
@Suite("Routing of balanced mixtures") struct MixtureRoutingTests {
  private func experts(_ name: String) throws -> MixtureOfExperts {
    let model = try #require(Architecture.named(name))
    return try #require(model.experts)
  }

  @Test("by turns a token visits few places") func placesInTurn() throws {
    // Eight of 256 from a multiple of 8 on: all of one node of 32, two ranks of 4.
    let deepSeek = try experts("deepseek-v3")
    #expect(deepSeek.visitedPlaces(of: 8, routing: .roundRobin) == 1)
    #expect(deepSeek.visitedPlaces(of: 64, routing: .roundRobin) == 2)
    // Two of eight from a multiple of 2 on: a rank of two, or two ranks of one.
    let mixtral = try experts("mixtral-8x7b")
    #expect(mixtral.visitedPlaces(of: 4, routing: .roundRobin) == 1)
    #expect(mixtral.visitedPlaces(of: 8, routing: .roundRobin) == 2)
    // Six of 64 from an even number on, ranks of 8: from 0 and 2 one rank, from 4 and 6 two.
    let moonlight = try experts("moonlight-16b-a3b")
    #expect(moonlight.visitedPlaces(of: 8, routing: .roundRobin) == 1.5)
    // Random: as without a word.
    #expect(
      moonlight.visitedPlaces(of: 8, routing: .random) == moonlight.visitedPlaces(of: 8))
  }

  /// The dispatch of 1,000 tokens of 64 to eight experts, two visited, over `ranks` ranks of a node.
  private func dispatch(
    _ dispatch: ExpertDispatch, ranks: Int = 4, format: NumberFormat = .bf16,
    fusion: Fusion = Fusion()
  ) throws -> [Operation] {
    let shard = LayerShard(
      microBatch: 1, sequenceLength: 1_000, expert: ranks, dispatch: dispatch,
      matmulFormat: format, vocabulary: 100)
    return SmallJobs.model(layers: 1, hidden: 64, experts: 8)
      .feedForwardOperations(layer: 0, shard: shard, fusion: fusion)
  }

  private func traffic(_ kernels: [Kernel]) -> [Int64] {
    kernels.compactMap {
      guard case .stream(let pass) = $0 else { return nil }
      return pass.bytesRead + pass.bytesWritten
    }
  }

  @Test("a fused dispatch by turns sends each token once") func fusedBytes() throws {
    // Two experts of one rank: 1,000 tokens of 64 values of 2 bytes, 2,000 rows copied from them.
    let operations = try dispatch(ExpertDispatch(dispatcher: .fused, routing: .roundRobin))
    let sent = try #require(operations.first { $0.name == "expert_dispatch" })
    #expect(sent.afterForward?.bytes == 128_000)
    #expect(traffic(sent.forward) == [128_000 + 256_000])
    // A copy an expert is sent whatever the turn.
    let plain = try dispatch(ExpertDispatch(dispatcher: .allToAll, routing: .roundRobin))
    #expect(plain.first { $0.name == "expert_dispatch" }?.afterForward?.bytes == 256_000)
  }

  @Test("what a scenario leaves open is the framework's") func defaults() throws {
    let titan = Framework.torchtitan.profile
    let open = titan.resolved(ExpertDispatch())
    #expect(open.dispatcher == .allToAll)
    #expect(open.routing == .roundRobin)
    let given = titan.resolved(ExpertDispatch(dispatcher: .fused, routing: .random))
    #expect(given.dispatcher == .fused)
    #expect(given.routing == .random)
    // Nothing is balanced by turns and uneven at once.
    #expect(titan.resolved(ExpertDispatch(imbalance: 1.2)).routing == .random)
    #expect(titan.resolved(ExpertDispatch(capacityFactor: 1)).routing == .random)
    let nemo = Framework.nemo.profile.resolved(ExpertDispatch())
    #expect(nemo.dispatcher == nil)
    #expect(nemo.routing == .random)
  }

  @Test("rows of narrow multiplies are padded and cut again") func padding() throws {
    var fusion = Fusion()
    fusion.padsNarrowExperts = true
    func passes(_ format: NumberFormat, _ expert: ExpertDispatch) throws -> [[Int64]] {
      let operations = try dispatch(expert, format: format, fusion: fusion)
      return try ["expert_dispatch", "expert_combine"].map { name in
        traffic(try #require(operations.first { $0.name == name }).forward)
      }
    }
    let expert = ExpertDispatch(dispatcher: .allToAll)
    // Permuted 384,000 and sorted 512,000; the 2,000 rows of 128 bytes read and written once more.
    #expect(try passes(.bf16, expert) == [[384_000, 512_000], [512_000, 384_000]])
    #expect(
      try passes(.mxfp8, expert)
        == [[384_000, 512_000, 512_000], [512_000, 512_000, 384_000]])
    // A capacity is a multiple already.
    let capped = ExpertDispatch(dispatcher: .allToAll, capacityFactor: 1)
    #expect(try passes(.mxfp8, capped) == [[384_000, 512_000], [512_000, 384_000]])
  }

  @Test("limits of a gated activation cost passes of their own, but inside MXFP8 kernels")
  func clamp() throws {
    var model = SmallJobs.model(layers: 1, hidden: 64, experts: 8)
    model.feedForward.activation = .swiglu
    model.feedForward.clampsGate = true
    model.feedForward.hasBias = true
    model.experts?.intermediateSize = 32
    var fusion = Fusion()
    fusion.clampsApart = true
    fusion.weighsExpertsInside = true
    func names(_ format: NumberFormat) -> [String: Operation] {
      let shard = LayerShard(
        microBatch: 1, sequenceLength: 1_000, expert: 4, matmulFormat: format, vocabulary: 100)
      let operations = model.feedForwardOperations(layer: 0, shard: shard, fusion: fusion)
      return Dictionary(uniqueKeysWithValues: operations.map { ($0.name, $0) })
    }
    let operations = names(.bf16)
    // 2,000 rows of 32 in either half: 128,000 bytes. Forward 4 + 4 of them, backward 9 + 6; the two
    // halves are kept as they were.
    let pass = try #require(operations["expert_clamp"])
    #expect(traffic(pass.forward) == [8 * 128_000])
    #expect(traffic(pass.inputGradient) == [15 * 128_000])
    #expect(pass.saved == 2 * 128_000)
    let activation = try #require(operations["expert_clamped_activation"])
    // Limited halves, and a probability of 4 bytes a row.
    #expect(activation.saved == 2 * 128_000 + 2_000 * 4)
    // `moe_act` makes both again and keeps what was not limited.
    let plan = RecomputeModules.expertActivation.plan(
      [pass, activation], input: 0, coreInputs: 0)
    #expect(plan.repeated.map(\.name) == ["expert_clamp", "expert_clamped_activation"])
    #expect(plan.kept.map(\.saved) == [2 * 128_000, 0])
    let narrow = names(.mxfp8)
    #expect(narrow["expert_clamp"] == nil)
    #expect(narrow["expert_bias"] == nil)
    #expect(narrow["expert_activation"] != nil)
    fusion.fusesExperts = false
    #expect(names(.mxfp8)["expert_clamp"] != nil)
  }

  @Test("rotation that scales is eager in Megatron-Core") func scaledRotation() throws {
    let oss = try #require(Architecture.named("gpt-oss-20b"))
    let shard = LayerShard(microBatch: 1, sequenceLength: 1_000, vocabulary: 100)
    func launches(_ model: Architecture, _ framework: Framework) -> [Int] {
      let operations = model.mixerOperations(
        layer: 0, shard: shard, algorithm: .flash2, fusion: framework.profile.fusion)
      return operations.first { $0.name == "rotary" }?.forward.map {
        guard case .stream(let pass) = $0 else { return 0 }
        return pass.launches
      } ?? []
    }
    // Split, negate, join, two products and a sum, and so on, for queries and for keys.
    #expect(launches(oss, .megatronCore) == [10])
    #expect(launches(oss, .generic) == [10])
    #expect(launches(oss, .maxtext) == [1])
    #expect(launches(try #require(Architecture.named("qwen3-30b-a3b")), .megatronCore) == [1])
  }

  @Test("fused experts activate and quantise inside their multiplies, where operands are MXFP8")
  func fusedExperts() throws {
    var model = SmallJobs.model(layers: 1, hidden: 64, experts: 8)
    model.feedForward.activation = .swiglu
    var fusion = Fusion()
    fusion.weighsExpertsInside = true
    fusion.padsNarrowExperts = true
    func operations(_ format: NumberFormat) -> [String: Operation] {
      let shard = LayerShard(
        microBatch: 1, sequenceLength: 1_000, expert: 4, matmulFormat: format, vocabulary: 100)
      let operations = model.feedForwardOperations(layer: 0, shard: shard, fusion: fusion)
      return Dictionary(uniqueKeysWithValues: operations.map { ($0.name, $0) })
    }
    // Kernels: forward of the first multiply and of the second, input gradients of the same, the activation
    // forward and backward, what comes before the experts.
    func counts(_ format: NumberFormat) -> [Int] {
      let all = operations(format)
      let up = all["expert_up_proj"]
      let down = all["expert_down_proj"]
      let middle = all["expert_activation"]
      return [
        up?.forward, down?.forward, up?.inputGradient, down?.inputGradient, middle?.forward,
        middle?.inputGradient, all["expert_dispatch"]?.forward,
      ].map { $0?.count ?? -1 }
    }
    // A pass to quantise before each multiply, one for each direction of the activation; dispatched rows are
    // permuted, sorted and padded.
    #expect(counts(.mxfp8) == [2, 2, 2, 2, 1, 1, 3])
    let saved = operations(.mxfp8).mapValues(\.saved)
    fusion.fusesExperts = true
    // What comes in and the gradient of what goes out are quantised by passes all the same.
    #expect(counts(.mxfp8) == [2, 1, 1, 2, 0, 0, 2])
    #expect(operations(.mxfp8).mapValues(\.saved) == saved)
    // Other operands have no such kernel.
    #expect(counts(.bf16) == [1, 1, 1, 1, 1, 1, 2])
    // In a graph of the whole step what they keep is copied to pages, and back.
    fusion.stashesExperts = true
    #expect(counts(.mxfp8) == [2, 2, 1, 3, 0, 0, 2])
    let kept = ["expert_up_proj", "expert_activation", "expert_down_proj"]
      .reduce(0) { $0 + (saved[$1] ?? 0) }
    let copy = operations(.mxfp8)["expert_down_proj"]?.forward.last
    #expect(
      copy == .stream(StreamingKernel(.pointwise, read: kept, written: kept, launches: 3)))
    fusion.stashesExperts = false
    model.feedForward.activation = .gelu
    #expect(counts(.mxfp8)[4...5] == [1, 1])
  }
}
