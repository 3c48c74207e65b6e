import Hardware
import Layout
import ScenarioFile
import StepProgram
import Transformer

/// Errors of the step time by one property of the runs: what is systematic shows here.
public struct ResidualPattern: Sendable {
  /// The property.
  public var property: String
  /// Its values in ascending order, each with the errors of the runs that have it.
  public var groups: [(value: String, errors: ValidationStatistics.Errors)]

  /// Patterns by GPU, software, model size, sequence length, GPUs and degrees.
  public static func all(of predictions: [Prediction]) -> [ResidualPattern] {
    let timed = predictions.filter { $0.stepError != nil }
    return [
      byName(timed, "GPU") { $0.cluster.gpu.name },
      byName(timed, "software") { $0.training.framework.rawValue },
      byName(timed, "formats") { $0.training.precision.rawValue },
      byClass(
        timed, "parameters",
        [
          (1e9, "below 1 B"), (3e9, "1–3 B"), (1e10, "3–10 B"), (3e10, "10–30 B"),
          (1e11, "30–100 B"),
        ],
        above: "100 B and more"
      ) { Double($0.architecture.parameterCount) },
      byClass(
        timed, "sequence length",
        [(2_047, "below 2,048"), (2_048, "2,048"), (4_096, "4,096"), (8_192, "8,192")],
        above: "above 8,192"
      ) { Double($0.training.sequenceLength) },
      byClass(
        timed, "GPUs", [(8, "8 and fewer"), (32, "9–32"), (128, "33–128"), (512, "129–512")],
        above: "above 512"
      ) { Double($0.cluster.gpuCount) },
      byClass(
        timed, "tensor degree",
        [(1, "1"), (2, "2"), (4, "4"), (8, "8")], above: "above 8"
      ) { Double($0.parallelism.tensor) },
      byClass(
        timed, "pipeline degree",
        [(1, "1"), (2, "2"), (4, "4"), (8, "8")], above: "above 8"
      ) { Double($0.parallelism.pipeline) },
    ]
  }

  private static func byName(
    _ predictions: [Prediction], _ property: String, of name: (TrainingJob) -> String
  ) -> ResidualPattern {
    let names = predictions.map { name($0.run.scenario.job) }
    return ResidualPattern(
      property: property,
      groups: Set(names).sorted().map { value in
        (value, errors(predictions, names.map { $0 == value }))
      })
  }

  /// Groups by the first class whose limit the number does not exceed.
  private static func byClass(
    _ predictions: [Prediction], _ property: String, _ classes: [(limit: Double, name: String)],
    above: String, of number: (TrainingJob) -> Double
  ) -> ResidualPattern {
    let places = predictions.map { prediction in
      let value = number(prediction.run.scenario.job)
      return classes.firstIndex { value <= $0.limit } ?? classes.count
    }
    return ResidualPattern(
      property: property,
      groups: (classes.map(\.name) + [above]).enumerated().compactMap { index, name in
        let errors = errors(predictions, places.map { $0 == index })
        return errors.rows == 0 ? nil : (name, errors)
      })
  }

  private static func errors(
    _ predictions: [Prediction], _ selected: [Bool]
  ) -> ValidationStatistics.Errors {
    ValidationStatistics.Errors(
      zip(predictions, selected).compactMap { $1 ? $0.stepError : nil })
  }
}
