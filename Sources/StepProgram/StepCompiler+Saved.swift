import Hardware
import Quantities
import Transformer

/// Layers of which only inputs and named outputs stay.
extension StepCompiler {
  /// What a recomputed layer of `operations` keeps, and what it takes while it runs.
  ///
  /// Recomputed, a layer has all its tensors again before its gradients flow. What the host keeps crosses
  /// its link beside the layer's own kernels, away from it forward, back for the backward pass (XLA
  /// makes copies to and from pinned memory asynchronous); of a copy that takes longer than they do
  /// the rest shows. One layer's part of it is on the device meanwhile: that XLA may fetch the next
  /// layer's ahead, and hold two, is left out.
  func keep(
    _ recompute: LayerRecompute, of operations: [Operation], shape: MemoryShape,
    in layer: inout LayerBlocks
  ) {
    let saved: SavedOutputs
    let offloaded: SavedOutputs
    switch recompute {
    case .full: (saved, offloaded) = ([], [])
    case .saved(let outputs, let away): (saved, offloaded) = (outputs, away)
    case .offload:
      offload(shape, in: &layer)
      return
    case .none, .selective, .passes, .modules: return
    }
    let flowing = shard.bytes(shard.tokensOutside, job.architecture.hiddenSize)
    let bytes = { (outputs: SavedOutputs) in
      outputs.bytes(of: operations, flowing: flowing, valueBytes: shard.valueBytes)
    }
    let away = bytes(offloaded)
    let inside = bytes(saved.subtracting(.layerInput))
    layer.offloaded = away
    layer.saved = flowing + inside - away
    layer.forwardPeak =
      max(flowing, operations.map { $0.saved + $0.forwardScratch }.max() ?? 0) + inside
    layer.backwardPeak =
      max(flowing, max(shape.forwardPeak, shape.saved + shape.backwardPeak) - inside) + away
    let copy = SimDuration(seconds: job.cluster.gpu.hostCopySeconds(bytes: away))
    layer.forward.wait(until: copy)
    layer.backward.wait(until: copy)
  }

  /// Moves all a layer keeps to the host.
  ///
  /// It crosses beside the layer's own kernels, in two buffers that change sides at each layer
  /// (`AsyncDoubleBufferGroupOffloadHandler` in Transformer Engine's `pytorch/cpu_offload.py`): forward the
  /// layer before is still on its way, backward the one to come is there already.
  private func offload(_ shape: MemoryShape, in layer: inout LayerBlocks) {
    layer.offloaded = shape.saved
    layer.saved = 0
    layer.forwardPeak = shape.forwardPeak + shape.saved
    layer.backwardPeak = shape.backwardPeak + 2 * shape.saved
    let copy = SimDuration(seconds: job.cluster.gpu.hostCopySeconds(bytes: shape.saved))
    layer.forward.wait(until: copy)
    layer.backward.wait(until: copy)
  }
}
