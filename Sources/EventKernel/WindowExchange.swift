import MessagePassing
import Quantities

/// What processes tell each other at the end of a window: events, and the next time of all.
///
/// Up to ``allPairsLimit`` processes send one message to every peer, which carries the sender's next
/// time and its events, so that the exchange also is the reduction. More processes exchange only
/// headers all to all, then a message for each pair that has events. A message is kept below Open
/// MPI's eager limit of 4 KiB for shared memory (`btl_vader_eager_limit`; above it the cost of a
/// message rises tenfold); what does not fit follows in one second message.
@safe struct WindowExchange: ~Copyable {
  /// The header of a message.
  private struct Header: BitwiseCopyable {
    var next: Int64
    var count: Int64
  }

  /// The largest group in which every process sends to every peer in every window.
  static var allPairsLimit: Int { 8 }
  /// Events in the first message.
  ///
  /// With the header's room (122 × 32 bytes) below 4 KiB less the library's own header.
  private static var eagerEvents: Int { 121 }

  private let communicator: any Communicator
  private let rank: Int
  private let size: Int
  private var transfers: [Transfer] = unsafe []
  /// First messages of all peers, each with a header's room in front.
  private let incoming: UnsafeMutablePointer<Event>
  /// Second messages, one peer behind the other.
  private var rest: UnsafeMutablePointer<Event>
  private var restCapacity = 0
  private let headersOut: UnsafeMutablePointer<Header>
  private let headersIn: UnsafeMutablePointer<Header>
  /// Events sent to each process.
  private(set) var sent: [Int64]
  /// Events received from each process.
  private(set) var received: [Int64]
  /// Messages that carried events.
  private(set) var batches = 0

  init(_ communicator: any Communicator) {
    self.communicator = communicator
    rank = communicator.rank
    size = communicator.size
    unsafe incoming = .allocate(capacity: size * (Self.eagerEvents + 1))
    unsafe rest = .allocate(capacity: 1)
    unsafe headersOut = .allocate(capacity: size)
    unsafe headersIn = .allocate(capacity: size)
    sent = [Int64](repeating: 0, count: size)
    received = [Int64](repeating: 0, count: size)
    unsafe transfers.reserveCapacity(size)
  }

  deinit {
    unsafe incoming.deallocate()
    unsafe rest.deallocate()
    unsafe headersOut.deallocate()
    unsafe headersIn.deallocate()
  }

  /// Sends the outbox, receives into the queue and learns the earliest time of all processes.
  ///
  /// - Returns: the time of the next event anywhere, ``Quantities/SimTime/never`` when none is left.
  mutating func run(_ outbox: inout Outbox, _ queue: inout EventQueue)
    throws(CommunicationError) -> SimTime
  {
    let own = min(queue.nextTime(), outbox.earliest)
    for peer in 0..<size {
      let count = unsafe Int64(outbox.batch(for: peer).count)
      unsafe headersOut[peer] = Header(next: own.picoseconds, count: count)
      sent[peer] += count
      if count > 0 { batches += 1 }
    }
    let isAllPairs = size <= Self.allPairsLimit
    if isAllPairs {
      try exchangeFirst(outbox)
    } else {
      try unsafe communicator.allToAll(
        UnsafeRawBufferPointer(UnsafeBufferPointer(start: headersOut, count: size)),
        UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(start: headersIn, count: size)))
    }
    var next = own
    for peer in 0..<size where peer != rank {
      next = unsafe min(next, SimTime(picoseconds: headersIn[peer].next))
      unsafe received[peer] += headersIn[peer].count
    }
    try exchangeRest(outbox, after: isAllPairs ? Self.eagerEvents : 0)
    deliver(to: &queue, first: isAllPairs ? Self.eagerEvents : 0)
    outbox.removeAll()
    return next
  }

  /// Exchanges headers and as many events as fit a short message with every peer.
  private mutating func exchangeFirst(_ outbox: borrowing Outbox) throws(CommunicationError) {
    let stride = MemoryLayout<Event>.stride
    unsafe transfers.removeAll(keepingCapacity: true)
    // Each process begins with the one after it, so that not all send to the same one first.
    for step in 1..<size {
      let peer = (rank + step) % size
      let (header, count) = unsafe outbox.batch(for: peer)
      unsafe header.storeBytes(of: headersOut[peer], as: Header.self)
      unsafe transfers.append(
        Transfer(
          peer: peer,
          outgoing: UnsafeRawBufferPointer(
            start: header, count: (1 + min(count, Self.eagerEvents)) * stride),
          incoming: UnsafeMutableRawBufferPointer(
            start: firstMessage(of: peer), count: (1 + Self.eagerEvents) * stride)))
    }
    try exchangeTransfers()
    for peer in 0..<size where peer != rank {
      unsafe headersIn[peer] = unsafe UnsafeRawPointer(firstMessage(of: peer)).load(as: Header.self)
    }
  }

  /// Exchanges what did not fit the first message.
  private mutating func exchangeRest(_ outbox: borrowing Outbox, after first: Int)
    throws(CommunicationError)
  {
    let stride = MemoryLayout<Event>.stride
    unsafe transfers.removeAll(keepingCapacity: true)
    var total = 0
    for peer in 0..<size where peer != rank {
      total += unsafe max(0, Int(headersIn[peer].count) - first)
    }
    if total > restCapacity {
      unsafe rest.deallocate()
      restCapacity = max(total, 2 * restCapacity)
      unsafe rest = .allocate(capacity: restCapacity)
    }
    var offset = 0
    for peer in 0..<size where peer != rank {
      let (header, count) = unsafe outbox.batch(for: peer)
      let outgoing = max(0, count - first)
      let incoming = unsafe max(0, Int(headersIn[peer].count) - first)
      guard outgoing + incoming > 0 else { continue }
      unsafe transfers.append(
        Transfer(
          peer: peer,
          outgoing: UnsafeRawBufferPointer(
            start: header + (1 + first) * stride, count: outgoing * stride),
          incoming: UnsafeMutableRawBufferPointer(
            start: rest + offset, count: incoming * stride)))
      offset += incoming
    }
    if unsafe !transfers.isEmpty { try exchangeTransfers() }
  }

  private func exchangeTransfers() throws(CommunicationError) {
    let failure: CommunicationError? = unsafe transfers.withUnsafeBufferPointer { buffer in
      do throws(CommunicationError) {
        try unsafe communicator.exchange(buffer)
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw failure }
  }

  /// Where the first message of a peer lands.
  private func firstMessage(of peer: Int) -> UnsafeMutablePointer<Event> {
    unsafe incoming + peer * (Self.eagerEvents + 1)
  }

  /// Puts what was received into the queue; its order does not depend on when it arrives.
  private func deliver(to queue: inout EventQueue, first: Int) {
    var offset = 0
    for peer in 0..<size where peer != rank {
      let count = unsafe Int(headersIn[peer].count)
      for index in 0..<min(count, first) {
        queue.push(unsafe firstMessage(of: peer)[index + 1])
      }
      let more = max(0, count - first)
      for index in 0..<more { queue.push(unsafe rest[offset + index]) }
      offset += more
    }
  }
}
