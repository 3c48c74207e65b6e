/// What an all-reduction does with the values of all processes.
public enum Reduction: Sendable {
  /// The smallest value.
  case minimum
  /// The largest value.
  case maximum
  /// The sum, wrapping on overflow.
  case sum
}

/// One leg of an exchange: what goes to a peer and where the peer's bytes land.
///
/// An empty buffer means that no message travels that way.
@frozen @unsafe public struct Transfer {
  /// The rank of the other process.
  public var peer: Int
  /// The bytes to send.
  public var outgoing: UnsafeRawBufferPointer
  /// Room for the peer's bytes; at least as large as what the peer sends.
  public var incoming: UnsafeMutableRawBufferPointer

  /// Sends `outgoing` to `peer` and receives into `incoming`.
  @inlinable public init(
    peer: Int, outgoing: UnsafeRawBufferPointer, incoming: UnsafeMutableRawBufferPointer
  ) {
    unsafe self.peer = peer
    unsafe self.outgoing = unsafe outgoing
    unsafe self.incoming = unsafe incoming
  }
}

/// A fixed group of processes, numbered from zero, that pass messages to each other.
///
/// Messages between one pair of processes with one tag arrive in the order they were sent. The
/// collective operations (``exchange(_:)``, ``allToAll(_:_:)``, ``reduce(_:with:)``,
/// ``broadcast(_:from:)``, ``gather(_:at:)``, ``barrier()``) must be called by every process in the
/// same order.
///
/// Conforming types: ``MPICommunicator`` (Open MPI), ``SoloCommunicator`` (one process, no MPI) and
/// ``ThreadCommunicator`` (several processes played by threads of one, for tests).
public protocol Communicator: AnyObject {
  /// This process's number, from zero.
  var rank: Int { get }

  /// How many processes there are.
  var size: Int { get }

  /// Sends bytes to another process; may return before they are received.
  func send(_ bytes: [UInt8], to destination: Int, tag: Int) throws(CommunicationError)

  /// Waits for the next message from another process.
  func receive(from source: Int, tag: Int) throws(CommunicationError) -> [UInt8]

  /// Sends to and receives from several peers at once and waits for all of it.
  ///
  /// Whenever this process has a transfer with non-empty `outgoing` for a peer, that peer makes the
  /// matching call with room for it.
  /// - Parameter transfers: at most one for each peer, none for this process itself.
  /// - Throws: ``CommunicationError``.
  @unsafe func exchange(_ transfers: UnsafeBufferPointer<Transfer>) throws(CommunicationError)

  /// Sends the n-th equal part of `outgoing` to process n and receives its part for this process.
  @unsafe func allToAll(
    _ outgoing: UnsafeRawBufferPointer, _ incoming: UnsafeMutableRawBufferPointer)
    throws(CommunicationError)

  /// Combines the values of all processes, element by element; all get the result.
  func reduce(_ values: inout [Int64], with reduction: Reduction) throws(CommunicationError)

  /// Hands the root's bytes to every process.
  ///
  /// - Parameters:
  ///   - bytes: what to hand out; ignored on the other processes.
  ///   - root: the rank whose bytes count.
  /// - Returns: the root's bytes.
  /// - Throws: ``CommunicationError``.
  func broadcast(_ bytes: [UInt8], from root: Int) throws(CommunicationError) -> [UInt8]

  /// Collects the bytes of every process at the root.
  ///
  /// - Parameters:
  ///   - bytes: this process's part; parts may differ in length.
  ///   - root: the rank that gets all parts.
  /// - Returns: the parts in the order of ranks at the root, nothing elsewhere.
  /// - Throws: ``CommunicationError``.
  func gather(_ bytes: [UInt8], at root: Int) throws(CommunicationError) -> [[UInt8]]

  /// Waits until every process has come here.
  func barrier() throws(CommunicationError)

  /// Ends the whole job: every other process stops too, and the job's exit code is not zero.
  ///
  /// Returns only in a ``ThreadCommunicator``, whose other processes then throw when they next
  /// communicate.
  func abort(exitCode: Int32, reason: String)
}

extension Communicator {
  /// Whether this is the process that prints.
  public var isRoot: Bool { rank == 0 }

  /// The smallest of all processes' values.
  public func minimum(of value: Int64) throws(CommunicationError) -> Int64 {
    var values = [value]
    try reduce(&values, with: .minimum)
    return values[0]
  }

  /// The largest of all processes' values.
  public func maximum(of value: Int64) throws(CommunicationError) -> Int64 {
    var values = [value]
    try reduce(&values, with: .maximum)
    return values[0]
  }

  /// The sum of all processes' values, wrapping on overflow.
  public func sum(of value: Int64) throws(CommunicationError) -> Int64 {
    var values = [value]
    try reduce(&values, with: .sum)
    return values[0]
  }

  /// Sends plain values to another process.
  public func send<Element: BitwiseCopyable>(
    values: [Element], to destination: Int, tag: Int
  ) throws(CommunicationError) {
    try send(bytes(of: values), to: destination, tag: tag)
  }

  /// Waits for plain values from another process.
  public func receiveValues<Element: BitwiseCopyable>(
    of type: Element.Type, from source: Int, tag: Int
  ) throws(CommunicationError) -> [Element] {
    try values(of: type, in: receive(from: source, tag: tag))
  }

  /// Hands the root's plain values to every process.
  public func broadcast<Element: BitwiseCopyable>(
    values sent: [Element], from root: Int
  ) throws(CommunicationError) -> [Element] {
    try values(of: Element.self, in: broadcast(bytes(of: sent), from: root))
  }

  /// Collects plain values of every process at the root, in the order of ranks; nothing elsewhere.
  public func gather<Element: BitwiseCopyable>(
    values: [Element], at root: Int
  ) throws(CommunicationError) -> [[Element]] {
    let parts = try gather(bytes(of: values), at: root)
    return parts.map { MessagePassing.values(of: Element.self, in: $0) }
  }

  /// Collects the bytes of every process at every process, in the order of ranks.
  public func gatherToAll(_ bytes: [UInt8]) throws(CommunicationError) -> [[UInt8]] {
    let parts = try gather(bytes, at: 0)
    let counts = try broadcast(values: parts.map(\.count), from: 0)
    let joined = try broadcast(Array(parts.joined()), from: 0)
    var start = 0
    return counts.map { count in
      defer { start += count }
      return Array(joined[start..<start + count])
    }
  }
}

/// The memory of plain values, in this machine's byte order.
func bytes<Element: BitwiseCopyable>(of values: [Element]) -> [UInt8] {
  unsafe values.withUnsafeBytes { unsafe [UInt8]($0) }
}

/// The plain values whose memory is given.
func values<Element: BitwiseCopyable>(of type: Element.Type, in bytes: [UInt8]) -> [Element] {
  let stride = MemoryLayout<Element>.stride
  precondition(
    bytes.count % stride == 0, "\(bytes.count) bytes are not a whole number of \(type)")
  return unsafe [Element](unsafeUninitializedCapacity: bytes.count / stride) { buffer, count in
    unsafe UnsafeMutableRawBufferPointer(buffer).copyBytes(from: bytes)
    count = bytes.count / stride
  }
}
