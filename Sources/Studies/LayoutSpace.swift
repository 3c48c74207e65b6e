import Hardware
import Layout
public import StepProgram
import Transformer

/// The layouts one job's GPUs can be cut into.
///
/// Every combination of the axes' values that can train the job. An axis left alone takes: tensor
/// the divisors of a node (if the framework offers it: ``Framework/offer``); pipeline and virtual stages
/// what cuts the layers (with the embedding and the head perhaps counted as layers) evenly; context 1 and
/// powers of two that leave 8,192 tokens a rank; expert the divisors of the experts; ZeRO and schedule what the framework offers; micro-batch
/// the powers of two up to 16; recompute none, selective and full, and full in half of each chunk's layers
/// where the framework offers that; shard group all replicas and, where
/// the framework shards within groups, a node's worth times powers of two; sequence and order what the
/// framework offers; and always what the job itself says. Data parallelism takes the GPUs that remain.
public struct LayoutSpace: Sendable {
  /// An axis of the space, named by its scenario key.
  public enum Axis: String, Hashable, Sendable, CaseIterable {
    case tensor = "parallelism.tensor"
    case pipeline = "parallelism.pipeline"
    case virtualStages = "parallelism.virtual_stages"
    case schedule = "parallelism.schedule"
    case context = "parallelism.context"
    case expert = "parallelism.expert"
    case expertTensor = "parallelism.expert_tensor"
    case zero = "parallelism.zero"
    case shardGroup = "parallelism.shard_group"
    case sequence = "parallelism.sequence"
    case order = "parallelism.order"
    case microBatch = "training.micro_batch"
    case recompute = "training.recompute"

    /// Whether `value` is one this axis can take.
    public func accepts(_ value: String) -> Bool {
      switch self {
      case .schedule: PipelineSchedule(rawValue: value) != nil
      case .recompute: LayoutSpace.recompute(value) != nil
      case .zero: Int(value).map { (0...3).contains($0) } ?? false
      case .sequence: Bool(value) != nil
      case .order: LayoutSpace.order(value) != nil
      default: Int(value).map { $0 >= 1 } ?? false
      }
    }
  }

  private let job: TrainingJob
  private let pinned: Set<Axis>
  private let restrictions: [Axis: [String]]

  /// The layouts of `job`.
  ///
  /// - Parameters:
  ///   - job: the model, the GPUs and the batch; its own layout is one of the space.
  ///   - pinned: axes that keep the job's value.
  ///   - restrictions: the values to try on an axis, each of which it ``Axis/accepts(_:)``.
  public init(job: TrainingJob, pinned: Set<Axis> = [], restrictions: [Axis: [String]] = [:]) {
    self.job = job
    self.pinned = pinned
    self.restrictions = restrictions
  }

  private static let recomputes: [String: Recompute] = [
    "none": Recompute.none, "selective": .selective, "full": .full,
  ]

  /// A recomputation as a scenario writes it, of those a search tries.
  static func recompute(_ text: String) -> Recompute? {
    if let named = recomputes[text] { return named }
    let key = "full_layers:"
    let inner = text.filter { $0 != " " }
    guard inner.hasPrefix("{" + key), inner.hasSuffix("}"),
      let count = Int(inner.dropFirst(key.count + 1).dropLast()), count >= 0
    else { return nil }
    return .fullLayers(count)
  }

  /// What a job of the space has of its own.
  private struct Choice: Hashable {
    var layout: Parallelism
    var microBatch: Int
    var recompute: Recompute
  }

  /// Every job of the space, in the order of its axes; none twice.
  public var jobs: [TrainingJob] {
    var seen: Set<Choice> = []
    var result: [TrainingJob] = []
    for layout in layouts {
      for choice in choices(under: layout) where seen.insert(choice).inserted {
        var candidate = job
        candidate.parallelism = choice.layout
        candidate.training.microBatch = choice.microBatch
        candidate.training.recompute = choice.recompute
        result.append(candidate)
      }
    }
    return result
  }

  /// The degrees, before batch and recomputation.
  private var layouts: [Parallelism] {
    let base = job.parallelism
    var result: [Parallelism] = []
    let tensors = offer.hasTensor ? Self.divisors(of: job.cluster.gpusPerNode) : [1]
    for tensor in values(.tensor, own: base.tensor, tensors) {
      for context in values(.context, own: base.context, contexts) {
        for pipeline in values(.pipeline, own: base.pipeline, pipelines) {
          let ranks = tensor * context * pipeline
          guard ranks <= job.cluster.gpuCount, job.cluster.gpuCount.isMultiple(of: ranks) else {
            continue
          }
          var layout = base
          layout.tensor = tensor
          layout.context = context
          layout.pipeline = pipeline
          layout.data = job.cluster.gpuCount / ranks
          result += scheduled(layout).flatMap(sharded).flatMap(grouped).flatMap(placed)
        }
      }
    }
    return result
  }

  /// The layout with states sharded over all replicas, and within groups of them.
  private func grouped(_ layout: Parallelism) -> [Parallelism] {
    let replicas = layout.data * layout.context
    var groups: [Int?] = [nil]
    if let texts = restrictions[.shardGroup] {
      groups = texts.map { Int($0) }
    } else if pinned.contains(.shardGroup) {
      groups = [job.parallelism.shardGroup]
    } else if offer.hasShardGroups, layout.zero > 0 {
      var group = max(2, job.cluster.gpusPerNode / layout.tensor)
      while group < replicas {
        groups.append(group)
        group *= 2
      }
      if let own = job.parallelism.shardGroup, !groups.contains(own) { groups.append(own) }
    }
    return groups.compactMap { group in
      if let group, !replicas.isMultiple(of: group) { return nil }
      var result = layout
      result.shardGroup = group == replicas ? nil : group
      return result
    }
  }

  /// The layout with sequence parallelism and without, and in each order of the axes.
  private func placed(_ layout: Parallelism) -> [Parallelism] {
    var sequences = layout.tensor > 1 ? offer.sequence : [false]
    if let texts = restrictions[.sequence] {
      sequences = texts.compactMap { Bool($0) }
    } else if pinned.contains(.sequence) {
      sequences = [job.parallelism.sequence]
    }
    var orders = layout.pipeline > 1 && layout.data > 1 ? offer.orders : [job.parallelism.order]
    if let texts = restrictions[.order] {
      orders = texts.compactMap(Self.order)
    } else if pinned.contains(.order) {
      orders = [job.parallelism.order]
    } else if !orders.contains(job.parallelism.order) {
      orders.append(job.parallelism.order)
    }
    return sequences.flatMap { sequence in
      orders.map { order in
        var result = layout
        result.sequence = sequence && layout.tensor > 1
        result.order = order
        return result
      }
    }
  }

  /// An order of the axes as Megatron-LM writes it: `tp-cp-dp-pp`.
  static func order(_ text: String) -> [Layout.Axis]? {
    let axes = text.split(separator: "-").compactMap { Layout.Axis(short: $0) }
    let isWhole = axes.count == Layout.Axis.allCases.count && Set(axes).count == axes.count
    return isWhole ? axes : nil
  }

  /// The layout under each schedule and number of virtual stages.
  private func scheduled(_ layout: Parallelism) -> [Parallelism] {
    let usual = layout.pipeline == 1 ? [.oneForwardOneBackward] : offer.schedules
    var schedules = [job.parallelism.schedule]
    if let names = restrictions[.schedule] {
      schedules = names.compactMap(PipelineSchedule.init(rawValue:))
    } else if !pinned.contains(.schedule) {
      schedules = usual + schedules.filter { !usual.contains($0) }
    }
    return schedules.flatMap { schedule in
      let base = job.parallelism
      var chunks = [schedule == base.schedule ? base.virtualStages : 1]
      if schedule == .interleaved {
        chunks = Array(2...max(2, layerCount / max(layout.pipeline, 1)))
        if layout.pipeline == 1 { chunks = [] }
      } else if layout.pipeline == 1 {
        chunks = [1]
      }
      return values(.virtualStages, own: base.virtualStages, chunks, withOwn: false)
        .filter { schedule == .interleaved ? $0 > 1 : chunks.contains($0) }
        .filter {
          isEven(layout.pipeline * $0)
            || layout.pipeline == base.pipeline && $0 == base.virtualStages
        }
        .map { count in
          var result = layout
          result.schedule = layout.pipeline == 1 ? .oneForwardOneBackward : schedule
          result.virtualStages = count
          // Layers dealt out by hand belong to these stages and no others.
          let isOwn =
            result.pipeline == base.pipeline && count == base.virtualStages
            && result.schedule == base.schedule
          if !isOwn { result.stageLayers = nil }
          return result
        }
    }
  }

  /// The layout under each split of experts and each ZeRO stage.
  private func sharded(_ layout: Parallelism) -> [Parallelism] {
    let base = job.parallelism
    let experts = job.architecture.experts?.expertCount
    var result: [Parallelism] = []
    for expert in values(.expert, own: base.expert, experts.map(Self.divisors) ?? [1]) {
      let inside = experts == nil ? [layout.tensor] : Array(Set([1, layout.tensor])).sorted()
      for expertTensor in values(.expertTensor, own: base.expertTensor, inside, withOwn: false) {
        let stages =
          layout.data * layout.context == 1 && restrictions[.zero] == nil
          ? [0] : layout.pipeline > 1 ? offer.zeroStagesInPipeline : offer.zeroStages
        for zero in values(.zero, own: base.zero, stages, withOwn: stages != [0]) {
          var candidate = layout
          candidate.expert = expert
          candidate.expertTensor = expertTensor
          candidate.zero = zero
          result.append(candidate)
        }
      }
    }
    return result
  }

  /// The layout with each micro-batch and recomputation that can train.
  private func choices(under layout: Parallelism) -> [Choice] {
    let sizes = values(.microBatch, own: job.training.microBatch, [1, 2, 4, 8, 16])
    var modes: [Recompute] = [.none, .selective, .full]
    if let names = restrictions[.recompute] {
      modes = names.compactMap(Self.recompute)
    } else if pinned.contains(.recompute) {
      modes = [job.training.recompute]
    } else if offer.recomputesSomeLayers {
      let half = layerCount / max(1, layout.pipeline * layout.chunksPerRank) / 2
      if half > 0 { modes.append(.fullLayers(half)) }
    }
    return sizes.flatMap { size -> [Choice] in
      let request = LayoutRequest(
        architecture: job.architecture, sequenceLength: job.training.sequenceLength,
        globalBatch: job.training.globalBatch, microBatch: size)
      guard layout.canTrain(request) else { return [] }
      let microbatches = job.training.globalBatch / (size * layout.data)
      if layout.schedule == .interleaved, !microbatches.isMultiple(of: layout.pipeline) {
        return []
      }
      var sized = job
      sized.parallelism = layout
      sized.training.microBatch = size
      // More microbatches than can be simulated have no place among the best.
      guard microbatches < 10_000 || sized.instructionEstimate <= TrainingJob.instructionLimit
      else { return [] }
      return modes.map { Choice(layout: layout, microBatch: size, recompute: $0) }
    }
  }

  /// The values of an axis of whole numbers.
  private func values(
    _ axis: Axis, own: Int, _ usual: [Int], withOwn: Bool = true
  ) -> [Int] {
    if let texts = restrictions[axis] { return texts.compactMap { Int($0) } }
    if pinned.contains(axis) { return [own] }
    return withOwn && !usual.contains(own) ? usual + [own] : usual
  }

  private var layerCount: Int { job.architecture.layerCount }

  /// Whether layers, with neither, one or both of embedding and head counted, divide over `stages`.
  private func isEven(_ stages: Int) -> Bool {
    stages <= layerCount && (0...2).contains { (layerCount + $0).isMultiple(of: stages) }
  }

  private var offer: FrameworkOffer { job.training.framework.offer }

  private var pipelines: [Int] {
    offer.schedules.isEmpty ? [1] : (1...max(layerCount, 1)).filter(isEven)
  }

  /// Context degrees that leave at least 8,192 tokens of a sequence to each rank.
  private var contexts: [Int] {
    var result = [1]
    var degree = 2
    while job.training.sequenceLength / degree >= 8_192 {
      result.append(degree)
      degree *= 2
    }
    return result
  }

  private static func divisors(of number: Int) -> [Int] {
    (1...max(number, 1)).filter { number.isMultiple(of: $0) }
  }
}
