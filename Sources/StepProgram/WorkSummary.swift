public import Quantities

/// What a run of kernels does to a GPU's compute stream and to the host thread that launches it.
///
/// Kernels queue on the stream as the host issues them: kernel i starts when kernel i − 1 has ended
/// and the host has issued it. Over a whole run this is a max-plus linear map of (host, device):
///
///     host′   = max(host + issue, device + wait)
///     device′ = max(device + busy, host + lag)
///
/// so runs compose exactly and a layer repeated a thousand times costs one multiplication. `busy`
/// is the device time when the host keeps ahead, `lag` the time from the host's start to the end of
/// the last kernel when it does not, `wait` the time from the device's start to the host's end when
/// the host waits for a result on the way: ``never`` where it does not.
public struct WorkSummary: Hashable, Sendable {
  /// Host time to issue everything, picoseconds.
  public var issue: Int64
  /// Device time, picoseconds.
  public var busy: Int64
  /// Time from the host's start to the device's end when the device waits for the host.
  public var lag: Int64
  /// Time from the device's start to the host's end when the host waits for the device.
  ///
  /// ``never`` where it waits for nothing.
  public var wait: Int64

  /// The ``wait`` of a host that waits for nothing: before any other time.
  public static let never = Int64.min / 4

  /// Whether the host waits for the device somewhere.
  public var waits: Bool { wait != Self.never }

  /// A run that keeps the host busy for `issue` and the device for `busy`.
  ///
  /// It ends `lag` after the host began when launch-bound; the host waits for the device where `wait` is given.
  ///
  /// Each is cut to ``SimDuration/longest``.
  public init(issue: Int64, busy: Int64, lag: Int64, wait: Int64 = never) {
    let longest = SimDuration.longest.picoseconds
    self.issue = min(issue, longest)
    self.busy = min(busy, longest)
    self.lag = min(lag, longest)
    self.wait = min(max(Self.never, wait), longest)
  }

  /// Nothing at all.
  public static let empty = WorkSummary(issue: 0, busy: 0, lag: 0)

  /// The host reads a result of the device: it goes on when all before it has ended.
  public static let readback = WorkSummary(issue: 0, busy: 0, lag: 0, wait: 0)

  /// One kernel of `device` time that takes the host `host` to issue.
  public static func kernel(host: SimDuration, device: SimDuration) -> Self {
    Self(
      issue: host.picoseconds, busy: device.picoseconds,
      lag: host.picoseconds + device.picoseconds)
  }

  /// `launches` equal kernels that take `device` together.
  public static func kernels(_ launches: Int, host: SimDuration, device: SimDuration) -> Self {
    guard launches > 0 else { return .empty }
    let issue = (host * launches).picoseconds
    let last = device.picoseconds / Int64(launches)
    return Self(
      issue: issue, busy: device.picoseconds,
      lag: max(issue + last, host.picoseconds + device.picoseconds))
  }

  /// The same run with a host that waits for each kernel to end before it goes on.
  public var blocking: Self {
    let serial = issue + busy
    return Self(issue: serial, busy: busy, lag: serial)
  }

  /// Host work that launches nothing.
  public static func hostOnly(_ duration: SimDuration) -> Self {
    Self(issue: duration.picoseconds, busy: 0, lag: 0)
  }

  /// This run, then `next`.
  public func then(_ next: Self) -> Self {
    guard waits || next.waits else {
      return Self(
        issue: issue + next.issue, busy: busy + next.busy,
        lag: max(lag + next.busy, issue + next.lag))
    }
    // The product of two max-plus matrices; sums with `never` stay far below any time and are made
    // `never` again when below half of it.
    let wait = max(wait + next.issue, busy + next.wait)
    return Self(
      issue: max(issue + next.issue, lag + next.wait),
      busy: max(busy + next.busy, self.wait + next.lag),
      lag: max(lag + next.busy, issue + next.lag),
      wait: wait < Self.never / 2 ? Self.never : wait)
  }

  /// This run `count` times over.
  public func repeated(_ count: Int) -> Self {
    var result = Self.empty
    var power = self
    var remaining = count
    while remaining > 0 {
      if remaining & 1 == 1 { result = result.then(power) }
      power = power.then(power)
      remaining >>= 1
    }
    return result
  }
}
