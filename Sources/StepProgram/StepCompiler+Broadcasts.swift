import Layout
import Transformer

extension StepCompiler {
  /// Elements of each broadcast that hands out a stage's updated parameters, owner by owner.
  ///
  /// Whole tensors go, largest first, to the rank that has least so far (`_partition_param_list` in
  /// InternLM's `hybrid_zero_optim.py`); ranks that get none send nothing. Query, key and value have one
  /// weight and one bias there (`Wqkv` in its `model/multi_head_attention.py`). Of a tensor that is cut,
  /// this rank's part is dealt out among its data ranks.
  func broadcasts(ofStage stage: Int) -> [Int] {
    guard states.shardDegree > 1 else { return [] }
    let model = job.architecture
    var sizes: [Int] = []
    func add(_ tensors: [ParameterTensor]) {
      var joined: [String: Int] = [:]
      for tensor in tensors where !tensor.isExpert {
        let size =
          tensor.split == .replicated ? tensor.count : tensor.count / job.parallelism.tensor
        let name = tensor.name.split(separator: ".")
        if name.count == 3, name[0] == "attention", ["query", "key", "value"].contains(name[1]) {
          joined[String(name[2]), default: 0] += size
        } else {
          sizes.append(size)
        }
      }
      sizes += joined.sorted { $0.value > $1.value }.map(\.value)
    }
    for part in states.chunks(ofStage: stage) {
      if part.chunk.hasEmbedding { add(model.embeddingTensors) }
      for layer in part.chunk.layers { add(model.tensors(ofLayer: layer)) }
      if part.chunk.hasHead { add(model.finalTensors) }
    }
    guard sizes.count > states.shardDegree else { return sizes }
    var loads = [Int](repeating: 0, count: states.shardDegree)
    for size in sizes.sorted(by: >) {
      let least = loads.indices.min { (loads[$0], $0) < (loads[$1], $1) } ?? 0
      loads[least] += size
    }
    return loads
  }
}
