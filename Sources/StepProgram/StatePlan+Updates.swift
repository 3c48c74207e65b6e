import Hardware
import Kernels
import Layout
import Transformer

extension StatePlan {
  /// Layouts of a quantised weight that are kept: as it is and transposed, for multiplies of 8-bit
  /// floats take their operands in one layout only; but on Blackwell with a scale for each tensor
  /// (`is_non_tn_fp8_gemm_supported` in Transformer Engine's `pytorch/utils.py`).
  private var quantizedLayouts: Double {
    let takesAny = job.cluster.gpu.peaks[.mxfp8] != nil
    return takesAny && job.training.precision == .fp8Mixed ? 1 : 2
  }

  /// Bytes of the stage's weights as quantised for their multiplies; `nil` where these are no narrower
  /// than activations.
  func quantizedBytes(ofStage stage: Int) -> Int64? {
    let format = job.training.precision.matmulFormat.bytesPerValue
    guard job.parallelism.zero < 3,
      format < job.training.precision.activationFormat.bytesPerValue
    else { return nil }
    let count = Double(parameters.multipliedCount(pipelineRank: stage))
    return Int64((quantizedLayouts * count * format).rounded(.up))
  }

  /// Bytes of the stage's working copy where multiplied weights are held as quantised only; `nil` where
  /// they are not.
  func narrowWeightBytes(ofStage stage: Int) -> Int64? {
    guard profile.quantizesParameters, let quantized = quantizedBytes(ofStage: stage) else {
      return nil
    }
    let others =
      parameters(ofStage: stage).total - parameters.multipliedCount(pipelineRank: stage)
    return Int64(others) * parameterBytes + quantized
  }

  /// Bytes in which a parameter of the stage travels when it is gathered, on average: weights held as
  /// quantised travel so, in one layout.
  func gatheredBytesPerParameter(ofStage stage: Int) -> Double {
    let value = job.training.precision.activationFormat.bytesPerValue
    guard profile.quantizesParameters, quantizedBytes(ofStage: stage) != nil else { return value }
    let total = Double(max(1, parameters(ofStage: stage).total))
    let share = Double(parameters.multipliedCount(pipelineRank: stage)) / total
    return value - share * (value - job.training.precision.matmulFormat.bytesPerValue)
  }

  /// Bytes of the fp32 copies an update makes of the gradients it owns where these are accumulated in
  /// half precision; they stay until the next step begins (`_copy_model_grads_to_main_grads` in
  /// Megatron-Core's `optimizer/optimizer.py` and `distrib_optimizer.py`).
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
