import Hardware
import Kernels
import Quantities
import Testing

@Suite struct MonotonicityTests {
  /// A kernel of a random kind and shape.
  static func kernel(_ random: inout SplitMix) -> Kernel {
    switch Int.random(in: 0..<3, using: &random) {
    case 0:
      .matmul(
        Matmul(
          m: Int.random(in: 1...20_000, using: &random),
          n: Int.random(in: 1...20_000, using: &random),
          k: Int.random(in: 1...20_000, using: &random),
          batch: Int.random(in: 1...4, using: &random),
          format: NumberFormat.allCases.randomElement(using: &random) ?? .bf16,
          accumulates: Bool.random(using: &random)))
    case 1:
      .attention(
        AttentionKernel(
          algorithm: [.flash1, .flash2, .flash3].randomElement(using: &random) ?? .flash2,
          pass: Bool.random(using: &random) ? .forward : .backward,
          batch: Int.random(in: 1...8, using: &random),
          heads: 8 * Int.random(in: 1...8, using: &random), keyValueHeads: 8,
          queryLength: Int.random(in: 1...16_384, using: &random),
          keyLength: Int.random(in: 1...16_384, using: &random),
          headDimension: 32 * Int.random(in: 1...8, using: &random),
          valueDimension: 32 * Int.random(in: 1...8, using: &random),
          computedFraction: Double.random(in: 0.01...1, using: &random), format: .bf16))
    default:
      .stream(
        StreamingKernel(
          StreamingKind.allCases.randomElement(using: &random) ?? .pointwise,
          read: Int64.random(in: 0...10_000_000_000, using: &random),
          written: Int64.random(in: 0...10_000_000_000, using: &random),
          launches: Int.random(in: 1...10, using: &random)))
    }
  }

  @Test("more bandwidth, more FLOP/s or a higher clock is never slower", arguments: 0..<16)
  func betterIsNotSlower(seed: Int) {
    var random = SplitMix(state: UInt64(seed))
    let gpu = GPU.catalogue[seed]
    var wider = gpu
    wider.memoryRate = wider.memoryRate * 1.3
    var faster = gpu
    for (format, rate) in faster.peaks {
      faster.peaks[format] = .teraflops(rate.flopsPerSecond / 1e12 * 1.3)
    }
    var clocked = gpu
    clocked.kernels.sustainedClock *= 1.1
    let cost = KernelCost(gpu: gpu)
    for _ in 0..<100 {
      let kernel = Self.kernel(&random)
      let seconds = cost.seconds(for: kernel)
      #expect(seconds.isFinite && seconds >= cost.kernelOverhead)
      for better in [wider, faster, clocked] {
        let improved = KernelCost(gpu: better).seconds(for: kernel)
        #expect(improved <= seconds * (1 + 1e-12), "\(better.name): \(kernel)")
      }
    }
  }

  @Test("more of the same work is never faster", arguments: 0..<16)
  func moreIsNotFaster(seed: Int) {
    var random = SplitMix(state: UInt64(100 + seed))
    let cost = KernelCost(gpu: GPU.catalogue[seed])
    for _ in 0..<100 {
      let m = Int.random(in: 1...20_000, using: &random)
      let batch = Int.random(in: 1...50, using: &random)
      let k = Int.random(in: 1...20_000, using: &random)
      let some = Matmul(m: m, n: 4_096, k: k, batch: batch, format: .bf16)
      var more = some
      more.batch *= 2
      #expect(cost.seconds(for: more) >= cost.seconds(for: some) * (1 - 1e-12))
      let bytes = Int64.random(in: 0...1_000_000_000, using: &random)
      #expect(
        cost.seconds(for: StreamingKernel(.pointwise, read: 2 * bytes, written: bytes))
          >= cost.seconds(for: StreamingKernel(.pointwise, read: bytes, written: bytes)))
    }
  }
}
