/// The layers of a model that a search has pruned one by one.
///
/// Puzzle, arXiv:2411.19146; `block_configs` of NVIDIA's Llama-Nemotron models.
struct PrunedBlocks {
  /// Whether each layer attends.
  var attends: [Bool] = []
  /// Width of each layer's feed-forward block, 0 where it has none.
  var widths: [Int] = []
  /// Query heads that share a key and value head, the same in every layer that attends.
  var headsInGroup: Int?

  /// The list under `block_configs`, of which the first `layers` count.
  ///
  /// A width is given by its multiple m of the hidden size h, 2 m h / 3 rounded up to 256 (`ffn_mult` in
  /// `block_config.py` and `_ffn_mult_to_intermediate_size` in `modeling_decilm.py`, beside the weights of
  /// nvidia/Llama-3_3-Nemotron-Super-49B-v1).
  init?(_ reader: ConfigurationReader, layers: Int, hidden: Int) throws(ConfigurationError) {
    let key = "block_configs"
    guard let (_, value) = reader.first([key]) else { return nil }
    guard case .list(let blocks) = value, blocks.count >= layers else {
      throw .wrongKind(
        key: key, expected: "a list of \(layers) blocks", found: value.kind)
    }
    for block in blocks.prefix(layers) {
      guard case .map(let parts) = block, case .map(let attention)? = parts["attention"],
        case .map(let feedForward)? = parts["ffn"]
      else { throw .wrongKind(key: key, expected: "attention and ffn", found: block.kind) }
      let others = ["replace_with_linear", "sparsify", "window_length", "num_sink_tokens"]
      for part in [attention, feedForward] {
        for other in others where part[other] != nil && part[other] != .boolean(false) {
          throw .notModelled(key: key, reason: "blocks with \(other) are not modelled")
        }
      }
      let isAttending = attention["no_op"] != .boolean(true)
      attends.append(isAttending)
      if isAttending, case .integer(let group)? = attention["n_heads_in_group"] {
        guard headsInGroup == nil || headsInGroup == group else {
          throw .notModelled(
            key: key, reason: "layers with different key and value heads are not modelled")
        }
        headsInGroup = group
      }
      widths.append(try Self.width(feedForward, hidden: hidden))
    }
  }

  private static func width(
    _ feedForward: ConfigurationTree, hidden: Int
  ) throws(ConfigurationError) -> Int {
    if feedForward["no_op"] == .boolean(true) { return 0 }
    if case .integer(let width)? = feedForward["intermediate_size"], width > 0 { return width }
    let multiple: Double
    switch feedForward["ffn_mult"] {
    case .number(let given)?: multiple = given
    case .integer(let given)?: multiple = Double(given)
    default:
      throw .missing(key: "ffn_mult", alsoKnownAs: ["intermediate_size"])
    }
    guard multiple > 0, multiple < 1_024 else {
      throw .impossible(key: "ffn_mult", found: "\(multiple)", reason: "is not in 0..<1024")
    }
    return (Int(2 * multiple * Double(hidden) / 3) + 255) / 256 * 256
  }
}
