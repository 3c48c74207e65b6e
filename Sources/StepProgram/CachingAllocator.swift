/// PyTorch's caching allocator for one device, request by request.
///
/// Follows `c10/cuda/CUDACachingAllocator.cpp` with its settings untouched:
///
/// - Requests are rounded up to 512 bytes. Those of at most 1 MiB are served from segments of 2 MiB,
///   those below 10 MiB from segments of 20 MiB, larger ones from one of their own, in steps of 2 MiB.
/// - The smallest free block that fits is taken (`lower_bound` over size, then address), and cut when
///   at least 512 bytes (small) or more than 1 MiB (large) would be left.
/// - A block given back joins free neighbours of its segment; segments stay until memory runs out.
/// - A block another stream has used (`record_stream`) is free only when the device has come past its
///   last use, which is looked up at each request.
/// - When the device has no more, all such blocks are waited for, whole free segments are given back
///   to it, and the request is made again.
///
/// Positions in the device's queue stand for time: ``lag`` is how many of its entries the device is
/// behind the host.
struct CachingAllocator {
  /// A block handed out.
  typealias Handle = Int32

  private struct Block {
    var address: Int64
    var size: Int64
    var previous: Handle
    var next: Handle
    var isFree: Bool
    var isSmall: Bool
    var isLent: Bool
  }

  private static let mebibyte: Int64 = 1_024 * 1_024

  /// Most bytes it may take from the device.
  let capacity: Int64
  /// Entries of its queue the device is behind the host; 0 when it keeps up.
  var lag = 0
  /// Bytes taken from the device.
  private(set) var reserved: Int64 = 0
  /// Bytes in blocks handed out.
  private(set) var allocated: Int64 = 0
  /// Most bytes handed out so far.
  private(set) var peakAllocated: Int64 = 0
  /// Times the cache was emptied for want of memory.
  private(set) var flushes = 0

  private var blocks: [Block] = []
  private var unused: [Handle] = []
  /// Free blocks of small segments, of large ones.
  private var small = FreeBlocks()
  private var large = FreeBlocks()
  private var nextAddress: Int64 = 0
  /// Entries the host has put into the device's queue.
  private(set) var issued = 0
  /// Blocks given back while lent, oldest first from ``firstWaiting`` on, with the queue's length then.
  private var waiting: [(position: Int, block: Handle)] = []
  private var firstWaiting = 0

  /// An allocator that may take `capacity` bytes.
  init(capacity: Int64) { self.capacity = capacity }

  // MARK: Requests

  /// A block of at least `bytes` bytes; `nil` when the device has none even when the cache is empty.
  mutating func take(_ bytes: Int64) -> Handle? {
    let size = max(512, (bytes + 511) / 512 * 512)
    let isSmall = size <= Self.mebibyte
    freeWaiting(upTo: issued - lag)
    guard let block = find(size, small: isSmall) ?? grow(by: size, small: isSmall) else {
      return nil
    }
    let rest = blocks[Int(block)].size - size
    if isSmall ? rest >= 512 : rest > Self.mebibyte { cut(block, to: size) }
    allocated += blocks[Int(block)].size
    peakAllocated = max(peakAllocated, allocated)
    return block
  }

  /// Another stream uses the block from now on.
  mutating func lend(_ block: Handle) { blocks[Int(block)].isLent = true }

  /// The block is needed no more.
  mutating func give(_ block: Handle) {
    allocated -= blocks[Int(block)].size
    guard blocks[Int(block)].isLent else { return release(block) }
    blocks[Int(block)].isLent = false
    waiting.append((issued, block))
  }

  // MARK: The device's queue

  /// The host puts `entries` kernels, events and waits into the device's queue.
  mutating func issue(_ entries: Int) { issued += entries }

  /// The host waits for the device.
  mutating func synchronize() {
    for index in firstWaiting..<waiting.count { waiting[index].position = Int.min }
  }

  // MARK: Blocks

  private mutating func freeWaiting(upTo position: Int) {
    guard firstWaiting < waiting.count, waiting[firstWaiting].position <= position else { return }
    while firstWaiting < waiting.count, waiting[firstWaiting].position <= position {
      release(waiting[firstWaiting].block)
      firstWaiting += 1
    }
    if firstWaiting == waiting.count {
      waiting.removeAll(keepingCapacity: true)
      firstWaiting = 0
    }
  }

  /// The smallest free block of `size` bytes or more, no longer free.
  private mutating func find(_ size: Int64, small isSmall: Bool) -> Handle? {
    let found = isSmall ? small.removeFirst(ofAtLeast: size) : large.removeFirst(ofAtLeast: size)
    if let found { blocks[Int(found)].isFree = false }
    return found
  }

  /// A new segment for a block of `size` bytes.
  private mutating func grow(by size: Int64, small isSmall: Bool) -> Handle? {
    let segment =
      isSmall
      ? 2 * Self.mebibyte
      : size < 10 * Self.mebibyte
        ? 20 * Self.mebibyte
        : (size + 2 * Self.mebibyte - 1) / (2 * Self.mebibyte) * (2 * Self.mebibyte)
    if reserved + segment > capacity {
      empty()
      guard reserved + segment <= capacity else { return nil }
    }
    reserved += segment
    let address = nextAddress
    // A gap: segments never join.
    nextAddress += segment + Self.mebibyte
    return insert(
      Block(
        address: address, size: segment, previous: -1, next: -1, isFree: false, isSmall: isSmall,
        isLent: false))
  }

  /// Gives all that is free in whole segments back to the device.
  private mutating func empty() {
    flushes += 1
    freeWaiting(upTo: Int.max)
    let isWhole = { [blocks] (block: Handle) in
      blocks[Int(block)].previous < 0 && blocks[Int(block)].next < 0
    }
    for block in small.removeAll(where: isWhole) + large.removeAll(where: isWhole) {
      reserved -= blocks[Int(block)].size
      unused.append(block)
    }
  }

  private mutating func insert(_ block: Block) -> Handle {
    if let index = unused.popLast() {
      blocks[Int(index)] = block
      return index
    }
    blocks.append(block)
    return Handle(blocks.count - 1)
  }

  /// Cuts a block that is handed out; what is left is free.
  private mutating func cut(_ block: Handle, to size: Int64) {
    let whole = blocks[Int(block)]
    let rest = insert(
      Block(
        address: whole.address + size, size: whole.size - size, previous: block, next: whole.next,
        isFree: false, isSmall: whole.isSmall, isLent: false))
    if whole.next >= 0 { blocks[Int(whole.next)].previous = rest }
    blocks[Int(block)].next = rest
    blocks[Int(block)].size = size
    list(rest)
  }

  /// Makes a block free, joined with free neighbours.
  private mutating func release(_ block: Handle) {
    var block = block
    let previous = blocks[Int(block)].previous
    if previous >= 0, blocks[Int(previous)].isFree {
      unlist(previous)
      join(previous, with: block)
      block = previous
    }
    let next = blocks[Int(block)].next
    if next >= 0, blocks[Int(next)].isFree {
      unlist(next)
      join(block, with: next)
    }
    list(block)
  }

  private mutating func join(_ first: Handle, with second: Handle) {
    let merged = blocks[Int(second)]
    blocks[Int(first)].size += merged.size
    blocks[Int(first)].next = merged.next
    if merged.next >= 0 { blocks[Int(merged.next)].previous = first }
    unused.append(second)
  }

  private mutating func list(_ handle: Handle) {
    blocks[Int(handle)].isFree = true
    let block = blocks[Int(handle)]
    if block.isSmall {
      small.insert(handle, size: block.size, address: block.address)
    } else {
      large.insert(handle, size: block.size, address: block.address)
    }
  }

  private mutating func unlist(_ handle: Handle) {
    blocks[Int(handle)].isFree = false
    let block = blocks[Int(handle)]
    if block.isSmall {
      small.remove(size: block.size, address: block.address)
    } else {
      large.remove(size: block.size, address: block.address)
    }
  }
}
