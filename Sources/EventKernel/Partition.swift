/// Which process each logical process lives on: contiguous blocks in the order of ranks.
public struct Partition: Hashable, Sendable {
  /// The first logical process of each process, then the number of all: ascending.
  public let bounds: [LogicalProcess]

  /// Blocks that begin at the given logical processes.
  ///
  /// - Parameters:
  ///   - firstOfEachProcess: one entry for each process, ascending, beginning with 0; equal
  ///     neighbours leave the earlier process without work.
  ///   - count: the number of logical processes.
  public init(firstOfEachProcess: [LogicalProcess], count: Int) {
    precondition(firstOfEachProcess.first == 0, "the first process begins at logical process 0")
    let bounds = firstOfEachProcess + [LogicalProcess(count)]
    precondition(
      zip(bounds, bounds.dropFirst()).allSatisfy { $0 <= $1 }, "the blocks must be ascending")
    self.bounds = bounds
  }

  /// Blocks as equal as possible.
  ///
  /// - Parameters:
  ///   - count: the number of logical processes.
  ///   - processes: how many processes share them.
  ///   - unit: neighbours that stay together (the ranks of one node), as long as there are at
  ///     least as many units as processes.
  public init(evenly count: Int, over processes: Int, inUnitsOf unit: Int = 1) {
    precondition(processes > 0 && unit > 0, "\(processes) processes, units of \(unit)")
    let units = (count + unit - 1) / unit
    let grain = units >= processes ? unit : 1
    let grains = (count + grain - 1) / grain
    self.init(
      firstOfEachProcess: (0..<processes).map {
        LogicalProcess(min(count, grains * $0 / processes * grain))
      }, count: count)
  }

  /// The number of processes.
  public var processes: Int { bounds.count - 1 }

  /// The number of logical processes.
  public var count: Int { Int(bounds[bounds.count - 1]) }

  /// The logical processes of one process.
  public func block(of process: Int) -> Range<LogicalProcess> {
    bounds[process]..<bounds[process + 1]
  }

  /// The process a logical process lives on.
  ///
  /// - Complexity: O(log processes).
  public func process(of logicalProcess: LogicalProcess) -> Int {
    var low = 0
    var high = processes
    while low + 1 < high {
      let middle = (low + high) / 2
      if bounds[middle] <= logicalProcess { low = middle } else { high = middle }
    }
    return low
  }
}
