public import Quantities

/// The pending events of one process, earliest first.
///
/// A hierarchical radix queue. Far events lie unsorted in a wheel: level `l` has a slot for each
/// value of the `l`-th digit of the time, and an event lies on the level of the highest digit in
/// which its time differs from ``base``. When the near events run out, the earliest slot is taken:
/// a full one is dealt out over lower levels, a small one (with its neighbours, while they are
/// small) is sorted and becomes the *run*, from which events are taken one by one. An event that is
/// pushed into the time range of the run goes to a small heap, the *late* events; when that heap
/// grows too large for its time range, run and heap go back to the wheel on finer levels.
///
/// Every event is moved about once per level in use (three or four times at 10^7 pending), always
/// as a stream through memory; there is no pointer to chase. The idea is that of the radix heap
/// (Ahuja, Mehlhorn, Orlin, Tarjan, 1990, doi 10.1145/77600.77615) and the ladder queue (Tang, Goh,
/// Thng, 2005, doi 10.1145/1103323.1103324). Unlike a radix heap it accepts events before the last
/// one taken, which a windowed run needs: events of other processes may precede the own next one.
///
/// - Complexity: amortised O(log(range)) moves for each event, O(log n) comparisons at most.
@safe public struct EventQueue: ~Copyable {
  /// Sorted events, the next one at `runStart`.
  @usableFromInline var run: UnsafeMutablePointer<Event>
  @usableFromInline var runStart: UnsafeMutablePointer<Event>
  @usableFromInline var runEnd: UnsafeMutablePointer<Event>
  @usableFromInline var runCapacity: Int

  /// A 4-ary heap of events that came after their time range had become the run.
  @usableFromInline var late: UnsafeMutablePointer<Event>
  @usableFromInline var lateCount = 0
  @usableFromInline var lateCapacity: Int
  /// The size at which the late events go back to the wheel.
  @usableFromInline var lateLimit = Self.lateMinimum

  /// Events before this time are in the run or late, all others in the wheel.
  @usableFromInline var nearEnd: Int64 = 0
  /// The time whose digits tell an event's level.
  @usableFromInline var base: Int64 = 0
  /// The level whose slots became the run; below it the wheel was empty then.
  @usableFromInline var nearLevel = 0
  /// Bit `l` is set when level `l` has an event.
  @usableFromInline var levels: UInt64 = 0
  /// For each level, bit `d` is set when slot `d` has an event.
  @usableFromInline let occupied: UnsafeMutablePointer<UInt64>
  /// The slots, level by level.
  @usableFromInline let slots: UnsafeMutablePointer<Slot>
  /// The number of events in the wheel.
  @usableFromInline var wheelCount = 0

  /// Pages that hold nothing at the moment.
  var pages = PagePool()
  /// Room to merge in while a long run is sorted.
  @usableFromInline var scratch: UnsafeMutablePointer<Event>
  @usableFromInline var scratchCapacity = 0

  /// The events of one digit: full pages behind the one being filled.
  @unsafe @frozen @usableFromInline struct Slot {
    @usableFromInline var cursor: UnsafeMutablePointer<Event>?
    @usableFromInline var limit: UnsafeMutablePointer<Event>?
    /// Events in the pages behind.
    @usableFromInline var behind: Int

    @usableFromInline static var empty: Slot { unsafe Slot(cursor: nil, limit: nil, behind: 0) }

    @inlinable init(
      cursor: UnsafeMutablePointer<Event>?, limit: UnsafeMutablePointer<Event>?, behind: Int
    ) {
      unsafe self.cursor = unsafe cursor
      unsafe self.limit = unsafe limit
      unsafe self.behind = behind
    }
  }

  /// Bits of one digit; with the hold model 4, 5 and 6 differ by less than runs of one do.
  @inlinable static var digitBits: Int { 5 }
  /// Slots of one level.
  @inlinable static var radix: Int { 1 << digitBits }
  /// Levels for 63 bits of time.
  @inlinable static var levelCount: Int { (63 + digitBits - 1) / digitBits }
  /// The largest number of events that are sorted at once.
  ///
  /// Of 12, 24 and 48 the fastest with the hold model.
  @inlinable static var runLimit: Int { 48 }
  /// The smallest number of late events that is worth a way back to the wheel.
  @inlinable static var lateMinimum: Int { 256 }

  /// An empty queue.
  public init() {
    runCapacity = 64
    unsafe run = .allocate(capacity: 64)
    unsafe runStart = unsafe run
    unsafe runEnd = unsafe run
    lateCapacity = 64
    unsafe late = .allocate(capacity: 64)
    unsafe scratch = .allocate(capacity: 1)
    unsafe occupied = .allocate(capacity: Self.levelCount)
    unsafe occupied.initialize(repeating: 0, count: Self.levelCount)
    unsafe slots = .allocate(capacity: Self.levelCount * Self.radix)
    unsafe slots.initialize(repeating: .empty, count: Self.levelCount * Self.radix)
  }

  deinit {
    unsafe run.deallocate()
    unsafe late.deallocate()
    unsafe scratch.deallocate()
    unsafe occupied.deallocate()
    unsafe slots.deallocate()
  }

  /// The number of pending events.
  public var count: Int { unsafe (runEnd - runStart) + lateCount + wheelCount }

  /// Bytes of memory in use, for events and for finding them.
  var bytes: Int {
    let slotBytes = unsafe Self.radix * MemoryLayout<Slot>.stride + MemoryLayout<UInt64>.stride
    return (runCapacity + lateCapacity + scratchCapacity) * MemoryLayout<Event>.stride + pages.bytes
      + Self.levelCount * slotBytes
  }

  /// Adds an event.
  ///
  /// - Precondition: its time is not negative and before ``Quantities/SimTime/never``.
  @inlinable @inline(__always) public mutating func push(_ event: Event) {
    if event.time.picoseconds < nearEnd {
      pushLate(event)
    } else {
      pushFar(event)
    }
  }

  /// Takes the earliest event out if it is before `horizon`.
  ///
  /// - Parameters:
  ///   - horizon: the first point in time that is too late.
  ///   - event: becomes the earliest event.
  /// - Returns: whether there was one.
  @inlinable @inline(__always) public mutating func pop(
    before horizon: SimTime, into event: inout Event
  ) -> Bool {
    if unsafe runStart == runEnd, lateCount == 0 {
      guard wheelCount > 0 else { return false }
      refill()
    }
    if lateCount == 0 {
      let first = unsafe runStart.pointee
      guard first.time < horizon else { return false }
      event = first
      unsafe runStart += 1
      return true
    }
    if unsafe runStart < runEnd, unsafe runStart.pointee.precedes(late.pointee) {
      let first = unsafe runStart.pointee
      guard first.time < horizon else { return false }
      event = first
      unsafe runStart += 1
      return true
    }
    let first = unsafe late.pointee
    guard first.time < horizon else { return false }
    event = first
    removeFirstLate()
    return true
  }

  /// The time of the earliest event, ``Quantities/SimTime/never`` when there is none.
  public mutating func nextTime() -> SimTime {
    if unsafe runStart == runEnd, lateCount == 0 {
      guard wheelCount > 0 else { return .never }
      refill()
    }
    var next = SimTime.never
    if unsafe runStart < runEnd { next = unsafe runStart.pointee.time }
    if lateCount > 0 { next = unsafe min(next, late.pointee.time) }
    return next
  }
}
