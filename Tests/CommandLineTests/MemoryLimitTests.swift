import Foundation
import Testing

/// What a full simulation needs is known before it starts, and refused where there is no room.
@Suite(.serialized) struct MemoryLimitTests {
  /// Simulates Llama 3.1 405B on `gpus` GPUs in full under a limit on each process's memory.
  private func simulate(
    gpus: Int, limitKiB: Int, processes: Int? = nil
  ) throws -> (status: Int32, error: String) {
    let binary = try #require(ProcessCountTests.binary, "build the program first")
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: folder) }
    let command =
      (processes.map { ["mpirun", "-q", "--oversubscribe", "-n", "\($0)"] } ?? [])
      + [
        binary, "simulate", "Scenarios/llama-3.1-405b-16384xh100.yaml", "--fidelity", "full",
        "--set", "cluster.gpus=\(gpus)", "--set", "parallelism.data=null", "--set",
        "training.global_batch=\(gpus / 8)", "--set", "phases=null", "--output", folder.path,
      ]
    let process = Process()
    process.currentDirectoryURL = ProcessCountTests.root
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = ["-c", "ulimit -v \(limitKiB); exec \"$@\"", "sh"] + command
    var environment = ProcessInfo.processInfo.environment
    environment["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
    environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    process.environment = environment
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    let error = Pipe()
    process.standardError = error
    try process.run()
    let complaints = error.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: complaints, as: UTF8.self))
  }

  @Test("a simulation that is too large is refused, with what it needs and what to do instead")
  func refusal() throws {
    // 4,194,304 ranks of at least 512 bytes need 2.1 GB; 1.5 GiB may be taken.
    let outcome = try simulate(gpus: 4_194_304, limitKiB: 1_572_864)
    #expect(outcome.status == 64)
    let line = outcome.error.split(separator: "\n").first { $0.contains("this needs about") } ?? ""
    #expect(
      line.hasSuffix(
        "here may be taken 1.6 GB; use --fidelity folded or more processes, on more machines"),
      "\(outcome.error)")
    let needed = line.split(separator: " ").compactMap { Double($0) }.first ?? 0
    #expect(needed > 2.1)
  }

  @Test("the same limit leaves room for what is smaller, and says what that needs")
  func room() throws {
    let outcome = try simulate(gpus: 1_024, limitKiB: 1_572_864)
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(!outcome.error.contains("this needs about"))
  }
}
