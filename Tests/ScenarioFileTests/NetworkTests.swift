import Hardware
import Quantities
import RunForecast
import ScenarioFile
import StepProgram
import Testing

@Suite("The network's keys") struct NetworkTests {
  private static func read(_ interNode: String) throws -> Scenario {
    try Sample.read(
      Sample.replacing(
        "inter_node: {bandwidth: 400 Gb/s, latency: 4 us}",
        with: "inter_node: {bandwidth: 400 Gb/s, latency: 4 us, \(interNode)}"))
  }

  @Test("levels, routing and faults reach the cluster and read back") func values() throws {
    let scenario = try Self.read(
      "topology: fat-tree, oversubscription: 2, levels: 3, nodes_per_leaf: 2, leaves_per_pod: 2, "
        + "core_oversubscription: 4, routing: ecmp, sharing: shared, slow_nics: {13: 0.5, 2: 0.25}, "
        + "failed_nics: [3, 9], failed_uplinks: {1: 4}")
    let network = scenario.job.cluster.network
    #expect(network.levels == 3)
    #expect(network.nodesPerLeaf == 2)
    #expect(network.leavesPerPod == 2)
    #expect(network.coreOversubscription == 4)
    #expect(network.routing == .ecmp)
    #expect(network.sharing == .shared)
    #expect(network.slowCards == [.init(gpu: 2, fraction: 0.25), .init(gpu: 13, fraction: 0.5)])
    #expect(network.failedCards == [3, 9])
    #expect(network.failedUplinks == [.init(leaf: 1, count: 4)])
    let again = try Scenario(ScenarioSource(path: "a.json", text: scenario.resolved.text))
    #expect(again.job == scenario.job)
  }

  @Test("additions, protocols and what is inside nodes reach the cluster and read back")
  func nodes() throws {
    var scenario = try Self.read("sharp: true, ll128: false, hop_latency: 0.6 us")
    #expect(scenario.job.cluster.network.sharp)
    #expect(!scenario.job.cluster.network.allowsLL128)
    #expect(scenario.job.cluster.network.hopLatency.picoseconds == 600_000)
    var again = try Scenario(ScenarioSource(path: "a.json", text: scenario.resolved.text))
    #expect(again.job == scenario.job)

    let line = "inter_node: {bandwidth: 400 Gb/s, latency: 4 us}"
    scenario = try Sample.read(
      Sample.replacing(
        line,
        with: line + "\n  intra_node: {fabric: pcie, nvls: false, sharing: shared, "
          + "pcie_switch_bandwidth: 24 GB/s, socket_bandwidth: 20 GB/s, "
          + "nic_link_bandwidth: 32 GB/s, gpus_per_nic_link: 2}"))
    let node = scenario.job.cluster.node
    #expect(node.kind == .pcie && !node.adds && node.sharing == .shared)
    #expect(node.switchRate == .gigabytesPerSecond(24))
    #expect(node.socketRate == .gigabytesPerSecond(20))
    #expect(node.cardLinkRate == .gigabytesPerSecond(32) && node.gpusPerCardLink == 2)
    again = try Scenario(ScenarioSource(path: "a.json", text: scenario.resolved.text))
    #expect(again.job == scenario.job)
    #expect(throws: ScenarioError.self) {
      try Sample.read(
        Sample.replacing(line, with: line + "\n  intra_node: {socket_bandwidth: 20 GB/s}"))
    }
  }

  @Test("torus and dragonfly have their sizes") func grids() throws {
    let torus = try Self.read("topology: torus, dimensions: [4, 2], link_bandwidth: 800 Gb/s")
    #expect(torus.job.cluster.network.dimensions == [4, 2])
    #expect(torus.job.cluster.network.linkRate == .gigabytesPerSecond(100))
    let dragonfly = try Self.read("topology: dragonfly, nodes_per_group: 2")
    #expect(dragonfly.job.cluster.nodesPerLeaf == 2)
  }

  @Test("what breaks symmetry is simulated in full unless the scenario says otherwise")
  func fidelity() throws {
    #expect(try Self.read("topology: rail-fat-tree").simulation.fidelity == .folded)
    #expect(try Self.read("slow_nics: {3: 0.5}").simulation.fidelity == .full)
    #expect(try Self.read("oversubscription: 4").simulation.fidelity == .full)
    let text = Sample.replacing(
      "latency: 4 us}", with: "latency: 4 us, failed_nics: [3]}")
    let folded = try Sample.read(text + "\nsimulation: {fidelity: folded}")
    #expect(folded.simulation.fidelity == .folded)
    #expect(folded.warnings.contains { $0.contains("simulation.fidelity") })
  }

  @Test(
    "mistakes are named",
    arguments: [
      ("dimensions: [4, 2]", "means nothing on a rail-fat-tree"),
      ("topology: torus, dimensions: [4, 4]", "4 × 4 = 16, but there are 8 nodes"),
      ("failed_nics: [64]", "64 is more than 63"),
      ("slow_nics: {3: 2}", "not the part, from 0.0001 to 1"),
      ("slow_nics: {64: 0.5}", "64 is not a whole number from 0 to 63"),
      ("failed_uplinks: {0: none}", "is not how many links"),
      ("failed_uplinks: {0: 99999999999}", "is not how many links"),
      ("failed_uplinks: {0: 1, 00: 2}", "0 is there twice"),
      (
        "topology: torus, dimensions: [1000000, 1000000, 1000000, 1000000]",
        "but there are 8 nodes"
      ),
      // 8 nodes of 8 on one leaf switch a rail, 8 links up each.
      ("failed_uplinks: {8: 1}", "8 is not one of leaf switches 0 to 7"),
      ("failed_uplinks: {7: 8}", "8 of leaf switch 7 leave none of its 8 links upwards"),
      ("topology: torus, oversubscription: 2", "means nothing on a torus"),
      ("levels: 4", "4 is more than 3"),
      ("routing: ecpm", "did you mean 'ecmp'?"),
    ])
  func mistakes(keys: String, message: String) {
    let text = Sample.mistakes(
      Sample.replacing("latency: 4 us}", with: "latency: 4 us, \(keys)}")
    ).joined(separator: "\n")
    #expect(text.contains(message), "\(text)")
  }
}
