import Collectives
import Hardware
import Kernels
import Layout
import Quantities
import Transformer

/// Parameters gathered where they are used: ZeRO-3 and FSDP.
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
    let held = heldBytes(unit, value: compiler.states.workingBytes)
    defer { instructions.append(.memory(.parameters, held)) }
    guard job.parallelism.overlaps, profile.layerGathers == .beside,
      !compiler.states.offloadsParameters
    else {
      let isAwaited = !job.parallelism.overlaps || profile.layerGathers == .before
      launchGather(unit, bytes, slot: slot, backward: backward, awaited: isAwaited)
      return
    }
    let first = Int64((Double(bytes.dense) * outerShare(unit)).rounded())
    launchGather(unit, (first, 0), slot: slot, backward: backward, awaited: true)
    launchGather(
      unit, (bytes.dense - first, bytes.expert), slot: slot, backward: backward, awaited: false)
  }

  /// The part of a unit's dense parameters that it multiplies first, and whose gradient comes last: of a
  /// layer the projections into attention; all of the embedding and of the head.
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
      if var call = compiler.dataCall(.allGather, on: axis, bytes: wire) {
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

  mutating func emitGatheredBackward(_ chunk: ChunkBlocks, _ turn: Turn) {
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
      instructions.append(.mark(slot: slot(units, index) + 1))
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
    if profile.layerGathers != .ahead, reducesEach || isLast {
      var all = ParameterCount()
      for unit in units {
        all.dense += unit.parameters.dense
        all.expert += unit.parameters.expert
      }
      sumCopies(all)
    }
  }

  private mutating func release(_ unit: UnitBlocks) {
    instructions.append(
      .memory(.parameters, -heldBytes(unit, value: compiler.states.workingBytes)))
  }

  private func slot(_ units: [UnitBlocks], _ index: Int) -> Int {
    2 * (units[index].layer + 1)
  }
}
