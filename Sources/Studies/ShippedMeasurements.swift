import Foundation

/// The published measurements that come with the program.
public enum ShippedMeasurements {
  /// Paths of their files, in alphabetical order.
  public static var paths: [String] {
    guard let folder = Bundle.module.url(forResource: "Measured", withExtension: nil) else {
      return []
    }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".jsonl") }.sorted().map {
      folder.appendingPathComponent($0).path
    }
  }

  /// A table beside them that `scripts/` makes from them.
  ///
  /// - Parameter name: of its file, without `.csv`.
  /// - Returns: its text; `nil` when the file is missing.
  static func table(_ name: String) -> String? {
    Bundle.module.url(forResource: name, withExtension: "csv", subdirectory: "Measured")
      .flatMap { try? String(contentsOf: $0, encoding: .utf8) }
  }
}
