public import StepProgram
public import StepSimulation
import Quantities

extension StepSummary {
  /// The summary of a simulated step.
  ///
  /// - Parameters:
  ///   - result: what the simulation came to.
  ///   - program: what was simulated.
  ///   - record: what the simulation took.
  public init(_ result: StepResult, program: StepProgram, record: SimulationRecord) {
    let critical = result.ranks[result.criticalRank]
    let spent = { (category: TimeCategory) in Seconds(critical.spent[category.rawValue].seconds) }
    let breakdown = StepBreakdown(
      compute: spent(.compute), tensorExposed: spent(.tensor), contextExposed: spent(.context),
      expertExposed: spent(.expert), pipelineExposed: spent(.pipeline), dataExposed: spent(.data),
      bubble: spent(.bubble), optimizer: spent(.optimizer), other: spent(.other))
    let memory = result.ranks.map { rank in
      let held = { (category: MemoryCategory) in rank.atPeak[category.rawValue] }
      let named: [MemoryCategory] = [.parameters, .gradients, .optimizer, .activations, .buffers]
      // Everything beside the tensors: context, libraries, what the allocator rounds and caches.
      let runtime = named.reduce(rank.device) { $0 - held($1) }
      return RankMemory(
        rank: rank.rank, count: rank.count, pipelineStage: rank.stage,
        parameters: held(.parameters), gradients: held(.gradients), optimizer: held(.optimizer),
        activations: held(.activations), buffers: held(.buffers), runtime: runtime,
        peak: rank.device, reserved: rank.reserved, host: rank.host,
        peakMoment: rank.peakPhase.map { program.name(of: $0) } ?? "")
    }
    self.init(
      seconds: Seconds(result.duration.seconds), breakdown: breakdown,
      modelFlops: program.modelFlops, hardwareFlops: result.hardwareFlops, memory: memory,
      statistics: record)
  }
}
