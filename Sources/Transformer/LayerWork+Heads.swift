import Kernels

// Copies of query, key and value that frameworks make before attention takes them.

extension Architecture {
  /// Keys and values copied for every query head that shares them; backward the copies' gradients summed.
  func repeated(keyValueHeads: Int, to heads: Int, shard: LayerShard) -> Operation {
    var operation = Operation("repeat_heads")
    let width = attention.headDimension + attention.valueDimension
    let once = shard.bytes(shard.tokens, keyValueHeads * width)
    let all = shard.bytes(shard.tokens, heads * width)
    operation.forward = [
      .stream(StreamingKernel(.pointwise, read: once, written: all, launches: 2))
    ]
    operation.inputGradient = [
      .stream(StreamingKernel(.pointwise, read: all, written: once, launches: 2))
    ]
    // What attention keeps of them beyond the tensors they were copied from.
    operation.saved = all - once
    return operation
  }
}

extension Operation {
  /// Adds to a rotation the copies nanotron makes of query, key and value (`bytes`) around it.
  ///
  /// Forward: the projection's output taken apart and put batch first; keys joined with values (`cat`);
  /// both put token by token (`permute().contiguous()`). Backward: the gradients of keys and values joined
  /// (`split`); those of all three joined, and where queries and keys have as many heads, and so were one
  /// tensor (`isShared` is not set), put back token first.
  mutating func copies(around bytes: CoreBytes, isShared: Bool) {
    let pair = bytes.key + bytes.value
    let all = bytes.query + pair
    let forward = all + 2 * pair
    let backward = pair + (isShared ? 1 : 2) * all
    self.forward.insert(
      .stream(
        StreamingKernel(.pointwise, read: forward, written: forward, launches: isShared ? 5 : 3)),
      at: 0)
    inputGradient.append(
      .stream(
        StreamingKernel(.pointwise, read: backward, written: backward, launches: isShared ? 2 : 3)))
  }
}
