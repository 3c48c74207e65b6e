import Collectives
import Hardware
import Kernels
import Layout
import Quantities
import Transformer

/// Writes the instructions of one pipeline rank.
///
/// Slots: for unit u of the model (0 the embedding, then the layers, then the head), 2u is the end
/// of its parameter gather, 2u + 1 the end of its computation; behind them one for all gradient
/// reductions and one for the parameters gathered after the update.
struct StageEmitter {
  var compiler: StepCompiler
  let stage: Int
  let chunks: [ChunkBlocks]
  let virtualStages: Int
  let rules: TurnRules
  /// Of each chunk the pass forward and the pass backward in one piece, and where messages go.
  private let forward: [ChunkPass]
  private let backward: [ChunkPass]
  private let links: [ChunkLinks]
  var instructions: [Instruction] = []
  var reductionSlots: [Int] = []
  /// Bytes of reduced gradients that exist from their reduction on.
  var lateGradients: Int64 = 0
  /// Bytes of the buffer that is being reduced, where gradients are copied into one.
  var reduceInput: Int64 = 0
  /// For each chunk and unit the slot its parameters arrive by, where a bucket ends.
  var gatherSlots: [[Int?]] = []
  /// Units of each chunk whose parameters were gathered again before anything asked for them.
  var gatheredEarly: [Int: Set<Int>] = [:]
  /// Blocks of single kernels run beside the passes.
  var extraBlocks: [Kernel: Int] = [:]
  /// What is sent on each lane (activations into a virtual stage, then gradients), the same bytes every time.
  ///
  /// At twice its index, and one more where another message comes back.
  private var transfers: [Transfer?]

  init(
    compiler: StepCompiler, rules: TurnRules, stage: Int, chunks: [ChunkBlocks],
    virtualStages: Int
  ) {
    self.compiler = compiler
    self.stage = stage
    self.chunks = chunks
    self.virtualStages = virtualStages
    self.rules = rules
    forward = chunks.map { ChunkPass(block: $0.forward, peak: $0.forwardPeak, net: $0.saved) }
    backward = chunks.map {
      rules.splitsBackward
        ? ChunkPass(
          block: $0.inputGradient, peak: $0.backwardPeak, net: $0.heldForWeights - $0.saved)
        : ChunkPass(block: $0.backward, peak: $0.backwardPeak, net: -$0.saved)
    }
    let all = compiler.states.parameters.stages.chunks
    links = chunks.map(\.plan).map { plan in
      let previous = plan.hasEmbedding ? stage : all[plan.stage - 1].pipelineRank
      let next = plan.hasHead ? stage : all[plan.stage + 1].pipelineRank
      return ChunkLinks(
        stage: plan.stage, previous: previous == stage ? nil : previous,
        next: next == stage ? nil : next)
    }
    transfers = [Transfer?](repeating: nil, count: 4 * virtualStages)
  }

  /// A pass of a chunk in one piece, and its memory.
  private struct ChunkPass {
    var block: Int
    /// Most it holds meanwhile.
    var peak: Int64
    /// What it leaves held.
    var net: Int64
  }

  /// A chunk's virtual stage and the ranks that hold those before and behind it.
  ///
  /// `nil` at the model's ends and where it is this one.
  private struct ChunkLinks {
    var stage: Int
    var previous: Int?
    var next: Int?
  }

  /// A message between stages.
  private struct Transfer {
    var bytes: Int64
    var duration: SimDuration
  }

  var job: TrainingJob { compiler.job }
  var profile: FrameworkProfile { compiler.profile }
  var microbatches: Int { rules.microbatches }

  /// The whole step.
  mutating func emitStep(_ turns: [Turn]) {
    instructions.reserveCapacity(rules.instructionsPerTurn * turns.count + 64)
    if rules.gathersAhead { launchParameterGathers() }
    let standIns = compiler.standIns(in: chunks)
    let firstBackward = turns.firstIndex { $0.kind == .backward }
    var next = 0
    while next < turns.count {
      var end = next
      while end < turns.count - 1, turns[end].isJoined { end += 1 }
      // What joined turns need is there before any begins; what they make leaves behind the last.
      for index in next...end {
        enter(turns[index])
        emitReceive(turns[index])
      }
      for index in next...end {
        if next < end { enter(turns[index]) }
        if index == firstBackward { instructions.append(.memory(.buffers, standIns)) }
        emitPass(of: turns[index])
      }
      let following = turns[(end + 1)...].first { $0.kind == .forward || $0.kind == .backward }
      for index in next...end { emitSend(turns[index], before: following) }
      if rules.synchronizesPasses { instructions.append(.synchronizeHost) }
      next = end + 1
    }
    emitDeferredGradients()
    emitUpdate()
    if lateGradients > 0 { instructions.append(.memory(.gradients, -lateGradients)) }
    if firstBackward != nil { instructions.append(.memory(.buffers, -standIns)) }
  }

  // MARK: Passes

  /// What follows belongs to a turn.
  private mutating func enter(_ turn: Turn) {
    instructions.append(
      .phase(
        Phase(
          turn.kind, microbatch: turn.microbatch, chunk: turn.chunk,
          layer: turn.kind == .forward
            ? chunks[turn.chunk].forwardPeakLayer : chunks[turn.chunk].backwardPeakLayer)))
  }

  /// Waits for what a turn needs of another rank.
  private mutating func emitReceive(_ turn: Turn) {
    let link = links[turn.chunk]
    let lane: Int
    switch turn.kind {
    case .forward where link.previous != nil: lane = link.stage
    case .backward where link.next != nil: lane = virtualStages + link.stage
    case .forward, .backward, .weightGradient, .optimizer: return
    }
    instructions.append(.receive(lane: lane, microbatch: turn.microbatch))
    if rules.synchronizesPasses || rules.blocksLaunches { instructions.append(.synchronizeHost) }
  }

  /// Sends what a turn made, `following` being the pass that comes next.
  ///
  /// Where that goes the other way, what it needs comes from the same neighbour at the same time.
  private mutating func emitSend(_ turn: Turn, before following: Turn?) {
    let meets = following.map { $0.kind != turn.kind } ?? false
    let link = links[turn.chunk]
    switch turn.kind {
    case .forward:
      if let next = link.next { emitSend(lane: link.stage + 1, to: next, turn, meets) }
    case .backward:
      guard let previous = link.previous else { return }
      emitSend(lane: virtualStages + link.stage - 1, to: previous, turn, meets)
    case .weightGradient, .optimizer: break
    }
  }

  private mutating func emitPass(of turn: Turn) {
    switch turn.kind {
    case .forward: emitForward(turn)
    case .backward: emitBackward(turn)
    case .weightGradient where rules.gathersParameters: break  // ran with the inputs'
    case .weightGradient:
      instructions.append(.run(chunks[turn.chunk].weightGradient))
      instructions.append(.memory(.activations, -chunks[turn.chunk].heldForWeights))
    case .optimizer: break
    }
  }

  private mutating func emitForward(_ turn: Turn) {
    if rules.gathersParameters {
      emitGatheredForward(chunks[turn.chunk], turn)
    } else if rules.gathersAhead, turn.microbatch == 0 {
      for (index, unit) in chunks[turn.chunk].units.enumerated() {
        if let slot = gatherSlots[turn.chunk][index] {
          instructions.append(.wait(slot: slot, .data))
        }
        enter(unit, turn)
        emitPass(unit.forward, peak: unit.forwardPeak, net: unit.saved)
      }
    } else {
      emit(forward[turn.chunk])
    }
  }

  private mutating func emitBackward(_ turn: Turn) {
    let isLast = turn.microbatch == microbatches - 1
    if rules.gathersParameters {
      emitGatheredBackward(chunks[turn.chunk], turn)
    } else if isLast ? rules.reducesLastInBuckets : rules.reducesEachInBuckets {
      emitBucketedBackward(chunks[turn.chunk], turn)
    } else if turn.microbatch < rules.deferredGradients, let deferral = chunks[turn.chunk].deferral
    {
      emitPass(
        deferral.backward, peak: chunks[turn.chunk].backwardPeak,
        net: compiler.bytesOfDeferredGradient - chunks[turn.chunk].saved)
    } else {
      emit(backward[turn.chunk])
    }
  }

  private mutating func emit(_ pass: ChunkPass) {
    emitPass(pass.block, peak: pass.peak, net: pass.net)
  }

  /// What follows belongs to a unit's part of a turn.
  mutating func enter(_ unit: UnitBlocks, _ turn: Turn) {
    instructions.append(
      .phase(
        Phase(turn.kind, microbatch: turn.microbatch, chunk: turn.chunk, layer: unit.layer)))
  }

  /// Runs a block, its memory around it.
  mutating func emitPass(_ block: Int, peak: Int64, net: Int64) {
    instructions.append(.scratch(.activations, peak))
    instructions.append(.run(block))
    instructions.append(.memory(.activations, net))
  }

  /// Sends to a neighbour.
  private mutating func emitSend(lane: Int, to target: Int, _ turn: Turn, _ meets: Bool) {
    let isTwofold = meets && rules.exchangesStagesInTurn
    let key = 2 * lane + (isTwofold ? 1 : 0)
    let transfer =
      transfers[key]
      ?? transfer(to: target, isTwofold: isTwofold, isGradient: lane >= virtualStages)
    transfers[key] = transfer
    instructions.append(
      .send(
        lane: lane, microbatch: turn.microbatch, bytes: transfer.bytes,
        duration: transfer.duration, blocking: rules.sendsBlock))
    if rules.sendsHoldHost { instructions.append(.synchronizeHost) }
  }

  /// What one microbatch's activations take to another stage.
  ///
  /// `isTwofold` if another message comes back from it first.
  private func transfer(to target: Int, isTwofold: Bool, isGradient: Bool) -> Transfer {
    let whole = compiler.shard.bytes(
      compiler.shard.tokensOutside, job.architecture.hiddenSize)
    let isScattered =
      profile.scattersPipeline && !job.parallelism.sequence && job.parallelism.tensor > 1
    let bytes = isScattered ? whole / Int64(job.parallelism.tensor) : whole
    var seconds = compiler.pricing.collectives.sendReceiveSeconds(
      bytes: bytes, sameNode: compiler.pricing.placements.sharesNode(stage, target),
      nodesApart: compiler.pricing.placements.nodesApart(stage, target))
    if isTwofold { seconds *= 2 }
    if isScattered,
      let gather = compiler.pricing.call(.allGather, on: .tensor, bytes: whole, category: .pipeline)
    {
      // What was sent on is put together again as well, before its gradient is used.
      let rebuilds = profile.rebuildsScattered && isGradient ? 2 : 1
      let copies =
        profile.rebuildsScattered
        ? compiler.builder.cost.seconds(
          for: .stream(StreamingKernel(.pointwise, read: 2 * whole, written: 3 * whole))) : 0
      seconds += Double(rebuilds) * (gather.duration.seconds + copies)
    }
    seconds += stall(to: target)
    return Transfer(bytes: bytes, duration: SimDuration(seconds: seconds))
  }

  /// What a message to another stage waits beyond its way.
  ///
  /// Where both sides take part in each exchange, a stage between two others stands still for those of both
  /// neighbours.
  private func stall(to target: Int) -> Double {
    let placements = compiler.pricing.placements
    guard placements.placement(of: .tensor).nodes >= profile.stallingTensorNodes else { return 0 }
    return profile.stageMessageStall.seconds * (job.parallelism.pipeline > 2 ? 2 : 1)
  }
}
