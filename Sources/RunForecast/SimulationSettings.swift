public import StepSimulation

/// How one step is simulated.
public struct SimulationSettings: Hashable, Sendable {
  /// Which ranks are simulated, and collectives how.
  public var fidelity: Fidelity
  /// Seed of every random stream.
  public var seed: UInt64
  /// Slow ranks and jitter; their seed is ``seed``.
  public var speeds: RankSpeeds

  /// Simulation at `fidelity`.
  public init(fidelity: Fidelity = .folded, seed: UInt64 = 0, speeds: RankSpeeds = .uniform) {
    self.fidelity = fidelity
    self.seed = seed
    self.speeds = speeds
  }
}

/// Which ranks are simulated, and collectives how; both interpret the same program.
public enum Fidelity: String, Hashable, Sendable, CaseIterable {
  /// One rank per class of ranks that behave alike; closed form of each collective.
  case folded
  /// Every GPU; every chunk of every collective a message over links that can congest.
  case full
}
