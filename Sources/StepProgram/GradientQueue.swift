/// Buckets of whole gradients whose reduction is under way, oldest first.
struct GradientQueue {
  /// Elements it may hold.
  let capacity: Int64
  private var buckets: [(elements: Int64, bytes: Int64)] = []

  init(capacity: Int64) { self.capacity = capacity }

  /// Adds a bucket; those that go for it, in bytes.
  ///
  /// The queue is looked through before a bucket joins it.
  mutating func add(elements: Int64, bytes: Int64) -> Int64 {
    var gone: Int64 = 0
    while buckets.reduce(0, { $0 + $1.elements }) > capacity { gone += buckets.removeFirst().bytes }
    buckets.append((elements, bytes))
    return gone
  }

  /// Bytes of all that are left, which go.
  mutating func emptied() -> Int64 {
    defer { buckets = [] }
    return buckets.reduce(0) { $0 + $1.bytes }
  }
}
