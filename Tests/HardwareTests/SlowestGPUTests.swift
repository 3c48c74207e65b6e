import Foundation
import Kernels
import Quantities
import Testing

@testable import Hardware

@Suite("Slowest of many GPUs")
struct SlowestGPUTests {
  /// The expected largest of n standard normal numbers by its definition, the integral of
  /// 1 − Φ(x)^n above zero less that of Φ(x)^n below.
  private func expectedLargest(_ count: Double) -> Double {
    let width = 1e-3
    return stride(from: width / 2, to: 10, by: width).reduce(0) { sum, x in
      let above = pow(1 - erfc(x / 2.0.squareRoot()) / 2, count)
      let below = pow(erfc(x / 2.0.squareRoot()) / 2, count)
      return sum + (1 - above - below) * width
    }
  }

  @Test("the table holds the expected largest of so many normal numbers")
  func table() {
    // Of two it is 1/√π.
    #expect(close(SlowestGPU.deviations(2), 1 / Double.pi.squareRoot(), within: 1e-4))
    for power in 1...18 {
      let count = 1 << power
      #expect(
        abs(SlowestGPU.deviations(count) - expectedLargest(Double(count))) < 1e-3, "\(count)")
    }
    // Between powers of two on the line, which is short of the curve by little: 1.2672 of six.
    #expect(abs(SlowestGPU.deviations(6) - 1.2672) < 0.05)
    #expect(SlowestGPU.deviations(1) == 0 && SlowestGPU.deviations(0) == 0)
    #expect(SlowestGPU.deviations(1 << 19) == SlowestGPU.deviations(1 << 18))
  }

  @Test("more GPUs are never faster, and 64 are as fast as the constants say")
  func clock() {
    #expect(SlowestGPU.clock(of: 64, spread: 0.015) == 1)
    // 1 / (1 + 0.015 · (1.4236 − 2.3437)) and 1 / (1 + 0.015 · (3.9714 − 2.3437)).
    #expect(close(SlowestGPU.clock(of: 8, spread: 0.015), 1.01400, within: 1e-4))
    #expect(close(SlowestGPU.clock(of: 16_384, spread: 0.015), 0.97617, within: 1e-4))
    var last = Double.infinity
    for count in 1...3_000 {
      let clock = SlowestGPU.clock(of: count, spread: 0.015)
      #expect(clock <= last)
      last = clock
    }
  }

  @Test("multiplies are slower on many GPUs, passes over memory and TPUs are not")
  func costs() throws {
    var gpu = GPU.simple(memory: 1e9)
    gpu.kernels.clockSpread = 0.02
    let multiply = Kernel.matmul(Matmul(m: 4_096, n: 4_096, k: 4_096, format: .bf16))
    let few = KernelCost(gpu: gpu).seconds(for: multiply)
    let many = KernelCost(gpu: gpu, slowestOf: 1_024).seconds(for: multiply)
    // 1 + 0.02 · (3.2482 − 2.3437).
    #expect(close(many / few, 1.01809, within: 1e-6))
    let pass = Kernel.stream(StreamingKernel(.pointwise, read: 1 << 30, written: 1 << 30))
    #expect(
      KernelCost(gpu: gpu, slowestOf: 1_024).seconds(for: pass)
        == KernelCost(gpu: gpu).seconds(for: pass))
    let chip = try #require(GPU.named("tpu-v5p"))
    #expect(
      KernelCost(gpu: chip, slowestOf: 1_024).seconds(for: multiply)
        == KernelCost(gpu: chip).seconds(for: multiply))
  }
}
