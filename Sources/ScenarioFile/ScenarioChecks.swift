import Hardware
import Layout
import StepProgram
import Transformer

/// Checks that involve several keys of a scenario that were each read without a mistake.
struct ScenarioChecks {
  let job: TrainingJob
  let layout: Block
  let training: Block
  /// Sentences about what is allowed and probably not meant.
  private(set) var warnings: [String] = []

  init(job: TrainingJob, layout: Block, training: Block) {
    self.job = job
    self.layout = layout
    self.training = training
  }

  /// Reports every combination that cannot run.
  mutating func run() {
    batch()
    heads()
    stages()
    sequence()
    experts()
    shards()
    placement()
  }

  private func batch() {
    let settings = job.training
    let replicas = job.parallelism.data
    let unit = settings.microBatch * replicas
    guard settings.globalBatch % unit != 0 else { return }
    let below = settings.globalBatch / unit * unit
    let nearest = below == 0 ? "\(unit)" : "\(below) or \(below + unit)"
    training.report(
      "global_batch",
      "\(settings.globalBatch) is not a multiple of micro_batch \(settings.microBatch) × "
        + "data \(replicas) = \(unit); the nearest is \(nearest)")
  }

  private func heads() {
    let tensor = job.parallelism.tensor
    let heads = job.architecture.attention.heads
    let keyValueHeads = job.architecture.attention.keyValueHeads
    if heads % tensor != 0 {
      layout.report(
        "tensor",
        "\(tensor) does not divide the \(heads) attention heads; use \(Self.divisors(of: heads))")
    } else if keyValueHeads % tensor != 0, tensor % keyValueHeads != 0 {
      layout.report(
        "tensor",
        "\(tensor) neither divides nor is a multiple of the \(keyValueHeads) key and value heads")
    }
  }

  private func stages() {
    let value = job.parallelism
    let layers = job.architecture.layerCount
    let chunks = Double(value.pipeline) * Double(value.virtualStages)
    // The embedding and the head may take a stage each.
    if chunks > Double(layers + 2) {
      layout.report(
        value.virtualStages > 1 ? "virtual_stages" : "pipeline",
        "pipeline \(value.pipeline) × virtual_stages \(value.virtualStages) is more than the "
          + "\(layers) layers")
    }
    if value.virtualStages > 1, value.pipeline == 1 {
      layout.report("virtual_stages", "\(value.virtualStages) needs a pipeline of at least 2")
    }
    switch value.schedule {
    case .gpipe, .oneForwardOneBackward:
      if value.virtualStages > 1 {
        layout.report(
          "schedule",
          "\(value.schedule.rawValue) runs one model chunk per rank, but virtual_stages is "
            + "\(value.virtualStages); use interleaved")
      }
    case .interleaved:
      if value.virtualStages == 1, value.pipeline > 1 {
        layout.report("schedule", "interleaved needs virtual_stages of at least 2")
      }
    case .dualPipe:
      if value.pipeline % 2 != 0 {
        layout.report("schedule", "dualpipe needs an even pipeline, not \(value.pipeline)")
      }
    case .zeroBubble: break
    }
  }

  private func sequence() {
    let length = job.training.sequenceLength
    let context = job.parallelism.context
    if length % context != 0 {
      training.report("sequence_length", "\(length) is not a multiple of context \(context)")
    } else if job.parallelism.sequence, length / context % job.parallelism.tensor != 0 {
      training.report(
        "sequence_length",
        "\(length) is not a multiple of context \(context) × tensor \(job.parallelism.tensor), "
          + "which sequence parallelism splits it by")
    }
  }

  private func experts() {
    let value = job.parallelism
    guard let experts = job.architecture.experts else {
      if value.expert > 1 {
        layout.report("expert", "\(value.expert), but the model has no experts")
      }
      return
    }
    if experts.expertCount % value.expert != 0 {
      layout.report(
        "expert",
        "\(value.expert) does not divide the \(experts.expertCount) experts; use "
          + Self.divisors(of: experts.expertCount))
    }
    let ranks = job.cluster.gpuCount / value.pipeline
    let unit = Double(value.expert) * Double(value.expertTensor)
    if unit > Double(ranks) || ranks % Int(unit) != 0 {
      layout.report(
        value.expert > 1 ? "expert" : "expert_tensor",
        "expert \(value.expert) × expert_tensor \(value.expertTensor) does not divide the \(ranks) "
          + "ranks of a pipeline stage")
    }
  }

  private func shards() {
    guard let group = job.parallelism.shardGroup else { return }
    let replicas = job.parallelism.data * job.parallelism.context
    if group > replicas || replicas % group != 0 {
      layout.report(
        "shard_group", "\(group) does not divide data × context = \(replicas)")
    }
  }

  private mutating func placement() {
    let cluster = job.cluster
    if job.parallelism.tensor > cluster.gpusPerNode {
      warnings.append(
        "tensor parallelism of \(job.parallelism.tensor) reaches across nodes of "
          + "\(cluster.gpusPerNode) GPUs.")
    }
    let length = job.training.sequenceLength
    let positions = job.architecture.maximumPositions
    if job.architecture.positions == .learned, positions > 0, length > positions {
      warnings.append(
        "sequences of \(length) tokens are longer than the model's \(positions) learned positions.")
    }
  }

  /// `1, 2, 4 or 8`; at most the eight smallest and the number itself.
  static func divisors(of number: Int) -> String {
    guard number > 0, number <= 1_000_000 else { return "a divisor of it" }
    let all = (1...number).filter { number % $0 == 0 }
    guard let last = all.last, all.count > 1 else { return "1" }
    let shown = all.dropLast().prefix(8).map(String.init).joined(separator: ", ")
    return all.count > 9 ? "\(shown), … or \(last)" : "\(shown) or \(last)"
  }
}
