import Collectives
import Hardware
import Kernels
import Layout
import Quantities
import Transformer

/// Passes over layers whose parameters are gathered for them: ZeRO-3, FSDP.
extension StageEmitter {
  /// Bytes a unit's gathered parameters take in the compute format, dense and expert.
  private func gatheredBytes(_ unit: UnitBlocks) -> (dense: Int64, expert: Int64) {
    let value = Int64(job.training.precision.activationFormat.bytesPerValue)
    return (Int64(unit.parameters.dense) * value, Int64(unit.parameters.expert) * value)
  }

  /// Starts to gather a unit's parameters; for a backward pass from the second copy, where there is one.
  ///
  /// Where they are gathered beside the unit, it begins when those it needs first are there.
  private mutating func launchGather(_ unit: UnitBlocks, slot: Int, backward: Bool = false) {
    let bytes = gatheredBytes(unit)
    defer {
      if !isEnd(unit) || !profile.shardsAsMegatronFSDP {
        let held = heldBytes(unit, value: compiler.states.workingBytes)
        instructions.append(.memory(.parameters, held))
      }
    }
    guard compiler.gathersBeside else {
      let isAwaited = !job.parallelism.overlaps || profile.layerGathers == .before
      launchGather(unit, bytes, slot: slot, backward: backward, awaited: isAwaited)
      return
    }
    let first = Int64((Double(bytes.dense) * outerShare(unit)).rounded())
    launchGather(unit, (first, 0), slot: slot, backward: backward, awaited: true)
    launchGather(
      unit, (bytes.dense - first, bytes.expert), slot: slot, backward: backward, awaited: false)
  }

  /// The part of a unit's dense parameters that it multiplies first, and whose gradient comes last.
  ///
  /// Of a layer the projections into attention; all of the embedding and of the head.
  private func outerShare(_ unit: UnitBlocks) -> Double {
    let model = job.architecture
    guard (0..<model.layerCount + model.nextTokenLayers).contains(unit.layer) else { return 1 }
    let dense = model.tensors(ofLayer: unit.layer).filter { !$0.isExpert }
    let all = dense.reduce(0) { $0 + $1.count }
    let behind = dense.drop { !$0.name.hasPrefix("attention.output") }.reduce(0) { $0 + $1.count }
    return all > 0 && behind > 0 ? Double(all - behind) / Double(all) : 1
  }

  private mutating func launchGather(
    _ unit: UnitBlocks, _ bytes: (dense: Int64, expert: Int64), slot: Int, backward: Bool,
    awaited isAwaited: Bool
  ) {
    let sharding = job.parallelism.sharding
    let states = compiler.states
    let dense: CommunicationAxis =
      backward && sharding.secondaryGroup != nil ? .secondary : .shard
    for (axis, size) in [(dense, bytes.dense), (.expertShard, bytes.expert)] where size > 0 {
      let wire =
        sharding.quantizesWeights
        ? size / Int64(job.training.precision.activationFormat.bytesPerValue) : size
      if var call = compiler.dataCall(.allGather, on: axis, bytes: wire)
        ?? compiler.copyAlone(.allGather, on: axis, bytes: wire)
      {
        if states.offloadsParameters {
          call.append(
            hostCopy: hostCopy(unit.parameters, beside: axis, value: states.parameterBytes))
        }
        instructions.append(
          .launch(
            call: compiler.builder.index(of: call), afterCompute: isAwaited,
            slot: slot))
      }
    }
    if isAwaited { instructions.append(.wait(slot: slot, .data)) }
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
  func hostCopy(
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

  /// Whether a unit is an end of the model, not one of its layers.
  private func isEnd(_ unit: UnitBlocks) -> Bool {
    unit.layer < 0 || unit.layer >= compiler.unitCount - 2
  }

  /// Whether a unit of a chunk is gathered for a forward pass of a microbatch.
  ///
  /// Megatron FSDP keeps the ends of the model from their first use on.
  private func isGathered(_ unit: UnitBlocks, for turn: Turn) -> Bool {
    !(profile.shardsAsMegatronFSDP && isEnd(unit)) || turn.microbatch == 0
  }

  mutating func emitGatheredForward(_ chunk: ChunkBlocks, _ turn: Turn) {
    let units = chunk.units
    guard !compiler.states.keepsGathered || turn.microbatch == 0 else {
      for unit in units {
        enter(unit, turn)
        emitPass(unit.forward, peak: unit.forwardPeak, net: unit.saved)
      }
      return
    }
    let keeps = compiler.states.keepsToBackward
    let ahead = compiler.unitsGatheredAhead(units)
    var next = 0
    for (index, unit) in units.enumerated() {
      enter(unit, turn)
      while next < units.count, next <= index + ahead {
        if gatheredEarly[turn.chunk, default: []].remove(next) != nil {
          // Still there.
        } else if isGathered(units[next], for: turn) {
          // No more than two are gathered at once, but where the framework goes further ahead.
          if next >= 2, !keeps, ahead == 1 {
            instructions.append(.holdData(slot: slot(units, next - 2) + 1))
          }
          launchGather(units[next], slot: slot(units, next))
        }
        next += 1
      }
      let isGathered = isGathered(unit, for: turn)
      if isGathered, !compiler.gathersBeside { awaitGather(unit, slot: slot(units, index)) }
      if profile.shardsAsMegatronFSDP, ahead > 0, !keeps, isEnd(unit), index > 0 {
        gatherEarly(units, turn)
      }
      emitPass(unit.forward, peak: unit.forwardPeak, net: unit.saved)
      if isGathered, compiler.gathersBeside { awaitGather(unit, slot: slot(units, index)) }
      instructions.append(.mark(slot: slot(units, index) + 1))
      if !keeps, isReleased(units, index) { release(unit) }
    }
  }

  /// Gathers the first layers again beside the head, up to where Megatron FSDP reaches.
  ///
  /// The ends of the model are one bucket, the first, so whatever comes behind the head's call for it is
  /// prefetched (`all_gather_params` of its `param_and_grad_buffer.py`).
  private mutating func gatherEarly(_ units: [UnitBlocks], _ turn: Turn) {
    guard gatheredEarly[turn.chunk, default: []].isEmpty else { return }
    var elements = units.reduce(0) { $0 + (isEnd($1) ? Int64($1.parameters.total) : 0) }
    for (index, unit) in units.enumerated() where !isEnd(unit) {
      guard elements < compiler.elementsGatheredAhead(units) else { return }
      launchGather(unit, slot: slot(units, index))
      gatheredEarly[turn.chunk, default: []].insert(index)
      elements += Int64(unit.parameters.total)
    }
  }

  /// Whether a unit's parameters are given back behind its forward pass and gathered again for its backward pass.
  ///
  /// Not those of the last, which comes next, and under DeepSpeed of as many before it as are used again soon
  /// (`__params_to_release` of its `partitioned_param_coordinator.py`); under Megatron FSDP those of all
  /// layers.
  private func isReleased(_ units: [UnitBlocks], _ index: Int) -> Bool {
    if profile.shardsAsMegatronFSDP { return !isEnd(units[index]) }
    guard index < units.count - 1 else { return false }
    guard let buffers = profile.zeroBuffers else { return true }
    let behind = units[(index + 1)...].reduce(0) { $0 + Int64($1.parameters.total) }
    return 2 * behind >= buffers.reuseElements
  }

  mutating func emitGatheredBackward(_ chunk: ChunkBlocks, _ turn: Turn) {
    let units = chunk.units
    let keepsToBackward = compiler.states.keepsToBackward
    let ahead = compiler.unitsGatheredAhead(units)
    let isLast = turn.microbatch == microbatches - 1
    let releases = !compiler.states.keepsGathered || isLast
    var queue = GradientQueue(capacity: compiler.gradientsInFlight(units))
    var next = units.count - 1
    for (index, unit) in units.enumerated().reversed() {
      enter(unit, turn)
      let gathersHere = !keepsToBackward && !(profile.shardsAsMegatronFSDP && isEnd(unit))
      while gathersHere, next >= 0, next >= index - ahead {
        if gatheredEarly[turn.chunk, default: []].remove(next) != nil {
          // Still there.
        } else if isReleased(units, next) {
          if next + 3 < units.count, ahead == 1 {
            instructions.append(.holdData(slot: slot(units, next + 3) + 1))
          }
          launchGather(units[next], slot: slot(units, next), backward: true)
        }
        next -= 1
      }
      if gathersHere {
        // What was gathered early and is not next is given back.
        let others = gatheredEarly.removeValue(forKey: turn.chunk) ?? []
        for other in others.sorted() { release(units[other]) }
      }
      let gathered = gathersHere && isReleased(units, index) ? slot(units, index) : nil
      if let gathered, !compiler.gathersBeside { awaitGather(unit, slot: gathered) }
      if profile.copiesGathers, profile.layerGathers == .ahead {
        emitCopiedBackward(unit, turn, releases: releases)
      } else if profile.shardsAsMegatronFSDP {
        emitQueuedBackward(unit, in: chunk, &queue)
        if releases, !isEnd(unit) { release(unit) }
      } else {
        emitReducedBackward(
          unit, turn, releases: releases, beside: compiler.gathersBeside ? gathered : nil)
      }
    }
    instructions.append(.memory(.gradients, -queue.emptied()))
    if reduceInput > 0 {
      instructions.append(.memory(.gradients, -reduceInput))
      reduceInput = 0
    }
    if profile.layerGathers != .ahead, compiler.states.reducesEachMicrobatch || isLast {
      var all = ParameterCount()
      for unit in units {
        all.dense += unit.parameters.dense
        all.expert += unit.parameters.expert
      }
      sumCopies(all)
    }
  }

  /// A unit's backward pass, its gradients whole until they are reduced.
  ///
  /// At `slot` it waits for the parameters gathered beside it.
  private mutating func emitReducedBackward(
    _ unit: UnitBlocks, _ turn: Turn, releases: Bool, beside slot: Int?
  ) {
    let isLast = turn.microbatch == microbatches - 1
    let reducesEach = compiler.states.reducesEachMicrobatch
    // Gradients that are not reduced after every microbatch stay whole until the last, added up in
    // the format they are reduced in (`unsharded_accumulated_grad` of FSDP2's `_fsdp_param.py`).
    let value =
      !reducesEach
      ? compiler.states.reduceBytes
      : Int64(job.training.precision.activationFormat.bytesPerValue)
    let gradient =
      reducesEach ? heldBytes(unit, value: value) : Int64(unit.parameters.total) * value
    if reducesEach || turn.microbatch == 0 { instructions.append(.memory(.gradients, gradient)) }
    let reduces = reducesEach || isLast
    var late = unit.parameters
    if reduces, job.parallelism.overlaps, profile.layerGathers == .beside {
      // All but the last gradient while the others are made: as much beside the pass as if each went
      // when it is there.
      late.dense = Int((Double(late.dense) * outerShare(unit)).rounded())
      late.expert = 0
      var early = unit.parameters
      early.dense -= late.dense
      reduce(early, operation: .reduceScatter, afterCompute: false)
    }
    emitPass(unit.backward, peak: unit.backwardPeak, net: -unit.saved)
    if let slot { awaitGather(unit, slot: slot) }
    instructions.append(.mark(slot: 2 * (unit.layer + 1) + 1))
    if releases { release(unit) }
    if reduces {
      reduce(late, operation: .reduceScatter)
      instructions.append(.memory(.gradients, -gradient))
      if profile.plansBuffers, reducesEach ? turn.microbatch == 0 : isLast {
        let share = compiler.states.gradientShare(of: unit.parameters)
        instructions.append(.memory(.gradients, share))
        lateGradients += share
      }
    }
  }

  /// A unit's backward pass under Megatron FSDP.
  ///
  /// Its gradients are put into a bucket in the format they are accumulated in, by the multiplies or copied
  /// when the unit is done, and buckets wait in a queue until it holds too much or the pass is done
  /// (`_grad_acc`, `reduce_gradients` and `wait_for_previous_grad_reduce` of Megatron-FSDP).
  ///
  /// The gradient of a table both ends use is complete when the embedding's is: until then it is in the
  /// parameters' format.
  private mutating func emitQueuedBackward(
    _ unit: UnitBlocks, in chunk: ChunkBlocks, _ queue: inout GradientQueue
  ) {
    let states = compiler.states
    let value = states.workingBytes
    let sharesTable =
      job.architecture.tiesEmbeddings && chunk.plan.hasEmbedding && chunk.plan.hasHead
    let table = sharesTable ? Int64(states.tableCount) * value : 0
    let isHead = isEnd(unit) && unit.layer >= 0
    let isEmbedding = unit.layer < 0
    let elements = Int64(unit.parameters.total)
    // Multiplies that accumulate by themselves leave none; an embedding's gradient is no multiply's.
    let isFresh = !profile.fusion.gradientAccumulation || isEmbedding
    let fresh = isFresh ? elements * value - (isEmbedding ? table : 0) : 0
    let bucket = elements * states.gradientBytes
    instructions.append(
      .memory(.gradients, (isFresh ? fresh : bucket) + (isHead ? table : 0)))
    emitPass(unit.backward, peak: unit.backwardPeak, net: -unit.saved)
    instructions.append(.mark(slot: 2 * (unit.layer + 1) + 1))
    if isFresh { instructions.append(.memory(.gradients, bucket)) }
    reduce(unit.parameters, operation: .reduceScatter)
    let done = queue.add(elements: elements, bytes: bucket)
    instructions.append(.memory(.gradients, -(fresh + (isEmbedding ? table : 0) + done)))
  }

  mutating func release(_ unit: UnitBlocks) {
    instructions.append(
      .memory(.parameters, -heldBytes(unit, value: compiler.states.workingBytes)))
  }

  private func slot(_ units: [UnitBlocks], _ index: Int) -> Int {
    2 * (units[index].layer + 1)
  }
}

extension StepCompiler {
  /// Elements of a layer, on average, of the layers among `units`.
  private func layerElements(_ units: [UnitBlocks]) -> Int64 {
    let layers = units.filter { $0.layer >= 0 && $0.layer < unitCount - 2 }
    return layers.reduce(0) { $0 + Int64($1.parameters.total) } / Int64(max(1, layers.count))
  }

  /// Elements Megatron FSDP has under way at once.
  ///
  /// Two layers, a thousand million at least (`suggested_communication_unit_size` in its `megatron_fsdp.py`).
  private static let megatronUnit: Int64 = 1_000_000_000

  /// Whether a unit begins with some of its parameters and the others are gathered beside it.
  var gathersBeside: Bool {
    job.parallelism.overlaps && profile.layerGathers == .beside && !states.offloadsParameters
  }

  /// Units whose parameters are gathered ahead of the one that runs.
  ///
  /// One, but none where nothing overlaps or they are gathered before it or beside it; under Megatron FSDP
  /// until with that one half of what is under way at once is there (`suggested_AG_prefetch_size`).
  func unitsGatheredAhead(_ units: [UnitBlocks]) -> Int {
    guard job.parallelism.overlaps else { return 0 }
    guard profile.shardsAsMegatronFSDP else {
      return profile.layerGathers == .before || gathersBeside ? 0 : 1
    }
    let layer = max(1, layerElements(units))
    return Int(max(1, (elementsGatheredAhead(units) + layer - 1) / layer - 1))
  }

  /// Elements Megatron FSDP wants to have gathered at once.
  func elementsGatheredAhead(_ units: [UnitBlocks]) -> Int64 {
    max(Self.megatronUnit, 2 * layerElements(units)) / 2
  }

  /// Elements of whole gradients that may wait for their reduction under Megatron FSDP (`suggested_RS_queue_capacity`).
  func gradientsInFlight(_ units: [UnitBlocks]) -> Int64 {
    max(Self.megatronUnit, 2 * layerElements(units))
  }
}
