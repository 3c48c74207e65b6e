import Hardware
import Kernels
import Quantities
import Testing

@Suite struct MatmulCostTests {
  /// Memory so fast that only arithmetic counts.
  static let unlimited = 1e12

  @Test("exactly one wave takes the time of one tile, one tile more takes two")
  func waveQuantisation() {
    let cost = KernelCost(gpu: .simple(memory: Self.unlimited))
    // 100 units of 1 TFLOP/s; a 128 × 128 tile with k = 1024 is 2·128·128·1024 = 33 554 432 FLOP
    // = 33.554432 us. 10 × 10 tiles: one wave. One more row of tiles: 110 tiles, two waves.
    let tile = 33.554432e-6
    let one = cost.seconds(for: Matmul(m: 1_280, n: 1_280, k: 1_024, format: .bf16))
    let two = cost.seconds(for: Matmul(m: 1_281, n: 1_280, k: 1_024, format: .bf16))
    #expect(close(one, tile))
    #expect(close(two, 2 * tile))
  }

  @Test("with perfect balancing the last wave costs its share")
  func balancedWaves() {
    let cost = KernelCost(gpu: .simple(memory: Self.unlimited, waveTail: 0))
    // 110 tiles on 100 units: 1.1 waves.
    let seconds = cost.seconds(for: Matmul(m: 1_408, n: 1_280, k: 1_024, format: .bf16))
    #expect(close(seconds, 1.1 * 33.554432e-6))
  }

  @Test("prologue once a wave, overhead once a kernel, clock on the arithmetic")
  func overheads() {
    let gpu = GPU.simple(memory: Self.unlimited, overhead: 3e-6, prologue: 2e-6, clock: 0.5)
    // Two waves of (33.554432 us / 0.5 + 2 us), and 3 us.
    let seconds = KernelCost(gpu: gpu).seconds(
      for: Matmul(m: 1_408, n: 1_280, k: 1_024, format: .bf16))
    #expect(close(seconds, 2 * (67.108864e-6 + 2e-6) + 3e-6))
  }

  @Test("a batch is dealt out as one pool of tiles")
  func batches() {
    let cost = KernelCost(gpu: .simple(memory: Self.unlimited))
    // 50 multiplies of 2 tiles each: 100 tiles, one wave.
    let seconds = cost.seconds(
      for: Matmul(m: 256, n: 128, k: 1_024, batch: 50, format: .bf16))
    #expect(close(seconds, 33.554432e-6))
  }

  @Test("sums that lie in on-chip memory make blocks as large as that holds")
  func blocksInCache() {
    // Arithmetic costs nothing. Two units: 64 × 64 tiles of 128 × 128, operands of 2 · 8,192² · 2 = 268,435,456
    // bytes. Half of 8 MiB holds 64 tiles of fp32 sums, 8 × 8: 64 blocks with borders of 16 · 128 rows of
    // 16,384 bytes read 2,147,483,648 bytes, of which 8 of 256 MiB are found, so 1,820,327,936 beyond the
    // first time; 134,217,728 are written. In all 2,222,981,120 bytes at 1 TB/s.
    var gpu = GPU.simple(multiprocessors: 2, peak: 1e9, cache: .mebibytes(8))
    let matmul = Matmul(m: 8_192, n: 8_192, k: 8_192, format: .bf16)
    let inRegisters = KernelCost(gpu: gpu).seconds(for: matmul)
    gpu.kernels.blockShareOfCache = 0.5
    #expect(close(KernelCost(gpu: gpu).seconds(for: matmul), 2.222981120e-3, within: 1e-6))
    // Two tiles at a time: √2 × √2, borders of 2√2 · 128 rows, 2,048 times.
    #expect(close(inRegisters, 11.9128e-3, within: 1e-3))
  }

  @Test(
    "a part's large multiply runs as its own was timed, less what training holds of it",
    arguments: [
      // TFLOP/s of the best multiply in loops, part of the clock held: an A100's 0.89 / 0.98 or all.
      ("a100-sxm-80gb", 264.5, 0.908), ("l40s", 269.2, 0.908), ("a40", 122.3, 0.908),
      ("rtx-a6000", 123.3, 0.908), ("l4", 57, 0.908), ("rtx-pro-6000", 413.7, 0.908),
      ("rtx-3090", 76.5, 1), ("rtx-4090", 164, 1), ("rtx-5090", 239, 1), ("l20", 114.1, 1),
    ])
  func timedMultiplies(name: String, timed: Double, held: Double) throws {
    let gpu = try #require(GPU.named(name))
    let size = 10_240
    let seconds = KernelCost(gpu: gpu).seconds(
      for: Matmul(m: size, n: size, k: size, format: .bf16))
    let rate = 2 * Double(size * size) * Double(size) / seconds / 1e12
    #expect(abs(rate / (timed * held) - 1) < 0.06, "\(rate)")
    // A job of one has no slowest of many; what was timed is one as well.
    let alone = KernelCost(gpu: gpu, slowestOf: 1).seconds(
      for: Matmul(m: size, n: size, k: size, format: .bf16))
    #expect(2 * Double(size * size) * Double(size) / alone / 1e12 < 1.03 * timed)
  }

  @Test("batched multiplies without 16-byte rows run on the fp32 units")
  func misalignedBatches() throws {
    let gpu = try #require(GPU.named("a100-sxm-80gb"))
    let cost = KernelCost(gpu: gpu)
    func seconds(head: Int) -> Double {
      cost.seconds(for: Matmul(m: 2_048, n: 2_048, k: head, batch: 64, format: .bf16))
    }
    // 312 over 19.5 TFLOP/s is 16, of which 0.7 are paid: 11.2 times the arithmetic of heads of 4,004
    // and 4,008, which are alike but for their rows. Arithmetic is nearly all of the aligned time.
    let ratio = seconds(head: 4_004) / seconds(head: 4_008)
    #expect(ratio > 10 && ratio < 11.2)
  }

  @Test("what misaligns a multiply are the rows its operands lie in")
  func misalignedRows() {
    let cost = KernelCost(gpu: .simple(memory: Self.unlimited))
    func seconds(_ m: Int, _ n: Int, _ k: Int, transposed: Bool = false) -> Double {
      cost.seconds(
        for: Matmul(m: m, n: n, k: k, format: .bf16, leftIsTransposed: transposed))
    }
    // 9 × 10 tiles of 128 × 128 on 100 units: one wave whatever is one less. 2·128·128·1000 FLOP are
    // 32.768 us.
    let tile = 32.768e-6
    #expect(close(seconds(1_152, 1_280, 1_000), tile))
    // Forward, rows of k and n values: odd m is a token more or less, odd n an odd vocabulary, 3 times.
    #expect(close(seconds(1_151, 1_280, 1_000), tile))
    #expect(close(seconds(1_152, 1_279, 1_000), 3 * tile))
    // Multiples of two and four: 1.5 times.
    #expect(close(seconds(1_152, 1_276, 1_000), 1.5 * tile))
    // A weight gradient's rows are of m and n values; its k are tokens. 999/1000 of the arithmetic.
    #expect(close(seconds(1_151, 1_280, 1_000, transposed: true), 3 * tile))
    #expect(close(seconds(1_152, 1_280, 999, transposed: true), 0.999 * tile))
  }

  @Test("few tiles are split along k")
  func splitting() {
    let cost = KernelCost(gpu: .simple(memory: Self.unlimited))
    // 25 tiles, k = 4096: four parts of 1024 each fill 100 units for 33.554432 us. The partial sums,
    // 8 bytes · 640 · 640 · 4, go through an L2 of 4 · 10^21 B/s: nothing.
    let seconds = cost.seconds(for: Matmul(m: 640, n: 640, k: 4_096, format: .bf16))
    #expect(close(seconds, 33.554432e-6, within: 1e-6))
    // k = 1000 leaves one part only: all of 2·128·128·1000 = 32.768 us.
    let whole = cost.seconds(for: Matmul(m: 640, n: 640, k: 1_000, format: .bf16))
    #expect(close(whole, 32.768e-6))
  }

  @Test("a multiply with little arithmetic takes the time of its bytes")
  func rooflineBound() {
    // Arithmetic for nothing: 10^9 TFLOP/s. m = n = 1024, k = 512 in 16 bits: operands
    // 2 · 1024 · 512 · 2 B = 2 097 152 B, output 1024² · 4 B read and written = 8 388 608 B, at
    // 1 TB/s: 10.48576 us.
    let cost = KernelCost(gpu: .simple(peak: 1e9))
    let seconds = cost.seconds(
      for: Matmul(
        m: 1_024, n: 1_024, k: 512, format: .bf16, outputBytesPerValue: 4, accumulates: true))
    #expect(close(seconds, 10.48576e-6, within: 1e-6))
  }

  @Test("operands beyond L2 are read again by every wave")
  func rereads() {
    // m = n = 12 800, k = 4096 with no L2 at all and arithmetic for nothing: 100 × 100 tiles in
    // waves of 100 (10 × 10): 100 waves read 2 · 1280 rows and columns of 4096 · 2 B each =
    // 20 971 520 B, together 2 097 152 000 B; output 12 800² · 2 B = 327 680 000 B. At 1 TB/s
    // 2.424832 ms.
    let cost = KernelCost(gpu: .simple(peak: 1e9, cache: Bytes.zero))
    let seconds = cost.seconds(for: Matmul(m: 12_800, n: 12_800, k: 4_096, format: .bf16))
    #expect(close(seconds, 2.424832e-3, within: 1e-6))
  }

  @Test("an empty multiply takes no time")
  func empty() {
    let cost = KernelCost(gpu: .simple(overhead: 1e-6))
    #expect(cost.seconds(for: Matmul(m: 0, n: 8, k: 8, format: .bf16)) == 0)
  }

  @Test(
    "no GPU beats its data sheet, but consumers' boards, which run above its clock",
    arguments: GPU.catalogue)
  func neverAboveThePeak(gpu: GPU) {
    let cost = KernelCost(gpu: gpu)
    // Timed at 1.14 (RTX 5090), 1.07 (3090) and 0.99 of it by the median, 1.05 at best (4090).
    let isConsumer = ["rtx-3090", "rtx-4090", "rtx-5090"].contains(gpu.name)
    let most = isConsumer ? 1.2 : 1
    for format in NumberFormat.allCases {
      for m in [1, 100, 1_024, 4_096, 20_000] {
        let matmul = Matmul(m: m, n: 8_192, k: 4_096, format: format)
        let seconds = cost.seconds(for: Kernel.matmul(matmul))
        #expect(matmul.flops.count / seconds <= most * gpu.peak(of: format).flopsPerSecond)
      }
    }
  }

  @Test("beside a collective a multiply of one full wave takes two, and passes have less bandwidth")
  func besideCollective() {
    let cost = KernelCost(gpu: .simple(memory: Self.unlimited))
    let beside = cost.beside(units: 24, bandwidth: 0.25)
    // 100 tiles of 33.554432 us: one wave on 100 units, two on 76.
    let wave = Matmul(m: 1_280, n: 1_280, k: 1_024, format: .bf16)
    #expect(close(beside.seconds(for: wave), 2 * 33.554432e-6))
    // 70 tiles fit on 76 units.
    let small = Matmul(m: 896, n: 1_280, k: 1_024, format: .bf16)
    #expect(close(beside.seconds(for: small), cost.seconds(for: small)))
    // 1 GB at three quarters of 1 TB/s.
    let memory = KernelCost(gpu: .simple()).beside(units: 24, bandwidth: 0.25)
    let pass = StreamingKernel(.pointwise, read: 500_000_000, written: 500_000_000)
    #expect(close(memory.seconds(for: pass), 1e-3 / 0.75))
  }
}
