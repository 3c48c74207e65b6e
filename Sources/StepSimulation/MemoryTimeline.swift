public import StepProgram

/// What a rank's allocator holds at a moment of the step.
public struct MemoryMoment: Hashable, Sendable {
  /// Since the start of the step.
  public var picoseconds: Int64
  /// Bytes by raw value of `MemoryCategory`: tensors, no allocator cache.
  public var held: [Int64]
  /// What runs; `nil` before the first pass.
  public var phase: Phase?

  /// All categories together.
  public var total: Int64 { held.reduce(0, +) }
}

extension FoldedSimulation {
  /// Runs the step and records every change of a rank's memory, in order of time.
  ///
  /// What is taken only while a block runs is an entry at its start; the next entry gives it back.
  /// - Parameters:
  ///   - program: the step.
  ///   - rank: whose.
  ///   - speeds: how fast each rank is.
  /// - Returns: the first entry is what is held all step long.
  /// - Throws: ``StepSimulationError`` when the step does not end.
  public static func memoryTimeline(
    _ program: StepProgram, rank: Int, speeds: RankSpeeds = .uniform
  ) throws(StepSimulationError) -> [MemoryMoment] {
    var simulation = Self(program, speeds: speeds)
    return try simulation.recordMemory(of: rank)
  }
}
