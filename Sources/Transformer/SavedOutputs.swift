import Kernels

/// Values of a layer that are kept beside its input while all else is computed again.
///
/// By the names MaxText gives them (`checkpoint_name` in its `layers`; jax's `save_only_these_names`).
///
/// Its policies are sets of these: `full` none, `save_qkv_proj` the first, `save_out_proj` the third,
/// `save_dot_except_mlp` and, as no gradient needs `mlpwo` of a dense layer, `save_dot_except_mlpwi` the
/// first and the third, `minimal` all but `context` (`get_remat_policy` in its `decoders.py`).
public struct SavedOutputs: OptionSet, Hashable, Sendable {
  /// One bit an output.
  public var rawValue: Int

  /// A set from its bits.
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// Queries, keys and values as projected.
  public static let queryKeyValue = Self(rawValue: 1)
  /// What the attention core makes of them.
  public static let context = Self(rawValue: 2)
  /// The attention's output projection.
  public static let attentionOutput = Self(rawValue: 4)
  /// The feed-forward's projections into the activation, of experts too.
  public static let feedForwardInput = Self(rawValue: 8)
  /// The feed-forward's last projection: only experts' outputs are read again, to be weighed.
  public static let feedForwardOutput = Self(rawValue: 16)
  /// The layer's input, which is kept in any case.
  public static let layerInput = Self(rawValue: 32)

  /// Each output with its name, in forward order.
  private static let named: [(name: String, output: Self)] = [
    ("qkv_proj", .queryKeyValue), ("context", .context), ("out_proj", .attentionOutput),
    ("mlpwi", .feedForwardInput), ("mlpwo", .feedForwardOutput),
    ("decoder_layer_input", .layerInput),
  ]

  /// The names of all outputs.
  public static var names: [String] { named.map(\.name) }

  /// The names of the outputs in the set.
  public var names: [String] { Self.named.filter { contains($0.output) }.map(\.name) }

  /// The output of that name.
  public init?(name: String) {
    guard let found = Self.named.first(where: { $0.name == name }) else { return nil }
    self = found.output
  }

  /// The output of the set that `operation` makes; `nil` for none.
  private func made(by operation: Operation) -> Self? {
    let output: Self? =
      switch operation.name {
      case "qkv_proj", "query_proj", "query_up_proj", "key_value_up_proj": .queryKeyValue
      case "out_proj": .attentionOutput
      case "up_proj", "shared_up_proj", "expert_up_proj": .feedForwardInput
      case "down_proj", "shared_down_proj", "expert_down_proj": .feedForwardOutput
      default: operation.isAttentionCore ? .context : nil
      }
    return output.flatMap { contains($0) ? $0 : nil }
  }

  /// Bytes of the outputs of a layer that are kept, its input only where it is of the set.
  ///
  /// - Parameters:
  ///   - operations: a layer's, in forward order.
  ///   - flowing: bytes of the hidden states between layers.
  ///   - valueBytes: bytes of an activation value.
  /// - Returns: bytes.
  public func bytes(of operations: [Operation], flowing: Int64, valueBytes: Int64) -> Int64 {
    operations.reduce(contains(.layerInput) ? flowing : 0) { bytes, operation in
      guard let output = made(by: operation) else { return bytes }
      // Reduced and scattered as the hidden states are.
      if output == .attentionOutput { return bytes + flowing }
      if output == .context {
        // The output projection's input, m × k.
        let projection = operations.first { $0.name == "out_proj" }
        return bytes + (projection?.multiplied { $0.m * $0.k } ?? 0) * valueBytes
      }
      if output == .feedForwardOutput, operation.experts == 0 { return bytes }
      return bytes + operation.multiplied { $0.m * $0.n } * valueBytes
    }
  }

  /// The operations that are run again before a layer's gradients flow, in forward order.
  public func repeated(_ operations: [Operation]) -> [Operation] {
    operations.filter { made(by: $0) == nil }
  }
}

extension Operation {
  /// A sum over the multiplies of the forward pass.
  fileprivate func multiplied(_ values: (Matmul) -> Int) -> Int64 {
    forward.reduce(0) {
      guard case .matmul(let multiply) = $1 else { return $0 }
      return $0 + Int64(values(multiply)) * Int64(multiply.batch)
    }
  }
}
