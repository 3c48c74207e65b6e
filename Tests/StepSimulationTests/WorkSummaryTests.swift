import Quantities
import Testing

@testable import StepProgram

@Suite struct WorkSummaryTests {
  @Test("a run of kernels ends when the slower of host and device does")
  func composition() {
    // Two kernels, host 3, device 10: the host starts at 0 on an idle GPU; the first kernel runs 3…13,
    // the second 13…23. The host is free at 6, the device busy 20 of the 23.
    let kernel = WorkSummary.kernel(
      host: SimDuration(picoseconds: 3), device: SimDuration(picoseconds: 10))
    #expect(kernel.then(kernel) == WorkSummary(issue: 6, busy: 20, lag: 23))
    // Host 10, device 3: kernels run 10…13 and 20…23.
    let slow = WorkSummary.kernel(
      host: SimDuration(picoseconds: 10), device: SimDuration(picoseconds: 3))
    #expect(slow.then(slow) == WorkSummary(issue: 20, busy: 6, lag: 23))
  }

  @Test("repetition equals composition, one by one", arguments: 0..<50)
  func repetition(count: Int) {
    let run = WorkSummary(issue: 7 + Int64(count % 5), busy: 11, lag: 19)
    var expected = WorkSummary.empty
    for _ in 0..<count { expected = expected.then(run) }
    #expect(run.repeated(count) == expected)
  }
}
