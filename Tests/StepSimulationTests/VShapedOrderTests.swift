import Layout
import Testing

@testable import StepProgram

@Suite("Pipelines in a V") struct VShapedOrderTests {
  private func text(rank: Int, ranks: Int, microbatches: Int) -> String {
    PipelineSchedule.dualPipe.turns(
      rank: rank, ranks: ranks, chunks: 2, microbatches: microbatches
    ).map { turn in
      let letter =
        switch turn.kind {
        case .forward: "F"
        case .backward: "B"
        case .weightGradient: "W"
        case .optimizer: "?"
        }
      return "\(letter)\(turn.microbatch).\(turn.chunk)"
    }.joined(separator: " ")
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

  @Test("no rank holds more activations than under 1F1B, but for those on their way up")
  func memory() {
    for rank in 0..<4 {
      var held = 0
      var most = 0
      for turn in PipelineSchedule.dualPipe.turns(
        rank: rank, ranks: 4, chunks: 2, microbatches: 16)
      {
        if turn.kind == .forward { held += 1 }
        if turn.kind == .backward { held -= 1 }
        most = max(most, held)
      }
      // 1F1B holds 4 microbatches of a whole stage: 8 chunks.
      #expect(most <= 8 + 4)
      #expect(held == 0)
    }
  }
}
