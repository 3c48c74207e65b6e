import Hardware
import Kernels
import Quantities
import Testing

@Suite struct CatalogueTests {
  static let names = [
    "v100-sxm2-16gb", "v100-sxm2-32gb", "a100-sxm-40gb", "a100-sxm-80gb", "h100-sxm-80gb",
    "h100-sxm-96gb-hbm2e", "h800-sxm-80gb", "h200-sxm-141gb", "b200-sxm", "b300-sxm", "gb200",
    "gb300", "l40s", "mi250x", "mi300x", "tpu-v5p",
    "a100-pcie-40gb", "a100-pcie-80gb", "a800-sxm-80gb", "h100-pcie-80gb", "h100-nvl-94gb",
    "h200-nvl-141gb", "h20-sxm-96gb", "gh200-96gb", "gh200-144gb", "l4", "a10g", "rtx-3090",
    "rtx-4090", "rtx-5090", "rtx-6000-ada", "rtx-pro-6000", "mi250", "mi325x", "mi350x", "mi355x",
    "tpu-v4", "tpu-v5e", "tpu-v6e", "tpu-v7x", "gaudi2", "gaudi3", "rtx-a6000", "a40", "l20",
  ]

  @Test("every name in use is in the catalogue, once")
  func namesAreKnown() {
    #expect(GPU.catalogue.map(\.name).sorted() == Self.names.sorted())
    for name in Self.names { #expect(GPU.named(name)?.name == name) }
    #expect(GPU.named("h100") == nil)
  }

  @Test("every figure has a source", arguments: GPU.catalogue)
  func figuresHaveSources(gpu: GPU) {
    let figures = [
      "memory", "memoryRate", "cache", "peaks", "multiprocessors", "scaleUp", "scaleOut",
      "scaleUpDomain", "hostRate", "power", "idlePower", "hourlyPrice", "kernels",
    ]
    for figure in figures {
      let sources = gpu.sources.filter { $0.figure == figure }
      #expect(sources.count == 1, "\(gpu.name): \(figure)")
      #expect(sources.allSatisfy { !$0.origin.isEmpty })
    }
  }

  @Test("compute capabilities are NVIDIA's")
  func computeCapabilities() {
    for gpu in GPU.catalogue {
      let isOther = ["mi", "tpu", "gaudi"].contains { gpu.name.hasPrefix($0) }
      #expect((gpu.computeCapability == nil) == isOther, "\(gpu.name)")
    }
    let expected = [
      "v100-sxm2-32gb": 70, "a100-pcie-80gb": 80, "a10g": 86, "l4": 89, "h20-sxm-96gb": 90,
      "gh200-96gb": 90, "gb200": 100, "gb300": 103, "rtx-5090": 120,
    ]
    for (name, capability) in expected {
      #expect(GPU.named(name)?.computeCapability == capability, "\(name)")
    }
  }

  @Test("figures are of a plausible size", arguments: GPU.catalogue)
  func figuresArePlausible(gpu: GPU) {
    // Units slipped by 10^3 or bits taken for bytes would fall outside.
    #expect((10...300).contains(gpu.memory.gibibytes))
    #expect((300e9...8e12).contains(gpu.memoryRate.bytesPerSecond))
    #expect((70e12...3e15).contains(gpu.peak(of: .fp16).flopsPerSecond))
    #expect((30e9...900e9).contains(gpu.scaleUp.rate.bytesPerSecond))
    #expect((6e9...100e9).contains(gpu.scaleOut.rate.bytesPerSecond))
    #expect(gpu.scaleUp.latency < gpu.scaleOut.latency)
    #expect(gpu.idlePower < gpu.power)
    #expect((0.2...10).contains(gpu.hourlyPrice.value))
    #expect(gpu.kernels.sustainedClock <= 1)
  }

  @Test("a narrower format is never multiplied more slowly", arguments: GPU.catalogue)
  func narrowerIsNotSlower(gpu: GPU) {
    #expect(gpu.peak(of: .fp8) >= gpu.peak(of: .fp16))
    #expect(gpu.peak(of: .nvfp4) >= gpu.peak(of: .mxfp8))
    #expect(gpu.peak(of: .tf32) >= gpu.peak(of: .fp32))
    #expect(gpu.peak(of: .fp16) >= gpu.peak(of: .tf32))
  }

  @Test("formats a GPU lacks run at the nearest one it has")
  func missingFormats() throws {
    let v100 = try #require(GPU.named("v100-sxm2-32gb"))
    let a100 = try #require(GPU.named("a100-sxm-80gb"))
    let h100 = try #require(GPU.named("h100-sxm-80gb"))
    #expect(v100.peak(of: .bf16) == .teraflops(15.7))  // no bf16 units: its fp32 rate
    #expect(a100.peak(of: .fp8) == .teraflops(312))  // no fp8 units: 16 bits
    #expect(h100.peak(of: .mxfp8) == .teraflops(1_979))  // block scales beside plain fp8
    #expect(h100.peak(of: .nvfp4) == .teraflops(1_979))
  }

  @Test("a board with less power runs at the clock that its power, units and peak leave")
  func powerLimits() throws {
    let h100 = try #require(GPU.named("h100-sxm-80gb")?.kernels.sustainedClock)
    let sxm = try #require(GPU.named("a100-sxm-80gb")?.kernels.sustainedClock)
    // H100 PCIe: √((350/700) / (114/132)) of the clock, its own highest one being (756/989) / (114/132) of
    // the SXM part's: 0.7609 / 0.8851 = 0.8597.
    let pcie = try #require(GPU.named("h100-pcie-80gb"))
    #expect(abs(pcie.kernels.sustainedClock / h100 - 0.8597) < 1e-3)
    // A100 PCIe: √(300/400) = 0.8660 of the A100's, the same peak.
    let a100 = try #require(GPU.named("a100-pcie-80gb"))
    #expect(abs(a100.kernels.sustainedClock / sxm - 0.8660) < 1e-4)
    // MI350X: √(1000/1400) / (2300/2500) = 0.9186 of the MI355X's share of the peak.
    let mi350 = try #require(GPU.named("mi350x")?.kernels.matmulEfficiency[.bf16])
    let mi355 = try #require(GPU.named("mi355x")?.kernels.matmulEfficiency[.bf16])
    #expect(abs(mi350 / mi355 - 0.9186) < 1e-4)
  }

  @Test("slower matrix units leave more time for loads and the softmax")
  func slowerMatrixUnits() throws {
    // H20: 148/78 TFLOP/s a multiprocessor for 989/132: 0.2533 of the operations in the same time.
    let h20 = try #require(GPU.named("h20-sxm-96gb")?.kernels)
    let h100 = try #require(GPU.named("h100-sxm-80gb")?.kernels)
    #expect(abs(h20.operandCost / h100.operandCost - 0.2533) < 1e-4)
    let softmax = h100.attention.flash3.forward.softmaxDimensions
    #expect(abs(h20.attention.flash3.forward.softmaxDimensions / softmax - 0.2533) < 1e-4)
    #expect(h20.attention.flash3.forward.efficiency == 0.945)
  }

  @Test("AMD's own attention is faster than PyTorch's on ROCm, on a die of the MI250X they are one")
  func attentionOnInstinct() throws {
    let mi300 = try #require(GPU.named("mi300x")?.kernels)
    // √(1.18 × 1.62) = 1.3826.
    let ratio =
      mi300.attention.flash3.forward.efficiency / mi300.attention.flash2.forward.efficiency
    #expect(abs(ratio - 1.3826) < 1e-4)
    #expect(mi300.trainingFlash3 == 1)
    let mi250 = try #require(GPU.named("mi250x")?.kernels)
    #expect(mi250.attention.flash2 == mi250.attention.flash3)
  }
}
