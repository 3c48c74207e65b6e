public import Collectives
public import Hardware
import Layout
public import Quantities
import Transformer

extension StepProgram {
  /// A step that is nothing but one collective, by one group or by several at once.
  ///
  /// - Parameters:
  ///   - plan: the collective of one group.
  ///   - groups: groups that run it at the same time, side by side in each node: with several, ranks
  ///     that follow each other belong to different groups; with more than a node has GPUs, so do nodes.
  ///   - cluster: where it runs.
  /// - Returns: the program, or `nil` without a catalogue of models.
  /// - Precondition: the plan has at least two ranks.
  public static func collective(
    _ plan: CollectivePlan, groups: Int = 1, on cluster: Cluster
  ) -> StepProgram? {
    // The model plays no part: no kernel runs and nothing is held.
    guard let model = Architecture.catalogue.first?.architecture else { return nil }
    var cluster = cluster
    cluster.gpuCount = plan.ranks * groups
    let job = TrainingJob(
      architecture: model, cluster: cluster,
      parallelism: Parallelism(tensor: groups, data: plan.ranks),
      training: TrainingSettings(sequenceLength: 1, globalBatch: plan.ranks, microBatch: 1))
    let call = CollectiveCall(
      axis: .data, operation: plan.operation, bytes: plan.bytes,
      placement: GroupPlacement(
        ranks: plan.ranks, ranksPerNode: plan.ranksPerNode,
        groupsPerNode: min(groups, cluster.gpusPerNode),
        nodeStride: max(1, groups / cluster.gpusPerNode)),
      duration: plan.duration, category: .data, algorithm: plan.algorithm)
    let stage = StageProgram(
      stage: 0, rankCount: plan.ranks * groups, rank: 0,
      instructions: [
        .launch(call: 0, afterCompute: false, slot: 0), .wait(slot: 0, .data),
      ],
      resident: Array(repeating: 0, count: MemoryCategory.allCases.count), items: [],
      leftBehind: .zero, madeByFirstUpdate: .zero, hostBytes: .zero, cache: nil)
    return StepProgram(
      job: job, stages: [stage], calls: [call], blocks: [], laneCount: 0, slotCount: 1,
      modelFlops: Flops(0))
  }

  /// A step of collectives one after the other, each behind kernels of its own.
  ///
  /// - Parameters:
  ///   - plans: the collectives of one group, among the same ranks.
  ///   - work: kernel time before each.
  ///   - groups: groups that run them at the same time, as for one collective.
  ///   - cluster: where they run.
  /// - Returns: the program, or `nil` without a plan.
  public static func collectives(
    _ plans: [CollectivePlan], behind work: SimDuration, groups: Int = 1, on cluster: Cluster
  ) -> StepProgram? {
    guard let first = plans.first,
      var program = collective(first, groups: groups, on: cluster)
    else { return nil }
    let kernels = WorkSummary(issue: 0, busy: work.picoseconds, lag: work.picoseconds)
    program.blocks = [
      Block(
        name: "kernels", leaves: [.work(kernels)], summary: kernels,
        busyByCategory: TimeCategory.allCases.map { $0 == .compute ? work.picoseconds : 0 },
        flops: 0)
    ]
    program.calls = plans.map { plan in
      var call = program.calls[0]
      call.operation = plan.operation
      call.bytes = plan.bytes
      call.duration = plan.duration
      call.algorithm = plan.algorithm
      return call
    }
    program.stages[0].instructions = plans.indices.flatMap { call -> [Instruction] in
      [
        .run(0), .launch(call: call, afterCompute: true, slot: 0), .wait(slot: 0, .data),
      ]
    }
    return program
  }
}
