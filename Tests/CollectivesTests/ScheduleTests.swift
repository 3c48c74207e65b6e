@testable import Collectives
import Hardware
import Quantities
import Testing

/// One case: an operation by an algorithm on some ranks.
struct ScheduleCase: CustomTestStringConvertible, Sendable {
  var operation: CollectiveOperation
  var algorithm: CollectiveAlgorithm
  var ranks: Int
  var perNode: Int
  var bytes: Int64

  var testDescription: String {
    "\(operation.rawValue) \(algorithm.rawValue) \(ranks) ranks, \(perNode) a node, \(bytes) B"
  }

  /// Every algorithm on sizes that do not divide, among them fewer bytes than ranks.
  static let all: [ScheduleCase] = {
    let shapes = [
      (2, 2), (3, 3), (5, 5), (8, 8), (2, 1), (3, 1), (6, 2), (6, 3), (12, 4), (8, 2), (16, 4),
      (10, 2), (7, 1), (15, 3), (32, 8),
    ]
    var cases: [ScheduleCase] = []
    for (ranks, perNode) in shapes {
      for bytes: Int64 in [1, 13, 61] {
        for operation in CollectiveOperation.allCases {
          for algorithm in CollectiveAlgorithm.allCases {
            cases.append(
              ScheduleCase(
                operation: operation, algorithm: algorithm, ranks: ranks, perNode: perNode,
                bytes: bytes))
          }
        }
      }
    }
    return cases
  }()
}

@Suite struct ScheduleTests {
  /// Executes a plan and checks every byte of every member, and the time.
  private func check(_ schedule: ScheduleCase, _ plan: CollectivePlan) {
    let ranks = schedule.ranks
    let size = Int(schedule.bytes)
    let block = Int((schedule.bytes + Int64(ranks) - 1) / Int64(ranks))
    func owner(_ byte: Int) -> Int { byte / block }

    let start: [[IdleFabric.Cell]] = (0..<ranks).map { member in
      (0..<size).map { byte in
        switch schedule.operation {
        // Only the own part is known, or only the root's.
        case .allGather, .gather: owner(byte) == member ? [member * 1000 + byte: 1] : [:]
        case .broadcast, .scatter: member == 0 ? [byte: 1] : [:]
        case .allToAll, .sendReceive: [member * 1000 + byte: 1]
        case .allReduce, .reduceScatter, .reduce: [member: 1]
        }
      }
    }
    let run = IdleFabric(plan, buffers: start)
    #expect(run.isComplete)
    #expect(run.end == plan.duration)

    // A sum holds each member's contribution exactly once.
    let sum = Dictionary(uniqueKeysWithValues: (0..<ranks).map { ($0, 1) })
    var wrong = 0
    for member in 0..<ranks {
      for byte in 0..<size {
        let cell = run.buffers[member][byte]
        switch schedule.operation {
        case .allReduce: if cell != sum { wrong += 1 }
        case .reduceScatter: if owner(byte) == member, cell != sum { wrong += 1 }
        case .reduce: if member == 0, cell != sum { wrong += 1 }
        case .allGather: if cell != [owner(byte) * 1000 + byte: 1] { wrong += 1 }
        case .gather: if member == 0, cell != [owner(byte) * 1000 + byte: 1] { wrong += 1 }
        case .sendReceive:
          let before = (member + ranks - 1) % ranks
          if run.received[member][byte] != [before * 1000 + byte: 1] { wrong += 1 }
        case .broadcast: if cell != [byte: 1] { wrong += 1 }
        case .scatter: if owner(byte) == member, cell != [byte: 1] { wrong += 1 }
        case .allToAll:
          // Byte `byte` of member's buffer belongs to `owner(byte)`, who keeps it in member's place.
          let receiver = owner(byte)
          let place = member * block + byte - receiver * block
          if receiver != member,
            run.received[receiver][place] != [member * 1000 + byte: 1]
          {
            wrong += 1
          }
        }
      }
    }
    #expect(wrong == 0)
  }

  @Test(
    "every member ends with the right data at the time of the closed form",
    arguments: ScheduleCase.all)
  func usualFabric(_ schedule: ScheduleCase) throws {
    var machine = try cluster("h100-sxm-80gb", nodes: schedule.ranks / schedule.perNode)
    machine.network.sharp = true
    let model = CollectiveModel(cluster: machine)
    let plan = model.plan(
      schedule.operation, bytes: schedule.bytes,
      placement: group(schedule.ranks, perNode: schedule.perNode), algorithm: schedule.algorithm)
    if schedule.operation == .allReduce, schedule.perNode > 1, schedule.ranks > schedule.perNode,
      ![.direct, .halvingDoubling].contains(schedule.algorithm)
    {
      #expect(plan.algorithm == schedule.algorithm)
    }
    check(schedule, plan)
  }

  /// Any latencies and rates, chunks of a few bytes: NVLink slower than the NICs too, so that every
  /// branch of the closed forms decides somewhere.
  @Test("closed form equals execution whatever the links cost", arguments: 0..<400)
  func anyFabric(seed: Int) {
    var random = SeededGenerator(seed: seed)
    let perNode = Int.random(in: 1...6, using: &random)
    let nodes = Int.random(in: perNode == 1 ? 2...9 : 1...6, using: &random)
    let ranks = perNode * nodes
    let operation = CollectiveOperation.allCases.randomElement(using: &random) ?? .allReduce
    let several: [CollectiveAlgorithm] =
      switch operation {
      case .allToAll, .gather, .scatter, .sendReceive: [.direct]
      case .broadcast, .reduce: [.ring]
      case .allReduce:
        [
          .ring, .doubleBinaryTree, .direct, .hierarchical, .halvingDoubling, .inNetwork, .nvlsTree,
          .collNetDirect, .collNetChain,
        ]
      default: [.ring, .direct, .halvingDoubling]
      }
    var algorithm = several.randomElement(using: &random) ?? .ring
    // The fallbacks of `CollectiveModel.plan`.
    if algorithm == .direct, nodes > 1, !operation.isPairwise { algorithm = .ring }
    if algorithm == .halvingDoubling, ranks.nonzeroBitCount != 1 { algorithm = .ring }
    if algorithm == .hierarchical, nodes == 1 { algorithm = .doubleBinaryTree }
    if algorithm == .nvlsTree, nodes == 1 || perNode == 1 { algorithm = .collNetDirect }
    if algorithm == .inNetwork, perNode == 1 { algorithm = .collNetChain }
    if [.collNetDirect, .collNetChain].contains(algorithm), nodes == 1 { algorithm = .inNetwork }
    let schedule = ScheduleCase(
      operation: operation, algorithm: algorithm, ranks: ranks, perNode: perNode,
      bytes: Int64.random(in: 1...97, using: &random))
    func hop(atLeast: Int64 = 0) -> HopCost {
      HopCost(
        latency: SimDuration(
          picoseconds: Int64.random(in: atLeast...(atLeast + 90), using: &random)),
        secondsPerByte: Double.random(in: 0.1e-12...9e-12, using: &random))
    }
    // A hop between nodes is never shorter in latency; trees are given nodes no faster outside.
    let near = hop()
    var far = hop(atLeast: near.latency.picoseconds)
    if algorithm == .doubleBinaryTree {
      far.secondsPerByte = max(far.secondsPerByte, near.secondsPerByte)
    }
    let plan = CollectivePlan(
      operation: operation, algorithm: algorithm, transferProtocol: .simple,
      bytes: schedule.bytes, ranks: ranks, ranksPerNode: perNode,
      launch: SimDuration(picoseconds: Int64.random(in: 0...50, using: &random)), intraNode: near,
      interNode: far, pipelineChunk: Int64.random(in: 1...16, using: &random))
    check(schedule, plan)
  }
}
