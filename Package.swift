// swift-tools-version: 6.2
import PackageDescription

/// Settings every target shares: Swift 6 semantics plus the upcoming features, no warning tolerated.
let strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .treatAllWarnings(as: .error),
]

/// Targets that do not import Foundation must name the C maths library themselves on Linux.
let maths: [LinkerSetting] = [.linkedLibrary("m", .when(platforms: [.linux]))]

/// One room of the house: a library target without Foundation.
func room(_ name: String, _ dependencies: [Target.Dependency], unsafe: Bool = false) -> Target {
  .target(
    name: name, dependencies: dependencies,
    swiftSettings: strict + (unsafe ? [.strictMemorySafety()] : []), linkerSettings: maths)
}

/// The tests of one room.
func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = [])
  -> Target
{
  .testTarget(
    name: name + "Tests", dependencies: [.byName(name: name)] + dependencies,
    resources: resources, swiftSettings: strict)
}

let argumentParser: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

let package = Package(
  name: "dry-run",
  products: [
    .executable(name: "dryrun", targets: ["dryrun"]),
    .executable(name: "dryrun-bench", targets: ["dryrun-bench"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // What is measured, and in which unit.
    room("Quantities", []),
    // OpenMPI.
    .systemLibrary(
      name: "COpenMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev"])]),
    .target(name: "CMPIShims", dependencies: ["COpenMPI"]),
    room("MessagePassing", ["Quantities", "CMPIShims"], unsafe: true),
    // Parallel discrete events; knows nothing of GPUs.
    room("EventKernel", ["Quantities", "MessagePassing"], unsafe: true),
    // What a GPU is asked to do, what it costs, and between whom bytes travel.
    room("Kernels", ["Quantities"]),
    room("Hardware", ["Quantities", "Kernels"]),
    room("Transformer", ["Quantities", "Kernels"]),
    room("Layout", ["Quantities", "Kernels", "Transformer"]),
    room("Collectives", ["Quantities", "Hardware"]),
    // What each rank does in one step, and what becomes of it.
    room(
      "StepProgram",
      ["Quantities", "Kernels", "Hardware", "Transformer", "Layout", "Collectives"]),
    room(
      "StepSimulation",
      [
        "Quantities", "MessagePassing", "EventKernel", "Kernels", "Hardware", "Transformer",
        "Layout", "Collectives", "StepProgram",
      ]),
    room(
      "RunForecast",
      [
        "Quantities", "Kernels", "Hardware", "Transformer", "Layout", "StepProgram",
        "StepSimulation",
      ]),
    // Files in, questions asked, answers out.
    .target(
      name: "ScenarioFile",
      dependencies: [
        "Quantities", "Kernels", "Hardware", "Transformer", "Layout", "Collectives",
        "StepProgram", "RunForecast", yams,
      ],
      swiftSettings: strict),
    .target(
      name: "Studies",
      dependencies: [
        "Quantities", "MessagePassing", "Kernels", "Hardware", "Transformer", "Layout",
        "Collectives", "StepProgram", "StepSimulation", "RunForecast", "ScenarioFile",
      ],
      resources: [.copy("Measured")],
      swiftSettings: strict),
    .target(
      name: "Reports",
      dependencies: [
        "Quantities", "Kernels", "Hardware", "Transformer", "Layout", "Collectives",
        "StepProgram", "StepSimulation", "RunForecast", "ScenarioFile", "Studies",
      ],
      swiftSettings: strict),
    // What becomes of memory that is given back.
    .target(name: "CMemory"),
    .executableTarget(
      name: "dryrun",
      dependencies: [
        "CMemory", "Quantities", "MessagePassing", "Kernels", "Hardware", "Transformer", "Layout",
        "Collectives", "StepProgram", "StepSimulation", "RunForecast", "ScenarioFile",
        "Studies", "Reports", argumentParser,
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "dryrun-bench",
      dependencies: [
        "Quantities", "MessagePassing", "EventKernel", "Hardware", "Collectives", "StepProgram",
        "StepSimulation", "ScenarioFile",
      ],
      swiftSettings: strict, linkerSettings: maths),

    tests("Quantities", []),
    tests("MessagePassing", ["Quantities"]),
    tests("EventKernel", ["Quantities", "MessagePassing"]),
    tests("Hardware", ["Quantities", "Kernels"]),
    tests("Transformer", ["Quantities", "Kernels"]),
    tests("Layout", ["Quantities", "Kernels", "Transformer"]),
    tests("Collectives", ["Quantities", "Hardware"]),
    tests(
      "StepSimulation",
      [
        "Quantities", "MessagePassing", "EventKernel", "Kernels", "Hardware", "Transformer",
        "Layout", "Collectives", "StepProgram",
      ]),
    tests(
      "RunForecast",
      [
        "Quantities", "Kernels", "Hardware", "Transformer", "Layout", "StepProgram",
        "StepSimulation",
      ]),
    tests(
      "ScenarioFile",
      [
        "Quantities", "Kernels", "Hardware", "Transformer", "Layout", "Collectives", "StepProgram",
      ]),
    tests(
      "Reports",
      ["Quantities", "Hardware", "RunForecast", "ScenarioFile", "StepProgram", "Studies"]),
    tests(
      "Studies",
      [
        "Quantities", "Hardware", "Collectives", "ScenarioFile", "MessagePassing", "Layout",
        "StepProgram", "StepSimulation",
      ]),
    // The built program, under the real mpirun.
    .testTarget(name: "CommandLineTests", swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
