import Collectives
public import EventKernel
import Hardware
import Layout
public import MessagePassing
import Quantities
public import StepProgram

/// Runs every rank, each a logical process of the event kernel, collectives message by message.
///
/// The ranks are dealt to the processes of a communicator in whole model replicas and nodes as long
/// as there are enough. The result does not depend on how many processes there are, and on an idle
/// symmetric fabric it is ``FoldedSimulation``'s.
public enum FullSimulation {
  /// Runs the step to its end.
  ///
  /// - Parameters:
  ///   - program: what the ranks do; the same on every process.
  ///   - speeds: how fast each rank does it; the same on every process.
  ///   - communicator: the processes, all of which make this call.
  ///   - progress: told now and then how many events this process has handled.
  ///   - observer: on one process, told of every event and how many were scheduled until then.
  /// - Returns: the result, the same on every process; a pipeline stage is represented by its rank
  ///   that waits least: where one is slow the one whose kernels take longest, else the one that ends
  ///   last; the first of several.
  /// - Throws: ``StepSimulationError``, the same on every process.
  public static func run(
    _ program: StepProgram, speeds: RankSpeeds = .uniform, communicator: any Communicator,
    progress: ((Int64) -> Void)? = nil, observer: ((Event, Int64) -> Void)? = nil
  ) throws(StepSimulationError) -> StepResult {
    try program.checkSum(speeds)
    let ranks = program.job.parallelism.gpuCount
    let code = FullSimulationCode(program)
    let perNode = program.job.cluster.gpusPerNode
    let evenly = Partition(evenly: ranks, over: communicator.size, inUnitsOf: perNode)
    let fabric = try FullSimulationFabric(
      program,
      keepsNodes: evenly.bounds.allSatisfy { $0 % UInt32(perNode) == 0 || $0 == UInt32(ranks) })
    if let result = try sweep(program, fabric) { return result }
    let order = RankOrder(
      RankGrid(program.job.parallelism), gpusPerNode: perNode,
      keepsReplicas: fabric.requestDelay == 0)
    // Behind the ranks, on the last process, the network whose links they share.
    let partition =
      fabric.requestDelay == 0
      ? evenly
      : Partition(firstOfEachProcess: Array(evenly.bounds.dropLast()), count: ranks + 1)
    let smallest = smallestDelay(program, fabric, order, partition)
    guard smallest > 0 else {
      throw .impossible("a message between stages takes no time")
    }
    let block = partition.block(of: communicator.rank)
    var model = FullSimulationModel(
      program, code: code, fabric: fabric, order: order,
      lookahead: SimDuration(picoseconds: smallest),
      block: block.clamped(to: 0..<LogicalProcess(ranks)), speeds: speeds)
    if block.upperBound > ranks {
      model.network = FullSimulationNetworkStorage(FullSimulationNetwork(program, fabric))
    }
    let outcome: SimulationOutcome
    do throws(SimulationError) {
      outcome = try simulate(
        &model, partition: partition, over: communicator, progress: progress,
        observer: observer)
    } catch {
      switch error {
      case .communication(let text): throw .communication(text)
      case .lostEvents, .unhandledEvents: throw .impossible(error.description)
      }
    }
    if let fault = try firstFault(model.fault, over: communicator) { throw .impossible(fault) }
    guard outcome.isComplete else { throw .deadlock(outcome.stuck.map(\.reason)) }
    return try result(of: model, outcome, block: block, over: communicator)
  }

  /// The smallest delay of any message that goes from one process to another, picoseconds.
  private static func smallestDelay(
    _ program: StepProgram, _ fabric: FullSimulationFabric, _ order: RankOrder,
    _ partition: Partition
  ) -> Int64 {
    let ranks = program.job.parallelism.gpuCount
    let process = { (rank: Int) in partition.process(of: order.logicalProcess(of: rank)) }
    var smallest = fabric.smallestDelay(ranks: ranks, process: process)
    let pipelines = FullSimulationGroups(pipelineOf: RankGrid(program.job.parallelism))
    let isSplit = (0..<ranks).contains {
      process($0) != process(pipelines.membership(of: $0).first)
    }
    guard isSplit, fabric.requestDelay == 0 else { return smallest }
    for stage in program.stages {
      for case .send(_, _, _, let duration, _) in stage.instructions {
        smallest = min(smallest, duration.picoseconds)
      }
    }
    return smallest
  }

  /// Puts the ranks of all processes together.
  private static func result(
    of model: FullSimulationModel, _ outcome: SimulationOutcome, block: Range<LogicalProcess>,
    over communicator: any Communicator
  ) throws(StepSimulationError) -> StepResult {
    let order = model.order
    let stages = model.program.stages.count
    let categories = FullSimulationModel.categories
    var balance = [model.sent, model.received, 0, model.messages]
    var end: [Int64] = [0]
    for (local, state) in model.states.enumerated() {
      end[0] = max(end[0], state.compute)
      if !model.isDataDone(local) || state.waiting != .end { balance[2] += 1 }
    }
    try reduce(&balance, with: .sum, over: communicator)
    guard balance[0] == balance[1] else {
      throw .impossible("\(balance[0]) messages were sent, \(balance[1]) received")
    }
    guard balance[2] == 0 else { throw .impossible("\(balance[2]) ranks ended half way") }
    try reduce(&end, with: .maximum, over: communicator)

    // Of a slow rank's stage the one that is longest in kernels; of equally fast ones, which differ in
    // what they share, the one that ends last.
    let kernels = TimeCategory.compute.rawValue
    let isUniform = model.speeds.isUniform
    func place(_ local: Int) -> (first: Int64, second: Int64) {
      let (end, busy) = (model.states[local].compute, model.spent[local * categories + kernels])
      return isUniform ? (end, busy) : (busy, end)
    }
    var first = [Int64](repeating: .min, count: stages)
    for local in model.states.indices {
      let stage = model.stage(of: local)
      first[stage] = max(first[stage], place(local).first)
    }
    try reduce(&first, with: .maximum, over: communicator)
    var second = [Int64](repeating: .min, count: stages)
    for local in model.states.indices {
      let stage = model.stage(of: local)
      guard place(local).first == first[stage] else { continue }
      second[stage] = max(second[stage], place(local).second)
    }
    try reduce(&second, with: .maximum, over: communicator)
    var slowest = [Int64](repeating: .max, count: stages)
    for local in model.states.indices {
      let stage = model.stage(of: local)
      if place(local) == (first[stage], second[stage]) {
        slowest[stage] = min(slowest[stage], Int64(model.rank(of: local)))
      }
    }
    let ends = isUniform ? first : second
    try reduce(&slowest, with: .minimum, over: communicator)

    // Of each stage the slowest rank's times, and when it held most.
    let width = categories + 1
    var times = [Int64](repeating: 0, count: stages * width)
    for (stage, rank) in slowest.enumerated() {
      let process = order.logicalProcess(of: Int(rank))
      guard block.contains(process) else { continue }
      let local = Int(process - block.lowerBound)
      for category in 0..<categories {
        times[stage * width + category] =
          model.spent[local * categories + category] + model.code.stages[stage].busy[category]
      }
      times[stage * width + categories] = model.states[local].peakTime
    }
    try reduce(&times, with: .sum, over: communicator)

    let outcomes = model.code.stages.indices.map { index in
      var ledger = model.code.stages[index].ledger
      ledger.peakTime = times[index * width + categories]
      return RankOutcome(
        rank: Int(slowest[index]), compute: ends[index],
        spent: Array(times[index * width..<index * width + categories]), ledger: ledger,
        flops: model.code.stages[index].flops)
    }
    var statistics = SimulationStatistics()
    statistics.simulatedRanks = model.program.job.parallelism.gpuCount
    statistics.events = outcome.events
    statistics.messages = Int(balance[3])
    statistics.mpiMessages = outcome.mpiMessages
    statistics.windows = outcome.windows
    statistics.shares = outcome.shares
    return try StepResult(model.program, outcomes, end: end[0], statistics, isUniform: isUniform)
  }

  /// The fault of the first process that found one; the same on all.
  private static func firstFault(
    _ own: String?, over communicator: any Communicator
  ) throws(StepSimulationError) -> String? {
    do throws(CommunicationError) {
      let all = try communicator.gatherToAll(Array((own ?? "").utf8))
      return all.first { !$0.isEmpty }.map { String(decoding: $0, as: UTF8.self) }
    } catch {
      throw .communication(error.description)
    }
  }

  private static func reduce(
    _ values: inout [Int64], with reduction: Reduction, over communicator: any Communicator
  ) throws(StepSimulationError) {
    do throws(CommunicationError) {
      try communicator.reduce(&values, with: reduction)
    } catch {
      throw .communication(error.description)
    }
  }
}

extension FullSimulationModel {
  /// The ranks that have not come to their end, and what each waits for.
  func stuckProcesses() -> [StuckProcess] {
    states.indices.compactMap { local in
      guard states[local].waiting != .end || !isDataDone(local) else { return nil }
      return StuckProcess(LogicalProcess(rank(of: local)), reason: reason(local))
    }
  }

  private func reason(_ local: Int) -> String {
    let state = states[local]
    let stage = stage(of: local)
    let head = "rank \(rank(of: local)) (pipeline stage \(stage))"
    guard state.waiting != .end else {
      return head + " has ended, but its data stream waits " + dataReason(local)
    }
    let counter = Int(state.counter)
    let instruction = code.instructions[counter]
    let place =
      " waits at instruction \(code.origins[counter]): \(instruction): "
    switch instruction {
    case .receive(let lane, let microbatch):
      let sender = code.sender[lane]
      let rank = neighbour(of: local, in: max(sender, 0))
      return head + place
        + (sender < 0
          ? "nobody sends microbatch \(microbatch) into lane \(lane)"
          : "for microbatch \(microbatch) from rank \(rank)")
    case .wait: return head + place + dataReason(local)
    default: return head + place + members(of: actives[2 * local], local)
    }
  }

  private func dataReason(_ local: Int) -> String {
    let active = actives[2 * local + 1]
    if active.isBusy { return members(of: active, local) }
    return "for data operation \(states[local].nextOperation), which never began"
  }

  private func members(of active: FullSimulationFabric.Active, _ local: Int) -> String {
    guard active.isBusy else { return "for nothing known" }
    let call = fabric.calls[Int(active.call)]
    let communicator = fabric.communicators[call.communicator]
    let place = communicator.groups.membership(of: rank(of: local))
    let ranks = (0..<min(8, communicator.groups.size)).map {
      String(communicator.groups.rank(of: $0, first: place.first))
    }
    let isLong = communicator.groups.size > ranks.count
    return "for the other ranks of \(call.plan.operation.rawValue) on the "
      + "\(communicator.axis) axis: " + ranks.joined(separator: ", ") + (isLong ? ", …" : "")
  }
}
