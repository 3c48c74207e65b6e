import Kernels
import Quantities

extension GPU {
  /// AMD Instinct parts beside MI250X and MI300X.
  static let amdVariants: [GPU] = [
    amdGPUs[0].variant(
      "mi250",
      sources: [
        Source("name", "one of the two dies of a board: the device a rank owns"),
        Source("peaks", "half of the board's 362 TFLOP/s, \(Origin.sheets)"),
        Source("multiprocessors", "104 compute units a die, MI250 data sheet"),
        Source("scaleOut", "4 × 200 Gb/s for 8 dies (assumption); \(Origin.networkLatency)"),
      ]
    ) { gpu in
      gpu.peaks = [
        .fp32: .teraflops(22.65), .fp16: .teraflops(181), .bf16: .teraflops(181),
        .int8: .teraflops(181),
      ]
      gpu.multiprocessors = 104
    },
    amdGPUs[1].variant(
      "mi325x",
      sources: [
        Source("memory", "\(Origin.capacity): 255.98"),
        Source("memoryRate", "6.0 TB/s HBM3e, \(Origin.sheets)"),
        Source("power", "1000 W, \(Origin.sheets)"),
        Source("hourlyPrice", "between mi300x and h200-sxm-141gb (assumption)"),
        Source("kernels", "the MI300X's, faster: see KernelConstants.instinct325"),
      ]
    ) { gpu in
      gpu.memory = .gibibytes(255.98)
      gpu.memoryRate = .gigabytesPerSecond(6_000)
      gpu.power = Watts(1_000)
      gpu.hourlyPrice = Dollars(2.25)
      gpu.kernels = .instinct325
    },
    instinct350("mi350x", share: 2_300.0 / 2_500, power: 1_000, kernels: .instinct350),
    instinct350("mi355x", share: 1, power: 1_400, kernels: .instinct355),
  ]

  private static func instinct350(
    _ name: String, share: Double, power: Double, kernels: KernelConstants
  ) -> GPU {
    amdGPUs[1].variant(
      name,
      sources: [
        Source("memory", "\(Origin.capacity): 287.98"),
        Source("memoryRate", "8.0 TB/s HBM3e, \(Origin.sheets)"),
        Source("peaks", "dense, \(Origin.sheets), of the MI350X in step with its 2.3 PFLOP/s"),
        Source("multiprocessors", "256 compute units, CDNA 4 architecture white paper"),
        Source("cache", "256 MB Infinity Cache, CDNA 4 architecture white paper"),
        Source(
          "scaleUp",
          "7 Infinity Fabric links of 76.5 GB/s, one to each peer, \(Origin.sheets); latency as mi300x"
        ),
        Source("power", "\(power) W, \(Origin.sheets)"),
        Source("hourlyPrice", "below b200-sxm (assumption)"),
        Source("kernels", "the MI300X's, faster: see KernelConstants.instinct355 and instinct350"),
      ]
    ) { gpu in
      gpu.memory = .gibibytes(287.98)
      gpu.memoryRate = .gigabytesPerSecond(8_000)
      gpu.peaks = [
        .fp32: .teraflops(157.3 * share), .fp16: .teraflops(2_500 * share),
        .bf16: .teraflops(2_500 * share), .fp8: .teraflops(5_000 * share),
        .mxfp8: .teraflops(5_000 * share), .int8: .teraflops(5_000 * share),
      ]
      gpu.multiprocessors = 256
      gpu.scaleUp = link(535.5, microseconds: 2)
      gpu.power = Watts(power)
      gpu.hourlyPrice = Dollars(3.50)
      gpu.kernels = kernels
    }
  }

  /// Google TPUs beside the v5p.
  static let googleVariants: [GPU] = [
    tensorProcessor(
      "tpu-v4", memory: 32, rate: 1_228, peaks: [.bf16: 275, .int8: 275], units: 8, ring: 300,
      pod: 4_096, price: 3.22, kernels: .tensorProcessor),
    tensorProcessor(
      "tpu-v5e", memory: 16, rate: 819, peaks: [.bf16: 197, .int8: 394], units: 4, ring: 200,
      pod: 256, price: 1.20, kernels: .tensorProcessorLite),
    tensorProcessor(
      "tpu-v6e", memory: 32, rate: 1_640, peaks: [.bf16: 918, .int8: 1_836], units: 2, ring: 400,
      pod: 256, price: 2.70, kernels: .tensorProcessor256),
    tensorProcessor(
      "tpu-v7x", memory: 192, rate: 7_380, peaks: [.bf16: 2_307, .fp8: 4_614], units: 4, ring: 600,
      pod: 9_216, price: 8, kernels: .tensorProcessor256),
  ]

  private static func tensorProcessor(
    _ name: String, memory: Double, rate: Double, peaks: [NumberFormat: Double], units: Int,
    ring: Double, pod: Int, price: Double, kernels: KernelConstants
  ) -> GPU {
    let page = "Google Cloud \(name) documentation"
    return googleTPUs[0].variant(
      name,
      sources: [
        Source("memory", "\(memory) GiB HBM, \(page)"),
        Source("memoryRate", "\(rate) GB/s, \(page)"),
        Source("peaks", page),
        Source("multiprocessors", "matrix units of a chip, \(page)"),
        Source(
          "scaleUp", "half of the two-way inter-chip bandwidth over all torus links, \(page)"),
        Source("scaleUpDomain", "\(pod) chips a pod, \(page)"),
        Source("hourlyPrice", "order of Google Cloud's list on demand (assumption)"),
        Source("kernels", "the v5p's, see KernelConstants.tensorProcessor, Lite and 256"),
      ]
    ) { gpu in
      gpu.memory = .gibibytes(memory)
      gpu.memoryRate = .gigabytesPerSecond(rate)
      gpu.peaks = peaks.mapValues { .teraflops($0) }
      gpu.multiprocessors = units
      gpu.scaleUp = link(ring, microseconds: 1)
      gpu.scaleUpDomain = pod
      gpu.hourlyPrice = Dollars(price)
      gpu.kernels = kernels
    }
  }

  /// Intel Gaudi.
  static let intelGaudis: [GPU] = [
    gaudi(
      "gaudi2", memory: 94.6, rate: 2_460, cache: 48, half: 432, narrow: 865, single: 11, units: 2,
      port: 12.5, power: 600, price: 1.30, kernels: .gaudi(best: 418.7 / 432)),
    gaudi(
      "gaudi3", memory: 126.5, rate: 3_700, cache: 96, half: 1_677, narrow: 1_677, single: 229,
      units: 8, port: 25, power: 900, price: 2.00, kernels: .gaudi(best: 1_243.0 / 1_677)),
  ]

  private static func gaudi(
    _ name: String, memory: Double, rate: Double, cache: Double, half: Double, narrow: Double,
    single: Double, units: Int, port: Double, power: Double, price: Double,
    kernels: KernelConstants
  ) -> GPU {
    GPU(
      name: name, memory: .gibibytes(memory), memoryRate: .gigabytesPerSecond(rate),
      cache: .mebibytes(cache),
      peaks: [
        .fp32: .teraflops(single), .fp16: .teraflops(half), .bf16: .teraflops(half),
        .fp8: .teraflops(narrow),
      ],
      multiprocessors: units, scaleUp: link(21 * port, microseconds: 2),
      scaleOut: link(3 * port, microseconds: 4), scaleUpDomain: 8,
      hostRate: .gigabytesPerSecond(name == "gaudi3" ? 64 : 32), power: Watts(power),
      idlePower: Watts(power / 5), hourlyPrice: Dollars(price), kernels: kernels,
      sources: [
        Source(
          "memory", "what the driver leaves of 96 and 128 GB, as a share as the A100 (assumption)"),
        Source("memoryRate", "\(rate) GB/s HBM2e of either part, \(Origin.sheets)"),
        Source("cache", "\(cache) MB of on-die memory, Gaudi 2 and 3 white papers"),
        Source("peaks", "dense, \(Origin.sheets); fp16 taken as bf16"),
        Source("multiprocessors", "matrix engines, Gaudi 2 and 3 white papers"),
        Source(
          "scaleUp",
          "21 of 24 Ethernet ports, three to each of seven peers, Gaudi white papers; latency assumed twice NVLink's"
        ),
        Source("scaleOut", "3 of 24 Ethernet ports; \(Origin.networkLatency)"),
        Source("scaleUpDomain", "8 on a board, HLS-2 and HLB-325 reference designs"),
        Source("hostRate", "PCIe 4 × 16, Gaudi 3 PCIe 5 × 16"),
        Source("power", "\(power) W, \(Origin.sheets)"),
        Source("idlePower", "a fifth of the limit (assumption)"),
        Source("hourlyPrice", "assumption; no list read"),
        Source("kernels", "no timings of training shapes, see KernelConstants.gaudi"),
      ])
  }
}
