public import StepProgram
import Foundation
import Hardware
import Kernels
import Layout
import Quantities
import Transformer

/// What decides which measured runs a run is like.
public struct RunFeatures: Hashable, Sendable {
  /// Catalogue name of the GPU, or of the one it was made from.
  public var gpu: String
  /// Its dense bf16 peak in 10^12 operations a second.
  public var gpuTeraflops: Double
  /// The training software.
  public var framework: String
  /// Bits of the multiplied format.
  public var formatBits: Int
  /// GPUs.
  public var gpus: Int
  /// Parameters of the model.
  public var parameters: Int64
  /// Tokens per sequence.
  public var sequenceLength: Int
  /// Whether matrices are split.
  public var tensor: Bool
  /// Whether layers are split.
  public var pipeline: Bool
  /// Whether sequences are split.
  public var context: Bool
  /// Whether experts are split.
  public var expert: Bool
  /// Whether parameters are sharded over data ranks (ZeRO-3, FSDP).
  public var shardsParameters: Bool
}

extension RunFeatures {
  /// The features of a job.
  public init(_ job: TrainingJob) {
    let layout = job.parallelism
    gpu = job.cluster.gpu.catalogueName
    gpuTeraflops = (job.cluster.gpu.peak(of: .bf16).flopsPerSecond / 1e11).rounded() / 10
    framework = job.training.framework.rawValue
    formatBits =
      switch job.training.precision.matmulFormat {
      case .nvfp4: 4
      case .fp8, .mxfp8, .int8: 8
      case .bf16, .fp16: 16
      case .tf32, .fp32: 32
      }
    gpus = job.cluster.gpuCount
    parameters = Int64(job.architecture.parameterCount)
    sequenceLength = job.training.sequenceLength
    tensor = layout.tensor > 1
    pipeline = layout.pipeline > 1
    context = layout.context > 1
    expert = layout.expert > 1
    shardsParameters = layout.zero == 3
  }

  /// What its GPU has in common with others: NVIDIA's compute capability, else the series its name begins with.
  var gpuKind: String {
    GPU.named(gpu)?.computeCapability.map(String.init) ?? String(gpu.prefix(3))
  }

  /// How unlike two runs are: 0 for the same features.
  ///
  /// The sum of: another GPU 2, plus the doublings between their bf16 peaks; other software ½ of
  /// the same kind (Megatron and its kin; FSDP and its kin), else 1; ½ for each halving of the
  /// multiplied format; ½ for each doubling of the parameters, ¼ of the GPUs, ¼ of the sequence
  /// length; ½ for each axis (tensor, pipeline, context, expert, parameter shards) that only one of
  /// them has.
  public func distance(to other: RunFeatures) -> Double {
    var sum = gpu == other.gpu ? 0 : 2 + Self.doublings(gpuTeraflops, other.gpuTeraflops)
    if framework != other.framework {
      let kinds = (Self.kind(of: framework), Self.kind(of: other.framework))
      sum += kinds.0 == kinds.1 || kinds.0 == .any || kinds.1 == .any ? 0.5 : 1
    }
    sum += 0.5 * Self.doublings(Double(formatBits), Double(other.formatBits))
    sum += 0.5 * Self.doublings(Double(parameters), Double(other.parameters))
    sum += 0.25 * Self.doublings(Double(gpus), Double(other.gpus))
    sum += 0.25 * Self.doublings(Double(sequenceLength), Double(other.sequenceLength))
    if tensor != other.tensor { sum += 0.5 }
    if pipeline != other.pipeline { sum += 0.5 }
    if context != other.context { sum += 0.5 }
    if expert != other.expert { sum += 0.5 }
    if shardsParameters != other.shardsParameters { sum += 0.5 }
    return sum
  }

  private enum Kind { case megatron, sharded, any }

  private static func kind(of framework: String) -> Kind {
    switch Framework(rawValue: framework) {
    case .megatronLM, .megatronDeepSpeed, .megatronCore, .nemo, .nanotron, .alephAlphaScaling:
      .megatron
    case .llmFoundry, .torchtitan, .deepspeed, .internLM, .maxtext: .sharded
    case .generic, nil: .any
    }
  }

  /// How often the smaller must be doubled to reach the larger.
  private static func doublings(_ first: Double, _ second: Double) -> Double {
    guard first > 0, second > 0 else { return 0 }
    return abs(log2(first / second))
  }
}
