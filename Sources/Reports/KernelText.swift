import Layout
public import StepProgram
import Hardware
import Kernels
import Quantities

/// What the operations of a layer cost.
public enum KernelText {
  /// One line an operation of a microbatch on one rank.
  ///
  /// - Parameter job: the job.
  /// - Returns: a table: times of the passes, speed, communication, bytes kept.
  public static func table(_ job: TrainingJob) -> String {
    var table = TextTable(
      [
        "unit", "operation", "forward", "input grad", "weight grad", "TFLOP/s", "of peak",
        "communication", "kept MiB",
      ], leftColumns: 2)
    let peak = job.cluster.gpu.peak(of: job.training.precision.matmulFormat).flopsPerSecond
    var unit = ""
    var total = Seconds.zero
    func close() {
      if !unit.isEmpty { table.add(["", "all", "", "", Format.duration(total)]) }
      total = .zero
    }
    for cost in StepProgram.operationCosts(of: job) {
      if cost.unit != unit {
        close()
        unit = cost.unit
      }
      total = total + cost.kernels
      let rate = cost.kernels.value > 0 ? cost.flops.count / cost.kernels.value : 0
      table.add([
        cost.unit, cost.name, time(cost.forward), time(cost.inputGradient),
        time(cost.weightGradient), rate > 0 ? Format.number(rate / 1e12) : "",
        rate > 0 ? Format.percent(rate / peak) : "", time(cost.communication),
        Format.number(Double(cost.saved.count) / 1_048_576),
      ])
    }
    close()
    return "One microbatch on one rank; communication on an idle fabric, hidden or not.\n\n"
      + table.lines(indent: 0).joined(separator: "\n") + "\n"
  }

  private static func time(_ seconds: Seconds) -> String {
    seconds.value > 0 ? Format.duration(seconds) : ""
  }
}
