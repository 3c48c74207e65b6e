import Glibc

/// A process played by a thread: the in-process twin of ``MPICommunicator``, for tests.
///
/// ``run(processes:_:)`` starts any number of them in one program, so that a test can ask whether
/// a result depends on the number of processes.
public final class ThreadCommunicator: Communicator {
  /// This process's number.
  public let rank: Int

  /// What the processes of one job share.
  private let job: ThreadJob

  init(rank: Int, job: ThreadJob) {
    self.rank = rank
    self.job = job
  }

  /// How many processes there are.
  public var size: Int { job.size }

  /// Puts the bytes into the destination's mailbox.
  public func send(_ bytes: [UInt8], to destination: Int, tag: Int) throws(CommunicationError) {
    try job.send(bytes, from: rank, to: destination, tag: tag)
  }

  /// Waits for the next message of the tag in this process's mailbox.
  public func receive(from source: Int, tag: Int) throws(CommunicationError) -> [UInt8] {
    try job.receive(from: source, to: rank, tag: tag)
  }

  /// Sends to all peers, then receives from all.
  public func exchange(_ transfers: UnsafeBufferPointer<Transfer>) throws(CommunicationError) {
    for index in transfers.indices {
      let transfer = unsafe transfers[index]
      guard unsafe !transfer.outgoing.isEmpty else { continue }
      try unsafe send([UInt8](transfer.outgoing), to: transfer.peer, tag: collectiveTag)
    }
    for index in transfers.indices {
      let transfer = unsafe transfers[index]
      guard unsafe !transfer.incoming.isEmpty else { continue }
      let bytes = try unsafe receive(from: transfer.peer, tag: collectiveTag)
      guard unsafe bytes.count <= transfer.incoming.count else {
        throw CommunicationError(
          operation: "exchange",
          text: "a message of \(bytes.count) bytes does not fit the room for it")
      }
      unsafe transfer.incoming.copyBytes(from: bytes)
    }
  }

  /// Sends one equal part to each process.
  public func allToAll(
    _ outgoing: UnsafeRawBufferPointer, _ incoming: UnsafeMutableRawBufferPointer
  ) throws(CommunicationError) {
    let part = outgoing.count / size
    for peer in 0..<size {
      let range = peer * part..<(peer + 1) * part
      try unsafe send(
        [UInt8](UnsafeRawBufferPointer(rebasing: outgoing[range])), to: peer, tag: collectiveTag)
    }
    for peer in 0..<size {
      let bytes = try receive(from: peer, tag: collectiveTag)
      let range = peer * part..<(peer + 1) * part
      unsafe UnsafeMutableRawBufferPointer(rebasing: incoming[range]).copyBytes(from: bytes)
    }
  }

  /// Combines values at process 0 and hands them out again.
  public func reduce(_ values: inout [Int64], with reduction: Reduction)
    throws(CommunicationError)
  {
    let parts = try gather(values: values, at: 0)
    for part in parts.dropFirst() {
      for index in values.indices {
        switch reduction {
        case .minimum: values[index] = min(values[index], part[index])
        case .maximum: values[index] = max(values[index], part[index])
        case .sum: values[index] &+= part[index]
        }
      }
    }
    values = try broadcast(values: values, from: 0)
  }

  /// Sends the bytes to every other process.
  public func broadcast(_ bytes: [UInt8], from root: Int) throws(CommunicationError) -> [UInt8] {
    guard rank == root else { return try receive(from: root, tag: collectiveTag) }
    for peer in 0..<size where peer != root {
      try send(bytes, to: peer, tag: collectiveTag)
    }
    return bytes
  }

  /// Receives the bytes of every process at the root.
  public func gather(_ bytes: [UInt8], at root: Int) throws(CommunicationError) -> [[UInt8]] {
    try send(bytes, to: root, tag: collectiveTag)
    guard rank == root else { return [] }
    var parts: [[UInt8]] = []
    for peer in 0..<size {
      parts.append(try receive(from: peer, tag: collectiveTag))
    }
    return parts
  }

  /// Waits for every process.
  public func barrier() throws(CommunicationError) {
    _ = try sum(of: 0)
  }

  /// Makes every process of the job throw `reason` when it next communicates.
  public func abort(exitCode: Int32, reason: String) {
    job.fail(reason)
  }

  /// Plays `count` processes, each calling `body` on a thread of its own, and waits for them.
  ///
  /// A process that throws takes the others down: they throw when they next communicate. A process
  /// that waits for one that has ended throws as well.
  ///
  /// - Parameters:
  ///   - count: how many processes.
  ///   - body: what each does.
  /// - Returns: the results in the order of ranks.
  /// - Throws: the error of the process that threw first.
  public static func run<Result: Sendable>(
    processes count: Int, _ body: @escaping @Sendable (any Communicator) throws -> Result
  ) throws -> [Result] {
    precondition(count > 0, "a job has at least one process, not \(count)")
    let job = ThreadJob(size: count)
    let results = ThreadResults<Result>(count: count)
    let threads = (0..<count).map { rank in
      startThread {
        do {
          results.store(try body(ThreadCommunicator(rank: rank, job: job)), at: rank)
          job.finish(rank)
        } catch {
          results.store(error)
          job.fail("process \(rank): \(error)")
        }
      }
    }
    for thread in threads {
      pthread_join(thread, nil)
    }
    return try results.take()
  }
}

/// The tag of messages within collective operations.
private let collectiveTag = -1

/// What a started thread runs; released by the thread.
private final class ThreadBody {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Starts a thread with room for deep recursion in debug builds.
private func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
  var thread = pthread_t()
  let context = unsafe Unmanaged.passRetained(ThreadBody(body)).toOpaque()
  let code = unsafe pthread_create(
    &thread, nil,
    { pointer in
      guard let pointer = unsafe pointer else { return nil }
      unsafe Unmanaged<ThreadBody>.fromOpaque(pointer).takeRetainedValue().run()
      return nil
    }, context)
  precondition(code == 0, "pthread_create failed with code \(code)")
  return thread
}
