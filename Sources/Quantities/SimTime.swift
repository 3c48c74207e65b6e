/// A point on the simulated clock, in picoseconds since the step began.
///
/// `Int64` picoseconds last 106 days, of which a step may take a quarter (``SimDuration/longest``): ample
/// for a step, too short for a run, which is composed in ``Seconds``. Integers make the order of events
/// total and the same on every machine.
@frozen public struct SimTime: Hashable, Comparable, Sendable {
  /// Picoseconds since the step began.
  public var picoseconds: Int64

  /// The point `picoseconds` after the step began.
  @inlinable public init(picoseconds: Int64) { self.picoseconds = picoseconds }

  /// The beginning of the step.
  public static let zero = SimTime(picoseconds: 0)

  /// A point no event ever reaches.
  public static let never = SimTime(picoseconds: .max)

  /// Whether `lhs` comes before `rhs`.
  @inlinable public static func < (lhs: Self, rhs: Self) -> Bool {
    lhs.picoseconds < rhs.picoseconds
  }

  /// The point `rhs` after `lhs`; traps on overflow.
  @inlinable public static func + (lhs: Self, rhs: SimDuration) -> Self {
    Self(picoseconds: lhs.picoseconds + rhs.picoseconds)
  }

  /// The interval from `rhs` to `lhs`.
  @inlinable public static func - (lhs: Self, rhs: Self) -> SimDuration {
    SimDuration(picoseconds: lhs.picoseconds - rhs.picoseconds)
  }

  /// Seconds since the step began.
  @inlinable public var seconds: Double { Double(picoseconds) * 1e-12 }
}

/// An interval of simulated time, in picoseconds.
@frozen public struct SimDuration: Hashable, Comparable, Sendable {
  /// The interval's length in picoseconds.
  public var picoseconds: Int64

  /// The longest interval anything simulated may take.
  ///
  /// 26.7 days, a quarter of what `Int64` holds, so that a few of them can be added.
  ///
  /// What is computed to be longer is cut to it; a step that is as long is refused, never reported.
  public static let longest = SimDuration(picoseconds: (1 << 61) - 1)

  /// An interval of `picoseconds`.
  @inlinable public init(picoseconds: Int64) { self.picoseconds = picoseconds }

  /// An interval of `seconds`, rounded to the nearest picosecond, ties to even, cut to ``longest``.
  ///
  /// This is the one place where a computed duration becomes an integer; everything after it is
  /// exact.
  /// - Precondition: `seconds` is a number.
  @inlinable public init(seconds: Double) {
    precondition(!seconds.isNaN, "a duration must be a number")
    let longest = Double(Self.longest.picoseconds)
    let rounded = (seconds * 1e12).rounded(.toNearestOrEven)
    self = Self(picoseconds: Int64(exactly: min(max(rounded, -longest), longest)) ?? 0).cut
  }

  /// The interval, no longer than ``longest`` either way.
  @inlinable public var cut: Self {
    Self(
      picoseconds: min(max(picoseconds, -Self.longest.picoseconds), Self.longest.picoseconds))
  }

  /// The empty interval.
  public static let zero = SimDuration(picoseconds: 0)

  /// The interval in seconds.
  @inlinable public var seconds: Double { Double(picoseconds) * 1e-12 }

  /// Whether `lhs` is shorter than `rhs`.
  @inlinable public static func < (lhs: Self, rhs: Self) -> Bool {
    lhs.picoseconds < rhs.picoseconds
  }

  /// Both intervals, one after the other, cut to ``longest``.
  @inlinable public static func + (lhs: Self, rhs: Self) -> Self {
    Self(picoseconds: lhs.picoseconds + rhs.picoseconds).cut
  }

  /// What is left of `lhs` when `rhs` is taken away; may be negative.
  @inlinable public static func - (lhs: Self, rhs: Self) -> Self {
    Self(picoseconds: lhs.picoseconds - rhs.picoseconds)
  }

  /// The interval `lhs`, `rhs` times over, cut to ``longest``.
  @inlinable public static func * (lhs: Self, rhs: Int) -> Self {
    let (product, isTooLong) = lhs.picoseconds.multipliedReportingOverflow(by: Int64(rhs))
    guard isTooLong else { return Self(picoseconds: product).cut }
    return (lhs.picoseconds < 0) == (rhs < 0)
      ? longest : Self(picoseconds: -longest.picoseconds)
  }

  /// Lengthens the interval, to ``longest`` at most.
  @inlinable public static func += (lhs: inout Self, rhs: Self) { lhs = lhs + rhs }
}
