import Quantities

/// Events for other processes, collected during a window.
@safe struct Outbox: ~Copyable {
  private let partition: Partition
  /// For each process, the events for it, behind room for a header.
  private let batches: UnsafeMutablePointer<Batch>
  /// The earliest event in all batches.
  private(set) var earliest = SimTime.never

  @unsafe struct Batch {
    var events: UnsafeMutablePointer<Event>
    var count: Int
    var capacity: Int
  }

  init(partition: Partition) {
    self.partition = partition
    unsafe batches = .allocate(capacity: partition.processes)
    for process in 0..<partition.processes {
      // One event's room in front holds the header that goes out with the events.
      unsafe (batches + process).initialize(
        to: Batch(events: .allocate(capacity: 257), count: 0, capacity: 256))
    }
  }

  deinit {
    for process in 0..<partition.processes { unsafe batches[process].events.deallocate() }
    unsafe batches.deallocate()
  }

  /// Bytes of all batches.
  var bytes: Int {
    (0..<partition.processes).reduce(0) {
      unsafe $0 + (batches[$1].capacity + 1) * MemoryLayout<Event>.stride
    }
  }

  /// The number of logical processes on all processes.
  var logicalProcesses: Int { partition.count }

  /// Adds an event to the batch of the process its destination lives on.
  mutating func append(_ event: Event) {
    let process = partition.process(of: event.destination)
    let batch = unsafe batches + process
    if unsafe batch.pointee.count == batch.pointee.capacity { unsafe grow(batch) }
    unsafe (batch.pointee.events + 1 + batch.pointee.count).initialize(to: event)
    unsafe batch.pointee.count += 1
    if event.time < earliest { earliest = event.time }
  }

  /// The events for a process, behind one event's room for a header.
  func batch(for process: Int) -> (header: UnsafeMutableRawPointer, count: Int) {
    unsafe (UnsafeMutableRawPointer(batches[process].events), batches[process].count)
  }

  /// Forgets all events, which have been sent.
  mutating func removeAll() {
    for process in 0..<partition.processes { unsafe batches[process].count = 0 }
    earliest = .never
  }

  private func grow(_ batch: UnsafeMutablePointer<Batch>) {
    let capacity = unsafe 2 * batch.pointee.capacity
    let larger = UnsafeMutablePointer<Event>.allocate(capacity: capacity + 1)
    unsafe (larger + 1).moveInitialize(from: batch.pointee.events + 1, count: batch.pointee.count)
    unsafe batch.pointee.events.deallocate()
    unsafe batch.pointee.events = unsafe larger
    unsafe batch.pointee.capacity = capacity
  }
}
