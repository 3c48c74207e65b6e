import EventKernel
import Layout
import Testing

@testable import StepSimulation

@Suite("Ranks dealt to processes")
struct RankOrderTests {
  @Test("replicas stay together, nodes stay whole, every rank has its place")
  func order() {
    // 2 tensor × 2 data × 2 pipeline, two GPUs a node: node n holds a tensor pair; nodes 0 and 2 are
    // the stages of replica 0, nodes 1 and 3 those of replica 1.
    let grid = RankGrid(Parallelism(tensor: 2, pipeline: 2, data: 2))
    let order = RankOrder(grid, gpusPerNode: 2)
    #expect((0..<8).map { order.rank(of: LogicalProcess($0)) } == [0, 1, 4, 5, 2, 3, 6, 7])
    for rank in 0..<8 { #expect(order.rank(of: order.logicalProcess(of: rank)) == rank) }
  }

  @Test("a last node with fewer ranks stays last", arguments: [1, 3, 4, 5, 8, 16])
  func partialNode(perNode: Int) {
    let grid = RankGrid(Parallelism(pipeline: 2, data: 6))
    let order = RankOrder(grid, gpusPerNode: perNode)
    let ranks = (0..<12).map { order.rank(of: LogicalProcess($0)) }
    #expect(ranks.sorted() == Array(0..<12))
    for rank in 0..<12 { #expect(order.rank(of: order.logicalProcess(of: rank)) == rank) }
    let last = 12 / perNode * perNode
    #expect(Array(ranks[last...]) == Array(last..<12))
  }
}
