import Collectives
import Hardware
import Kernels
import Layout
import Quantities
import Transformer

/// Where what collectives send and receive is copied into buffers of their own: PyTorch's FSDP2.
extension StageEmitter {
  /// A unit's backward pass.
  ///
  /// Its gradients are in the parameters' format until it is done; then they are copied into the buffer
  /// they are reduced from, or, in a microbatch behind which nothing is reduced, into the format they are
  /// reduced in and added up there (`to_accumulated_grad_if_needed`, `accumulate_unsharded_grad_if_needed`
  /// of FSDP2's `_fsdp_param.py`).
  ///
  /// One such buffer at a time: the next layer's waits for the reduction of the one before.
  mutating func emitCopiedBackward(_ unit: UnitBlocks, _ turn: Turn, releases: Bool) {
    let states = compiler.states
    let reducesEach = states.reducesEachMicrobatch
    let reduces = reducesEach || turn.microbatch == microbatches - 1
    let elements = Int64(unit.parameters.total)
    let fresh = elements * states.workingBytes
    let copied = elements * states.reduceBytes
    // In one format they are added up where they are.
    let isOneFormat = states.workingBytes == states.reduceBytes
    instructions.append(.memory(.gradients, fresh))
    emitPass(unit.backward, peak: unit.backwardPeak, net: -unit.saved)
    instructions.append(.mark(slot: 2 * (unit.layer + 1) + 1))
    var held = fresh
    if !reducesEach {
      if turn.microbatch == 0, !isOneFormat {
        instructions.append(.memory(.gradients, copied))
      }
      if turn.microbatch > 0 || !isOneFormat { instructions.append(.memory(.gradients, -fresh)) }
      held = copied
    }
    if releases { release(unit) }
    guard reduces else { return }
    instructions.append(.memory(.gradients, copied - reduceInput))
    reduce(unit.parameters, operation: .reduceScatter)
    instructions.append(.memory(.gradients, -held))
    reduceInput = copied
  }
}

extension StepCompiler {
  /// The buffers gathered parameters arrive in, beyond those counted as gathered ahead.
  ///
  /// One layer's waits for its turn while the next one's comes, in memory of the stream that gathers, as
  /// much as the largest of the model's ends takes in any case.
  func gatherBuffer(in chunks: [ChunkBlocks]) -> MemoryItem? {
    guard profile.copiesGathers, states.gathersParameters else { return nil }
    let units = chunks.flatMap(\.units)
    let layers = units.filter { $0.layer >= 0 && $0.layer < unitCount - 2 }
    let layer = Int64(layers.map(\.parameters.total).max() ?? 0)
    let largest = Int64(units.map(\.parameters.total).max() ?? 0)
    let counted = states.keepsToBackward ? 0 : layer
    return MemoryItem(
      name: "buffer parameters are gathered in", category: .buffers,
      bytes: (max(2 * layer, largest) - counted) * states.workingBytes)
  }
}
