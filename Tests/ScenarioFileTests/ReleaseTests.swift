import Hardware
import Kernels
import Layout
import ScenarioFile
import StepProgram
import Testing
import Transformer

@Suite struct ReleaseTests {
  @Test("releases are years and months, patches those of theirs")
  func names() {
    #expect(FrameworkRelease("26.04") == FrameworkRelease(26, 4))
    #expect(FrameworkRelease("26.02.01") == FrameworkRelease(26, 2))
    #expect(FrameworkRelease("25.11")?.text == "25.11")
    #expect(FrameworkRelease(25, 11) < FrameworkRelease(26, 2))
    for text in ["26", "26.13", "26.00", "26.4", "26.04.1", "26.04.xx", "v26.04", ""] {
      #expect(FrameworkRelease(text) == nil)
    }
  }

  @Test("a release of NeMo sets what its recipes do, but for what is said")
  func recipes() throws {
    func read(_ release: String, _ more: String = "", gpu: String = "gb300") throws -> Scenario {
      try Sample.read(
        """
        model: gpt-oss-120b
        cluster: {gpu: \(gpu), gpus: 64}
        parallelism: {expert: 8}
        training:
          sequence_length: 4096
          global_batch: 64
          micro_batch: 1
          precision: mxfp8-mixed
          framework: nemo
          release: "\(release)"
        """ + more)
    }
    let scenario = try read("26.06")
    let training = scenario.job.training
    #expect(training.switches.graph == .step && training.switches.fusesExperts == true)
    #expect(training.switches.narrowsAttention == true)
    #expect(training.dispatch.overlapsMicrobatches == true)
    let again = try Scenario(ScenarioSource(path: "a.json", text: scenario.resolved.text))
    #expect(again.job == scenario.job)
    #expect(try read("26.04").job.training.switches == SoftwareSwitches())
    #expect(try read("26.06", gpu: "b200-sxm").job.training.switches == SoftwareSwitches())
    #expect(
      try read("26.06", "\n  cuda_graph: none").job.training.switches.fusesExperts == nil)
    let said = try read("26.06", "\n  narrow_attention: false\n  moe: {overlap: false}")
      .job.training
    #expect(said.switches.graph == .step && said.switches.narrowsAttention == false)
    #expect(said.dispatch.overlapsMicrobatches == false)
    // Latent attention has a micro-batch of one in one graph.
    var job = scenario.job
    job.architecture = try #require(Architecture.named("deepseek-v3"))
    job.training.switches = SoftwareSwitches()
    job.training.microBatch = 2
    job.followRelease()
    #expect(job.training.switches == SoftwareSwitches())
    job.training.microBatch = 1
    job.followRelease()
    #expect(job.training.switches.graph == .step)

    // Before cuDNN had kernels for its heads on Blackwell, and with tokens dropped.
    job.training.switches = SoftwareSwitches()
    job.training.dispatch = ExpertDispatch()
    job.training.release = FrameworkRelease(25, 4)
    job.followRelease()
    #expect(job.training.attention == .unfused)
    #expect(job.training.dispatch == ExpertDispatch(dispatcher: .allToAll, capacityFactor: 1))

    func mistake(_ more: String) -> String { Sample.mistakes(Sample.text + more).first ?? "" }
    #expect(mistake("\n  framework: nemo\n  release: \"26.13\"").contains("is no release"))
    #expect(mistake("\n  release: \"26.04\"").contains("releases are known of nemo"))
    #expect(mistake("\n  narrow_attention: true").contains("needs precision: fp8-mixed"))
    #expect(
      mistake("\n  precision: fp8-mixed\n  attention: fused-softmax\n  narrow_attention: true")
        .contains("has no such kernels"))
  }

  @Test("the container a row's software names decides what NeMo's recipes set")
  func release() throws {
    func training(_ software: String, framework: String = "nemo") throws -> TrainingSettings {
      let text = MeasuredRunTests.row.replacing("nanotron", with: framework)
        .replacing("\"reported\"", with: "\"software\": \"\(software)\", \"reported\"")
      return try #require(MeasuredRun.rows(in: text, file: "m.jsonl").first)
        .scenario.job.training
    }
    let early = try training("NeMo container 24.07")
    #expect(early.release == FrameworkRelease(24, 7))
    #expect(early.switches.loss == .compiled)
    let later = try training("NeMo container 25.04.01")
    #expect(later.release == FrameworkRelease(25, 4))
    #expect(later.switches == SoftwareSwitches())
    let dgxc = "NeMo / Megatron-Core (dgxc-benchmarking v25.05.05)"
    #expect(try training(dgxc).release == FrameworkRelease(25, 4))
    for text in ["NeMo / Megatron-Core (dgxc-benchmarking v25.02.02)", "NeMo container llama"] {
      #expect(try training(text).release == nil)
    }
    #expect(try training("NeMo container 24.07", framework: "nanotron").release == nil)
  }

  @Test("Megatron's tests of GPT are deterministic unless their name or a key says otherwise")
  func deterministicTests() throws {
    func isDeterministic(_ source: String, _ key: String = "") throws -> Bool {
      let text = MeasuredRunTests.row.replacing("nanotron", with: "megatron-core")
        .replacing(
          "\"global_batch\"", with: key.isEmpty ? "\"global_batch\"" : "\(key), \"global_batch\""
        )
        .replacing("\"source\": \"s\"", with: "\"source\": \"\(source)\"")
      return try #require(MeasuredRun.rows(in: text, file: "m.jsonl").first)
        .scenario.job.training.switches.isDeterministic
    }
    let folder = "NVIDIA/Megatron-LM@d98e tests/functional_tests/test_cases"
    #expect(try isDeterministic("\(folder)/gpt/gpt3_mcore_te_tp2_pp2"))
    #expect(try !isDeterministic("\(folder)/gpt/gpt3_mcore_te_tp2_pp2_nondeterministic"))
    #expect(try !isDeterministic("\(folder)/moe/deepseekv3_proxy"))
    #expect(try !isDeterministic("\(folder)/gpt/gpt3_mcore", "\"deterministic\": false"))
    #expect(try !isDeterministic("\(folder)/gpt/gpt3_mcore", "\"loss\": \"compiled\""))
  }
}
