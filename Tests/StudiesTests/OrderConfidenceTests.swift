import ScenarioFile
import StepProgram
import Studies
import Testing

@Suite("Order of layouts") struct OrderConfidenceTests {
  /// A sweep of runs that took `measured` seconds and were predicted to take `predicted`.
  private func sweep(_ measured: [Double], predicted: [Double]) throws -> [LayoutSweep] {
    let degrees = [(1, 8), (2, 4), (4, 2)]
    let text = zip(degrees, measured).map { layout, seconds in
      """
      {"id": "\(layout.0)", "family": "f", "scenario": {"model": "llama-3.1-8b", "cluster": \
      {"gpu": "h100-sxm-80gb", "gpus": 8}, "parallelism": {"tensor": \(layout.0), \
      "data": \(layout.1), "zero": 1}, "training": {"sequence_length": 4096, \
      "global_batch": 64, "micro_batch": 1, "framework": "megatron-core"}}, \
      "measured": {"step_seconds": \(seconds), "out_of_memory": false}}
      """
    }.joined(separator: "\n")
    let found = MeasuredRun.readableRows(in: text, file: "m.jsonl")
    var predictions = Validation(found.rows, unreadable: found.unreadable).predictions
    try #require(predictions.count == measured.count)
    for index in predictions.indices { predictions[index].stepSeconds = predicted[index] }
    return LayoutSweep.all(in: predictions, minimum: 2)
  }

  @Test("pairs are counted by how far apart they were predicted") func pairs() throws {
    // 1.01 / 1.00: 1 % apart, in order. 1.00 / 0.90 and 1.01 / 0.90: 11.1 and 12.2 % apart, and the
    // one predicted fastest was slowest.
    let order = OrderConfidence(try sweep([1.0, 1.1, 1.3], predicted: [1.0, 1.01, 0.9]))
    #expect(
      order.classes == [
        .init(difference: 0, pairs: 1, inOrder: 1), .init(difference: 0.1, pairs: 2, inOrder: 0),
      ])
  }

  @Test("equal predictions have no order; equal times came half in order") func equals() throws {
    let same = OrderConfidence(try sweep([1.0, 1.1], predicted: [1, 1]))
    #expect(same.classes.isEmpty)
    let half = OrderConfidence(try sweep([1.0, 1.0], predicted: [1, 1.03]))
    #expect(half.classes == [.init(difference: 0.02, pairs: 1, inOrder: 0.5)])
  }

  @Test("further apart is no less sure; a tie is what an error may turn round") func ties() {
    let order = OrderConfidence(classes: [
      .init(difference: 0, pairs: 9, inOrder: 0.6), .init(difference: 0.05, pairs: 9, inOrder: 0.9),
      .init(difference: 0.1, pairs: 9, inOrder: 0.7),
    ])
    #expect(order.inOrder(difference: 0.049) == 0.6)
    #expect(order.inOrder(difference: 0.2) == 0.9)
    #expect(order.isTie(difference: 0.01) && !order.isTie(difference: 0.05))
    // Nothing measured, nothing said.
    #expect(OrderConfidence(classes: []).inOrder(difference: 0.1) == nil)
    #expect(!OrderConfidence(classes: []).isTie(difference: 0.1))
  }

  @Test("the table reads back as it was written") func table() {
    let order = OrderConfidence(classes: [
      .init(difference: 0, pairs: 12, inOrder: 0.5625),
      .init(difference: 0.15, pairs: 3, inOrder: 1),
    ])
    #expect(order.csv == "difference,pairs,in_order\n0.0,12,0.5625\n0.15,3,1.0\n")
    #expect(OrderConfidence(csv: order.csv) == order)
    #expect(OrderConfidence.shipped.classes.count > 4)
  }

  @Test("choices of independent errors are those of the normal distribution") func choices() throws
  {
    let sweeps = try sweep([1.0, 1.2], predicted: [1, 1])
    let choice = ChoiceUnderScatter(sweeps)
    // The second is chosen when the difference of two errors exceeds ln 1.2 = 0.18232. Its deviation is
    // 0.1·√2, so 1.2892 deviations: 90.13 % do not.
    #expect(abs(choice.goodChoices(scatter: 0.1) - 0.9013) < 1e-3)
    #expect(choice.goodChoices(scatter: 0) == 1)
    // 90 % are within 1.28155 deviations: 0.18232 / (1.28155·√2) = 0.1006.
    #expect(abs(choice.scatter(forGoodChoices: 0.9) - 0.1006) < 1e-3)
    // Within 5 % of the best either will do.
    let close = ChoiceUnderScatter(try sweep([1.0, 1.04], predicted: [1, 1]))
    #expect(abs(close.goodChoices(scatter: 0.3) - 1) < 1e-6)
  }

  @Test("scatter leaves out what a sweep's errors have in common") func scatter() throws {
    // Errors of 10, 20 and 40 %: logarithms 0.0953, 0.1823, 0.3365, from the middle one −0.0870, 0 and
    // 0.1542. The middle of their sizes is 0.0870; times 1.4826 it is 0.1290.
    let sweeps = try sweep([1.0, 1.0, 1.0], predicted: [1.1, 1.2, 1.4])
    #expect(abs(LayoutSweep.scatter(in: sweeps) - 0.1290) < 1e-3)
  }
}
