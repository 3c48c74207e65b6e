/// Which activations are thrown away after the forward pass and computed again in the backward.
public enum Recompute: Hashable, Sendable {
  /// All are kept.
  case none
  /// The attention core (scores, softmax, dropout and their product with the values) is computed again.
  ///
  /// arXiv:2205.05198. Nothing changes where a flash kernel already does that itself, but in Megatron-Core,
  /// which runs it again and frees its statistics.
  case selective
  /// Norms and activations are computed again.
  ///
  /// Multiplies, attention and whatever communicates are kept (Megatron-Core's `recompute_modules` layernorm
  /// and moe_act).
  case passes
  /// Only the input of each layer is kept.
  case full
  /// Named parts of every layer are computed again.
  case modules(RecomputeModules)
  /// The input of each layer and named outputs inside it are kept.
  ///
  /// Of these `offloaded` in the host's memory.
  case saved(SavedOutputs, offloaded: SavedOutputs = [])
  /// As `full` in the first `layers` of each pipeline stage's model chunk, `none` in the others.
  case fullLayers(Int)
  /// Nothing is computed again.
  ///
  /// What the first `layers` of each pipeline stage's model chunk keep waits in the host's memory between the
  /// passes.
  case offloadLayers(Int)
  /// The lightest of none, selective, passes and full that fits in memory.
  ///
  /// With frameworks and hosts that are used so, activations are moved to the host before anything is
  /// recomputed in full.
  case auto
}
