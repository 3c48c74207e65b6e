import Layout
import StepProgram

/// Where the groups of one axis lie, and who stands where in them.
struct FullSimulationGroups {
  /// Steps of the pattern, fastest first: (count, stride).
  private var levels: [StridedGroup.Level]
  /// Of the pairs of first and last stage, how the stages lie; `nil` for any other group.
  private var stages: StridedGroup.Level?
  /// Members of a group.
  let size: Int

  /// The pipelines: one rank of each stage.
  init(pipelineOf grid: RankGrid) {
    levels = grid.group(.pipeline, containing: 0).levels
    size = grid.parallelism.pipeline
  }

  init(_ axis: CommunicationAxis, grid: RankGrid) {
    let parallelism = grid.parallelism
    let stage = StridedGroup.Level(count: parallelism.pipeline, stride: grid.stride(.pipeline))
    if let kind = axis.groupKind {
      levels = grid.group(kind, containing: 0).levels
    } else if axis == .embedding {
      let last = (parallelism.pipeline - 1) * grid.stride(.pipeline)
      stages = stage
      levels = [StridedGroup.Level(count: min(2, parallelism.pipeline), stride: max(last, 1))]
    } else {
      levels = [
        StridedGroup.Level(count: parallelism.tensor, stride: grid.stride(.tensor)), stage,
      ]
    }
    size = levels.reduce(1) { $0 * $1.count }
  }

  /// The number of `rank` in its group and the rank of its first member.
  func membership(of rank: Int) -> (member: Int, first: Int) {
    if let stages {
      let place = rank / stages.stride % stages.count
      return (min(place, size - 1), rank - place * stages.stride)
    }
    var first = rank
    var member = 0
    var weight = 1
    for level in levels {
      let step = rank / level.stride % level.count
      first -= step * level.stride
      member += step * weight
      weight *= level.count
    }
    return (member, first)
  }

  /// The rank that hears of all members of the group that begins at `first`.
  ///
  /// One of them, spread over groups by Knuth's multiplicative hash (The Art of Computer Programming 3, section
  /// 6.4), so that processes that hold different members have as much to hear.
  func host(first: Int) -> Int {
    let mixed = UInt32(truncatingIfNeeded: first) &* 2_654_435_769
    return rank(of: Int((UInt64(mixed) * UInt64(size)) >> 32), first: first)
  }

  /// The rank of `member` in the group that begins at `first`.
  func rank(of member: Int, first: Int) -> Int {
    var rank = first
    var rest = member
    for index in levels.indices {
      let level = levels[index]
      if index == levels.count - 1 { return rank + rest * level.stride }
      rank += rest % level.count * level.stride
      rest /= level.count
    }
    return rank
  }
}
