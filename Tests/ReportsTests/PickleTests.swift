import Testing

@testable import Reports

/// Pickles as the page pytorch.org/memory_viz reads them.
@Suite("Pickles")
struct PickleTests {
  @Test("long lists grow by a thousand items")
  func batches() {
    let list = Pickle.bytes(.list((0..<2_500).map { .integer($0) }))
    // Protocol 2, the empty list, three batches with a mark and an end, five bytes a number, the stop.
    #expect(list.count == 2 + 1 + 3 * 2 + 2_500 * 5 + 1)
    // The second batch opens behind the first thousand numbers and its end.
    #expect(list[3 + 1 + 5_000] == UInt8(ascii: "e") && list[3 + 1 + 5_001] == UInt8(ascii: "("))
    #expect(Pickle.bytes(.list([])) == [0x80, 2, UInt8(ascii: "]"), UInt8(ascii: ".")])
  }
}
