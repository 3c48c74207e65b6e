import Quantities
import Testing

@Suite struct UnitTextTests {
  /// SplitMix64, seeded.
  private struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
  }

  @Test("whole bytes read back exactly as printed", arguments: 0..<300)
  func bytesInverse(seed: Int) throws {
    var random = Random(state: UInt64(seed))
    // Up to 2^50: every scaled value is an exact double, since the units are powers of two.
    let bytes = Bytes(Int64.random(in: -(1 << 50)...(1 << 50), using: &random))
    #expect(try Bytes(unitText: bytes.unitText) == bytes)
  }

  @Test("rates and times read back to within one rounding of what was printed", arguments: 0..<300)
  func inverse(seed: Int) throws {
    var random = Random(state: UInt64(seed))
    let exponent = Double.random(in: -9...16, using: &random)
    var value = 1.0
    for _ in 0..<Int(abs(exponent)) { value *= exponent < 0 ? 0.1 : 10 }
    value *= Double.random(in: 1..<10, using: &random)
    // Dividing by the unit and multiplying again costs at most one rounding each: 2 × 2^-53.
    let tolerance = value * 2.3e-16
    let rate = try ByteRate(unitText: ByteRate(bytesPerSecond: value).unitText)
    #expect(abs(rate.bytesPerSecond - value) <= tolerance)
    let flops = try FlopRate(unitText: FlopRate(flopsPerSecond: value).unitText)
    #expect(abs(flops.flopsPerSecond - value) <= tolerance)
    let seconds = try Seconds(unitText: Seconds(value).unitText)
    #expect(abs(seconds.value - value) <= tolerance)
  }

  @Test(
    "units are what they are called",
    arguments: [
      ("450 GB/s", 450e9), ("400 Gb/s", 50e9), ("1 GiB/s", 1_073_741_824), ("1e3kB/s", 1e6),
      ("8 b/s", 1), ("1_000 B/s", 1_000),
    ])
  func rates(text: String, bytesPerSecond: Double) throws {
    #expect(try ByteRate(unitText: text).bytesPerSecond == bytesPerSecond)
  }

  @Test("GB is 10^9 bytes and GiB is 2^30")
  func prefixes() throws {
    #expect(try Bytes(unitText: "80 GB").count == 80_000_000_000)
    #expect(try Bytes(unitText: "80 GiB").count == 85_899_345_920)
    #expect(try Bytes(unitText: "1 EB".replacing("E", with: "P")).count == 1_000_000_000_000_000)
  }

  @Test("text without a number, a unit, or with another quantity's unit is refused")
  func refusals() {
    #expect(throws: UnitTextError.notANumber("fast")) { try Seconds(unitText: "fast") }
    #expect(throws: UnitTextError.notANumber("")) { try Seconds(unitText: "") }
    #expect(throws: UnitTextError.notANumber("1e999 s")) { try Seconds(unitText: "1e999 s") }
    #expect(throws: UnitTextError.missingUnit(accepted: ["W", "kW", "MW"])) {
      try Watts(unitText: "700")
    }
    #expect(throws: UnitTextError.unknownUnit("kw", accepted: ["W", "kW", "MW"])) {
      try Watts(unitText: "0.7 kw")
    }
    #expect(throws: UnitTextError.unknownUnit("GB/s", accepted: ["USD"])) {
      try Dollars(unitText: "3 GB/s")
    }
  }

  @Test("the largest unit that leaves at least one is printed")
  func printing() {
    #expect(Seconds(90).unitText == "1.5 min")
    #expect(Seconds(2e-6).unitText == "2 us" || Seconds(2e-6).unitText == "2.0 us")
    #expect(Bytes(1_536).unitText == "1.5 KiB")
    #expect(Bytes(1_023).unitText == "1023 B")
    #expect(ByteRate.gigabitsPerSecond(400).unitText == "50 GB/s")
  }
}
