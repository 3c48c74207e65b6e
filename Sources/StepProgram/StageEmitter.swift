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
  var instructions: [Instruction] = []
  var reductionSlots: [Int] = []
  /// Bytes of reduced gradients that exist from their reduction on.
  var lateGradients: Int64 = 0
  /// For each chunk and unit the slot its parameters arrive by, where a bucket ends.
  var gatherSlots: [[Int?]] = []
  /// Units of each chunk whose parameters were gathered again before anything asked for them.
  var gatheredEarly: [Int: Set<Int>] = [:]
  /// Blocks of single kernels run beside the passes.
  var extraBlocks: [Kernel: Int] = [:]
  /// What is sent to each rank that something is sent to, the same bytes every time: under twice its
  /// index, and one more where another message comes back.
  private var transfers: [Int: (bytes: Int64, duration: SimDuration)] = [:]

  init(compiler: StepCompiler, stage: Int, chunks: [ChunkBlocks], virtualStages: Int) {
    self.compiler = compiler
    self.stage = stage
    self.chunks = chunks
    self.virtualStages = virtualStages
  }

  var job: TrainingJob { compiler.job }
  var profile: FrameworkProfile { compiler.profile }
  /// Microbatches of each chunk: of those that enter at both ends, half.
  var microbatches: Int { job.microbatchCount / job.parallelism.stageCopies }

  /// The whole step.
  mutating func emitStep(_ turns: [Turn]) {
    if gathersAhead { launchParameterGathers() }
    let standIns = compiler.standIns(in: chunks)
    let firstBackward = turns.firstIndex { $0.kind == .backward }
    var next = 0
    while next < turns.count {
      let end = turns[next...].firstIndex { !$0.isJoined } ?? turns.count - 1
      // What joined turns need is there before any begins; what they make leaves behind the last.
      for turn in turns[next...end] {
        enter(turn)
        emitReceive(turn)
      }
      for index in next...end {
        if next < end { enter(turns[index]) }
        if index == firstBackward { instructions.append(.memory(.buffers, standIns)) }
        emitPass(of: turns[index])
      }
      let following = turns[(end + 1)...].first { $0.kind == .forward || $0.kind == .backward }
      for turn in turns[next...end] { emitSend(turn, before: following) }
      if profile.synchronizesPasses { instructions.append(.synchronizeHost) }
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
    let plan = chunks[turn.chunk].plan
    let lane: Int
    switch turn.kind {
    case .forward:
      guard !plan.hasEmbedding, rank(of: plan.stage - 1) != stage else { return }
      lane = plan.stage
    case .backward:
      guard !plan.hasHead, rank(of: plan.stage + 1) != stage else { return }
      lane = virtualStages + plan.stage
    case .weightGradient, .optimizer: return
    }
    instructions.append(.receive(lane: lane, microbatch: turn.microbatch))
    if profile.synchronizesPasses || job.training.blocksLaunches {
      instructions.append(.synchronizeHost)
    }
  }

  /// Sends what a turn made, `following` being the pass that comes next.
  ///
  /// Where that goes the other way, what it needs comes from the same neighbour at the same time.
  private mutating func emitSend(_ turn: Turn, before following: Turn?) {
    let meets = following.map { $0.kind != turn.kind } ?? false
    let plan = chunks[turn.chunk].plan
    switch turn.kind {
    case .forward where !plan.hasHead:
      emitSend(lane: plan.stage + 1, to: rank(of: plan.stage + 1), turn, meets)
    case .backward where !plan.hasEmbedding:
      emitSend(lane: virtualStages + plan.stage - 1, to: rank(of: plan.stage - 1), turn, meets)
    case .forward, .backward, .weightGradient, .optimizer: break
    }
  }

  private mutating func emitPass(of turn: Turn) {
    let chunk = chunks[turn.chunk]
    switch turn.kind {
    case .forward: emitForward(chunk, turn)
    case .backward: emitBackward(chunk, turn)
    case .weightGradient where compiler.states.gathersParameters: break  // ran with the inputs'
    case .weightGradient:
      instructions.append(.run(chunk.weightGradient))
      instructions.append(.memory(.activations, -chunk.heldForWeights))
    case .optimizer: break
    }
  }

  private mutating func emitForward(_ chunk: ChunkBlocks, _ turn: Turn) {
    if compiler.states.gathersParameters {
      emitGatheredForward(chunk, turn)
    } else if gathersAhead, turn.microbatch == 0 {
      for (index, unit) in chunk.units.enumerated() {
        if let slot = gatherSlots[turn.chunk][index] {
          instructions.append(.wait(slot: slot, .data))
        }
        enter(unit, turn)
        emitPass(unit.forward, peak: unit.forwardPeak, net: unit.saved)
      }
    } else {
      emitPass(chunk.forward, peak: chunk.forwardPeak, net: chunk.saved)
    }
  }

  private mutating func emitBackward(_ chunk: ChunkBlocks, _ turn: Turn) {
    let isLast = turn.microbatch == microbatches - 1
    if compiler.states.gathersParameters {
      emitGatheredBackward(chunk, turn)
    } else if compiler.bucketsOverlap, isLast || compiler.states.reducesEachMicrobatch,
      !job.parallelism.schedule.splitsBackward
    {
      emitBucketedBackward(chunk, turn)
    } else if let deferral = chunk.deferral, turn.microbatch < compiler.deferredGradients {
      emitPass(
        deferral.backward, peak: chunk.backwardPeak,
        net: compiler.bytesOfDeferredGradient - chunk.saved)
    } else if job.parallelism.schedule.splitsBackward {
      emitPass(
        chunk.inputGradient, peak: chunk.backwardPeak, net: chunk.heldForWeights - chunk.saved)
    } else {
      emitPass(chunk.backward, peak: chunk.backwardPeak, net: -chunk.saved)
    }
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

  /// The pipeline rank that holds a virtual stage.
  private func rank(of virtualStage: Int) -> Int {
    compiler.states.parameters.stages.chunks[virtualStage].pipelineRank
  }

  /// Sends to a neighbour; where both stages are this rank's, there is nothing to send.
  private mutating func emitSend(lane: Int, to target: Int, _ turn: Turn, _ meets: Bool) {
    guard target != stage else { return }
    let isTwofold = meets && profile.exchangesStagesInTurn
    let key = 2 * target + (isTwofold ? 1 : 0)
    let transfer = transfers[key] ?? transfer(to: target, isTwofold: isTwofold)
    transfers[key] = transfer
    instructions.append(
      .send(
        lane: lane, microbatch: turn.microbatch, bytes: transfer.bytes,
        duration: transfer.duration, blocking: sendsBlock))
    if profile.pipelineSynchronizesHost || job.training.blocksLaunches {
      instructions.append(.synchronizeHost)
    }
  }

  /// Whether computation waits for what is sent.
  private var sendsBlock: Bool {
    let interleaved = job.parallelism.schedule == .interleaved ? profile.interleavedSendsBlock : nil
    return interleaved ?? profile.sendsBlock
  }

  /// What one microbatch's activations take to another stage; `isTwofold` if another message comes back
  /// from it first.
  private func transfer(to target: Int, isTwofold: Bool) -> (bytes: Int64, duration: SimDuration) {
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
      seconds += gather.duration.seconds
    }
    seconds += stall(to: target)
    return (bytes, SimDuration(seconds: seconds))
  }

  /// What a message to another stage waits beyond its way: where both sides take part in each
  /// exchange, a stage between two others stands still for those of both neighbours.
  private func stall(to target: Int) -> Double {
    let placements = compiler.pricing.placements
    guard placements.placement(of: .tensor).nodes >= profile.stallingTensorNodes else { return 0 }
    return profile.stageMessageStall.seconds * (job.parallelism.pipeline > 2 ? 2 : 1)
  }
}
