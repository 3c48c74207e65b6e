import Kernels
import Layout
import Quantities
import StepProgram

extension ScenarioReader {
  /// Reads the keys of `training` that say which of its software's switches are set.
  func switches(_ block: Block) -> SoftwareSwitches {
    var switches = SoftwareSwitches()
    switches.layers = block.choice("layers", of: SoftwareSwitches.Layers.self)
    switches.loss = block.choice("loss", of: SoftwareSwitches.Loss.self)
    switches.fusesGradientAccumulation = block.node("gradient_accumulation")
      .flatMap { block.choice($0, "gradient_accumulation", among: ["fused", "separate"]) }
      .map { $0 == "fused" }
    switches.deferredGradients = block.integer("deferred_gradients", in: 0...1_000_000) ?? 0
    switches.quantizesParameters = block.flag("quantized_parameters")
    switches.cublasWorkspace =
      block.quantity("cublas_workspace", of: Bytes.self, in: 1...1e9)
    return switches
  }
}

extension SoftwareSwitches {
  /// The keys that say them, but for that of experts.
  var resolved: [JSONValue.Member] {
    var members: [JSONValue.Member] = []
    if let layers { members.append(.init("layers", .string(layers.rawValue))) }
    if let loss { members.append(.init("loss", .string(loss.rawValue))) }
    if let fused = fusesGradientAccumulation {
      members.append(.init("gradient_accumulation", .string(fused ? "fused" : "separate")))
    }
    if deferredGradients > 0 {
      members.append(.init("deferred_gradients", .integer(deferredGradients)))
    }
    if let quantizesParameters {
      members.append(.init("quantized_parameters", .bool(quantizesParameters)))
    }
    if let cublasWorkspace {
      members.append(.init("cublas_workspace", .string("\(cublasWorkspace.count) B")))
    }
    return members
  }
}

extension ScenarioChecks {
  /// Refuses switches that the rest of the scenario has no use for.
  func software() {
    let switches = job.training.switches
    let framework = job.training.framework
    let known: [Framework] = [.megatronCore, .nemo, .generic]
    let keys = [
      "layers", "loss", "gradient_accumulation", "deferred_gradients", "quantized_parameters",
    ]
    for key in keys where training.has(key) && !known.contains(framework) {
      let names = known.map(\.rawValue).joined(separator: ", ")
      training.report(key, "a switch of \(names), not of \(framework.rawValue)")
    }
    if switches.deferredGradients > 0 {
      if job.parallelism.pipeline == 1 {
        training.report("deferred_gradients", "there are no other stages to wait for")
      } else if job.parallelism.schedule.splitsBackward || job.parallelism.isBidirectional {
        training.report(
          "deferred_gradients",
          "\(job.parallelism.schedule.rawValue) puts weight gradients off by itself")
      } else if switches.fusesGradientAccumulation == false {
        training.report("deferred_gradients", "needs gradient_accumulation: fused")
      }
    }
    let isNarrow =
      job.training.precision.matmulFormat.bytesPerValue
      < job.training.precision.activationFormat.bytesPerValue
    if switches.quantizesParameters == true {
      if !isNarrow {
        training.report(
          "quantized_parameters",
          "\(job.training.precision.rawValue) multiplies in the parameters' own format")
      } else if job.parallelism.zero == 3 {
        training.report("quantized_parameters", "not with zero: 3, which gathers working copies")
      }
    }
    if switches.layers == .local, isNarrow {
      training.report(
        "layers", "local layers do not multiply in \(job.training.precision.matmulFormat.rawValue)")
    }
  }
}
