import Collectives
import Hardware
import Kernels
public import Quantities
import Transformer

/// What one operation of a microbatch costs a rank: the prices a step is made of.
public struct OperationCost: Hashable, Sendable {
  /// The unit it belongs to: `layer 3`, `embedding`, `head`.
  public var unit: String
  /// The operation.
  public var name: String
  /// Kernel time of the forward pass.
  public var forward: Seconds
  /// Kernel time of the gradient of its input.
  public var inputGradient: Seconds
  /// Kernel time of the gradient of its weights.
  public var weightGradient: Seconds
  /// Operations on the matrix units, all passes.
  public var flops: Flops
  /// Time of the collectives it calls, all passes, on an idle fabric.
  public var communication: Seconds
  /// Bytes kept from forward to backward.
  public var saved: Bytes

  /// Kernel time of all passes.
  public var kernels: Seconds { forward + inputGradient + weightGradient }
}

extension StepProgram {
  /// The operations of one layer of each kind and of both ends of the model, priced.
  ///
  /// - Parameter job: the job; recomputation is not counted.
  /// - Returns: operations in the order of the forward pass.
  public static func operationCosts(of job: TrainingJob) -> [OperationCost] {
    StepCompiler(job: job).operationCosts()
  }
}

extension StepCompiler {
  /// The operations of one layer of each kind and of both ends of the model, priced.
  func operationCosts() -> [OperationCost] {
    let model = job.architecture
    var result = model.embeddingOperations(shard: shard, fusion: profile.fusion)
      .map { priced($0, unit: "embedding") }
    var seen: Set<Architecture.LayerKind> = []
    for layer in 0..<model.layerCount
    where seen.insert(model.kind(ofLayer: layer)).inserted {
      let operations = model.layerOperations(
        layer: layer, shard: shard, algorithm: attention, fusion: profile.fusion)
      result += operations.map { priced($0, unit: "layer \(layer)") }
    }
    let head = model.headOperations(
      shard: shard, fusion: profile.fusion, vocabularySplit: profile.splitsLoss)
    return result + head.map { priced($0, unit: "head") }
  }

  private func priced(_ operation: Operation, unit: String) -> OperationCost {
    func time(_ kernels: [Kernel]) -> Seconds {
      Seconds(kernels.reduce(0) { $0 + builder.cost.seconds(for: $1) })
    }
    let all = operation.forward + operation.inputGradient + operation.weightGradient
    let flops = all.reduce(0.0) { sum, kernel in
      switch kernel {
      case .matmul(let matmul): sum + matmul.flops.count
      case .attention(let attention): sum + attention.flops.count
      case .scan(let scan): sum + scan.flops
      case .stream: sum
      }
    }
    let exchanges = [
      operation.beforeForward, operation.besideForward, operation.afterForward,
      operation.beforeBackward, operation.besideBackward, operation.regather,
      operation.afterInputGradient,
    ]
    let communication = exchanges.compactMap { $0 }.compactMap { pricing.call(for: $0) }
      .reduce(0) { $0 + $1.duration.seconds }
    return OperationCost(
      unit: unit, name: operation.name, forward: time(operation.forward),
      inputGradient: time(operation.inputGradient), weightGradient: time(operation.weightGradient),
      flops: Flops(flops), communication: Seconds(communication),
      saved: Bytes(operation.saved))
  }
}
