import Kernels
import Quantities

extension GPU {
  /// NVIDIA's data-centre parts that are another's chip with other limits.
  static let nvidiaVariants: [GPU] = [
    a100PCIe("a100-pcie-40gb", memory: 39.39, rate: 1_555, power: 250),
    a100PCIe("a100-pcie-80gb", memory: 79.14, rate: 1_935, power: 300),
    ampereGPUs[1].variant(
      "a800-sxm-80gb",
      sources: [
        Source("scaleUp", "8 of 12 NVLink 3 links, A800 data sheet; latency as a100-sxm-80gb"),
        Source("hourlyPrice", "as a100-sxm-80gb (assumption)"),
      ]
    ) { $0.scaleUp = link(200, microseconds: 1) },
    h100PCIe,
    h100NVL,
    h200NVL,
    h20,
    graceHopper("gh200-96gb", memory: 94.50, rate: 4_000),
    graceHopper("gh200-144gb", memory: 139.80, rate: 4_800),
  ]

  private static func a100PCIe(
    _ name: String, memory: Double, rate: Double, power: Double
  ) -> GPU {
    ampereGPUs[1].variant(
      name,
      sources: [
        Source("memory", "as the SXM part, \(Origin.capacity)"),
        Source("memoryRate", "\(rate) GB/s, A100 PCIe data sheet"),
        Source("scaleUp", "PCIe 4 × 16; NVLink bridges join pairs only and are left out"),
        Source("power", "\(power) W, A100 PCIe data sheet"),
        Source("hourlyPrice", "as a100-sxm-80gb (assumption)"),
        Source("kernels", "the A100's at the clock its power leaves, see KernelConstants.limited"),
      ]
    ) { gpu in
      gpu.kernels = .ampere.limited(toPowerShare: power / 400)
      gpu.memory = .gibibytes(memory)
      gpu.memoryRate = .gigabytesPerSecond(rate)
      gpu.power = Watts(power)
      gpu.scaleUp = link(32, microseconds: 2)
    }
  }

  /// What PCIe boards of Hopper share.
  private static func hopperBoard(
    _ name: String, like base: GPU, multiprocessors: Int, bfloat: Double, power: Double,
    sources: [Source]
  ) -> GPU {
    base.variant(
      name,
      sources: sources + [
        Source(
          "peaks", "dense, data sheet of the board: \(bfloat) TFLOP/s in bf16, others in step"),
        Source("scaleUp", "PCIe 5 × 16; NVLink bridges join two or four only and are left out"),
        Source("power", "\(power) W, data sheet of the board"),
        Source("hourlyPrice", "as the SXM part (assumption)"),
        Source(
          "kernels", "the H100's at the clock that power, units and peak leave, see KernelConstants"
        ),
      ]
    ) { gpu in
      let share = bfloat / 989
      gpu.kernels = .hopper.limited(
        powerShare: power / 700, unitShare: Double(multiprocessors) / 132, peakShare: share)
      for (format, rate) in gpu.peaks {
        gpu.peaks[format] = FlopRate(flopsPerSecond: rate.flopsPerSecond * share)
      }
      gpu.multiprocessors = multiprocessors
      gpu.power = Watts(power)
      gpu.scaleUp = link(64, microseconds: 2)
    }
  }

  private static var h100PCIe: GPU {
    var gpu = hopperBoard(
      "h100-pcie-80gb", like: hopperGPUs[0], multiprocessors: 114, bfloat: 756, power: 350,
      sources: [
        Source("memory", "as h100-sxm-80gb"),
        Source("memoryRate", "2.0 TB/s HBM2e, \(Origin.sheets)"),
        Source("multiprocessors", "114 (PCIe), H100 architecture white paper"),
      ])
    gpu.memoryRate = .gigabytesPerSecond(2_000)
    return gpu
  }

  private static var h100NVL: GPU {
    var gpu = hopperBoard(
      "h100-nvl-94gb", like: hopperGPUs[0], multiprocessors: 132, bfloat: 835, power: 400,
      sources: [
        Source("memory", "\(Origin.capacity): 93.02–93.10"),
        Source("memoryRate", "3.9 TB/s HBM3, H100 NVL data sheet"),
      ])
    gpu.memory = .gibibytes(93.09)
    gpu.memoryRate = .gigabytesPerSecond(3_900)
    return gpu
  }

  private static var h200NVL: GPU {
    hopperBoard(
      "h200-nvl-141gb", like: hopperGPUs[3], multiprocessors: 132, bfloat: 835.5, power: 600,
      sources: [])
  }

  private static var h20: GPU {
    hopperGPUs[0].variant(
      "h20-sxm-96gb",
      sources: [
        Source(
          "memory",
          "assumption: as other 96 GB Hopper boards, \(Origin.capacity): 95.00–95.22"),
        Source("memoryRate", "4.0 TB/s HBM3, H20 data sheet"),
        Source("cache", "60 MB, as tabulated from the H20 data sheet"),
        Source("peaks", "dense, H20 data sheet: 148 TFLOP/s in bf16, 296 in fp8, 74 in tf32"),
        Source("multiprocessors", "78, device query published with Geekbench results"),
        Source("power", "400 W, H20 data sheet"),
        Source("hourlyPrice", "half of the H800's (assumption)"),
        Source("kernels", "the H100's with slower matrix units, see KernelConstants.hopper20"),
      ]
    ) { gpu in
      gpu.kernels = .hopper20
      gpu.memory = .gibibytes(95.0)
      gpu.memoryRate = .gigabytesPerSecond(4_000)
      gpu.cache = .mebibytes(60)
      gpu.peaks = [
        .fp32: .teraflops(44), .tf32: .teraflops(74), .fp16: .teraflops(148),
        .bf16: .teraflops(148), .fp8: .teraflops(296), .int8: .teraflops(296),
      ]
      gpu.multiprocessors = 78
      gpu.power = Watts(400)
      gpu.hourlyPrice = Dollars(1)
    }
  }

  private static func graceHopper(_ name: String, memory: Double, rate: Double) -> GPU {
    hopperGPUs[3].variant(
      name,
      sources: [
        Source("memory", "\(Origin.capacity): 94.50 (96 GB), as h200-sxm-141gb (144 GB)"),
        Source("memoryRate", "\(rate) GB/s, \(Origin.sheets)"),
        Source(
          "scaleUp", "18 NVLink 4 links, six to each other of four on a board (Alps, JUPITER)"),
        Source("scaleOut", "200 Gb/s a superchip, as on Alps; \(Origin.networkLatency)"),
        Source("scaleUpDomain", "four superchips on a board, as on Alps and JUPITER"),
        Source("hostRate", "NVLink-C2C 900 GB/s both ways, \(Origin.sheets)"),
        Source("power", "900 W with the Grace, \(Origin.sheets)"),
        Source("hourlyPrice", "as h100-sxm-80gb (assumption)"),
        Source(
          "kernels",
          "the H100's at 828.6 / 794.5 of its clock, as their best multiplies (ml-engineering, MAMF)"
        ),
      ]
    ) { gpu in
      gpu.kernels = .hopper.clocked(KernelConstants.hopper.sustainedClock * 828.6 / 794.5)
      gpu.memory = .gibibytes(memory)
      gpu.memoryRate = .gigabytesPerSecond(rate)
      gpu.scaleOut = link(25, microseconds: 4)
      gpu.scaleUpDomain = 4
      gpu.hostRate = .gigabytesPerSecond(450)
      gpu.power = Watts(900)
      gpu.hourlyPrice = Dollars(3)
    }
  }
}
