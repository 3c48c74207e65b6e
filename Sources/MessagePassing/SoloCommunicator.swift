import Glibc

/// The group of one process: no MPI, nothing to wait for.
public final class SoloCommunicator: Communicator {
  /// Messages that the process sent to itself, by tag, oldest first.
  private var mailbox: [Int: [[UInt8]]] = [:]

  /// A group of one.
  public init() {}

  /// Zero.
  public var rank: Int { 0 }

  /// One.
  public var size: Int { 1 }

  /// Keeps the bytes until this process receives them.
  public func send(_ bytes: [UInt8], to destination: Int, tag: Int) throws(CommunicationError) {
    guard destination == 0 else {
      throw CommunicationError(
        operation: "send", text: "there is no process \(destination), only process 0")
    }
    mailbox[tag, default: []].append(bytes)
  }

  /// The oldest message of this tag that this process sent to itself.
  public func receive(from source: Int, tag: Int) throws(CommunicationError) -> [UInt8] {
    guard source == 0, var waiting = mailbox[tag], !waiting.isEmpty else {
      throw CommunicationError(
        operation: "receive", text: "no process will ever send a message with tag \(tag)")
    }
    let first = waiting.removeFirst()
    mailbox[tag] = waiting
    return first
  }

  /// Nothing to do: there are no peers.
  public func exchange(_ transfers: UnsafeBufferPointer<Transfer>) throws(CommunicationError) {
    precondition(transfers.isEmpty, "a single process has no peer to exchange with")
  }

  /// Copies the bytes.
  public func allToAll(
    _ outgoing: UnsafeRawBufferPointer, _ incoming: UnsafeMutableRawBufferPointer
  ) throws(CommunicationError) {
    unsafe incoming.copyMemory(from: outgoing)
  }

  /// Leaves the values as they are.
  public func reduce(_ values: inout [Int64], with reduction: Reduction)
    throws(CommunicationError)
  {}

  /// The bytes themselves.
  public func broadcast(_ bytes: [UInt8], from root: Int) throws(CommunicationError) -> [UInt8] {
    bytes
  }

  /// The bytes, as the only part.
  public func gather(_ bytes: [UInt8], at root: Int) throws(CommunicationError) -> [[UInt8]] {
    [bytes]
  }

  /// Returns at once.
  public func barrier() throws(CommunicationError) {}

  /// Ends this process with `exitCode`, or 1 when that is zero.
  public func abort(exitCode: Int32, reason: String) {
    writeToStandardError(reason)
    exit(exitCode == 0 ? 1 : exitCode)
  }
}

/// Writes one line to the standard error output without mixing it with another process's line.
func writeToStandardError(_ line: String) {
  let bytes = Array((line + "\n").utf8)
  _ = unsafe bytes.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
}
