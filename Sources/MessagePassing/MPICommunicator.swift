import CMPIShims
import Glibc

/// All processes that `mpirun` started, over Open MPI's world communicator.
///
/// There is one for the life of a program, since MPI can be initialised once; ``World`` makes it,
/// and finalises MPI at the end. Started without `mpirun`, it is a group of one.
@safe public final class MPICommunicator: Communicator {
  /// This process's number in the world communicator.
  public let rank: Int

  /// The number of processes in the world communicator.
  public let size: Int

  /// Room for the requests of one exchange: an Irecv and an Isend for each process.
  private let requests: UnsafeMutableRawPointer

  /// The legs of one exchange in C's layout.
  private let legs: UnsafeMutablePointer<mpi_shim_transfer>

  /// Initialises MPI and learns this process's place.
  ///
  /// The corresponding C function is `MPI_Init`.
  /// - Throws: ``CommunicationError``, also when MPI was initialised before.
  init() throws(CommunicationError) {
    guard try !Self.isInitialized() else {
      throw CommunicationError(operation: "MPI_Init", text: "MPI was already initialised")
    }
    try check("MPI_Init", mpi_shim_init())
    rank = try Self.worldRank()
    size = try Self.worldSize()
    let requestBytes = Int(mpi_shim_request_size())
    unsafe requests = .allocate(byteCount: 2 * size * requestBytes, alignment: 16)
    unsafe legs = .allocate(capacity: size)
  }

  deinit {
    unsafe requests.deallocate()
    unsafe legs.deallocate()
  }

  /// Sends bytes in pieces of at most 1 GiB after their number.
  ///
  /// The corresponding C function is `MPI_Send`.
  public func send(_ bytes: [UInt8], to destination: Int, tag: Int) throws(CommunicationError) {
    try sendPiece(withLittleEndian(bytes.count)[...], to: destination, tag: tag)
    for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
      try sendPiece(
        bytes[start..<min(start + pieceBytes, bytes.count)], to: destination, tag: tag)
    }
  }

  /// Receives what ``send(_:to:tag:)`` sent.
  ///
  /// The corresponding C function is `MPI_Recv`.
  public func receive(from source: Int, tag: Int) throws(CommunicationError) -> [UInt8] {
    var header = [UInt8](repeating: 0, count: 8)
    try receivePiece(into: &header, from: 0, count: 8, source: source, tag: tag)
    let count = littleEndian(header)
    var bytes = [UInt8](repeating: 0, count: count)
    for start in stride(from: 0, to: count, by: pieceBytes) {
      try receivePiece(
        into: &bytes, from: start, count: min(pieceBytes, count - start), source: source, tag: tag)
    }
    return bytes
  }

  /// Exchanges with several peers at once.
  ///
  /// The corresponding C functions are `MPI_Sendrecv` for one peer, `MPI_Irecv`, `MPI_Isend` and
  /// `MPI_Waitall` for more.
  public func exchange(_ transfers: UnsafeBufferPointer<Transfer>) throws(CommunicationError) {
    precondition(transfers.count < max(size, 2), "more transfers than peers")
    for index in transfers.indices {
      let transfer = unsafe transfers[index]
      unsafe legs[index] = unsafe mpi_shim_transfer(
        outgoing: transfer.outgoing.baseAddress, incoming: transfer.incoming.baseAddress,
        outgoing_count: Int32(transfer.outgoing.count),
        incoming_capacity: Int32(transfer.incoming.count), peer: Int32(transfer.peer))
    }
    try unsafe check(
      "MPI_Waitall", mpi_shim_exchange(legs, Int32(transfers.count), exchangeTag, requests))
  }

  /// Sends one equal part to each process.
  ///
  /// The corresponding C function is `MPI_Alltoall`.
  public func allToAll(
    _ outgoing: UnsafeRawBufferPointer, _ incoming: UnsafeMutableRawBufferPointer
  ) throws(CommunicationError) {
    guard let source = outgoing.baseAddress, let target = incoming.baseAddress else {
      return
    }
    precondition(
      outgoing.count == incoming.count && outgoing.count % size == 0,
      "\(outgoing.count) bytes do not split into \(size) parts")
    try unsafe check(
      "MPI_Alltoall", mpi_shim_alltoall(source, target, Int32(outgoing.count / size)))
  }

  /// Combines values of all processes in place.
  ///
  /// The corresponding C function is `MPI_Allreduce`.
  public func reduce(_ values: inout [Int64], with reduction: Reduction)
    throws(CommunicationError)
  {
    let operation =
      switch reduction {
      case .minimum: MPI_SHIM_MINIMUM
      case .maximum: MPI_SHIM_MAXIMUM
      case .sum: MPI_SHIM_SUM
      }
    let count = Int32(values.count)
    let code = unsafe values.withUnsafeMutableBufferPointer { buffer -> Int32 in
      guard let start = buffer.baseAddress else { return 0 }
      return unsafe mpi_shim_allreduce_int64(start, count, operation)
    }
    try check("MPI_Allreduce", code)
  }

  /// Hands the root's bytes to all, in pieces of at most 1 GiB after their number.
  ///
  /// The corresponding C function is `MPI_Bcast`.
  public func broadcast(_ bytes: [UInt8], from root: Int) throws(CommunicationError) -> [UInt8] {
    var header = withLittleEndian(bytes.count)
    try broadcastPiece(&header, from: 0, count: 8, root: root)
    let count = littleEndian(header)
    var result = rank == root ? bytes : [UInt8](repeating: 0, count: count)
    for start in stride(from: 0, to: count, by: pieceBytes) {
      try broadcastPiece(
        &result, from: start, count: min(pieceBytes, count - start), root: root)
    }
    return result
  }

  /// Collects all parts at the root, one process after the other, so that no total is too large.
  ///
  /// The corresponding C functions are `MPI_Send` and `MPI_Recv`.
  public func gather(_ bytes: [UInt8], at root: Int) throws(CommunicationError) -> [[UInt8]] {
    guard rank == root else {
      try send(bytes, to: root, tag: gatherTag)
      return []
    }
    var parts: [[UInt8]] = []
    parts.reserveCapacity(size)
    for source in 0..<size {
      parts.append(source == root ? bytes : try receive(from: source, tag: gatherTag))
    }
    return parts
  }

  /// Waits for every process.
  ///
  /// The corresponding C function is `MPI_Barrier`.
  public func barrier() throws(CommunicationError) {
    try check("MPI_Barrier", mpi_shim_barrier())
  }

  /// Ends every process of the job with `exitCode`, or 1 when that is zero.
  ///
  /// The corresponding C function is `MPI_Abort`.
  public func abort(exitCode: Int32, reason: String) {
    writeToStandardError(reason)
    _ = mpi_shim_abort(exitCode == 0 ? 1 : exitCode)
    exit(exitCode == 0 ? 1 : exitCode)
  }

  /// Leaves MPI for good; a second call does nothing.
  ///
  /// The corresponding C function is `MPI_Finalize`.
  func finalize() throws(CommunicationError) {
    guard try !Self.isFinalized() else { return }
    try check("MPI_Finalize", mpi_shim_finalize())
  }
}

// MARK: - One C call each

extension MPICommunicator {
  /// Whether MPI was initialised.
  ///
  /// The corresponding C function is `MPI_Initialized`.
  private static func isInitialized() throws(CommunicationError) -> Bool {
    var flag: Int32 = 0
    try unsafe check("MPI_Initialized", mpi_shim_initialized(&flag))
    return flag != 0
  }

  /// Whether MPI was finalised.
  ///
  /// The corresponding C function is `MPI_Finalized`.
  private static func isFinalized() throws(CommunicationError) -> Bool {
    var flag: Int32 = 0
    try unsafe check("MPI_Finalized", mpi_shim_finalized(&flag))
    return flag != 0
  }

  /// This process's number.
  ///
  /// The corresponding C function is `MPI_Comm_rank`.
  private static func worldRank() throws(CommunicationError) -> Int {
    var rank: Int32 = 0
    try unsafe check("MPI_Comm_rank", mpi_shim_rank(&rank))
    return Int(rank)
  }

  /// The number of processes.
  ///
  /// The corresponding C function is `MPI_Comm_size`.
  private static func worldSize() throws(CommunicationError) -> Int {
    var size: Int32 = 0
    try unsafe check("MPI_Comm_size", mpi_shim_size(&size))
    return Int(size)
  }

  /// Sends bytes that fit one message.
  ///
  /// The corresponding C function is `MPI_Send`.
  private func sendPiece(_ bytes: ArraySlice<UInt8>, to destination: Int, tag: Int)
    throws(CommunicationError)
  {
    let code = unsafe bytes.withUnsafeBytes {
      unsafe mpi_shim_send($0.baseAddress, Int32($0.count), Int32(destination), Int32(tag))
    }
    try check("MPI_Send", code)
  }

  /// Receives one message into part of `bytes`.
  ///
  /// The corresponding C function is `MPI_Recv`.
  private func receivePiece(
    into bytes: inout [UInt8], from start: Int, count: Int, source: Int, tag: Int
  ) throws(CommunicationError) {
    let code = unsafe bytes.withUnsafeMutableBytes {
      unsafe mpi_shim_recv(
        $0.baseAddress.map { unsafe $0 + start }, Int32(count), Int32(source), Int32(tag))
    }
    try check("MPI_Recv", code)
  }

  /// Broadcasts part of `bytes`.
  ///
  /// The corresponding C function is `MPI_Bcast`.
  private func broadcastPiece(_ bytes: inout [UInt8], from start: Int, count: Int, root: Int)
    throws(CommunicationError)
  {
    let code = unsafe bytes.withUnsafeMutableBytes {
      unsafe mpi_shim_bcast($0.baseAddress.map { unsafe $0 + start }, Int32(count), Int32(root))
    }
    try check("MPI_Bcast", code)
  }
}

/// MPI counts are C ints; larger messages travel in pieces of this many bytes.
private let pieceBytes = 1 << 30

/// Tags of the communicator's own point-to-point messages; users' tags stay below.
private let exchangeTag: Int32 = 32_001
private let gatherTag = 32_002

/// The eight bytes of a count.
private func withLittleEndian(_ count: Int) -> [UInt8] {
  (0..<8).map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) }
}

/// The count in eight bytes.
private func littleEndian(_ bytes: [UInt8]) -> Int {
  bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
}

/// Throws what MPI says about `code`, unless it is success.
///
/// The corresponding C function is `MPI_Error_string`.
private func check(_ operation: String, _ code: Int32) throws(CommunicationError) {
  guard code != 0 else { return }
  var length: Int32 = 0
  var text = [CChar](repeating: 0, count: Int(mpi_shim_error_capacity()) + 1)
  _ = unsafe mpi_shim_error_string(code, &text, &length)
  let message = String(
    decoding: text.prefix(Int(length)).map(UInt8.init(bitPattern:)), as: UTF8.self)
  throw CommunicationError(operation: operation, text: message)
}
