public import Quantities

extension EventQueue {
  /// Adds an event whose time lies before the end of the run's range.
  @inlinable mutating func pushLate(_ event: Event) {
    if lateCount == lateLimit { relieveLate() }
    guard event.time.picoseconds < nearEnd else {
      pushFar(event)
      return
    }
    if lateCount == lateCapacity { growLate() }
    var hole = lateCount
    lateCount &+= 1
    while hole > 0 {
      let parent = (hole &- 1) &>> 2
      if unsafe !event.precedes(late[parent]) { break }
      unsafe late[hole] = unsafe late[parent]
      hole = parent
    }
    unsafe late[hole] = event
  }

  /// Removes the root of the late heap.
  @usableFromInline mutating func removeFirstLate() {
    lateCount &-= 1
    let count = lateCount
    guard count > 0 else { return }
    let last = unsafe late[count]
    var hole = 0
    while true {
      let first = hole &* 4 &+ 1
      guard first < count else { break }
      let end = min(first &+ 4, count)
      var smallest = first
      var child = first &+ 1
      while child < end {
        if unsafe late[child].precedes(late[smallest]) { smallest = child }
        child &+= 1
      }
      if unsafe !late[smallest].precedes(last) { break }
      unsafe late[hole] = unsafe late[smallest]
      hole = smallest
    }
    unsafe late[hole] = last
  }

  @usableFromInline @inline(never) mutating func growLate() {
    let larger = UnsafeMutablePointer<Event>.allocate(capacity: 2 * lateCapacity)
    unsafe larger.moveInitialize(from: late, count: lateCount)
    unsafe late.deallocate()
    unsafe late = unsafe larger
    lateCapacity *= 2
  }

  /// Returns what is near to the wheel on finer levels, when the run's range can be divided.
  ///
  /// The wheel's levels below the run's are empty, so everything from ``base`` on fits there; what
  /// is earlier stays in the heap.
  @usableFromInline @inline(never) mutating func relieveLate() {
    guard nearLevel > 0 else {
      lateLimit = .max
      return
    }
    let early = nearEnd
    nearEnd = base
    nearLevel = 0
    assert(early > base)
    var kept = 0
    for index in 0..<lateCount {
      let event = unsafe late[index]
      if event.time.picoseconds >= base {
        pushFar(event)
      } else {
        unsafe late[kept] = event
        kept += 1
      }
    }
    var rest = unsafe runStart
    while unsafe rest < runEnd, unsafe rest.pointee.time.picoseconds < base { unsafe rest += 1 }
    var event = unsafe rest
    while unsafe event < runEnd {
      unsafe pushFar(event.pointee)
      unsafe event += 1
    }
    unsafe runEnd = unsafe rest
    lateCount = 0
    for index in 0..<kept {
      // The heap grows no faster than it is read.
      pushHeap(unsafe late[index])
    }
    lateLimit = max(Self.lateMinimum, 2 * kept)
  }

  /// Adds an event to the late heap, whatever its size.
  private mutating func pushHeap(_ event: Event) {
    var hole = lateCount
    lateCount += 1
    while hole > 0 {
      let parent = (hole - 1) >> 2
      if unsafe !event.precedes(late[parent]) { break }
      unsafe late[hole] = unsafe late[parent]
      hole = parent
    }
    unsafe late[hole] = event
  }

  /// Sorts the run: insertion sort for few events, merge sort with natural order kept for many.
  mutating func sortRun() {
    let count = unsafe runEnd - runStart
    let width = 16
    var start = 0
    while start < count {
      let end = count <= Self.runLimit ? count : min(start + width, count)
      unsafe Self.insertionSort(runStart + start, count: end - start)
      start = end
    }
    if count > Self.runLimit { mergeRun(count: count, sortedWidth: width) }
    lateLimit = max(Self.lateMinimum, 2 * count)
  }

  private static func insertionSort(_ events: UnsafeMutablePointer<Event>, count: Int) {
    var index = 1
    while index < count {
      let event = unsafe events[index]
      var hole = index
      while unsafe hole > 0 && event.precedes(events[hole &- 1]) {
        unsafe events[hole] = unsafe events[hole &- 1]
        hole &-= 1
      }
      unsafe events[hole] = event
      index &+= 1
    }
  }

  /// Merges neighbouring sorted pieces until one is left.
  ///
  /// Pieces already in order are only copied when their neighbours are not.
  private mutating func mergeRun(count: Int, sortedWidth: Int) {
    if scratchCapacity < count {
      unsafe scratch.deallocate()
      scratchCapacity = runCapacity
      unsafe scratch = .allocate(capacity: scratchCapacity)
    }
    var width = sortedWidth
    while width < count {
      var start = 0
      while start + width < count {
        let middle = start + width
        let end = min(middle + width, count)
        if unsafe runStart[middle].precedes(runStart[middle - 1]) {
          merge(start, middle, end)
        }
        start = end
      }
      width *= 2
    }
  }

  /// Merges two neighbouring sorted pieces of the run.
  private func merge(_ start: Int, _ middle: Int, _ end: Int) {
    let left = unsafe scratch
    let leftCount = middle - start
    unsafe left.initialize(from: runStart + start, count: leftCount)
    var target = start
    var first = 0
    var second = middle
    while first < leftCount, second < end {
      if unsafe runStart[second].precedes(left[first]) {
        unsafe runStart[target] = unsafe runStart[second]
        second += 1
      } else {
        unsafe runStart[target] = unsafe left[first]
        first += 1
      }
      target += 1
    }
    if first < leftCount {
      unsafe (runStart + target).update(from: left + first, count: leftCount - first)
    }
  }
}
