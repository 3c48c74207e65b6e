public import Quantities

extension GPU {
  /// A GPU's share of the rate at which the usual host reads and writes its memory, data sheet.
  ///
  /// Two GPUs share a Grace: 512 GB/s LPDDR5X (NVIDIA Grace Hopper architecture white paper; at 480 GB).
  /// Eight share two processors: with PCIe 5 of 8 channels DDR5-4800, 614 GB/s (DGX H100: Xeon Platinum
  /// 8480C), with PCIe 4 of 8 channels DDR4-3200, 410 GB/s (DGX A100: EPYC 7742), before that of 6
  /// channels DDR4-2666, 256 GB/s (DGX-1, DGX-2: Xeon Platinum 8168). Other makes are taken to sit in
  /// hosts of the same age.
  public var hostMemoryRate: ByteRate {
    switch hostRate.bytesPerSecond {
    case 200e9...: .gigabytesPerSecond(256)
    case 50e9...: .gigabytesPerSecond(76.8)
    case 20e9...: .gigabytesPerSecond(51.2)
    default: .gigabytesPerSecond(32)
    }
  }

  /// Time to move `bytes` over the host link, one direction.
  ///
  /// Large copies from pinned memory reach about 0.8 of a link's rate: 25 to 26 of PCIe 4's 32 GB/s
  /// (an assumption for the others).
  public func hostCopySeconds(bytes: Int64) -> Double {
    Double(bytes) / (0.8 * hostRate.bytesPerSecond)
  }

  /// Time the host takes to read and write `bytes` in the course of an update, at half the rate of its memory.
  ///
  /// An assumption: vectorised code over all cores, two sockets.
  public func hostUpdateSeconds(bytes: Int64) -> Double {
    Double(bytes) / (0.5 * hostMemoryRate.bytesPerSecond)
  }
}
