import Layout
import Testing

@testable import StepProgram

extension Turn {
  /// `F1.0`: the forward pass of microbatch 1 of chunk 0; B backward, W weight gradients; & where the next
  /// is joined to it.
  var text: String {
    let letter =
      switch kind {
      case .forward: "F"
      case .backward: "B"
      case .weightGradient: "W"
      case .optimizer: "?"
      }
    return letter + "\(microbatch).\(chunk)" + (isJoined ? "&" : "")
  }
}

@Suite("Pipelines in a V") struct VShapedOrderTests {
  private func text(rank: Int, ranks: Int, microbatches: Int) -> String {
    PipelineSchedule.dualPipe.turns(
      rank: rank, ranks: ranks, chunks: 2, microbatches: microbatches
    ).map(\.text).joined(separator: " ")
  }

  @Test("one microbatch on two ranks goes down, up, and back the same way")
  func byHand() {
    // Stages 0 and 3 on rank 0, 1 and 2 on rank 1; every pass takes one slot:
    // slot    0    1    2    3    4    5    6    7    8
    // rank 0  F0.0           F0.1 B0.1 W0.1      B0.0 W0.0
    // rank 1       F0.0 F0.1           B0.1 B0.0 W0.1 W0.0
    #expect(text(rank: 0, ranks: 2, microbatches: 1) == "F0.0 F0.1 B0.1 W0.1 B0.0 W0.0")
    #expect(text(rank: 1, ranks: 2, microbatches: 1) == "F0.0 F0.1 B0.1 B0.0 W0.1 W0.0")
  }

  @Test("every pass runs once, after what it needs", arguments: [2, 3, 4, 8], [1, 2, 5, 16])
  func completeness(ranks: Int, microbatches: Int) {
    let orders = (0..<ranks).map {
      PipelineSchedule.zeroBubble.turns(
        rank: $0, ranks: ranks, chunks: 2, microbatches: microbatches)
    }
    for turns in orders {
      #expect(turns.count == 6 * microbatches)
      #expect(Set(turns).count == turns.count)
      for (index, turn) in turns.enumerated() where turn.kind != .forward {
        let needed = Turn(
          turn.kind == .backward ? .forward : .backward, microbatch: turn.microbatch,
          chunk: turn.chunk)
        #expect(turns[..<index].contains(needed))
      }
    }
  }

  private func most(_ order: VShapedOrder) -> [Int] {
    order.turns.map { turns in
      var held = 0
      var most = 0
      for turn in turns {
        if turn.kind == .forward { held += 1 }
        if turn.kind == .backward { held -= 1 }
        most = max(most, held)
      }
      #expect(held == 0)
      return most
    }
  }

  @Test("no rank holds more than P + 1 microbatches of both chunks", arguments: UInt64(0)..<20)
  func memory(seed: UInt64) {
    // Of four ranks 10 chunks; with equal passes 1F1B's 8 do.
    #expect(most(VShapedOrder(ranks: 4, microbatches: 16)).allSatisfy { $0 <= 8 })
    var random = SeededGenerator(state: seed)
    var lengths = PassLengths.equal(stages: 8)
    for stage in 0..<8 {
      lengths.forward[stage] = .random(in: 50...150, using: &random)
      lengths.backward[stage] = .random(in: 50...200, using: &random)
      lengths.weights[stage] = .random(in: 0...100, using: &random)
    }
    lengths.transfer = .random(in: 0...30, using: &random)
    let order = VShapedOrder(ranks: 4, microbatches: 16, lengths: lengths)
    #expect(most(order).allSatisfy { $0 <= 10 })
    for turns in order.turns { #expect(Set(turns).count == 6 * 16) }
  }

  @Test("the bubble does not grow with the microbatches", arguments: [4, 8])
  func constantBubble(ranks: Int) {
    // Input gradients take more than weight gradients, as attention's do.
    let stages = 2 * ranks
    let lengths = PassLengths(
      forward: Array(repeating: 100, count: stages),
      backward: Array(repeating: 150, count: stages), weights: Array(repeating: 60, count: stages),
      transfer: 10)
    let bubbles = [4 * ranks, 16 * ranks, 64 * ranks].map { microbatches in
      VShapedOrder(ranks: ranks, microbatches: microbatches, lengths: lengths).length
        - Int64(microbatches) * 2 * 310
    }
    #expect(Set(bubbles).count == 1)
    // (P / 2 − 1) · (F&B + B − 3W) of the paper's table 2, F&B one after the other: 250, B whole, 210; and
    // transfers down and up, of which warm-up and cool-down wait for some.
    let table = Int64(ranks / 2 - 1) * (250 + 210 - 3 * 60)
    #expect(bubbles[0] >= table)
  }

  @Test("DualPipe's published order runs every pass once", arguments: [2, 3, 4, 8])
  func published(ranks: Int) {
    for microbatches in [2 * ranks, 2 * ranks + 1, 5 * ranks] {
      for rank in 0..<ranks {
        let turns = DualPipeVOrder(rank: rank, ranks: ranks, microbatches: microbatches).turns
        #expect(turns.count == 6 * microbatches)
        #expect(Set(turns).count == turns.count)
        // P + 1 microbatches of both chunks at most.
        #expect(turns.mostHeld { _ in 1 } <= 2 * Int64(ranks) + 2)
      }
    }
  }

  @Test("a rank that is never free puts off few weight gradients", arguments: [16, 64])
  func putOff(microbatches: Int) {
    // Rank 0, with both ends of the model, takes twice as long as the others.
    var lengths = PassLengths.equal(stages: 8)
    for stage in [0, 7] {
      lengths.forward[stage] = 2
      lengths.backward[stage] = 2
      lengths.weights[stage] = 2
    }
    let order = VShapedOrder(ranks: 4, microbatches: microbatches, lengths: lengths)
    for turns in order.turns {
      var left = 0
      for turn in turns {
        if turn.kind == .backward { left += 1 }
        if turn.kind == .weightGradient { left -= 1 }
        #expect(left <= 4)
      }
    }
    // It is busy all the time: m · 2 · (2 + 2 + 2).
    #expect(order.length == Int64(microbatches) * 12)
  }

  @Test("fewer microbatches take no longer, nor do they keep ranks idle longer by the microbatch")
  func fewMicrobatches() {
    // Four ranks, the last stage heavier: planned pass by pass, 7 microbatches took 6,934 and 8, which the
    // published order is for, 6,682.
    var lengths = PassLengths(
      forward: Array(repeating: 100, count: 8), backward: Array(repeating: 150, count: 8),
      weights: Array(repeating: 66, count: 8), transfer: 5)
    lengths.forward[7] += 60
    lengths.backward[7] += 60
    lengths.weights[7] += 60
    let times = (1...40).map {
      VShapedOrder(ranks: 4, microbatches: $0, lengths: lengths).length
    }
    // Rank 0 works 2 · 316 + 180 a microbatch; no step is shorter than its work.
    for (index, time) in times.enumerated() { #expect(time >= 812 * Int64(index + 1)) }
    for (fewer, more) in zip(times, times.dropFirst()) { #expect(fewer < more) }
    #expect(times[39] - times[7] == 32 * 812)
  }

  @Test("stages without layers end where they begin, for all ranks", arguments: [0, 5])
  func emptyStages(transfer: Int64) {
    var lengths = PassLengths.equal(stages: 8)
    lengths.transfer = transfer
    for stage in [1, 6] {
      lengths.forward[stage] = 0
      lengths.backward[stage] = 0
      lengths.weights[stage] = 0
    }
    for microbatches in [1, 3, 8] {
      let order = VShapedOrder(ranks: 4, microbatches: microbatches, lengths: lengths)
      for turns in order.turns { #expect(Set(turns).count == 6 * microbatches) }
    }
    // One microbatch: six stages down and six back, a unit each, rank 0's weight gradient behind, and
    // seven ways each way but for that from stage 3 to 4, both on rank 3.
    let one = VShapedOrder(ranks: 4, microbatches: 1, lengths: lengths)
    #expect(one.length == 13 + 12 * transfer)
  }

  @Test("unequal stages' bubble does not grow with the microbatches", arguments: UInt64(0)..<12)
  func unequalBubble(seed: UInt64) {
    var random = SeededGenerator(state: seed)
    var lengths = PassLengths.equal(stages: 8)
    for stage in 0..<8 {
      let forward = Int64.random(in: 80...120, using: &random)
      lengths.forward[stage] = forward
      lengths.backward[stage] = forward * 3 / 2
      lengths.weights[stage] = forward * 2 / 3
    }
    lengths.transfer = 5
    let stages = (0..<8).map { lengths.forward[$0] + lengths.backward[$0] + lengths.weights[$0] }
    let work = (0..<4).map { stages[$0] + stages[7 - $0] }
    let most = work.max() ?? 0
    let bubbles = [32, 128, 256].map { microbatches in
      VShapedOrder(ranks: 4, microbatches: microbatches, lengths: lengths).length
        - Int64(microbatches) * most
    }
    // Of two orders the shorter runs; that of the published one, which bounds it, does not grow at all.
    #expect(bubbles[1] < bubbles[0] + most)
    #expect(bubbles[2] < bubbles[1] + most / 10)
  }

  @Test("an order planned with the passes' lengths keeps ranks busy that equal ones would not")
  func planned() throws {
    // One rank's stages take three times as long: P = 4, 24 microbatches. Its 24 · (2·3 + 2·3 + 2·3)
    // = 432 units are the least the step can take; the plan is within a round trip of 8 stages
    // (2 · 3 + 6 down and up again twice: 24) of it.
    var lengths = PassLengths.equal(stages: 8)
    for stage in [1, 6] {
      lengths.forward[stage] = 3
      lengths.backward[stage] = 3
      lengths.weights[stage] = 3
    }
    let order = VShapedOrder(ranks: 4, microbatches: 24, lengths: lengths)
    #expect(order.length >= 432)
    #expect(order.length <= 432 + 24)
  }
}
