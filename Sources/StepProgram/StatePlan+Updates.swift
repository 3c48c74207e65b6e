import Hardware
import Kernels
import Layout
import Transformer

extension StatePlan {
  /// Layouts of a quantised weight that are kept.
  ///
  /// As it is and transposed, for multiplies of 8-bit floats take their operands in one layout only; but on
  /// Blackwell with a scale for each tensor (`is_non_tn_fp8_gemm_supported` in Transformer Engine's
  /// `pytorch/utils.py`).
  private var quantizedLayouts: Double {
    let takesAny = job.cluster.gpu.peaks[.mxfp8] != nil
    return takesAny && job.training.precision == .fp8Mixed ? 1 : 2
  }

  /// Bytes of the stage's weights as quantised for their multiplies.
  ///
  /// `nil` where these are no narrower than activations.
  func quantizedBytes(ofStage stage: Int) -> Int64? {
    let format = job.training.precision.matmulFormat.bytesPerValue
    guard job.parallelism.zero < 3,
      format < job.training.precision.activationFormat.bytesPerValue
    else { return nil }
    let count = Double(parameters.multipliedCount(pipelineRank: stage))
    return Int64((quantizedLayouts * count * format).rounded(.up))
  }

  /// Whether the working copy of multiplied weights is the quantised one.
  ///
  /// Of 4-bit floats only where a scenario says so, for no recipe has it (`fp4_param_gather` in
  /// Megatron-Bridge's `training/mixed_precision.py`).
  var holdsQuantizedOnly: Bool {
    guard profile.quantizesParameters else { return false }
    return job.training.precision != .nvfp4Mixed
      || job.training.switches.quantizesParameters == true
  }

  /// Whether quantised weights are kept beside the working copy.
  var keepsQuantizedBeside: Bool {
    profile.keepsQuantizedWeights || profile.quantizesParameters && !holdsQuantizedOnly
  }

  /// Bytes of the stage's working copy where multiplied weights are held as quantised only.
  ///
  /// `nil` where they are not.
  func narrowWeightBytes(ofStage stage: Int) -> Int64? {
    guard holdsQuantizedOnly, let quantized = quantizedBytes(ofStage: stage) else {
      return nil
    }
    let others =
      parameters(ofStage: stage).total - parameters.multipliedCount(pipelineRank: stage)
    return Int64(others) * parameterBytes + quantized
  }

  /// Bytes in which a parameter of the stage travels when it is gathered, on average.
  ///
  /// Weights held as quantised travel so, in one layout; but not those with a scale for each block of 32, whose
  /// two layouts do not follow from each other: they come in bf16, into the gradients' buffer
  /// (`--reuse-grad-buf-for-mxfp8-param-ag`, Megatron-Core's `param_and_grad_buffer.py`).
  func gatheredBytesPerParameter(ofStage stage: Int) -> Double {
    let value = job.training.precision.activationFormat.bytesPerValue
    guard holdsQuantizedOnly, job.training.precision != .mxfp8Mixed,
      quantizedBytes(ofStage: stage) != nil
    else { return value }
    let total = Double(max(1, parameters(ofStage: stage).total))
    let share = Double(parameters.multipliedCount(pipelineRank: stage)) / total
    return value - share * (value - job.training.precision.matmulFormat.bytesPerValue)
  }

  /// Bytes of the fp32 copies an update makes of the gradients it owns where these are accumulated in half precision.
  ///
  /// They stay until the next step begins (`_copy_model_grads_to_main_grads` in Megatron-Core's
  /// `optimizer/optimizer.py` and `distrib_optimizer.py`).
  func gradientCopyBytes(ofStage stage: Int) -> Int64 {
    guard profile.copiesGradientsForUpdate, gradientFormat.bytesPerValue < 4,
      job.training.precision.hasMasters, !job.parallelism.offloadsOptimizer
    else { return 0 }
    return 4 * ownedCount(ofStage: stage)
  }

  /// Bytes of the states that the first update makes, where the first steps come without one.
  func lateBytes(ofStage stage: Int) -> Int64 {
    guard profile.copiesGradientsForUpdate, job.training.precision == .fp16Mixed,
      !job.parallelism.offloadsOptimizer
    else { return 0 }
    let masters: Int64 = job.training.precision.hasMasters && !profile.isFSDP ? 4 : 0
    return ownedOptimizerBytes(ofStage: stage) - masters * ownedCount(ofStage: stage)
  }
}
