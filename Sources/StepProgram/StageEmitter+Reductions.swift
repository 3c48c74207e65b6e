import Collectives
import Hardware
import Kernels
import Layout
import Quantities
import Transformer

/// Gradients and parameters of replicated layers: buckets, reductions, gathers after the update.
extension StageEmitter {
  mutating func launchParameterGathers() {
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

  mutating func emitBucketedBackward(_ chunk: ChunkBlocks, _ turn: Turn) {
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
      let copies = whole > 0 && compiler.states.hasGradientBucket
      if copies {
        instructions.append(.memory(.gradients, -Int64(unit.parameters.total) * whole))
      }
      pending.dense += unit.parameters.dense
      pending.expert += unit.parameters.expert
      if pending.total >= profile.bucketParameters || index == 0 {
        reduce(pending, operation: reduction)
        if whole > 0, !copies {
          instructions.append(.memory(.gradients, -Int64(pending.total) * whole))
        }
        pending = ParameterCount()
      }
    }
  }

  /// How gradients of replicated layers are summed.
  var reduction: CollectiveOperation {
    job.parallelism.zero >= 1 && !profile.allReducesShards ? .reduceScatter : .allReduce
  }

  mutating func reduce(
    _ count: ParameterCount, operation: CollectiveOperation, afterCompute: Bool = true
  ) {
    let isSharded = job.parallelism.zero >= 1
    if profile.broadcastsParameters {
      // Among all copies, whatever part of them the states are dealt out to.
      launchReduction(.allReduce, on: .data, elements: count.dense, of: count)
      launchReduction(.allReduce, on: .expertData, elements: count.expert, of: count)
      return
    }
    if isSharded, job.parallelism.sharding.quantizesGradients {
      let values = Int64(count.total)
      run(
        .stream(
          StreamingKernel(
            .pointwise, read: values * compiler.states.reduceBytes, written: (values + 1) / 2)),
        named: "quantize")
    }
    launchReduction(
      operation, on: isSharded ? .shard : .data, elements: count.dense, of: count,
      afterCompute: afterCompute)
    launchReduction(
      operation, on: isSharded ? .expertShard : .expertData, elements: count.expert, of: count,
      afterCompute: afterCompute)
    if !compiler.states.gathersParameters || profile.layerGathers == .ahead { sumCopies(count) }
  }

  /// Sums the shards of different copies under hybrid sharding.
  mutating func sumCopies(_ count: ParameterCount) {
    if job.parallelism.zero >= 1, job.parallelism.shardGroup != nil {
      launchReduction(
        .allReduce, on: .replica, elements: count.dense / compiler.states.shardDegree, of: count)
      launchReduction(
        .allReduce, on: .expertReplica, elements: count.expert / compiler.states.expertShardDegree,
        of: count)
    }
  }

  private mutating func launchReduction(
    _ operation: CollectiveOperation, on axis: CommunicationAxis, elements: Int,
    of count: ParameterCount, afterCompute: Bool = true
  ) {
    // ZeRO++ reduces by all-to-alls of int4, inside nodes and between them: the volume of a
    // reduce-scatter at half a byte a value (arXiv:2306.10209, section 4.3).
    let isQuantized = operation == .reduceScatter && job.parallelism.sharding.quantizesGradients
    let bytes =
      isQuantized ? (Int64(elements) + 1) / 2 : Int64(elements) * compiler.states.reduceBytes
    guard
      var call = compiler.dataCall(operation, on: axis, bytes: bytes)
        ?? compiler.copyAlone(operation, on: axis, bytes: bytes)
    else { return }
    if compiler.states.streamsGradients, axis != .replica, axis != .expertReplica {
      call.append(
        hostCopy: hostCopy(count, beside: axis, value: compiler.states.gradientBytes))
    }
    let slot = 2 * compiler.unitCount
    instructions.append(
      .launch(call: compiler.builder.index(of: call), afterCompute: afterCompute, slot: slot))
    if !reductionSlots.contains(slot) { reductionSlots.append(slot) }
    if !job.parallelism.overlaps { instructions.append(.wait(slot: slot, .data)) }
  }
}
