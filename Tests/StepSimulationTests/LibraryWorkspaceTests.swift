import Hardware
import Layout
import Quantities
import Testing

@testable import StepProgram

/// What libraries keep, by the rules of their sources.
@Suite("Workspaces of libraries") struct LibraryWorkspaceTests {
  private func total(_ gpu: String, _ framework: Framework) throws -> Bytes {
    LibraryWorkspaces(gpu: try #require(GPU.named(gpu))).total(of: framework.profile)
  }

  @Test("PyTorch's of two threads, Transformer Engine's, and Megatron's remainder")
  func sizes() throws {
    let small = Bytes(2 * 8_320 * 1_024)
    // 4 MiB of Transformer Engine and 2 MiB of Megatron's own; Megatron-Core sets 32 MiB a thread.
    #expect(try total("a100-sxm-80gb", .megatronCore) == .mebibytes(2 * 32 + 4 + 2))
    #expect(try total("l40s", .nemo) == small + .mebibytes(4 + 2))
    #expect(try total("v100-sxm2-32gb", .megatronLM) == small)
    #expect(try total("a100-sxm-80gb", .torchtitan) == small)
    #expect(try total("h100-sxm-80gb", .megatronCore) == .mebibytes(2 * 32 + 32 + 3))
    #expect(try total("gb200", .generic) == .mebibytes(2 * 32 + 32 + 3))
    #expect(try total("h100-sxm-80gb", .nanotron) == .mebibytes(64))
    #expect(try total("mi300x", .torchtitan) == .mebibytes(2 * 128))
    #expect(try total("mi250x", .torchtitan) == .mebibytes(2 * 32))
  }

  @Test("XLA hands out one scratch on a GPU; a TPU has neither workspaces nor CUDA's context")
  func compiled() throws {
    #expect(try total("h100-sxm-80gb", .maxtext) == .mebibytes(32))
    #expect(try total("a100-sxm-80gb", .maxtext) == .mebibytes(4))
    #expect(try total("tpu-v5p", .maxtext) == .zero)
    #expect(try total("tpu-v5p", .generic) == .zero)
    var job = try SmallJobs.job(Parallelism(data: 8), framework: .maxtext)
    job.cluster.gpu = try #require(GPU.named("tpu-v5p"))
    #expect(job.runtime == .zero)
    // 550 MiB of context and NCCL's 392.
    job.cluster.gpu = try #require(GPU.named("h100-sxm-80gb"))
    #expect(job.runtime == .mebibytes(942))
  }
}
