import ScenarioFile
import Layout
import StepProgram
import Transformer
import Testing

@Suite struct MeasuredRunTests {
  static let row = """
    {"id": "r1", "family": "f", "source": "s", "model_name": "m", "scenario": {"model": \
    {"hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, \
    "num_key_value_heads": 32, "intermediate_size": 8192, "hidden_act": "silu", \
    "vocab_size": 131072, "tie_word_embeddings": true}, "cluster": {"gpu": "h100-sxm-80gb", \
    "gpus": 8}, "parallelism": {"pipeline": 2, "data": 4, "zero": 1}, "training": \
    {"sequence_length": 4096, "global_batch": 256, "micro_batch": 4, "framework": "nanotron"}}, \
    "measured": {"step_seconds": 3.37, "peak_memory_gib": 41.76, "memory_rank": "first", \
    "memory_kind": "reserved", "out_of_memory": false}, "reported": {"mfu": 0.44}}
    """

  @Test("a row gives its scenario and its measurement") func row() throws {
    let rows = try MeasuredRun.rows(in: Self.row + "\n\n" + Self.row + "\n", file: "m.jsonl")
    #expect(rows.count == 2)
    let first = try #require(rows.first)
    #expect(first.stepSeconds == 3.37)
    #expect(first.peakMemoryGiB == 41.76)
    #expect(first.memoryRank == .first)
    #expect(first.memoryKind == .reserved)
    #expect(!first.isOutOfMemory)
    #expect(first.scenario.job.parallelism.zero == 1)
    #expect(first.scenario.job.architecture.layerCount == 16)
  }

  @Test("mistakes name the line of the row and the key in its scenario") func mistakes() {
    let wrong = Self.row.replacing("\"gpus\": 8", with: "\"gpus\": 0")
    do throws(ScenarioError) {
      _ = try MeasuredRun.rows(in: Self.row + "\n" + wrong, file: "m.jsonl")
      Issue.record("read")
    } catch {
      let column = wrong.utf8.count - (wrong.split(separator: "\"gpus\": ")[1].utf8.count) + 1
      #expect(
        error.lines == ["m.jsonl:2:\(column): error: scenario.cluster.gpus: 0 is less than 1"])
    }
  }
}
