import Quantities
import StepProgram
import Testing

@Suite("Runs of kernels")
struct WorkSummaryTests {
  @Test("a summary does what its kernels do one by one", arguments: 0..<200)
  func summaryEqualsSteps(seed: Int) {
    var random = SeededGenerator(state: UInt64(seed))
    let startHost = Int64.random(in: 0..<1_000, using: &random)
    let startDevice = Int64.random(in: 0..<1_000, using: &random)
    var host = startHost
    var device = startDevice
    var summary = WorkSummary.empty
    // The last piece is a kernel: host work alone moves the idle stream's clock up to the host's,
    // which the next kernel, issued later, does not notice.
    let count = Int.random(in: 1..<30, using: &random)
    for index in 0..<count {
      let issue = SimDuration(picoseconds: .random(in: 0..<100, using: &random))
      let length = Int64.random(in: 0..<100, using: &random)
      switch Int.random(in: index == count - 1 ? 1..<3 : 0..<4, using: &random) {
      case 0:
        summary = summary.then(.hostOnly(issue))
        host += issue.picoseconds
      case 1:
        summary = summary.then(.kernel(host: issue, device: SimDuration(picoseconds: length)))
        host += issue.picoseconds
        device = max(device, host) + length
      case 3:
        summary = summary.then(.readback)
        host = max(host, device)
      default:
        let launches = Int.random(in: 1..<5, using: &random)
        let work = SimDuration(picoseconds: length * Int64(launches))
        summary = summary.then(.kernels(launches, host: issue, device: work))
        for _ in 0..<launches {
          host += issue.picoseconds
          device = max(device, host) + length
        }
      }
    }
    #expect(max(startHost + summary.issue, startDevice + summary.wait) == host)
    #expect(max(startDevice + summary.busy, startHost + summary.lag) == device)
  }

  @Test("repeating is composing", arguments: 0..<20)
  func repeatedEqualsComposed(count: Int) {
    for run in [
      WorkSummary(issue: 7, busy: 5, lag: 9), WorkSummary(issue: 7, busy: 5, lag: 9, wait: 6),
    ] {
      var composed = WorkSummary.empty
      for _ in 0..<count { composed = composed.then(run) }
      #expect(run.repeated(count) == composed)
    }
  }

  @Test("a host that reads a result cannot run ahead of the device")
  func readback() {
    // Two kernels of 50 ps, 10 ps each to issue, a result read between them. The host is at 10, the
    // first kernel ends at 60, so the host goes on at 60, issues until 70, the second ends at 120.
    let kernel = WorkSummary.kernel(
      host: SimDuration(picoseconds: 10), device: SimDuration(picoseconds: 50))
    let run = kernel.then(.readback).then(kernel)
    #expect(run == WorkSummary(issue: 70, busy: 110, lag: 120, wait: 60))
    #expect(run.waits && !kernel.then(kernel).waits)
    // Without it the device never stops: 10 + 50 + 50.
    #expect(kernel.then(kernel).lag == 110)
  }

  @Test("a host that waits for its launches adds up with the device")
  func blocking() {
    // Three launches of 10 ps each on the host, 20 ps each on the device: 30 + 60.
    let work = WorkSummary.kernels(
      3, host: SimDuration(picoseconds: 10), device: SimDuration(picoseconds: 60))
    #expect(work.blocking == WorkSummary(issue: 90, busy: 60, lag: 90))
  }
}
