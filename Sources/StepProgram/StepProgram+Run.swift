import Layout
import Quantities

extension StepProgram {
  /// The forward passes of this program alone: what an evaluation runs.
  ///
  /// Nothing is kept for a backward pass, so memory is left out.
  public var forwardPasses: StepProgram {
    var passes = self
    for (index, stage) in stages.enumerated() {
      var isForward = true
      passes.stages[index].instructions = stage.instructions.filter { instruction in
        switch instruction {
        case .phase(let phase):
          isForward = phase.kind == .forward
          return isForward
        case .memory, .scratch: return false
        default: return isForward
        }
      }
    }
    passes.modelFlops = modelFlops * (1.0 / 3)
    return passes
  }

  /// Bytes a checkpoint holds, and the largest part one rank writes.
  ///
  /// Working copies, masters and optimizer states, each once however many ranks hold it; ranks that hold the
  /// same states share the writing (PyTorch's distributed checkpoints, Megatron-Core's fully parallel saving).
  public var checkpointBytes: (total: Int64, largestPart: Int64) {
    let plan = StatePlan(job: job, profile: job.training.profile)
    let layout = job.parallelism
    let copies = Int64(layout.stageCopies)
    var total: Int64 = 0
    var largest: Int64 = 0
    for stage in stages {
      let bytes = plan.checkpointBytes(ofStage: stage.stage)
      // Ranks of the stage that hold different dense parameters, and different experts.
      let stored =
        bytes.dense * Int64(layout.tensor)
        + bytes.expert * Int64(layout.expertTensor * layout.expert)
      total += stored
      let ranks = Int64(max(stage.rankCount, 1)) * copies
      largest = max(largest, (stored + ranks - 1) / ranks)
    }
    return (total / copies, largest)
  }
}

extension StatePlan {
  /// Bytes of the working copies, masters and optimizer states of what one rank of the stage trains.
  func checkpointBytes(ofStage stage: Int) -> (dense: Int64, expert: Int64) {
    let local = parameters(ofStage: stage)
    let copies = parameterBytes + optimizerBytes
    guard let moments = momentBytes(ofStage: stage) else {
      return (Int64(local.dense) * copies, Int64(local.expert) * copies)
    }
    let plain = copies - momentBytes
    return (
      Int64(local.dense) * plain + moments.dense, Int64(local.expert) * plain + moments.expert
    )
  }
}
