import Foundation
import Testing

/// `memory --snapshot` through the built program, read back by Python.
@Suite(.serialized) struct MemorySnapshotTests {
  /// Replays the trace.
  ///
  /// Every block is freed once and at its size, none overlap, and what is in use at the end are the
  /// segment's active blocks. Prints the most in use at once.
  private static let check = """
    import pickle, pickletools, sys
    known = {'PROTO', 'STOP', 'MARK', 'EMPTY_LIST', 'EMPTY_DICT', 'APPENDS', 'SETITEMS', 'BINUNICODE',
             'BININT', 'LONG1', 'NEWTRUE', 'NEWFALSE', 'NONE'}
    assert {op.name for op, _, _ in pickletools.genops(open(sys.argv[1], 'rb'))} <= known
    snapshot = pickle.load(open(sys.argv[1], 'rb'))
    (segment,) = snapshot['segments']
    (trace,) = snapshot['device_traces']
    assert trace[0]['action'] == 'segment_alloc' and trace[0]['category'] == 'unknown'
    assert (trace[0]['addr'], trace[0]['size']) == (segment['address'], segment['total_size'])
    live, held, most, last = {}, 0, 0, 0
    for event in trace[1:]:
        assert event['frames'][0]['name'] and event['stream'] == 0
        assert event['time_us'] >= last
        last = event['time_us']
        if event['action'] == 'alloc':
            begin, end = event['addr'], event['addr'] + event['size']
            assert all(end <= a or begin >= a + s for a, s in live.items())
            assert begin >= segment['address']
            assert end <= segment['address'] + segment['total_size']
            live[begin] = event['size']
            held += event['size']
        elif event['action'] == 'free_completed':
            assert live.pop(event['addr']) == event['size']
            held -= event['size']
        else:
            assert event['action'] == 'free_requested'
        most = max(most, held)
    assert held == segment['allocated_size']
    active = {b['address']: b['size'] for b in segment['blocks'] if b['state'] == 'active_allocated'}
    assert active == live
    assert sum(b['size'] for b in segment['blocks']) == segment['total_size']
    # Blocks lie one behind the other: the page takes their addresses from their sizes.
    at = segment['address']
    for block in segment['blocks']:
        assert block['address'] == at and block['requested_size'] <= block['size']
        at += block['size']
    print(most, len(live))
    """

  @Test("the snapshot unpickles, replays, and peaks where the memory report does")
  func snapshot() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "rank.pickle")
    let outcome = try ProcessCountTests.run(
      [
        "memory", "Scenarios/llama-3.1-8b-16xh100.yaml", "--set", "parallelism.pipeline=2",
        "--snapshot", file.path, "--rank", "0", "--json",
      ], processes: nil)
    #expect(outcome.status == 0, "\(outcome.error)")
    let python = Process()
    python.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    python.arguments = ["python3", "-c", Self.check, file.path]
    let pipe = Pipe()
    python.standardOutput = pipe
    try python.run()
    let printed = pipe.fileHandleForReading.readDataToEndOfFile()
    python.waitUntilExit()
    #expect(python.terminationStatus == 0)
    let numbers = String(decoding: printed, as: UTF8.self).split(separator: " ").map {
      Int($0.trimmingPrefix(" ").filter(\.isNumber))
    }
    let root = try #require(
      try JSONSerialization.jsonObject(with: outcome.output) as? [String: Any])
    let ranks = try #require(
      (root["memory"] as? [String: Any] ?? root)["ranks"] as? [[String: Any]])
    let rank = try #require(ranks.first { $0["rank"] as? Int == 0 })
    let parts = ["parameters", "gradients", "optimizer", "activations", "buffers"]
    let sum = parts.reduce(0) { $0 + (rank["\($1)_bytes"] as? Int ?? 0) }
    #expect(numbers.first == sum)
    // Weights, gradients, optimizer states, library workspaces, the pipeline's receive buffers and what
    // parameters are gathered in stay.
    #expect(numbers.last == 6)
  }
}
