/// A flat buffer cut into equal shards over the ranks of a group.
///
/// The buffer is padded so that all shards have the same length, a multiple of the alignment
/// (DeepSpeed ZeRO, Megatron-Core's distributed optimizer, PyTorch FSDP's flat parameter). The
/// last shards may hold less of the buffer, or none: their ranges tile it exactly.
public struct FlatPartition: Hashable, Sendable {
  /// Elements of the buffer, without padding.
  public let count: Int
  /// Ranks that share it.
  public let ranks: Int
  /// Every shard's length is a multiple of this.
  public let alignment: Int

  /// `count` elements over `ranks`.
  public init(count: Int, over ranks: Int, alignment: Int = 1) {
    precondition(
      count >= 0 && ranks > 0 && alignment > 0, "\(count) over \(ranks) by \(alignment)")
    self.count = count
    self.ranks = ranks
    self.alignment = alignment
  }

  /// Elements each rank holds, padding included.
  public var shardCount: Int {
    let unit = ranks * alignment
    return (count + unit - 1) / unit * alignment
  }

  /// Elements of all shards together, padding included.
  public var paddedCount: Int { shardCount * ranks }

  /// The elements of the buffer that fall to the rank at `index`.
  public func range(at index: Int) -> Range<Int> {
    precondition(index >= 0 && index < ranks, "shard \(index) of \(ranks)")
    let start = min(index * shardCount, count)
    return start..<min(start + shardCount, count)
  }
}

/// How parameters (and what goes with them) are cut over data ranks.
public enum ShardRule: Hashable, Sendable {
  /// All tensors in one buffer, cut evenly: ZeRO 1 and 2, Megatron-Core's distributed optimizer.
  case buffer(alignment: Int)
  /// Each unit (a layer; embedding and head) in a buffer of its own: FSDP 1, ZeRO 3.
  case unit(alignment: Int)
  /// Each tensor cut along dimension 0 in chunks of ⌈rows/ranks⌉: FSDP 2's per-parameter sharding.
  ///
  /// The last ranks may hold nothing of a short tensor.
  case rows
}

extension ShardRule {
  /// Elements the rank at `index` holds of `units`, lists of tensors, cut over `ranks`.
  ///
  /// Padding included where the rule pads.
  public func shardCount(of units: [[LocalTensor]], over ranks: Int, at index: Int = 0) -> Int {
    switch self {
    case .buffer(let alignment):
      let all = units.reduce(0) { $0 + $1.reduce(0) { $0 + $1.count } }
      return FlatPartition(count: all, over: ranks, alignment: alignment).shardCount
    case .unit(let alignment):
      return units.reduce(0) { sum, unit in
        let count = unit.reduce(0) { $0 + $1.count }
        return sum + FlatPartition(count: count, over: ranks, alignment: alignment).shardCount
      }
    case .rows:
      return units.reduce(0) { sum, unit in
        sum
          + unit.reduce(0) { sum, tensor in
            let rows = tensor.shape.first ?? 1
            guard rows > 0 else { return sum }
            return sum
              + FlatPartition(count: rows, over: ranks).range(at: index).count * tensor.count / rows
          }
      }
    }
  }
}
