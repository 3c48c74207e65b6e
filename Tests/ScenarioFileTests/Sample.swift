import ScenarioFile

/// A scenario that is right, and ways to spoil it.
enum Sample {
  static let text = """
    name: sample
    model: llama-3.1-8b
    cluster:
      gpu: h100-sxm-80gb
      gpus: 64
      inter_node: {bandwidth: 400 Gb/s, latency: 4 us}
    parallelism:
      tensor: 4
      pipeline: 2
      virtual_stages: 2
    training:
      tokens: 2e12
      sequence_length: 8192
      global_batch: 128
      micro_batch: 1
    """

  /// The sample with the first `old` in it replaced.
  static func replacing(_ old: String, with new: String) -> String {
    guard let range = text.firstRange(of: old) else { return text }
    return text.replacingCharacters(in: range, with: new)
  }

  /// Reads `text` as `a.yaml`.
  static func read(_ text: String, _ overrides: [ScenarioOverride] = []) throws -> Scenario {
    try Scenario(ScenarioSource(path: "a.yaml", text: text, overrides: overrides))
  }

  /// The lines of every mistake in `text`; none when it is right.
  static func mistakes(_ text: String) -> [String] {
    do {
      _ = try read(text)
      return []
    } catch let error as ScenarioError {
      return error.lines
    } catch {
      return ["\(error)"]
    }
  }
}

extension String {
  fileprivate func replacingCharacters(in range: Range<String.Index>, with new: String) -> String {
    String(self[..<range.lowerBound]) + new + String(self[range.upperBound...])
  }
}
