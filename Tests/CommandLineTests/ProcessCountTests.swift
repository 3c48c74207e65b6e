import Foundation
import Testing

/// The built program under the real `mpirun`.
@Suite(.serialized) struct ProcessCountTests {
  /// The package's folder.
  static let root = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  /// The binary: the release build `scripts/test` makes, else the debug build beside the tests.
  static var binary: String? {
    ["release", "debug"].map { root.appending(path: ".build/\($0)/dryrun").path }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  struct Outcome {
    var status: Int32
    var output: Data
    var error: String
  }

  /// Runs `dryrun` with `arguments` on `processes` processes; none means without mpirun.
  static func run(_ arguments: [String], processes: Int?) throws -> Outcome {
    let binary = try #require(Self.binary, "build the program first: swift build -c release")
    let process = Process()
    process.currentDirectoryURL = root
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments =
      (processes.map { ["mpirun", "-q", "--oversubscribe", "-n", "\($0)"] } ?? [])
      + [binary] + arguments
    var environment = ProcessInfo.processInfo.environment
    environment["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
    environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    process.environment = environment
    process.standardInput = FileHandle.nullDevice
    let output = Pipe()
    let error = Pipe()
    process.standardOutput = output
    process.standardError = error
    try process.run()
    let written = output.fileHandleForReading.readDataToEndOfFile()
    let complaints = error.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Outcome(
      status: process.terminationStatus, output: written,
      error: String(decoding: complaints, as: UTF8.self))
  }

  /// A result without the one object that may differ between runs.
  static func comparable(_ output: Data) throws -> (result: Data, simulation: [String: Any]) {
    var object = try #require(
      try JSONSerialization.jsonObject(with: output) as? [String: Any])
    let simulation = try #require(object.removeValue(forKey: "simulation") as? [String: Any])
    return (
      try JSONSerialization.data(withJSONObject: object, options: [.sortedKeys]), simulation
    )
  }

  @Test("the same bytes come out for 1, 2, 3, 4 and 7 processes, and traffic crosses MPI")
  func processCounts() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: folder) }
    let arguments = [
      "simulate", "Scenarios/llama-3.1-8b-16xh100.yaml", "--json", "--fidelity", "full",
      "--output", folder.path,
    ]
    let alone = try Self.run(arguments, processes: nil)
    #expect(alone.status == 0, "\(alone.error)")
    let expected = try Self.comparable(alone.output)
    for processes in [1, 2, 3, 4, 7] {
      let outcome = try Self.run(arguments, processes: processes)
      #expect(outcome.status == 0, "\(outcome.error)")
      let actual = try Self.comparable(outcome.output)
      #expect(actual.result == expected.result, "\(processes) processes")
      let crossing = try #require(actual.simulation["mpi_messages"] as? Int)
      #expect((crossing > 0) == (processes > 1))
      #expect(actual.simulation["processes"] as? Int == processes)
    }
  }

  @Test("a wrong scenario exits 65 on every process, a missing one 66, wrong words 64")
  func exitCodes() throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).yaml")
    try "model: llama-3.1-8b\n".write(to: file, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(at: file) }
    for processes in [nil, 2] as [Int?] {
      #expect(try Self.run(["check", file.path], processes: processes).status == 65)
      #expect(try Self.run(["check", file.path + ".none"], processes: processes).status == 66)
      #expect(try Self.run(["simulate", "--nonsense"], processes: processes).status == 64)
    }
  }

  @Test("the shipped scenarios are read without complaint")
  func shippedScenarios() throws {
    let folder = Self.root.appending(path: "Scenarios")
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      .filter { $0.hasSuffix(".yaml") }.sorted()
    #expect(files.count >= 6)
    for file in files {
      let outcome = try Self.run(["check", "Scenarios/" + file], processes: nil)
      #expect(outcome.status == 0, "\(file): \(outcome.error)")
    }
  }
}
