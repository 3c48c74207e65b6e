public import Quantities

/// A digest of the events of each local logical process in the order they were handled.
///
/// The digest of the whole run adds the logical processes' digests, so it does not depend on the
/// order in which different logical processes advance, nor on where they live.
@safe @usableFromInline struct History: ~Copyable {
  @usableFromInline let digests: UnsafeMutablePointer<UInt64>
  @usableFromInline let first: LogicalProcess
  private let count: Int

  init(_ logicalProcesses: Range<LogicalProcess>, isRecording: Bool) {
    first = logicalProcesses.lowerBound
    count = isRecording ? logicalProcesses.count : 0
    self.isRecording = isRecording
    unsafe digests = .allocate(capacity: count)
    for index in 0..<count {
      unsafe (digests + index).initialize(to: Self.mix(UInt64(first) &+ UInt64(index)))
    }
  }

  deinit {
    unsafe digests.deallocate()
  }

  /// Bytes of the digests.
  var bytes: Int { count * MemoryLayout<UInt64>.stride }

  /// Whether there is anything to digest.
  @usableFromInline let isRecording: Bool

  /// Adds an event to its destination's digest.
  @inlinable func record(_ event: Event) {
    let index = Int(event.destination &- first)
    var digest = unsafe digests[index]
    digest = Self.mix(digest ^ UInt64(bitPattern: event.time.picoseconds))
    digest = Self.mix(digest ^ (UInt64(event.source) << 32 | UInt64(event.sequence)))
    digest = Self.mix(digest ^ UInt64(event.kind) ^ (event.payload &* 0x9E37_79B9_7F4A_7C15))
    unsafe digests[index] = digest
  }

  /// The sum of all digests.
  var digest: UInt64 {
    var sum: UInt64 = 0
    for index in 0..<count { unsafe sum &+= digests[index] }
    return sum
  }

  /// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, doi 10.1145/2660193.2660195).
  @inlinable static func mix(_ value: UInt64) -> UInt64 {
    var mixed = value &+ 0x9E37_79B9_7F4A_7C15
    mixed = (mixed ^ (mixed &>> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed &>> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed &>> 31)
  }
}
