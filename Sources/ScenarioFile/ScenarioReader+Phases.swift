import RunForecast
import StepProgram

extension ScenarioReader {
  /// The phases of a run, and which of them has the scenario's own settings.
  struct PhasesDraft {
    var phases: [PhaseSettings]
    var main: Int
  }

  /// Reads `phases`: each a name, tokens, and what differs from the scenario's own settings.
  ///
  /// Each is read as the scenario with those settings in place of its own, so that the same checks
  /// apply. One has none of its own, and takes the tokens that the others leave.
  ///
  /// - Parameters:
  ///   - top: the scenario's mapping.
  ///   - root: the same as it was written.
  ///   - own: the scenario's own phase, its tokens those of the whole run.
  /// - Returns: the phases; `nil` after a report.
  func phases(_ top: Block, of root: SourceNode, own: PhaseSettings) -> PhasesDraft? {
    guard let list = top.node("phases") else { return PhasesDraft(phases: [own], main: 0) }
    guard case .sequence(let nodes) = list.content else {
      top.report("phases", "\(list.described) is not a list of phases")
      return nil
    }
    guard !nodes.isEmpty else {
      top.report("phases", "the list is empty; leave the key out for a run of one phase")
      return nil
    }
    var drafts: [(phase: PhaseSettings, isOwn: Bool, tokens: Double?)] = []
    var isSound = true
    for (index, node) in nodes.enumerated() {
      if let draft = phase(node, index: index, of: root, own: own) {
        drafts.append(draft)
      } else {
        isSound = false
      }
    }
    guard isSound else { return nil }
    let mains = drafts.indices.filter { drafts[$0].isOwn }
    guard mains.count == 1 else {
      top.report(
        "phases",
        "\(mains.count) of them have no settings of their own; one must, the one that the rest of "
          + "the scenario describes")
      return nil
    }
    let main = mains[0]
    let others = drafts.indices.filter { $0 != main }
    let untold = others.first { drafts[$0].tokens == nil }
    if let untold {
      top.report("phases", "phase \(untold + 1) needs tokens: how many it trains on")
      return nil
    }
    let taken = others.reduce(0) { $0 + (drafts[$1].tokens ?? 0) }
    let rest = own.tokens - taken
    let tokens = drafts[main].tokens ?? rest
    guard rest > 0, abs(tokens - rest) <= 1e-6 * own.tokens else {
      top.report(
        "phases",
        "their tokens add up to \(taken + (drafts[main].tokens ?? 0)), training.tokens is "
          + "\(own.tokens)")
      return nil
    }
    drafts[main].phase.tokens = rest
    return PhasesDraft(phases: drafts.map(\.phase), main: main)
  }

  private func phase(
    _ node: SourceNode, index: Int, of root: SourceNode, own: PhaseSettings
  ) -> (phase: PhaseSettings, isOwn: Bool, tokens: Double?)? {
    let before = log.diagnostics.count
    let block = Block(node, path: "phases[\(index + 1)]", at: node.position, log: log)
    let name = block.text("name")
    let tokens = block.number("tokens", from: 0, excluding: true, to: Limit.tokens)
    // What happens around the steps, and which ranks are slow, is said once for the whole run.
    var changed = root
    for path in [["phases"], ["run"], ["simulation"], ["published"], ["training", "batch_ramp"]] {
      changed = changed.removing(path[...])
    }
    var isOwn = true
    for section in ["cluster", "parallelism", "training"] {
      guard let part = block.node(section) else { continue }
      guard case .mapping(let entries) = part.content else {
        block.report(section, "\(part.described) is not a mapping of keys to values")
        continue
      }
      guard !entries.isEmpty else { continue }
      isOwn = false
      if section == "training", entries.contains(where: { $0.key == "tokens" }) {
        block.report(section, "the tokens of a phase stand beside its training, not in it")
      }
      // Another layout leaves another number of replicas, unless it says so.
      if section != "training" { changed = changed.removing(["parallelism", "data"]) }
    }
    for section in ["cluster", "parallelism", "training"] {
      guard case .mapping(let entries) = node[section]?.content else { continue }
      for entry in entries {
        changed = changed.setting([section, entry.key], to: entry.value)
      }
    }
    block.finish()
    guard log.diagnostics.count == before else { return nil }
    let title = name ?? "phase \(index + 1)"
    if isOwn {
      var phase = own
      phase.name = title
      return (phase, true, tokens)
    }
    let known = log.doubts
    let inner = read(changed, defaultName: title, path: "phases[\(index + 1)]")
    // What a phase has from the scenario is doubted there, if at all.
    let written = node.positions
    log.doubts =
      known + log.doubts[known.count...].filter { $0.position.map(written.contains) ?? false }
    guard let inner, log.diagnostics.count == before else { return nil }
    let settings = PhaseSettings(
      name: title, job: inner.job, tokens: tokens ?? 0, ramp: inner.mainPhase.ramp)
    return (settings, false, tokens)
  }
}

extension SourceNode {
  /// Where it and everything in it stands.
  fileprivate var positions: Set<SourcePosition> {
    switch content {
    case .scalar: [position]
    case .sequence(let nodes):
      nodes.reduce(into: [position]) { $0.formUnion($1.positions) }
    case .mapping(let entries):
      entries.reduce(into: [position]) { $0.formUnion($1.value.positions) }
    }
  }

  /// The node without what stands at the end of `path`.
  func removing(_ path: ArraySlice<String>) -> SourceNode {
    guard let key = path.first, case .mapping(var entries) = content,
      let index = entries.firstIndex(where: { $0.key == key })
    else { return self }
    if path.count == 1 {
      entries.remove(at: index)
    } else {
      entries[index].value = entries[index].value.removing(path.dropFirst())
    }
    return SourceNode(position: position, content: .mapping(entries))
  }
}
