import RunForecast
import ScenarioFile
import StepSimulation
import Testing

@Suite("Slow ranks and jitter in a scenario")
struct SimulationSettingsTests {
  private static let keys = """

    simulation:
      seed: 7
      stragglers: [{rank: 5, slowdown: 1.1}, {node: 7, slowdown: 1.25}]
      jitter: {kernel: 7 %, gpu: 1.5 %}

    """

  @Test("slow ranks, slow nodes and jitter are read, and read back")
  func reading() throws {
    let scenario = try Sample.read(Sample.text + Self.keys)
    let speeds = scenario.simulation.speeds
    // 64 GPUs, 8 a node: node 7 holds the ranks 56 to 63.
    #expect(
      speeds.slowdowns == [
        RankSpeeds.Slowdown(ranks: 5..<6, factor: 1.1),
        RankSpeeds.Slowdown(ranks: 56..<64, factor: 1.25),
      ])
    #expect(speeds.jitter == RankSpeeds.Jitter(kernel: 0.07, gpu: 0.015))
    #expect(speeds.seed == 7)
    let again = try Scenario(ScenarioSource(path: "again.json", text: scenario.resolved.text))
    #expect(again.simulation == scenario.simulation)
    #expect(again.resolved == scenario.resolved)
    #expect(try Sample.read(Sample.text).simulation.speeds.isUniform)
  }

  @Test(
    "mistakes are named",
    arguments: [
      ("rank: 5,", "rank: 64,", "simulation.stragglers[0].rank", "64 is more than 63"),
      ("node: 7,", "node: 8,", "simulation.stragglers[1].node", "8 is more than 7"),
      (
        "rank: 5,", "rank: 5, node: 1,", "simulation.stragglers[0].rank",
        "name either a rank or a node that is slow"
      ),
      (
        "slowdown: 1.1", "slowdown: 0.5", "simulation.stragglers[0].slowdown",
        "0.5 is not at least 1"
      ),
      ("kernel: 7 %", "kernel: 30 %", "simulation.jitter.kernel", "30 % is more than 25 %"),
      (
        "kernel: 7 %", "kernel: 0.07", "simulation.jitter.kernel",
        "0.07 has no unit; write one of % after it"
      ),
    ])
  func mistakes(_ text: String, _ replacement: String, _ key: String, _ message: String) throws {
    let keys = Self.keys.replacing(text, with: replacement)
    #expect(keys != Self.keys)
    do {
      _ = try Sample.read(Sample.text + keys)
      Issue.record("read")
    } catch ScenarioError.wrong(let found) {
      #expect(found.map(\.keyPath) == [key])
      #expect(found.map(\.message) == [message])
    }
  }

  @Test("more tokens than steps can be counted of are refused") func tokens() {
    let text = Sample.replacing("2e12", with: "1e30")
    #expect(Sample.mistakes(text).first?.contains("training.tokens: 1e30 is more than 9") == true)
    #expect(Sample.mistakes(Sample.replacing("2e12", with: "9e15")) == [])
  }

  @Test("a GPU made from another has a name or none is given") func gpuNames() {
    let text = Sample.replacing("gpu: h100-sxm-80gb", with: "gpu: {like: h100-sxm-80gb, name: ''}")
    #expect(Sample.mistakes(text).first?.contains("cluster.gpu.name: is empty") == true)
  }
}
