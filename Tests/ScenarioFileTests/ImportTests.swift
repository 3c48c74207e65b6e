import Foundation
import Quantities
import Testing
import StepProgram
import Layout
import Transformer
import Hardware

@testable import ScenarioFile

/// Settings of other programs as scenarios.
@Suite struct ImportTests {
  /// Imports, writes the file, and reads it as a scenario.
  private static func scenario(
    _ text: String, _ format: ImportedScenario.Format,
    _ supplement: ImportedScenario.Supplement = .init(gpu: "h100-sxm-80gb")
  ) throws -> (job: TrainingJob, tokens: Double, notes: [String]) {
    let imported = try ImportedScenario(
      text, path: "run.sh", format: format, supplement: supplement)
    let scenario = try Scenario(ScenarioSource(path: "run.yaml", text: imported.fileText))
    return (scenario.job, scenario.tokens, imported.notes)
  }

  static let script = """
    #!/bin/bash
    GPUS_PER_NODE=8
    NNODES=${SLURM_NNODES:-"4"}
    WORLD_SIZE=$(($GPUS_PER_NODE*$NNODES))
    TP=2   # inside a node
    MODEL_ARGS=(
        --num-layers 32 --hidden-size 4096 --ffn-hidden-size 14336 --num-attention-heads 32
        --group-query-attention --num-query-groups 8 --seq-length 4096
        --max-position-embeddings 32768 --normalization RMSNorm --position-embedding-type rope
        --swiglu --untie-embeddings-and-output-weights --disable-bias-linear --vocab-size 32000
        --attention-dropout 0.0 --hidden-dropout 0.0 --num-experts 8 --moe-router-topk 2
    )
    TRAINING_ARGS="--micro-batch-size 1 --global-batch-size 256 \\
        --train-iters 1000 --bf16"
    PARALLEL_ARGS=(
        --tensor-model-parallel-size ${TP} --pipeline-model-parallel-size=4
        --num-layers-per-virtual-pipeline-stage 4 --expert-model-parallel-size 4
        --use-distributed-optimizer --sequence-parallel --overlap-grad-reduce
        --recompute-granularity full --recompute-method block --recompute-num-layers 3
        --log-interval 1 --tp-comm-overlap --eval-interval 500 --eval-iters 8
    )
    torchrun --nproc_per_node $GPUS_PER_NODE --nnodes $NNODES pretrain_gpt.py ${MODEL_ARGS[@]}
    """

  @Test("a launch script of Megatron-LM: Mixtral 8x7B, every degree as written")
  func megatron() throws {
    let (job, tokens, notes) = try Self.scenario(Self.script, .megatron)
    // The published count of Mixtral 8x7B.
    #expect(job.architecture.parameterCount == 46_702_792_704)
    #expect(job.cluster.gpuCount == 32)
    #expect(job.cluster.gpusPerNode == 8)
    #expect(job.parallelism.tensor == 2 && job.parallelism.sequence)
    #expect(job.parallelism.pipeline == 4)
    // 32 layers / 4 stages / 4 layers a chunk.
    #expect(job.parallelism.virtualStages == 2)
    #expect(job.parallelism.schedule == .interleaved)
    #expect(job.parallelism.expert == 4)
    // 32 / (2 × 4).
    #expect(job.parallelism.data == 4)
    #expect(job.parallelism.zero == 1)
    #expect(job.parallelism.overlaps)
    #expect(job.training.globalBatch == 256 && job.training.microBatch == 1)
    #expect(job.training.recompute == .fullLayers(3))
    #expect(tokens == 1_000 * 256 * 4_096)
    #expect(notes.contains { $0.contains("--tp-comm-overlap") })
    #expect(!notes.contains { $0.contains("--log-interval") })
    #expect(!notes.contains { $0.contains("--hidden-size") })
  }

  @Test("the YAML form of Megatron's tests, flags with and without values")
  func megatronYAML() throws {
    let text = """
      MODEL_ARGS:
        --num-layers: 12
        --hidden-size: 512
        --num-attention-heads: 8
        --micro-batch-size: 4
        --global-batch-size: 32
        --seq-length: 1024
        --tensor-model-parallel-size: 2
        --sequence-parallel: true
        --bf16: true
        --use-distributed-optimizer: false
        --vocab-size: 1024
      """
    let (job, _, _) = try Self.scenario(
      text, .megatron, .init(gpu: "a100-sxm-80gb", gpus: 8))
    #expect(job.parallelism.tensor == 2 && job.parallelism.sequence)
    #expect(job.parallelism.zero == 0)
    #expect(!job.parallelism.overlaps)
    // Megatron's default of a plain block: 4 × hidden; dropout 0.1.
    #expect(job.architecture.hiddenSize == 512)
    #expect(job.cluster.gpu.name == "a100-sxm-80gb")
  }

  @Test(
    "recomputed modules, blocking sends and stages before replicas, where the keys can say them")
  func moreFlags() throws {
    let script = """
      --num-layers 32 --hidden-size 4096 --num-attention-heads 32 --seq-length 4096 --vocab-size 32000
      --max-position-embeddings 4096 --micro-batch-size 1 --global-batch-size 64 --bf16
      --pipeline-model-parallel-size 4 --num-layers-per-virtual-pipeline-stage 2
      --recompute-granularity selective --recompute-modules core_attn
      --no-overlap-p2p-communication --use-tp-pp-dp-mapping
      """
    let supplement = ImportedScenario.Supplement(gpu: "h100-sxm-80gb", gpus: 16)
    let (job, _, notes) = try Self.scenario(script, .megatron, supplement)
    #expect(job.training.recompute == .modules(.coreAttention))
    #expect(job.training.switches.overlapsSends == false)
    #expect(job.parallelism.order == [.tensor, .context, .pipeline, .data])
    #expect(!notes.contains { $0.contains("Not read") }, "\(notes)")
    let (other, _, left) = try Self.scenario(
      script + " --context-parallel-size 2", .megatron, supplement)
    #expect(other.parallelism.order == Parallelism.usualOrder)
    #expect(left.contains { $0.contains("--use-tp-pp-dp-mapping") })
  }

  @Test(
    "stages of a pipeline layout",
    arguments: [
      // 2, then 22 of two, one with the 2 that follow it … 32 stages in all.
      (
        "Et*2|(tt|)*22t|(tt|)*7mL",
        [2] + Array(repeating: 2, count: 22) + [1] + Array(repeating: 2, count: 7) + [0]
      ),
      ("Et|(tt|)*30L", [1] + Array(repeating: 2, count: 30) + [0]),
      ("Et*11|t*11|t*11|t*10mL", [11, 11, 11, 10]), ("EttL", [2]),
    ])
  func layoutStages(layout: String, layers: [Int]) {
    #expect(ImportedScenario.stageLayers(ofLayout: layout) == layers)
  }

  @Test("Megatron's uneven stages, experts and context become keys") func megatronLayout() throws {
    let text = """
      torchrun --nproc_per_node 8 --nnodes 2 pretrain_gpt.py --num-layers 6 --hidden-size 512 \\
        --num-attention-heads 8 --seq-length 1024 --micro-batch-size 1 --global-batch-size 16 --bf16 \\
        --tensor-model-parallel-size 1 --pipeline-model-parallel-size 4 --context-parallel-size 2 \\
        --pipeline-model-parallel-layout Et|tt|tt|tL --cp-comm-type a2a --num-experts 8 \\
        --moe-token-dispatcher-type allgather --expert-model-parallel-size 2 \\
        --use-distributed-optimizer --num-distributed-optimizer-instances 2 --ddp-bucket-size 1000
      """
    let (job, _, _) = try Self.scenario(text, .megatron, .init(gpu: "h100-sxm-80gb"))
    #expect(job.parallelism.stageLayers == [1, 2, 2, 1])
    #expect(job.parallelism.contextStyle == .ulysses)
    #expect(job.training.dispatch.dispatcher == .allGather)
    // 16 / 4 = 4 data × context ranks in 2 instances.
    #expect(job.parallelism.shardGroup == 2)
    #expect(job.parallelism.sharding.bucketParameters == 1_000)
  }

  @Test("Megatron's switches of fusion, deferral and workspaces become keys")
  func megatronSwitches() throws {
    let base = """
      export CUBLAS_WORKSPACE_CONFIG=:4096:8
      torchrun --nproc_per_node 8 --nnodes 1 pretrain_gpt.py --num-layers 8 --hidden-size 512 \\
        --num-attention-heads 8 --seq-length 1024 --micro-batch-size 1 --global-batch-size 16 --bf16 \\
        --pipeline-model-parallel-size 2
      """
    let plain = try Self.scenario(base, .megatron, .init(gpu: "h100-sxm-80gb")).0.training.switches
    // Eight buffers of 4,096 KiB; fused unless refused.
    #expect(plain.cublasWorkspace == .mebibytes(32))
    #expect(plain.fusesGradientAccumulation == true)
    #expect(plain.loss == nil && plain.deferredGradients == 0 && plain.groupsExperts == nil)
    let more =
      base + " --num-experts 4 --cross-entropy-loss-fusion --cross-entropy-fusion-impl te"
      + " --defer-embedding-wgrad-compute --wgrad-deferral-limit 3"
      + " --activation-func-fp8-input-store --cuda-graph-impl full_iteration"
      // Experts of a fixed number of rows need no counts on the host.
      + " --moe-expert-capacity-factor 1.0"
    let deferred = try Self.scenario(more, .megatron, .init(gpu: "h100-sxm-80gb")).0.training
      .switches
    #expect(deferred.loss == .fused && deferred.deferredGradients == 3)
    #expect(deferred.groupsExperts == false)
    #expect(deferred.graph == .step && plain.graph == nil)
    #expect(deferred.keptFormats == KeptFormats(activationInputs: .fp8))
    let local =
      base + " --num-experts 4 --moe-grouped-gemm --transformer-impl local"
      + " --no-gradient-accumulation-fusion --deterministic-mode"
    let other = try Self.scenario(local, .megatron, .init(gpu: "h100-sxm-80gb")).0.training.switches
    #expect(other.layers == .local && other.isDeterministic && other.groupsExperts == true)
    let compiled = try Self.scenario(
      base + " --cross-entropy-loss-fusion", .megatron, .init(gpu: "h100-sxm-80gb")
    ).0.training.switches
    #expect(compiled.loss == .compiled && !compiled.isDeterministic)
    #expect(other.fusesGradientAccumulation == false)
    #expect(ImportedScenario.workspace(of: ":4096:2:16:8") == 8_320)
    #expect(ImportedScenario.workspace(of: ":4096") == nil)
  }

  @Test("ds_config.json: GPUs from the batch sizes, numbers as 5e8, offload")
  func deepSpeed() throws {
    let text = """
      {"train_batch_size": 512, "train_micro_batch_size_per_gpu": 2,
       "gradient_accumulation_steps": 4, "bf16": {"enabled": true},
       "zero_optimization": {"stage": 3, "reduce_bucket_size": 5e8,
                             "zero_quantized_weights": true, "zero_hpz_partition_size": 8,
                             "offload_optimizer": {"device": "cpu"},
                             "offload_param": {"device": "cpu"}}, "odd": 1}
      """
    let (job, _, notes) = try Self.scenario(
      text, .deepspeed,
      .init(gpu: "h100-sxm-80gb", model: "llama-2-13b", sequenceLength: 4_096))
    // 512 / (2 × 4).
    #expect(job.cluster.gpuCount == 64)
    #expect(job.parallelism.zero == 3)
    #expect(job.training.microBatch == 2)
    #expect(job.microbatchCount == 4)
    #expect(job.parallelism.sharding.quantizesWeights)
    #expect(!job.parallelism.sharding.quantizesGradients)
    #expect(job.parallelism.sharding.secondaryGroup == 8)
    #expect(job.parallelism.sharding.bucketParameters == 500_000_000)
    #expect(job.parallelism.offloadsOptimizer)
    #expect(job.parallelism.offloadsParameters)
    #expect(notes.contains { $0.contains("odd") })
  }

  @Test("a torchtitan job file: shards take what is left, converters decide the format")
  func torchtitan() throws {
    let text = """
      [model]
      name = "llama3"
      flavor = "70B"       # of the catalogue
      converters = ["float8"]
      [training]
      local_batch_size = 8
      seq_len = 8192
      steps = 1_000
      compile = true
      [parallelism]
      data_parallel_replicate_degree = 1
      data_parallel_shard_degree = -1
      tensor_parallel_degree = 8
      [activation_checkpoint]
      mode = "full"
      """
    let (job, tokens, notes) = try Self.scenario(
      text, .torchtitan, .init(gpu: "h100-sxm-80gb", gpus: 256))
    #expect(job.architecture.name == "llama-3.1-70b")
    #expect(job.parallelism.tensor == 8 && job.parallelism.zero == 3)
    // 256 / 8 data ranks of 8 sequences.
    #expect(job.training.globalBatch == 256)
    #expect(job.training.precision == .fp8Mixed)
    #expect(job.training.recompute == .full)
    #expect(tokens == 1_000 * 256 * 8_192)
    #expect(notes.contains { $0.contains("training.compile") })
  }

  @Test("what is missing is asked for")
  func missing() {
    func complaint(
      _ text: String, _ format: ImportedScenario.Format,
      _ supplement: ImportedScenario.Supplement = .init(gpu: "h100-sxm-80gb")
    ) -> String {
      do throws(ScenarioError) {
        _ = try ImportedScenario(text, path: "f", format: format, supplement: supplement)
        return ""
      } catch { return error.lines.joined(separator: "\n") }
    }
    #expect(complaint("hello", .megatron).contains("any --flag"))
    #expect(complaint("--num-layers 2", .megatron).contains("--hidden-size"))
    #expect(
      complaint(
        "--num-layers 2 --hidden-size 64 --num-attention-heads 2", .megatron
      ).contains("give --gpus"))
    #expect(complaint("{}", .deepspeed).contains("give --model"))
    #expect(complaint("[model]\nname = \"x\"", .torchtitan).contains("give --model"))
    let auto = "{\"train_micro_batch_size_per_gpu\": \"auto\"}"
    #expect(
      complaint(
        auto, .deepspeed,
        .init(gpu: "h100-sxm-80gb", gpus: 8, model: "llama-2-7b", sequenceLength: 2_048)
      ).contains("'auto'"))
  }
}
