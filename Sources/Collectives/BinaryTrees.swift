/// Parent and children of a node in one of two complementary binary trees.
///
/// As NCCL builds them (`src/graph/trees.cc`, `ncclGetBtree`, `ncclGetDtree`): a node's parent is
/// found from its lowest set bit; the second tree is the first mirrored (even counts) or shifted by
/// one (odd counts), so that leaves of one are inner nodes of the other. Depth ⌈log2 count⌉.
struct BinaryTreePosition: Equatable {
  /// The parent; `nil` at the root.
  var parent: Int?
  /// The child below; `nil` when there is none.
  var firstChild: Int?
  /// The child above; `nil` when there is none.
  var secondChild: Int?

  /// Where `node` of `count` sits in the first (`tree` 0) or the second tree.
  init(node: Int, count: Int, tree: Int) {
    if tree == 0 {
      self.init(node: node, count: count)
    } else if count.isMultiple(of: 2) {
      self.init(node: count - 1 - node, count: count)
      parent = parent.map { count - 1 - $0 }
      firstChild = firstChild.map { count - 1 - $0 }
      secondChild = secondChild.map { count - 1 - $0 }
    } else {
      self.init(node: (node + count - 1) % count, count: count)
      parent = parent.map { ($0 + 1) % count }
      firstChild = firstChild.map { ($0 + 1) % count }
      secondChild = secondChild.map { ($0 + 1) % count }
    }
  }

  private init(node: Int, count: Int) {
    var bit = 1
    while bit < count, node & bit == 0 { bit <<= 1 }
    if node == 0 {
      secondChild = count > 1 ? bit >> 1 : nil
      return
    }
    let above = (node ^ bit) | (bit << 1)
    parent = above >= count ? node ^ bit : above
    var low = bit >> 1
    guard low > 0 else { return }
    firstChild = node - low
    while low > 0, node + low >= count { low >>= 1 }
    secondChild = low > 0 ? node + low : nil
  }
}
