import Layout
import StepProgram

/// Ranks that behave alike, found from program, placement and speeds.
///
/// Two ranks behave alike when they run the same program at the same speed, and when in each of
/// their groups they meet ranks of the same classes. The classes are the coarsest partition with
/// that property, found by refining (stage, speed) by the classes met in every group until nothing
/// changes. So one slow rank sets apart only those that meet it, directly or by way of others.
struct RankClasses {
  /// Ranks that behave alike.
  struct Class {
    var stage: Int
    /// The first of them, which stands for all.
    var rank: Int
    /// How many.
    var count: Int
    /// Kernel time over the program's.
    var factor: Double
    /// For each pipeline stage the class of the rank in the same pipeline.
    var partners: [Int32] = []
    /// By raw value of `CommunicationAxis`: which ``groups`` entry it meets in; negative for none.
    var groups: [Int32]
  }

  private(set) var classes: [Class]
  /// The classes that meet in a group, each once, ascending.
  private(set) var groups: [[Int32]]
  /// The class of each rank; empty where it is the rank's pipeline stage.
  private(set) var numbers: [Int32] = []

  /// The classes of a program.
  init(_ program: StepProgram, speeds: RankSpeeds) {
    classes = []
    groups = []
    if speeds.isUniform { onePerStage(program) } else { refine(program, speeds) }
  }

  /// Ranks of a stage are alike: every group but those across stages holds one class.
  private mutating func onePerStage(_ program: StepProgram) {
    let count = program.stages.count
    let stages = (0..<Int32(count)).map { $0 }
    groups = stages.map { [$0] }
    groups.append(stages)
    groups.append(count > 1 ? [0, Int32(count - 1)] : [0])
    for (index, stage) in program.stages.enumerated() {
      var own = CommunicationAxis.allCases.map { _ in Int32(index) }
      own[CommunicationAxis.model.rawValue] = Int32(count)
      own[CommunicationAxis.embedding.rawValue] =
        index == 0 || index == count - 1 ? Int32(count + 1) : -1
      classes.append(
        Class(
          stage: index, rank: stage.rank, count: stage.rankCount, factor: 1, partners: stages,
          groups: own))
    }
  }

  private mutating func refine(_ program: StepProgram, _ speeds: RankSpeeds) {
    let grid = RankGrid(program.job.parallelism)
    let ranks = 0..<grid.rankCount
    let factors = ranks.map { speeds.factor(of: $0) }
    var numbers = Numbering()
    var colours = ranks.map {
      numbers.number(UInt64(grid.stage(of: $0)), factors[$0].bitPattern)
    }
    // With jitter from kernel to kernel no two ranks are alike.
    if speeds.jitter.kernel > 0 { colours = ranks.map { Int32($0) } }
    let axes = CommunicationAxis.allCases.filter { axis in
      program.calls.contains { $0.axis == axis }
    }
    var patterns = axes.map { FullSimulationGroups($0, grid: grid) }
    patterns.append(FullSimulationGroups(pipelineOf: grid))
    var count = Set(colours).count
    var met: [[Int32]] = []
    while true {
      groups = []
      met = patterns.map { groupColours($0, colours) }
      var next = colours
      for own in met {
        var numbers = Numbering()
        next = zip(next, own).map {
          numbers.number(UInt64($0), UInt64(UInt32(bitPattern: $1)))
        }
      }
      let finer = Set(next).count
      if finer == count { break }
      count = finer
      colours = next
    }
    // Colours are numbered by their first rank: the classes come in order of their first ranks.
    for rank in ranks {
      if Int(colours[rank]) == classes.count {
        var own = CommunicationAxis.allCases.map { _ in Int32(-1) }
        for (index, axis) in axes.enumerated() { own[axis.rawValue] = met[index][rank] }
        classes.append(
          Class(
            stage: grid.stage(of: rank), rank: rank, count: 0, factor: factors[rank], groups: own))
      }
      classes[Int(colours[rank])].count += 1
    }
    self.numbers = colours
    let stride = grid.stride(.pipeline)
    for index in classes.indices {
      let first = classes[index].rank - classes[index].stage * stride
      classes[index].partners = program.stages.indices.map { colours[first + $0 * stride] }
    }
  }

  /// For each rank the number of the set of colours in its group, the sets added to ``groups``.
  ///
  /// Negative for a rank in no group.
  private mutating func groupColours(_ pattern: FullSimulationGroups, _ colours: [Int32]) -> [Int32]
  {
    var result = Array(repeating: Int32(-1), count: colours.count)
    var known: [[Int32]: Int32] = [:]
    for rank in colours.indices {
      let place = pattern.membership(of: rank)
      guard place.member == 0, place.first == rank else { continue }
      let members = (0..<pattern.size).map { pattern.rank(of: $0, first: rank) }
      var found: [Int32] = []
      for member in members where found.last != colours[member] { found.append(colours[member]) }
      if found.count > 1 {
        found.sort()
        var distinct: [Int32] = []
        for colour in found where distinct.last != colour { distinct.append(colour) }
        found = distinct
      }
      let number = known[found] ?? Int32(groups.count)
      if number == groups.count {
        known[found] = number
        groups.append(found)
      }
      for member in members { result[member] = number }
    }
    return result
  }
}

/// Numbers pairs in the order in which they are first seen.
private struct Numbering {
  private struct Pair: Hashable {
    var first: UInt64
    var second: UInt64
  }
  private var known: [Pair: Int32] = [:]

  mutating func number(_ first: UInt64, _ second: UInt64) -> Int32 {
    let pair = Pair(first: first, second: second)
    if let number = known[pair] { return number }
    let number = Int32(known.count)
    known[pair] = number
    return number
  }
}
