import Hardware
import Layout
import Quantities
import StepProgram

/// Steps longer than the simulated clock goes are refused: figures cut to its end would be wrong.
extension StepProgram {
  /// Refuses a step one operation or pass of which alone is too long (``SimDuration/longest``).
  /// - Throws: ``StepSimulationError/tooLong``.
  func checkPasses() throws(StepSimulationError) {
    let longest = SimDuration.longest.picoseconds
    let isTooLong =
      calls.contains { $0.duration >= .longest }
      || blocks.contains { block in
        let work = block.summary
        return max(work.busy, work.issue, work.lag, work.wait) >= longest
          || block.busyByCategory.contains { $0 >= longest }
      }
    if isTooLong { throw .tooLong }
  }

  /// Refuses a step that might be too long on every rank of a network that messages share.
  ///
  /// No step lasts longer than all passes of all stages one after the other, the slowest rank's, and
  /// all messages of all ranks, where they can be in one another's way.
  /// - Throws: ``StepSimulationError/tooLong``.
  func checkSum(_ speeds: RankSpeeds) throws(StepSimulationError) {
    try checkPasses()
    let each = blocks.map { block in
      (
        kernels: Double(block.summary.busy) + Double(block.summary.issue),
        calls: block.calls.reduce(0.0) { $0 + Double(calls[$1].duration.picoseconds) }
      )
    }
    var kernels = 0.0
    var messages = 0.0
    for stage in stages {
      for instruction in stage.instructions {
        switch instruction {
        case .run(let block):
          kernels += each[block].kernels
          messages += each[block].calls
        case .launch(let call, _, _), .meet(let call, _, _):
          messages += Double(calls[call].duration.picoseconds)
        case .send(_, _, _, let duration, _): messages += Double(duration.picoseconds)
        default: break
        }
      }
    }
    // A deviate is within √12, a deviation within `Jitter.limit`: (1 + 0.87)², of a GPU and a kernel.
    let jitter = speeds.jitter == RankSpeeds.Jitter() ? 1 : 3.5
    let slowest = speeds.slowdowns.reduce(jitter) { $0 * max(1, $1.factor) }
    let crowd = job.cluster.sharesLinks ? Double(job.parallelism.gpuCount) : 1
    guard kernels * slowest + messages * crowd < Double(SimDuration.longest.picoseconds) else {
      throw .tooLong
    }
  }
}
