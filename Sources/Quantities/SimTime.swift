/// A point on the simulated clock, in picoseconds since the step began.
///
/// `Int64` picoseconds last 106 days: ample for a step, too short for a run, which is composed in
/// ``Seconds``. Integers make the order of events total and the same on every machine.
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

  /// An interval of `picoseconds`.
  @inlinable public init(picoseconds: Int64) { self.picoseconds = picoseconds }

  /// An interval of `seconds`, rounded to the nearest picosecond, ties to even.
  ///
  /// This is the one place where a computed duration becomes an integer; everything after it is
  /// exact.
  /// - Precondition: `seconds` is finite and below 106 days.
  @inlinable public init(seconds: Double) {
    precondition(seconds.isFinite, "a duration must be finite, not \(seconds)")
    self.picoseconds = Int64((seconds * 1e12).rounded(.toNearestOrEven))
  }

  /// The empty interval.
  public static let zero = SimDuration(picoseconds: 0)

  /// The interval in seconds.
  @inlinable public var seconds: Double { Double(picoseconds) * 1e-12 }

  /// Whether `lhs` is shorter than `rhs`.
  @inlinable public static func < (lhs: Self, rhs: Self) -> Bool {
    lhs.picoseconds < rhs.picoseconds
  }

  /// Both intervals, one after the other; traps on overflow.
  @inlinable public static func + (lhs: Self, rhs: Self) -> Self {
    Self(picoseconds: lhs.picoseconds + rhs.picoseconds)
  }

  /// What is left of `lhs` when `rhs` is taken away; may be negative.
  @inlinable public static func - (lhs: Self, rhs: Self) -> Self {
    Self(picoseconds: lhs.picoseconds - rhs.picoseconds)
  }

  /// The interval `lhs`, `rhs` times over.
  @inlinable public static func * (lhs: Self, rhs: Int) -> Self {
    Self(picoseconds: lhs.picoseconds * Int64(rhs))
  }

  /// Lengthens the interval.
  @inlinable public static func += (lhs: inout Self, rhs: Self) {
    lhs.picoseconds += rhs.picoseconds
  }
}
