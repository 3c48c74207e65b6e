import Layout
import Transformer

extension TrainingJob {
  /// About how many instructions the programs of all stages have.
  ///
  /// Within a factor of two where there are many microbatches.
  ///
  /// A pass of a microbatch through a chunk is eight or so: where it comes from, its memory, the block,
  /// where it goes. Where a layer's parameters or gradients travel in every microbatch, the passes of each
  /// layer are taken apart.
  public var instructionEstimate: Double {
    let compiler = StepCompiler(job: self)
    let states = compiler.states
    let perLayer =
      states.gathersParameters
      ? (states.keepsGathered ? 10.0 : 22)
      : states.reducesEachMicrobatch && compiler.bucketsOverlap ? 6 : 0
    let passes = parallelism.schedule.splitsBackward ? 3.0 : 2
    let chunks = Double(states.parameters.stages.stageCount)
    let layers = Double(architecture.layerCount + 2)
    return Double(microbatchCount) * (8 * passes * chunks + perLayer * layers)
  }

  /// The most instructions of all stages that are compiled and simulated.
  ///
  /// Some ten seconds and two gigabytes (fifty times Llama 3.1 405B's sixteen stages at 512 microbatches).
  public static let instructionLimit = 50_000_000.0

  /// The most instructions that ranks of different speeds may have together: some ten minutes.
  public static let unevenInstructionLimit = 2_000_000_000.0

  /// The most ranks that may differ in speed: who is alike is found rank by rank.
  public static let unevenRankLimit = 1_048_576
}
