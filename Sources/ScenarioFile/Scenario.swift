public import RunForecast
public import StepProgram

/// A question read from a file: what is trained, on what, how, for how long.
///
/// Checked, with every default filled in.
public struct Scenario: Hashable, Sendable {
  /// Display name.
  public var name: String
  /// The training step.
  public var job: TrainingJob
  /// Tokens the run trains on; 20 per parameter where the file does not say (arXiv:2203.15556).
  public var tokens: Double
  /// The phases of the run in order; one where the file names none.
  public internal(set) var phases: [PhaseSettings] = []
  /// Which of ``phases`` is the one that ``job`` describes.
  public internal(set) var mainPhaseIndex = 0
  /// What happens around the steps.
  public var run: RunSettings
  /// How a step is simulated.
  public var simulation: SimulationSettings
  /// What was published of this run; `nil` for a run nobody has made.
  public var published: PublishedFigures?
  /// The scenario as it was understood, defaults filled in; reading it again gives an equal one.
  public var resolved: JSONValue
  /// Sentences about settings that are allowed and probably not meant.
  public var warnings: [String]

  /// The phase that ``job`` describes.
  public var mainPhase: PhaseSettings { phases[mainPhaseIndex] }

  /// A name for what was asked: sixteen hexadecimal digits that change with any resolved value.
  ///
  /// FNV-1a, 64 bits, of the resolved scenario's compact text.
  public var hash: String {
    var state: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in resolved.compactText.utf8 {
      state = (state ^ UInt64(byte)) &* 0x100_0000_01b3
    }
    let digits = String(state, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// Reads the scenario at `path`.
  ///
  /// - Parameters:
  ///   - path: a YAML or JSON file.
  ///   - overrides: keys set on the command line.
  /// - Throws: ``ScenarioError``: the file cannot be opened, or every mistake in it.
  public init(contentsOf path: String, overrides: [ScenarioOverride] = []) throws(ScenarioError) {
    try self.init(ScenarioSource(contentsOf: path, overrides: overrides))
  }

  /// Reads a scenario from text that is already loaded.
  ///
  /// - Parameter source: the text, the overrides and the model file it names.
  /// - Throws: ``ScenarioError`` with every mistake.
  public init(_ source: ScenarioSource) throws(ScenarioError) {
    let root = try source.node()
    let log = DiagnosticLog()
    let reader = ScenarioReader(
      log: log, file: source.path, modelFile: source.modelFile, clusterFile: source.clusterFile)
    let scenario = reader.read(root, defaultName: source.defaultName)
    guard let scenario, log.diagnostics.isEmpty else { throw ScenarioError.wrong(log.sorted) }
    self = scenario
  }

  init(
    name: String, job: TrainingJob, tokens: Double, run: RunSettings,
    simulation: SimulationSettings, published: PublishedFigures? = nil, resolved: JSONValue,
    warnings: [String]
  ) {
    self.name = name
    self.job = job
    self.tokens = tokens
    self.run = run
    self.simulation = simulation
    self.published = published
    self.resolved = resolved
    self.warnings = warnings
  }
}
