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
}
