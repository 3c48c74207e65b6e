/// Times of data operations between the two streams of each rank that pass over them.
///
/// When those the program has passed may begin, or when those it has not come to have ended.
///
/// First in, first out for each rank, in pages of one pool.
struct FullSimulationBacklogs {
  /// A rank's pages: the first and the last, and where it reads and writes in them.
  struct Queue {
    var first: Int32 = -1
    var last: Int32 = -1
    var read: Int16 = 0
    var written: Int16 = 0
  }

  /// Times in a page; with the next page's number 128 bytes.
  private static let width = 15

  private var words: [Int64] = []
  private var queues: [Queue]
  private var free: Int32 = -1

  init(count: Int) { queues = Array(repeating: Queue(), count: count) }

  /// Bytes of the queues and of all pages that were ever in use at once.
  var bytes: Int { queues.allocatedBytes + words.allocatedBytes }

  mutating func append(_ time: Int64, to rank: Int) {
    var queue = queues[rank]
    if queue.last < 0 {
      queue = Queue()
      queue.first = takePage()
      queue.last = queue.first
    } else if Int(queue.written) == Self.width {
      let page = takePage()
      words[Int(queue.last) * (Self.width + 1)] = Int64(page)
      queue.last = page
      queue.written = 0
    }
    words[Int(queue.last) * (Self.width + 1) + 1 + Int(queue.written)] = time
    queue.written += 1
    queues[rank] = queue
  }

  /// - Precondition: the rank has a time.
  mutating func removeFirst(of rank: Int) -> Int64 {
    var queue = queues[rank]
    let page = Int(queue.first) * (Self.width + 1)
    let time = words[page + 1 + Int(queue.read)]
    queue.read += 1
    if queue.first == queue.last, queue.read == queue.written {
      givePage(queue.first)
      queue = Queue()
    } else if Int(queue.read) == Self.width {
      let next = Int32(words[page])
      givePage(queue.first)
      queue.first = next
      queue.read = 0
    }
    queues[rank] = queue
    return time
  }

  private mutating func takePage() -> Int32 {
    if free >= 0 {
      let page = free
      free = Int32(words[Int(page) * (Self.width + 1)])
      return page
    }
    // A quarter more at a time: what is taken together is given back together.
    if words.capacity < words.count + Self.width + 1 {
      words.reserveCapacity(words.count + max(1_024, words.count / 4))
    }
    words.append(contentsOf: repeatElement(0, count: Self.width + 1))
    return Int32(words.count / (Self.width + 1) - 1)
  }

  private mutating func givePage(_ page: Int32) {
    words[Int(page) * (Self.width + 1)] = Int64(free)
    free = page
  }
}

extension Array {
  /// Bytes of its room, for elements that hold no memory of their own.
  var allocatedBytes: Int { capacity * MemoryLayout<Element>.stride }
}
