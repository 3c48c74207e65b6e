public import ScenarioFile
import Hardware
import Kernels
import Quantities
import Transformer

/// What is known by name, with the source of every figure.
public enum CatalogReport {
  /// GPUs, one a line.
  public static var gpuText: String {
    var table = TextTable([
      "GPU", "memory GiB", "TB/s", "bf16 TFLOP/s", "fp8", "scale-up GB/s", "domain", "NIC Gb/s",
      "W", "USD/h",
    ])
    for gpu in GPU.catalogue {
      table.add([
        gpu.name, Format.fixed(gpu.memory.gibibytes, decimals: 1),
        Format.fixed(gpu.memoryRate.bytesPerSecond / 1e12, decimals: 2),
        peak(gpu, .bf16), peak(gpu, .fp8),
        Format.number(gpu.scaleUp.rate.bytesPerSecond / 1e9), "\(gpu.scaleUpDomain)",
        Format.number(gpu.scaleOut.rate.bytesPerSecond * 8 / 1e9),
        Format.number(gpu.power.value, digits: 4), Format.fixed(gpu.hourlyPrice.value, decimals: 2),
      ])
    }
    return table.lines(indent: 0).joined(separator: "\n") + "\n"
  }

  private static func peak(_ gpu: GPU, _ format: NumberFormat) -> String {
    gpu.peaks[format].map { Format.number($0.flopsPerSecond / 1e12, digits: 4) } ?? ""
  }

  /// Kinds of cluster, one a line.
  public static var clusterText: String {
    var table = TextTable(
      ["Cluster", "GPU", "a node", "inside GB/s", "out Gb/s", "source"], leftColumns: 2,
      endsInWords: true)
    for design in ClusterDesign.catalogue {
      let node = design.node
      table.add([
        design.name, node.gpu.name, "\(node.gpusPerNode)",
        Format.number(node.intraNode.rate.bytesPerSecond / 1e9),
        Format.number(node.interNode.rate.bytesPerSecond * 8 / 1e9), design.source,
      ])
    }
    return table.lines(indent: 0).joined(separator: "\n") + "\n"
  }

  /// Models, one a line.
  public static var modelText: String {
    var table = TextTable(
      ["Model", "parameters", "active", "layers", "hidden", "source"], endsInWords: true)
    for entry in Architecture.catalogue {
      let model = entry.architecture
      table.add([
        entry.name, Format.count(Double(model.parameterCount)),
        Format.count(Double(model.activeParameterCount)), "\(model.layerCount)",
        "\(model.hiddenSize)", entry.source,
      ])
    }
    return table.lines(indent: 0).joined(separator: "\n") + "\n"
  }

  /// Every figure of one part with its source; `nil` for a name that is not known.
  public static func text(of name: String) -> String? {
    if let gpu = GPU.named(name) {
      var table = TextTable(["figure", "source"], leftColumns: 2)
      for source in gpu.sources { table.add([source.figure, source.origin]) }
      return gpu.name + "\n" + table.lines(indent: 0).joined(separator: "\n") + "\n"
    }
    if let design = ClusterDesign.catalogue.first(where: { $0.name == name }) {
      let node = design.node
      return "\(design.name): nodes of \(node.gpusPerNode) \(node.gpu.name), "
        + "\(Format.number(node.intraNode.rate.bytesPerSecond / 1e9)) GB/s a GPU inside, "
        + "\(Format.number(node.interNode.rate.bytesPerSecond * 8 / 1e9)) Gb/s out of it, "
        + "\(node.topology.rawValue)\n"
        + "source: \(design.source)\n"
    }
    guard let model = Architecture.named(name) else { return nil }
    let entry = Architecture.catalogue.first { $0.name == model.name }
    return "\(model.name): \(Format.grouped(model.parameterCount)) parameters, "
      + "\(Format.grouped(model.activeParameterCount)) active, \(model.layerCount) layers, hidden "
      + "size \(model.hiddenSize)\nsource: \(entry?.source ?? "a configuration")\n"
  }

  /// GPUs and models for other programs.
  public static var json: JSONValue {
    [
      "schema": "dryrun.catalog/1",
      "gpus": .array(GPU.catalogue.map(tree)),
      "clusters": .array(
        ClusterDesign.catalogue.map { design in
          [
            "name": .string(design.name), "gpu": .string(design.node.gpu.name),
            "gpus_per_node": .integer(design.node.gpusPerNode),
            "intra_node_bytes_per_second": .number(design.node.intraNode.rate.bytesPerSecond),
            "inter_node_bytes_per_second": .number(design.node.interNode.rate.bytesPerSecond),
            "source": .string(design.source),
          ]
        }),
      "models": .array(
        Architecture.catalogue.map { entry in
          [
            "name": .string(entry.name),
            "parameters": .integer(entry.architecture.parameterCount),
            "active_parameters": .integer(entry.architecture.activeParameterCount),
            "layers": .integer(entry.architecture.layerCount),
            "source": .string(entry.source),
          ]
        }),
    ]
  }

  private static func tree(_ gpu: GPU) -> JSONValue {
    [
      "name": .string(gpu.name),
      "memory_bytes": .integer(gpu.memory.count),
      "memory_bytes_per_second": .number(gpu.memoryRate.bytesPerSecond),
      "peak_flops_per_second": .object(
        NumberFormat.allCases.compactMap { format in
          gpu.peaks[format].map {
            JSONValue.Member(format.rawValue, .number($0.flopsPerSecond))
          }
        }),
      "scale_up_bytes_per_second": .number(gpu.scaleUp.rate.bytesPerSecond),
      "scale_up_domain": .integer(gpu.scaleUpDomain),
      "scale_out_bytes_per_second": .number(gpu.scaleOut.rate.bytesPerSecond),
      "power_watts": .number(gpu.power.value),
      "usd_per_hour": .number(gpu.hourlyPrice.value),
      "sources": .object(gpu.sources.map { JSONValue.Member($0.figure, .string($0.origin)) }),
    ]
  }
}
