import Hardware
import ScenarioFile
import StepProgram
import Studies

extension ValidationReport {
  /// What is known of the causes of the errors, written by hand; counts are taken from the rows.
  var explanation: [String] {
    let nanotron = validation.predictions.filter {
      $0.run.family == "hf_ultrascale_h100_sweep" && $0.stepError != nil
    }
    let slower = { (factor: Double) in
      nanotron.count { ($0.run.stepSeconds ?? 0) >= factor * $0.stepSeconds }
    }
    let share = { (count: Int) in
      Format.percent(Double(count) / Double(max(1, nanotron.count)))
    }
    return [
      "## What the remaining errors come from", "",
      "No constant belongs to a row, a model or a paper. What does not follow from the data sheets, "
        + "the framework's code or a fit over many rows is left as an error and listed here.",
      "",
      "- **nanotron (`hf_ultrascale_h100_sweep`)** was timed on a shared cluster over AWS EFA. "
        + "\(slower(2)) of \(nanotron.count) rows (\(share(slower(2)))) took at least twice the "
        + "predicted time, \(slower(5)) (\(share(slower(5)))) at least five times, up to fifty, where "
        + "siblings, the same layout with the other ZeRO stage or another micro batch, did not: "
        + "8.86 B on 8 nodes, tensor 2, pipeline 16, took 3.8 s with ZeRO 1 and 159 s with ZeRO 0. "
        + "Nothing in a row tells which it will be. Two costs of that cluster are in the nanotron "
        + "profile as facts of its rows: a tensor-parallel ring that crosses nodes pays about 60 us "
        + "more for each step (EFA's latency), and one that runs beside pipeline traffic between "
        + "nodes about 340 us; why is not known (NCCL's proxy threads starved of host time, "
        + "perhaps). Memory there is read on pipeline stage 0 from a counter the source does not "
        + "name, taken to be the reserved one.",
      "- **Aleph Alpha**: on 256 GPUs predictions are too fast, by a third without pipeline, a fifth "
        + "with two stages, under a tenth with four: the fewer the stages, the more data-parallel "
        + "traffic there is, and it cost several times what 200 Gb/s for each GPU allows. The "
        + "published tables name no cause. Out-of-memory labels are missed where a run is predicted "
        + "to fill most of the 80 GB.",
      "- **BLOOM (`bigscience_bloom_a100`)** is about 15 % too fast; the cause is not isolated. The "
        + "times are of second iterations, still warming up, on 4 × 100 Gb/s Omni-Path for the 8 GPUs "
        + "of a node.",
      "- **Megatron-Core's tests (`megatron_golden`)** run in deterministic mode: their step "
        + "times are longer than ordinary training's. They are here for their memory, which was read "
        + "to the byte.",
      "- **Attention** in training steps reaches 0.65 of what the FlashAttention authors' benchmark "
        + "shows on A100 and H100. The factor is one constant of the GPU type (`trainingAttention`), "
        + "fitted on llm-foundry's long sequences; errors that grow with sequence length are its.",
      "- **Sustained clocks** are fitted on whole steps, since power limits the matrix units below "
        + "the data sheet's boost clock: the fit absorbs whatever else is proportional to compute.",
      "- **Recomputation `auto`**: NVIDIA's tables do not print it, so this program's own memory "
        + "model decides. Where it decides wrongly a step is off by up to a third.",
      "- **torchtitan** ran on an H100 with 96 GB of HBM2e and a 500 W limit, of which only the data "
        + "sheet is public; the clock under that limit is assumed, not fitted.",
      "- **Small models on few GPUs** (most of vTrain below 1 B parameters) are bound by the host: "
        + "times follow the launch cost of each operation, one constant for each framework, on "
        + "processors the sources do not name.",
    ]
  }
}
