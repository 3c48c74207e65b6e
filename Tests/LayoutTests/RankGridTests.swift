import Layout
import Testing

@Suite struct RankGridTests {
  // Two nodes of 8, tensor 2, pipeline 4, data 2 (the grid drawn in Megatron-Core's
  // parallel_state.py, `initialize_model_parallel`, for 16 GPUs).
  let megatron = RankGrid(Parallelism(tensor: 2, pipeline: 4, data: 2))

  @Test("Megatron's drawn example") func drawnExample() {
    // There: 8 data groups [g0, g2], [g1, g3], [g4, g6], …; 8 tensor groups [g0, g1], [g2, g3], …;
    // 4 pipeline groups [g0, g4, g8, g12], [g1, g5, g9, g13], …
    #expect(
      megatron.groups(.data).map(\.members).prefix(4) == [[0, 2], [1, 3], [4, 6], [5, 7]])
    #expect(megatron.groups(.tensor).map(\.members).prefix(3) == [[0, 1], [2, 3], [4, 5]])
    #expect(
      megatron.groups(.pipeline).map(\.members)
        == [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]])
    #expect(megatron.coordinate(of: 13) == Coordinate(tensor: 1, context: 0, data: 0, pipeline: 3))
  }

  @Test("pipeline before data") func otherOrder() {
    // tp-pp-dp: rank = t + 2·(p + 4·d).
    let grid = RankGrid(
      Parallelism(tensor: 2, pipeline: 4, data: 2, order: [.tensor, .context, .pipeline, .data]))
    #expect(grid.group(.pipeline, containing: 0).members == [0, 2, 4, 6])
    #expect(grid.group(.data, containing: 3).members == [3, 11])
    // Stage 1 holds ranks 2, 3, 10, 11, numbered in that order.
    #expect([2, 3, 10, 11].map { grid.stageIndex(of: $0) } == [0, 1, 2, 3])
  }

  @Test("experts have a grid of their own in a stage") func experts() {
    // 8 ranks a stage, tensor 2, expert tensor 1: index = e + 4·ed.
    let grid = RankGrid(
      Parallelism(tensor: 2, pipeline: 2, expert: 4, expertTensor: 1, data: 4))
    #expect(grid.group(.expert, containing: 1).members == [0, 1, 2, 3])
    #expect(grid.group(.expertData, containing: 9).members == [9, 13])
    #expect(grid.expertData == 2)
    #expect(grid.expertCoordinate(of: 14) == ExpertCoordinate(tensor: 0, expert: 2, data: 1))
    // With expert tensor 2 the experts step over tensor pairs.
    let wide = RankGrid(Parallelism(tensor: 2, expert: 2, expertTensor: 2, data: 4))
    #expect(wide.group(.expertTensor, containing: 5).members == [4, 5])
    #expect(wide.group(.expert, containing: 5).members == [5, 7])
    #expect(wide.group(.expertData, containing: 5).members == [1, 5])
  }

  @Test("gradients are reduced over context and data") func gradient() {
    // rank = t + 2·(c + 2·d): ranks of tensor position 0 are the even ones.
    let grid = RankGrid(Parallelism(tensor: 2, context: 2, data: 3))
    #expect(grid.group(.gradient, containing: 4).members == [0, 2, 4, 6, 8, 10])
    #expect(grid.group(.context, containing: 5).members == [5, 7])
  }

  @Test("hybrid shards are neighbours, replicas one shard group apart") func hybrid() {
    let grid = RankGrid(Parallelism(data: 8, shardGroup: 4, zero: 3))
    #expect(grid.group(.shard, containing: 6).members == [4, 5, 6, 7])
    #expect(grid.group(.replica, containing: 6).members == [2, 6])
    #expect(RankGrid(Parallelism(data: 8)).group(.replica, containing: 6).members == [6])
  }

  @Test("groups and nodes") func spread() {
    // Nodes of 8, tensor 4: each node holds two tensor groups; a data group of 4 has 2 ranks in
    // each of 2 nodes, and the 4 data groups of a node share its NICs.
    let grid = RankGrid(Parallelism(tensor: 4, data: 4))
    #expect(
      grid.spread(.tensor, gpusPerNode: 8)
        == GroupSpread(ranks: 4, ranksPerNode: 4, nodes: 1, groupsPerNode: 2))
    #expect(
      grid.spread(.data, gpusPerNode: 8)
        == GroupSpread(ranks: 4, ranksPerNode: 2, nodes: 2, groupsPerNode: 4))
    // Pipeline neighbours of the drawn grid: ranks 0, 4 in node 0 and 8, 12 in node 1.
    #expect(
      megatron.spread(.pipeline, containing: 9, gpusPerNode: 8)
        == GroupSpread(ranks: 4, ranksPerNode: 2, nodes: 2, groupsPerNode: 4))
    // Groups of 6 over nodes of 8: ranks 6…11 lie 2 in node 0 and 4 in node 1.
    #expect(
      RankGrid(Parallelism(tensor: 6, data: 4)).spread(.tensor, containing: 6, gpusPerNode: 8)
        == GroupSpread(ranks: 6, ranksPerNode: 4, nodes: 2, groupsPerNode: 2))
  }

  @Test("nodes are counted as members say, one by one", arguments: 0..<60)
  func nodes(_ seed: UInt64) {
    var random = Sequence64(seed: seed)
    var layout = random.layout()
    layout.order =
      [
        Parallelism.usualOrder, [.tensor, .context, .pipeline, .data],
        [.pipeline, .data, .context, .tensor],
      ][Int(seed % 3)]
    let grid = RankGrid(layout)
    for kind in [GroupKind.tensor, .pipeline, .data, .gradient, .shard, .world] {
      for size in [1, 3, 4, 8] {
        var perNode: [Int: Int] = [:]
        for member in grid.group(kind, containing: 0).members {
          perNode[member / size, default: 0] += 1
        }
        let spread = grid.spread(kind, gpusPerNode: size)
        #expect(spread.nodes == perNode.count)
        #expect(spread.ranksPerNode == perNode.values.max())
      }
    }
  }

  @Test("every kind of group parts all ranks", arguments: 0..<60)
  func partition(_ seed: UInt64) {
    var random = Sequence64(seed: seed)
    let layout = random.layout()
    let orders: [[Axis]] = [
      [.tensor, .context, .data, .pipeline], [.tensor, .context, .pipeline, .data],
      [.data, .tensor, .context, .pipeline],
    ]
    // The experts' grid is cut from merged levels; only the default order merges them all.
    let order = orders[seed.isMultiple(of: 2) ? 0 : Int(seed / 2 % 3)]
    var ordered = layout
    ordered.order = order
    let grid = RankGrid(ordered)
    for rank in 0..<grid.rankCount {
      #expect(grid.rank(at: grid.coordinate(of: rank)) == rank)
    }
    for kind in GroupKind.allCases {
      let isExpert = [.expert, .expertTensor, .expertData, .expertShard, .expertReplica]
        .contains(kind)
      if isExpert, order != orders[0] { continue }
      let groups = grid.groups(kind)
      #expect(groups.flatMap(\.members).sorted() == Array(0..<grid.rankCount))
      #expect(groups.allSatisfy { $0.count == grid.size(kind) })
      for group in groups {
        for (index, rank) in group.members.enumerated() {
          #expect(group.index(of: rank) == index)
          #expect(grid.group(kind, containing: rank) == group)
        }
      }
    }
    // Shards × replicas is the gradient group; experts × expert data × expert tensor a stage.
    #expect(grid.size(.shard) * grid.size(.replica) == grid.size(.gradient))
    if order == orders[0] {
      #expect(
        grid.size(.expert) * grid.size(.expertData) * grid.size(.expertTensor)
          == grid.ranksPerStage)
    }
  }
}

/// Reproducible choices: SplitMix64.
struct Sequence64: RandomNumberGenerator {
  var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// One of `values`.
  mutating func pick(_ values: [Int]) -> Int { values[Int(next() % UInt64(values.count))] }

  /// A layout whose degrees fit one another.
  mutating func layout() -> Parallelism {
    let tensor = pick([1, 2, 3, 4])
    let context = pick([1, 2])
    let data = pick([1, 2, 3, 4, 6])
    let expertTensor = pick([1, tensor])
    return Parallelism(
      tensor: tensor, pipeline: pick([1, 2, 3]), context: context,
      expert: pick(divisors(of: tensor * context * data / expertTensor)),
      expertTensor: expertTensor, data: data,
      shardGroup: context == 1 ? pick(divisors(of: data)) : nil)
  }
}
