public import Quantities

extension EventQueue {
  /// The level of an event whose time differs from ``base`` by the given bits.
  @inlinable @inline(__always) static func level(ofDifference difference: UInt64) -> Int {
    let bit = 63 &- (difference | 1).leadingZeroBitCount
    // An exact division by the digit size for dividends up to 63, without a division.
    switch digitBits {
    case 3: return (bit &* 43) &>> 7
    case 4: return bit &>> 2
    case 5: return (bit &* 103) &>> 9
    default: return (bit &* 43) &>> 8
    }
  }

  /// Puts an event into the slot of its time.
  @inlinable @inline(__always) mutating func pushFar(_ event: Event) {
    let time = UInt64(bitPattern: event.time.picoseconds)
    let level = Self.level(ofDifference: time ^ UInt64(bitPattern: base))
    let digit =
      Int(truncatingIfNeeded: time &>> UInt64(level &* Self.digitBits)) & (Self.radix &- 1)
    let slot = unsafe slots + (level &* Self.radix &+ digit)
    if unsafe slot.pointee.cursor == slot.pointee.limit {
      unsafe startPage(slot)
      levels |= 1 &<< UInt64(level)
      unsafe occupied[level] |= 1 &<< UInt64(digit)
    }
    if let cursor = unsafe slot.pointee.cursor {
      unsafe cursor.initialize(to: event)
      unsafe slot.pointee.cursor = unsafe cursor + 1
    }
    wheelCount &+= 1
  }

  /// Gives a slot whose page is full, or which has none, a new page.
  @usableFromInline @inline(never) mutating func startPage(_ slot: UnsafeMutablePointer<Slot>) {
    let page = unsafe pages.take()
    if let limit = unsafe slot.pointee.limit {
      unsafe PagePool.setNext(of: page, to: limit - PagePool.events)
      unsafe slot.pointee.behind += PagePool.events
    } else {
      unsafe PagePool.setNext(of: page, to: nil)
      unsafe slot.pointee.behind = 0
    }
    unsafe slot.pointee.cursor = unsafe page
    unsafe slot.pointee.limit = unsafe page + PagePool.events
  }

  /// The number of events in a slot.
  private func count(_ slot: UnsafeMutablePointer<Slot>) -> Int {
    guard let cursor = unsafe slot.pointee.cursor, let limit = unsafe slot.pointee.limit else {
      return 0
    }
    return unsafe slot.pointee.behind + PagePool.events - (limit - cursor)
  }

  /// Makes the earliest events of the wheel the run.
  ///
  /// - Precondition: the run and the late heap are empty, the wheel is not.
  @usableFromInline @inline(never) mutating func refill() {
    while true {
      let level = levels.trailingZeroBitCount
      let digit = unsafe occupied[level].trailingZeroBitCount
      let slot = unsafe slots + (level * Self.radix + digit)
      if unsafe level == 0 || count(slot) <= Self.runLimit {
        takeRun(level: level)
        return
      }
      base = start(level: level, digit: digit)
      unsafe deal(slot, level: level, digit: digit)
    }
  }

  /// The first time of a slot.
  private func start(level: Int, digit: Int) -> Int64 {
    let shift = level * Self.digitBits
    let above = shift + Self.digitBits
    let high = above > 63 ? 0 : (base >> Int64(above)) << Int64(above)
    return high | Int64(digit) << Int64(shift)
  }

  /// Moves a slot's events to lower levels.
  private mutating func deal(_ slot: UnsafeMutablePointer<Slot>, level: Int, digit: Int) {
    guard var cursor = unsafe slot.pointee.cursor, let limit = unsafe slot.pointee.limit else {
      return
    }
    let moved = unsafe count(slot)
    unsafe clear(slot: slot, level: level, digit: digit)
    var page = unsafe limit - PagePool.events
    while true {
      var event = unsafe page
      while unsafe event < cursor {
        unsafe pushFar(event.pointee)
        unsafe event += 1
      }
      let next = unsafe PagePool.next(of: page)
      unsafe pages.give(page)
      guard let next = unsafe next else { break }
      unsafe page = unsafe next
      unsafe cursor = unsafe page + PagePool.events
    }
    wheelCount -= moved
  }

  /// Marks a slot as empty; its pages are the caller's.
  private mutating func clear(slot: UnsafeMutablePointer<Slot>, level: Int, digit: Int) {
    unsafe slot.pointee = .empty
    unsafe occupied[level] &= ~(1 << UInt64(digit))
    if unsafe occupied[level] == 0 { levels &= ~(1 << UInt64(level)) }
  }

  /// Sorts the first slot of a level, and the following ones while few, into the run.
  private mutating func takeRun(level: Int) {
    unsafe runStart = unsafe run
    unsafe runEnd = unsafe run
    var taken = 0
    while unsafe occupied[level] != 0 {
      let digit = unsafe occupied[level].trailingZeroBitCount
      let slot = unsafe slots + (level * Self.radix + digit)
      let more = unsafe count(slot)
      if taken > 0, taken + more > Self.runLimit { break }
      unsafe appendToRun(slot, count: more)
      unsafe clear(slot: slot, level: level, digit: digit)
      taken += more
      base = start(level: level, digit: digit)
    }
    wheelCount -= taken
    let (end, overflow) = base.addingReportingOverflow(1 << Int64(level * Self.digitBits))
    nearEnd = overflow ? .max : end
    nearLevel = level
    sortRun()
  }

  /// Copies a slot's events behind the run and gives its pages back.
  private mutating func appendToRun(_ slot: UnsafeMutablePointer<Slot>, count: Int) {
    guard var cursor = unsafe slot.pointee.cursor, let limit = unsafe slot.pointee.limit else {
      return
    }
    reserveRun(unsafe (runEnd - run) + count)
    var page = unsafe limit - PagePool.events
    while true {
      let filled = unsafe cursor - page
      unsafe runEnd.initialize(from: page, count: filled)
      unsafe runEnd += filled
      let next = unsafe PagePool.next(of: page)
      unsafe pages.give(page)
      guard let next = unsafe next else { break }
      unsafe page = unsafe next
      unsafe cursor = unsafe page + PagePool.events
    }
  }

  /// Makes room for `capacity` events in the run, which starts at its memory's beginning.
  private mutating func reserveRun(_ capacity: Int) {
    guard capacity > runCapacity else { return }
    runCapacity = max(capacity, 2 * runCapacity)
    let larger = UnsafeMutablePointer<Event>.allocate(capacity: runCapacity)
    let filled = unsafe runEnd - run
    unsafe larger.moveInitialize(from: run, count: filled)
    unsafe run.deallocate()
    unsafe run = unsafe larger
    unsafe runStart = unsafe larger
    unsafe runEnd = unsafe larger + filled
  }
}

/// Fixed-size pieces of memory for the slots of a queue, allocated in slabs and used again.
@safe @usableFromInline struct PagePool: ~Copyable {
  /// Events in one page.
  ///
  /// With the link before them 31 × 32 bytes, so that pages do not fall on the same cache sets.
  @inlinable static var events: Int { 30 }
  /// Pages in one slab.
  private static var slabPages: Int { 256 }

  /// The first unused page.
  private var free: UnsafeMutablePointer<Event>?
  private var slabs: [UnsafeMutablePointer<Event>] = unsafe []
  /// Pages of the newest slab that were never used.
  private var fresh = 0

  @usableFromInline init() {}

  deinit {
    for index in unsafe slabs.indices { unsafe slabs[index].deallocate() }
  }

  /// Bytes of all slabs.
  var bytes: Int {
    unsafe slabs.count * Self.slabPages * (Self.events + 1) * MemoryLayout<Event>.stride
  }

  /// A page for ``events`` events.
  mutating func take() -> UnsafeMutablePointer<Event> {
    if let page = unsafe free {
      unsafe free = unsafe Self.next(of: page)
      return unsafe page
    }
    if fresh == 0 {
      unsafe slabs.append(.allocate(capacity: Self.slabPages * (Self.events + 1)))
      fresh = Self.slabPages
    }
    fresh -= 1
    return unsafe slabs[slabs.count - 1] + (fresh * (Self.events + 1) + 1)
  }

  /// Takes a page back.
  mutating func give(_ page: UnsafeMutablePointer<Event>) {
    unsafe Self.setNext(of: page, to: free)
    unsafe free = unsafe page
  }

  /// The page linked behind `page`.
  static func next(of page: UnsafeMutablePointer<Event>) -> UnsafeMutablePointer<Event>? {
    unsafe UnsafeRawPointer(page - 1).load(as: UnsafeMutablePointer<Event>?.self)
  }

  /// Links a page behind `page`.
  static func setNext(of page: UnsafeMutablePointer<Event>, to next: UnsafeMutablePointer<Event>?) {
    unsafe UnsafeMutableRawPointer(page - 1).storeBytes(
      of: next, as: UnsafeMutablePointer<Event>?.self)
  }
}
