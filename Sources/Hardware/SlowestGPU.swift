/// How much slower than usual the slowest of many equal GPUs is.
///
/// Equal GPUs do not run equally fast: under its power limit each chip settles at a clock of its own.
/// Ranks of a training step wait for each other, so that the slowest of the job sets the pace. Of n draws
/// from a normal distribution the largest lies e(n) deviations above the mean, e(n) the expected largest of n
/// standard normal numbers.
public enum SlowestGPU {
  /// The job size that sustained clocks were fitted on: there nothing changes.
  ///
  /// The measured steps behind `KernelConstants+Fitted` are of 2 to 512 GPUs, 64 in their middle.
  public static let usualCount = 64

  /// The expected largest of 1, 2, 4, … 262,144 standard normal numbers.
  ///
  /// The integral of x d(Φ(x)^n) (David and Nagaraja, Order Statistics, 2003, section 3.1).
  private static let expectedLargest = [
    0, 0.5642, 1.0294, 1.4236, 1.7660, 2.0697, 2.3437, 2.5946, 2.8269, 3.0439, 3.2482, 3.4418,
    3.6261, 3.8023, 3.9714, 4.1341, 4.2911, 4.4430, 4.5903,
  ]

  /// Deviations by which the largest of `count` standard normal numbers is expected above their mean.
  ///
  /// Between powers of two on the line between theirs.
  static func deviations(_ count: Int) -> Double {
    guard count > 1 else { return 0 }
    let power = min(
      Int.bitWidth - 1 - count.leadingZeroBitCount, expectedLargest.count - 2)
    let lower = expectedLargest[power]
    let part = min(1, Double(count - (1 << power)) / Double(1 << power))
    return lower + part * (expectedLargest[power + 1] - lower)
  }

  /// Clock of the slowest of `count` GPUs over that of the slowest of ``usualCount``.
  ///
  /// - Parameters:
  ///   - count: GPUs of the job.
  ///   - spread: relative standard deviation of their clocks.
  /// - Returns: above 1 for fewer than ``usualCount``, below for more.
  static func clock(of count: Int, spread: Double) -> Double {
    1 / (1 + spread * (deviations(count) - deviations(usualCount)))
  }
}
