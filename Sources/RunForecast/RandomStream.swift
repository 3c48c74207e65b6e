/// Random numbers that depend on (seed, stream, place in it) alone.
///
/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) from a state mixed of seed and stream.
struct RandomStream {
  private var state: UInt64

  init(seed: UInt64, stream: UInt64) {
    state = Self.mixed(seed &+ 0x9e37_79b9_7f4a_7c15 &* (stream &+ 1))
  }

  private static func mixed(_ value: UInt64) -> UInt64 {
    var value = value
    value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
    return value ^ (value >> 31)
  }

  /// A number above 0 and at most 1.
  mutating func uniform() -> Double {
    state &+= 0x9e37_79b9_7f4a_7c15
    return (Double(Self.mixed(state) >> 11) + 1) * 0x1p-53
  }
}
