import Collectives
import Hardware
import Kernels
import Layout
import Quantities
import Transformer

/// Compiles a job into the programs of its pipeline stages.
public struct StepCompiler {
  let job: TrainingJob
  let profile: FrameworkProfile
  let pricing: CallPricing
  let shard: LayerShard
  /// The attention kernel that runs.
  let attention: AttentionAlgorithm
  let states: StatePlan
  var builder: BlockBuilder
  var layerCache: [LayerKey: LayerBlocks] = [:]
  var contention = Contention()

  /// Part of a kernel's speed lost while a collective runs beside it.
  ///
  /// NCCL's channels take their multiprocessors and memory bandwidth (16–24 of an A100's 108, NCCL's default
  /// channel count).
  static let interference = 0.12

  /// What distinguishes one layer's work from another's.
  struct LayerKey: Hashable {
    var kind: Architecture.LayerKind
    var recompute: LayerRecompute
  }

  /// Recomputation of one layer.
  enum LayerRecompute: Hashable {
    case none, selective, passes, full, offload, modules(RecomputeModules)
    case saved(SavedOutputs, offloaded: SavedOutputs)
  }

  /// A layer's passes and the memory they take.
  struct LayerBlocks {
    var forward: BlockAssembly
    var backward: BlockAssembly
    /// Backward split for zero-bubble schedules; empty otherwise.
    var inputGradient: BlockAssembly
    var weightGradient: BlockAssembly
    var saved: Int64
    var forwardPeak: Int64
    var backwardPeak: Int64
    /// What the passes are made of, where the allocator is played.
    var operations: [Operation] = []
    /// Bytes the weight gradients still need when those of the inputs are done.
    var heldForWeights: Int64 = 0
    /// Bytes the host keeps from forward to backward.
    var offloaded: Int64 = 0
    /// Shapes of the gradients its multiplies accumulate.
    var gradientShapes: Set<GradientShape> = []
    /// Of the model's end, where its weight gradient is put off: its backward pass without, and that.
    var deferral: (backward: BlockAssembly, gradient: BlockAssembly)?
  }

  /// Prepares to compile `job`; `recompute: auto` must have been decided.
  public init(job: TrainingJob) {
    let job = job.asRun
    self.job = job
    var profile = job.training.profile
    if profile.fusesNormOnlyWithoutRecompute {
      profile.fusion.norm =
        job.training.recompute == .none && job.training.attention == .flash2
    }
    if !job.parallelism.overlaps {
      profile.overlapsTensorBackward = false
      profile.overlapsTensorWithMultiply = false
    }
    if job.training.framework == .megatronDeepSpeed, job.parallelism.zero > 0 {
      // DeepSpeed's BF16_Optimizer: fp32 gradients, all-reduced whole, and its own partition.
      profile.fusion.accumulatesEagerly = true
      profile.reduceFormat = .fp32
      profile.allReducesShards = true
      if job.parallelism.zero == 1, job.training.precision.activationFormat == .bf16 {
        // Held whole, beside the parameters' own, which live until the next backward pass
        // (`fp32_groups_gradients_flat`, `clear_lp_grads` in `bf16_optimizer.py`).
        profile.gradientFormat = .fp32
        profile.keepsWorkingGradients = true
      }
    }
    if job.training.framework == .deepspeed, (1...2).contains(job.parallelism.zero) {
      // `use_multi_rank_bucket_allreduce`, on by default: the ranks' buckets are all-reduced together, and
      // each keeps its part (DeepSpeed `runtime/zero/config.py`, `allreduce_and_scatter` of
      // `stage_1_and_2.py`).
      profile.allReducesShards = true
    }
    if job.cluster.gpu.isTPU, let gathers = profile.layerGathersOnTPU {
      profile.layerGathers = gathers
    } else if job.parallelism.overlapsWithinLayers {
      profile.layerGathers = .beside
    }
    if job.training.framework == .torchtitan {
      // Float8 wants the model compiled (torchtitan docs/float8.md). Its scales are of whole tensors as they
      // are now (`tensorwise`, dynamic): the largest value is found by what makes a tensor, but only then
      // can that be read again and cast, in both layouts that multiplies want. Scales of 32 values (MXFP8)
      // are made with them.
      let isNarrow = job.training.precision.matmulFormat.bytesPerValue < 2
      let compiled = job.training.compiled ?? (isNarrow ? .layers : .none)
      if compiled != .none {
        profile.fusion.rotary = true
        profile.fusion.gate = true
        profile.fusion.quantizePasses = job.training.precision.matmulFormat == .fp8
      } else if job.architecture.norm.kind == .rmsNorm, job.architecture.experts == nil {
        // `norm_type` is "rmsnorm", operation by operation in fp32 (`models/norms.py`). Mixtures came to
        // torchtitan when PyTorch's own had become one kernel (`_fused_rms_norm`, 2025).
        profile.fusion.norm = false
      }
      profile.fusion.crossEntropyCompiled = compiled == .all
    }
    job.training.switches.apply(
      to: &profile, hasExperts: job.architecture.experts != nil)
    if profile.shardsAsMegatronFSDP, job.parallelism.zero >= 3 {
      // Fresh gradients stay until their layer's pass is done, and are counted with its bucket.
      profile.fusion.makesFreshGradients = false
    }
    if job.parallelism.zero > 0, let overlap = profile.shardedDataOverlap {
      profile.dataOverlap = overlap
    }
    let placements = Placements(
      cluster: job.cluster, grid: RankGrid(job.parallelism),
      hasExperts: job.architecture.experts != nil)
    if placements.stagesCrossNodes {
      let isSpread = placements.placement(of: .tensor).nodes > 1
      profile.hostPerCollective +=
        (isSpread
          ? profile.hostPerSpreadTensorRankBesidePipeline
          : profile.hostPerTensorRankBesidePipeline) * job.parallelism.tensor
    }
    if let cost = profile.dataCollectiveCostBeyond,
      job.cluster.gpuCount > profile.dataCollectiveReach * job.cluster.gpusPerNode
    {
      profile.dataCollectiveCost = cost
    }
    if let bucket = job.parallelism.sharding.bucketParameters { profile.bucketParameters = bucket }
    attention = job.chooseAttention(&profile)
    profile.fusion.cachedRowValues = job.cachedRowValues
    states = StatePlan(job: job, profile: profile)
    profile.fusion.accumulatedBytes = states.gradientBytes
    if !profile.hasGradientBuffer,
      states.gradientBytes <= Int64(job.training.precision.activationFormat.bytesPerValue)
    {
      let microbatches = Double(job.microbatchCount)
      profile.fusion.accumulatedShare = (microbatches - 1) / microbatches
    }
    self.profile = profile
    pricing = CallPricing(profile: profile, cluster: job.cluster, placements: placements)
    shard = LayerShard(
      microBatch: job.training.microBatch, sequenceLength: job.training.sequenceLength,
      tensor: job.parallelism.tensor, sequenceParallel: job.parallelism.sequence,
      context: job.parallelism.context, contextStyle: job.parallelism.contextStyle,
      expert: job.parallelism.expert,
      expertTensor: job.parallelism.expertTensor,
      expertNodes: pricing.placements.placement(of: .expert).nodes,
      dispatch: profile.resolved(job.training.dispatch),
      matmulFormat: job.training.precision.matmulFormat,
      activationFormat: job.training.precision.activationFormat,
      vocabulary: states.parameters.paddedVocabularySize)
    let isDualPipe = job.parallelism.schedule == .dualPipe || job.parallelism.isBidirectional
    let multiprocessors = Double(job.cluster.gpu.multiprocessors)
    builder = BlockBuilder(
      cost: KernelCost(gpu: job.cluster.gpu, slowestOf: job.cluster.gpuCount), profile: profile,
      interference: Self.interference,
      collectives: profile.overlapsTensorWithMultiply ? nil : pricing.collectives,
      hidesExpertTraffic: !job.training.blocksLaunches
        && (shard.dispatch.overlapsMicrobatches
          ?? (isDualPipe
            || profile.overlapsSpreadExperts && job.parallelism.virtualStages > 1
              && shard.expertNodes > 1
              && job.architecture.experts?.dispatcher(shard.dispatch, nodes: shard.expertNodes)
                == .allToAll)),
      reservedShare: isDualPipe && multiprocessors > 2 * Self.dualPipeMultiprocessors
        ? Self.dualPipeMultiprocessors / multiprocessors : nil,
      blocksLaunches: job.training.blocksLaunches)
  }

  /// Multiprocessors that DualPipe's dispatch and combine kernels keep for themselves.
  ///
  /// None of a chip that has only a few large ones (a TPU), whose exchanges run beside them.
  ///
  /// 20 of an H800's 132 (arXiv:2412.19437, section 3.2.2). Multiplies lose 20 of the other 112, passes
  /// over memory next to nothing; their share of all lies between.
  private static let dualPipeMultiprocessors = 20.0

  /// Programs of all stages.
  public static func compile(_ job: TrainingJob) -> StepProgram {
    var compiler = StepCompiler(job: job)
    let job = compiler.job
    let chunks = (0..<job.parallelism.pipeline).map { stage in
      compiler.states.chunks(ofStage: stage).map { compiler.chunkBlocks($0) }
    }
    let turns = compiler.turns(chunks)
    let rules = TurnRules(compiler)
    let stages = chunks.indices.map {
      compiler.program(ofStage: $0, chunks: chunks[$0], turns: turns[$0], rules)
    }
    // Behind those between stages one into each rank, from its mirror image.
    let lanes =
      2 * compiler.states.parameters.stages.stageCount
      + (job.parallelism.isBidirectional ? job.parallelism.pipeline : 0)
    return StepProgram(
      job: job, stages: stages, calls: compiler.builder.calls, blocks: compiler.builder.blocks,
      laneCount: lanes, slotCount: compiler.slotCount,
      modelFlops: job.modelFlops)
  }

  /// Units of the model that are gathered or reduced at once: embedding, layers, head.
  var unitCount: Int { job.architecture.layerCount + job.architecture.nextTokenLayers + 2 }

  /// Slots a rank needs.
  ///
  /// For each unit its gather and the end of its computation, and one each for reductions and for the gather
  /// after the update.
  var slotCount: Int { 2 * unitCount + 2 }

  /// What distinguishes `layer`'s work from other layers'.
  func key(ofLayer layer: Int, recompute: LayerRecompute) -> LayerKey {
    var kind = job.architecture.kind(ofLayer: layer)
    // A next-token module's own parts are priced with the head.
    kind.isNextToken = false
    return LayerKey(kind: kind, recompute: recompute)
  }

  /// The passes of a layer, priced once per kind of layer.
  mutating func blocks(ofLayer layer: Int, recompute: LayerRecompute) -> LayerBlocks {
    let key = key(ofLayer: layer, recompute: recompute)
    if let known = layerCache[key] { return known }
    var fusion = profile.fusion
    fusion.keptFormats = keptFormats(layer: layer, recompute: recompute)
    let operations = job.architecture.layerOperations(
      layer: layer, shard: shard, algorithm: attention, fusion: fusion)
    let made = blocks(of: operations, recompute: recompute)
    layerCache[key] = made
    return made
  }

  /// Formats of what a layer keeps: nothing is narrowed that is thrown away and made again.
  private func keptFormats(layer: Int, recompute: LayerRecompute) -> KeptFormats {
    var formats = profile.fusion.keptFormats
    switch recompute {
    case .none, .selective, .passes, .offload: break
    case .full, .saved: formats = KeptFormats()
    case .modules(let modules):
      let isExpertLayer = job.architecture.kind(ofLayer: layer).isExpert
      if modules.contains(isExpertLayer ? .mixture : .feedForward) {
        formats.activationInputs = nil
      }
    }
    return formats
  }

  /// The passes of operations under a recomputation mode.
  mutating func blocks(of operations: [Operation], recompute: LayerRecompute) -> LayerBlocks {
    let pricing = self.pricing
    let price = { (exchange: Exchange) in pricing.call(for: exchange) }
    let flowing = shard.bytes(shard.tokensOutside, job.architecture.hiddenSize)
    let forward = builder.forward(operations, call: price)
    // What runs again before gradients flow, in a backward pass or in the first part of a split one.
    var again = builder.assembly
    var kept = operations
    switch recompute {
    case .none, .offload: break
    case .selective:
      let runsCore = !attention.isFlash || profile.selectiveRecomputesFusedAttention
      var isRepeated = operations.map { $0.isAttentionCore && runsCore }
      if profile.selectiveRecomputesOperations {
        var multiplies = 0
        for (index, operation) in operations.enumerated() where !operation.isAttentionCore {
          let isMultiply = !operation.weightGradient.isEmpty
          multiplies += isMultiply ? 1 : 0
          isRepeated[index] = !isMultiply || multiplies.isMultiple(of: 2)
        }
      }
      if profile.selectiveRecomputesAllButMultiplies {
        isRepeated = operations.map { $0.isAttentionCore || $0.savedCheaply > 0 }
      }
      if profile.selectiveRecomputesOperations, profile.fusion.keepsGatheredInputs {
        // What is kept is what multiplies make; inputs are gathered again with what is made again.
        for index in kept.indices where !isRepeated[index] {
          guard let gather = kept[index].beforeForward, gather.axis == .tensor else { continue }
          let others = gather.bytes - gather.bytes / Int64(shard.tensor)
          kept[index].saved -= min(others, kept[index].saved)
          kept[index].backwardScratch += others
        }
      }
      let repeated = operations.indices.filter { isRepeated[$0] }.map { operations[$0] }
      again.append(builder.forward(repeated, call: price))
      for index in kept.indices where isRepeated[index] {
        // A core starts again from its inputs; anything else from what is kept before it.
        // (Operation-wise, the first of a gated block's two projections is among the multiplies kept.)
        let inputs =
          kept[index].isAttentionCore
          ? coreInputBytes + (keepsCoreOutput ? kept[index].sharedOutput : 0)
          : profile.selectiveRecomputesAllButMultiplies
            ? kept[index].saved - kept[index].savedCheaply
            // Gate and up, and the gate's non-linearity where that is a kernel of its own.
            : kept[index].name == "activation"
              ? kept[index].saved / (profile.fusion.gate ? 2 : 3) : 0
        let dropped = kept[index].saved - min(kept[index].saved, inputs)
        kept[index].saved -= dropped
        kept[index].backwardScratch += dropped
      }
    case .passes:
      let repeated = operations.indices.filter { operations[$0].savedCheaply > 0 }
      again.append(builder.forward(repeated.map { operations[$0] }, call: price))
      for index in repeated {
        kept[index].saved -= operations[index].savedCheaply
        kept[index].backwardScratch += operations[index].savedCheaply
      }
    case .modules(let modules):
      let plan = modules.plan(
        operations, input: flowing, coreInputs: coreInputBytes,
        keepsCoreOutput: keepsCoreOutput)
      kept = plan.kept
      again.append(builder.forward(read(plan.repeated), call: price))
    case .saved(let outputs, _):
      again.append(builder.forward(outputs.repeated(read(operations)), call: price))
    case .full:
      again.append(builder.forward(read(operations), call: price))
    }
    var backward = again
    backward.append(builder.backward(operations, call: price))
    let shape = MemoryShape(kept, flowing: flowing)
    var made = LayerBlocks(
      forward: forward, backward: backward,
      inputGradient: builder.assembly,
      weightGradient: builder.assembly, saved: shape.saved,
      forwardPeak: shape.forwardPeak, backwardPeak: shape.backwardPeak)
    made.gradientShapes = GradientShape.shapes(of: operations)
    if replaysCache { made.operations = operations }
    keep(recompute, of: operations, shape: shape, in: &made)
    if job.parallelism.schedule.splitsBackward {
      made.heldForWeights = operations.reduce(0) { $0 + heldForWeights($1) }
      made.inputGradient = again
      made.inputGradient.append(builder.backward(operations, gradients: .input, call: price))
      made.weightGradient.append(builder.backward(operations, gradients: .weight, call: price))
    }
    return made
  }

  /// Those of a block's `operations` that are run again on recomputation.
  ///
  /// The last multiply of a dense feed-forward needs its input for the backward pass, not its output,
  /// which only joins the residual stream; dropout would need it. Of experts the output is read: routing
  /// weights scale it.
  private func read(_ operations: [Operation]) -> [Operation] {
    guard profile.recomputesOnlyWhatIsRead, job.architecture.hiddenDropout == 0 else {
      return operations
    }
    let end = operations.lastIndex { !["down_proj", "feed_forward_residual"].contains($0.name) }
    return Array(operations[...(end ?? operations.endIndex - 1)])
  }

  /// Inputs and output gradients of an operation's multiplies, which its weight gradient starts from.
  ///
  /// arXiv:2401.10241, section 2: 32·s·b·h bytes of a GPT layer. Of what tensor-parallel ranks share out along
  /// the sequence, the part; both as quantised where inputs are kept so.
  private func heldForWeights(_ operation: Operation) -> Int64 {
    var bytes: Int64 = 0
    for case .matmul(let gradient) in operation.weightGradient {
      let rows = Int64(gradient.k) * Int64(gradient.batch)
      let parts = { (exchange: Exchange?) -> Int64 in
        shard.sequenceParallel && exchange?.axis == .tensor ? Int64(shard.tensor) : 1
      }
      let values =
        rows * Int64(gradient.n) / parts(operation.beforeForward)
        + rows * Int64(gradient.m) / parts(operation.afterForward)
      let value = profile.fusion.keptBytesPerValue(
        for: gradient.format, of: shard.activationFormat)
      bytes += Int64((Double(values) * value).rounded(.up))
    }
    return bytes
  }

  /// Queries, keys and values a recomputed attention core starts from.
  private var coreInputBytes: Int64 {
    let attention = job.architecture.attention
    let heads = max(1, attention.heads / shard.tensor)
    let keyValueHeads = max(1, attention.keyValueHeads / shard.tensor)
    return shard.bytes(
      shard.tokens,
      (heads + keyValueHeads) * attention.headDimension + keyValueHeads * attention.valueDimension)
  }

  /// Whether a recomputed core's output stays for the projection behind it.
  ///
  /// XLA makes whatever a policy does not save again, this too (`jax.checkpoint`).
  private var keepsCoreOutput: Bool { !profile.plansBuffers }

  /// What happens to layer `index` of `count` of a chunk on recomputation.
  func recompute(index: Int) -> LayerRecompute {
    switch job.training.recompute {
    case .none, .auto: .none
    case .selective: .selective
    case .passes: .passes
    case .full: .full
    case .fullLayers(let layers): index < layers ? .full : .none
    case .offloadLayers(let layers): index < layers ? .offload : .none
    case .modules(let modules): .modules(modules)
    case .saved(let outputs, let offloaded): .saved(outputs, offloaded: offloaded)
    }
  }
}
