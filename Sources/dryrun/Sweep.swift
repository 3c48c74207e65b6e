import ArgumentParser
import Dispatch
import Foundation
import MessagePassing
import Reports
import RunForecast
import ScenarioFile
import StepSimulation
import Synchronization

/// `dryrun sweep`.
struct Sweep: SessionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Simulate a scenario for each combination of values of some of its keys.",
    discussion: """
      Varying cluster.gpus alone gives a strong-scaling curve; give --zip to vary \
      training.global_batch along with it for a weak-scaling one. Efficiency is throughput per GPU \
      over that of the first row.
      """)

  @OptionGroup var arguments: ScenarioArguments

  @Option(help: "A key and its values, as in cluster.gpus=64,128,256; may be repeated.")
  var vary: [String]

  @Flag(
    name: .customLong("zip"), help: "Take the keys' values side by side, not every combination.")
  var isZipped = false

  @Option(help: "Folder for sweep.csv, sweep.json and sweep.svg (default: Results/<file name>).")
  var output: String?

  /// The most points one sweep may have.
  private static let pointLimit = 100_000

  func run(in session: Session) throws -> Int32 {
    let variations = try vary.map(Variation.init)
    // The scenario as it is, so that a mistake in it is told once and not at every point.
    let base = try session.scenario(
      at: arguments.scenario, settings: arguments.settings, fidelity: Fidelity.folded.rawValue)
    let keys = variations.map(\.key)
    let values = try combinations(variations)
    let outcomes = try outcomes(
      values.map { zip(keys, $0).map { "\($0)=\($1)" } }, in: session)
    let points = zip(values, outcomes).map { SweepReport.Point(values: $0, outcome: $1) }
    let report = SweepReport(name: base.name, keys: keys, points: points)
    let json = report.json.text + "\n"
    let folder = output ?? "Results/" + arguments.folderName
    let figure = report.figure
    try session.write(
      [("sweep.json", json), ("sweep.csv", report.csv)]
        + (figure.map { [("sweep.svg", $0)] } ?? []), to: folder)
    session.output(arguments.json ? json : report.text)
    if !arguments.quiet {
      session.log(
        "wrote \(folder)/sweep.json, sweep.csv" + (figure == nil ? "" : ", sweep.svg"))
    }
    return ExitStatus.done
  }

  /// Points simulated between two looks at the clock.
  private static let batch = 256

  /// Simulates the scenario with each of the settings, on all cores of all processes.
  ///
  /// - Returns: the outcomes in the order of the settings, the same in every process.
  private func outcomes(
    _ settings: [[String]], in session: Session
  ) throws -> [SweepReport.Outcome] {
    let sources = try sources(of: settings, in: session)
    let size = session.communicator.size
    let threads = max(1, ProcessInfo.processInfo.activeProcessorCount / size)
    let clock = ContinuousClock()
    var reported = clock.now
    var result: [SweepReport.Outcome] = []
    for start in stride(from: 0, to: settings.count, by: Self.batch) {
      let end = min(start + Self.batch, settings.count)
      let mine = Array(stride(from: start + session.communicator.rank, to: end, by: size))
      let found = Mutex([[UInt8]](repeating: [], count: mine.count))
      let next = Atomic<Int>(0)
      DispatchQueue.concurrentPerform(iterations: min(threads, max(mine.count, 1))) { _ in
        while true {
          let place = next.add(1, ordering: .relaxed).oldValue
          guard place < mine.count else { return }
          let bytes = Self.outcome(of: sources[mine[place]]).bytes
          found.withLock { $0[place] = bytes }
        }
      }
      // Each outcome with its length in front.
      let joined = found.withLock { $0 }.flatMap {
        [UInt8($0.count >> 8), UInt8($0.count & 255)] + $0
      }
      var parts = try session.communicator.gatherToAll(joined).map { $0[...] }
      for point in start..<end {
        let part = (point - start) % size
        let count = parts[part].prefix(2).reduce(0) { $0 << 8 | Int($1) }
        let bytes = Array(parts[part].dropFirst(2).prefix(count))
        parts[part] = parts[part].dropFirst(2 + count)
        result.append(SweepReport.Outcome(bytes: bytes) ?? .refused("lost on its way"))
      }
      guard !arguments.quiet, clock.now - reported > .seconds(2) else { continue }
      reported = clock.now
      session.log("\(result.count) of \(settings.count) points")
    }
    return result
  }

  /// The scenario's text with each of the settings; files that a setting names are read once.
  private func sources(
    of settings: [[String]], in session: Session
  ) throws -> [ScenarioSource] {
    var read: [[String]: ScenarioSource] = [:]
    return try settings.map { settings in
      // The keys that may name a file.
      let files = settings.filter { $0.hasPrefix("model=") || $0.hasPrefix("cluster.like=") }
      var source =
        try read[files]
        ?? session.source(
          at: arguments.scenario, settings: arguments.settings + files,
          fidelity: Fidelity.folded.rawValue)
      read[files] = source
      source.overrides += settings.compactMap { ScenarioOverride($0) }
      return source
    }
  }

  /// Simulates a scenario; one that is wrong is an outcome.
  private static func outcome(of source: ScenarioSource) -> SweepReport.Outcome {
    do {
      let scenario = try Scenario(source)
      return .figures(
        .init(try Simulator.report(on: scenario, communicator: SoloCommunicator())))
    } catch let error as ScenarioError {
      return .refused(String((error.lines.first ?? "wrong scenario").prefix(4_096)))
    } catch {
      return .refused(String("\(error)".prefix(4_096)))
    }
  }

  /// Every point's values, the last key's varying fastest.
  private func combinations(_ variations: [Variation]) throws -> [[String]] {
    if isZipped {
      let counts = Set(variations.map(\.values.count))
      guard counts.count == 1, let count = counts.first else {
        throw Failure(
          code: ExitStatus.usage, lines: ["--zip: error: the keys have different numbers of values"]
        )
      }
      return (0..<count).map { place in variations.map { $0.values[place] } }
    }
    var result: [[String]] = [[]]
    for variation in variations {
      guard result.count <= Self.pointLimit / variation.values.count else {
        throw Failure(
          code: ExitStatus.usage, lines: ["--vary: error: more than \(Self.pointLimit) points"])
      }
      result = result.flatMap { head in variation.values.map { head + [$0] } }
    }
    return result
  }
}
