import Transformer
import Layout
import Quantities
import StepProgram
import Testing

@testable import StepSimulation

/// What a trace shows is what the simulation did.
@Suite("Traces")
struct StepTraceTests {
  private static func program(
    _ layout: Parallelism, microbatches: Int = 4
  ) throws -> StepProgram {
    try FidelityCase(
      "\(layout)", layout, model: SmallJobs.model(tied: false, experts: 0),
      microbatches: microbatches, perNode: 8, recompute: .none, framework: .generic
    ).program()
  }

  static let layouts = [
    Parallelism(tensor: 2, sequence: true, pipeline: 2, data: 2, zero: 1),
    Parallelism(pipeline: 4, schedule: .zeroBubble, data: 2),
    Parallelism(tensor: 2, data: 4, zero: 3),
    Parallelism(pipeline: 2, virtualStages: 2, schedule: .interleaved, data: 2, zero: 2),
  ]

  @Test("spans of a row do not overlap, and busy time is that of the result", arguments: layouts)
  func spans(layout: Parallelism) throws {
    let program = try Self.program(layout)
    let result = try FoldedSimulation.run(program)
    let traces = try FoldedSimulation.trace(program, ranks: program.stages.map(\.rank))
    for trace in traces {
      for row in RankTrace.Row.allCases {
        let spans = trace.spans.filter { $0.row == row }.sorted { $0.start < $1.start }
        for (one, next) in zip(spans, spans.dropFirst()) { #expect(one.end <= next.start) }
      }
      for (one, next) in zip(trace.turns, trace.turns.dropFirst()) {
        #expect(one.end <= next.start)
      }
      #expect(trace.spans.allSatisfy { $0.end.picoseconds <= result.duration.picoseconds })
      // Every block of the program is there: its kernels' time adds up.
      let kernels = trace.spans.filter { $0.row == .compute }
        .reduce(Int64(0)) { $0 + $1.end.picoseconds - $1.start.picoseconds }
      var expected: Int64 = 0
      for case .run(let index) in program.stages[trace.stage].instructions {
        for leaf in program.blocks[index].leaves {
          switch leaf {
          case .work(let work), .fork(_, _, let work): expected += work.busy
          case .exchange: break
          }
        }
      }
      #expect(kernels == expected)
    }
  }

  @Test("each rank is traced at its own speed, and the last ends when the step does")
  func speeds() throws {
    // Ranks 0 to 7 of stage 0 (tensor 2 × data 2) and 1; rank 3 is half as fast again.
    let program = try Self.program(Self.layouts[0])
    let slow = RankSpeeds(slowdowns: [RankSpeeds.Slowdown(ranks: 3..<4, factor: 1.5)])
    let ranks = Array(0..<8)
    let traces = try FoldedSimulation.trace(program, ranks: ranks, speeds: slow)
    #expect(traces.map(\.rank) == ranks)
    #expect(traces.map(\.stage) == [0, 0, 0, 0, 1, 1, 1, 1])
    func kernels(_ trace: RankTrace) -> Double {
      trace.spans.filter { $0.row == .compute }
        .reduce(0) { $0 + Double($1.end.picoseconds - $1.start.picoseconds) }
    }
    for rank in [0, 1, 2] { #expect(kernels(traces[rank]) == kernels(traces[0])) }
    // Each kernel is rounded to a picosecond.
    #expect(abs(kernels(traces[3]) / kernels(traces[0]) - 1.5) < 1e-6)
    // Rank 2 shares tensors with 3: its collectives last as long as it waits.
    func exchanges(_ trace: RankTrace) -> Double {
      trace.spans.filter { $0.row == .exchange }
        .reduce(0) { $0 + Double($1.end.picoseconds - $1.start.picoseconds) }
    }
    #expect(exchanges(traces[2]) > exchanges(traces[3]) * 1.5)
    let end = try FoldedSimulation.run(program, speeds: slow).duration.picoseconds
    let last = traces.flatMap(\.turns).map(\.end.picoseconds).max()
    #expect(last == end)
    for trace in traces {
      for row in RankTrace.Row.allCases {
        let spans = trace.spans.filter { $0.row == row }.sorted { $0.start < $1.start }
        for (one, next) in zip(spans, spans.dropFirst()) { #expect(one.end <= next.start) }
      }
    }
  }

  @Test("what one stage sends another takes up, once, not before it has arrived")
  func messages() throws {
    let program = try Self.program(Self.layouts[0])
    let traces = try FoldedSimulation.trace(program, ranks: program.stages.map(\.rank))
    var arrivals: [[Int]: Int64] = [:]
    for span in traces.flatMap(\.spans) {
      guard case .send(let lane, let microbatch, _) = span.content else { continue }
      #expect(arrivals.updateValue(span.end.picoseconds, forKey: [lane, microbatch]) == nil)
    }
    // 4 microbatches forward and 4 back.
    #expect(arrivals.count == 8)
    for receipt in traces.flatMap(\.receipts) {
      let sent = arrivals.removeValue(forKey: [receipt.lane, receipt.microbatch])
      let arrival = try #require(sent)
      #expect(receipt.time.picoseconds >= arrival)
    }
    #expect(arrivals.isEmpty)
  }

  @Test("the turns are the schedule's, in its order")
  func turns() throws {
    let program = try Self.program(Self.layouts[0])
    let traces = try FoldedSimulation.trace(program, ranks: program.stages.map(\.rank))
    func words(_ trace: RankTrace) -> String {
      trace.turns.map {
        switch $0.phase.kind {
        case .forward: "F\($0.phase.microbatch)"
        case .backward: "B\($0.phase.microbatch)"
        case .weightGradient: "W\($0.phase.microbatch)"
        case .optimizer: "O"
        }
      }.joined(separator: " ")
    }
    // 1F1B of two stages: one forward to warm up on the first.
    #expect(words(traces[0]) == "F0 F1 B0 F2 B1 F3 B2 B3 O")
    #expect(words(traces[1]) == "F0 B0 F1 B1 F2 B2 F3 B3 O")
  }
}
