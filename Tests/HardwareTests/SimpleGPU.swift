import Hardware
import Kernels
import Quantities

extension GPU {
  /// A GPU whose costs can be worked out by hand: 100 multiprocessors of 1 TFLOP/s, 1 TB/s of HBM,
  /// 128 × 128 tiles only, every fraction 1, every overhead 0 unless given.
  static func simple(
    multiprocessors: Int = 100, peak: Double = 100, memory: Double = 1_000,
    overhead: Double = 0, prologue: Double = 0, waveTail: Double = 1, clock: Double = 1,
    cache: Bytes = .mebibytes(40), residency: Double = 0,
    attention: AttentionConstants = AttentionConstants(
      efficiency: 1, softmaxDimensions: 0, prologueKeys: 0, tail: 0)
  ) -> GPU {
    let pair = AttentionConstantsTable.PassPair(forward: attention, backward: attention)
    let none = Link(rate: .gigabytesPerSecond(1), latency: .zero)
    return GPU(
      name: "simple", memory: .gibibytes(80), memoryRate: .gigabytesPerSecond(memory),
      cache: cache, peaks: [.bf16: .teraflops(peak)], multiprocessors: multiprocessors,
      scaleUp: none, scaleOut: none, scaleUpDomain: 8, hostRate: .gigabytesPerSecond(1),
      power: Watts(1), idlePower: Watts(0), hourlyPrice: Dollars(1),
      kernels: KernelConstants(
        tiles: [MatmulTile(128, 128)], operandCost: 0, matmulEfficiency: [:],
        defaultMatmulEfficiency: 1, sustainedClock: clock, tilePrologue: prologue,
        waveTail: waveTail, kernelOverhead: overhead, matmulMemoryFraction: 1,
        streaming: StreamingFractions(
          pointwise: 1, rowReduction: 0.5, gather: 0.25, multiTensor: 1),
        cacheSpeedup: 4, cacheResidency: residency,
        attention: AttentionConstantsTable(flash1: pair, flash2: pair, flash3: pair)),
      sources: [])
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): a small generator with a seed.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Whether two durations agree to `part` of the second.
func close(_ one: Double, _ other: Double, within part: Double = 1e-9) -> Bool {
  abs(one - other) <= part * abs(other)
}
