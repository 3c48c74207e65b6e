import Foundation

/// A whole command of the program and what it is expected to do.
struct CommandRow {
  var name: String
  var arguments: [String]
  var processes = 1
  var repeats = 3
  /// Messages, layouts or rows the command works through, and what they are called.
  var work: (count: Double, unit: String)?
  /// GPUs simulated one by one.
  var gpus = 0
}

/// Times whole commands of `dryrun`.
///
/// Wall time, peak memory of the largest process, what a full simulation says it holds for each GPU, rate.
enum CommandBenchmark {
  private static let large = "Scenarios/llama-3.1-405b-16384xh100.yaml"

  /// One step of Llama 3.1 405B on `gpus` GPUs, the run's other phases left out.
  private static func step(_ gpus: Int) -> [String] {
    [
      "simulate", large, "--set", "cluster.gpus=\(gpus)", "--set", "parallelism.data=null",
      "--set", "training.global_batch=\(gpus / 8)", "--set", "phases=null",
    ]
  }

  private static func collective(
    _ algorithm: String, _ gpus: Int, _ size: String = "1G"
  ) -> [String] {
    [
      "collective", "--op", "all_reduce", "--cluster", "dgx-h100", "--gpus", "\(gpus)",
      "--algorithm", algorithm, "--sizes", size, "--fidelity", "full",
    ]
  }

  private static let rows = [
    CommandRow(name: "start-up (`check`)", arguments: ["check", large], repeats: 7),
    CommandRow(name: "folded step, 16,384 GPUs", arguments: step(16_384), repeats: 7),
    CommandRow(name: "folded step, 131,072 GPUs", arguments: step(131_072), repeats: 7),
    CommandRow(name: "folded step, 1,048,576 GPUs", arguments: step(1_048_576), repeats: 7),
    // 2 (n − 1) messages of each of n ranks.
    CommandRow(
      name: "ring all-reduce, 1,024 ranks", arguments: collective("ring", 1_024), repeats: 5,
      work: (1_024 * 2 * 1_023, "messages")),
    CommandRow(
      name: "ring all-reduce, 16,384 ranks, 16 MB", arguments: collective("ring", 16_384, "16M"),
      repeats: 1, work: (16_384 * 2 * 16_383, "messages")),
    // On each of two trees n − 1 links, up and down, 128 chunks of half of 1 GiB.
    CommandRow(
      name: "tree all-reduce, 1,024 ranks", arguments: collective("tree", 1_024), repeats: 5,
      work: (2 * 2 * 1_023 * 128, "messages")),
    CommandRow(
      name: "tree all-reduce, 16,384 ranks", arguments: collective("tree", 16_384),
      work: (2 * 2 * 16_383 * 128, "messages")),
    // 2 × 7 messages inside a node, 2 × 2,047 between nodes, of each rank.
    CommandRow(
      name: "two-tier all-reduce, 16,384 ranks", arguments: collective("hierarchical", 16_384),
      work: (16_384 * (14 + 4_094), "messages")),
    CommandRow(
      name: "full step, Llama 3.1 405B on 16,384 GPUs",
      arguments: step(16_384) + ["--fidelity", "full"], repeats: 5, gpus: 16_384),
    CommandRow(
      name: "the same, 2 processes", arguments: step(16_384) + ["--fidelity", "full"],
      processes: 2, repeats: 5, gpus: 16_384),
    CommandRow(
      name: "the same with jitter, 1 process",
      arguments: step(16_384) + [
        "--fidelity", "full", "--set", "simulation.jitter={kernel: 2 %}",
      ], repeats: 1, gpus: 16_384),
    CommandRow(
      name: "full step, GPT-3 175B on 1,024 GPUs",
      arguments: ["simulate", "Scenarios/gpt-3-175b-1024xa100.yaml", "--fidelity", "full"],
      repeats: 1, gpus: 1_024),
    CommandRow(
      name: "the same, 2 processes",
      arguments: ["simulate", "Scenarios/gpt-3-175b-1024xa100.yaml", "--fidelity", "full"],
      processes: 2, repeats: 1, gpus: 1_024),
    CommandRow(
      name: "full step, 405B on 65,536 GPUs, 2 processes",
      arguments: step(65_536) + ["--fidelity", "full"], processes: 2, repeats: 1, gpus: 65_536),
    CommandRow(
      name: "folded step, 16,384 GPUs, one slow",
      arguments: step(16_384) + ["--set", "simulation.stragglers=[{rank: 5, slowdown: 1.1}]"],
      repeats: 5),
    CommandRow(
      name: "folded step, 16,384 GPUs, jitter",
      arguments: step(16_384) + ["--set", "simulation.jitter={kernel: 2 %}"], gpus: 16_384),
    // 67.2e12 tokens at 190 million a minute; some 3,000 failures a run.
    CommandRow(
      name: "a year on 16,384 GPUs, 1,000 runs drawn",
      arguments: step(16_384) + [
        "--set", "training.tokens=67.2e12", "--set", "run.draws=1000",
      ]),
    CommandRow(
      name: "search, GPT-3 175B on 1,024 A100",
      arguments: ["search", "Scenarios/gpt-3-175b-1024xa100.yaml"],
      work: (2_814, "layouts")),
    CommandRow(
      name: "validate, all measured rows", arguments: ["validate"], work: (3_049, "rows")),
  ]

  /// Prints one line of a Markdown table for each command.
  ///
  /// - Parameter program: the path of `dryrun`.
  /// - Throws: ``CannotRun`` for the first command that fails.
  static func run(_ program: String) throws {
    let folder = FileManager.default.temporaryDirectory
      .appending(path: "dryrun-bench-\(ProcessInfo.processInfo.processIdentifier)").path
    print(
      "| command | seconds | peak MiB of a process | state, bytes a GPU | pending events, bytes a GPU "
        + "| rate |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows {
      var arguments = [program] + row.arguments
      if row.arguments[0] == "simulate" || row.arguments[0] == "search" {
        arguments += ["--quiet", "--output", folder]
      }
      if row.processes > 1 {
        arguments = ["mpirun", "--oversubscribe", "-n", "\(row.processes)"] + arguments
      }
      var times: [Double] = []
      var peak = 0
      for _ in 0..<row.repeats {
        let (time, memory) = try measured(arguments)
        times.append(time)
        peak = max(peak, memory)
      }
      // What the simulation itself says; nothing where no event was handled.
      let held = row.gpus == 0 ? nil : try? contents(of: folder + "/result.json")
      let state = held.flatMap { each("state_bytes", in: $0, gpus: row.gpus) } ?? ""
      let pending = held.flatMap { each("pending_event_bytes", in: $0, gpus: row.gpus) } ?? ""
      let time = median(times)
      let rate =
        row.work.map { "\(thousands($0.count / time)) \($0.unit)/s" } ?? ""
      print(
        "| \(row.name) | \(hundredths(time)) | \(peak) | \(state) | \(pending) | \(rate) |")
      fflush(nil)
    }
    _ = try? measured(["rm", "-r", folder])
  }

  /// The first number of that name in a result, for each GPU.
  private static func each(_ name: String, in text: [UInt8], gpus: Int) -> String? {
    let key = Array("\"\(name)\":".utf8)
    guard let start = text.indices.first(where: { text[$0...].starts(with: key) }) else {
      return nil
    }
    let digits = text[(start + key.count)...].drop { $0 == UInt8(ascii: " ") }
      .prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
    return Int(String(decoding: digits, as: UTF8.self)).map { "\($0 / max(1, gpus))" }
  }

  private static func contents(of path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(filePath: path)))
  }

  private static func thousands(_ value: Double) -> String {
    value >= 1e6 ? "\(hundredths(value * 1e-6)) million" : "\(Int(value.rounded()))"
  }

  /// Runs a command without its output; wall seconds and MiB of the largest of its processes.
  private static func measured(_ arguments: [String]) throws -> (seconds: Double, mebibytes: Int) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    words.append(nil)
    defer { words.forEach { free($0) } }
    var process = pid_t()
    let began = ContinuousClock.now
    guard posix_spawnp(&process, arguments[0], &actions, nil, words, environ) == 0 else {
      throw CannotRun(command: arguments.joined(separator: " "))
    }
    var status: Int32 = 0
    var usage = rusage()
    wait4(process, &status, 0, &usage)
    guard status == 0 else { throw CannotRun(command: arguments.joined(separator: " ")) }
    return (seconds(since: began), usage.ru_maxrss / 1_024)
  }
}

/// A command that did not run, or not to its end.
struct CannotRun: Error {
  var command: String
}
