/// How the sharded states of data-parallel ranks travel, where a scenario says so.
public struct ShardingOptions: Hashable, Sendable {
  /// Whether parameters gathered for a forward pass are given back before the backward pass gathers them again.
  ///
  /// FSDP2's `reshard_after_forward`. `nil` for the framework's way, and under a pipeline to keep them all step
  /// long.
  public var reshardsAfterForward: Bool?
  /// Whether gradients are reduced after every microbatch rather than after the last (PyTorch's `no_sync` left out).
  ///
  /// `nil` for the usual: where gradients or parameters are sharded and not kept.
  public var reducesEachMicrobatch: Bool?
  /// Parameters in a gradient bucket; `nil` for the framework's.
  public var bucketParameters: Int?
  /// Whether parameters travel in int8 (ZeRO++, arXiv:2306.10209, section 4.1).
  public var quantizesWeights = false
  /// Whether gradients travel in int4 (ZeRO++, section 4.3).
  public var quantizesGradients = false
  /// Ranks that hold a second copy of the parameters among them, from which backward passes gather.
  ///
  /// ZeRO++, section 4.2. `nil` for none.
  public var secondaryGroup: Int?
  /// Whether the last stage of a pipeline keeps the outputs of all microbatches to the end of the step.
  ///
  /// `nil` for the framework's way.
  public var keepsOutputs: Bool?

  /// The framework's way.
  public init() {}
}
