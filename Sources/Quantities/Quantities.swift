/// A count of bytes; exact, may be negative as a difference.
@frozen public struct Bytes: Hashable, Comparable, Sendable {
  /// The number of bytes.
  public var count: Int64

  /// That many bytes.
  @inlinable public init(_ count: Int64) { self.count = count }

  /// That many bytes.
  @inlinable public init(_ count: Int) { self.count = Int64(count) }

  /// No bytes.
  public static let zero = Bytes(Int64(0))

  /// `value` × 2^30 bytes, rounded to the nearest byte.
  public static func gibibytes(_ value: Double) -> Self {
    Self(Int64((value * 1_073_741_824).rounded()))
  }

  /// `value` × 2^20 bytes, rounded to the nearest byte.
  public static func mebibytes(_ value: Double) -> Self {
    Self(Int64((value * 1_048_576).rounded()))
  }

  /// `value` × 10^9 bytes, rounded to the nearest byte.
  public static func gigabytes(_ value: Double) -> Self { Self(Int64((value * 1e9).rounded())) }

  /// The count in units of 2^30 bytes.
  public var gibibytes: Double { Double(count) / 1_073_741_824 }

  /// Whether `lhs` is fewer bytes than `rhs`.
  @inlinable public static func < (lhs: Self, rhs: Self) -> Bool { lhs.count < rhs.count }
  /// The sum; traps on overflow.
  @inlinable public static func + (lhs: Self, rhs: Self) -> Self { Self(lhs.count + rhs.count) }
  /// The difference; traps on overflow.
  @inlinable public static func - (lhs: Self, rhs: Self) -> Self { Self(lhs.count - rhs.count) }
  /// The product with a plain count; traps on overflow.
  @inlinable public static func * (lhs: Self, rhs: Int) -> Self { Self(lhs.count * Int64(rhs)) }
  /// Adds in place; traps on overflow.
  @inlinable public static func += (lhs: inout Self, rhs: Self) { lhs.count += rhs.count }
  /// Subtracts in place; traps on overflow.
  @inlinable public static func -= (lhs: inout Self, rhs: Self) { lhs.count -= rhs.count }

  /// Seconds that the bytes take at `rate`.
  @inlinable public static func / (lhs: Self, rhs: ByteRate) -> Seconds {
    Seconds(Double(lhs.count) / rhs.bytesPerSecond)
  }
}

/// Bytes a second.
@frozen public struct ByteRate: Hashable, Comparable, Sendable {
  /// Bytes in one second.
  public var bytesPerSecond: Double

  /// That many bytes a second.
  @inlinable public init(bytesPerSecond: Double) { self.bytesPerSecond = bytesPerSecond }

  /// `value` × 10^9 bytes a second.
  public static func gigabytesPerSecond(_ value: Double) -> Self {
    Self(bytesPerSecond: value * 1e9)
  }

  /// `value` × 10^9 bits a second.
  public static func gigabitsPerSecond(_ value: Double) -> Self {
    Self(bytesPerSecond: value * 1e9 / 8)
  }

  /// Whether `lhs` is slower than `rhs`.
  @inlinable public static func < (lhs: Self, rhs: Self) -> Bool {
    lhs.bytesPerSecond < rhs.bytesPerSecond
  }
  /// The rate scaled by a plain factor.
  @inlinable public static func * (lhs: Self, rhs: Double) -> Self {
    Self(bytesPerSecond: lhs.bytesPerSecond * rhs)
  }
}

/// A count of floating-point operations (a multiply-add counts two).
@frozen public struct Flops: Hashable, Comparable, Sendable {
  /// The number of operations.
  public var count: Double

  /// That many operations.
  @inlinable public init(_ count: Double) { self.count = count }

  /// No work.
  public static let zero = Flops(0)

  /// The count in PFLOP-days: 10^15 operations a second for 86,400 seconds.
  public var petaflopDays: Double { count / (1e15 * 86_400) }

  /// Whether `lhs` is less work than `rhs`.
  @inlinable public static func < (lhs: Self, rhs: Self) -> Bool { lhs.count < rhs.count }
  /// The sum.
  @inlinable public static func + (lhs: Self, rhs: Self) -> Self { Self(lhs.count + rhs.count) }
  /// The product with a plain factor.
  @inlinable public static func * (lhs: Self, rhs: Double) -> Self { Self(lhs.count * rhs) }
  /// Adds in place.
  @inlinable public static func += (lhs: inout Self, rhs: Self) { lhs.count += rhs.count }
  /// Seconds that the work takes at `rate`.
  @inlinable public static func / (lhs: Self, rhs: FlopRate) -> Seconds {
    Seconds(lhs.count / rhs.flopsPerSecond)
  }
}

/// Floating-point operations a second.
@frozen public struct FlopRate: Hashable, Comparable, Sendable {
  /// Operations in one second.
  public var flopsPerSecond: Double

  /// That many operations a second.
  @inlinable public init(flopsPerSecond: Double) { self.flopsPerSecond = flopsPerSecond }

  /// `value` × 10^12 operations a second.
  public static func teraflops(_ value: Double) -> Self { Self(flopsPerSecond: value * 1e12) }

  /// Whether `lhs` is slower than `rhs`.
  @inlinable public static func < (lhs: Self, rhs: Self) -> Bool {
    lhs.flopsPerSecond < rhs.flopsPerSecond
  }
}

/// A run-level interval in seconds; unlike ``SimDuration`` it can hold months.
@frozen public struct Seconds: Hashable, Comparable, Sendable {
  /// The interval in seconds.
  public var value: Double

  /// That many seconds.
  @inlinable public init(_ value: Double) { self.value = value }

  /// The empty interval.
  public static let zero = Seconds(0)

  /// The interval in hours.
  public var hours: Double { value / 3_600 }

  /// The interval in days of 86,400 seconds.
  public var days: Double { value / 86_400 }

  /// Whether `lhs` is shorter than `rhs`.
  @inlinable public static func < (lhs: Self, rhs: Self) -> Bool { lhs.value < rhs.value }
  /// The sum.
  @inlinable public static func + (lhs: Self, rhs: Self) -> Self { Self(lhs.value + rhs.value) }
  /// The product with a plain factor.
  @inlinable public static func * (lhs: Self, rhs: Double) -> Self { Self(lhs.value * rhs) }
}

/// Electrical power in watts.
@frozen public struct Watts: Hashable, Comparable, Sendable {
  /// Joules a second.
  public var value: Double

  /// That many watts.
  @inlinable public init(_ value: Double) { self.value = value }

  /// Whether `lhs` draws less than `rhs`.
  @inlinable public static func < (lhs: Self, rhs: Self) -> Bool { lhs.value < rhs.value }
}

/// An amount of money in United States dollars.
@frozen public struct Dollars: Hashable, Comparable, Sendable {
  /// The amount.
  public var value: Double

  /// That many dollars.
  @inlinable public init(_ value: Double) { self.value = value }

  /// Whether `lhs` is less than `rhs`.
  @inlinable public static func < (lhs: Self, rhs: Self) -> Bool { lhs.value < rhs.value }
}

/// A part of a whole, in hundredths.
@frozen public struct Percent: Hashable, Comparable, Sendable {
  /// Hundredths.
  public var value: Double

  /// That many hundredths.
  @inlinable public init(_ value: Double) { self.value = value }

  /// The part as a plain number: 0.5 for 50 %.
  @inlinable public var fraction: Double { value / 100 }

  /// Whether `lhs` is the smaller part.
  @inlinable public static func < (lhs: Self, rhs: Self) -> Bool { lhs.value < rhs.value }
}
