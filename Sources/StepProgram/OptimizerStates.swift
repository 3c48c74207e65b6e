import Kernels
import Layout
import Transformer

/// Moments a stage keeps for its local tensors before any partition, and what their update multiplies.
///
/// Before a partition over data ranks, where they are not the same for every parameter.
struct OptimizerStates {
  /// Bytes for tensors outside routed experts.
  var dense: Int64 = 0
  /// Bytes for routed experts.
  var expert: Int64 = 0
  /// Matrices Muon orthogonalises, as rows ≤ columns with how many there are, in model order.
  var matrices: [(rows: Int, columns: Int, count: Int, isExpert: Bool)] = []

  /// The moments `pipelineRank` keeps under `optimizer`; `nil` where every parameter takes the same.
  ///
  /// Momenta take `valueBytes` a value, Adafactor's sums four.
  init?(
    _ optimizer: Optimizer, _ parameters: ShardedParameters, pipelineRank: Int,
    valueBytes: Int64 = 4
  ) {
    switch optimizer {
    case .adamw, .adamw8bit, .sgdMomentum, .lion: return nil
    case .adafactor, .muon: break
    }
    let chunks = parameters.chunks(pipelineRank: pipelineRank)
    for tensor in chunks.flatMap(\.tensors) where tensor.count > 0 {
      let shape = tensor.shape.suffix(2)
      let matrix = shape.count == 2 ? (rows: shape.min() ?? 1, columns: shape.max() ?? 1) : nil
      let values: Int
      if optimizer == .adafactor {
        // arXiv:1804.04235, section 3: sums over rows and over columns; a vector's whole variance.
        values =
          matrix.map { tensor.count / ($0.rows * $0.columns) * ($0.rows + $0.columns) }
          ?? tensor.count
      } else if let matrix, tensor.layer != nil, tensor.tensor.kind != .other {
        // Filters and decays of a recurrence are no matrices, though they have two dimensions.
        values = tensor.count
        add(
          matrix.rows, matrix.columns, count: tensor.count / (matrix.rows * matrix.columns),
          isExpert: tensor.tensor.isExpert)
      } else {
        values = 2 * tensor.count
      }
      let bytes = (optimizer == .adafactor ? 4 : valueBytes) * Int64(values)
      if tensor.tensor.isExpert { expert += bytes } else { dense += bytes }
    }
  }

  private mutating func add(_ rows: Int, _ columns: Int, count: Int, isExpert: Bool) {
    let known = matrices.firstIndex {
      $0.rows == rows && $0.columns == columns && $0.isExpert == isExpert
    }
    if let known {
      matrices[known].count += count
    } else {
      matrices.append((rows, columns, count, isExpert))
    }
  }

  /// The multiplies of Muon's update on a rank that owns one in `degree` matrices.
  ///
  /// Five iterations of X ← aX + (bA + cA²)X with A = XXᵀ in bf16 (arXiv:2502.16982, equation 2
  /// and section 2.1): 4r²c + 2r³ FLOPs each for r rows and c columns, r ≤ c. Each rank is taken to
  /// orthogonalise its tensor-parallel part of the matrices it owns; the gather of whole matrices
  /// before it is not counted.
  func newtonSchulz(over degree: Int, expertDegree: Int) -> [Kernel] {
    matrices.flatMap { matrix -> [Kernel] in
      let ranks = matrix.isExpert ? expertDegree : degree
      let batch = (matrix.count + ranks - 1) / ranks
      let product = { (columns: Int, inner: Int) in
        Kernel.matmul(
          Matmul(m: matrix.rows, n: columns, k: inner, batch: batch, format: .bf16))
      }
      let iteration = [
        product(matrix.rows, matrix.columns), product(matrix.rows, matrix.rows),
        product(matrix.columns, matrix.rows),
      ]
      return (0..<5).flatMap { _ in iteration }
    }
  }
}
