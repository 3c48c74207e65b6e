import Hardware
import Quantities
import ScenarioFile
import StepProgram
import Testing

@testable import Studies

@Suite("Constants of whole steps")
struct StepConstantsTests {
  private static let run = """
    {"id": "a", "scenario": {"model": "llama-3.1-8b", "cluster": {"gpu": "h100-sxm-80gb", "gpus": 8}, \
    "training": {"sequence_length": 4096, "global_batch": 8, "micro_batch": 1, "framework": "nemo"}}, \
    "measured": {}}
    """

  @Test("a file of constants replaces those of its GPU and framework, no others")
  func application() throws {
    let tree = try JSONValue(
      parsing: """
        {"gpus": {"h100-sxm-80gb": {"sustained_clock": 0.5}, "b200-sxm": {"sustained_clock": 0.1}},
         "frameworks": {"nemo": {"host_per_step": 2}}}
        """, file: "c.json")
    var run = try #require(MeasuredRun.rows(in: Self.run, file: "a.jsonl").first)
    let before = run.scenario.job
    try StepConstants(tree).apply(to: &run.scenario.job)
    let after = run.scenario.job
    #expect(after.cluster.gpu.kernels.sustainedClock == 0.5)
    #expect(
      after.cluster.gpu.kernels.trainingAttention == before.cluster.gpu.kernels.trainingAttention)
    #expect(after.training.profile.hostPerStep.seconds == 2)
    #expect(after.training.profile.hostPerOperation == before.training.profile.hostPerOperation)
  }

  @Test("what is printed is read back and changes nothing")
  func roundTrip() throws {
    var run = try #require(MeasuredRun.rows(in: Self.run, file: "a.jsonl").first)
    let before = run.scenario.job
    let tree = try JSONValue(parsing: StepConstants.current.text, file: "c.json")
    try StepConstants(tree).apply(to: &run.scenario.job)
    #expect(run.scenario.job == before)
  }

  @Test("an unknown name is refused")
  func mistakes() throws {
    for text in [
      #"{"gpus": {"h101": {"sustained_clock": 1}}}"#,
      #"{"frameworks": {"nemo": {"host_per_stp": 1}}}"#,
      #"{"frameworks": {"nemo": {"host_per_step": "1"}}}"#,
    ] {
      let tree = try JSONValue(parsing: text, file: "c.json")
      #expect(throws: StepConstants.Mistake.self) { try StepConstants(tree) }
    }
  }

  @Test("errors on rows not fitted on are read from their table")
  func heldOut() {
    let table = HeldOutErrors.table(
      csv:
        "without,family,rows,median,absolute_median,absolute_90\nmodels,a,3,-0.01,0.02,0.3\nbad\n")
    #expect(
      table == [
        HeldOutErrors(
          without: "models", family: "a", rows: 3, median: -0.01, medianAbsolute: 0.02,
          p90Absolute: 0.3)
      ])
  }
}
