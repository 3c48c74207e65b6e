public import ScenarioFile
public import StepProgram
import Hardware
import Quantities

/// The constants that whole training steps decide, by GPU and by framework.
///
/// Those that `scripts/fit-steps` fits.
///
/// A file of them, as ``current`` prints it, replaces what is compiled in, for `dryrun validate
/// --constants`: so a fit can try values without a build, and fit on part of the rows only.
public struct StepConstants: Hashable, Sendable {
  /// Values by name, for each catalogue GPU.
  public var gpus: [String: [String: Double]] = [:]
  /// Values by name, for each framework.
  public var frameworks: [String: [String: Double]] = [:]

  /// A constant's name and where it is kept.
  typealias Constant<Owner> = (name: String, path: any WritableKeyPath<Owner, Double> & Sendable)

  /// Fitted constants of a GPU type by name.
  static let gpuConstants: [Constant<KernelConstants>] = [
    ("sustained_clock", \.sustainedClock), ("clock_spread", \.clockSpread),
    ("training_attention", \.trainingAttention), ("training_flash1", \.trainingFlash1),
    ("training_flash3", \.trainingFlash3), ("training_triton", \.trainingTriton),
  ]

  /// Fitted constants of a framework by name; times in seconds.
  static let frameworkConstants: [Constant<FrameworkProfile>] = [
    ("host_per_launch", \.hostPerLaunch.inSeconds),
    ("host_per_operation", \.hostPerOperation.inSeconds),
    ("host_per_operation_backward", \.hostPerOperationBackward.inSeconds),
    ("host_per_expert", \.hostPerExpert.inSeconds),
    ("host_per_collective", \.hostPerCollective.inSeconds),
    ("host_jitter", \.hostJitter.inSeconds),
    ("host_per_microbatch", \.hostPerMicrobatch.inSeconds),
    ("host_per_step", \.hostPerStep.inSeconds),
    ("tensor_step_between_nodes", \.tensorStepBetweenNodes.inSeconds),
    ("data_collective_cost", \.dataCollectiveCost),
    ("host_per_tensor_rank_beside_pipeline", \.hostPerTensorRankBesidePipeline.inSeconds),
    (
      "host_per_spread_tensor_rank_beside_pipeline",
      \.hostPerSpreadTensorRankBesidePipeline.inSeconds
    ),
  ]

  /// Why a file of constants cannot be used.
  public struct Mistake: Error, Hashable, CustomStringConvertible {
    /// What was read and what would do.
    public var description: String
  }

  /// The constants in `tree`: `{"gpus": {NAME: {CONSTANT: number}}, "frameworks": {…}}`, any of them.
  public init(_ tree: JSONValue) throws(Mistake) {
    gpus = try Self.table(
      tree["gpus"], owners: GPU.catalogue.map(\.name), names: Self.gpuConstants.map(\.name))
    frameworks = try Self.table(
      tree["frameworks"], owners: Framework.allCases.map(\.rawValue),
      names: Self.frameworkConstants.map(\.name))
  }

  private static func table(
    _ tree: JSONValue?, owners: [String], names: [String]
  ) throws(Mistake) -> [String: [String: Double]] {
    guard case .object(let members) = tree else { return [:] }
    var table: [String: [String: Double]] = [:]
    for owner in members {
      guard owners.contains(owner.key) else {
        throw Mistake(description: "'\(owner.key)' is not one of \(owners.joined(separator: ", "))")
      }
      guard case .object(let constants) = owner.value else { continue }
      for constant in constants {
        guard names.contains(constant.key) else {
          throw Mistake(
            description: "'\(constant.key)' is not one of \(names.joined(separator: ", "))")
        }
        switch constant.value {
        case .number(let value): table[owner.key, default: [:]][constant.key] = value
        case .integer(let value): table[owner.key, default: [:]][constant.key] = Double(value)
        default: throw Mistake(description: "\(owner.key).\(constant.key) is not a number")
        }
      }
    }
    return table
  }

  /// Puts the constants of the job's GPU and framework into it.
  public func apply(to job: inout TrainingJob) {
    for (name, value) in gpus[job.cluster.gpu.catalogueName] ?? [:] {
      guard let path = Self.gpuConstants.first(where: { $0.name == name })?.path else { continue }
      job.cluster.gpu.kernels[keyPath: path] = value
    }
    for (name, value) in frameworks[job.training.framework.rawValue] ?? [:] {
      guard let path = Self.frameworkConstants.first(where: { $0.name == name })?.path else {
        continue
      }
      job.training.profile[keyPath: path] = value
    }
  }

  /// All constants as they are compiled in.
  public static var current: JSONValue {
    func tree<Owner>(
      _ owner: Owner, _ constants: [Constant<Owner>]
    ) -> JSONValue {
      .object(constants.map { .init($0.name, .number(owner[keyPath: $0.path])) })
    }
    return [
      "gpus": .object(
        GPU.catalogue.map { .init($0.name, tree($0.kernels, gpuConstants)) }),
      "frameworks": .object(
        Framework.allCases.map { .init($0.rawValue, tree($0.profile, frameworkConstants)) }),
    ]
  }
}

extension SimDuration {
  /// Seconds, for constants that are fitted as numbers.
  fileprivate var inSeconds: Double {
    get { seconds }
    set { self = SimDuration(seconds: newValue) }
  }
}
