import Hardware
import ScenarioFile
import Layout
import StepProgram
import Testing

/// Whatever is in a file, reading it ends with a scenario or with diagnostics.
@Suite struct HostileInputTests {
  /// SplitMix64 (Steele, Lea, Flood 2014).
  struct Generator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var mixed = state
      mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
      return mixed ^ (mixed >> 31)
    }
  }

  /// Pieces that have broken readers before.
  static let pieces = [
    "0", "-1", "1e400", "99999999999999999999", "1e18", "16777216", "nan", "inf", "0x10", "''",
    "[]", "{}", "null", "~", "true", "*a", "&a 1", "!!int 3", "1e300 GB/s", "-5 us", "\u{0}", "\t",
    "\"", "{", "]", ": ", "\n  ", "1_000", "é", "- ", "1e9", "0.5", "[[[[", "? ",
  ]

  @Test("mutated scenarios never end the program", arguments: 0..<300)
  func mutated(seed: Int) {
    var random = Generator(state: UInt64(seed))
    var text = Array(Sample.text.unicodeScalars)
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      let start = Int.random(in: 0..<text.count, using: &random)
      let end = min(text.count, start + Int.random(in: 0...6, using: &random))
      let piece = Self.pieces.randomElement(using: &random) ?? ""
      text.replaceSubrange(start..<end, with: Array(piece.unicodeScalars))
      if text.isEmpty { break }
    }
    var string = ""
    string.unicodeScalars.append(contentsOf: text)
    for path in ["a.yaml", "a.json"] {
      do throws(ScenarioError) {
        let scenario = try Scenario(ScenarioSource(path: path, text: string))
        #expect(scenario.job.parallelism.gpuCount == scenario.job.cluster.gpuCount)
      } catch {
        #expect(!error.lines.isEmpty)
      }
    }
  }

  @Test("every value of every key may be nonsense", arguments: HostileInputTests.pieces)
  func nonsense(piece: String) {
    for line in Sample.text.split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let spoiled = Sample.replacing(String(line), with: String(line[...colon]) + " " + piece)
      _ = Sample.mistakes(spoiled)
    }
  }

  @Test("deep nesting is refused, not followed") func deep() {
    let text = String(repeating: "[", count: 100_000)
    do throws(ScenarioError) {
      _ = try Scenario(ScenarioSource(path: "a.json", text: text))
      Issue.record("read")
    } catch {
      #expect(
        error.lines == [
          "a.json:1:101: error: not JSON: more than 100 objects and lists inside each other"
        ])
    }
  }
}
