import Kernels
import Quantities

extension GPU {
  /// AMD Instinct.
  static let amdGPUs: [GPU] = [
    GPU(
      name: "mi250x", memory: .gibibytes(63.98), memoryRate: .gigabytesPerSecond(1_638),
      cache: .mebibytes(8),
      peaks: [
        .fp32: .teraflops(23.95), .fp16: .teraflops(191.5), .bf16: .teraflops(191.5),
        .int8: .teraflops(191.5),
      ],
      multiprocessors: 110, scaleUp: link(175, microseconds: 2),
      scaleOut: link(12.5, microseconds: 4), scaleUpDomain: 8,
      hostRate: .gigabytesPerSecond(36), power: Watts(280), idlePower: Watts(45),
      hourlyPrice: Dollars(0.9), kernels: .instinct200,
      sources: [
        Source(
          "name",
          "one of the two dies of a board: the device a rank owns; 8 to a node as on Frontier"),
        Source("memory", "\(Origin.capacity): 63.98 a die"),
        Source("memoryRate", "half of the board's 3.28 TB/s, \(Origin.sheets)"),
        Source("cache", "8 MB L2 a die, CDNA 2 architecture white paper"),
        Source("peaks", "half of the board's, \(Origin.sheets)"),
        Source("multiprocessors", "110 compute units a die, CDNA 2 architecture white paper"),
        Source(
          "scaleUp",
          "half of the board's 350 GB/s, \(Origin.sheets); latency assumed twice NVLink's"),
        Source(
          "scaleOut",
          "4 × 200 Gb/s Slingshot for 8 dies, \(Origin.sheets); \(Origin.networkLatency)"),
        Source("scaleUpDomain", "8 dies in a node"),
        Source("hostRate", "36 GB/s Infinity Fabric a die, CDNA 2 architecture white paper"),
        Source("power", "half of the board's 560 W, \(Origin.sheets)"),
        Source("idlePower", "as a fraction of the limit a little above the A100's (assumption)"),
        Source("hourlyPrice", "half of an MI300X (assumption: no open market)"),
        Source("kernels", "no timings; fractions of the MI300X, see KernelConstants.instinct200"),
      ]),
    GPU(
      name: "mi300x", memory: .gibibytes(191.98), memoryRate: .gigabytesPerSecond(5_300),
      cache: .mebibytes(256),
      peaks: [
        .fp32: .teraflops(163.4), .tf32: .teraflops(653.7), .fp16: .teraflops(1_300),
        .bf16: .teraflops(1_300), .fp8: .teraflops(2_610), .int8: .teraflops(2_600),
      ],
      multiprocessors: 304, scaleUp: link(448, microseconds: 2),
      scaleOut: link(50, microseconds: 4), scaleUpDomain: 8,
      hostRate: .gigabytesPerSecond(64), power: Watts(750), idlePower: Watts(140),
      hourlyPrice: Dollars(1.85), kernels: .instinct300,
      sources: [
        Source("memory", "\(Origin.capacity): 191.98"),
        Source("memoryRate", "5.3 TB/s HBM3, \(Origin.sheets)"),
        Source("cache", "256 MB Infinity Cache, CDNA 3 architecture white paper"),
        Source("peaks", "dense, \(Origin.sheets)"),
        Source("multiprocessors", "304 compute units, CDNA 3 architecture white paper"),
        Source(
          "scaleUp",
          "7 Infinity Fabric links of 64 GB/s, one to each peer, \(Origin.sheets); latency assumed twice NVLink's"
        ),
        Source("scaleOut", "one 400 Gb/s port a GPU; \(Origin.networkLatency)"),
        Source("scaleUpDomain", "8 GPUs of an MI300X platform"),
        Source("hostRate", "PCIe 5 × 16"),
        Source("power", "750 W, \(Origin.sheets)"),
        Source("idlePower", "as b200-sxm: two large dies with much HBM (assumption)"),
        Source(
          "hourlyPrice", "1.71–1.85 USD on demand on specialised clouds, gpu.blog list of MI300X"),
        Source(
          "kernels", "fitted on MI300X timings, see KernelConstants.instinct300"),
      ]),
  ]

  /// Whether it is one of Google's, or was made from one, whatever it is called.
  public var isTPU: Bool { catalogueName.hasPrefix("tpu") }

  /// Google TPU.
  static let googleTPUs: [GPU] = [
    GPU(
      name: "tpu-v5p", memory: .gibibytes(95.74), memoryRate: .gigabytesPerSecond(2_765),
      cache: .mebibytes(128), peaks: [.bf16: .teraflops(459), .int8: .teraflops(918)],
      multiprocessors: 8, scaleUp: link(600, microseconds: 1),
      scaleOut: link(6.25, microseconds: 20), scaleUpDomain: 8_960,
      hostRate: .gigabytesPerSecond(32), power: Watts(500), idlePower: Watts(100),
      hourlyPrice: Dollars(4.20), kernels: .tensorProcessor,
      sources: [
        Source(
          "memory",
          "what XLA has for programs: \"of 95.74G hbm\" in out-of-memory errors of v5p in public repositories; "
            + "no document of Google's says it"
        ),
        Source("memoryRate", "2765 GB/s, Google Cloud TPU v5p documentation"),
        Source("cache", "vector memory of two cores taken as 64 MiB each (assumption)"),
        Source("peaks", "\(Origin.sheets)"),
        Source(
          "multiprocessors",
          "two TensorCores of four 128 × 128 matrix units, Google Cloud TPU architecture documentation"
        ),
        Source(
          "scaleUp",
          "4800 Gb/s of inter-chip interconnect a chip over six torus links, Google Cloud TPU v5p documentation"
        ),
        Source(
          "scaleOut", "200 Gb/s a host of four chips (assumption); latency of a data-centre network"
        ),
        Source("scaleUpDomain", "8960 chips a pod, Google Cloud TPU v5p documentation"),
        Source("hostRate", "PCIe 4 × 16 (assumption)"),
        Source("power", "not published; 500 W assumed"),
        Source("idlePower", "not published; 100 W assumed"),
        Source(
          "hourlyPrice", "4.20 USD on demand, Google Cloud TPU price list of 2024 (not read again)"),
        Source("kernels", "fitted on MaxText training rows, see KernelConstants.tensorProcessor"),
      ])
  ]
}
