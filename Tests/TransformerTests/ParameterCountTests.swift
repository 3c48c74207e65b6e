import Testing
import Transformer

/// One entry of the reference table.
struct ReferenceModel: CustomTestStringConvertible, Sendable {
  let name: String
  let parameters: Int?
  let active: Int?
  let configuration: ConfigurationTree

  var testDescription: String { name }

  /// All entries: an entry starts at the margin, its further lines are indented.
  static let all: [ReferenceModel] = {
    var entries: [[Substring]] = []
    for text in [referenceModels, moreReferenceModels] {
      for line in text.split(separator: "\n") {
        let words = line.split(separator: " ")
        if line.hasPrefix(" ") {
          entries[entries.count - 1] += words
        } else {
          entries.append(words)
        }
      }
    }
    return entries.map { words in
      ReferenceModel(
        name: String(words[0]), parameters: Int(words[1]), active: Int(words[2]),
        configuration: ConfigurationTree(
          words.dropFirst(3).map { word in
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            return ConfigurationTree.Entry(parts[0], value(parts[1]))
          }))
    }
  }()

  private static func value(_ text: String) -> ConfigurationValue {
    if text == "null" { return .null }
    if let truth = Bool(text) { return .boolean(truth) }
    if let whole = Int(text) { return .integer(whole) }
    if let number = Double(text) { return .number(number) }
    return .text(text)
  }
}

@Suite struct ParameterCountTests {
  @Test("the table is whole") func tableIsWhole() {
    #expect(ReferenceModel.all.count == 97)
    #expect(ReferenceModel.all.filter { $0.parameters != nil }.count == 88)
  }

  @Test("a published configuration has exactly its parameters", arguments: ReferenceModel.all)
  func exactCount(_ model: ReferenceModel) throws {
    let reading = try Architecture.read(model.configuration, name: model.name)
    #expect(reading.unknownKeys == [])
    #expect(reading.assumptions == [])
    if let parameters = model.parameters {
      #expect(reading.architecture.parameterCount == parameters)
    }
    if let active = model.active {
      #expect(reading.architecture.activeParameterCount == active)
    }
  }
}
