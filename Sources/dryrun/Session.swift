import Foundation
import MessagePassing
import ScenarioFile

/// The processes of a job, of which only the first reads files and prints.
struct Session {
  let communicator: any Communicator

  init(_ communicator: any Communicator) { self.communicator = communicator }

  /// Whether this process reads and prints.
  var isRoot: Bool { communicator.isRoot }

  /// Prints the result, from the first process.
  func output(_ text: String) {
    guard isRoot, !text.isEmpty else { return }
    FileHandle.standardOutput.write(Data((text.hasSuffix("\n") ? text : text + "\n").utf8))
  }

  /// Prints anything but the result, from the first process.
  func log(_ text: String) {
    guard isRoot, !text.isEmpty else { return }
    FileHandle.standardError.write(Data((text + "\n").utf8))
  }

  /// Does in the first process what only one may do, and tells all others how it went.
  ///
  /// - Parameter body: returns the bytes every process gets, or fails with ``Failure``.
  /// - Returns: the bytes.
  /// - Throws: ``Failure`` in every process when `body` did.
  func onRoot(_ body: () throws -> [UInt8]) throws -> [UInt8] {
    var message: [UInt8] = []
    if isRoot {
      do {
        message = [0] + (try body())
      } catch let failure as Failure {
        message =
          [UInt8(truncatingIfNeeded: failure.code)] + failure.lines.joined(separator: "\n").utf8
      }
    }
    let received = try communicator.broadcast(message, from: 0)
    guard let code = received.first else { return [] }
    let rest = Array(received.dropFirst())
    guard code == 0 else {
      throw Failure(code: Int32(code), lines: [String(decoding: rest, as: UTF8.self)])
    }
    return rest
  }

  /// Reads a scenario: the first process the files, every process their text.
  func scenario(at path: String, settings: [String], fidelity: String? = nil) throws -> Scenario {
    let source = try source(at: path, settings: settings, fidelity: fidelity)
    return try mendable { () throws(ScenarioError) in try Scenario(source) }
  }

  /// Reads the text of a scenario in the first process and tells it to every other.
  func source(
    at path: String, settings: [String], fidelity: String? = nil
  ) throws -> ScenarioSource {
    let bytes = try onRoot {
      var overrides = try settings.map { text in
        guard let override = ScenarioOverride(text) else {
          throw Failure(
            code: ExitStatus.usage,
            lines: ["--set \(text): error: not of the form key=value, as in parallelism.tensor=8"])
        }
        return override
      }
      if let fidelity {
        overrides.append(ScenarioOverride(key: "simulation.fidelity", value: fidelity))
      }
      return try mendable { () throws(ScenarioError) in
        try ScenarioSource(contentsOf: path, overrides: overrides).bytes
      }
    }
    guard let source = ScenarioSource(bytes: bytes) else {
      throw Failure(code: ExitStatus.internalError, lines: ["scenario lost on its way"])
    }
    return source
  }

  /// Turns what is wrong with a file into a failure with its exit code.
  func mendable<Result>(_ body: () throws(ScenarioError) -> Result) throws -> Result {
    do throws(ScenarioError) {
      return try body()
    } catch {
      switch error {
      case .unreadable: throw Failure(code: ExitStatus.fileMissing, lines: error.lines)
      case .wrong: throw Failure(code: ExitStatus.scenarioWrong, lines: error.lines)
      }
    }
  }

  /// What tells this build of the program from others: its size and when it was linked.
  var programFingerprint: String {
    let path = Bundle.main.executablePath ?? ""
    let facts = try? FileManager.default.attributesOfItem(atPath: path)
    let linked = (facts?[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
    return "\(facts?[.size] as? Int ?? 0) \(linked)"
  }

  /// The text of a file that may be missing, read by the first process.
  func text(at path: String) throws -> String? {
    let bytes = try onRoot {
      (FileManager.default.contents(atPath: path)).map { [1] + [UInt8]($0) } ?? [0]
    }
    return bytes.first == 1 ? String(decoding: bytes.dropFirst(), as: UTF8.self) : nil
  }

  /// Keeps a text in a file from the first process, if it can be kept: nothing depends on it.
  func keep(_ text: String, at path: String) {
    guard isRoot else { return }
    let target = URL(fileURLWithPath: path)
    try? FileManager.default.createDirectory(
      at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
    try? Data(text.utf8).write(to: target, options: .atomic)
  }

  /// Removes a file from the first process, if it is there.
  func remove(_ path: String) {
    guard isRoot else { return }
    try? FileManager.default.removeItem(atPath: path)
  }

  /// Writes texts into `folder` from the first process, each whole or not at all.
  func write(_ files: [(name: String, text: String)], to folder: String) throws {
    try write(files.map { (name: $0.name, bytes: Array($0.text.utf8)) }, to: folder)
  }

  /// Writes files into `folder` from the first process, each whole or not at all.
  func write(_ files: [(name: String, bytes: [UInt8])], to folder: String) throws {
    _ = try onRoot {
      do {
        try FileManager.default.createDirectory(
          atPath: folder, withIntermediateDirectories: true)
        for file in files {
          let target = URL(fileURLWithPath: folder).appendingPathComponent(file.name)
          try Data(file.bytes).write(to: target, options: .atomic)
        }
      } catch {
        throw Failure(
          code: ExitStatus.cannotWrite,
          lines: ["\(folder): error: cannot write: \(error.localizedDescription)"])
      }
      return []
    }
  }
}
