import Collectives
import Hardware
import Kernels
import Layout
import Quantities
import Transformer

/// What follows the last pass.
extension StageEmitter {
  /// Reduces what is not reduced yet, updates, and hands out the parameters.
  mutating func emitUpdate() {
    let local = compiler.states.parameters(ofStage: stage)
    let isReduced = compiler.bucketsOverlap && !job.parallelism.schedule.splitsBackward
    if !isReduced, !compiler.states.gathersParameters {
      reduce(local, operation: reduction)
    }
    for slot in reductionSlots { instructions.append(.wait(slot: slot, .data)) }
    instructions.append(.phase(Phase(.optimizer)))
    emitMirroredGradients(local)
    emitTiedEmbedding()
    if let norm = compiler.pricing.call(.allReduce, on: .model, bytes: 4, category: .optimizer) {
      instructions.append(
        .meet(
          call: compiler.builder.index(of: norm), first: 0, last: job.parallelism.pipeline - 1))
    }
    let copies = compiler.states.gradientCopyBytes(ofStage: stage)
    if copies > 0 { instructions.append(.scratch(.gradients, copies)) }
    let meanwhile = compiler.states.updateBytes(ofStage: stage)
    if meanwhile > 0 { instructions.append(.scratch(.gradients, meanwhile)) }
    instructions.append(.run(optimizerBlock(local)))
    if job.parallelism.zero == 1 {
      let value = Int64(job.training.precision.activationFormat.bytesPerValue)
      exchangeWithMirror(shard(local) / 2 * value, message: 1)
    }
    if job.parallelism.zero == 1 || job.parallelism.zero == 2, !rules.gathersAhead {
      emitParameterGather(local)
    }
  }

  /// Weight gradients of the output projection that have waited for the last backward pass.
  mutating func emitDeferredGradients() {
    guard let deferral = chunks.lazy.compactMap(\.deferral).first else { return }
    for _ in 0..<compiler.deferredGradients {
      instructions.append(.run(deferral.gradient))
      instructions.append(.memory(.activations, -compiler.bytesOfDeferredGradient))
    }
  }

  /// First and last stage add up the gradients of the table both hold.
  private mutating func emitTiedEmbedding() {
    let last = job.parallelism.pipeline - 1
    // From both ends, both stages have both ends of the model.
    guard job.architecture.tiesEmbeddings, !job.parallelism.isBidirectional, last > 0,
      stage == 0 || stage == last
    else { return }
    let bytes = Int64(compiler.states.tableCount) * compiler.states.gradientBytes
    if let call = compiler.pricing.call(
      .allReduce, on: .embedding, bytes: bytes, category: .pipeline)
    {
      instructions.append(.meet(call: compiler.builder.index(of: call), first: 0, last: last))
    }
  }

  /// Elements of this rank's shards.
  private func shard(_ local: ParameterCount) -> Int64 {
    Int64(
      compiler.states.owned(local.dense, over: compiler.states.shardDegree)
        + compiler.states.owned(local.expert, over: compiler.states.expertShardDegree))
  }

  /// Adds up the gradients of the two ranks that hold the same stages for the two directions.
  ///
  /// Each sends the other half of its shard, and of unsharded gradients the sums of its own half as well.
  private mutating func emitMirroredGradients(_ local: ParameterCount) {
    guard job.parallelism.isBidirectional else { return }
    let isSharded = job.parallelism.zero > 0
    let half = shard(local) / 2
    exchangeWithMirror((isSharded ? half : 2 * half) * compiler.states.reduceBytes, message: 0)
    let bytes = half * compiler.states.gradientBytes
    run(
      .stream(StreamingKernel(.multiTensor, read: 2 * bytes, written: bytes)),
      named: "sum of both copies")
  }

  /// Sends to the rank that holds the same stages for the two directions, and waits for its message.
  private mutating func exchangeWithMirror(_ bytes: Int64, message: Int) {
    guard job.parallelism.isBidirectional, bytes > 0 else { return }
    let mirror = job.parallelism.pipeline - 1 - stage
    let seconds = compiler.pricing.collectives.sendReceiveSeconds(
      bytes: bytes, sameNode: compiler.pricing.placements.sharesNode(stage, mirror),
      nodesApart: compiler.pricing.placements.nodesApart(stage, mirror))
    instructions.append(
      .send(
        lane: 2 * virtualStages + mirror, microbatch: message, bytes: bytes,
        duration: SimDuration(seconds: seconds), blocking: false))
    instructions.append(.receive(lane: 2 * virtualStages + stage, microbatch: message))
  }

  private mutating func emitParameterGather(_ local: ParameterCount) {
    let value = compiler.states.gatheredBytesPerParameter(ofStage: stage)
    let slot = 2 * compiler.unitCount + 1
    let copies =
      compiler.states.shardDegree > 1
      ? profile.gatheredTensorsPerLayer * compiler.states.layerCount(ofStage: stage) : 0
    let tensors = compiler.gatherTensors(ofStage: stage)
    if !tensors.isEmpty { instructions.append(.scratch(.buffers, tensors.reduce(0, +))) }
    // More launches than the driver queues (about a thousand): the host cannot run ahead.
    if copies > 0 { instructions.append(.synchronizeHost) }
    let broadcasts = profile.broadcastsParameters ? compiler.broadcasts(ofStage: stage) : []
    for elements in broadcasts {
      let bytes = Int64(Double(elements) * value)
      if var call = compiler.dataCall(.allGather, on: .shard, bytes: bytes),
        let chain = compiler.pricing.call(.broadcast, on: .shard, bytes: bytes, category: .data)
      {
        // As many bytes to every rank, and all wait for all; what it takes is the chain's time.
        call.duration = max(call.duration, chain.duration)
        instructions.append(
          .launch(call: compiler.builder.index(of: call), afterCompute: true, slot: slot))
      }
    }
    let gathered = broadcasts.isEmpty ? local.dense : 0
    for (axis, elements) in [(CommunicationAxis.shard, gathered), (.expertShard, local.expert)]
    where elements > 0 {
      if let call = compiler.dataCall(
        .allGather, on: axis, bytes: Int64(Double(elements) * value))
      {
        instructions.append(
          .launch(call: compiler.builder.index(of: call), afterCompute: true, slot: slot))
      }
    }
    instructions.append(.wait(slot: slot, .data))
    if copies > 0 {
      var assembly = compiler.builder.assembly
      let bytes = Int64(Double(local.total) * value)
      let pass = StreamingKernel(
        .multiTensor, read: bytes, written: bytes, launches: copies * compiler.states.shardDegree)
      assembly.append(compiler.builder.work([.stream(pass)]), as: .optimizer)
      instructions.append(.run(compiler.builder.add(assembly.block(named: "parameter copies"))))
    }
  }

  /// Gradient norm, update of the owned share, and zeroing of the gradients.
  private mutating func optimizerBlock(_ local: ParameterCount) -> Int {
    let states = compiler.states
    let owned = Int64(
      states.owned(local.dense, over: states.ownerDegree)
        + states.owned(local.expert, over: states.expertOwnerDegree))
    let held =
      job.parallelism.zero >= 2 && !states.keepsWholeGradients ? owned : Int64(local.total)
    let state = states.ownedOptimizerBytes(ofStage: stage)
    var assembly = compiler.builder.assembly
    assembly.append(.hostOnly(profile.hostPerStep))
    let gradient = states.gradientBytes
    // Norm of what is owned, then the update: states read and written, gradient read, working copy
    // written; and the gradients of all that is held set to zero, unless the next ones take their place.
    var kernels: [Kernel] = [
      .stream(StreamingKernel(.multiTensor, read: owned * gradient, written: 0))
    ]
    if job.parallelism.offloadsOptimizer {
      let update = states.hostUpdate(owned: owned, state: state)
      assembly.append(.kernel(host: .zero, device: SimDuration(seconds: update)), as: .optimizer)
    } else {
      kernels.append(
        .stream(
          StreamingKernel(
            .multiTensor, read: state + owned * (gradient + profile.optimizerExtraBytes / 2),
            written: state + owned * (2 + profile.optimizerExtraBytes / 2))))
    }
    if profile.fusion.accumulatedShare == 1 {
      kernels.append(.stream(StreamingKernel(.multiTensor, read: 0, written: held * gradient)))
    }
    if !job.parallelism.offloadsOptimizer {
      kernels += states.optimizerMultiplies(ofStage: stage)
    }
    if profile.reductionCopyBytes > 0, job.parallelism.data > 1 {
      let bytes = Int64(local.total) * profile.reductionCopyBytes / 2
      kernels.append(.stream(StreamingKernel(.multiTensor, read: bytes, written: bytes)))
    }
    assembly.append(compiler.builder.work(kernels), as: .optimizer)
    if states.offloadsParameters, !job.parallelism.offloadsOptimizer {
      // What the device has updated goes back to where it waits.
      assembly.append(
        .kernel(host: .zero, device: hostCopy(owned * states.parameterBytes)), as: .optimizer)
    }
    return compiler.builder.add(assembly.block(named: "optimizer"))
  }
}
