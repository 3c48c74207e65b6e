import Hardware
import Quantities
import RunForecast
import StepProgram

extension RunSettings {
  /// The settings in the vocabulary of a scenario file, every default written out.
  func resolved(for cluster: Cluster) -> JSONValue {
    var members: [JSONValue.Member] = []
    if let checkpoint { members.append(.init("checkpoint", checkpoint.resolved)) }
    if let failures { members.append(.init("failures", failures.resolved)) }
    if let stragglers { members.append(.init("stragglers", stragglers.resolved)) }
    if let draws { members.append(.init("draws", .integer(draws))) }
    if let evaluation { members.append(.init("evaluation", evaluation.resolved)) }
    if let dataLoading { members.append(.init("data_loading", dataLoading.resolved)) }
    members.append(.init("start_up", .string(startUp.unitText)))
    members.append(.init("price", price.resolved(for: cluster.gpu)))
    var draw: [JSONValue.Member] = []
    if let gpu = power.gpu { draw.append(.init("gpu", .string(gpu.unitText))) }
    // Beside a GPU whose draw is given, with its share of the node, there is no usual one.
    let usual = StepPower.nodeShare * cluster.gpu.power.value * Double(cluster.gpusPerNode)
    if let node = power.node ?? (power.gpu == nil ? Watts(usual) : nil) {
      draw.append(.init("node", .string(node.unitText)))
    }
    draw.append(.init("pue", .number(power.usageEffectiveness)))
    if let carbon = power.carbonPerKilowattHour {
      draw.append(.init("carbon_kg_per_kwh", .number(carbon)))
    }
    members.append(.init("power", .object(draw)))
    return .object(members)
  }
}

extension CheckpointSettings {
  fileprivate var resolved: JSONValue {
    var members: [JSONValue.Member] = [
      .init("every", .string(interval.unitText)),
      .init("write_rate", .string(writeRate.unitText)),
    ]
    if let readRate { members.append(.init("read_rate", .string(readRate.unitText))) }
    members.append(.init("asynchronous", .bool(isAsynchronous)))
    if isAsynchronous { members.append(.init("shares_network", .bool(sharesNetwork))) }
    members.append(.init("keep", .integer(kept)))
    if let local {
      members.append(
        .init(
          "local",
          [
            "every": .string(local.interval.unitText),
            "write_rate": .string(local.writeRate.unitText), "covers": .number(local.covers),
          ]))
    }
    return .object(members)
  }
}

extension FailureSettings {
  fileprivate var resolved: JSONValue {
    var members: [JSONValue.Member] = [
      .init("gpu_mtbf", .string(gpuMeanTimeBetweenFailures.unitText))
    ]
    let others = [
      ("node_mtbf", nodeMeanTimeBetweenFailures), ("link_mtbf", linkMeanTimeBetweenFailures),
      ("fabric_mtbf", fabricMeanTimeBetweenFailures),
    ]
    for (key, time) in others {
      if let time { members.append(.init(key, .string(time.unitText))) }
    }
    members += [
      .init("detection", .string(detection.unitText)),
      .init("restart", .string(restart.unitText)),
      .init("restart_per_node", .string(restartPerNode.unitText)), .init("shape", .number(shape)),
    ]
    if let spares { members.append(.init("spares", .integer(spares))) }
    members.append(.init("repair", .string(repair.unitText)))
    if correlatedShare > 0 {
      members.append(
        .init(
          "correlated",
          ["share": .number(correlatedShare), "nodes": .integer(correlatedNodes)]))
    }
    return .object(members)
  }
}

extension StragglerSettings {
  fileprivate var resolved: JSONValue {
    [
      "gpu_mtbf": .string(gpuMeanTimeBetween.unitText), "slowdown": .number(slowdown),
      "found_after": .string(foundAfter.unitText),
    ]
  }
}

extension EvaluationSettings {
  fileprivate var resolved: JSONValue {
    var members: [JSONValue.Member] = [.init("every_steps", .integer(steps))]
    switch length {
    case .duration(let time): members.append(.init("duration", .string(time.unitText)))
    case .sequences(let count, let microBatch):
      members.append(.init("sequences", .integer(count)))
      if let microBatch { members.append(.init("micro_batch", .integer(microBatch))) }
    }
    return .object(members)
  }
}

extension DataLoadingSettings {
  fileprivate var resolved: JSONValue {
    var members: [JSONValue.Member] = []
    if let tokensPerSecondAndNode {
      members.append(.init("tokens_per_second_per_node", .number(tokensPerSecondAndNode)))
    }
    if let readRate {
      members.append(.init("read_rate", .string(readRate.unitText)))
      members.append(.init("bytes_per_token", .number(bytesPerToken)))
    }
    return .object(members)
  }
}

extension PriceSettings {
  fileprivate func resolved(for gpu: GPU) -> JSONValue {
    var members: [JSONValue.Member] = []
    if let purchase {
      members.append(.init("purchase", .string(purchase.unitText)))
      members.append(.init("life", .string(life.unitText)))
    } else {
      members.append(.init("gpu_hour", .string((gpuHour ?? gpu.hourlyPrice).unitText)))
    }
    if let kilowattHour { members.append(.init("kwh", .string(kilowattHour.unitText))) }
    if let storage { members.append(.init("storage_gb_month", .string(storage.unitText))) }
    return .object(members)
  }
}
