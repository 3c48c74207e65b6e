import Hardware
import Kernels
import Quantities
import Testing

@Suite struct CatalogueTests {
  static let names = [
    "v100-sxm2-16gb", "v100-sxm2-32gb", "a100-sxm-40gb", "a100-sxm-80gb", "h100-sxm-80gb",
    "h100-sxm-96gb-hbm2e", "h800-sxm-80gb", "h200-sxm-141gb", "b200-sxm", "b300-sxm", "gb200",
    "gb300", "l40s", "mi250x", "mi300x", "tpu-v5p",
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

  @Test("figures are of a plausible size", arguments: GPU.catalogue)
  func figuresArePlausible(gpu: GPU) {
    // Units slipped by 10^3 or bits taken for bytes would fall outside.
    #expect((10...300).contains(gpu.memory.gibibytes))
    #expect((800e9...8e12).contains(gpu.memoryRate.bytesPerSecond))
    #expect((100e12...3e15).contains(gpu.peak(of: .fp16).flopsPerSecond))
    #expect((30e9...900e9).contains(gpu.scaleUp.rate.bytesPerSecond))
    #expect((6e9...100e9).contains(gpu.scaleOut.rate.bytesPerSecond))
    #expect(gpu.scaleUp.latency < gpu.scaleOut.latency)
    #expect(gpu.idlePower < gpu.power)
    #expect((0.5...10).contains(gpu.hourlyPrice.value))
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
}
