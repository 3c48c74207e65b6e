import Glibc

/// The processes this program was started as.
///
/// ```swift
/// try World.run { world in
///   print("process \(world.rank) of \(world.size)")
/// }
/// ```
public enum World {
  /// Whether a launcher (`mpirun`, `mpiexec`, `srun`) started this process as part of a job.
  ///
  /// Open MPI's `mpirun` sets `OMPI_COMM_WORLD_SIZE`, a PMIx launcher `PMIX_RANK`, `srun` with PMI
  /// `PMI_RANK`.
  public static var isLaunchedAsJob: Bool {
    ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"].contains {
      (name: String) in unsafe getenv(name) != nil
    }
  }

  /// Joins the job, calls `body` with its communicator and leaves the job.
  ///
  /// MPI is initialised only when a launcher started this process, so that a plain run starts
  /// without delay. When `body` throws in a job of several processes, the error is written to the
  /// standard error output and the whole job is aborted with exit code 1, since the other processes
  /// may be waiting for this one. An outcome that all processes reach together (a wrong input
  /// file) should therefore be returned, not thrown. `body` must not call `exit`: a process that
  /// leaves a job without saying so makes the launcher end the job with an error.
  ///
  /// - Parameter body: the program.
  /// - Returns: what `body` returns.
  /// - Throws: what `body` throws in a group of one; ``CommunicationError`` when MPI fails.
  public static func run<Result>(_ body: (any Communicator) throws -> Result) throws -> Result {
    guard isLaunchedAsJob else { return try body(SoloCommunicator()) }
    return try runWithMPI(body)
  }

  /// Like ``run(_:)`` but always over MPI, also without a launcher.
  public static func runWithMPI<Result>(_ body: (any Communicator) throws -> Result) throws
    -> Result
  {
    let communicator = try MPICommunicator()
    do {
      let result = try body(communicator)
      try communicator.finalize()
      return result
    } catch {
      if communicator.size > 1 {
        communicator.abort(
          exitCode: 1,
          reason: "process \(communicator.rank) of \(communicator.size): error: \(error)")
      }
      try communicator.finalize()
      throw error
    }
  }
}
