import Hardware

/// Members of rings that behave alike, found and replaced by one of each kind.
///
/// Members are alike when they begin alike, send to and hear from members that are alike, and share links
/// that are alike with as many of each kind: then one of each kind, whose flow weighs on a link as much
/// as all of its kind there together, takes the times of all (an equitable partition; colour refinement
/// finds the coarsest).
struct RingFolding {
  /// Kind of each member, and one member of each kind in terms of kinds and kinds of links.
  private(set) var classes: [Int32]
  private(set) var members: [SharedRings.Member] = []

  /// Refinements after which members are as good as all different.
  ///
  /// Far more than the places of a leaf switch, whose members are told apart from its two ends on.
  private static let mostRounds = 64

  /// Folds members; `nil` when fewer than half of them would be left out.
  init?(_ all: [SharedRings.Member], _ capacities: [Double]) {
    var previous = Array(repeating: Int32(0), count: all.count)
    var crossings: [[(member: Int32, weight: Double)]] = Array(
      repeating: [], count: capacities.count)
    for (index, member) in all.enumerated() {
      previous[Int(member.next)] = Int32(index)
      for hop in member.hops { crossings[Int(hop.link)].append((Int32(index), hop.weight)) }
    }
    var kinds = Self.numbered(
      all.map {
        Self.mix(
          UInt64(bitPattern: $0.occupancy), UInt64(bitPattern: $0.travel),
          UInt64(bitPattern: $0.start))
      })
    var linkKinds = Self.numbered(capacities.map(\.bitPattern))
    var isStable = false
    for _ in 0..<Self.mostRounds where !isStable {
      // Sums of mixed words: what crosses a link, or is crossed, has no order.
      let links = Self.numbered(
        capacities.indices.map { link -> UInt64 in
          crossings[link].reduce(Self.mix(UInt64(linkKinds.of[link]))) {
            $0 &+ Self.mix(UInt64(kinds.of[Int($1.member)]), $1.weight.bitPattern)
          }
        })
      let refined = Self.numbered(
        all.indices.map { index -> UInt64 in
          let member = all[index]
          let own = Self.mix(
            UInt64(kinds.of[index]), UInt64(kinds.of[Int(member.next)]),
            UInt64(kinds.of[Int(previous[index])]))
          return member.hops.reduce(own) {
            $0 &+ Self.mix(UInt64(links.of[Int($1.link)]), $1.weight.bitPattern)
          }
        })
      isStable = refined.count == kinds.count && links.count == linkKinds.count
      (kinds, linkKinds) = (refined, links)
      guard 2 * kinds.count < all.count else { return nil }
    }
    guard isStable else { return nil }
    classes = kinds.of
    var firstLink = Array(repeating: -1, count: linkKinds.count)
    for link in capacities.indices.reversed() { firstLink[Int(linkKinds.of[link])] = link }
    var first = Array(repeating: -1, count: kinds.count)
    for index in all.indices.reversed() { first[Int(kinds.of[index])] = index }
    members = first.map { index in
      var member = all[index]
      member.next = kinds.of[Int(member.next)]
      var hops: [LinkGraph.Hop] = []
      for hop in member.hops {
        let link = firstLink[Int(linkKinds.of[Int(hop.link)])]
        guard !hops.contains(where: { Int($0.link) == link }) else { continue }
        let weight = crossings[link].reduce(0.0) {
          kinds.of[Int($1.member)] == kinds.of[index] ? $0 + $1.weight : $0
        }
        hops.append(LinkGraph.Hop(link: Int32(link), weight: weight))
      }
      member.hops = hops
      return member
    }
  }

  /// Equal words are equal numbers, counted from 0 in their order.
  private static func numbered(_ words: [UInt64]) -> (of: [Int32], count: Int) {
    var numbers: [UInt64: Int32] = [:]
    let of = words.map { word -> Int32 in
      if let number = numbers[word] { return number }
      let number = Int32(numbers.count)
      numbers[word] = number
      return number
    }
    return (of, numbers.count)
  }

  /// Words mixed into one by SplitMix64's finaliser (doi 10.1145/2660193.2660195).
  private static func mix(_ words: UInt64...) -> UInt64 {
    var mixed: UInt64 = 0
    for word in words {
      mixed = (mixed ^ word) &+ 0x9E37_79B9_7F4A_7C15
      mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      mixed ^= mixed >> 31
    }
    return mixed
  }
}
