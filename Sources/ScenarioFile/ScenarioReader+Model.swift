import StepProgram
import Transformer

/// A model as read: the architecture, and what a result says of it.
struct ReadModel {
  var architecture: Architecture
  /// The catalogue name, or the configuration's keys.
  var resolved: JSONValue
  /// Sentences about what the configuration does not say and had to be assumed.
  var assumptions: [String] = []

  /// The model with the dropout its framework gives it where nothing states one.
  ///
  /// Megatron-LM's `--attention-dropout` and `--hidden-dropout` are 0.1 unless given
  /// (`megatron/arguments.py`), and its GPT recipes leave them so; those of gated (Llama-like) models
  /// set both to 0. Other software takes them from the model, whose default is none.
  func settled(for framework: Framework) -> Self {
    guard framework == .megatronLM || framework == .megatronDeepSpeed,
      !architecture.feedForward.activation.isGated, architecture.attentionDropout == 0,
      architecture.hiddenDropout == 0
    else { return self }
    var settled = self
    if case .object(var members) = resolved {
      guard !members.contains(where: { $0.key.contains("dropout") || $0.key.hasSuffix("pdrop") })
      else { return self }
      members.append(.init("attention_dropout", .number(Self.megatronDropout)))
      members.append(.init("hidden_dropout", .number(Self.megatronDropout)))
      settled.resolved = .object(members)
    }
    settled.architecture.attentionDropout = Self.megatronDropout
    settled.architecture.hiddenDropout = Self.megatronDropout
    return settled
  }

  /// Megatron-LM's default.
  private static let megatronDropout = 0.1
}

extension ScenarioReader {
  /// Reads `model`: a catalogue name, the path of a `config.json`, or its keys inline.
  ///
  /// A learned position table without a size of its own has a row for each token of the sequence.
  func model(_ top: Block, sequenceLength: SourceNode?) -> ReadModel? {
    var positions: Int?
    if case .scalar(let text, _) = sequenceLength?.content { positions = Int(text) }
    let meaning = "a catalogue name, the path of a config.json, or its keys"
    guard let node = top.required("model", meaning) else { return nil }
    guard case .scalar(let name, _) = node.content else {
      return inlineModel(node, in: top, positions: positions)
    }
    if Self.isFileName(name) {
      return modelInFile(named: name, in: top, positions: positions)
    }
    if let architecture = Architecture.named(name) {
      return ReadModel(architecture: architecture, resolved: .string(name))
    }
    let hint =
      Architecture.nearestName(to: name).map { "did you mean '\($0)'?" }
      ?? "'dryrun catalog models' lists them"
    top.report("model", "'\(name)' is not in the catalogue; \(hint)")
    return nil
  }

  /// The keys of a configuration written in the scenario itself.
  private func inlineModel(_ node: SourceNode, in top: Block, positions: Int?) -> ReadModel? {
    let block = top.block("model")
    let name = block.text("name")
    block.accept(
      ConfigurationKeys.understood + ConfigurationKeys.ignored, all: ConfigurationKeys.all)
    block.finish()
    guard block.isSound else { return nil }
    return architecture(node, name: name ?? "inline model", positions: positions)
  }

  /// The configuration file that `name` leads to, seen from the scenario's folder.
  private func modelInFile(named name: String, in top: Block, positions: Int?) -> ReadModel? {
    guard let text = modelFile?.text else {
      top.report("model", "there is no file '\(name)' beside the scenario")
      return nil
    }
    do throws(ScenarioError) {
      let node = try SourceNode.reading(json: text.utf8, file: name)
      guard case .mapping = node.content else {
        log.add(node.position, "", "\(node.described) is not a Hugging Face configuration")
        return nil
      }
      return architecture(node, name: Self.modelName(ofFile: name), positions: positions)
    } catch {
      if case .wrong(let diagnostics) = error {
        for found in diagnostics { log.add(found.position, found.keyPath, found.message) }
      }
      return nil
    }
  }

  /// `llama-3.1-8b` for `models/llama-3.1-8b.json` and for `llama-3.1-8b/config.json`.
  private static func modelName(ofFile path: String) -> String {
    var parts = path.split(separator: "/").map(String.init)
    var name = parts.popLast() ?? path
    for ending in [".config.json", ".json"] where name.hasSuffix(ending) {
      name = String(name.dropLast(ending.count))
      break
    }
    return name == "config" ? parts.last ?? name : name
  }

  private func architecture(_ node: SourceNode, name: String, positions: Int?) -> ReadModel? {
    do throws(ConfigurationError) {
      let reading = try Architecture.read(
        node.configuration, name: name,
        defaultPositions: positions.map { min(max($0, 1), 1 << 24) } ?? 2_048)
      var members: [JSONValue.Member] = [JSONValue.Member("name", .string(name))]
      if case .mapping(let entries) = node.content {
        for entry in entries
        where ConfigurationKeys.understoodSet.contains(entry.key) && !entry.value.isNull {
          members.append(JSONValue.Member(entry.key, entry.value.json))
        }
      }
      return ReadModel(
        architecture: reading.architecture, resolved: .object(members),
        assumptions: reading.assumptions.map { "model: \($0)" })
    } catch {
      let prefix = "\(error.key): "
      let text = error.description
      let position = node[error.key]?.position ?? node.position
      log.add(
        position, "model.\(error.key)",
        text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text)
      return nil
    }
  }
}

extension SourceNode {
  /// The keys of a mapping as the model reader takes them.
  var configuration: ConfigurationTree {
    guard case .mapping(let entries) = content else { return ConfigurationTree() }
    return ConfigurationTree(
      entries.map { ConfigurationTree.Entry($0.key, $0.value.configurationValue) })
  }

  private var configurationValue: ConfigurationValue {
    switch content {
    case .mapping: .map(configuration)
    case .sequence(let values): .list(values.map(\.configurationValue))
    case .scalar(let text, isQuoted: true): .text(text)
    case .scalar(let text, isQuoted: false):
      if isNull {
        .null
      } else if text == "true" || text == "false" {
        .boolean(text == "true")
      } else if let whole = Int(text) {
        .integer(whole)
      } else if let number = Double(text), number.isFinite {
        .number(number)
      } else {
        .text(text)
      }
    }
  }
}
