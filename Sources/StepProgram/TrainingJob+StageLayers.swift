import Hardware
import Kernels
import Layout
public import Quantities
import Transformer

extension TrainingJob {
  /// Layers of each stage when blocks are dealt out by cumulative multiply cost, as nanotron does.
  ///
  /// A layer costs 4·heads·d·h + 3·f·h, the output projection V·h; a rank's share ends with the block that
  /// brings the cumulative cost to its threshold (nanotron's `get_block_compute_costs`; the rounding is what
  /// the activation memory of its first stages shows).
  var layersPerStageByCost: [Int] {
    let hidden = Double(architecture.hiddenSize)
    let attention = architecture.attention
    let layer =
      4 * Double(attention.heads * attention.headDimension) * hidden
      + 3 * Double(architecture.feedForward.intermediateSize) * hidden
    let total =
      layer * Double(architecture.layerCount) + Double(architecture.vocabularySize) * hidden
    let ranks = parallelism.pipeline
    var counts = [Int](repeating: 0, count: ranks)
    var rank = 0
    var cumulative = 0.0
    for _ in 0..<architecture.layerCount {
      cumulative += layer
      counts[rank] += 1
      if rank < ranks - 1, cumulative >= total * Double(rank + 1) / Double(ranks) { rank += 1 }
    }
    return counts
  }

  /// Layers of each stage when the embedding, the final norm and the head are dealt out evenly with them.
  ///
  /// A remainder goes one each to the first stages (`pipe_partition_uniform` of Aleph Alpha's scaling library);
  /// `nil` where that leaves a stage without, and where a rank has more stages than one.
  var layersPerStageWithEnds: [Int]? {
    let ranks = parallelism.pipeline
    guard ranks > 1, parallelism.virtualStages == 1, !parallelism.isVShaped else { return nil }
    let items = architecture.layerCount + 3
    var counts = (0..<ranks).map { items / ranks + ($0 < items % ranks ? 1 : 0) }
    counts[0] -= 1
    counts[ranks - 1] -= 2
    return counts.allSatisfy { $0 >= 0 } ? counts : nil
  }

  /// Layers of each stage where they do not divide.
  ///
  /// The stage with the output projection and the next-token modules gets fewer; `nil` where they divide, or do
  /// with the ends counted as layers.
  ///
  /// Megatron-Bridge lays DeepSeek-V3's 61 layers out so on 4 to 32 stages (`recipes/deepseek`), and so
  /// did DeepSeek, its shallowest and deepest layers on one rank (arXiv:2412.19437, section 3.2.3). One
  /// layer after the other goes to the stage with the least work so far, in multiplies of a token.
  /// Where stages go down and up again in a V, two a rank, that is done for ranks, the projection's
  /// multiplies weighed by how much slower their format is than the layers'.
  var layersPerStageWhereUneven: [Int]? {
    let isV = parallelism.isVShaped
    let ranks = parallelism.pipeline
    let dealt = isV ? ranks : ranks * parallelism.virtualStages
    let layers = architecture.layerCount
    let remainder = layers % (isV ? 2 * ranks : dealt)
    guard ranks > 1, remainder > 0, layers >= dealt,
      isV || remainder < dealt - 2
    else { return nil }
    let flops = architecture.forwardFlops(
      sequenceLength: training.sequenceLength, causal: true)
    let layer =
      (flops.total.count - flops.head - flops.nextTokenProjections)
      / Double(layers + architecture.nextTokenLayers)
    let gpu = cluster.gpu
    let slower =
      isV
      ? gpu.peak(of: training.precision.matmulFormat).flopsPerSecond
        / gpu.peak(of: training.precision.activationFormat).flopsPerSecond : 1
    // Every stage has a layer at least, next-token modules counted.
    var counts = [Int](repeating: 1, count: dealt)
    var work = [Double](repeating: 1, count: dealt)
    let end = isV ? 0 : dealt - 1
    work[end] =
      (flops.head * slower + flops.nextTokenProjections) / layer
      + Double(architecture.nextTokenLayers)
    if isV || architecture.nextTokenLayers == 0 { work[end] += 1 } else { counts[end] = 0 }
    for _ in 0..<max(0, layers - counts.reduce(0, +)) {
      let next = work.indices.min { work[$0] < work[$1] } ?? 0
      counts[next] += 1
      work[next] += 1
    }
    // On the way down the larger half; the way up mirrors it.
    return isV ? counts.map { ($0 + 1) / 2 } + counts.reversed().map { $0 / 2 } : counts
  }

  /// Model FLOPs of a step over all ranks.
  ///
  /// Forward and backward, no recomputation, attention counted in full as most published MFU figures do.
  public var modelFlops: Flops {
    architecture.modelFlopsPerStep(
      tokens: tokensPerStep, sequenceLength: training.sequenceLength, causal: false)
  }
}
