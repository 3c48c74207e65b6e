import Collectives
import Hardware
import MessagePassing
import Quantities
import StepProgram
import StepSimulation

/// Collectives message by message: members that come at different times, and links that are shared.
enum CollectiveBenchmark {
  /// Nodes of 8 H100, a card of 50 GB/s a GPU.
  private static func cluster(_ gpus: Int, _ change: (inout Cluster) -> Void = { _ in }) -> Cluster?
  {
    guard let gpu = GPU.named("h100-sxm-80gb") else { return nil }
    var cluster = Cluster(
      gpu: gpu, gpuCount: gpus, gpusPerNode: 8, intraNode: gpu.scaleUp, interNode: gpu.scaleOut)
    change(&cluster)
    return cluster
  }

  private static func plan(
    _ bytes: Int64, _ algorithm: CollectiveAlgorithm, _ cluster: Cluster, groups: Int = 1
  ) -> CollectivePlan {
    CollectiveModel(cluster: cluster.unblocked).plan(
      .allReduce, bytes: bytes,
      placement: GroupPlacement(
        ranks: cluster.gpuCount / groups, ranksPerNode: max(1, 8 / groups),
        groupsPerNode: min(8, groups)),
      algorithm: algorithm)
  }

  /// All-reduces of mixed sizes on links of their own.
  ///
  /// Each behind 20 ms of kernels that differ by 10 % from rank to rank and from one to the next.
  static func staggered() throws {
    let settings: [(name: String, gpus: Int, algorithms: [CollectiveAlgorithm])] = [
      ("ring", 1_024, [.ring]),
      ("tree, recursive halving", 1_024, [.doubleBinaryTree, .halvingDoubling]),
      ("tree, recursive halving", 16_384, [.doubleBinaryTree, .halvingDoubling]),
    ]
    for setting in settings {
      guard let cluster = cluster(setting.gpus) else { return }
      let sizes: [Int64] = [4 << 20, 64 << 20, 1 << 20]
      let plans = sizes.flatMap { size in
        setting.algorithms.map { plan(size, $0, cluster) }
      }
      guard
        let program = StepProgram.collectives(
          plans, behind: SimDuration(seconds: 0.02), on: cluster)
      else { return }
      var speeds = RankSpeeds()
      speeds.jitter.kernel = 0.1
      var times: [Double] = []
      var messages = 0
      for _ in 0..<3 {
        let began = ContinuousClock.now
        messages = try FullSimulation.run(
          program, speeds: speeds, communicator: SoloCommunicator()
        ).statistics.messages
        times.append(seconds(since: began))
      }
      print(
        "\(setting.name), mixed sizes and starts, \(setting.gpus) ranks: \(messages) messages, "
          + "\(hundredths(median(times))) s, \(millions(Double(messages) / median(times))) M messages/s, "
          + "peak \(peakMebibytes()) MiB")
    }
  }

  /// A two-tier all-reduce of 1 GiB over all GPUs, every message on links that it shares.
  ///
  /// NVLink inside nodes and a ring over the nodes on each rail.
  static func shared() throws {
    let fabrics: [(name: String, change: (inout Cluster) -> Void)] = [
      ("rails", { $0.network.sharing = .shared }),
      (
        "rails, one card at half its rate",
        { $0.network.slowCards = [.init(gpu: 5, fraction: 0.5)] }
      ),
      (
        "fat tree, 8 to 1",
        {
          $0.topology = .fatTree
          $0.oversubscription = 8
        }
      ),
      (
        "fat tree, hashed paths",
        {
          $0.topology = .fatTree
          $0.network.routing = .ecmp
        }
      ),
    ]
    for gpus in [1_024, 16_384] {
      for fabric in fabrics {
        guard let cluster = cluster(gpus, fabric.change) else { return }
        let plan = plan(1 << 30, .hierarchical, cluster)
        guard let program = StepProgram.collective(plan, on: cluster) else { return }
        var times: [Double] = []
        var result: StepResult?
        for _ in 0..<3 {
          let began = ContinuousClock.now
          result = try FullSimulation.run(program, communicator: SoloCommunicator())
          times.append(seconds(since: began))
        }
        guard let result else { return }
        let messages = Double(result.statistics.messages)
        print(
          "two-tier all-reduce, \(gpus) ranks, \(fabric.name): \(hundredths(median(times))) s, "
            + "\(millions(messages / median(times))) M messages/s, "
            + "\(hundredths(result.duration.seconds / plan.duration.seconds)) of its closed form, "
            + "peak \(peakMebibytes()) MiB")
      }
    }
  }
}
