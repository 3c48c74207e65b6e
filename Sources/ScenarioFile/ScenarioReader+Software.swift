import Hardware
import Kernels
import Layout
import Quantities
import StepProgram
import Transformer

extension ScenarioReader {
  /// Reads the keys of `training` that say which of its software's switches are set.
  func switches(_ block: Block) -> SoftwareSwitches {
    var switches = SoftwareSwitches()
    switches.graph = block.choice("cuda_graph", of: SoftwareSwitches.Graph.self)
    switches.layers = block.choice("layers", of: SoftwareSwitches.Layers.self)
    switches.loss = block.choice("loss", of: SoftwareSwitches.Loss.self)
    switches.fusesGradientAccumulation = block.node("gradient_accumulation")
      .flatMap { block.choice($0, "gradient_accumulation", among: ["fused", "separate"]) }
      .map { $0 == "fused" }
    switches.deferredGradients = block.integer("deferred_gradients", in: 0...1_000_000) ?? 0
    switches.quantizesParameters = block.flag("quantized_parameters")
    switches.fusesRotary = block.node("rotary")
      .flatMap { block.choice($0, "rotary", among: ["fused", "separate"]) }.map { $0 == "fused" }
    switches.overlapsSends = block.flag("overlap_sends")
    switches.narrowsAttention = block.flag("narrow_attention")
    switches.isDeterministic =
      block.flag("deterministic")
      ?? (isUsuallyDeterministic && (switches.loss ?? .plain) == .plain)
    switches.cublasWorkspace =
      block.quantity("cublas_workspace", of: Bytes.self, in: 1...1e9)
    switches.keptFormats = keptFormats(block.block("kept_formats"))
    return switches
  }

  /// Reads `kept_formats`: what waits for the backward pass in fewer bits than it is computed in.
  private func keptFormats(_ block: Block) -> KeptFormats {
    let activations = block.node("activation_inputs").flatMap {
      block.choice($0, "activation_inputs", among: ["fp8"])
    }
    let formats = KeptFormats(
      activationInputs: activations.flatMap(KeptFormats.Format.init(rawValue:)),
      attentionOutputs: block.choice("attention_outputs", of: KeptFormats.Format.self))
    block.finish()
    return formats
  }
}

extension SoftwareSwitches {
  /// The keys that say them, but for that of experts.
  var resolved: [JSONValue.Member] {
    var members: [JSONValue.Member] = []
    if let graph { members.append(.init("cuda_graph", .string(graph.rawValue))) }
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
    if let fusesRotary {
      members.append(.init("rotary", .string(fusesRotary ? "fused" : "separate")))
    }
    if let overlapsSends { members.append(.init("overlap_sends", .bool(overlapsSends))) }
    if let narrows = narrowsAttention { members.append(.init("narrow_attention", .bool(narrows))) }
    if isDeterministic { members.append(.init("deterministic", .bool(true))) }
    if let cublasWorkspace {
      members.append(.init("cublas_workspace", .string("\(cublasWorkspace.count) B")))
    }
    let kept: [JSONValue.Member] = [
      ("activation_inputs", keptFormats.activationInputs),
      ("attention_outputs", keptFormats.attentionOutputs),
    ].compactMap { key, format in format.map { .init(key, .string($0.rawValue)) } }
    if !kept.isEmpty { members.append(.init("kept_formats", .object(kept))) }
    return members
  }
}

extension ScenarioChecks {
  /// Refuses switches that the rest of the scenario has no use for.
  func software() {
    units()
    attentionBackend()
    let switches = job.training.switches
    let framework = job.training.framework
    let known: [Framework] = [.megatronCore, .nemo, .generic]
    let keys = [
      "layers", "loss", "gradient_accumulation", "deferred_gradients", "quantized_parameters",
      "kept_formats", "rotary", "overlap_sends", "narrow_attention", "deterministic",
    ]
    if switches.graph == .step, !(known + [.torchtitan]).contains(framework) {
      training.report("cuda_graph", "\(framework.rawValue) records no whole steps")
    } else if switches.graph == .step, job.training.blocksLaunches {
      training.report("cuda_graph", "the host waits for each kernel (blocking_launches)")
    }
    if switches.graph == .step, switches.groupsExperts == false, job.architecture.experts != nil,
      job.training.dispatch.capacityFactor == nil
    {
      training.report(
        "cuda_graph",
        "moe.grouped: false takes each expert's token count to the host, inside the step")
    }
    if let fuses = switches.fusesExperts {
      if !known.contains(framework) {
        training.report(
          "moe", "fused_experts: a switch of \(known.map(\.rawValue).joined(separator: ", "))")
      } else if fuses, job.training.precision.matmulFormat != .mxfp8 {
        training.report("moe", "fused_experts: needs precision: mxfp8-mixed")
      } else if fuses, switches.groupsExperts == false || switches.layers == .local {
        training.report("moe", "fused_experts: experts are multiplied one after the other")
      }
    }
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
    if switches.narrowsAttention == true {
      if !job.training.precision.matmulFormat.hasEightBits {
        training.report("narrow_attention", "needs precision: fp8-mixed or mxfp8-mixed")
      } else if !job.architecture.hasAttention {
        training.report("narrow_attention", "the model has no attention")
      } else if !job.training.attention.isFlash {
        training.report(
          "narrow_attention", "\(job.training.attention.rawValue) has no such kernels")
      }
    }
    if job.training.release != nil, framework != .nemo {
      training.report("release", "releases are known of nemo, not of \(framework.rawValue)")
    }
    if switches.keptFormats.attentionOutputs != nil, !job.architecture.hasAttention {
      training.report("kept_formats", "attention_outputs: the model has no attention")
    }
    if switches.fusesRotary != nil, job.architecture.positions != .rotary {
      training.report("rotary", "the model has no rotary positions")
    }
    if switches.isDeterministic, switches.loss == .compiled || switches.loss == .fused {
      training.report("deterministic", "needs loss: plain; the fused ones add in any order")
    }
    let attention = job.training.attention
    if switches.isDeterministic, attention == .flash1 || attention == .flashTriton {
      training.report(
        "deterministic",
        "how \(attention.rawValue) would add in the same order is not modelled; "
          + "use flash-2 or flash-3")
    }
    if switches.layers == .local, isNarrow {
      training.report(
        "layers", "local layers do not multiply in \(job.training.precision.matmulFormat.rawValue)")
    }
  }

  /// Refuses a library whose kernels cannot run.
  private func attentionBackend() {
    guard let backend = job.training.attentionBackend else { return }
    let gpu = job.cluster.gpu
    let attention = job.architecture.attention
    if job.training.attention != .flash2 {
      training.report(
        "attention_backend", "goes with attention: flash-2, not \(job.training.attention.rawValue)")
    } else if gpu.isTPU || backend == .fused && gpu.computeCapability == nil {
      training.report("attention_backend", "\(backend.rawValue) has no kernels for \(gpu.name)")
    } else if backend == .flash, job.architecture.hasAttention,
      attention.headDimension != attention.valueDimension
    {
      // `get_attention_backend` of Transformer Engine turns FlashAttention-2 off then.
      training.report(
        "attention_backend",
        "flash needs values as wide as keys, not \(attention.valueDimension) and "
          + "\(attention.headDimension)")
    }
  }

  /// Says what is assumed where the GPU has no units or kernels for what is asked of it.
  private func units() {
    let gpu = job.cluster.gpu
    let format = job.training.precision.matmulFormat
    let multiplied = gpu.multiplied(format)
    // Plain fp32 is what fp32 means; TF32 is only faster.
    if multiplied != format, multiplied != .fp32 || format != .tf32 {
      training.warn(
        "precision",
        "\(gpu.name) has no units for \(format.rawValue): multiplies are taken to run at its rate of "
          + "\(multiplied.rawValue)")
    }
    guard let capability = gpu.computeCapability else { return }
    // FlashAttention-2 is for Ampere and later, the first for Turing and later (README of
    // Dao-AILab/flash-attention); cuDNN's fused kernels for Ampere and later.
    let oldest = [AttentionAlgorithm.flash1: 75, .flash2: 80][job.training.attention] ?? 0
    if capability < oldest {
      training.warn(
        "attention",
        "\(gpu.name) is older than what \(job.training.attention.rawValue) is made for: taken to run "
          + "there all the same")
    }
    // FlashAttention-3 needs `sm90` (its README; arXiv:2407.08608), as do cuDNN's kernels of its class.
    if job.training.attention == .flash3, capability < 90 {
      training.warn(
        "attention",
        "\(gpu.name) is older than Hopper, which FlashAttention-3 is for: taken as flash-2")
    }
    // `ForwardGroupedMLP_CuTeGEMMSwiGLU_MXFP8.is_supported` in Transformer Engine's
    // `pytorch/ops/fused`: compute capability 10.
    if job.training.switches.fusesExperts == true, capability < 100 {
      training.warn(
        "moe",
        "fused_experts: \(gpu.name) is older than Blackwell, which the fused kernels are for; they are "
          + "taken to run all the same")
    }
  }
}
