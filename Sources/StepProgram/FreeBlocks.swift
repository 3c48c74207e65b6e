/// Free blocks of a caching allocator, found by size and, of one size, by address.
///
/// Blocks within a factor of two of each other lie together, in order, so that no list gets long.
struct FreeBlocks {
  private struct Entry {
    var size: Int64
    var address: Int64
    var block: CachingAllocator.Handle
  }

  /// List n has the blocks of 2ⁿ to 2ⁿ⁺¹ − 1 bytes.
  private var lists = [[Entry]](repeating: [], count: Int64.bitWidth)
  /// A bit for each list that is not empty.
  private var filled: UInt64 = 0

  /// Adds a block.
  mutating func insert(_ block: CachingAllocator.Handle, size: Int64, address: Int64) {
    let list = Self.list(of: size)
    let place = Self.place(of: size, address, in: lists[list])
    lists[list].insert(Entry(size: size, address: address, block: block), at: place)
    filled |= 1 << list
  }

  /// Removes the block of `size` bytes at `address`.
  mutating func remove(size: Int64, address: Int64) {
    let list = Self.list(of: size)
    _ = remove(at: Self.place(of: size, address, in: lists[list]), from: list)
  }

  /// Removes the smallest block of `size` bytes or more, of equals the one at the lowest address.
  ///
  /// `nil` when there is none.
  mutating func removeFirst(ofAtLeast size: Int64) -> CachingAllocator.Handle? {
    let list = Self.list(of: size)
    let place = Self.place(of: size, 0, in: lists[list])
    if place < lists[list].count { return remove(at: place, from: list) }
    let larger = filled & (~1 << list)
    return larger == 0 ? nil : remove(at: 0, from: larger.trailingZeroBitCount)
  }

  /// Removes the blocks of which `isGone` holds, and returns them in order.
  mutating func removeAll(
    where isGone: (CachingAllocator.Handle) -> Bool
  ) -> [CachingAllocator.Handle] {
    var gone: [CachingAllocator.Handle] = []
    for list in lists.indices where !lists[list].isEmpty {
      gone += lists[list].map(\.block).filter(isGone)
      lists[list].removeAll { isGone($0.block) }
      if lists[list].isEmpty { filled &= ~(1 << list) }
    }
    return gone
  }

  private mutating func remove(at place: Int, from list: Int) -> CachingAllocator.Handle {
    let block = lists[list].remove(at: place).block
    if lists[list].isEmpty { filled &= ~(1 << list) }
    return block
  }

  /// The list of blocks of `size` bytes, at least one.
  private static func list(of size: Int64) -> Int { Int64.bitWidth - 1 - size.leadingZeroBitCount }

  /// Where an entry of `size` at `address` is or belongs.
  private static func place(of size: Int64, _ address: Int64, in list: [Entry]) -> Int {
    var low = 0
    var high = list.count
    while low < high {
      let middle = (low + high) / 2
      let entry = list[middle]
      if entry.size < size || entry.size == size && entry.address < address {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return low
  }
}
