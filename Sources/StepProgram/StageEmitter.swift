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
  private(set) var reductionSlots: [Int] = []
  /// Bytes of reduced gradients that exist from their reduction on.
  private var lateGradients: Int64 = 0
  /// Blocks of single kernels run beside the passes.
  private var extraBlocks: [Kernel: Int] = [:]
  /// What is sent to each rank that something is sent to: the same bytes every time.
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
  private var microbatches: Int { job.microbatchCount / job.parallelism.stageCopies }

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
      for turn in turns[next...end] { emitSend(turn) }
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

  /// Sends what a turn made.
  private mutating func emitSend(_ turn: Turn) {
    let plan = chunks[turn.chunk].plan
    switch turn.kind {
    case .forward where !plan.hasHead:
      emitSend(lane: plan.stage + 1, to: rank(of: plan.stage + 1), turn)
    case .backward where !plan.hasEmbedding:
      emitSend(lane: virtualStages + plan.stage - 1, to: rank(of: plan.stage - 1), turn)
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
  private mutating func enter(_ unit: UnitBlocks, _ turn: Turn) {
    instructions.append(
      .phase(
        Phase(turn.kind, microbatch: turn.microbatch, chunk: turn.chunk, layer: unit.layer)))
  }

  /// Runs a block, its memory around it.
  private mutating func emitPass(_ block: Int, peak: Int64, net: Int64) {
    instructions.append(.scratch(.activations, peak))
    instructions.append(.run(block))
    instructions.append(.memory(.activations, net))
  }

  /// The pipeline rank that holds a virtual stage.
  private func rank(of virtualStage: Int) -> Int {
    compiler.states.parameters.stages.chunks[virtualStage].pipelineRank
  }

  /// Sends to a neighbour; where both stages are this rank's, there is nothing to send.
  private mutating func emitSend(lane: Int, to target: Int, _ turn: Turn) {
    guard target != stage else { return }
    let transfer = transfers[target] ?? transfer(to: target)
    transfers[target] = transfer
    instructions.append(
      .send(
        lane: lane, microbatch: turn.microbatch, bytes: transfer.bytes,
        duration: transfer.duration, blocking: profile.sendsBlock))
    if profile.pipelineSynchronizesHost || job.training.blocksLaunches {
      instructions.append(.synchronizeHost)
    }
  }

  /// What one microbatch's activations take to another stage.
  private func transfer(to target: Int) -> (bytes: Int64, duration: SimDuration) {
    let whole = compiler.shard.bytes(
      compiler.shard.tokensOutside, job.architecture.hiddenSize)
    let isScattered =
      profile.scattersPipeline && !job.parallelism.sequence && job.parallelism.tensor > 1
    let bytes = isScattered ? whole / Int64(job.parallelism.tensor) : whole
    var seconds = compiler.pricing.collectives.sendReceiveSeconds(
      bytes: bytes, sameNode: compiler.pricing.placements.sharesNode(stage, target),
      nodesApart: compiler.pricing.placements.nodesApart(stage, target))
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

  // MARK: ZeRO-3 and FSDP

  /// Bytes a unit's gathered parameters take in the compute format, dense and expert.
  private func gatheredBytes(_ unit: UnitBlocks) -> (dense: Int64, expert: Int64) {
    let value = Int64(job.training.precision.activationFormat.bytesPerValue)
    return (Int64(unit.parameters.dense) * value, Int64(unit.parameters.expert) * value)
  }

  /// Starts to gather a unit's parameters; for a backward pass from the second copy, where there is one.
  private mutating func launchGather(_ unit: UnitBlocks, slot: Int, backward: Bool = false) {
    let sharding = job.parallelism.sharding
    let states = compiler.states
    let bytes = gatheredBytes(unit)
    let dense: CommunicationAxis =
      backward && sharding.secondaryGroup != nil ? .secondary : .shard
    for (axis, size) in [(dense, bytes.dense), (.expertShard, bytes.expert)] {
      let wire =
        sharding.quantizesWeights
        ? size / Int64(job.training.precision.activationFormat.bytesPerValue) : size
      if var call = compiler.dataCall(.allGather, on: axis, bytes: wire) {
        if states.offloadsParameters {
          call.append(
            hostCopy: hostCopy(unit.parameters, beside: axis, value: states.parameterBytes))
        }
        instructions.append(
          .launch(
            call: compiler.builder.index(of: call), afterCompute: !job.parallelism.overlaps,
            slot: slot))
      }
    }
    if !job.parallelism.overlaps { instructions.append(.wait(slot: slot, .data)) }
    instructions.append(.memory(.parameters, heldBytes(unit, value: states.workingBytes)))
  }

  /// Bytes of a unit's whole tensors that are there at once, of `value` bytes a parameter.
  private func heldBytes(_ unit: UnitBlocks, value: Int64) -> Int64 {
    let byTensor = profile.plansBuffers && !compiler.states.keepsToBackward
    return Int64(byTensor ? unit.parameters.largest : unit.parameters.total) * value
  }

  /// Time `bytes` take over the host link, before a gather or behind a reduction on the same stream.
  func hostCopy(_ bytes: Int64) -> SimDuration {
    SimDuration(seconds: job.cluster.gpu.hostCopySeconds(bytes: bytes))
  }

  /// Time the shards that wait on the host take over its link, before or behind an exchange on `axis`.
  ///
  /// Of `value` bytes a parameter. The second copy is the device's; experts that a rank shares with
  /// nobody cross beside the dense part, as they have no exchange of their own. Without ZeRO every rank
  /// has all of it on its host.
  private func hostCopy(
    _ count: ParameterCount, beside axis: CommunicationAxis, value: Int64
  ) -> SimDuration {
    let states = compiler.states
    let isDense = axis != .expertShard && axis != .expertData
    let dense =
      axis == .shard || axis == .data ? states.owned(count.dense, over: states.shardDegree) : 0
    let hasExchange =
      compiler.pricing.placements.placement(
        of: job.parallelism.zero > 0 ? .expertShard : .expertData
      )
      .ranks > 1
    let expert =
      isDense != hasExchange
      ? states.owned(count.expert, over: states.expertShardDegree) : 0
    return hostCopy(Int64(dense + expert) * value)
  }

  /// Waits for a unit's parameters, and makes bf16 of int8 where they came so.
  private mutating func awaitGather(_ unit: UnitBlocks, slot: Int) {
    instructions.append(.wait(slot: slot, .data))
    guard job.parallelism.sharding.quantizesWeights else { return }
    let values = Int64(unit.parameters.total)
    let value = Int64(job.training.precision.activationFormat.bytesPerValue)
    run(
      .stream(StreamingKernel(.pointwise, read: values, written: values * value)),
      named: "dequantize")
  }

  /// Runs one kernel on the compute stream.
  mutating func run(_ kernel: Kernel, named name: String) {
    let block: Int
    if let known = extraBlocks[kernel] {
      block = known
    } else {
      var assembly = BlockAssembly(interference: compiler.builder.interference)
      assembly.append(compiler.builder.work([kernel]))
      block = compiler.builder.add(assembly.block(named: name))
      extraBlocks[kernel] = block
    }
    instructions.append(.run(block))
  }

  private mutating func emitGatheredForward(_ chunk: ChunkBlocks, _ turn: Turn) {
    let units = chunk.units
    guard !compiler.states.keepsGathered || turn.microbatch == 0 else {
      for unit in units {
        enter(unit, turn)
        emitPass(unit.forward, peak: unit.forwardPeak, net: unit.saved)
      }
      return
    }
    let keeps = compiler.states.keepsToBackward
    enter(units[0], turn)
    launchGather(units[0], slot: slot(units, 0))
    for index in units.indices {
      if index > 0 { enter(units[index], turn) }
      // One unit ahead; no more than two gathered at once.
      if index + 1 < units.count {
        if index >= 1, !keeps { instructions.append(.holdData(slot: slot(units, index - 1) + 1)) }
        launchGather(units[index + 1], slot: slot(units, index + 1))
      }
      awaitGather(units[index], slot: slot(units, index))
      emitPass(units[index].forward, peak: units[index].forwardPeak, net: units[index].saved)
      instructions.append(.mark(slot: slot(units, index) + 1))
      if !keeps, index < units.count - 1 { release(units[index]) }
    }
  }

  private mutating func emitGatheredBackward(_ chunk: ChunkBlocks, _ turn: Turn) {
    let units = chunk.units
    let keepsToBackward = compiler.states.keepsToBackward
    let isLast = turn.microbatch == microbatches - 1
    let releases = !compiler.states.keepsGathered || isLast
    let reducesEach = compiler.states.reducesEachMicrobatch
    for index in units.indices.reversed() {
      let unit = units[index]
      enter(unit, turn)
      if !keepsToBackward, index > 0 {
        if index + 2 < units.count {
          instructions.append(.holdData(slot: slot(units, index + 2) + 1))
        }
        launchGather(units[index - 1], slot: slot(units, index - 1), backward: true)
      }
      if !keepsToBackward, index < units.count - 1 {
        awaitGather(unit, slot: slot(units, index))
      }
      // Gradients that are not reduced after every microbatch stay whole until the last, added up in
      // the format they are reduced in (`unsharded_accumulated_grad` of FSDP2's `_fsdp_param.py`).
      let value =
        !reducesEach
        ? compiler.states.reduceBytes
        : Int64(job.training.precision.activationFormat.bytesPerValue)
      let gradient =
        reducesEach ? heldBytes(unit, value: value) : Int64(unit.parameters.total) * value
      if reducesEach || turn.microbatch == 0 { instructions.append(.memory(.gradients, gradient)) }
      emitPass(unit.backward, peak: unit.backwardPeak, net: -unit.saved)
      instructions.append(.mark(slot: slot(units, index) + 1))
      if releases { release(unit) }
      if reducesEach || isLast {
        reduce(unit.parameters, operation: .reduceScatter)
        instructions.append(.memory(.gradients, -gradient))
        if profile.plansBuffers, reducesEach ? turn.microbatch == 0 : isLast {
          let share = compiler.states.gradientShare(of: unit.parameters)
          instructions.append(.memory(.gradients, share))
          lateGradients += share
        }
      }
    }
  }

  private mutating func release(_ unit: UnitBlocks) {
    instructions.append(
      .memory(.parameters, -heldBytes(unit, value: compiler.states.workingBytes)))
  }

  private func slot(_ units: [UnitBlocks], _ index: Int) -> Int {
    2 * (units[index].layer + 1)
  }

  // MARK: Gradients and parameters of replicated layers

  /// Whether updated parameters are gathered beside the first forward pass.
  var gathersAhead: Bool {
    compiler.bucketsOverlap && profile.dataOverlap == .gradientsAndParameters
      && job.parallelism.zero == 1
  }

  /// For each chunk and unit the slot its parameters arrive by, where a bucket ends.
  private var gatherSlots: [[Int?]] = []

  private mutating func launchParameterGathers() {
    let value = compiler.states.gatheredBytesPerParameter(ofStage: stage)
    for chunk in chunks {
      var slots = [Int?](repeating: nil, count: chunk.units.count)
      var pending = ParameterCount()
      var first = 0
      for (index, unit) in chunk.units.enumerated() {
        pending.dense += unit.parameters.dense
        pending.expert += unit.parameters.expert
        guard pending.total >= profile.bucketParameters || index == chunk.units.count - 1 else {
          continue
        }
        let slot = 2 * (unit.layer + 1)
        for (axis, size) in [
          (CommunicationAxis.shard, Int64(Double(pending.dense) * value)),
          (.expertShard, Int64(Double(pending.expert) * value)),
        ] {
          if let call = compiler.dataCall(.allGather, on: axis, bytes: size) {
            instructions.append(
              .launch(call: compiler.builder.index(of: call), afterCompute: false, slot: slot))
          }
        }
        slots[first] = slot
        first = index + 1
        pending = ParameterCount()
      }
      gatherSlots.append(slots)
    }
  }

  private mutating func emitBucketedBackward(_ chunk: ChunkBlocks, _ turn: Turn) {
    var pending = ParameterCount()
    // Where owners keep only their share, the others are there until their bucket is reduced.
    let whole =
      job.parallelism.zero >= 2 && !compiler.states.keepsWholeGradients
      ? compiler.states.gradientBytes : 0
    for (index, unit) in chunk.units.enumerated().reversed() {
      enter(unit, turn)
      if whole > 0 {
        instructions.append(.memory(.gradients, Int64(unit.parameters.total) * whole))
      }
      emitPass(unit.backward, peak: unit.backwardPeak, net: -unit.saved)
      pending.dense += unit.parameters.dense
      pending.expert += unit.parameters.expert
      if pending.total >= profile.bucketParameters || index == 0 {
        reduce(pending, operation: reduction)
        if whole > 0 { instructions.append(.memory(.gradients, -Int64(pending.total) * whole)) }
        pending = ParameterCount()
      }
    }
  }

  /// How gradients of replicated layers are summed.
  var reduction: CollectiveOperation {
    job.parallelism.zero >= 1 && !profile.allReducesShards ? .reduceScatter : .allReduce
  }

  mutating func reduce(_ count: ParameterCount, operation: CollectiveOperation) {
    let isSharded = job.parallelism.zero >= 1
    if isSharded, job.parallelism.sharding.quantizesGradients {
      let values = Int64(count.total)
      run(
        .stream(
          StreamingKernel(
            .pointwise, read: values * compiler.states.reduceBytes, written: (values + 1) / 2)),
        named: "quantize")
    }
    launchReduction(operation, on: isSharded ? .shard : .data, elements: count.dense, of: count)
    launchReduction(
      operation, on: isSharded ? .expertShard : .expertData, elements: count.expert, of: count)
    if isSharded, job.parallelism.shardGroup != nil {
      // Hybrid: the shards of different copies are summed.
      launchReduction(
        .allReduce, on: .replica, elements: count.dense / compiler.states.shardDegree, of: count)
      launchReduction(
        .allReduce, on: .expertReplica, elements: count.expert / compiler.states.expertShardDegree,
        of: count)
    }
  }

  private mutating func launchReduction(
    _ operation: CollectiveOperation, on axis: CommunicationAxis, elements: Int,
    of count: ParameterCount
  ) {
    // ZeRO++ reduces by all-to-alls of int4, inside nodes and between them: the volume of a
    // reduce-scatter at half a byte a value (arXiv:2306.10209, section 4.3).
    let isQuantized = operation == .reduceScatter && job.parallelism.sharding.quantizesGradients
    let bytes =
      isQuantized ? (Int64(elements) + 1) / 2 : Int64(elements) * compiler.states.reduceBytes
    guard var call = compiler.dataCall(operation, on: axis, bytes: bytes)
    else {
      return
    }
    if compiler.states.streamsGradients, axis != .replica, axis != .expertReplica {
      call.append(
        hostCopy: hostCopy(count, beside: axis, value: compiler.states.gradientBytes))
    }
    let slot = 2 * compiler.unitCount
    instructions.append(
      .launch(call: compiler.builder.index(of: call), afterCompute: true, slot: slot))
    if !reductionSlots.contains(slot) { reductionSlots.append(slot) }
    if !job.parallelism.overlaps { instructions.append(.wait(slot: slot, .data)) }
  }
}
