/// The name among `candidates` that `name` was most likely meant to be, if any is near enough.
///
/// Distance is the number of characters inserted, deleted, replaced or swapped with their
/// neighbour (optimal string alignment); case does not count. A candidate further away than
/// `limit`, or than half of the name's length, is no suggestion. Ties go to the first candidate.
/// - Complexity: the product of the lengths, for each candidate.
public func nearest<Candidates: Sequence<String>>(
  to name: String, among candidates: Candidates, limit: Int = 3
) -> String? {
  let wanted = Array(name.lowercased())
  var best: (name: String, distance: Int)?
  for candidate in candidates {
    let letters = Array(candidate.lowercased())
    guard abs(letters.count - wanted.count) <= limit else { continue }
    let distance = editDistance(wanted, letters)
    if distance <= limit, 2 * distance <= max(wanted.count, 2), distance < best?.distance ?? .max {
      best = (candidate, distance)
    }
  }
  return best?.name
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
func editDistance(_ a: [Character], _ b: [Character]) -> Int {
  guard !a.isEmpty, !b.isEmpty else { return max(a.count, b.count) }
  var beforePrevious: [Int] = []
  var previous = Array(0...b.count)
  for i in 1...a.count {
    var current = [i]
    for j in 1...b.count {
      let replaced = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)
      var distance = min(replaced, previous[j] + 1, current[j - 1] + 1)
      if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
        distance = min(distance, beforePrevious[j - 2] + 1)
      }
      current.append(distance)
    }
    beforePrevious = previous
    previous = current
  }
  return previous[b.count]
}
