import Layout
import Quantities
import StepProgram
import Testing
import Transformer

@testable import StepSimulation

/// Compiled programs with their prices replaced, so that times follow by hand.
enum SyntheticPrograms {
  /// A pipeline whose passes take `forward` and `backward` on every stage and chunk, with sends of
  /// `send` picoseconds that nobody waits for, and without optimizer; each forward keeps `kept`
  /// bytes until its backward.
  static func pipeline(
    _ schedule: PipelineSchedule, ranks: Int, chunks: Int = 1, microbatches: Int, forward: Int64,
    backward: Int64, send: Int64, kept: Int64 = 0
  ) throws -> StepProgram {
    let job = try SmallJobs.job(
      Parallelism(pipeline: ranks, virtualStages: chunks, schedule: schedule),
      microbatches: microbatches)
    var program = StepCompiler.compile(job)
    let pattern = try #require(program.blocks.first)
    program.blocks = [forward, backward].map { busy in
      var block = pattern
      let work = WorkSummary(issue: 0, busy: busy, lag: busy)
      block.leaves = [.work(work)]
      block.summary = work
      block.busyByCategory = TimeCategory.allCases.map { $0 == .compute ? busy : 0 }
      block.flops = 0
      block.computedFlops = 0
      return block
    }
    program.modelFlops = Flops(0)
    for stage in program.stages.indices {
      var kind = Phase.Kind.forward
      program.stages[stage].instructions = program.stages[stage].instructions.compactMap {
        switch $0 {
        case .phase(let phase):
          kind = phase.kind
          return $0
        case .run: return kind == .optimizer ? nil : .run(kind == .forward ? 0 : 1)
        case .memory(.activations, _):
          return kind == .optimizer ? nil : .memory(.activations, kind == .forward ? kept : -kept)
        case .send(let lane, let microbatch, let bytes, _, _):
          return .send(
            lane: lane, microbatch: microbatch, bytes: bytes,
            duration: SimDuration(picoseconds: send), blocking: false)
        case .receive: return $0
        default: return nil
        }
      }
    }
    return program
  }
}
