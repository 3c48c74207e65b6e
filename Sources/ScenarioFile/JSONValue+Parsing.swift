extension JSONValue {
  /// Reads JSON.
  ///
  /// - Parameters:
  ///   - text: one JSON value.
  ///   - file: the name complaints give it.
  /// - Throws: ``ScenarioError`` with the place of the mistake.
  public init(parsing text: String, file: String) throws(ScenarioError) {
    self = try SourceNode.reading(json: text.utf8, file: file).json
  }
}
