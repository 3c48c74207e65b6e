import ScenarioFile
import Testing

/// Every kind of mistake, with the exact line it is reported as.
@Suite struct DiagnosticTests {
  @Test("the sample has no mistake") func sample() { #expect(Sample.mistakes(Sample.text) == []) }

  @Test(
    "each mistake names its place, its key, what was read and what is wanted",
    arguments: [
      (
        "  pipeline: 2", "  pipline: 2",
        "a.yaml:9:3: error: parallelism.pipline: unknown key; did you mean 'pipeline'?"
      ),
      (
        "tensor: 4", "tensor: four",
        "a.yaml:8:11: error: parallelism.tensor: four is not a whole number"
      ),
      (
        "tensor: 4", "tensor: 2.5",
        "a.yaml:8:11: error: parallelism.tensor: 2.5 is not a whole number"
      ),
      (
        "tensor: 4", "tensor: '4'",
        "a.yaml:8:11: error: parallelism.tensor: '4' is text; write 4 without quotes"
      ),
      ("tensor: 4", "tensor: 0", "a.yaml:8:11: error: parallelism.tensor: 0 is less than 1"),
      (
        "tensor: 4", "tensor: [4]",
        "a.yaml:8:11: error: parallelism.tensor: a list is not a whole number"
      ),
      // 3 × 1 × 2 = 6; 64 is no multiple of it.
      (
        "tensor: 4", "tensor: 3",
        "a.yaml:8:11: error: parallelism.tensor: tensor 3 × context 1 × pipeline 2 = 6 does not "
          + "divide the 64 GPUs of cluster.gpus"
      ),
      // 4 × 1 × 2 × 4 = 32; 64 / 8 = 8.
      (
        "pipeline: 2", "pipeline: 2\n  data: 4",
        "a.yaml:10:9: error: parallelism.data: tensor 4 × context 1 × pipeline 2 × data 4 = 32, "
          + "but cluster.gpus is 64; data must be 8"
      ),
      (
        "400 Gb/s", "400",
        "a.yaml:6:27: error: cluster.inter_node.bandwidth: 400 has no unit; write one of B/s, "
          + "kB/s, MB/s, GB/s, TB/s, KB/s, KiB/s, MiB/s, GiB/s, TiB/s, b/s, kb/s, Mb/s, Gb/s, Tb/s "
          + "after it"
      ),
      (
        "4 us", "4 GB",
        "a.yaml:6:46: error: cluster.inter_node.latency: '4 GB' has the unit 'GB', which is not "
          + "one of ps, ns, us, ms, s, min, h, d, y"
      ),
      (
        "4 us", "soon",
        "a.yaml:6:46: error: cluster.inter_node.latency: 'soon' is not a number with its unit (ps, "
          + "ns, us, ms, s, min, h, d, y)"
      ),
      ("4 us", "4 h", "a.yaml:6:46: error: cluster.inter_node.latency: 4 h is more than 1 s"),
      (
        "h100-sxm-80gb", "h100-smx-80gb",
        "a.yaml:4:8: error: cluster.gpu: 'h100-smx-80gb' is not in the catalogue; did you mean "
          + "'h100-sxm-80gb'?"
      ),
      (
        "llama-3.1-8b", "llama-3.1-8c",
        "a.yaml:2:8: error: model: 'llama-3.1-8c' is not in the catalogue; did you mean "
          + "'llama-3.1-8b'?"
      ),
      (
        "llama-3.1-8b", "nowhere/config.json",
        "a.yaml:2:8: error: model: there is no file 'nowhere/config.json' beside the scenario"
      ),
      (
        "  micro_batch: 1", "",
        "a.yaml:12:3: error: training.micro_batch: missing; it is required: sequences per rank and "
          + "microbatch"
      ),
      (
        "  gpus: 64", "",
        "a.yaml:4:3: error: cluster.gpus: missing; it is required: how many GPUs train"
      ),
      // 64 / (4 × 2) = 8 replicas of 1 sequence; 100 = 12 × 8 + 4.
      (
        "global_batch: 128", "global_batch: 100",
        "a.yaml:14:17: error: training.global_batch: 100 is not a multiple of 8 (micro_batch × "
          + "data); use 96 or 104"
      ),
      (
        "micro_batch: 1", "micro_batch: 1\n  recompute: everything",
        "a.yaml:16:14: error: training.recompute: 'everything' is not one of none, selective, passes, full, auto"
      ),
      (
        "micro_batch: 1", "micro_batch: 1\n  precision: bf16-mixd",
        "a.yaml:16:14: error: training.precision: 'bf16-mixd' is not one of fp32, fp16-mixed, "
          + "bf16-mixed, bf16, fp8-mixed, mxfp8-mixed, nvfp4-mixed, int8; did you mean 'bf16-mixed'?"
      ),
      (
        "pipeline: 2", "pipeline: 2\n  sequence: maybe",
        "a.yaml:10:13: error: parallelism.sequence: maybe is neither true nor false"
      ),
      (
        "name: sample", "name: sample\ntraning: {}",
        "a.yaml:2:1: error: traning: unknown key; did you mean 'training'?"
      ),
      (
        "name: sample", "name: sample\nrun: {failures: {restart: 10 min}}",
        "a.yaml:2:17: error: run.failures.gpu_mtbf: missing; it is required: mean time between "
          + "failures of one GPU"
      ),
      (
        "name: sample", "name: sample\nrun: 5",
        "a.yaml:2:6: error: run: 5 is not a mapping of keys to values"
      ),
      (
        "virtual_stages: 2", "virtual_stages: 2\n  schedule: 1f1b",
        "a.yaml:10:19: error: parallelism.virtual_stages: 2 needs schedule: interleaved; use 1"
      ),
      (
        "pipeline: 2", "pipeline: 2\n  expert: 2",
        "a.yaml:10:11: error: parallelism.expert: 2 needs a mixture of experts; use 1"
      ),
      (
        "name: sample", "name: sample\nname: again",
        "a.yaml:1:1: error: the key 'name' is given twice"
      ),
    ])
  func mistake(old: String, new: String, expected: String) {
    #expect(Sample.mistakes(Sample.replacing(old, with: new)) == [expected])
  }

  @Test("all mistakes are reported at once, in the order of the file") func all() {
    let text = Sample.text
      .replacing("gpus: 64", with: "gpus: many")
      .replacing("tensor: 4", with: "tensr: 4")
      .replacing("sequence_length: 8192", with: "sequence_length: 8 KiB")
    #expect(
      Sample.mistakes(text) == [
        "a.yaml:5:9: error: cluster.gpus: many is not a whole number",
        "a.yaml:8:3: error: parallelism.tensr: unknown key; did you mean 'tensor'?",
        "a.yaml:13:20: error: training.sequence_length: 8 KiB is not a whole number",
      ])
  }

  @Test("text that is no YAML is reported where it breaks") func notYAML() {
    let lines = Sample.mistakes("model: [1, 2\ncluster: 3\n")
    #expect(lines.count == 1)
    #expect(lines.first?.hasPrefix("a.yaml:2:") == true)
  }

  @Test("an empty file lacks what is required") func empty() {
    #expect(
      Sample.mistakes("") == [
        "a.yaml:1:1: error: cluster.gpu: missing; it is required: which GPU, for example "
          + "h100-sxm-80gb",
        "a.yaml:1:1: error: cluster.gpus: missing; it is required: how many GPUs train",
        "a.yaml:1:1: error: model: missing; it is required: a catalogue name, the path of a "
          + "config.json, or its keys",
        "a.yaml:1:1: error: training.global_batch: missing; it is required: sequences in a step",
        "a.yaml:1:1: error: training.micro_batch: missing; it is required: sequences per rank and "
          + "microbatch",
        "a.yaml:1:1: error: training.sequence_length: missing; it is required: tokens in a sequence",
      ])
  }

  @Test("a missing file is told apart from a wrong one") func missing() {
    #expect(throws: ScenarioError.unreadable(path: "nowhere.yaml", reason: "no such file")) {
      try Scenario(contentsOf: "nowhere.yaml")
    }
  }
}
