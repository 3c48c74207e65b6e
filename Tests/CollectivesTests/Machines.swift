import Collectives
import Hardware
import Quantities

/// A small generator with a seed, the same on every machine (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: Int) { state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// A cluster of catalogue GPUs with their usual links.
func cluster(
  _ name: String, nodes: Int, gpusPerNode: Int = 8, intra: Double? = nil, inter: Double? = nil,
  topology: Topology = .railFatTree, oversubscription: Double = 1
) throws -> Cluster {
  struct UnknownGPU: Error {}
  guard let gpu = GPU.named(name) else { throw UnknownGPU() }
  var near = gpu.scaleUp
  var far = gpu.scaleOut
  if let intra { near.rate = .gigabytesPerSecond(intra) }
  if let inter { far.rate = .gigabytesPerSecond(inter) }
  return Cluster(
    gpu: gpu, gpuCount: nodes * gpusPerNode, gpusPerNode: gpusPerNode, intraNode: near,
    interNode: far, topology: topology, oversubscription: oversubscription)
}

/// A group alone on its nodes.
func group(_ ranks: Int, perNode: Int, siblings: Int = 1) -> GroupPlacement {
  GroupPlacement(ranks: ranks, ranksPerNode: perNode, groupsPerNode: siblings)
}
