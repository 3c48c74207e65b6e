public import StepProgram
import Foundation
import Hardware
import Kernels
import Layout
import Quantities
import ScenarioFile
import Transformer

/// How far predictions of measured runs were off, with what those runs were like.
///
/// From it follows how far off the prediction of a run nobody has measured may be.
///
/// `scripts/validate` makes the table that comes with the program, `Measured/errors.csv`.
public struct MeasuredErrors: Hashable, Sendable {
  /// One measured run.
  public struct Row: Hashable, Sendable {
    /// The collection it belongs to.
    public var family: String
    /// What it was like.
    public var features: RunFeatures
    /// Predicted over measured step time less one.
    public var error: Double

    /// A run of `family`.
    public init(family: String, features: RunFeatures, error: Double) {
      self.family = family
      self.features = features
      self.error = error
    }
  }

  /// How far off a prediction may be.
  public struct Expected: Hashable, Sendable {
    /// Half of the nearest measured runs are predicted within this relative error.
    public var median: Double
    /// Nine tenths are within this one.
    public var ninetiethPercentile: Double
    /// Which measured runs those are, and how near: one sentence without its full stop.
    public var basis: String
  }

  /// The measured runs.
  public var rows: [Row]

  /// A table of `rows`.
  public init(rows: [Row]) { self.rows = rows }

  /// The timed rows of a validation.
  public init(_ validation: Validation) {
    rows = validation.predictions.compactMap { prediction in
      prediction.stepError.map {
        Row(
          family: prediction.run.family, features: RunFeatures(prediction.run.scenario.job),
          error: $0)
      }
    }
  }

  /// The table that comes with the program; empty when its file is missing.
  public static var shipped: MeasuredErrors {
    guard let text = ShippedMeasurements.table("errors") else { return MeasuredErrors(rows: []) }
    return MeasuredErrors(csv: text)
  }

  /// Runs that are asked for their error.
  public static let neighbours = 40

  /// The most of them that may be of one family.
  ///
  /// The errors of a family have much in common, and a run of another one does not share it.
  public static let neighboursOfFamily = 10

  /// The mean distance up to which runs count as alike; beyond it errors are widened.
  public static let alike = 1.0

  /// What a unit of mean distance beyond ``alike`` adds to an error, as a share of it.
  ///
  /// With it the 90th percentile stated for rows of families left out holds nine in ten of them.
  public static let wideningPerUnit = 0.35

  /// What the 90th percentile of a run nobody has measured is to that of the measured ones.
  ///
  /// Constants and rules have seen what is measured. Of 188 rows collected later and predicted before
  /// anything was looked into (`Measured/README.md`, `public_unseen.jsonl`) the plain 90th percentile held
  /// 86 %, the plain median 46 %; 1.2 times it held nine in ten.
  public static let unseenNinetieth = 1.2

  /// The least error of a run on a kind of GPU that no run was measured on.
  ///
  /// V100, MI250X, MI300X, TPU v5e, v6e and v7x, and boards on PCIe were 24, 10, 16, 20, 22, 1 and 37 % off in the
  /// median when they were first predicted (`Measured/README.md`): half within 20 %. For nine in ten the
  /// largest of them.
  public static let unmeasuredGPU = (median: 0.20, ninetieth: 0.37)

  /// The errors of the ``neighbours`` measured runs nearest to `job`.
  ///
  /// No more than ``neighboursOfFamily`` of a family, widened by ``wideningPerUnit`` for every unit by which
  /// their mean distance exceeds ``alike``, the 90th percentile by ``unseenNinetieth``.
  ///
  /// A GPU made from one of the catalogue by other figures has not been measured: its neighbours are its
  /// base's, its errors never less than its base's, and widened by ``wideningPerUnit`` for every
  /// doubling between their bf16 peaks and between their memory rates.
  ///
  /// - Parameters:
  ///   - job: the run to be predicted.
  ///   - family: a family that must not be asked, to judge this rule by rows it has not seen.
  /// - Returns: the errors, or `nil` when nothing was measured.
  public func expected(for job: TrainingJob, without family: String? = nil) -> Expected? {
    guard let base = GPU.named(job.cluster.gpu.catalogueName) else {
      return expected(for: job, widenedBy: 0, without: family)
    }
    var original = job
    original.cluster.gpu = base
    let gpu = job.cluster.gpu
    let doublings = { (changed: Double, known: Double) in
      changed > 0 && known > 0 ? abs(log2(changed / known)) : 0
    }
    let change =
      doublings(gpu.peak(of: .bf16).flopsPerSecond, base.peak(of: .bf16).flopsPerSecond)
      + doublings(gpu.memoryRate.bytesPerSecond, base.memoryRate.bytesPerSecond)
    // The same neighbours as the base's: others would be other errors, perhaps smaller ones.
    return expected(for: original, widenedBy: Self.wideningPerUnit * change, without: family)
  }

  private func expected(
    for job: TrainingJob, widenedBy change: Double, without family: String?
  ) -> Expected? {
    let wanted = RunFeatures(job)
    var found: [(distance: Double, index: Int)] = []
    for index in rows.indices where rows[index].family != family {
      found.append((rows[index].features.distance(to: wanted), index))
    }
    guard !found.isEmpty else { return nil }
    let nearest = nearest(of: found)
    let distance = nearest.map(\.distance).reduce(0, +) / Double(nearest.count)
    let widening = 1 + Self.wideningPerUnit * max(0, distance - Self.alike) + change
    let errors = nearest.map { abs(rows[$0.index].error) }
    let quantile = ValidationStatistics.Errors.quantile
    let kind = wanted.gpuKind
    let isMeasured = found.contains { rows[$0.index].features.gpuKind == kind }
    let least = isMeasured ? (median: 0, ninetieth: 0) : Self.unmeasuredGPU
    return Expected(
      median: max(least.median, quantile(errors, 0.5) * widening),
      ninetiethPercentile: max(
        least.ninetieth, quantile(errors, 0.9) * widening * Self.unseenNinetieth),
      basis: basis(
        nearest.map(\.index), of: wanted, distance: distance, isChanged: change > 0,
        widening: widening)
        + (isMeasured ? "" : "; no GPU of its kind was measured: no less than those first met"))
  }

  /// The ``neighbours`` nearest, at most ``neighboursOfFamily`` of a family.
  private func nearest(
    of found: [(distance: Double, index: Int)]
  ) -> [(distance: Double, index: Int)] {
    var taken: [String: Int] = [:]
    var nearest: [(distance: Double, index: Int)] = []
    for candidate in found.sorted(by: { $0 < $1 }) where nearest.count < Self.neighbours {
      let count = taken[rows[candidate.index].family, default: 0]
      guard count < Self.neighboursOfFamily else { continue }
      taken[rows[candidate.index].family] = count + 1
      nearest.append(candidate)
    }
    return nearest
  }

  private func basis(
    _ nearest: [Int], of wanted: RunFeatures, distance: Double, isChanged: Bool, widening: Double
  ) -> String {
    var counts: [(family: String, count: Int)] = []
    for index in nearest {
      let family = rows[index].family
      if let place = counts.firstIndex(where: { $0.family == family }) {
        counts[place].count += 1
      } else {
        counts.append((family, 1))
      }
    }
    let families = counts.sorted { ($1.count, $0.family) < ($0.count, $1.family) }
    let listed = families.map { "\($0.count) of \($0.family)" }.joined(separator: ", ")
    let tenths = (distance * 10).rounded() / 10
    var text =
      "the \(nearest.count) measured runs most like this one (\(listed)); mean distance \(tenths)"
    if !nearest.contains(where: { rows[$0].features.gpu == wanted.gpu }) {
      text += "; none of them on \(wanted.gpu)"
    }
    if isChanged { text += "; the figures are not those of \(wanted.gpu)" }
    if widening > 1 {
      text +=
        ", so their errors are widened by \(Int(((widening - 1) * 100).rounded())) %"
    }
    return text
  }
}

extension MeasuredErrors {
  private static let heading =
    "family,gpu,gpu_bf16_tflops,framework,format_bits,gpus,parameters,sequence_length,tensor,"
    + "pipeline,context,expert,shards_parameters,step_error"

  /// The table as comma-separated values, errors to four decimals.
  ///
  /// A comma in a GPU's name is a semicolon there.
  public var csv: String {
    var text = Self.heading + "\n"
    for row in rows {
      let of = row.features
      let cells: [String] = [
        row.family, of.gpu.replacing(",", with: ";"), "\(of.gpuTeraflops)", of.framework,
        "\(of.formatBits)", "\(of.gpus)",
        "\(of.parameters)", "\(of.sequenceLength)", "\(of.tensor)", "\(of.pipeline)",
        "\(of.context)", "\(of.expert)", "\(of.shardsParameters)",
        "\((row.error * 10_000).rounded() / 10_000)",
      ]
      text += cells.joined(separator: ",") + "\n"
    }
    return text
  }

  /// The table written by ``csv``; lines that are not of that form are skipped.
  public init(csv: String) {
    rows = csv.split(separator: "\n").dropFirst().compactMap { line in
      let cells = line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      guard cells.count == 14, let teraflops = Double(cells[2]), let bits = Int(cells[4]),
        let gpus = Int(cells[5]), let parameters = Int64(cells[6]), let sequence = Int(cells[7]),
        let tensor = Bool(cells[8]), let pipeline = Bool(cells[9]), let context = Bool(cells[10]),
        let expert = Bool(cells[11]), let shards = Bool(cells[12]), let error = Double(cells[13])
      else { return nil }
      return Row(
        family: cells[0],
        features: RunFeatures(
          gpu: cells[1], gpuTeraflops: teraflops, framework: cells[3], formatBits: bits,
          gpus: gpus, parameters: parameters, sequenceLength: sequence, tensor: tensor,
          pipeline: pipeline, context: context, expert: expert, shardsParameters: shards),
        error: error)
    }
  }
}
