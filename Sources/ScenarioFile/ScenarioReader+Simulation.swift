import Hardware
import Quantities
import RunForecast
import StepSimulation

extension ScenarioReader {
  /// Reads the `simulation` mapping; `cluster` is what slow ranks are counted in, where it is sound.
  ///
  /// Messages that slow one another are simulated one by one where nothing is said.
  func simulation(_ block: Block, _ cluster: Cluster?) -> SimulationSettings {
    var settings = SimulationSettings(fidelity: cluster?.sharesLinks == true ? .full : .folded)
    if let fidelity = block.choice("fidelity", of: Fidelity.self) { settings.fidelity = fidelity }
    if let seed = block.integer("seed", in: 0...Int.max) { settings.seed = UInt64(seed) }
    settings.speeds.seed = settings.seed
    settings.speeds.slowdowns = stragglers(block, cluster)
    let jitter = block.block("jitter")
    let deviations = 0...100 * RankSpeeds.Jitter.limit
    settings.speeds.jitter = RankSpeeds.Jitter(
      kernel: jitter.quantity("kernel", of: Percent.self, in: deviations)?.fraction ?? 0,
      gpu: jitter.quantity("gpu", of: Percent.self, in: deviations)?.fraction ?? 0)
    jitter.finish()
    block.finish()
    return settings
  }

  /// Reads `stragglers`: a list of slow ranks and nodes.
  private func stragglers(_ block: Block, _ cluster: Cluster?) -> [RankSpeeds.Slowdown] {
    guard let node = block.node("stragglers") else { return [] }
    guard case .sequence(let items) = node.content else {
      block.report(
        "stragglers", "\(node.described) is not a list, as in [{rank: 5, slowdown: 1.1}]")
      return []
    }
    return items.enumerated().compactMap { index, item in
      let path = block.keyPath("stragglers") + "[\(index)]"
      let entry = Block(item, path: path, at: item.position, log: log)
      guard entry.isSound else { return nil }
      let gpus = cluster?.gpuCount ?? Limit.gpus.upperBound
      let perNode = cluster?.gpusPerNode ?? 1
      let rank = entry.integer("rank", in: 0...gpus - 1)
      let node = entry.integer("node", in: 0...(gpus - 1) / perNode)
      _ = entry.required("slowdown", "kernel time over the usual, as 1.1")
      let factor = entry.number("slowdown", from: 1, to: 1_000)
      entry.finish()
      if entry.has("rank") == entry.has("node") {
        entry.report("rank", "name either a rank or a node that is slow")
        return nil
      }
      guard let factor else { return nil }
      if let rank { return RankSpeeds.Slowdown(ranks: rank..<rank + 1, factor: factor) }
      guard let node else { return nil }
      return RankSpeeds.Slowdown(
        ranks: node * perNode..<min(gpus, (node + 1) * perNode), factor: factor)
    }
  }
}

extension SimulationSettings {
  /// The settings in the vocabulary of a scenario file.
  func resolved(gpusPerNode: Int) -> JSONValue {
    var members: [JSONValue.Member] = [
      .init("fidelity", .string(fidelity.rawValue)), .init("seed", .integer(Int64(seed))),
    ]
    if !speeds.slowdowns.isEmpty {
      members.append(
        .init(
          "stragglers",
          .array(
            speeds.slowdowns.map { slow in
              let first = slow.ranks.lowerBound
              return slow.ranks.count == 1
                ? ["rank": .integer(first), "slowdown": .number(slow.factor)]
                : ["node": .integer(first / gpusPerNode), "slowdown": .number(slow.factor)]
            })))
    }
    let jitter = speeds.jitter
    if jitter != RankSpeeds.Jitter() {
      members.append(
        .init(
          "jitter",
          [
            "kernel": .string(Percent(jitter.kernel * 100).unitText),
            "gpu": .string(Percent(jitter.gpu * 100).unitText),
          ]))
    }
    return .object(members)
  }
}
