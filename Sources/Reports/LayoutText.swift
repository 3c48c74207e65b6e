import Layout
import StepProgram
import Transformer

/// A layout in the words of the scenario file.
struct LayoutText {
  var job: TrainingJob

  /// Every degree above one and every choice, in one line.
  var line: String {
    let layout = job.parallelism
    let degrees = [
      ("tp", layout.tensor), ("cp", layout.context), ("pp", layout.pipeline),
      ("vpp", layout.virtualStages), ("ep", layout.expert), ("dp", layout.data),
    ]
    let text = degrees.filter { $0.1 > 1 }.map { "\($0.0)\($0.1)" }.joined(separator: " ")
    let group = layout.shardGroup.map { " shard\($0)" } ?? ""
    let whole = layout.tensor > 1 && !layout.sequence ? " no-sp" : ""
    let order =
      layout.order == Parallelism.usualOrder
      ? "" : " " + layout.orderText
    let schedule = layout.pipeline > 1 ? " \(layout.schedule.rawValue)" : ""
    return "\(text.isEmpty ? "one GPU" : text)\(whole)"
      + " zero\(layout.zero)\(group)\(schedule)\(order)"
      + " mb\(job.training.microBatch) recompute \(recompute)"
  }

  /// The recomputation as the scenario file names it.
  var recompute: String {
    switch job.training.recompute {
    case .none: "none"
    case .selective: "selective"
    case .passes: "passes"
    case .full: "full"
    case .fullLayers(let count): "{full_layers: \(count)}"
    case .offloadLayers(let count): "{offload_layers: \(count)}"
    case .modules(let modules): modules.names.joined(separator: "+")
    case .saved(let outputs, let offloaded):
      "all but " + outputs.union(offloaded).names.joined(separator: "+")
    case .auto: "auto"
    }
  }
}
