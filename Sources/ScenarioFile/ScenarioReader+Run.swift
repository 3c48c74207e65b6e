import Quantities
import RunForecast

extension ScenarioReader {
  private static let year = 31_536_000.0

  /// Reads the `run` mapping.
  func run(_ block: Block) -> RunSettings {
    var settings = RunSettings()
    settings.checkpoint = optional(block, "checkpoint").flatMap(checkpoint)
    settings.failures = optional(block, "failures").flatMap(failures)
    settings.stragglers = optional(block, "stragglers").flatMap(stragglers)
    settings.evaluation = optional(block, "evaluation").flatMap(evaluation)
    settings.dataLoading = optional(block, "data_loading").flatMap(dataLoading)
    settings.startUp = seconds(block, "start_up", 0) ?? .zero
    settings.draws = block.integer("draws", in: 1...1_000_000)
    let priceBlock = block.block("price")
    settings.price = price(priceBlock)
    doubts(settings, block, price: priceBlock)
    let power = block.block("power")
    settings.power.gpu = power.quantity("gpu", of: Watts.self, in: 0...1e6)
    settings.power.node = power.quantity("node", of: Watts.self, in: 0...1e7)
    settings.power.usageEffectiveness = power.number("pue", from: 1, to: 10) ?? 1
    settings.power.carbonPerKilowattHour = power.number("carbon_kg_per_kwh", from: 0, to: 10)
    power.finish()
    block.finish()
    return settings
  }

  /// Doubts keys that go with others which are not given.
  private func doubts(_ settings: RunSettings, _ block: Block, price: Block) {
    if block.has("draws"), settings.failures == nil, settings.stragglers == nil {
      block.warn("draws", "has no effect: it goes with failures or stragglers")
    }
    if settings.price.storage != nil, settings.checkpoint == nil {
      price.warn("storage_gb_month", "has no effect: no checkpoint is kept")
    }
  }

  /// The mapping under `key`; `nil` when it is not given.
  private func optional(_ block: Block, _ key: String) -> Block? {
    guard block.has(key) else {
      _ = block.node(key)
      return nil
    }
    return block.block(key)
  }

  private func seconds(_ block: Block, _ key: String, _ least: Double, most: Double = year)
    -> Seconds?
  {
    block.quantity(key, of: Seconds.self, in: least...most)
  }

  private func checkpoint(_ block: Block) -> CheckpointSettings? {
    _ = block.required("every", "training time between two checkpoints")
    _ = block.required("write_rate", "rate at which the job writes a checkpoint")
    let every = seconds(block, "every", 1)
    let rate = block.quantity("write_rate", of: ByteRate.self, in: 1...1e18)
    let readRate = block.quantity("read_rate", of: ByteRate.self, in: 1...1e18)
    let isAsynchronous = block.flag("asynchronous") ?? false
    let sharesNetwork = block.flag("shares_network")
    let kept = block.integer("keep", in: 1...1_000_000)
    let local = optional(block, "local").flatMap { self.local($0, within: every) }
    if sharesNetwork == true, !isAsynchronous {
      block.report("shares_network", "goes with asynchronous: training waits for the write")
    }
    block.finish()
    guard let every, let rate else { return nil }
    var settings = CheckpointSettings(
      interval: every, writeRate: rate, isAsynchronous: isAsynchronous, readRate: readRate,
      local: local)
    settings.sharesNetwork = sharesNetwork ?? false
    settings.kept = kept ?? 1
    return settings
  }

  private func local(_ block: Block, within outer: Seconds?) -> LocalCheckpointSettings? {
    _ = block.required("every", "training time between two local checkpoints")
    _ = block.required("write_rate", "rate at which each node writes its part")
    let every = seconds(block, "every", 1)
    let rate = block.quantity("write_rate", of: ByteRate.self, in: 1...1e18)
    let covers = block.number("covers", from: 0, to: 1)
    if let every, let outer, every > outer {
      block.report("every", "\(every.unitText) is more than that of checkpoint, \(outer.unitText)")
    }
    block.finish()
    guard let every, let rate else { return nil }
    return LocalCheckpointSettings(interval: every, writeRate: rate, covers: covers ?? 1)
  }

  private func failures(_ block: Block) -> FailureSettings? {
    let ages = 1e6 * Self.year
    _ = block.required("gpu_mtbf", "mean time between failures of one GPU")
    let between = seconds(block, "gpu_mtbf", 1, most: ages)
    let restart = seconds(block, "restart", 0)
    let node = seconds(block, "node_mtbf", 1, most: ages)
    let link = seconds(block, "link_mtbf", 1, most: ages)
    let fabric = seconds(block, "fabric_mtbf", 1, most: ages)
    let detection = seconds(block, "detection", 0)
    let perNode = seconds(block, "restart_per_node", 0)
    let shape = block.number("shape", from: 0.1, to: 10)
    let spares = block.integer("spares", in: 0...Limit.gpus.upperBound)
    let repair = seconds(block, "repair", 0)
    if let repair, repair > .zero, !block.has("spares") {
      block.warn("repair", "has no effect: it goes with spares")
    }
    var correlated: (share: Double, nodes: Int)?
    if let inner = optional(block, "correlated") {
      _ = inner.required("share", "part of the failures that take several nodes")
      _ = inner.required("nodes", "nodes that each of those takes")
      let share = inner.number("share", from: 0, to: 1)
      let nodes = inner.integer("nodes", in: 1...Limit.gpus.upperBound)
      inner.finish()
      if let share, let nodes { correlated = (share, nodes) }
    }
    block.finish()
    guard let between else { return nil }
    var settings = FailureSettings(
      gpuMeanTimeBetweenFailures: between, restart: restart ?? .zero,
      nodeMeanTimeBetweenFailures: node, linkMeanTimeBetweenFailures: link,
      fabricMeanTimeBetweenFailures: fabric, detection: detection ?? .zero, shape: shape ?? 1,
      spares: spares, repair: repair ?? .zero)
    settings.restartPerNode = perNode ?? .zero
    if let correlated {
      settings.correlatedShare = correlated.share
      settings.correlatedNodes = correlated.nodes
    }
    return settings
  }

  private func stragglers(_ block: Block) -> StragglerSettings? {
    _ = block.required("gpu_mtbf", "mean time until one GPU becomes slow")
    _ = block.required("slowdown", "how much longer its kernels take, 0.1 for a tenth")
    _ = block.required("found_after", "how long it stays unnoticed")
    let between = seconds(block, "gpu_mtbf", 1, most: 1e6 * Self.year)
    let slowdown = block.number("slowdown", from: 0, excluding: true, to: 1_000)
    let found = seconds(block, "found_after", 0)
    block.finish()
    guard let between, let slowdown, let found else { return nil }
    return StragglerSettings(gpuMeanTimeBetween: between, slowdown: slowdown, foundAfter: found)
  }

  private func evaluation(_ block: Block) -> EvaluationSettings? {
    _ = block.required("every_steps", "training steps between two evaluations")
    let steps = block.integer("every_steps", in: Limit.counts)
    let duration = seconds(block, "duration", 0)
    let sequences = block.integer("sequences", in: 1...10_000_000)
    let microBatch = block.integer("micro_batch", in: Limit.microBatch)
    if block.has("duration") == block.has("sequences") {
      block.report(
        "duration", "give duration, how long an evaluation takes, or sequences, how many it passes")
    }
    if block.has("micro_batch"), !block.has("sequences") {
      block.report("micro_batch", "goes with sequences")
    }
    block.finish()
    guard let steps else { return nil }
    if let duration { return EvaluationSettings(steps: steps, duration: duration) }
    return sequences.map {
      EvaluationSettings(steps: steps, length: .sequences($0, microBatch: microBatch))
    }
  }

  private func dataLoading(_ block: Block) -> DataLoadingSettings? {
    let tokens = block.number("tokens_per_second_per_node", from: 0, excluding: true)
    let rate = block.quantity("read_rate", of: ByteRate.self, in: 1...1e18)
    let bytes = block.number("bytes_per_token", from: 0, excluding: true, to: 1e12)
    if bytes != nil, tokens != nil, !block.has("read_rate") {
      block.warn("bytes_per_token", "has no effect: it goes with read_rate")
    }
    if !block.has("tokens_per_second_per_node"), !block.has("read_rate") {
      block.report(
        "read_rate", "give read_rate, tokens_per_second_per_node or both: what limits the loading")
    }
    block.finish()
    return DataLoadingSettings(
      tokensPerSecondAndNode: tokens, readRate: rate, bytesPerToken: bytes ?? 4)
  }

  private func price(_ block: Block) -> PriceSettings {
    let dollars = { (key: String, most: Double) in
      block.quantity(key, of: Dollars.self, in: 0...most)
    }
    let settings = PriceSettings(
      gpuHour: dollars("gpu_hour", 1e6), purchase: dollars("purchase", 1e9),
      life: seconds(block, "life", 1, most: 100 * Self.year) ?? PriceSettings.usualLife,
      kilowattHour: dollars("kwh", 1e6), storage: dollars("storage_gb_month", 1e6))
    if block.has("gpu_hour"), block.has("purchase") {
      block.report("gpu_hour", "GPUs are rented or bought: give gpu_hour or purchase, not both")
    }
    if block.has("life"), !block.has("purchase") { block.report("life", "goes with purchase") }
    block.finish()
    return settings
  }
}
