import Kernels
import Quantities

extension GPU {
  /// Blackwell and Blackwell Ultra.
  static let blackwellGPUs: [GPU] = [
    blackwell(
      name: "b200-sxm", memory: 178.35, peakScale: 1, fp4: 9_000, power: 1_000, idle: 140,
      domain: 8, multiprocessors: 148, scaleOut: 50, host: 64, price: 5.25, capability: 100,
      kernels: .blackwell,
      sources: [
        Source("memory", "\(Origin.capacity): 178.35"),
        Source(
          "scaleOut", "8 × 400 Gb/s for 8 GPUs (DGX B200 data sheet); \(Origin.networkLatency)"),
        Source("scaleUpDomain", "8 GPUs on NVSwitch in a DGX or HGX B200"),
        Source("hostRate", "PCIe 5 × 16"),
        Source("power", "1000 W, \(Origin.sheets)"),
        Source("idlePower", "nvidia-smi listings of idle boards: 136–145 W"),
        Source(
          "hourlyPrice",
          "middle of 4.50–6.00 on specialised clouds, lyceum.technology/magazine of 11 March 2026"),
      ]),
    blackwell(
      name: "b300-sxm", memory: 267.69, peakScale: 1, fp4: 12_600, power: 1_100, idle: 140,
      domain: 8, multiprocessors: 148, scaleOut: 100, host: 64, price: 6.00,
      capability: 103, kernels: .blackwellUltra,
      sources: [
        Source("memory", "\(Origin.capacity): 267.69"),
        Source(
          "scaleOut", "8 × 800 Gb/s for 8 GPUs (DGX B300 data sheet); \(Origin.networkLatency)"),
        Source("scaleUpDomain", "8 GPUs on NVSwitch in a DGX or HGX B300"),
        Source("hostRate", "PCIe 5 × 16 (the share of one of its two links)"),
        Source("power", "1100 W, Lenovo Press, ThinkSystem NVIDIA HGX B300 product guide"),
        Source("idlePower", "as b200-sxm"),
        Source("hourlyPrice", "upper end of the b200-sxm range; no list of its own found"),
      ]),
    blackwell(
      name: "gb200", memory: 184.31, peakScale: 2_500 / 2_250, fp4: 10_000, power: 1_200,
      idle: 160, domain: 72, multiprocessors: 152, scaleOut: 50, host: 225, price: 5.25,
      capability: 100, kernels: .graceBlackwell,
      sources: [
        Source("memory", "\(Origin.capacity): 184.31 (nvidia-smi 189,471 MiB)"),
        Source("scaleOut", "4 × 400 Gb/s for 4 GPUs (GB200 NVL72); \(Origin.networkLatency)"),
        Source("scaleUpDomain", "72 GPUs of an NVL72 rack"),
        Source("hostRate", "NVLink-C2C 900 GB/s both ways for the two GPUs of a Grace"),
        Source("power", "1200 W, \(Origin.sheets)"),
        Source("idlePower", "nvidia-smi listings of idle boards: 138–181 W"),
        Source("hourlyPrice", "as b200-sxm; rented by the rack"),
      ]),
    blackwell(
      name: "gb300", memory: 276.50, peakScale: 2_500 / 2_250, fp4: 15_000, power: 1_400,
      idle: 160, domain: 72, multiprocessors: 152, scaleOut: 100, host: 225, price: 6.00,
      capability: 103, kernels: .graceBlackwellUltra,
      sources: [
        Source("memory", "\(Origin.capacity): 276.50"),
        Source("scaleOut", "4 × 800 Gb/s for 4 GPUs (GB300 NVL72); \(Origin.networkLatency)"),
        Source("scaleUpDomain", "72 GPUs of an NVL72 rack"),
        Source("hostRate", "NVLink-C2C 900 GB/s both ways for the two GPUs of a Grace"),
        Source("power", "1400 W, \(Origin.sheets)"),
        Source("idlePower", "as gb200"),
        Source("hourlyPrice", "as b300-sxm"),
      ]),
  ]

  private static func blackwell(
    name: String, memory: Double, peakScale: Double, fp4: Double, power: Double, idle: Double,
    domain: Int, multiprocessors: Int, scaleOut: Double, host: Double, price: Double,
    capability: Int, kernels: KernelConstants,
    sources: [Source]
  ) -> GPU {
    GPU(
      name: name, memory: .gibibytes(memory), memoryRate: .gigabytesPerSecond(8_000),
      cache: .mebibytes(126),
      peaks: [
        .fp32: .teraflops(80), .tf32: .teraflops(1_125 * peakScale),
        .fp16: .teraflops(2_250 * peakScale), .bf16: .teraflops(2_250 * peakScale),
        .fp8: .teraflops(4_500 * peakScale), .mxfp8: .teraflops(4_500 * peakScale),
        .nvfp4: .teraflops(fp4),
      ],
      multiprocessors: multiprocessors, scaleUp: link(900, microseconds: 1),
      scaleOut: link(scaleOut, microseconds: 4), scaleUpDomain: domain,
      hostRate: .gigabytesPerSecond(host), power: Watts(power), idlePower: Watts(idle),
      hourlyPrice: Dollars(price), computeCapability: capability, kernels: kernels,
      sources: sources + [
        Source(
          "memoryRate",
          "8 TB/s HBM3e, \(Origin.sheets); the driver's clocks give 7.67 (pytorch/ao#4002)"),
        Source("cache", "126 MB, device query of a B200 in pytorch/ao#4002"),
        Source(
          "peaks",
          "dense, \(Origin.sheets); mxfp8 runs at the fp8 rate; int8 left out, where Ultra parts are much slower"
        ),
        Source(
          "multiprocessors",
          "148 on B200 (device query in pytorch/ao#4002) and B300, 152 on GB200 and GB300 (device queries "
            + "published with kernels)"
        ),
        Source(
          "scaleUp", "18 NVLink 5 links of 50 GB/s, \(Origin.sheets); \(Origin.nvlinkLatency)"),
        Source(
          "kernels",
          "fitted on B200 and GB200 timings, see KernelConstants.blackwell and, for Ultra, blackwellUltra"
        ),
      ])
  }
}
