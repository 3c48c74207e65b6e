public import Quantities

/// The number of a logical process: a part of the model with a state and a clock of its own.
public typealias LogicalProcess = UInt32

/// Something that happens to a logical process at a point in time; 32 bytes, plain.
///
/// Events are ordered by (time, destination, source, sequence). The sequence counts what the source
/// has scheduled so far, so that no two events are equal and the order does not depend on which
/// MPI process a logical process lives on, nor on the order in which messages arrive.
@frozen public struct Event: Hashable, Sendable, BitwiseCopyable {
  /// When it happens.
  public var time: SimTime
  /// To whom.
  public var destination: LogicalProcess
  /// Who scheduled it.
  public var source: LogicalProcess
  /// How many events the source had scheduled before.
  public var sequence: UInt32
  /// What happens; the model's own code.
  public var kind: UInt32
  /// What the model needs to know about it.
  public var payload: UInt64

  /// An event with all its fields.
  @inlinable public init(
    time: SimTime, destination: LogicalProcess, source: LogicalProcess, sequence: UInt32,
    kind: UInt32, payload: UInt64
  ) {
    self.time = time
    self.destination = destination
    self.source = source
    self.sequence = sequence
    self.kind = kind
    self.payload = payload
  }

  /// Whether this event is handled before `other`.
  @inlinable @inline(__always) public func precedes(_ other: Event) -> Bool {
    if time != other.time { return time < other.time }
    let endpoints = UInt64(destination) << 32 | UInt64(source)
    let otherEndpoints = UInt64(other.destination) << 32 | UInt64(other.source)
    if endpoints != otherEndpoints { return endpoints < otherEndpoints }
    return sequence < other.sequence
  }
}
