public import Hardware

extension Cluster {
  /// Reads nothing but the `cluster` of a source.
  ///
  /// - Parameter source: for example `ScenarioSource(cluster: "dgx-h100", gpus: 64)`.
  /// - Throws: ``ScenarioError`` with every mistake.
  public init(_ source: ScenarioSource) throws(ScenarioError) {
    let log = DiagnosticLog()
    let root = try source.node()
    let reader = ScenarioReader(
      log: log, file: source.path, modelFile: nil, clusterFile: source.clusterFile)
    let block = Block(root["cluster"], path: "cluster", at: root.position, log: log)
    let cluster = reader.cluster(block, needsCount: false)
    guard let cluster, log.diagnostics.isEmpty else { throw ScenarioError.wrong(log.sorted) }
    self = cluster
  }

  /// The text of a cluster file, usable as `cluster.like` of a scenario.
  ///
  /// - Parameter comment: lines to put in front, without `#`.
  /// - Returns: YAML that reads back to an equal cluster.
  public func fileText(comment: [String]) -> String {
    comment.map { "# \($0)\n" }.joined() + resolved.yamlText
  }
}
