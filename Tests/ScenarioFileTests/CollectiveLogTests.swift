import Quantities
import Collectives
import Foundation
import Hardware
import Testing

@testable import ScenarioFile

/// Logs of nccl-tests and files of clusters.
@Suite struct CollectiveLogTests {
  static let table = """
    # nThread 1 nGpus 1 minBytes 8 maxBytes 1024 step: 2(factor) warmup iters: 5 iters: 20
    # /opt/nccl-tests/build/all_reduce_perf
    # Using devices
    #  Rank  0 Group  0 Pid   6899 on host-a device  0 [0000:04:00] NVIDIA H100 80GB HBM3
    #  Rank  1 Group  0 Pid   6733 on host-b device  0 [0000:04:00] NVIDIA H100 80GB HBM3
    #       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
               8             2     float     sum      -1    135.8    0.00    0.00      0    123.5    0.00    0.00      0
            1024           256     float     sum      -1    147.1    0.01    0.01    N/A    123.1    0.01    0.02    N/A
    # Out of bounds values : 0 OK
    """

  @Test("the table: operation, ranks, hosts, out-of-place times in microseconds")
  func readsTable() throws {
    let log = try CollectiveLog(Self.table, file: "log")
    #expect(log.operation == .allReduce)
    #expect(log.ranks == 2)
    #expect(log.hosts == 2)
    #expect(log.rows.map(\.bytes) == [8, 1024])
    #expect(abs(log.rows[0].seconds - 135.8e-6) < 1e-12)
    #expect(abs(log.rows[1].seconds - 147.1e-6) < 1e-12)
  }

  @Test("older tables have no root column, others no operation of the sum")
  func readsOlderTables() throws {
    let withoutRoot = "  1048576  262144  float  sum  50.5  20.7  36.3  1e-7  51.0  20.5  35.9  0"
    let gather = "  1048576  16384  float  none  -1  41.5  25.2  22.1  0  40.9  25.6  22.4  0"
    for (line, time) in [(withoutRoot, 50.5), (gather, 41.5)] {
      let log = try CollectiveLog(line, file: "log")
      #expect(log.rows.count == 1)
      #expect(abs(log.rows[0].seconds - time * 1e-6) < 1e-12)
      #expect(log.operation == nil)
    }
  }

  @Test("the JSON of nccl-tests -J")
  func readsJSON() throws {
    let text = """
      {"args": ["./alltoall_perf", "-J", "x"], "config": {"devices": [
        {"rank": 0, "hostname": "a"}, {"rank": 1, "hostname": "a"}]},
       "results": [{"size": 64, "out_of_place": null, "in_place": {"time": 7.5}},
                   {"size": 128, "out_of_place": {"time": 8.5}, "in_place": {"time": 9.5}}]}
      """
    let log = try CollectiveLog(text, file: "log.json")
    #expect(log.operation == .allToAll)
    #expect(log.ranks == 2)
    #expect(log.hosts == 1)
    #expect(log.rows.map(\.bytes) == [64, 128])
    #expect(zip(log.rows, [7.5e-6, 8.5e-6]).allSatisfy { abs($0.seconds - $1) < 1e-12 })
  }

  @Test("a text without rows is refused")
  func refusesNothing() {
    #expect(throws: ScenarioError.self) { try CollectiveLog("hello", file: "log") }
    #expect(throws: ScenarioError.self) { try CollectiveLog("{}", file: "log") }
  }

  @Test("a cluster file says what it says, the rest comes from the design it is like")
  func clusterFile() throws {
    var source = ScenarioSource(path: "s.yaml", text: "cluster: {like: lab.yaml, gpus: 32}")
    source.clusterFile = .init(
      path: "lab.yaml",
      text: "cluster:\n  like: dgx-a100\n  inter_node: {bandwidth: 12 GB/s, latency: 9 us}\n")
    let cluster = try Cluster(source)
    let design = try #require(ClusterDesign.named("dgx-a100"))
    #expect(cluster.gpu.name == "a100-sxm-80gb")
    #expect(cluster.gpuCount == 32)
    #expect(cluster.intraNode == design.node.intraNode)
    #expect(cluster.interNode.rate.bytesPerSecond == 12e9)
    #expect(cluster.interNode.latency.picoseconds == 9_000_000)
    // What is written is what is read.
    var again = ScenarioSource(path: "s.yaml", text: "cluster: {like: copy.yaml}")
    again.clusterFile = .init(path: "copy.yaml", text: cluster.fileText(comment: ["a copy"]))
    #expect(try Cluster(again) == cluster)
  }

  @Test("an unknown design is named with the nearest one, a missing file as missing")
  func unknownDesign() {
    func complaint(_ name: String) -> String {
      do throws(ScenarioError) {
        _ = try Cluster(ScenarioSource(cluster: name, gpus: nil))
        return ""
      } catch { return error.lines.joined(separator: "\n") }
    }
    #expect(complaint("dgx-h10").contains("did you mean 'dgx-h100'?"))
    #expect(complaint("no/such.yaml").contains("there is no file 'no/such.yaml'"))
  }

  @Test("every design of the catalogue is a cluster of its GPU")
  func designs() throws {
    #expect(ClusterDesign.catalogue.count == 20)
    for design in ClusterDesign.catalogue {
      let cluster = try Cluster(ScenarioSource(cluster: design.name, gpus: 144))
      #expect(cluster == design.cluster(gpus: 144))
    }
  }

  @Test("YAML written is read back")
  func yaml() throws {
    let value: JSONValue = [
      "name": "a: b", "on": "yes", "number": .number(1.5), "text": "12",
      "nested": ["deep": ["deeper": .integer(1)], "list": [.integer(1), "x, y"]],
      "empty": .object([]),
    ]
    let node = try #require(try SourceNode.reading(yaml: value.yamlText, file: "x"))
    #expect(node.json.compactText == value.compactText)
  }
}
