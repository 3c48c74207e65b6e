import Quantities
import Reports
import RunForecast
import ScenarioFile
import StepProgram
import Testing

/// The page a result is shown on.
@Suite struct ReportPageTests {
  private static func scenario(microbatches: Int = 4) throws -> Scenario {
    try Scenario(
      ScenarioSource(
        path: "a.yaml",
        text: """
          name: 8B on <eight> & more
          model: llama-3.1-8b
          cluster: {gpu: a100-sxm-80gb, gpus: 8}
          parallelism: {pipeline: 2, data: 4, zero: 1}
          training:
            tokens: 819200e6
            sequence_length: 4096
            global_batch: \(4 * microbatches)
            micro_batch: 1
          """))
  }

  private static func report() throws -> SimulationReport {
    let step = StepSummary(
      seconds: Seconds(4),
      breakdown: StepBreakdown(
        compute: Seconds(3), dataExposed: Seconds(0.75), optimizer: Seconds(0.25)),
      modelFlops: Flops(3.2e15), hardwareFlops: Flops(4e15),
      memory: [RankMemory(rank: 0, count: 8, activations: .gibibytes(90), peak: .gibibytes(90))],
      statistics: SimulationRecord(fidelity: .folded, simulatedRanks: 1, events: 10))
    return try SimulationReport(scenario: try scenario(), step: step)
  }

  @Test("figures, bars to scale, and nothing fetched from elsewhere")
  func page() throws {
    let html = try Self.report().html(picture: nil)
    #expect(html.contains("<h1>8B on &lt;eight&gt; &amp; more</h1>"))
    // 90 GiB of an A100's 79.15.
    #expect(html.contains("<p class=\"not\">Does not fit: rank 0"))
    // 3 s of 4 s are 750 of 1,000, and 0.75 s the 187.5 behind them.
    #expect(html.contains("<rect x=\"0\" y=\"2\" width=\"750\""))
    #expect(html.contains("<rect x=\"750\" y=\"2\" width=\"187.5\""))
    // The fullest rank is as wide as the drawing: 820.
    #expect(html.contains("width=\"820\" height=\"16\""))
    for foreign in ["<script", "src=", "href=", "@import", "url("] {
      #expect(!html.contains(foreign))
    }
    #expect(html == (try Self.report().html(picture: nil)))
  }

  @Test("every turn of the schedule is drawn once")
  func schedule() throws {
    let program = StepCompiler.compile(try Self.scenario().job)
    let picture = try #require(try StepPicture(program, ranks: [0, 4], memoryStage: 0))
    let html = try Self.report().html(picture: picture)
    // Two stages, four microbatches, forward and backward: 16 rectangles 15 high; and two updates.
    let paths = html.split(separator: "\n").filter { $0.hasPrefix("<path d=") }
    #expect(paths.map { $0.split(separator: "v15h").count - 1 }.reduce(0, +) == 18)
    #expect(html.contains("Memory of a rank of stage 0 over the step"))
  }

  @Test("a step too long to draw is left out")
  func long() throws {
    // 2 stages × 6,000 microbatches × 2 passes are 24,000 turns.
    let program = StepCompiler.compile(try Self.scenario(microbatches: 6_000).job)
    #expect(try StepPicture(program, ranks: [0, 4], memoryStage: 0) == nil)
  }
}
