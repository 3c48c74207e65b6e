import Glibc
import Synchronization

/// The mailboxes that the threads of one in-process job share.
///
/// `@unchecked Sendable`: every access to the stored state happens between `lock` and `unlock` of
/// one mutex.
@safe final class ThreadJob: @unchecked Sendable {
  /// Where a message waits.
  private struct Address: Hashable {
    var source: Int
    var destination: Int
    var tag: Int
  }

  let size: Int
  private var mailboxes: [Address: [[UInt8]]] = [:]
  private var hasEnded: [Bool]
  private var failure: String?
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let arrival: UnsafeMutablePointer<pthread_cond_t>

  init(size: Int) {
    self.size = size
    hasEnded = [Bool](repeating: false, count: size)
    unsafe mutex = .allocate(capacity: 1)
    unsafe arrival = .allocate(capacity: 1)
    unsafe pthread_mutex_init(mutex, nil)
    unsafe pthread_cond_init(arrival, nil)
  }

  deinit {
    unsafe pthread_cond_destroy(arrival)
    unsafe pthread_mutex_destroy(mutex)
    unsafe arrival.deallocate()
    unsafe mutex.deallocate()
  }

  private func lock() { unsafe pthread_mutex_lock(mutex) }

  private func unlock() { unsafe pthread_mutex_unlock(mutex) }

  func send(_ bytes: [UInt8], from source: Int, to destination: Int, tag: Int)
    throws(CommunicationError)
  {
    guard (0..<size).contains(destination) else {
      throw CommunicationError(
        operation: "send", text: "there is no process \(destination) among \(size)")
    }
    lock()
    defer { unlock() }
    if let failure { throw CommunicationError(operation: "send", text: failure) }
    let address = Address(source: source, destination: destination, tag: tag)
    mailboxes[address, default: []].append(bytes)
    unsafe pthread_cond_broadcast(arrival)
  }

  func receive(from source: Int, to destination: Int, tag: Int) throws(CommunicationError)
    -> [UInt8]
  {
    guard (0..<size).contains(source) else {
      throw CommunicationError(
        operation: "receive", text: "there is no process \(source) among \(size)")
    }
    let address = Address(source: source, destination: destination, tag: tag)
    lock()
    defer { unlock() }
    while true {
      if let failure { throw CommunicationError(operation: "receive", text: failure) }
      if mailboxes[address]?.isEmpty == false, let first = mailboxes[address]?.removeFirst() {
        return first
      }
      if hasEnded[source] {
        throw CommunicationError(
          operation: "receive", text: "process \(source) has ended without sending")
      }
      unsafe pthread_cond_wait(arrival, mutex)
    }
  }

  func finish(_ rank: Int) {
    lock()
    hasEnded[rank] = true
    unsafe pthread_cond_broadcast(arrival)
    unlock()
  }

  func fail(_ reason: String) {
    lock()
    failure = failure ?? reason
    unsafe pthread_cond_broadcast(arrival)
    unlock()
  }
}

/// What the threads of a job came to.
final class ThreadResults<Value: Sendable>: Sendable {
  private struct State {
    var values: [Value?]
    var error: (any Error)?
  }

  private let state: Mutex<State>

  init(count: Int) {
    state = Mutex(State(values: [Value?](repeating: nil, count: count)))
  }

  func store(_ value: Value, at rank: Int) {
    state.withLock { $0.values[rank] = value }
  }

  func store(_ error: any Error) {
    state.withLock { $0.error = $0.error ?? error }
  }

  func take() throws -> [Value] {
    try state.withLock { state in
      if let error = state.error { throw error }
      return state.values.compactMap { $0 }
    }
  }
}
