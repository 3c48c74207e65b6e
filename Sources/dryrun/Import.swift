import ArgumentParser
import Foundation
import ScenarioFile

/// `dryrun import`.
struct Import: SessionCommand {
  static let configuration = CommandConfiguration(
    abstract: "Turn settings of Megatron-LM, DeepSpeed or torchtitan into a scenario.",
    discussion: """
      Reads a Megatron-LM launch script, flags or MODEL_ARGS; a DeepSpeed ds_config.json (with \
      --model, --sequence-length and --gpus, which it does not hold); a torchtitan TOML file. What is \
      assumed or left out stands as comments above the scenario.
      """)

  @Argument(help: "The file.")
  var file: String

  @Option(
    help: "megatron, deepspeed or torchtitan (default: by the file's name and first character).")
  var from: ImportedScenario.Format?

  @Option(help: "The GPU of the catalogue it runs on.")
  var gpu = "h100-sxm-80gb"

  @Option(help: "How many GPUs.")
  var gpus: Int?

  @Option(help: "A model of the catalogue or the path of a config.json.")
  var model: String?

  @Option(help: "Tokens per sequence.")
  var sequenceLength: Int?

  @Option(help: "Write the scenario to this file instead of the standard output.")
  var output: String?

  func run(in session: Session) throws -> Int32 {
    let bytes = try session.onRoot {
      try session.mendable { () throws(ScenarioError) in
        let text = try ScenarioSource.contents(of: file)
        let imported = try ImportedScenario(
          text, path: file, format: from ?? .guessed(path: file, text: text),
          supplement: .init(gpu: gpu, gpus: gpus, model: model, sequenceLength: sequenceLength))
        if output != nil { for note in imported.notes { session.log("note: \(note)") } }
        return Array(imported.fileText.utf8)
      }
    }
    let text = "# From \(file).\n" + String(decoding: bytes, as: UTF8.self)
    if let output {
      let target = URL(fileURLWithPath: output)
      try session.write(
        [(target.lastPathComponent, text)], to: target.deletingLastPathComponent().path)
    } else {
      session.output(text)
    }
    // What is wrong with it is said, and not repaired: the settings may be wrong themselves.
    do throws(ScenarioError) {
      var source = ScenarioSource(path: output ?? file + ".yaml", text: text)
      if let model, model.hasSuffix(".json") {
        source.modelFile = .init(path: model, text: try? ScenarioSource.contents(of: model))
      }
      for warning in try Scenario(source).warnings { session.log("warning: \(warning)") }
    } catch {
      throw Failure(code: ExitStatus.scenarioWrong, lines: error.lines)
    }
    return ExitStatus.done
  }
}
