import Collectives
import Hardware
import Kernels
import Layout
import Quantities
import Transformer

/// A chunk with its passes, ready to be scheduled.
struct ChunkBlocks {
  var plan: ModelChunk
  var units: [UnitBlocks]
  var forward: Int
  var backward: Int
  var inputGradient: Int
  var weightGradient: Int
  var saved: Int64
  var forwardPeak: Int64
  var backwardPeak: Int64
  /// Tensors the passes take and give back, where the allocator is played.
  var moves: ChunkMoves?
  /// Bytes the weight gradients still need when those of the inputs are done.
  var heldForWeights: Int64
  /// Shapes of the gradients its layers' multiplies accumulate, and its output projection's.
  var gradientShapes: Set<GradientShape>
  var headShapes: Set<GradientShape>
  /// The backward pass without the output projection's weight gradient, and that gradient by itself.
  ///
  /// `nil` where none is put off.
  var deferral: (backward: Int, gradient: Int)?
  /// Bytes of a microbatch the host keeps from forward to backward.
  var offloaded: Int64
  /// Units that run at these peaks.
  var forwardPeakLayer: Int
  var backwardPeakLayer: Int
}

/// A layer, or an end of the model, with its passes; what ZeRO-3 gathers at once.
struct UnitBlocks {
  var layer: Int
  var forward: Int
  var backward: Int
  var parameters: ParameterCount
  var saved: Int64
  var forwardPeak: Int64
  var backwardPeak: Int64
}

extension StepCompiler {
  /// A layer of a chunk, or an end of the model, with its passes.
  struct ChunkPart {
    var layer: Int
    var blocks: LayerBlocks
    var parameters: ParameterCount
  }

  /// The passes of what comes before the first layer.
  mutating func embeddingBlocks() -> LayerBlocks {
    blocks(
      of: job.architecture.embeddingOperations(shard: shard, fusion: profile.fusion),
      recompute: .none)
  }

  /// The passes of what comes behind the last layer.
  mutating func headBlocks() -> LayerBlocks {
    var operations = job.architecture.headOperations(
      shard: shard, fusion: profile.fusion, vocabularySplit: profile.splitsLoss)
    if profile.metricPasses > 0 {
      let vocabulary = profile.splitsLoss ? shard.vocabularyShare : shard.vocabulary
      var metrics = Operation("metrics")
      metrics.forward = [
        .stream(
          StreamingKernel(
            .rowReduction, read: profile.metricPasses * shard.bytes(shard.tokens, vocabulary),
            written: 0))
      ]
      operations.append(metrics)
    }
    for _ in 0..<job.architecture.nextTokenLayers {
      operations += job.architecture.nextTokenOperations(
        shard: shard, fusion: profile.fusion, vocabularySplit: profile.splitsLoss)
    }
    // Of logits one piece is there at a time, and none from forward to backward: its gradient is taken
    // with it, or it is made again.
    let pieces = Int64(min(job.training.lossChunks, max(1, shard.tokens)))
    if pieces > 1 {
      for index in operations.indices where operations[index].name == "cross_entropy" {
        let saved = operations[index].saved
        operations[index].saved = 0
        operations[index].forwardScratch = (saved + operations[index].forwardScratch) / pieces
        operations[index].backwardScratch = (saved + operations[index].backwardScratch) / pieces
      }
    }
    var made = blocks(of: operations, recompute: .none)
    if deferredGradients > 0 {
      let price = { [pricing] (exchange: Exchange) in pricing.call(for: exchange) }
      var without = operations
      for index in without.indices where without[index].name == "output_proj" {
        without[index].weightGradient = []
      }
      let projections = operations.filter { $0.name == "output_proj" }
      made.deferral = (
        builder.backward(without, call: price),
        builder.backward(projections, gradients: .weight, call: price)
      )
    }
    return made
  }

  /// Prices the parts of a chunk, in model order.
  private mutating func parts(of counts: ChunkCount) -> [ChunkPart] {
    let plan = counts.chunk
    var parts: [ChunkPart] = []
    if plan.hasEmbedding {
      parts.append(
        ChunkPart(layer: -1, blocks: embeddingBlocks(), parameters: counts.embedding))
    }
    for (index, layer) in plan.layers.enumerated() {
      parts.append(
        ChunkPart(
          layer: layer, blocks: blocks(ofLayer: layer, recompute: recompute(index: index)),
          parameters: counts.layers[index]))
    }
    if plan.hasHead {
      parts.append(
        ChunkPart(layer: unitCount - 2, blocks: headBlocks(), parameters: counts.head))
    }
    return parts
  }

  /// Prices the units of a chunk and joins them.
  mutating func chunkBlocks(_ counts: ChunkCount) -> ChunkBlocks {
    let plan = counts.chunk
    let parts = parts(of: counts)
    var forward = builder.assembly
    var backward = builder.assembly
    var inputGradient = builder.assembly
    var weightGradient = builder.assembly
    forward.append(.hostOnly(profile.hostPerMicrobatch))
    var saved: Int64 = 0
    var forwardPeak: Int64 = 0
    var forwardPeakLayer = -1
    for part in parts {
      forward.append(part.blocks.forward)
      if saved + part.blocks.forwardPeak > forwardPeak {
        forwardPeak = saved + part.blocks.forwardPeak
        forwardPeakLayer = part.layer
      }
      saved += part.blocks.saved
    }
    var backwardPeak: Int64 = 0
    var backwardPeakLayer = parts.last?.layer ?? -1
    // What is released, less the gradients that stay until the pass is done.
    var released: Int64 = 0
    let fresh = profile.accumulatesBehindBackward ? shard.valueBytes : 0
    for part in parts.reversed() {
      backward.append(part.blocks.backward)
      inputGradient.append(part.blocks.inputGradient)
      weightGradient.append(part.blocks.weightGradient)
      if part.blocks.backwardPeak - released > backwardPeak {
        backwardPeak = part.blocks.backwardPeak - released
        backwardPeakLayer = part.layer
      }
      released += part.blocks.saved - fresh * Int64(part.parameters.total)
      if -released > backwardPeak {
        backwardPeak = -released
        backwardPeakLayer = part.layer
      }
    }
    let needsUnits = states.gathersParameters || bucketsOverlap
    var units: [UnitBlocks] = []
    if needsUnits {
      for (index, part) in parts.enumerated() {
        var unitForward = builder.assembly
        if index == 0 { unitForward.append(.hostOnly(profile.hostPerMicrobatch)) }
        unitForward.append(part.blocks.forward)
        let name = part.layer < 0 ? "embedding" : "layer \(part.layer)"
        units.append(
          UnitBlocks(
            layer: part.layer, forward: builder.add(unitForward.block(named: name + " forward")),
            backward: builder.add(part.blocks.backward.block(named: name + " backward")),
            parameters: part.parameters, saved: part.blocks.saved,
            forwardPeak: part.blocks.forwardPeak, backwardPeak: part.blocks.backwardPeak))
      }
    }
    let name = "stage \(plan.stage)"
    return ChunkBlocks(
      plan: plan, units: units, forward: builder.add(forward.block(named: name + " forward")),
      backward: builder.add(backward.block(named: name + " backward")),
      inputGradient: builder.add(inputGradient.block(named: name + " input gradient")),
      weightGradient: builder.add(weightGradient.block(named: name + " weight gradient")),
      saved: saved, forwardPeak: forwardPeak, backwardPeak: backwardPeak,
      moves: replaysCache ? moves(of: parts, plan) : nil,
      heldForWeights: parts.reduce(0) { $0 + $1.blocks.heldForWeights },
      gradientShapes: parts.filter { plan.layers.contains($0.layer) }
        .reduce(into: []) { $0.formUnion($1.blocks.gradientShapes) },
      headShapes: plan.hasHead ? parts.last?.blocks.gradientShapes ?? [] : [],
      deferral: deferral(parts, name: name),
      offloaded: parts.reduce(0) { $0 + $1.blocks.offloaded },
      forwardPeakLayer: forwardPeakLayer, backwardPeakLayer: backwardPeakLayer)
  }

  /// The backward pass of a chunk without the weight gradient of its output projection, and that gradient.
  ///
  /// `nil` where it is not put off.
  private mutating func deferral(_ parts: [ChunkPart], name: String)
    -> (backward: Int, gradient: Int)?
  {
    guard let head = parts.last, let deferral = head.blocks.deferral else { return nil }
    var backward = builder.assembly
    backward.append(deferral.backward)
    for part in parts.dropLast().reversed() { backward.append(part.blocks.backward) }
    return (
      builder.add(backward.block(named: name + " backward")),
      builder.add(deferral.gradient.block(named: name + " output gradient"))
    )
  }

  /// Whether gradients or parameters travel while other layers compute.
  var bucketsOverlap: Bool { states.bucketsOverlap }

  /// The last input and its gradient of every chunk that got it from another rank.
  private func leftBehind(by chunks: [ChunkBlocks]) -> Bytes {
    guard profile.keepsStageInput else { return .zero }
    let fed = chunks.count { !$0.plan.hasEmbedding }
    return Bytes(2 * Int64(fed) * shard.bytes(shard.tokensOutside, job.architecture.hiddenSize))
  }

  /// The logits of the microbatch before, where the framework keeps them.
  private func lastLogits(in chunks: [ChunkBlocks]) -> MemoryItem? {
    guard profile.keepsLastLogits, job.microbatchCount > 1,
      chunks.contains(where: \.plan.hasHead)
    else { return nil }
    let width = profile.splitsLoss ? shard.vocabularyShare : shard.vocabulary
    return MemoryItem(
      name: "logits of the microbatch before", category: .buffers,
      bytes: shard.bytes(shard.tokens, width))
  }

  /// What PyTorch's `PipelineStage` allocates for its schedule.
  ///
  /// A buffer for each microbatch's input and one for each gradient of its output (`args_recv_info`,
  /// `grad_recv_info` of its `stage.py`), of which inputs in flight are counted with the activations; and on
  /// the last stage the outputs of all microbatches, where the caller takes them (`output_chunks`).
  private func stageBuffers(in chunks: [ChunkBlocks], turns: [Turn]) -> [MemoryItem] {
    guard profile.receivesIntoOwnBuffers, job.parallelism.pipeline > 1 else { return [] }
    let sent = shard.bytes(shard.tokensOutside, job.architecture.hiddenSize)
    let microbatches = Int64(job.microbatchCount)
    let received = turns.count { $0.kind == .forward && !chunks[$0.chunk].plan.hasEmbedding }
    let held = turns.mostHeld { chunks[$0].plan.hasEmbedding ? 0 : 1 }
    // A buffer's gradient, which goes back to the stage it came from, stays until the next step
    // (`clear_runtime_states`).
    let inputs = 2 * Int64(received) - held
    let gradients = Int64(
      turns.count { $0.kind == .forward && !chunks[$0.chunk].plan.hasHead })
    var items = [
      MemoryItem(
        name: "receive buffers", category: .buffers, bytes: sent * (inputs + gradients))
    ]
    if job.parallelism.sharding.keepsOutputs ?? true, chunks.contains(where: \.plan.hasHead) {
      let width = profile.splitsLoss ? shard.vocabularyShare : shard.vocabulary
      items.append(
        MemoryItem(
          name: "outputs of all microbatches", category: .buffers,
          bytes: microbatches * shard.bytes(shard.tokens, width)))
    }
    return items
  }

  /// The program of the ranks of `stage`, which run `turns` through `chunks`.
  mutating func program(
    ofStage stage: Int, chunks: [ChunkBlocks], turns: [Turn], _ rules: TurnRules
  ) -> StageProgram {
    var emitter = StageEmitter(
      compiler: self, rules: rules, stage: stage, chunks: chunks,
      virtualStages: states.parameters.stages.stageCount)
    // Calls and blocks are the emitter's meanwhile: two owners would have to copy them.
    builder.forget()
    emitter.emitStep(turns)
    builder = emitter.compiler.builder
    contention = emitter.compiler.contention
    var items = states.resident(ofStage: stage)
    items += [gatherBuffers, sharedBuffer(in: chunks)].compactMap { $0 }
    if let logits = lastLogits(in: chunks) { items.append(logits) }
    items += stageBuffers(in: chunks, turns: turns)
    if let buffer = gatherBuffer(in: chunks) { items.append(buffer) }
    var resident = [Int64](repeating: 0, count: MemoryCategory.allCases.count)
    for item in items { resident[item.category.rawValue] += item.bytes }
    let copies = states.gradientCopyBytes(ofStage: stage)
    return StageProgram(
      stage: stage, rankCount: pricing.placements.grid.ranksPerStage,
      rank: stage * pricing.placements.grid.stride(.pipeline),
      instructions: emitter.instructions, resident: resident, items: items,
      leftBehind: leftBehind(by: chunks) + Bytes(copies + standInsLeft(by: chunks)),
      madeByFirstUpdate: Bytes(states.lateBytes(ofStage: stage)),
      hostBytes: Bytes(
        states.hostBytes(ofStage: stage) + turns.mostHeld { chunks[$0].offloaded }),
      cache: cache(ofStage: stage, items: items, chunks: chunks, turns: turns))
  }
}
