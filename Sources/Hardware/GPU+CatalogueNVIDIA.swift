import Kernels
import Quantities

extension GPU {
  /// Volta.
  static let voltaGPUs: [GPU] = [
    v100(name: "v100-sxm2-16gb", memory: 15.78), v100(name: "v100-sxm2-32gb", memory: 31.75),
  ]

  /// Ampere.
  static let ampereGPUs: [GPU] = [
    a100(
      name: "a100-sxm-40gb", memory: 39.49, memoryRate: 1_555, price: 1.10,
      priceOrigin: "low end of the A100 80 GB specialty-cloud range of May 2026, \(Origin.mercatus)"
    ),
    a100(
      name: "a100-sxm-80gb", memory: 79.15, memoryRate: 2_039, price: 1.30,
      priceOrigin: "middle of the specialty-cloud range 1.10–1.50 of May 2026, \(Origin.mercatus)"),
  ]

  /// Hopper.
  static let hopperGPUs: [GPU] = [
    h100(
      name: "h100-sxm-80gb", memory: 79.18, memoryRate: 3_350, power: 700,
      kernels: .hopper, price: 3.00,
      sources: [
        Source("memory", "\(Origin.capacity): 79.18 (torchtitan logs; 79.1–79.65 by driver)"),
        Source("memoryRate", "3.35 TB/s HBM3, \(Origin.sheets)"),
        Source("power", "700 W, \(Origin.sheets)"),
        Source(
          "hourlyPrice",
          "middle of the specialty-cloud range 2.50–3.50 of May 2026, \(Origin.mercatus)"),
      ]),
    h100(
      name: "h100-sxm-96gb-hbm2e", memory: 94.99, memoryRate: 2_400, power: 500,
      kernels: .hopper500, price: 3.00,
      sources: [
        Source("memory", "\(Origin.capacity): 94.97–95.04 on 96 GB Hopper boards"),
        Source("memoryRate", "2.4 TB/s HBM2e, pytorch/torchtitan benchmark notes"),
        Source("power", "500 W, pytorch/torchtitan benchmark notes"),
        Source("hourlyPrice", "as h100-sxm-80gb; not on the open market"),
      ]),
    h800,
    h100(
      name: "h200-sxm-141gb", memory: 139.80, memoryRate: 4_800, power: 700,
      kernels: .hopper, price: 4.00,
      sources: [
        Source("memory", "\(Origin.capacity): 139.72–139.81"),
        Source("memoryRate", "4.8 TB/s HBM3e, \(Origin.sheets)"),
        Source("power", "700 W, \(Origin.sheets)"),
        Source(
          "hourlyPrice",
          "middle of the specialty-cloud range 3.50–4.50 of May 2026, \(Origin.mercatus)"),
      ]),
  ]

  /// H800: an H100 with less NVLink.
  private static var h800: GPU {
    var gpu = h100(
      name: "h800-sxm-80gb", memory: 79.18, memoryRate: 3_350, power: 700, kernels: .hopper,
      price: 2.00,
      sources: [
        Source("memory", "as h100-sxm-80gb"), Source("memoryRate", "as h100-sxm-80gb"),
        Source("power", "as h100-sxm-80gb"),
        Source("hourlyPrice", "2 USD, arXiv:2412.19437 table 1 (December 2024)"),
      ])
    gpu.scaleUp = link(200, microseconds: 1)
    gpu.sources.removeAll { $0.figure == "scaleUp" }
    gpu.sources.append(
      Source(
        "scaleUp",
        "8 of 18 NVLink 4 links, 200 GB/s a direction, of which 160 are reached (DeepEP documentation); "
          + "latency as h100-sxm-80gb"
      ))
    return gpu
  }

  private static func v100(name: String, memory: Double) -> GPU {
    GPU(
      name: name, memory: .gibibytes(memory), memoryRate: .gigabytesPerSecond(900),
      cache: .mebibytes(6), peaks: [.fp16: .teraflops(125), .fp32: .teraflops(15.7)],
      multiprocessors: 80, scaleUp: link(150, microseconds: 1),
      scaleOut: link(6.25, microseconds: 4), scaleUpDomain: 8,
      hostRate: .gigabytesPerSecond(16), power: Watts(300), idlePower: Watts(40),
      hourlyPrice: Dollars(0.97), computeCapability: 70, kernels: .volta,
      sources: [
        Source("memory", "\(Origin.capacity): \(memory)"),
        Source("memoryRate", "900 GB/s HBM2, V100 data sheet"),
        Source("cache", "6144 KB, V100 architecture white paper (WP-08608) table 1"),
        Source("peaks", "V100 SXM2 data sheet: tensor 125, single precision 15.7 TFLOP/s"),
        Source("multiprocessors", "80, V100 architecture white paper (WP-08608) table 1"),
        Source("scaleUp", "6 NVLink 2 links of 25 GB/s, V100 data sheet; \(Origin.nvlinkLatency)"),
        Source(
          "scaleOut",
          "DGX-1: 4 × 100 Gb/s for 8 GPUs, DGX-1 data sheet; \(Origin.networkLatency)"),
        Source("scaleUpDomain", "8 GPUs in a DGX-1"),
        Source("hostRate", "PCIe 3 × 16"),
        Source("power", "300 W, V100 data sheet"),
        Source("idlePower", "nvidia-smi listings of idle boards: 38–53 W"),
        Source("hourlyPrice", "cohort median, aimultiple.com/gpu-index of 20 May 2026"),
        Source("kernels", "one multiply timed; the rest as the A100, see KernelConstants.volta"),
      ])
  }

  private static func a100(
    name: String, memory: Double, memoryRate: Double, price: Double, priceOrigin: String
  ) -> GPU {
    GPU(
      name: name, memory: .gibibytes(memory), memoryRate: .gigabytesPerSecond(memoryRate),
      cache: .mebibytes(40),
      peaks: [
        .fp32: .teraflops(19.5), .tf32: .teraflops(156), .fp16: .teraflops(312),
        .bf16: .teraflops(312), .int8: .teraflops(624),
      ],
      multiprocessors: 108, scaleUp: link(300, microseconds: 1),
      scaleOut: link(25, microseconds: 4), scaleUpDomain: 8,
      hostRate: .gigabytesPerSecond(32), power: Watts(400), idlePower: Watts(45),
      hourlyPrice: Dollars(price), computeCapability: 80, kernels: .ampere,
      sources: [
        Source("memory", "\(Origin.capacity): \(memory)"),
        Source("memoryRate", "\(memoryRate) GB/s, A100 data sheet"),
        Source("cache", "40 MB, A100 architecture white paper table 4"),
        Source("peaks", "dense, \(Origin.sheets)"),
        Source("multiprocessors", "108, A100 architecture white paper table 4"),
        Source(
          "scaleUp", "12 NVLink 3 links of 25 GB/s, \(Origin.sheets); \(Origin.nvlinkLatency)"),
        Source(
          "scaleOut",
          "one 200 Gb/s HDR port a GPU (DGX A100 data sheet); \(Origin.networkLatency)"),
        Source("scaleUpDomain", "8 GPUs on NVSwitch in a DGX or HGX A100"),
        Source("hostRate", "PCIe 4 × 16"),
        Source("power", "400 W, \(Origin.sheets)"),
        Source("idlePower", "nvidia-smi listings of idle boards: 42–51 W"),
        Source("hourlyPrice", priceOrigin),
        Source("kernels", "fitted on A100 timings, see KernelConstants.ampere"),
      ])
  }

  private static func h100(
    name: String, memory: Double, memoryRate: Double, power: Double, kernels: KernelConstants,
    price: Double, sources: [Source]
  ) -> GPU {
    GPU(
      name: name, memory: .gibibytes(memory), memoryRate: .gigabytesPerSecond(memoryRate),
      cache: .mebibytes(50),
      peaks: [
        .fp32: .teraflops(67), .tf32: .teraflops(494.5), .fp16: .teraflops(989),
        .bf16: .teraflops(989), .fp8: .teraflops(1_979), .int8: .teraflops(1_979),
      ],
      multiprocessors: 132, scaleUp: link(450, microseconds: 1),
      scaleOut: link(50, microseconds: 4), scaleUpDomain: 8,
      hostRate: .gigabytesPerSecond(64), power: Watts(power), idlePower: Watts(70),
      hourlyPrice: Dollars(price), computeCapability: 90, kernels: kernels,
      sources: sources + [
        Source("cache", "50 MB, H100 architecture white paper"),
        Source("peaks", "dense, \(Origin.sheets)"),
        Source("multiprocessors", "132 (SXM5), H100 architecture white paper"),
        Source(
          "scaleUp", "18 NVLink 4 links of 25 GB/s, \(Origin.sheets); \(Origin.nvlinkLatency)"),
        Source(
          "scaleOut",
          "one 400 Gb/s NDR port a GPU (DGX H100 data sheet); \(Origin.networkLatency)"),
        Source("scaleUpDomain", "8 GPUs on NVSwitch in a DGX or HGX H100"),
        Source("hostRate", "PCIe 5 × 16"),
        Source("idlePower", "nvidia-smi listings of idle boards: 68–74 W"),
        Source("kernels", "fitted on H100 timings, see KernelConstants.hopper"),
      ])
  }

  /// Ada Lovelace.
  static let adaGPUs: [GPU] = [
    GPU(
      name: "l40s", memory: .gibibytes(44.40), memoryRate: .gigabytesPerSecond(864),
      cache: .mebibytes(96),
      peaks: [
        .fp32: .teraflops(91.6), .tf32: .teraflops(183), .fp16: .teraflops(362),
        .bf16: .teraflops(362), .fp8: .teraflops(733), .int8: .teraflops(733),
      ],
      multiprocessors: 142, scaleUp: link(32, microseconds: 2),
      scaleOut: link(25, microseconds: 4), scaleUpDomain: 8,
      hostRate: .gigabytesPerSecond(32), power: Watts(350), idlePower: Watts(35),
      hourlyPrice: Dollars(0.97), computeCapability: 89, kernels: .ada,
      sources: [
        Source("memory", "\(Origin.capacity): 44.34–44.47"),
        Source("memoryRate", "864 GB/s GDDR6, L40S data sheet"),
        Source("cache", "96 MB, Ada GPU architecture white paper (AD102)"),
        Source("peaks", "dense, \(Origin.sheets)"),
        Source("multiprocessors", "142 (18,176 CUDA cores of 128), L40S data sheet"),
        Source(
          "scaleUp", "PCIe 4 × 16, no NVLink; latency: NCCL tuner, PCI ring, between 1 and 5.7 us"),
        Source("scaleOut", "one 200 Gb/s port a GPU; \(Origin.networkLatency)"),
        Source("scaleUpDomain", "8 GPUs in a server"),
        Source("hostRate", "PCIe 4 × 16"),
        Source("power", "350 W, \(Origin.sheets)"),
        Source("idlePower", "10 % of the board limit, as the A100 (assumption)"),
        Source("hourlyPrice", "as v100-sxm2-32gb (assumption; no list of its own read)"),
        Source(
          "kernels",
          "the A100's at the rate of its best multiply, 269.2 TFLOP/s, see KernelConstants.timed"),
      ])
  ]
}

/// Documents that many figures come from.
enum Origin {
  /// Vendor data sheets as tabulated by ml-engineering.
  static let sheets =
    "vendor data sheet as tabulated in stas00/ml-engineering@744d01e1 compute/accelerator/README.md and "
    + "network/README.md"
  /// The size the driver shows to an allocator.
  static let capacity =
    "GiB of total capacity that PyTorch reports for the device in published out-of-memory messages"
  /// Price guide.
  static let mercatus = "mercatus-ai.com/blog/cloud-gpu-pricing"
  /// Latency of an NVLink hop.
  static let nvlinkLatency =
    "latency 1 us, between the LL (0.6) and LL128 (1.9) ring steps of NCCL's tuner "
    + "(NVIDIA/nccl@5067397c src/graph/tuning.cc)"
  /// Latency of a network hop.
  static let networkLatency =
    "latency 4 us, the LL128 ring step over the network of NCCL's tuner (NVIDIA/nccl@5067397c src/graph/tuning.cc)"
}
