import Hardware
import Layout
import Quantities
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
    // Rows whose missing time is about half a second for each exchange of a microbatch.
    let isDelayed = { (prediction: Prediction) -> Bool in
      let job = prediction.run.scenario.job
      guard job.parallelism.pipeline > 1, let measured = prediction.run.stepSeconds,
        measured > 1.5 * prediction.stepSeconds
      else { return false }
      let missing = (measured - prediction.stepSeconds) / Double(job.microbatchCount)
      return job.parallelism.pipeline == 2
        ? missing > 0.45 && missing < 0.65 : missing > 0.95 && missing < 1.45
    }
    let delayed = nanotron.filter(isDelayed)
    let others = ValidationStatistics.Errors(
      nanotron.filter { !isDelayed($0) }.compactMap(\.stepError))
    let wide = ValidationStatistics.Errors(
      validation.predictions.filter {
        $0.run.family == "hf_ultrascale_h100_sweep" && $0.run.scenario.job.parallelism.tensor > 8
      }.compactMap(\.memoryError))
    let alephError = { (stages: Int) in
      Format.percent(
        errors {
          $0.run.family == "aleph_alpha_layout_sweep" && $0.run.scenario.job.cluster.gpuCount == 256
            && $0.run.scenario.job.parallelism.pipeline == stages
        }.median)
    }
    let single = validation.predictions.count {
      $0.run.family == "vtrain_ground_truth" && $0.run.scenario.job.cluster.gpuCount <= 8
    }
    let bloom = validation.statistics(family: "bigscience_bloom_a100").stepSeconds
    let golden = validation.statistics(family: "megatron_golden")
    let microseconds = { (seconds: Double) in Format.number(seconds * 1e6, digits: 2) + " us" }
    let profile = Framework.nanotron.profile
    let aleph = Framework.alephAlphaScaling.profile
    let dataCost = Format.number(profile.dataCollectiveCost, digits: 2)
    return [
      "## What the remaining errors come from", "",
      "Constants belong to a GPU type or to a training framework, never to a row or a model. Some "
        + "frameworks were seen on one cluster only (nanotron, Aleph Alpha's), and there a constant of the "
        + "framework cannot be told from one of the cluster: these are named below. What follows neither from the data "
        + "sheets, nor from the framework's code, nor from a fit over many rows is left as an error.",
      "",
      "- **nanotron (`hf_ultrascale_h100_sweep`)** was timed on a shared cluster over AWS EFA. "
        + "\(slower(2)) of \(nanotron.count) rows (\(share(slower(2)))) took at least twice the "
        + "predicted time, \(slower(5)) (\(share(slower(5)))) at least five times, up to fifty, where "
        + "siblings, the same layout with the other ZeRO stage or another micro batch, did not: "
        + "8.86 B on 8 nodes, tensor 2, pipeline 16, took 3.8 s with ZeRO 1 and 159 s with ZeRO 0. "
        + "In \(delayed.count) rows with a pipeline the missing time is the same for each microbatch, "
        + "0.5 s with two stages and 1.0 to 1.4 s with more, whatever tensor and data degree, model or "
        + "micro batch: half a second for each exchange between stages and direction, a state of the "
        + "software or the cluster at the time (most are the 8.86 B jobs with ZeRO 0). Without them "
        + "half of the rows are within \(Format.percent(others.medianAbsolute)), nine in ten within "
        + "\(Format.percent(others.p90Absolute)). "
        + "Nothing in a row tells which it will be, but for tensor degree 32: all of its rows with a "
        + "pipeline do so, and are predicted so. Costs of that cluster and its software are in the nanotron profile: "
        + "a tensor-parallel ring that crosses nodes pays "
        + "\(microseconds(profile.tensorStepBetweenNodes.seconds)) more for each step (EFA's latency; its "
        + "published all-gather of 256 MB on 2 to 64 nodes shows the same), the host takes "
        + "\(microseconds(profile.hostPerTensorRankBesidePipeline.seconds)) for each rank of a tensor group "
        + "and collective beside pipeline traffic between nodes "
        + "(\(microseconds(profile.hostPerSpreadTensorRankBesidePipeline.seconds)) where the group "
        + "itself spans nodes; it hides behind enough computation, why it is so is not known), and "
        + "data-parallel collectives between nodes take \(dataCost) times their time at the NICs' rate "
        + "(node count by node count and for either model 1.5 to 2 under ZeRO 1, where the whole fp32 buffer is "
        + "all-reduced behind the last backward pass, as its code says, and each gathered tensor copied out "
        + "rank by rank). Without ZeRO the reductions of 1.34 B on 8 and 16 nodes, in buckets of 25 MiB, still "
        + "take more than is foreseen.",
      "- **nanotron's memory** is read on pipeline stage 0 from a counter the source does not name, "
        + "taken to be the reserved one. With tensor parallelism across nodes (degree 16 and 32) the "
        + "prediction is off by \(Format.percent(wide.median)) in the median of \(wide.rows) rows, and "
        + "nine in ten are within \(Format.percent(wide.p90Absolute)). Its steps are played to PyTorch's "
        + "caching allocator, tensor by tensor. Blocks that collectives used are free when the device has "
        + "come past them, and the host runs ahead of it by the depth of its queue where nothing makes it "
        + "wait. No reading is above 68.3 GiB of 79: rows that would take more have emptied their cache. "
        + "Five things were read from these rows, not from code, and may be this cluster's: how much the "
        + "cache gets (the highest reading; it only caps the prediction, `furtherCommunicators`), by how "
        + "much a host gets ahead of the slowest of its group (2 %, `HostLead.drift`), that the device "
        + "decides a pass from three quarters of the host's time on, that a host gets ahead at the second "
        + "message of a warm-up, and that elsewhere it is ahead by an entry for each rank of its tensor group "
        + "(`HostLead.entriesPerTensorRank`). "
        + "Rows that took twice or twenty times the time of their siblings read as if nothing were pending: a "
        + "host that is late never runs ahead. What makes it late is not in a row, so they stay too high. "
        + "Without a pipeline these are 14 rows of tensor degree 8 to 32 on 4 to 16 nodes at their largest "
        + "micro batch, which took for each collective what others take beside a pipeline (0.36 ms a rank). "
        + "Steps of a single microbatch under ZeRO 1 stay too high by an fp32 copy of the logits, for no cause "
        + "known.",
      "- **Aleph Alpha**: its library all-reduces gradients in fp32, its optimizer sharded or not, which "
        + "is counted. On 256 GPUs data-parallel traffic cost "
        + "\(Format.number(aleph.dataCollectiveCostBeyond ?? 1, digits: 2)) times what the NICs allow "
        + "(the published tables name no cause; with it errors there are "
        + "\(alephError(1)) without pipeline, \(alephError(2)) with two stages, \(alephError(4)) with four). "
        + "On 32 to 128 it is taken at their rate: 0.5 to 3 times that fit alike, 13 B wants the less of it and 30 B "
        + "the more. Several layouts were timed two or three times under the same "
        + "labels, with and without a norm kernel, up to 20 % apart. "
        + "A second stage costs 13B 7 to 18 % at 2,048 tokens, more at larger micro batches, of which less than "
        + "1 % is foreseen; 30B on four loses nothing, nor does 13B so much at 8,192 tokens. Its library "
        + "shows no cause. It is in the runs with FlashAttention-2 only, which came later: with FlashAttention 1, "
        + "under the same labels, a second stage costs 3 to 7 %. "
        + "Out-of-memory labels are missed where a run "
        + "is predicted to fill most of the 80 GB.",
      "- **BLOOM (`bigscience_bloom_a100`)** is off by \(Format.percent(bloom.median)) in the median. Its "
        + "jobs ran with `CUDA_LAUNCH_BLOCKING=1` (tr11-176B-ml.slurm), so that the host waits for "
        + "every kernel: `training.blocking_launches`, set in the rows that come with the program. The "
        + "other causes of what was missing: dropout at Megatron's default, fp32 gradients all-reduced "
        + "whole over Omni-Path by DeepSpeed's BF16_Optimizer, and heads that are no multiple of 8. Stages "
        + "send each tensor rank's part, as DeepSpeed's code says. Sent whole, as was assumed before, messages took "
        + "longer and hid what is missing in pipelines of tensor 8. With 2 or 4 sequences it is 45 to 90 ms a "
        + "microbatch on twelve stages and 96 to 182 ms on six, in one row 465: it goes with the layers of a "
        + "stage. Single sequences lack 7 to 25 ms, eight on twelve stages 146. The "
        + "times are of second iterations and differ by up to 9 % between equal layouts.",
      "- **vTrain (`vtrain_ground_truth`)**: the \(single) rows on one node are not timings of whole "
        + "steps. They obey m·(L·a + b) + L·c + e (m microbatches, L layers; a and b the same whatever m, "
        + "L, data and pipeline degree) to the nanosecond, as sums of parts timed once do: 32 pairs of a "
        + "and b, one for each hidden size, tensor degree and micro batch, just what vTrain's own "
        + "`src/predictor.py` keeps a trace of. From two hidden sizes follows that their layers hold three "
        + "passes of multiplies, not four: nothing was recomputed, though the source's configurations say "
        + "so. At 8 sequences the multiplies of the head run at 84, 255, 153 and 153 TFLOP/s at tensor 1, "
        + "2, 4 and 8: those of 50,257, 25,128, 12,564 and 6,282 columns, the vocabulary of GPT-2 divided and "
        + "not padded (`src/model/gpt_model.py`), odd or multiples of 8, 4 and 2, not those of the rows' "
        + "51,200, a guess of whoever wrote them down. With what the rows say neither can be predicted. "
        + "Tensor 8 with one sequence (4.99 and 4.79 ms, 4.04 and 3.87 with two) is Megatron's fused softmax, "
        + "which wants four rows of scores. Beyond that a single trace scatters: layers on which the host "
        + "decides differ by 10 to 60 % between tensor degrees and micro batches without order (tensor 4, "
        + "hidden 2,048: 2.99, 2.75, 4.95 and 7.45 ms for 1, 2, 4 and 8 sequences; tensor 2, hidden 1,024: "
        + "3.33, 3.58 and 3.18 ms for 1, 2 and 4). The 72 rows on several nodes are whole steps. Tensor 1 and 8 "
        + "there are within a tenth, but for two of tensor 8 on 64 GPUs that took up to twice the time of their "
        + "siblings; 175 B is 6 to 10 % too long. Tensor 2 and 4 on 256 and 512 GPUs are mostly 7 to 35 % too "
        + "short, without order: the same layout lacks 7.4, 3.2 and 3.2 s with 2, 3 and 6 sequences, which no "
        + "traffic of it explains.",
      "- **The best layout of vTrain's sweeps** is decided by few of those 32 numbers: of the sweeps on one "
        + "node whose best is missed here half are that last cell against tensor 1 with two sequences, a "
        + "quarter tensor 2 with two sequences against tensor 1 with one, "
        + "predicted 2.5 % apart. A surface of second degree in the logarithms of the three, "
        + "fitted on the 32 measured numbers themselves, finds the best (within 5 %) in 43 of 70 "
        + "sweeps and misses the layers by 9 %; each cell left out of its own fit, 40 of 70 and 12 % "
        + "(`scripts/fit-steps/cells.py`): no more than is found here without a trace. Without "
        + "recomputation, and with hosts fitted anew for that (120 to 150 us an operation), layers scatter "
        + "by 13 % as they do here, and 40 to 45 are found: what is wrong in the rows does not decide it. "
        + "Nine in ten would take errors of the 32 cells of 7 %, were these independent.",
      "- **Megatron-Core's tests (`megatron_golden`)** of the folder `gpt` run in deterministic mode unless "
        + "their name says `nondeterministic`, and rows of theirs are read so without the key "
        + "(`training.deterministic`): FlashAttention-2's ordered backward pass on A100 and, with dropout, on "
        + "GB200, where its kernels are a quarter as fast as cuDNN's; a slower one of cuDNN's on H100; every "
        + "new tensor is filled. Taken for plain runs they would be 6 to 11 % too short, on GB200 32 and 40 %. "
        + "Their memory was read to the byte. Half of what "
        + "they hold between steps is within \(Format.percent(golden.staticMemory.medianAbsolute)), half "
        + "of the peaks within \(Format.percent(golden.memory.medianAbsolute)). In tests of some 500 MiB "
        + "switches decide that the sources of the rows do not print; the rows that come with the program "
        + "have them as keys, from the tests' public configurations: `CUBLAS_WORKSPACE_CONFIG` (48 MiB), "
        + "experts one after the other (128 MiB on Hopper and later), Megatron's own layers with their "
        + "buffer of scores (16 to 64 MiB), the all-gather dispatcher, unfused accumulation, a compiled "
        + "loss, deferred weight gradients, uneven stages. Without the keys static memory of some 60 rows "
        + "is off by more than 1 %. fp16 runs skip their first updates and have no moments yet (8 rows). "
        + "Left: three rows on GB200 with workspaces of 8 instead of 32 MiB, where others without "
        + "the variable have 32; a stand-in of the output projection that older versions lack, two "
        + "rows on A100; a compiled loss of an older compiler with one more copy of the logits; "
        + "pools of CUDA graphs (−25 % between steps, +13 % at the peak); what Megatron-FSDP keeps "
        + "gathered; 15 MiB in two rows on GB200, 254 in one on H100, that their siblings "
        + "lack. The GPU counts of the Mixtral and DeepSeek rows are inferred, their routing "
        + "is taken as balanced: a few per cent at the peak.",
      "- **Mixtures in NeMo**: what recipes turn on and tables do not print follows from the release "
        + "(`training.release`, or a row's `software`): since 26.06 those in MXFP8 on racks of 72 are one "
        + "CUDA graph with fused experts, hidden traffic and kept rows copied to pages; but for gpt-oss they "
        + "are predicted 17 to 39 % too long without that, within 7 % with it. With a fused "
        + "attention, which cuDNN had not for its heads on Blackwell yet, DeepSeek-V3 of NeMo 25.04 on "
        + "GB200 would be two thirds too short; it is 10 %. Left: gpt-oss, 7 to 20 % too short, least under "
        + "26.06 on racks (7 and 10 %); two rows, B200 under 25.11 and B300 under 26.02, are 46 and 33 % too "
        + "short, one on H100 6 % too long. What cuDNN's kernels explain of it is counted: heads of 64 wait "
        + "for exponentials, windows of 128 are paid as several hundred keys, in eight bits backward as the "
        + "whole sequence. "
        + "Releases before the graphs differ by up to 1.8 times in the same layout.",
      "- **SimuMax's B200** peaks count stand-ins of weight gradients, one for each shape of weight "
        + "(Transformer Engine with fused accumulation); what is missing beyond them is near 1 %.",
      "- **Attention** in training steps reaches 0.85 (A100) and 0.92 (H100) of what the "
        + "FlashAttention-2 authors' benchmark shows, times the clock, FlashAttention-1 0.75 and 0.79 of its own "
        + "and, on H100, FlashAttention-3 and cuDNN's 1.05 of theirs (`trainingAttention`, `trainingFlash1`, "
        + "`trainingFlash3`, of the GPU type). "
        + "Megatron-Core, NeMo and MaxText run the library's, nanotron and torchtitan FlashAttention-2, "
        + "llm-foundry whatever it is told FlashAttention in Triton, its default until 2024: 0.69 and 0.67 "
        + "(`trainingTriton`; by FlashAttention-2's authors it is 0.55). The library's is a compromise "
        + "between its versions: steps of 2025 want it, those of NeMo 24.07 0.7 to 0.8. At 4,096 to 8,192 "
        + "tokens a rate of attention cannot be told from the passes over memory around it, which grow with "
        + "the tokens alike: what nanotron and torchtitan copy there was once read as slow attention. A step "
        + "of three quarters attention (torchtitan at 32,768 tokens) told it apart.",
      "- **Sustained clocks** are fitted on whole steps, since power limits the matrix units below "
        + "the data sheet's boost clock: the fit absorbs whatever else is proportional to compute.",
      "- **Size of the job**: sets of steps that differ in the number of GPUs only take 0.2 to 0.7 % longer "
        + "with each doubling, also where the network is idle most of the time. That is the slowest of more GPUs "
        + "(`clockSpread`). No further law of size was found: what is missing of a step whatever its microbatches "
        + "belongs to single clusters and libraries. BLOOM's steps of 32 to 128 microbatches on 48 nodes lack 0.7 s, "
        + "those of Megatron-LM in MegaScale's tables 1.5 s on 32 to 128 nodes and 0.7 s on 384 to 1,536, "
        + "Megatron-Turing NLG's under DeepSpeed 5 s on 280, 350 and 420 alike.",
      "- **Recomputation `auto`**: NVIDIA's tables do not print it, so this program's own memory "
        + "model decides. Where it decides wrongly a step is off by about a third.",
      "- **torchtitan**'s H100 with 96 GB of HBM2e and a 500 W limit is in no other collection: its "
        + "clock follows from the limit by a rule of thumb (power as the square of the clock). Under a "
        + "pipeline its memory counts a receive buffer for each microbatch and, on the last stage, the "
        + "logits of all (PyTorch's `PipelineStage`; `keep_outputs`). The source of its two rows of 405B "
        + "does not print the micro batch. It was set to 4 when their error had been seen, for "
        + "torchtitan's default has as many microbatches as stages: they are no blind predictions. Its RMSNorm "
        + "was eight kernels until PyTorch fused it in 2025, unless compiled; a row that is compiled in bf16 "
        + "and does not say so is 19 % too long. Its four rows of 32,768 tokens a GPU over 1 to 8 context "
        + "ranks scatter from 19 % too long (2) to 12 % too short (8), and no cost linear in the parts "
        + "passes through all.",
      "- **Collectives beside kernels**: one of NCCL's takes a multiprocessor for each of its channels and "
        + "its part of the memory's rate, at most half, and a typical layer's kernels are priced on what is "
        + "left; beside a tensor-parallel one in the backward pass the multiplies that hide it. Not fitted; "
        + "measured are 19 % more kernel time on average and 40 % at most (arXiv:2507.03114, four GPUs under "
        + "FSDP). Beside userbuffers, context and expert traffic, and for other libraries, kernels lose 12 % "
        + "of their speed, whatever they are.",
      "- **InternLM (`internlm_a100`)** shares its optimizer out by whole tensors, which their owners broadcast "
        + "one after the other: on 1,024 ranks 291 chains of 1,023 hops, 2.6 s of a step of 7.2 s; that they are "
        + "not hidden is assumed, its published configurations have it either way. Nothing was "
        + "fitted for it. On 512 and 1,024 GPUs most rows lack 0.04 to 0.41 s of a step, the three that recompute "
        + "nothing in the source's third table 0.50 to 0.74 s: they took as long, within 4 %, as the same batches with "
        + "everything recomputed. Three rows sharded over all ranks are too long instead: by 0.07 s at tensor 1 on "
        + "512 GPUs, 0.44 and 0.98 s at tensor 2.",
      "- **XLA without pipelined collectives (`paxml_gpu`, MaxText on TPUs)**: what a loop over layers gathers "
        + "it uses in the same round. On TPUs a layer waits for all of its parameters (MaxText pull request 4493 "
        + "says so), in pax on GPUs for those it begins with. What two sizes of DeepSeek-V3 on TPUs still miss is "
        + "11 s in either, at 4 and at 6 sequences a chip: a cost of its weights, not of its tokens.",
      "- **Small models on few GPUs** (most of vTrain below 1 B parameters) are bound by the host: "
        + "times follow the launch cost of each operation, one constant for each framework, on "
        + "processors the sources do not name.",
    ]
  }
}
