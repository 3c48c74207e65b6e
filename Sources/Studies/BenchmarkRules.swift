import RunForecast
import ScenarioFile
import StepProgram
import Transformer

/// What the rules of a benchmark have a run do beside its steps.
enum BenchmarkRules {
  /// An evaluation set and how often it is passed, in sequences.
  struct Evaluation: Hashable {
    /// Sequences trained on between two evaluations.
    var interval: Int
    /// Sequences of one evaluation.
    var sequences: Int
  }

  /// Evaluations of MLPerf Training's language models by hidden size and layers.
  ///
  /// From the README of each benchmark in mlcommons/training. GPT-3 175B passes 24,567 documents of C4 of 427
  /// tokens in the mean (156 billion in 365 million, arXiv:2104.08758): 5,122 sequences of 2,048.
  static let mlperf: [[Int]: Evaluation] = [
    [12_288, 96]: Evaluation(interval: 24_576, sequences: 5_122),
    [16_384, 126]: Evaluation(interval: 46_080, sequences: 5_760),
    [4_096, 32]: Evaluation(interval: 12_288, sequences: 1_024),
  ]

  /// Where the results of MLPerf Training are published.
  private static let mlperfSource = "mlcommons/training_results"

  /// The evaluations of a measured run whose scenario says none; `nil` where no rule is known.
  ///
  /// MLPerf times a run from its start to the evaluation that meets the target, those before it included.
  static func evaluation(of run: MeasuredRun) -> EvaluationSettings? {
    guard run.source.contains(mlperfSource) else { return nil }
    let model = run.scenario.job.architecture
    guard let rule = mlperf[[model.hiddenSize, model.layerCount]] else { return nil }
    return EvaluationSettings(
      steps: max(1, rule.interval / max(1, run.scenario.job.training.globalBatch)),
      length: .sequences(rule.sequences, microBatch: nil))
  }
}
