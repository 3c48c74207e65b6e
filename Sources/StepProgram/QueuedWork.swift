/// What kernels and collectives take up in the device's queue.
enum QueuedWork {
  /// Entries of a collective beside the kernels around it.
  ///
  /// An event on the compute stream and the wait for it, the kernel, and an event behind it
  /// (`ProcessGroupNCCL.cpp`).
  static let entriesPerCollective = 4

  /// Entries of a message between stages.
  ///
  /// Its tensor's size and form go first, in two transfers of their own, each copied from the host before, then
  /// the tensor (`_send_meta` and `isend_tensors` of nanotron's `p2p.py`).
  static let entriesPerMessage = 2 + 3 * entriesPerCollective

  /// Entries the driver takes before a launch waits for the device.
  ///
  /// All streams together where they share one hardware queue (`CUDA_DEVICE_MAX_CONNECTIONS=1`, which tensor
  /// parallelism asks for).
  static let queueDepth = 1_024
}
