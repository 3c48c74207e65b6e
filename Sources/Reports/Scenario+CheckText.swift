public import ScenarioFile
import Hardware
import Layout
import StepProgram
import Transformer

extension Scenario {
  /// What a scenario was understood as, in a few lines.
  public var checkText: String {
    let model = job.architecture
    let layout = job.parallelism
    let settings = job.training
    var size = "\(Format.count(Double(model.parameterCount))) parameters"
    if model.activeParameterCount != model.parameterCount {
      size += " (\(Format.count(Double(model.activeParameterCount))) active)"
    }
    let degrees = [
      ("tensor", layout.tensor), ("context", layout.context), ("data", layout.data),
      ("pipeline", layout.pipeline), ("expert", layout.expert),
    ]
    let axes = degrees.filter { $0.1 > 1 }.map { "\($0.0) \($0.1)" }.joined(separator: " × ")
    var lines = [
      "\(name): no mistakes.",
      "Model    \(model.name), \(size), \(model.layerCount) layers",
      "Cluster  \(Format.grouped(job.cluster.gpuCount)) × \(job.cluster.gpu.name), "
        + "\(job.cluster.gpusPerNode) to a node",
      "Layout   \(axes.isEmpty ? "one GPU" : axes), ZeRO \(layout.zero), "
        + "\(layout.schedule.rawValue), \(job.microbatchCount) microbatches",
      "Batch    \(Format.grouped(settings.globalBatch)) × "
        + "\(Format.grouped(settings.sequenceLength)) tokens = "
        + "\(Format.count(Double(job.tokensPerStep))) a step; "
        + "\(Format.count(tokens)) tokens in all",
    ]
    lines += warnings.map { "Warning: \($0)" }
    return lines.joined(separator: "\n") + "\n"
  }
}
