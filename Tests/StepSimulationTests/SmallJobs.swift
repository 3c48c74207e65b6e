import Testing
import Hardware
import Layout
import MessagePassing
import Quantities
import StepProgram
import Transformer

@testable import StepSimulation

/// Small jobs built by hand.
enum SmallJobs {
  /// A dense model of a few layers.
  static func model(
    layers: Int = 8, hidden: Int = 1024, tied: Bool = false, experts: Int = 0
  ) -> Architecture {
    Architecture(
      name: "small", layerCount: layers, hiddenSize: hidden,
      attention: SelfAttention(
        heads: hidden / 64, keyValueHeads: hidden / 64, headDimension: 64),
      feedForward: FeedForward(intermediateSize: 4 * hidden, activation: .gelu),
      experts: experts == 0
        ? nil
        : MixtureOfExperts(
          expertCount: experts, expertsPerToken: 2, intermediateSize: 2 * hidden,
          expertLayers: Array(repeating: true, count: layers)),
      vocabularySize: 32_000, tiesEmbeddings: tied, positions: .rotary, maximumPositions: 2048,
      norm: Norm(.rmsNorm, hasBias: false))
  }

  static func cluster(gpus: Int, perNode: Int = 8) throws -> Cluster {
    let gpu = try #require(GPU.named("a100-sxm-80gb"))
    return Cluster(
      gpu: gpu, gpuCount: gpus, gpusPerNode: perNode, intraNode: gpu.scaleUp,
      interNode: gpu.scaleOut)
  }

  static func job(
    _ parallelism: Parallelism, model: Architecture = model(), microbatches: Int = 4,
    perNode: Int = 8, recompute: Recompute = .none, framework: Framework = .generic
  ) throws -> TrainingJob {
    TrainingJob(
      architecture: model, cluster: try cluster(gpus: parallelism.gpuCount, perNode: perNode),
      parallelism: parallelism,
      training: TrainingSettings(
        sequenceLength: 2048, globalBatch: microbatches * parallelism.data, microBatch: 1,
        recompute: recompute, framework: framework))
  }

  /// The job on every rank, alone or over several processes played by threads.
  static func full(
    _ program: StepProgram, speeds: RankSpeeds = .uniform, processes: Int = 1
  ) throws -> StepResult {
    try #require(try fullEverywhere(program, speeds: speeds, processes: processes).first)
  }

  static func fullEverywhere(
    _ program: StepProgram, speeds: RankSpeeds = .uniform, processes: Int
  ) throws -> [StepResult] {
    if processes == 1 {
      return [try FullSimulation.run(program, speeds: speeds, communicator: SoloCommunicator())]
    }
    return try ThreadCommunicator.run(processes: processes) {
      try FullSimulation.run(program, speeds: speeds, communicator: $0)
    }
  }
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, doi 10.1145/2660193.2660195).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
