/// How what processes tell each other at the end of a run is written as bytes, little-endian.
enum Wire {
  static func encode(_ counts: [Int64]) -> [UInt8] {
    counts.flatMap { count in (0..<8).map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) } }
  }

  static func decodeCounts(_ bytes: [UInt8]) -> [Int64] {
    stride(from: 0, to: bytes.count, by: 8).map { count(at: $0, in: bytes) }
  }

  static func encode(_ stuck: [StuckProcess]) -> [UInt8] {
    var bytes: [UInt8] = []
    for process in stuck {
      let text = Array(process.reason.utf8)
      bytes += encode([Int64(process.logicalProcess), Int64(text.count)])
      bytes += text
    }
    return bytes
  }

  static func decodeStuck(_ bytes: [UInt8]) -> [StuckProcess] {
    var stuck: [StuckProcess] = []
    var start = 0
    while start < bytes.count {
      let end = start + 16 + Int(count(at: start + 8, in: bytes))
      stuck.append(
        StuckProcess(
          LogicalProcess(count(at: start, in: bytes)),
          reason: String(decoding: bytes[start + 16..<end], as: UTF8.self)))
      start = end
    }
    return stuck
  }

  private static func count(at start: Int, in bytes: [UInt8]) -> Int64 {
    (0..<8).reduce(0) { $0 | Int64(bytes[start + $1]) << ($1 * 8) }
  }
}
