public import ArgumentParser
public import Kernels
public import Layout
public import RunForecast
public import ScenarioFile
public import Studies
public import Collectives

extension CollectiveOperation: ExpressibleByArgument {
  /// The operation of that name, nccl-tests' `alltoall` included.
  public init?(argument: String) {
    self.init(rawValue: argument == "alltoall" ? "all_to_all" : argument)
  }
}
extension Fidelity: ExpressibleByArgument {}
extension ImportedScenario.Format: ExpressibleByArgument {}
extension LayoutSearch.Objective: ExpressibleByArgument {}
extension NumberFormat: ExpressibleByArgument {}
extension Optimizer: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {}
