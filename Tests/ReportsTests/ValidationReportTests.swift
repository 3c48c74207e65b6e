import Reports
import ScenarioFile
import StepProgram
import Studies
import Testing

@Suite struct ValidationReportTests {
  private static func row(
    _ id: String, tensor: Int, data: Int, seconds: Double, gpu: String = "h100-sxm-80gb"
  ) -> String {
    """
    {"id": "\(id)", "family": "f", "scenario": {"model": "llama-3.1-8b", "cluster": \
    {"gpu": "\(gpu)", "gpus": 8}, "parallelism": {"tensor": \(tensor), "data": \(data), \
    "zero": 1}, "training": {"sequence_length": 4096, "global_batch": 64, "micro_batch": 1, \
    "framework": "megatron-core"}}, "measured": {"step_seconds": \(seconds), \
    "tokens_per_second": 1, "peak_memory_gib": 50, "out_of_memory": false}}
    """
  }

  private func report(_ text: String) -> ValidationReport {
    let found = MeasuredRun.readableRows(in: text, file: "m.jsonl")
    return ValidationReport(Validation(found.rows, unreadable: found.unreadable))
  }

  @Test("a row that cannot be read does not stop the others") func tolerant() throws {
    let report = report(
      Self.row("good", tensor: 2, data: 4, seconds: 5) + "\n"
        + Self.row("strange", tensor: 2, data: 4, seconds: 5, gpu: "abacus") + "\n{not json\n")
    #expect(report.validation.predictions.map(\.run.id) == ["good"])
    // The row without JSON has no name: it is called by its line.
    #expect(report.validation.failures.map(\.id) == ["strange", "m.jsonl:3"])
    #expect(report.text.contains("Not predicted: 2 rows."))
    let json = report.json
    #expect(json["overall"]?["step_seconds"]?["rows"] == .integer(1))
    #expect(json["families"]?["f"]?["memory"]?["rows"] == .integer(1))
    #expect(json["overall"]?["fit"]?["true_fit"] == .integer(1))
    guard case .array(let rows)? = json["rows"], let first = rows.first else {
      Issue.record("no rows")
      return
    }
    #expect(first["measured_step_seconds"] == .number(5))
    #expect(first["measured_peak_memory_gib"] == .number(50))
    #expect(first["measured_fits"] == .bool(true))
    guard case .array(let missing)? = json["not_predicted"] else {
      Issue.record("nothing about rows left out")
      return
    }
    #expect(missing.count == 2)
  }

  @Test("a whole run is predicted from its steps and what the scenario says around them")
  func wholeRun() throws {
    let plain = Self.row("run", tensor: 2, data: 4, seconds: 5)
    let timed = plain.replacing(
      "\"step_seconds\": 5.0", with: "\"step_seconds\": 5, \"steps\": 100, \"run_seconds\": 1000")
    let evaluated = timed.replacing(
      "\"megatron-core\"}",
      with: "\"megatron-core\"}, \"run\": {\"start_up\": \"30 s\", \"evaluation\": "
        + "{\"every_steps\": 25, \"duration\": \"10 s\"}}")
    let report = report(plain + "\n" + timed + "\n" + evaluated)
    let predictions = report.validation.predictions
    try #require(predictions.count == 3, "\(report.validation.failures)")
    #expect(predictions[0].runSeconds == nil && predictions[0].runError == nil)
    let steps = 100 * predictions[1].stepSeconds
    let plainRun = try #require(predictions[1].runSeconds)
    let evaluatedRun = try #require(predictions[2].runSeconds)
    #expect(abs(plainRun - steps) < 1e-6)
    // Evaluations after steps 25, 50, 75 and 100, and the start.
    #expect(abs(evaluatedRun - steps - 70) < 1e-6)
    #expect(report.json["overall"]?["run_seconds"]?["rows"] == .integer(2))
    #expect(report.text.contains("Whole run"))
  }

  @Test("statistics are those of the definition") func statistics() {
    let errors = ValidationStatistics.Errors([-0.4, 0.1, 0.2, -0.1, 0.0])
    // In order −0.4 −0.1 0 0.1 0.2: the middle is 0. Absolute 0 0.1 0.1 0.2 0.4: the middle 0.1, the
    // mean 0.8 / 5, and at 0.9 · 4 = 3.6 of the way 0.2 + 0.6 · 0.2 = 0.32.
    #expect(errors.median == 0)
    #expect(abs(errors.medianAbsolute - 0.1) < 1e-12)
    #expect(abs(errors.meanAbsolute - 0.16) < 1e-12)
    #expect(abs(errors.p90Absolute - 0.32) < 1e-12)
  }

  @Test("a sweep is judged by the order of its layouts") func order() throws {
    let layouts = [(1, 8), (2, 4), (4, 2), (8, 1)]
    let rows = { (seconds: [Double]) in
      zip(layouts, seconds).map { layout, seconds in
        Self.row("t\(layout.0)", tensor: layout.0, data: layout.1, seconds: seconds)
      }.joined(separator: "\n")
    }
    let predicted = report(rows([1, 1, 1, 1])).validation.predictions.map(\.stepSeconds)
    // Measured as predicted: the same order. Measured the other way round: the opposite order.
    for (measured, correlation) in [(predicted, 1.0), (predicted.map { 10 - $0 / 100 }, -1.0)] {
      let validation = report(rows(measured)).validation
      let sweeps = LayoutSweep.all(in: validation.predictions, minimum: 4)
      let sweep = try #require(sweeps.first)
      #expect(sweeps.count == 1)
      #expect(sweep.predictions.count == 4)
      let found = try #require(sweep.rankCorrelation)
      #expect(abs(found - correlation) < 1e-12)
      #expect((sweep.ratioOfChoice == 1) == (correlation == 1))
    }
    // Four layouts are not five.
    let few = report(rows(predicted)).validation
    #expect(LayoutSweep.all(in: few.predictions).isEmpty)
  }

  @Test("the same rows give the same document and figure") func document() {
    let text =
      Self.row("a", tensor: 2, data: 4, seconds: 5) + "\n"
      + Self.row("b", tensor: 4, data: 2, seconds: 6)
    let document = report(text).document(explainsShippedRows: false)
    #expect(document == report(text).document(explainsShippedRows: false))
    #expect(document.hasPrefix("# Predicted against measured\n"))
    #expect(!document.contains("What the remaining errors come from"))
    let figure = report(text).figure
    #expect(figure.hasPrefix("<svg "))
    #expect(figure.contains(">Step time</text>"))
    #expect(figure.contains(">Peak memory</text>"))
    #expect(figure == report(text).figure)
  }
}

@Suite struct MeasuredErrorsTests {
  private func job(gpus: Int, gpu: String = "h100-sxm-80gb") throws -> TrainingJob {
    let text = """
      model: llama-3.1-8b
      cluster: {gpu: \(gpu), gpus: \(gpus)}
      parallelism: {data: \(gpus), zero: 1}
      training: {tokens: 1e12, sequence_length: 4096, global_batch: 512, micro_batch: 1}
      """
    return try Scenario(ScenarioSource(path: "a.yaml", text: text)).job
  }

  @Test("the nearest rows give their errors, far ones give wider errors") func neighbours() throws {
    let near = RunFeatures(try job(gpus: 8))
    let far = RunFeatures(try job(gpus: 8, gpu: "a100-sxm-80gb"))
    // Forty rows like the job, 1 to 40 % off, ten of each of four families, and many others, 90 % off.
    var table = MeasuredErrors(rows: [])
    for index in 1...40 {
      table.rows.append(.init(family: "far", features: far, error: -0.9))
      table.rows.append(
        .init(family: "near \(index % 4)", features: near, error: Double(index) / 100))
    }
    let expected = try #require(table.expected(for: try job(gpus: 8)))
    // Between the 20th and 21st: 20.5 %. At 0.9 · 39 = 35.1: 36 % and a tenth of a per cent; 1.2 times.
    #expect(abs(expected.median - 0.205) < 1e-12)
    #expect(abs(expected.ninetiethPercentile - 0.361 * 1.2) < 1e-12)
    #expect(expected.basis.hasPrefix("the 40 measured runs most like this one (10 of near 0, "))
    // 8 → 128 GPUs is four doublings of ¼: mean distance 1, not yet widened; 512 is six: 1.5, half of
    // 35 % wider.
    #expect(try #require(table.expected(for: try job(gpus: 128))).median == expected.median)
    let wide = try #require(table.expected(for: try job(gpus: 512)))
    #expect(abs(wide.median - 0.205 * 1.175) < 1e-12)
    // Ten of a family at most: without one of the near ones, ten of the far.
    let fewer = try #require(table.expected(for: try job(gpus: 8), without: "near 0"))
    #expect(fewer.basis.contains("10 of far"))
    // With nothing near, the other GPU's rows speak, and the sentence says so.
    let distant = MeasuredErrors(rows: table.rows.filter { $0.family == "far" })
    let other = try #require(distant.expected(for: try job(gpus: 8)))
    #expect(other.median > 0.9)
    #expect(other.basis.contains("none of them on h100-sxm-80gb"))
    #expect(MeasuredErrors(rows: []).expected(for: try job(gpus: 8)) == nil)
  }

  @Test("a GPU by another name has its base's errors, by other figures wider ones") func renamed()
    throws
  {
    let shipped = MeasuredErrors.shipped
    let base = try #require(shipped.expected(for: try job(gpus: 64)))
    for name in ["my-h100", "b200-sxm"] {
      let gpu = "{like: h100-sxm-80gb, name: \(name)}"
      let renamed = try #require(shipped.expected(for: try job(gpus: 64, gpu: gpu)))
      #expect(renamed == base)
    }
    // Twice or half the memory rate, one doubling: 0.35 more, on top of what the base's errors are
    // widened by; the peak left as it is.
    for rate in ["6.7 TB/s", "1.675 TB/s"] {
      let gpu = "{like: h100-sxm-80gb, name: x, memory_bandwidth: \(rate)}"
      let changed = try #require(shipped.expected(for: try job(gpus: 64, gpu: gpu)))
      #expect(changed.median > base.median)
      #expect(changed.ninetiethPercentile > base.ninetiethPercentile)
      #expect(changed.basis.contains("the figures are not those of h100-sxm-80gb"))
    }
  }

  @Test("a kind of GPU that nobody measured is no surer than those were when first met")
  func unmeasured() throws {
    let shipped = MeasuredErrors.shipped
    func expected(_ gpu: String) throws -> MeasuredErrors.Expected {
      try #require(shipped.expected(for: try job(gpus: 64, gpu: gpu)))
    }
    let first = try expected("gaudi3")
    #expect(first.median >= 0.20 && first.ninetiethPercentile >= 0.37)
    #expect(first.basis.hasSuffix("no GPU of its kind was measured: no less than those first met"))
    // The same multiprocessors on another board, another of the series.
    for gpu in ["a100-pcie-80gb", "mi325x", "tpu-v4"] {
      #expect(try !expected(gpu).basis.contains("of its kind"))
    }
  }

  @Test("the table reads back as it was written") func roundTrip() throws {
    let table = MeasuredErrors(rows: [
      .init(family: "f", features: RunFeatures(try job(gpus: 8)), error: -0.125)
    ])
    #expect(MeasuredErrors(csv: table.csv) == table)
    // A comma in a name would be a cell more.
    var renamed = table
    renamed.rows[0].features.gpu = "h100, 500 W"
    #expect(MeasuredErrors(csv: renamed.csv).rows.map(\.features.gpu) == ["h100; 500 W"])
  }

  @Test("the table that comes with the program is there") func shipped() {
    #expect(MeasuredErrors.shipped.rows.count > 2_000)
  }
}

extension String {
  /// The text with the first `old` replaced.
  fileprivate func replacing(_ old: String, with new: String) -> String {
    guard let range = firstRange(of: old) else { return self }
    return String(self[..<range.lowerBound]) + new + String(self[range.upperBound...])
  }
}
