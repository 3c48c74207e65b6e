import Transformer
public import Hardware
import RunForecast
public import ScenarioFile
import Layout
import StepProgram
public import Quantities

/// The clusters a plan chooses among.
public enum HardwareChoices {
  /// A kind of cluster with its price.
  public struct Kind: Hashable, Sendable {
    /// Catalogue name of the cluster or GPU, or `scenario` for the scenario's own.
    public var name: String
    /// One node of it.
    public var node: Cluster
    /// Price of one GPU for one hour; `nil` for the catalogue's.
    public var gpuHourPrice: Dollars?

    /// A kind of cluster called `name`.
    public init(name: String, node: Cluster, gpuHourPrice: Dollars?) {
      self.name = name
      self.node = node
      self.gpuHourPrice = gpuHourPrice
    }
  }

  /// How many times more and fewer GPUs than the rule of thumb asks for are tried.
  private static let reach = [0.5, 1, 2, 4]

  /// Numbers of GPUs worth trying.
  ///
  /// With a deadline: those that the rule of thumb C = 6PD at 40 % of the peak (`estimate`) needs to
  /// meet it, half of it, twice and four times; without one, the scenario's, half and twice. Each is
  /// rounded to the nearest power of two of GPUs, at least one node, at most one for each sequence
  /// of the batch and rank of a model copy of 512.
  ///
  /// - Parameters:
  ///   - kind: the cluster.
  ///   - scenario: what is trained.
  ///   - deadline: when it must be done.
  /// - Returns: numbers of GPUs, smallest first.
  public static func sizes(of kind: Kind, for scenario: Scenario, within deadline: Seconds?)
    -> [Int]
  {
    var wanted = Double(scenario.job.cluster.gpuCount)
    if let deadline {
      let input = EstimateInput(
        parameters: Double(scenario.job.architecture.parameterCount),
        activeParameters: Double(scenario.job.architecture.activeParameterCount),
        tokens: scenario.tokens, gpuCount: 1, gpu: kind.node.gpu,
        precision: scenario.job.training.precision)
      wanted = Estimate(input).time.value / deadline.value
    }
    let most = scenario.job.training.globalBatch * 512
    let node = kind.node.gpusPerNode
    let sizes = reach.filter { deadline != nil || $0 < 4 }.map { factor -> Int in
      var nodes = 1
      while Double(nodes * node) * 1.4142 < wanted * factor, nodes * node * 2 <= most { nodes *= 2 }
      return nodes * node
    }
    return Array(Set(sizes)).sorted()
  }

  /// The scenario's job on `gpus` GPUs of a kind; its layout is still the scenario's.
  public static func scenario(_ scenario: Scenario, on kind: Kind, gpus: Int) -> Scenario {
    var moved = scenario
    moved.job.cluster = kind.node
    moved.job.cluster.gpuCount = gpus
    moved.run.price.gpuHour = kind.gpuHourPrice
    return moved
  }
}
