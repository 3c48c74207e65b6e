import Transformer

extension StepProgram {
  /// A part of the step in words, `backward of microbatch 3, layer 31`; all counted from 0.
  public func name(of phase: Phase) -> String {
    let pass: String
    switch phase.kind {
    case .forward: pass = "forward"
    case .backward: pass = "backward"
    case .weightGradient: pass = "weight gradients"
    case .optimizer: return "optimizer step"
    }
    let layers = job.architecture.layerCount + job.architecture.nextTokenLayers
    let place =
      phase.layer < 0 ? "embedding" : phase.layer >= layers ? "head" : "layer \(phase.layer)"
    return "\(pass) of microbatch \(phase.microbatch), \(place)"
  }
}
