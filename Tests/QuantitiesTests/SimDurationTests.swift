import Quantities
import Testing

@Suite struct SimDurationTests {
  @Test(
    "seconds become the nearest picosecond, ties the even one",
    arguments: [
      // 0.5 ps lies between 0 and 1: the even one is 0; 1.5 ps lies between 1 and 2: 2.
      (0.5e-12, 0), (1.5e-12, 2), (2.5e-12, 2), (0.51e-12, 1), (1e-6, 1_000_000),
      (-1.2e-12, -1), (1, 1_000_000_000_000),
    ] as [(Double, Int64)])
  func rounding(seconds: Double, picoseconds: Int64) {
    #expect(SimDuration(seconds: seconds).picoseconds == picoseconds)
  }

  @Test("a duration survives the way to seconds and back up to half an hour", arguments: 0..<100)
  func inverse(seed: Int) {
    // Doubles hold integers up to 2^53 ps, about 2.5 hours, exactly; seconds add one rounding, so
    // stay below 2^51.
    let picoseconds = Int64(seed) &* 22_517_998_136_852 / 1 % (1 << 51)
    let duration = SimDuration(picoseconds: picoseconds)
    #expect(SimDuration(seconds: duration.seconds) == duration)
  }

  @Test("what is too long is cut, and adding to it does not trap")
  func longest() {
    // 2^61 − 1 ps are 26.7 days; 1e8 s are 1,157.
    #expect(SimDuration(seconds: 1e8) == .longest)
    #expect(SimDuration(seconds: .infinity) == .longest)
    #expect(SimDuration(seconds: -1e8).picoseconds == -SimDuration.longest.picoseconds)
    #expect(SimDuration.longest + .longest == .longest)
    #expect(SimDuration(seconds: 86_400) * 100 == .longest)
    #expect((SimDuration(seconds: -86_400) * 100).picoseconds == -SimDuration.longest.picoseconds)
    #expect(SimDuration(seconds: 86_400) * 26 == SimDuration(seconds: 26 * 86_400))
  }

  @Test("points and intervals add up")
  func arithmetic() {
    let start = SimTime(picoseconds: 40)
    let interval = SimDuration(picoseconds: 2)
    #expect(start + interval * 3 - start == SimDuration(picoseconds: 6))
    #expect(SimTime.zero < start && start < .never)
  }
}
