import Hardware
import Kernels
import Quantities
import Testing

@Suite struct AttentionCostTests {
  static func kernel(
    pass: Pass = .forward, batch: Int = 1, heads: Int = 25, length: Int = 4_096,
    dimension: Int = 64, fraction: Double = 1
  ) -> AttentionKernel {
    AttentionKernel(
      algorithm: .flash2, pass: pass, batch: batch, heads: heads, keyValueHeads: heads,
      queryLength: length, keyLength: length, headDimension: dimension,
      valueDimension: dimension, computedFraction: fraction, format: .bf16)
  }

  @Test("at efficiency 1 and without overheads it runs at the peak")
  func atThePeak() {
    // 25 heads · 4096² scores · 4·64 FLOP = 107.374182400 GFLOP at 100 TFLOP/s: 1.073741824 ms.
    let cost = KernelCost(gpu: .simple())
    #expect(close(cost.seconds(for: Self.kernel()), 1.073741824e-3))
    // Backward makes five products for the forward's two.
    #expect(close(cost.seconds(for: Self.kernel(pass: .backward)), 2.5 * 1.073741824e-3))
  }

  @Test("softmax, prologue and tail add what they say")
  func overheads() {
    let gpu = GPU.simple(
      attention: AttentionConstants(
        efficiency: 0.5, softmaxDimensions: 32, prologueKeys: 1_024, tail: 0.5))
    // Softmax: 1 + 32/(64 + 64) = 1.25; efficiency: ·2; prologue: (2048 + 1024)/2048 keys = 1.5 at
    // half the scores; so 1.073741824 ms · 0.5 · 1.25 · 2 · 1.5 = 2.01326592 ms for the blocks. The
    // tail is half of the longest block, twice the average one: one average block, of 800 blocks
    // on 100 units: an eighth more.
    let seconds = KernelCost(gpu: gpu).seconds(for: Self.kernel(fraction: 0.5))
    #expect(close(seconds, 2.01326592e-3 * 1.125))
  }

  @Test("a single causal sequence cannot end before its longest block")
  func longestBlock() {
    // One head of 8 blocks on 100 units: the last block sees all 1024 keys, twice the average:
    // 128 · 1024 · 4 · 64 FLOP at 1 TFLOP/s = 33.554432 us.
    let seconds = KernelCost(gpu: .simple()).seconds(
      for: Self.kernel(heads: 1, length: 1_024, fraction: 0.5))
    #expect(close(seconds, 33.554432e-6))
  }

  @Test("dropping scores takes ten integer operations each")
  func dropout() {
    let cost = KernelCost(gpu: .simple())
    var kernel = Self.kernel()
    kernel.dropsScores = true
    // 25 · 4096² scores over 100 units at 64 · 1.5e9 / 10 = 9.6e9 a second: 0.436906666… ms more.
    let extra = cost.seconds(for: kernel) - cost.seconds(for: Self.kernel())
    #expect(close(extra, 25 * 4_096 * 4_096 / 100 / 9.6e9))
  }

  @Test("sums in the same order: parts of the keys fill the GPU, the rest is a second wave")
  func deterministic() {
    let cost = KernelCost(gpu: .simple())
    func seconds(_ heads: Int, _ algorithm: AttentionAlgorithm = .flash2, ordered: Bool = true)
      -> Double
    {
      var kernel = Self.kernel(pass: .backward, heads: heads)
      kernel.algorithm = algorithm
      kernel.isDeterministic = ordered
      return cost.seconds(for: kernel)
    }
    // A block of 128 keys meets 4096 queries at 640 FLOP a score and 1 TFLOP/s: 335.54432 us. 25 heads
    // of 32 such on 100 units: 4 parts of 8 each, one wave. Sums of 4 bytes, 4 parts of 4096 · 64 · 25
    // values, are cleared and read: 209.7152 us at 1 TB/s.
    let block = 335.54432e-6
    #expect(close(seconds(25), 8 * block + 209.7152e-6))
    // 26 heads: 4 parts too, 104 thread blocks, two waves.
    #expect(close(seconds(26), 16 * block + 209.7152e-6 * 26 / 25))
    #expect(close(seconds(26, ordered: false), 8.32 * block))
    // Kernels of FlashAttention-3's class keep 0.63 of their speed; nothing changes forward.
    #expect(close(seconds(25, .flash3), 8 * block / 0.63))
    var forward = Self.kernel()
    forward.isDeterministic = true
    #expect(cost.seconds(for: forward) == cost.seconds(for: Self.kernel()))
  }

  @Test("FlashAttention-2's own kernels use Ampere's instructions on Blackwell too")
  func ownFlash2() throws {
    let cost = KernelCost(gpu: try #require(GPU.named("b200-sxm")))
    var kernel = Self.kernel(batch: 8, heads: 16, length: 8_192, dimension: 128)
    let library = cost.seconds(for: kernel)
    kernel.isDeterministic = true
    // Efficiencies 0.723 and 0.188, softmax as 19.6 and 22.5 of 256 dimensions: 3.9 times as slow; tail
    // and prologue make little of so many blocks.
    #expect(close(cost.seconds(for: kernel) / library, 3.9, within: 0.03))
  }

  @Test("narrow heads wait for exponentials, windows for whole tiles")
  func narrowHeadsAndWindows() {
    let cost = KernelCost(
      gpu: .simple(
        attention: AttentionConstants(
          efficiency: 1, softmaxDimensions: 0, prologueKeys: 0, tail: 0, leastDimensions: 192,
          windowKeys: 384)))
    // 128 dimensions cost as 192: half more than 1.073741824 ms; 256 are above it.
    #expect(close(cost.seconds(for: Self.kernel()), 1.5 * 1.073741824e-3))
    #expect(
      close(cost.seconds(for: Self.kernel(dimension: 128)), 2 * 1.073741824e-3))
    // A window of an eighth of 4,096 keys and 384 more: 896 keys, 7/32 of the scores.
    var window = Self.kernel(fraction: 0.125)
    window.hasWindow = true
    #expect(close(cost.seconds(for: window), 1.5 * 1.073741824e-3 * 7 / 32))
    // Never more than the mask leaves: 1,843 keys and 384 are above half of 4,096.
    window.computedFraction = 0.45
    #expect(close(cost.seconds(for: window), 1.5 * 1.073741824e-3 / 2))
  }

  @Test("in eight bits the library's backward pass computes what a window masks")
  func narrowWindows() throws {
    let cost = KernelCost(gpu: try #require(GPU.named("gb200")))
    func seconds(_ length: Int, _ format: NumberFormat, _ pass: Pass) -> Double {
      var kernel = Self.kernel(
        pass: pass, heads: 128, length: length, fraction: 128 / Double(length))
      kernel.hasWindow = true
      kernel.format = format
      return cost.seconds(for: kernel)
    }
    // Twice the sequence: four times the scores or, of a window, twice as many.
    let narrow = seconds(32_768, .mxfp8, .backward) / seconds(16_384, .mxfp8, .backward)
    #expect(close(narrow, 4, within: 0.03))
    let wide = seconds(32_768, .bf16, .backward) / seconds(16_384, .bf16, .backward)
    #expect(close(wide, 2, within: 0.03))
    let forward = seconds(32_768, .mxfp8, .forward) / seconds(16_384, .mxfp8, .forward)
    #expect(close(forward, 2, within: 0.03))
    // Exponentials, which narrow heads wait for, are no faster.
    #expect(close(seconds(16_384, .mxfp8, .forward), seconds(16_384, .bf16, .forward)))
  }

  @Test("heads are padded to a multiple of 32")
  func padding() {
    let cost = KernelCost(gpu: .simple())
    #expect(
      cost.seconds(for: Self.kernel(dimension: 80))
        == cost.seconds(for: Self.kernel(dimension: 96)))
  }

  @Test("the library's backward pass on Blackwell pads heads of 192 to 256")
  func widePadding() {
    var gpu = GPU.simple()
    gpu.kernels.backwardPadding = 128
    func seconds(_ pass: Pass, _ dimension: Int, ordered: Bool = false) -> Double {
      var kernel = Self.kernel(pass: pass, dimension: dimension)
      kernel.isDeterministic = ordered
      return KernelCost(gpu: gpu).seconds(for: kernel)
    }
    #expect(seconds(.backward, 192) == seconds(.backward, 256))
    #expect(seconds(.backward, 192, ordered: true) < seconds(.backward, 256, ordered: true))
    #expect(close(seconds(.forward, 192), 0.75 * seconds(.forward, 256)))
    // Up to 128 to a multiple of 32 as anywhere.
    #expect(close(seconds(.backward, 96), 0.75 * seconds(.backward, 128)))
  }

  @Test("a kernel that another follows on its own stream has no tail")
  func followed() {
    let gpu = GPU.simple(
      attention: AttentionConstants(
        efficiency: 1, softmaxDimensions: 0, prologueKeys: 0, tail: 0.5))
    var kernel = Self.kernel()
    let alone = KernelCost(gpu: gpu).seconds(for: kernel)
    kernel.isFollowed = true
    // 800 blocks on 100 units: 8 rounds, and half a block.
    #expect(close(alone, KernelCost(gpu: gpu).seconds(for: kernel) * 8.5 / 8))
  }

  @Test("the first FlashAttention has a rate of its own in training")
  func firstInTraining() {
    var gpu = GPU.simple()
    gpu.kernels.trainingFlash1 = 0.5
    var kernel = Self.kernel()
    let second = KernelCost(gpu: gpu).seconds(for: kernel)
    kernel.algorithm = .flash1
    #expect(close(KernelCost(gpu: gpu).seconds(for: kernel), 2 * second))
  }

  @Test("a TPU's matrix units pad heads to their width")
  func paddingOfMatrixUnits() throws {
    func seconds(_ name: String, _ head: Int) throws -> Double {
      let gpu = try #require(GPU.named(name))
      var kernel = AttentionKernel(
        algorithm: .flash2, pass: .forward, batch: 4, heads: 16, keyValueHeads: 16,
        queryLength: 4_096, keyLength: 4_096, headDimension: head, valueDimension: head,
        computedFraction: 0.5, format: .bf16)
      kernel.countedFraction = 1
      return KernelCost(gpu: gpu).seconds(for: kernel)
    }
    #expect(try seconds("tpu-v5p", 64) == seconds("tpu-v5p", 128))
    #expect(try seconds("tpu-v5p", 128) < seconds("tpu-v5p", 256))
    #expect(try seconds("tpu-v6e", 128) == seconds("tpu-v6e", 256))
  }

  @Test("longer sequences run closer to the peak, and newer kernels faster")
  func efficiencies() throws {
    let h100 = KernelCost(gpu: try #require(GPU.named("h100-sxm-80gb")))
    func rate(_ algorithm: AttentionAlgorithm, _ length: Int) -> Double {
      // 16k tokens in all, hidden size 2048, as in the FlashAttention papers.
      var kernel = Self.kernel(
        batch: 16_384 / length, heads: 16, length: length, dimension: 128, fraction: 0.5)
      kernel.algorithm = algorithm
      return kernel.flops.count / h100.seconds(for: kernel)
    }
    for algorithm in [AttentionAlgorithm.flash1, .flash2, .flash3] {
      #expect(rate(algorithm, 512) < rate(algorithm, 2_048))
      #expect(rate(algorithm, 2_048) < rate(algorithm, 16_384))
    }
    #expect(rate(.flash1, 4_096) < rate(.flash2, 4_096))
    #expect(rate(.flash2, 4_096) < rate(.flash3, 4_096))
  }
}

@Suite struct StreamCostTests {
  @Test("a large pass takes its bytes over the achieved rate, and one overhead a launch")
  func large() {
    let cost = KernelCost(gpu: .simple(overhead: 2e-6))
    // 2 GB at 1 TB/s; at half of it for a row reduction; at a quarter for a gather.
    let bytes: Int64 = 1_000_000_000
    func seconds(_ kind: StreamingKind, launches: Int = 1) -> Double {
      cost.seconds(
        for: StreamingKernel(kind, read: bytes, written: bytes, launches: launches))
    }
    #expect(close(seconds(.pointwise), 2e-3 + 2e-6))
    #expect(close(seconds(.rowReduction), 4e-3 + 2e-6))
    #expect(close(seconds(.gather), 8e-3 + 2e-6))
    #expect(close(seconds(.pointwise, launches: 5), 2e-3 + 10e-6))
  }

  @Test("a pass that fits in L2 runs at its rate")
  func small() {
    // Half of 40 MiB is resident: 20 971 520 B. 10 MB in all at 4 TB/s: 2.5 us. 100 MB: what is
    // beyond, 79.02848 MB, at 1 TB/s.
    let cost = KernelCost(gpu: .simple(residency: 0.5))
    let small = cost.seconds(
      for: StreamingKernel(.pointwise, read: 5_000_000, written: 5_000_000))
    let large = cost.seconds(
      for: StreamingKernel(.pointwise, read: 50_000_000, written: 50_000_000))
    #expect(close(small, 2.5e-6))
    #expect(close(large, 79.02848e-6))
  }

  @Test("an empty pass still costs its launch")
  func empty() {
    let cost = KernelCost(gpu: .simple(overhead: 2e-6))
    #expect(cost.seconds(for: StreamingKernel(.pointwise, read: 0, written: 0)) == 2e-6)
  }

  @Test("a head's keys are dealt to as many blocks as fill the GPU, at least one")
  func deterministicParts() {
    // 132 multiprocessors: ⌈132/32⌉, ⌈132/132⌉, and 256 heads are more than there are.
    let parts = [32, 132, 256].map { AttentionKernel.deterministicParts(sequences: $0, units: 132) }
    #expect(parts == [5, 1, 1])
    // None are dealt where sums come in any order.
    #expect(AttentionKernel.deterministicParts(sequences: 32, units: 0) == 1)
  }
}
