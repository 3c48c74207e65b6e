import Kernels
import Quantities

extension GPU {
  /// Boards without NVLink: servers' and workstations' small ones, and consumers'.
  ///
  /// Peaks are dense with fp32 accumulation, as training multiplies: on GeForce boards half of the headline
  /// figure (GA102, Ada and RTX Blackwell white papers, appendices). Each names NVIDIA's document; what
  /// none says, the text calls an assumption.
  static let workstationGPUs: [GPU] = [
    board(
      "l4", sheet: "L4 data sheet",
      memory: 22.05, rate: 300, cache: 48, half: 121, narrow: 242, single: 30.3,
      multiprocessors: 58, pcie: 32, power: 72, price: 0.60,
      capability: 89, kernels: .professional(best: 57.0 / 121), timed: "57 TFLOP/s at 10,240 rows"),
    board(
      "a10g", sheet: "A10G data sheet (AWS)",
      memory: 22.05, rate: 600, cache: 6, half: 70, narrow: nil, single: 35,
      multiprocessors: 80, pcie: 32, power: 300, price: 0.75, capability: 86,
      kernels: .consumer(best: 264.5 / 312), timed: nil),
    board(
      "rtx-3090", sheet: "GA102 architecture white paper, appendix",
      memory: 23.65, rate: 936, cache: 6, half: 71.2, narrow: nil, single: 35.6,
      multiprocessors: 82, pcie: 32, power: 350, price: 0.25, capability: 86,
      kernels: .consumer(best: 76.5 / 71.2), timed: "76.5 TFLOP/s"),
    board(
      "rtx-4090", sheet: "Ada architecture white paper, appendix",
      memory: 23.65, rate: 1_008, cache: 72, half: 165.2, narrow: 330.3, single: 82.6,
      multiprocessors: 128, pcie: 32, power: 450, price: 0.45, capability: 89,
      kernels: .consumer(best: 164 / 165.2), timed: "164 TFLOP/s, median of eight"),
    board(
      "rtx-6000-ada", sheet: "RTX 6000 Ada data sheet and Ada professional white paper",
      memory: 47.50, rate: 960, cache: 96, half: 364.2, narrow: 728.5,
      single: 91.1, multiprocessors: 142, pcie: 32, power: 300, price: 0.80,
      capability: 89,
      kernels: .ada.limited(powerShare: 300.0 / 350, unitShare: 1, peakShare: 364.2 / 362),
      timed: nil),
    board(
      "rtx-5090", sheet: "RTX Blackwell architecture white paper, appendix",
      memory: 31.36, rate: 1_792, cache: 96, half: 209.5, narrow: 419, single: 104.7,
      multiprocessors: 170, pcie: 64, power: 575, price: 0.70, capability: 120,
      kernels: .consumer(best: 239 / 209.5), timed: "236 and 242 TFLOP/s"),
    board(
      "rtx-pro-6000",
      sheet: "RTX PRO 6000 Blackwell Server Edition data sheet and RTX Blackwell PRO white paper",
      memory: 94.97, rate: 1_597, cache: 128, half: 503.8, narrow: 1_007.6,
      single: 126, multiprocessors: 188, pcie: 64, power: 600, price: 1.80,
      capability: 120,
      kernels: .professional(best: 413.7 / 503.8), timed: "409 and 418 TFLOP/s"),
    board(
      "rtx-a6000", sheet: "RTX A6000 data sheet and GA102 white paper",
      memory: 47.53, rate: 768, cache: 6, half: 154.8, narrow: nil, single: 38.7,
      multiprocessors: 84, pcie: 32, power: 300, price: 0.45, capability: 86,
      kernels: .professional(best: 123.3 / 154.8), timed: "123.3 TFLOP/s"),
    board(
      "a40", sheet: "A40 data sheet",
      memory: 44.35, rate: 696, cache: 6, half: 149.7, narrow: nil, single: 37.4,
      multiprocessors: 84, pcie: 32, power: 300, price: 0.40, capability: 86,
      kernels: .professional(best: 122.3 / 149.7), timed: "122.3 TFLOP/s"),
    board(
      "l20", sheet: "L20 data sheet",
      memory: 44.52, rate: 864, cache: 96, half: 119.5, narrow: 239, single: 59.7,
      multiprocessors: 92, pcie: 32, power: 275, price: 0.60, capability: 89,
      kernels: .consumer(best: 114.1 / 119.5), timed: "114.1 TFLOP/s"),
  ]

  private static func board(
    _ name: String, sheet document: String, memory: Double, rate: Double, cache: Double,
    half: Double, narrow: Double?,
    single: Double, multiprocessors: Int, pcie: Double, power: Double, price: Double,
    capability: Int, kernels: KernelConstants, timed: String?
  ) -> GPU {
    var peaks: [NumberFormat: FlopRate] = [
      .fp32: .teraflops(single), .tf32: .teraflops(half / 2), .fp16: .teraflops(half),
      .bf16: .teraflops(half), .int8: .teraflops(narrow ?? 2 * half),
    ]
    if let narrow { peaks[.fp8] = .teraflops(narrow) }
    let sheet = "\(document) (not read again)"
    return GPU(
      name: name, memory: .gibibytes(memory), memoryRate: .gigabytesPerSecond(rate),
      cache: .mebibytes(cache), peaks: peaks, multiprocessors: multiprocessors,
      scaleUp: link(pcie, microseconds: 2), scaleOut: link(12.5, microseconds: 4),
      scaleUpDomain: 8, hostRate: .gigabytesPerSecond(pcie), power: Watts(power),
      idlePower: Watts(power / 10), hourlyPrice: Dollars(price), computeCapability: capability,
      kernels: kernels,
      sources: [
        Source("memory", "\(Origin.capacity): \(memory)"),
        Source("memoryRate", "\(rate) GB/s, \(sheet)"),
        Source("cache", "\(cache) MB, \(sheet)"),
        Source("peaks", "dense with fp32 accumulation, \(sheet): \(half) TFLOP/s in bf16"),
        Source("multiprocessors", "\(multiprocessors), \(sheet)"),
        Source(
          "scaleUp",
          "PCIe × 16 at \(pcie) GB/s, \(sheet), no NVLink counted; latency as l40s (assumption)"),
        Source(
          "scaleOut", "one 200 Gb/s port for two boards (assumption); \(Origin.networkLatency)"),
        Source("scaleUpDomain", "8 boards in a server (assumption)"),
        Source("hostRate", "PCIe × 16, \(sheet)"),
        Source("power", "\(power) W, \(sheet)"),
        Source("idlePower", "10 % of the board limit, as the A100 (assumption)"),
        Source("hourlyPrice", "of the order of marketplaces' lists in 2026 (assumption)"),
        Source(
          "kernels",
          timed.map {
            "the A100's at the rate of its best multiply, \($0), see KernelConstants.timed"
          } ?? "no timings; as boards of its kind, see KernelConstants.professional and consumer"),
      ])
  }
}
