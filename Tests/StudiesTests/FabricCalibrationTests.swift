import Collectives
import Hardware
import Quantities
import ScenarioFile
import Studies
import Testing

/// Links fitted to collectives.
@Suite struct FabricCalibrationTests {
  /// What a cluster's own model says of all-reduces and all-gathers of 1 KiB to 1 GiB.
  private static func measurements(on cluster: Cluster, ranks: Int) -> [MeasuredCollective] {
    let model = CollectiveModel(cluster: cluster)
    let placement = GroupPlacement(
      ranks: ranks, ranksPerNode: min(ranks, cluster.gpusPerNode), groupsPerNode: 1)
    return [CollectiveOperation.allReduce, .allGather].map { operation in
      MeasuredCollective(
        operation, placement: placement,
        rows: (10...30).map { power in
          let bytes = Int64(1) << Int64(power)
          return .init(
            bytes: bytes,
            seconds: model.plan(operation, bytes: bytes, placement: placement).seconds)
        })
    }
  }

  @Test("links that made the measurements are found again")
  func recoversLinks() throws {
    let design = try #require(ClusterDesign.named("dgx-a100")).cluster(gpus: 32)
    var truth = design
    truth.intraNode = Link(
      rate: .gigabytesPerSecond(210), latency: SimDuration(seconds: 3e-6))
    truth.interNode = Link(
      rate: .gigabytesPerSecond(9), latency: SimDuration(seconds: 31e-6))
    let measured =
      Self.measurements(on: truth, ranks: 8) + Self.measurements(on: truth, ranks: 32)
    let fitted = FabricCalibration.fit(design, to: measured)
    // Three digits are kept and the grid's last step is 1 %.
    #expect(abs(fitted.intraNode.rate.bytesPerSecond / 210e9 - 1) < 0.02)
    #expect(abs(fitted.interNode.rate.bytesPerSecond / 9e9 - 1) < 0.02)
    #expect(abs(fitted.intraNode.latency.seconds / 3e-6 - 1) < 0.1)
    #expect(abs(fitted.interNode.latency.seconds / 31e-6 - 1) < 0.05)
    for entry in measured {
      #expect(entry.ratios(on: fitted).allSatisfy { abs($0 - 1) < 0.03 })
    }
  }

  @Test("a kind of link nothing was measured on stays as it is")
  func untouched() throws {
    let design = try #require(ClusterDesign.named("dgx-h100")).cluster(gpus: 16)
    var truth = design
    truth.interNode.rate = .gigabytesPerSecond(20)
    let fitted = FabricCalibration.fit(design, to: Self.measurements(on: truth, ranks: 16))
    #expect(fitted.intraNode == design.intraNode)
    #expect(abs(fitted.interNode.rate.bytesPerSecond / 20e9 - 1) < 0.02)
  }

  @Test("the shipped collectives are read to the last row, and one node is predicted as promised")
  func shipped() {
    let validation = CollectiveValidation.shipped
    #expect(validation.rows.count == 1_368)
    let oneNode = validation.all(onOneNode: true)
    #expect(oneNode.rows.count == 1_319)
    #expect(oneNode.large.medianAbsolute <= 0.10)
    #expect(oneNode.small.medianAbsolute <= 0.25)
    #expect(validation.groups.reduce(0) { $0 + $1.rows.count } == validation.rows.count)
  }
}
