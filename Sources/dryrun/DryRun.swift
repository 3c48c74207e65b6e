import ArgumentParser
import CMemory
import Foundation
import MessagePassing
import StepSimulation

/// The command line: what to do, with which files; no modelling.
@main
struct DryRun: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dryrun",
    abstract: "Simulates the training of a large language model on a GPU cluster, without a GPU.",
    discussion: """
      Prints the result to the standard output, everything else to the standard error output.
      Exit codes: 0 done, 1 internal error, 3 a --fail-if condition holds, 64 wrong usage, 65 wrong \
      scenario, 66 file missing, 74 cannot write.
      """,
    subcommands: [
      Simulate.self, Estimation.self, Memory.self, Check.self, Catalog.self, Validate.self,
      Search.self, Sweep.self, Plan.self, Compare.self, CollectiveCommand.self, Import.self,
    ])

  /// Joins the processes this one was started with, runs the command, ends them all alike.
  static func main() {
    keep_freed_memory()
    do {
      Foundation.exit(try World.run { try run(Session($0)) })
    } catch {
      FileHandle.standardError.write(Data("dryrun: error: \(error)\n".utf8))
      Foundation.exit(ExitStatus.internalError)
    }
  }

  /// Runs the command named by the arguments.
  ///
  /// - Parameter session: the processes and where to print.
  /// - Returns: the exit code, the same in every process.
  /// - Throws: what no user can mend.
  private static func run(_ session: Session) throws -> Int32 {
    do {
      var command = try parseAsRoot()
      guard let task = command as? any SessionCommand else {
        try command.run()
        return ExitStatus.done
      }
      return try task.run(in: session)
    } catch let failure as Failure {
      session.log(failure.lines.joined(separator: "\n"))
      return failure.code
    } catch StepSimulationError.tooLong {
      // Known only once it is simulated.
      session.log("training.global_batch: error: \(StepSimulationError.tooLong)")
      return ExitStatus.scenarioWrong
    } catch let error where exitCode(for: error).rawValue != ExitStatus.generic {
      let code = exitCode(for: error).rawValue
      let message = fullMessage(for: error)
      if code == ExitStatus.done { session.output(message) } else { session.log(message) }
      return code
    }
  }
}

/// A command that may use all processes of its job.
protocol SessionCommand: ParsableCommand {
  /// Runs the command in every process.
  ///
  /// - Parameter session: the processes and where to print.
  /// - Returns: the exit code, the same in every process.
  /// - Throws: ``Failure`` in every process alike for what the user can mend; anything else ends
  ///   the whole job.
  func run(in session: Session) throws -> Int32
}

/// Exit codes, with the numbers of sysexits.h.
enum ExitStatus {
  static let done: Int32 = 0
  static let internalError: Int32 = 1
  /// What ArgumentParser gives errors it does not know.
  static let generic: Int32 = 1
  static let conditionHolds: Int32 = 3
  static let usage: Int32 = 64
  static let scenarioWrong: Int32 = 65
  static let fileMissing: Int32 = 66
  static let cannotWrite: Int32 = 74
}

/// Something the user can mend; known to every process.
struct Failure: Error {
  var code: Int32
  var lines: [String]
}
