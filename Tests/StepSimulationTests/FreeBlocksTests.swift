import Testing

@testable import StepProgram

@Suite("Free blocks of the caching allocator")
struct FreeBlocksTests {
  @Test(
    "the smallest that fits is found, of equals the lowest, as in one sorted list",
    arguments: UInt64(0)..<50)
  func asSortedList(seed: UInt64) {
    var random = SeededGenerator(state: seed)
    var blocks = FreeBlocks()
    var list: [(size: Int64, address: Int64, block: CachingAllocator.Handle)] = []
    for handle in 0..<CachingAllocator.Handle(400) {
      // Sizes over many powers of two, some alike.
      let size =
        Int64(512) * Int64.random(in: 1...8, using: &random)
        << Int64.random(in: 0...20, using: &random)
      switch Int.random(in: 0..<3, using: &random) {
      case 0:
        let first = list.firstIndex { $0.size >= size }
        let expected = first.map { list[$0].block }
        if let first { list.remove(at: first) }
        let found = blocks.removeFirst(ofAtLeast: size)
        #expect(found == expected)
      case 1 where !list.isEmpty:
        let gone = list.remove(at: Int.random(in: list.indices, using: &random))
        blocks.remove(size: gone.size, address: gone.address)
      default:
        let address = Int64(handle) * 7_919 % 400 * 512
        blocks.insert(handle, size: size, address: address)
        list.append((size, address, handle))
        list.sort { ($0.size, $0.address) < ($1.size, $1.address) }
      }
    }
    let even = list.filter { $0.block.isMultiple(of: 2) }.map(\.block)
    let gone = blocks.removeAll { $0.isMultiple(of: 2) }
    #expect(gone == even)
    list.removeAll { $0.block.isMultiple(of: 2) }
    let smallest = blocks.removeFirst(ofAtLeast: 1)
    #expect(smallest == list.first?.block)
  }

  @Test("nothing large enough is nothing")
  func none() {
    var blocks = FreeBlocks()
    blocks.insert(1, size: 1_024, address: 0)
    let found = [1_536, 2_048, 1_024, 512].map { blocks.removeFirst(ofAtLeast: $0) }
    #expect(found == [nil, nil, 1, nil])
  }
}
